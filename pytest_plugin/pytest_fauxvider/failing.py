"""What is left of a run that failed: its story in words, the steps to play it again, a capsule and a pytest file."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fauxvider.analysis.entries import since_text
from fauxvider.analysis.story import tell
from fauxvider.errors import FauxviderError, UsageError
from pytest_fauxvider.invariants import ViolationError
from pytest_fauxvider.shortening import kind_of, shortened

if TYPE_CHECKING:
    from pytest_fauxvider.knobs import Step
    from pytest_fauxvider.stage import Stage

__all__ = ["Tale", "load_machine", "play_lines", "story_of", "write_failure"]

_MOST_LINES = 14  # of what happened at the provider during one step
_WIDTH = 96


def story_of(stage: Stage) -> list[str]:
    """Tell a run, step by step, with what the provider saw during each."""
    entries = stage.entries()
    began, lines = stage.model.began, []
    bounds = [total for _, total, _ in stage.told[1:]] + [len(entries)]
    for (moment, first, text), end in zip(stage.told, bounds, strict=True):
        lines.append(f"{since_text(moment - began):>10}  {text}")
        during = [
            f"{since_text(one.at - began):>14}  {one.who}: {one.text}" + _times(one.times)
            for one in tell(entries[first:end])
        ]
        if len(during) > _MOST_LINES:
            during[_MOST_LINES - 3 : -2] = [f"{'':14}  ... {len(during) - _MOST_LINES + 1} more ..."]
        lines += during
    return lines


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def play_lines(steps: Iterable[Step], *, head: str = "play") -> list[str]:
    """Write the steps as a call that plays them again; what a step does anyway is left out."""
    lines = [f"{head}("]
    lines += [
        f'    ("{step.name}", {{{_args(step)}}}),' if _args(step) else f'    ("{step.name}", {{}}),' for step in steps
    ]
    return [*lines, ")"]


def _args(step: Step) -> str:
    return ", ".join(
        f'"{name}": {_flat(value)}' for name, value in step.args.items() if value not in ("arrives", 0, "")
    )


def _flat(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Tale:
    """A failure that is told, and written to files, if and when somebody wants to read it."""

    def __init__(self, tell_it: Callable[[], str]) -> None:
        self._tell = tell_it

    def __repr__(self) -> str:
        return self._tell()


def tale_of(stage: Stage, error: Exception, machine: Any) -> str:
    """Tell a failure, as short as it can be made, and write its files; give the text for the test's report."""
    kind = kind_of(error)
    found = stage.steps
    steps = shortened(tuple(found), kind, lambda run: machine.outcome(run)[0])
    again, own = machine.outcome(steps, keep=True)
    if again is None or kind_of(again) != kind:
        own.close()
        again, own, steps = error, stage, tuple(found)  # a client that does not do the same thing twice
    try:
        return "\n".join(_tale(own, again, machine, steps))
    finally:
        if own is not stage:
            own.close()


def _tale(stage: Stage, error: Exception, machine: Any, steps: Sequence[Step]) -> Iterator[str]:
    yield from ("", _headline(machine, error), "")
    yield from story_of(stage)
    yield from ("", "To play it again without Hypothesis:", "")
    yield from (*play_lines(steps, head=f"{machine.__name__}.play"), "")
    try:
        yield from [f"{what}: {path}" for what, path in write_failure(stage, error, machine)]
    except (OSError, FauxviderError) as problem:
        yield f"No files were written: {problem}"


def _headline(machine: Any, error: Exception) -> str:
    raised = "" if isinstance(error, ViolationError) else f"the client raised {type(error).__name__}: "
    return f"{machine.__name__}: {raised}{error}"


def write_failure(stage: Stage, error: BaseException, machine: type) -> list[tuple[str, str]]:
    """Write the capsule and the pytest file; give what was written where."""
    folder = Path(os.environ.get("FAUXVIDER_OUT") or str(getattr(machine, "out", ".fauxvider")))
    folder.mkdir(parents=True, exist_ok=True)
    kind = kind_of(error)
    name = re.sub(r"[^a-z0-9]+", "_", f"{machine.__name__}_{kind}".lower()).strip("_")
    capsule = folder / f"{name}.capsule.json"
    stage.world.save(capsule)
    written = [("The provider's side, for `fauxvider replay`", str(capsule))]
    place = _place(machine)
    if place is not None:
        test = folder / f"test_{name}.py"
        test.write_text(_test_text(stage, error, machine, os.path.relpath(place, folder), name), encoding="utf-8")
        written.append(("The same run as a test, for `pytest`", str(test)))
    return written


def _place(machine: type) -> Path | None:
    """Give the file that a machine can be loaded from; None if it stands inside a function."""
    module = sys.modules.get(machine.__module__)
    file = getattr(module, "__file__", None)
    return Path(file) if file and "<locals>" not in machine.__qualname__ else None


def _test_text(stage: Stage, error: BaseException, machine: type, place: str, name: str) -> str:
    about = [f"{error}" or type(error).__name__, "", *story_of(stage)]
    told = "\n".join(line.replace("\\", "/").replace('"""', "'''") for line in about)
    return "\n".join([
        f'"""{told}\n"""',
        "",
        "from pathlib import Path",
        "",
        "from pytest_fauxvider.failing import load_machine",
        "",
        "HERE = Path(__file__).parent",
        f'{machine.__name__} = load_machine(HERE / "{place}", "{machine.__qualname__}")',
        "",
        "",
        f"def test_{name}() -> None:",
        *(f"    {line}" for line in play_lines(stage.steps, head=f"{machine.__name__}.play")),
        "",
    ])  # fmt: skip


def load_machine(file: str | Path, name: str) -> Any:
    """Load a class from a file, which need not be importable by name. Raises UsageError."""
    path = Path(file).resolve()
    for module in list(sys.modules.values()):
        known = getattr(module, "__file__", None)
        if known and Path(known) == path:
            return _inside(module, name, path)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise UsageError(f"the machine's file {path} is not there any more; mend the path in this test")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return _inside(module, name, path)


def _inside(module: Any, name: str, path: Path) -> Any:
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise UsageError(f"{path} has no class {name} any more; mend the name in this test")
    return found


def steps_of(given: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Check steps as a test writes them. Raises UsageError."""
    for one in given:
        if not (isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], dict)):
            raise UsageError(f"a step is a pair of a name and its arguments, not {one!r}")
    return list(given)
