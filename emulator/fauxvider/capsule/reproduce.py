"""Writing a capsule as a pytest module: the same run, step by step, in code that can be read and changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fauxvider.capsule.model import Capsule
from fauxvider.service.recorder import Step
from fauxvider.service.wire import Request
from fauxvider.values import span_text

__all__ = ["reproduce_text"]

_WIDTH = 88  # what formatters keep to
_INSIDE = _WIDTH - 8  # a test's `with`
_PIECE = 64


def reproduce_text(capsule: Capsule, *, contracts: Iterable[str | Path] = ()) -> str:
    """Give the text of a module with one test: it plays the run, and its journal must be the recorded one."""
    files = [str(Path(file)) for file in contracts]
    is_running = not str(capsule.world["clock"]).startswith(("manual", "stepping"))
    scenario = capsule.world["scenario"] or {}
    about = _shown(str(scenario.get("name") or f"world {capsule.world['name']}")[:60])
    lines = [
        f'"""{about}: a run that fauxvider {_shown(capsule.version)} recorded."""',
        "",
        "from fauxvider.capsule import Rerun",
        "",
        *_assigned("WORLD", dict(capsule.world)),
        *_assigned("CONTRACTS", dict(capsule.contracts)),
        *_assigned("PRINTS", dict(capsule.prints)),
        *(_assigned("FILES", files) if files else ()),
        *_assigned("JOURNAL", {"sha256": capsule.journal_sha256, "trail": capsule.journal_trail}),
        "",
        "",
        f"def test_{_slug(about)}() -> None:",
        f"    with Rerun(WORLD, contracts=CONTRACTS, prints=PRINTS{', files=FILES' if files else ''}) as run:",
    ]
    lines += [f"        {line}" for line in _steps(capsule, is_running=is_running)]
    lines += ['        assert run.difference(**JOURNAL) == ""', ""]
    return "\n".join(lines)


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() and one not in '\\"' else " " for one in text).strip() or "a run"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60].rstrip("_") or "run"


def _assigned(name: str, value: Any) -> Iterator[str]:
    return _written(f"{name} = ", value, "")


# --- steps


def _steps(capsule: Capsule, *, is_running: bool) -> Iterator[str]:
    shown = -1
    for step in capsule.steps:
        if step.at // 1000 != shown // 1000:
            shown = step.at
            yield f"# +{span_text(step.at)}"
        yield from _step(step, is_running=is_running)


def _step(step: Step, *, is_running: bool) -> Iterator[str]:
    given: dict[str, Any]
    if step.request is not None:
        first, given = [step.request.method, step.provider, step.request.path], _request(step.request)
        name = "request"
    elif step.does == "sent":
        first = [step.mark, step.facts["kind"]] if step.facts["kind"] != "http" else [step.mark]
        name, given = "callback", {key: value for key, value in step.facts.items() if key != "kind"}
    elif step.does == "advance":
        name, first, given = "advance", [step.facts["span"]], {}
    elif step.does == "go":
        name, first, given = "go", [step.mark], {}
    elif step.does == "force":
        name, first, given = "force", [step.facts["job"]], {"failure": step.facts.get("failure", "")}
    else:
        name, first, given = step.does, [], dict(step.facts)
    if step.held:
        given |= {"mark": step.mark, "turns": step.turns or None}
    if is_running:
        given |= {"at": step.at, "ended": step.ended} if step.ended is not None else {"at": step.at}
    yield from _call(f"run.{name}", first, {key: value for key, value in given.items() if value not in ("", None)})


def _request(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {
        "query": request.query.decode("latin-1"),
        "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers} or None,
        **_body(request.body),
        "origin": request.origin,
        "site": request.site if request.site != "local" else "",
        "raw_path": request.raw_path.decode("latin-1"),
        "over_size": request.over_size or None,
        "fingerprint": request.fingerprint,
    }
    return given


def _body(body: bytes) -> Mapping[str, Any]:
    """Give a body as JSON if writing that gives the same bytes again, else as it is."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body": body}
    try:
        tree = json.loads(text)
    except ValueError:
        return {"body": text}
    if tree is None:
        return {"body": text}
    if json.dumps(tree, separators=(",", ":"), ensure_ascii=False) == text:
        return {"json": tree}
    return {"json": tree, "spaced": True} if json.dumps(tree) == text else {"body": text}


# --- code


def _call(name: str, first: list[Any], given: Mapping[str, Any]) -> Iterator[str]:
    parts = [*map(_flat, first), *(f"{key}={_flat(value)}" for key, value in given.items())]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= _INSIDE:
        yield line
        return
    yield f"{name}("
    for value in first:
        yield from _written("    ", value, "    ", end=",", width=_INSIDE)
    for key, value in given.items():
        yield from _written(f"    {key}=", value, "    ", end=",", width=_INSIDE)
    yield ")"


def _written(head: str, value: Any, pad: str, *, end: str = "", width: int = _WIDTH) -> Iterator[str]:
    """Write a value after `head`, over several lines if it is long."""
    line = f"{head}{_flat(value)}{end}"
    if len(line) <= width or not isinstance(value, dict | list | str | bytes) or not value:
        yield line
    elif isinstance(value, str | bytes):
        yield f"{head}("
        for at in range(0, len(value), _PIECE):
            yield from _piece(value[at : at + _PIECE], pad + "    ")
        yield f"{pad}){end}"
    else:
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        yield f"{head}{opening}"
        own = pad + "    "
        for one in value:
            name = f"{own}{_flat(one)}: " if isinstance(value, dict) else own
            yield from _written(name, value[one] if isinstance(value, dict) else one, own, end=",", width=width)
        yield f"{pad}{closing}{end}"


def _piece(value: str | bytes, pad: str) -> Iterator[str]:
    line = pad + _flat(value)
    if len(line) <= _WIDTH + 15 or len(value) < 2:
        yield line
        return
    half = len(value) // 2
    yield from _piece(value[:half], pad)
    yield from _piece(value[half:], pad)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return repr(value)
