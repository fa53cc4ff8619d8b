"""Drawing lanes: one small SVG each, all on the same time axis, so that a long page breaks between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape

from fauxvider.analysis.entries import shown
from fauxvider.analysis.timeline_axis import Axis
from fauxvider.analysis.timeline_lanes import Lane, Mark, Shape

__all__ = ["LEFT", "RIGHT", "WIDTH", "axis_svg", "key_svg", "lane_svg", "text_of"]

WIDTH, LEFT, RIGHT = 760, 22, 722
_BAR = 11  # height of the bar
_OVER = 60  # how far the ground reaches over a lane: its name may be taller, and the page cuts it off
_LETTER = 5.2  # how wide one is in a label, about
_MARKS_PER_LANE = 1_500


def text_of(text: str, limit: int = 300) -> str:
    """Give a text as it may stand in HTML, as content or in a quoted attribute."""
    return escape(shown(text, limit))


def axis_svg(axis: Axis) -> str:
    """Draw the axis: labels above, and what was cut out."""
    ticks = "".join(
        f'<line class="tick" x1="{tick.x:.1f}" y1="17" x2="{tick.x:.1f}" y2="22"/>'
        f'<text class="when" x="{tick.x:.1f}" y="13">{escape(tick.text)}</text>'
        for tick in axis.ticks
    )
    gaps = "".join(
        f'<text class="skip" x="{(gap.left + gap.right) / 2:.1f}" y="31">{escape(gap.text)}</text>'
        for gap in axis.gaps
        if gap.right - gap.left > 6 * len(gap.text)
    )
    turn = (
        '<defs><linearGradient id="turn"><stop class="from" offset="0"/><stop class="to" offset="1"/>'
        "</linearGradient></defs>"
    )
    return f'<svg viewBox="0 0 {WIDTH} 36" role="img" aria-label="time axis">{turn}{ticks}{gaps}</svg>'


def lane_svg(lane: Lane, axis: Axis, *, is_small: bool) -> str:
    """Draw one lane: states above, the client's requests below them, callbacks at the bottom."""
    has_bar, has_calls = bool(lane.stretches), any(mark.shape == "attempt" for mark in lane.marks)
    bar = 6 if is_small else 9
    client = bar + _BAR + (9 if is_small else 12) if has_bar else 13
    calls = client + (15 if is_small else 19)
    height = calls + (9 if is_small else 22) if has_calls else client + (9 if is_small else 13)
    rows: dict[Shape, float] = {
        "attempt": calls,
        "coin": bar + _BAR / 2,
        "fault": bar + _BAR / 2 if has_bar else client,
    }
    parts = [_ground(axis, height)]
    parts += _bar(lane, axis, bar)
    parts += _ladders(lane, axis, calls)
    parts += [_mark(mark, axis, rows.get(mark.shape, client)) for mark in _distinct(lane.marks, axis)]
    parts += _gaps(axis, height)
    if has_calls and not is_small:
        parts += _labels(lane, axis, calls + 17)
    name = f"job {text_of(lane.job)}" if lane.job else "requests of no job"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _ground(axis: Axis, height: float) -> str:
    lines = "".join(f"M{tick.x:.1f} {-_OVER}V{height + _OVER}" for tick in axis.ticks)
    return f'<path class="grid" d="{lines}"/>'


def _gaps(axis: Axis, height: float) -> Iterator[str]:
    """Lay a torn edge over what is not drawn to scale."""
    for gap in axis.gaps:
        inset = min(9.0, (gap.right - gap.left) / 3)
        left, right = gap.left + inset, gap.right - inset
        teeth = range(-_OVER, int(height) + _OVER, 6)
        edge = "".join(f"L{x + (2 if number % 2 else -2):.1f} {y}" for x in (left,) for number, y in enumerate(teeth))
        back = "".join(
            f"L{right + (2 if number % 2 else -2):.1f} {y}" for number, y in reversed(list(enumerate(teeth)))
        )
        yield f'<path class="gap" d="M{edge[1:]}{back}Z"/>'


def _bar(lane: Lane, axis: Axis, y: float) -> Iterator[str]:
    for part in lane.stretches:
        left, right = axis.x(part.began), axis.x(part.ended)
        look, width = f"{part.tone} open" if part.is_open else part.tone, max(right - left, 1)
        yield f'<rect class="{look}" x="{left:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
    for end in lane.ends:
        x = axis.x(end.at)
        yield (
            f'<rect class="{end.tone}" x="{x - 2:.1f}" y="{y - 3}" width="4" height="{_BAR + 6}" rx="1">'
            f"<title>{text_of(end.word)}</title></rect>"
        )


def _ladders(lane: Lane, axis: Axis, y: float) -> Iterator[str]:
    """Join the attempts of one delivery."""
    ladders: dict[str, list[float]] = {}
    for mark in lane.marks:
        if mark.shape == "attempt":
            ladders.setdefault(mark.group, []).append(axis.x(mark.at))
    for places in ladders.values():
        if max(places) - min(places) > 1:
            yield f'<line class="ladder" x1="{min(places):.1f}" y1="{y}" x2="{max(places):.1f}" y2="{y}"/>'


def _distinct(marks: Iterable[Mark], axis: Axis) -> list[Mark]:
    """Leave out what would be drawn exactly over another mark."""
    seen: dict[tuple[str, str, int, bool], Mark] = {}
    for mark in marks:
        seen.setdefault((mark.shape, mark.tone, round(axis.x(mark.at) * 2), mark.has_fault), mark)
    return list(seen.values())[:_MARKS_PER_LANE]


def _mark(mark: Mark, axis: Axis, y: float) -> str:
    x = axis.x(mark.at)
    held = ""
    if mark.since is not None:
        asked = axis.x(mark.since)
        held = f'<line class="held" x1="{asked:.1f}" y1="{y}" x2="{x:.1f}" y2="{y}"/>'
        if mark.shape == "submit":  # it stands where it was sent, its answer where that came
            held += _tick(x, y, mark.tone)
            x = asked
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y}" r="8"/>' if mark.has_fault else ""
    return f"<g><title>{text_of(mark.title)}</title>{held}{_SHAPES[mark.shape](x, y, mark.tone)}{ring}</g>"


def _labels(lane: Lane, axis: Axis, y: float) -> Iterator[str]:
    taken = -100.0
    for mark in sorted(lane.marks, key=lambda one: one.at):
        x, half = axis.x(mark.at), len(mark.label) * _LETTER / 2
        if mark.shape == "attempt" and x - half > taken:
            taken = x + half + 4
            yield f'<text class="said {mark.tone}" x="{x:.1f}" y="{y}">{escape(mark.label)}</text>'


# --- shapes


def _tick(x: float, y: float, tone: str) -> str:
    return f'<rect class="{tone}" x="{x - 1.4:.1f}" y="{y - 6}" width="2.8" height="12" rx="1"/>'


def _wedge(x: float, y: float, tone: str) -> str:
    return f'<path class="wedge {tone}" d="M{x - 4:.1f} {y - 6}l10 6l-10 6z"/>'


def _arrow(x: float, y: float, tone: str) -> str:
    return f'<path class="arrow {tone}" d="M{x - 2:.1f} {y - 7}h4v6h4l-6 7l-6 -7h4z"/>'


def _diamond(x: float, y: float, tone: str) -> str:
    return f'<path class="diamond {tone}" d="M{x:.1f} {y - 7}l7 7l-7 7l-7 -7z"/>'


def _coin(x: float, y: float, _tone: str) -> str:
    place = f'cx="{x + 10:.1f}" cy="{y}"'
    return f'<circle class="coin" {place} r="5.5"/><circle class="inner" {place} r="2.6"/>'


def _dot(x: float, y: float, tone: str) -> str:
    return f'<circle class="act {tone}" cx="{x:.1f}" cy="{y}" r="3.6"/>'


def _flag(x: float, y: float, _tone: str) -> str:
    return f'<path class="flag" d="M{x - 1:.1f} {y + 7}v-14h9l-3 3.5l3 3.5h-7.5v7z"/>'


def _nothing(_x: float, _y: float, _tone: str) -> str:
    return ""


_SHAPES: Mapping[Shape, Callable[[float, float, str], str]] = {
    "submit": _wedge, "poll": _tick, "file": _arrow, "act": _dot, "attempt": _diamond, "coin": _coin, "note": _flag,
    "fault": _nothing,
}  # fmt: skip


def key_svg(shape: Shape, tone: str, *, has_fault: bool = False) -> str:
    """Draw one mark for the key."""
    ring = '<circle class="ring" cx="10" cy="10" r="8"/>' if has_fault else ""
    x = 0 if shape == "coin" else 10
    return f'<svg class="key" viewBox="0 0 20 20" aria-hidden="true">{_SHAPES[shape](x, 10, tone)}{ring}</svg>'
