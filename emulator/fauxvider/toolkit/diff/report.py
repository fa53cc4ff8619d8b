"""The differences as a table of text that lines up, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fauxvider.toolkit.diff.finding import SEVERITIES, Finding

__all__ = ["json_report", "text_report"]

_WIDEST = 60
_HEADS = ("", "rule", "lines", "what", "old", "new")


def text_report(names: tuple[str, str], found: Sequence[Finding]) -> str:
    """Lay the differences out: one row each, a witness below the rows that have one."""
    if not found:
        return f"{names[0]} and {names[1]} say the same"
    groups = _grouped(found)
    rows = [_HEADS, *(_row(group[0], len(group)) for group in groups)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
    lines = []
    for number, row in enumerate(rows):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(cells.rstrip())
        if number and groups[number - 1][0].has_witness:
            lines.append(f"{' ' * widths[0]}    for example {_short(groups[number - 1][0].witness, 120)}")
    counts = Counter(one.severity for one in found)
    told = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    return "\n".join([*lines, f"{names[0]} -> {names[1]}: {told}"])


def _grouped(found: Sequence[Finding]) -> list[list[Finding]]:
    """Put together what one line of a part says in several places."""
    groups: dict[str, list[Finding]] = {}
    for one in found:
        same = [one.severity, one.about, one.old_line, one.new_line, one.old, one.new, one.witness]
        groups.setdefault(json.dumps(same, default=str), []).append(one)
    return list(groups.values())


def _row(one: Finding, count: int) -> tuple[str, ...]:
    lines = f"{one.old_line or '-'} -> {one.new_line or '-'}"
    pointer = (one.pointer or "/") + (f" and {count - 1} more" if count > 1 else "")
    return one.severity, pointer, lines, one.about, _short(one.old), _short(one.new)


def _short(value: Any, room: int = _WIDEST) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, default=_number, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= room else f"{text[: room - 3]}..."


def json_report(names: tuple[str, str], found: Sequence[Finding]) -> str:
    """Give the differences as a JSON document: names, counts by severity, findings."""
    counts = Counter(one.severity for one in found)
    told = {
        "old": names[0],
        "new": names[1],
        "counts": {severity: counts[severity] for severity in SEVERITIES},
        "findings": [one.as_json() for one in found],
    }
    return json.dumps(told, indent=2, default=_number, ensure_ascii=False)


def _number(value: object) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
