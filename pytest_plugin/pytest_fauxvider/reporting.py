"""What is told of a test's world: a section below its failure, and the files that are kept of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_fauxvider.options import OPTIONS, Options

if TYPE_CHECKING:
    from pytest_fauxvider.world import FauxWorld

__all__ = ["add_to", "is_reported", "keep", "note_text", "section_text", "trace_folder", "trace_root"]

TITLE = "fauxvider: what the provider saw"
CAPSULE, JOURNAL, PAGE = "run.capsule.json", "journal.jsonl", "timeline.html"
MOST_LINES = 40
_MOST_MISSES = 5
_SLUG = 60

_HINT = """\
Hypothesis calls this test many times, and the fixture `fauxvider` is one world for all of them.
Give each example its own:
    @given(...)
    @given_world("PROVIDER")                    # from pytest_fauxvider import given_world
    def test_it(world, ...): ...
or, in the test's body, with the fixture `fauxvider_server`:
    with fauxvider_server.world("PROVIDER") as world: ..."""


def add_to(report: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[None], world: FauxWorld) -> None:
    """Keep what is to be kept of the world, and tell of it below a failure."""
    options = item.config.stash[OPTIONS]
    folder = trace_folder(trace_root(item.config, options), item.nodeid)
    if report.failed:
        if call.excinfo is not None and call.excinfo.typename == "FailedHealthCheck":
            report.sections.append(("fauxvider and Hypothesis", _HINT))
            return
        kept = _tell(report, world, None if options.trace == "off" else folder)
        # The report of the teardown takes them over; that is the one which junit.xml takes them from.
        item.user_properties.extend((f"fauxvider_{name}", str(path)) for name, path in kept.items())
    elif report.when == "call" and options.trace == "on":
        keep(world, folder)
    elif report.when == "setup" and options.trace != "off" and folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier run: this one tells of itself


def _tell(report: pytest.TestReport, world: FauxWorld, folder: Path | None) -> dict[str, Path]:
    kept: dict[str, Path] = {}
    try:
        kept = {} if folder is None else keep(world, folder)
        report.sections.append((TITLE, section_text(world, kept, is_judged=_names_verdict(report))))
    except Exception as error:  # noqa: BLE001 - what is told of a failure must not stand in its way
        report.sections.append((TITLE, f"This could not be told: {type(error).__name__}: {error}"))
    return kept


def trace_folder(root: Path, test: str) -> Path:
    """Give the folder of one test, by its node's name: the function's to be read, a digest to tell it from others."""
    function, bracket, case = test.partition("[")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", function.rpartition("::")[2] + bracket + case)[:_SLUG].strip("-.")
    digest = hashlib.blake2b(test.encode(), digest_size=4).hexdigest()
    return root / f"{name}-{digest}"


def trace_root(config: pytest.Config, options: Options) -> Path:
    """Give the folder for all tests."""
    if options.trace_dir is not None:
        return options.trace_dir
    cache = getattr(config, "cache", None)  # none under -p no:cacheprovider
    return Path(cache.mkdir("fauxvider")) if cache is not None else config.rootpath / ".fauxvider"


def is_reported() -> bool:
    """Tell whether a failure of now will be shown: of all failing examples Hypothesis shows the last, smallest one."""
    control = sys.modules.get("hypothesis.control")
    if control is None or not control.currently_in_test_context():
        return True
    return bool(getattr(control.current_build_context(), "is_final", True))


def keep(world: FauxWorld, folder: Path) -> dict[str, Path]:
    """Write a world's files; give them by what they are. A capsule that cannot be made faithfully is left out."""
    from fauxvider import UsageError

    folder.mkdir(parents=True, exist_ok=True)
    kept = {"timeline": folder / PAGE, "journal": folder / JOURNAL}
    kept["timeline"].write_text(world.report().page(ignore=frozenset(world.plan.ignore)), encoding="utf-8")
    lines = [json.dumps(entry, sort_keys=True) for entry in world.journal()["entries"]]
    kept["journal"].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        world.save(folder / CAPSULE)
    except UsageError as error:
        (folder / CAPSULE).with_suffix(".txt").write_text(f"{error}\n", encoding="utf-8")
        return kept
    return {"capsule": folder / CAPSULE, **kept}


def _names_verdict(report: pytest.TestReport) -> bool:
    """Tell whether the failure itself says what the client did wrong: once is enough."""
    first = str(report.longrepr).partition("\n")[0]
    return first.startswith("fauxvider (") and ("verdict" in first or "risks" in first)


def note_text(world: FauxWorld, kept: dict[str, Path] | None = None, *, is_judged: bool = False) -> str:
    """Give the section as a note on an error, for worlds that are gone when the report is made."""
    try:
        return f"\n{TITLE}\n{section_text(world, kept, is_judged=is_judged)}"
    except Exception as error:  # noqa: BLE001 - as above
        return f"\n{TITLE}\nThis could not be told: {type(error).__name__}: {error}"


def section_text(world: FauxWorld, kept: dict[str, Path] | None = None, *, is_judged: bool = False) -> str:
    """Tell of a world: its story, why requests were refused, the verdict on the client, how to see it again."""
    judged = () if is_judged else _judged(world)
    return "\n".join([*_story(world), *_misses(world), *judged, *_kept(world, kept or {})])


def _story(world: FauxWorld) -> Iterator[str]:
    from pytest_fauxvider.strict import stray_lines

    made = world.server.emulator.world(world.name)
    options = made.options
    yield f"world {world.name}: clock {made.clock.spec}, seed {options.seed}, scenario {options.scenario.name}"
    lines = world.story()
    yield ""
    if not lines:
        yield "No request came, and nothing happened."
    if len(lines) > MOST_LINES:
        yield f"({len(lines) - MOST_LINES} earlier lines are left out)"
    yield from lines[-MOST_LINES:]
    if strays := list(stray_lines(world)):
        yield ""
        yield from strays


def _misses(world: FauxWorld) -> Iterator[str]:
    if found := world.near_misses():
        yield ""
        yield "Why requests were refused:"
        yield from (f"  {text}" for text in found[-_MOST_MISSES:])


def _judged(world: FauxWorld) -> Iterator[str]:
    from fauxvider.analysis.verdict import verdict_text

    yield ""
    yield verdict_text(world.verdict(ignore=world.plan.ignore)).rstrip()


def _kept(world: FauxWorld, kept: dict[str, Path]) -> Iterator[str]:
    if not kept:
        return
    yield ""
    if "capsule" in kept:
        yield f"replay:   {shlex.join(['fauxvider', 'replay', _shown(kept['capsule']), *_contracts(world)])}"
    else:
        reason = next(iter(kept.values())).parent / "run.capsule.txt"
        yield f"replay:   not possible, {reason.read_text(encoding='utf-8').strip()}"
    yield f"timeline: {_shown(kept['timeline'])}"


def _contracts(world: FauxWorld) -> Iterator[str]:
    for path in world.server.contract_files:
        yield from ("--contract", _shown(path))


def _shown(path: Path) -> str:
    """Give a path as it can be typed where pytest was started."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near
