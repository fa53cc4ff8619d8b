"""A measured timing, put where `fauxvider serve` reads it: into a copy of the provider's contract file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.contract.strict import Map, file_bytes
from fauxvider.errors import ContractError, UsageError

__all__ = ["flow", "with_timings", "write_contracts"]


def write_contracts(folder: Path, timings: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Write a contract file for each provider of `timings` (PROVIDER/MODEL to its entry) below `folder`.

    Raises UsageError when a file cannot be written, or its model is written in a way that takes no entry.
    """
    by_provider: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, timing in timings.items():
        provider, _, model = name.partition("/")
        by_provider.setdefault(provider, {})[model] = timing
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for provider, entries in by_provider.items():
            path = folder / f"{provider}.yaml"
            path.write_text(with_timings(open_contract(provider), entries), encoding="utf-8")
            paths.append(path)
    except OSError as error:
        raise UsageError(f"--write {folder}: {error.strerror}") from None
    return paths


def with_timings(file: ContractFile, timings: Mapping[str, Mapping[str, Any]]) -> str:
    """Give the text of a contract file with these models' `timing` entries instead of its own.

    All other lines stay as they are, comments included. Raises UsageError for a model that is not a
    block of its own.
    """
    lines = file_bytes(Path(file.file)).decode().split("\n")
    models = file.tree["models"]
    for name in sorted(timings, key=lambda one: _line(models, one), reverse=True):  # from below: lines above stay put
        _replace(lines, models[name], _line(models, name), timings[name])
    text = "\n".join(lines)
    _compare(file, text, timings)
    return text


def _line(models: Map, name: str) -> int:
    return models.marks[name][0]


def _replace(lines: list[str], model: Any, line: int, timing: Mapping[str, Any]) -> None:
    """Put an entry into a model's block, whose key stands in that line (1-based)."""
    marks = model.marks if isinstance(model, Map) else {}
    first = min(marks.values(), default=(line, 0, 0, 0))
    if first[0] == line:
        raise UsageError(f"line {line} of the contract: the model is no block, and takes no timing")
    old = model.get("timing")
    if isinstance(old, Map) and "$reading" in old:  # all its cases are measured now, and none is unused
        timing = {key: old[key] if key == "$reading" else timing for key in old}
    margin, entry = " " * (first[1] - 1), f"timing: {flow(timing)}"
    if "timing" not in marks:
        lines.insert(first[0] - 1, margin + entry)
        return
    start = marks["timing"][0] - 1
    end = start + 1
    while end < len(lines) and lines[end].startswith(margin + " "):
        end += 1
    lines[start:end] = [margin + entry]


def _compare(file: ContractFile, text: str, timings: Mapping[str, Mapping[str, Any]]) -> None:
    """See to it that the new text says the same but for the timings, and those as given."""
    try:
        made = ContractFile(text, file=file.file)
        made.resolve({})
        new, old = made.resolved({}), file.resolved({})
        for name, timing in timings.items():
            if json.loads(json.dumps(new["models"][name]["timing"], default=float)) != timing:
                raise UsageError(f"the contract of {file.provider} does not take a timing for {name}")
        if _bare(new) != _bare(old):
            raise UsageError(f"the contract of {file.provider} cannot be rewritten line by line")
    except ContractError as error:
        raise UsageError(f"the contract of {file.provider} does not take the timing: {error}") from None


def _bare(tree: Mapping[str, Any]) -> dict[str, Any]:
    models = {
        name: {key: value for key, value in model.items() if key != "timing"} for name, model in tree["models"].items()
    }
    return {**tree, "models": models}


def flow(value: Any) -> str:
    """Write a tree as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    is_plain = isinstance(value, str) and value.replace(".", "").isalnum()
    return str(value) if is_plain else json.dumps(value, default=str)
