"""The report on contract coverage as text, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from pytest_fauxvider.coverage.model import Part, Tally

__all__ = ["json_text", "table_lines"]

_HEAD = ("provider", "what", "faced", "of", "%")
_FEWEST = 30  # columns for the names, however narrow the terminal
_MOST = 3  # lines of names a row


def table_lines(tally: Tally, *, width: int = 100, omit: tuple[str, ...] = ()) -> Iterator[str]:
    """Lay the figures out for a terminal of so many columns, with what was never faced beside them."""
    rows = list(_rows(tally, omit))
    cells = [_HEAD, *(row for row, _ in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    yield f"{_line(_HEAD, widths)}  never faced"
    room = max(width - sum(widths) - 2 * len(widths), _FEWEST)
    for row, never in rows:
        first, *rest = _names(never, room)
        yield f"{_line(row, widths)}  {first}".rstrip()
        yield from (" " * (sum(widths) + 2 * len(widths)) + line for line in rest)


def _rows(tally: Tally, omit: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    for provider in sorted(tally.providers):
        parts = tally.parts(provider, omit=omit)
        for number, part in enumerate(parts):
            yield _row("" if number else provider, part), tuple(item.name for item in part.never)
    yield _row("all", tally.whole(omit=omit), what=""), ()


def _row(provider: str, part: Part, *, what: str | None = None) -> tuple[str, ...]:
    label = part.what if what is None else what
    return (provider, label, str(len(part.faced)), str(len(part.items)), f"{part.percent:.0f}")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )


def _names(never: tuple[str, ...], room: int) -> list[str]:
    lines = wrap(", ".join(name.replace(" ", "\xa0") for name in never), room, break_on_hyphens=False) or [""]
    lines = [line.replace("\xa0", " ") for line in lines]
    if len(lines) <= _MOST:
        return lines
    told = sum(line.count(",") for line in lines[:_MOST])
    return [*lines[:_MOST], f"and {len(never) - told} more"]


def json_text(tally: Tally, *, omit: tuple[str, ...] = ()) -> str:
    """Write everything down: the figures, and each thing with how often it was faced."""
    whole = tally.whole(omit=omit)
    tree: dict[str, Any] = {
        "fauxvider_coverage": 1,
        "percent": round(whole.percent, 2),
        "faced": len(whole.faced),
        "of": len(whole.items),
        "omitted": list(omit),
        "providers": {name: _provider(tally, name, omit) for name in sorted(tally.providers)},
    }
    return json.dumps(tree, indent=1, ensure_ascii=False) + "\n"


def _provider(tally: Tally, name: str, omit: tuple[str, ...]) -> dict[str, Any]:
    parts = tally.parts(name, omit=omit)
    return {
        "contracts": tally.providers[name].digests,
        **{
            part.what: {
                "percent": round(part.percent, 2),
                "faced": len(part.faced),
                "of": len(part.items),
                "items": {item.name: {"times": item.times, "about": item.about} for item in part.items},
            }
            for part in parts
        },
    }
