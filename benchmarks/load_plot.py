"""The picture of `load_shape.py`, as SVG: five small charts that share colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["picture"]

_W, _H = 1180, 720
_WIDE, _HIGH = 300, 220  # of a chart's field
_INK, _FAINT, _GRID = "#1c2733", "#66727f", "#dde3e9"
_STORES = {"memory": "#7a8793", "sqlite": "#2f6fb2", "valkey": "#c2410c"}
_PARTS = {"server_us": ("workers", "#2f6fb2"), "store_us": ("Valkey", "#c2410c"), "cpu_us": ("load", "#b6bfc8")}
_KINDS = {"own": ("own worlds", "#2f6fb2"), "any": ("any world", "#8b5cf6")}


class _Chart:
    """A field with axes, whose corner is at (x, y) of the picture."""

    def __init__(self, x: float, y: float, title: str, unit: str) -> None:
        self.x, self.y = x, y
        self.parts = [
            _text(x, y - 34, title, size=15, weight=600),
            _text(x, y - 16, unit, size=12, fill=_FAINT),
        ]

    def up(self, value: float, top: float) -> float:
        return self.y + _HIGH * (1 - value / top)

    def grid(self, top: float) -> None:
        """Draw lines for round values up to `top`."""
        step = _step(top)
        for number in range(int(top / step + 1e-9) + 1):
            at = self.up(number * step, top)
            self.parts.append(_line(self.x, at, self.x + _WIDE, at, _GRID))
            self.parts.append(_text(self.x - 8, at + 4, f"{number * step:,g}", size=11, fill=_FAINT, anchor="end"))

    def below(self, x: float, text: str) -> None:
        self.parts.append(_text(x, self.y + _HIGH + 18, text, size=11, fill=_FAINT, anchor="middle"))

    def legend(self, shown: Sequence[tuple[str, str]], dashes: Sequence[bool] = ()) -> None:
        at = self.x
        for number, (name, colour) in enumerate(shown):
            dash = ' stroke-dasharray="5 4"' if dashes and dashes[number] else ""
            y = self.y + _HIGH + 38
            self.parts.append(f'<path d="M{at:.1f} {y}h18" stroke="{colour}" stroke-width="4"{dash}/>')
            self.parts.append(_text(at + 24, y + 4, name, size=11))
            at += 40 + 6.6 * len(name)


def picture(result: Mapping[str, Any]) -> str:
    """Draw what was measured."""
    charts = [
        _gain(_Chart(70, 100, "More workers", "times the requests of one worker"), result["workers"]),
        _parts(_Chart(460, 100, "What a request costs", "us of processor time"), result["workers"]),
        _growth(
            _Chart(850, 100, "A submit as jobs pile up", "us of processor time, server and store"), result["stores"]
        ),
        _memory(_Chart(70, 455, "Memory of a job", "bytes"), result["stores"]),
        _timers(_Chart(460, 455, "Seven days in one advance", _timers_unit(result)), result["stores"]),
    ]
    lines = "\n".join(part for chart in charts for part in chart.parts)
    notes = [
        "Solid: requests a second on this machine, where",
        "load, workers and Valkey share the cores. Dashed: by",
        "processor time, as if each worker had its own core.",
        "own worlds: each connection has its world, as a CI",
        "runner has. any world: each goes through all worlds,",
        "so most requests are passed on to the world's node.",
        "",
        *_wrapped(result["machine"], 50),
    ]
    text = "\n".join(_text(850, 435 + 21 * at, line, size=12, fill=_FAINT) for at, line in enumerate(notes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" width="{_W}" height="{_H}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f'<rect width="{_W}" height="{_H}" fill="#ffffff"/>\n'
        f"{_text(70, 38, 'fauxvider: the shape of its load', size=20, weight=700)}\n{lines}\n{text}\n</svg>\n"
    )


def _gain(chart: _Chart, rows: Sequence[Mapping[str, Any]]) -> _Chart:
    most = max(row["workers"] for row in rows)
    chart.grid(most)
    places = {number: chart.x + _WIDE * (number - 1) / (most - 1) for number in {row["workers"] for row in rows}}
    for number, x in places.items():
        chart.below(x, f"{number} worker{'s' if number > 1 else ''}")
    for kind, (_, colour) in _KINDS.items():
        some = [row for row in rows if row["kind"] == kind]
        here = [(places[row["workers"]], chart.up(row["rate"] / some[0]["rate"], most)) for row in some]
        alone = [
            (places[row["workers"]], chart.up(row["workers"] * some[0]["server_us"] / row["server_us"], most))
            for row in some
        ]
        chart.parts += [_curve(here, colour), _curve(alone, colour, dashed=True)]
    chart.legend([_KINDS["own"], _KINDS["any"], ("on own cores", _FAINT)], [False, False, True])
    return chart


def _parts(chart: _Chart, rows: Sequence[Mapping[str, Any]]) -> _Chart:
    top = _round_up(max(sum(row[part] for part in _PARTS) for row in rows))
    chart.grid(top)
    ordered = [row for kind in _KINDS for row in rows if row["kind"] == kind]
    wide = _WIDE / len(ordered)
    for number, row in enumerate(ordered):
        x, below = chart.x + wide * number + wide * 0.18, 0.0
        for part, (_, colour) in _PARTS.items():
            y, base = chart.up(below + row[part], top), chart.up(below, top)
            chart.parts.append(_bar(x, y, wide * 0.64, base - y, colour))
            below += row[part]
        chart.parts.append(_text(x + wide * 0.32, chart.up(below, top) - 5, f"{below:.0f}", size=11, anchor="middle"))
        chart.below(x + wide * 0.32, f"{row['workers']} {row['kind']}")
    chart.legend(list(_PARTS.values()))
    return chart


def _growth(chart: _Chart, rows: Sequence[Mapping[str, Any]]) -> _Chart:
    top = _round_up(max(point["us"] + point["store_us"] for row in rows for point in row["points"]))
    chart.grid(top)
    powers = [math.log10(point["jobs"]) for point in rows[0]["points"]]
    span = max(powers[-1] - powers[0], 1)
    for power in powers:
        chart.below(chart.x + _WIDE * (power - powers[0]) / span, f"{10**power:,.0f}")
    for row in rows:
        points = [
            (
                chart.x + _WIDE * (math.log10(point["jobs"]) - powers[0]) / span,
                chart.up(point["us"] + point["store_us"], top),
            )
            for point in row["points"]
        ]
        chart.parts.append(_curve(points, _STORES[row["store"]]))
    chart.legend(list(_STORES.items()))
    return chart


def _memory(chart: _Chart, rows: Sequence[Mapping[str, Any]]) -> _Chart:
    top = _round_up(max(max(row["memory"], row["kept"]) for row in rows))
    chart.grid(top)
    wide = _WIDE / len(rows)
    for number, row in enumerate(rows):
        x = chart.x + wide * number
        for at, (part, is_solid) in enumerate((("memory", True), ("kept", False))):
            if not row[part]:
                continue
            left, y = x + wide * (0.12 + 0.4 * at), chart.up(row[part], top)
            high = chart.y + _HIGH - y
            chart.parts.append(_bar(left, y, wide * 0.36, high, _STORES[row["store"]], faint=not is_solid))
            label = f"{row[part]:,.0f}"
            chart.parts.append(_text(left + wide * 0.18, y - 5, label, size=11, anchor="middle"))
        chart.below(x + wide / 2, row["store"])
    chart.legend([("in the process", _FAINT), ("in the file or in Valkey (pale)", "#c9d0d7")])
    return chart


def _timers(chart: _Chart, rows: Sequence[Mapping[str, Any]]) -> _Chart:
    top = _round_up(max(row["advance_s"] + row["advance_store_s"] for row in rows))
    chart.grid(top)
    wide = _WIDE / len(rows)
    for number, row in enumerate(rows):
        x, colour = chart.x + wide * (number + 0.25), _STORES[row["store"]]
        own, whole = row["advance_s"], row["advance_s"] + row["advance_store_s"]
        chart.parts.append(_bar(x, chart.up(own, top), wide / 2, chart.y + _HIGH - chart.up(own, top), colour))
        high = chart.up(own, top) - chart.up(whole, top)
        chart.parts.append(_bar(x, chart.up(whole, top), wide / 2, high, colour, faint=True))
        label = f"{whole:.1f} s"
        chart.parts.append(_text(x + wide / 4, chart.up(whole, top) - 5, label, size=11, anchor="middle"))
        chart.below(x + wide / 4, row["store"])
    return chart


def _timers_unit(result: Mapping[str, Any]) -> str:
    return f"s of processor time, {result['stores'][0]['timers']:,} jobs that end"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _step(top: float) -> float:
    """Give a round distance that divides 0 to `top` into four to eight."""
    power: float = 10.0 ** math.floor(math.log10(top / 4))
    return next(power * one for one in (1, 2, 2.5, 5, 10) if top / (power * one) <= 6)


def _round_up(value: float) -> float:
    step = _step(value)
    return math.ceil(value * 1.08 / step) * step


def _text(
    x: float, y: float, text: str, *, size: int, fill: str = _INK, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colour}"/>'


def _bar(x: float, y: float, wide: float, high: float, colour: str, *, faint: bool = False) -> str:
    shown = ' fill-opacity="0.4"' if faint else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}"{shown}/>'


def _curve(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.2"{dash}/>{dots}'
