"""The time axis of the picture: proportional where things happen, broken where for a long time nothing does."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fauxvider.values import span_text

__all__ = ["Axis", "Gap", "Tick", "axis_of", "leading_units"]

_SHORTEST_GAP = 20_000  # ms; shorter worlds are never broken
_MOST_GAPS = 60
_DOMINATES = 2  # a gap is cut out when it is so many times what would be left
_GAP_WIDTH = 30.0
_GAPS_SHARE = 0.45  # of the width that all gaps take at most
_TICK_ROOM = 84.0
_LETTER = 5.6
_UNITS = (86_400_000, 3_600_000, 60_000, 1_000)
_STEPS = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000,
    2_592_000_000, 31_536_000_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time that is drawn shorter than it was; x from left to right."""

    left: float
    right: float
    span: int

    @property
    def text(self) -> str:
        return about_text(self.span)


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps moments to x. `knots` are (moment, x), rising; between them it is linear."""

    began: int
    knots: tuple[tuple[int, float], ...]
    gaps: tuple[Gap, ...]
    ticks: tuple[Tick, ...]

    def x(self, moment: int) -> float:
        place = bisect_right(self.knots, (moment, float("inf")))
        if place == 0:
            return self.knots[0][1]
        if place == len(self.knots):
            return self.knots[-1][1]
        (before, left), (after, right) = self.knots[place - 1 : place + 1]
        return left + (right - left) * (moment - before) / (after - before)


def axis_of(moments: Iterable[int], *, left: float, right: float) -> Axis:
    """Lay the moments out between two x."""
    known = sorted(set(moments)) or [0]
    cuts = _cuts(known)
    gap_width = min(_GAP_WIDTH, (right - left) * _GAPS_SHARE / max(1, len(cuts)))
    drawn = known[-1] - known[0] - sum(after - before for before, after in cuts)
    scale = (right - left - gap_width * len(cuts)) / drawn if drawn else 0.0
    knots, gaps, x = [(known[0], left)], [], left
    for before, after in cuts:
        x += (before - knots[-1][0]) * scale
        gaps.append(Gap(x, x + gap_width, after - before))
        knots += [(before, x), (after, x + gap_width)]
        x += gap_width
    knots.append((known[-1], x + (known[-1] - knots[-1][0]) * scale))
    firm = tuple(dict(knots).items())  # a moment alone between two gaps is one knot
    return Axis(known[0], firm, tuple(gaps), tuple(_ticks(known[0], firm, gaps, scale)))


def _cuts(known: Sequence[int]) -> list[tuple[int, int]]:
    """Choose the gaps to cut out: the largest ones, as many as leave each of them far above all that stays."""
    pairs = sorted(pairwise(known), key=lambda pair: pair[0] - pair[1])
    left = known[-1] - known[0]
    best = 0
    for number, (before, after) in enumerate(pairs[:_MOST_GAPS], 1):
        left -= after - before
        if after - before < _SHORTEST_GAP:
            break
        if left and after - before >= _DOMINATES * left:
            best = number
    return sorted(pairs[:best])


# --- ticks


def _ticks(began: int, knots: Sequence[tuple[int, float]], gaps: Sequence[Gap], scale: float) -> Iterator[Tick]:
    """Name the start of every stretch, then round moments inside it, as far as the labels have room."""
    ends = {gap.left for gap in gaps}
    starts = {gap.right for gap in gaps}
    step = _step(scale)
    taken: list[tuple[float, float]] = []
    stretches = [
        (one, other)
        for one, other in pairwise(knots)
        if not (one[1] in ends and other[1] in starts)
    ]  # fmt: skip
    heads = [*(one for one, _ in stretches), *(knot for knot in knots if knot[1] in starts)]
    for moment, x in dict.fromkeys(heads or knots):
        if _has_room(taken, x, text := f"+{leading_units(moment - began)}"):
            yield Tick(x, text)
    for (first, x), (last, _) in stretches:
        since = -(-(first - began) // step) * step
        while scale and since <= last - began:
            at = x + (began + since - first) * scale
            if _has_room(taken, at, text := f"+{_rounded(since, step)}"):
                yield Tick(at, text)
            since += step


def _step(scale: float) -> int:
    return next((step for step in _STEPS if step * scale >= _TICK_ROOM), _STEPS[-1])


def _has_room(taken: list[tuple[float, float]], x: float, text: str) -> bool:
    half = len(text) * _LETTER / 2 + 4
    if any(x - half < right and x + half > left for left, right in taken):
        return False
    taken.append((x - half, x + half))
    return True


def leading_units(ms: int) -> str:
    """Show a span by its two largest units: `7d 4s`."""
    return " ".join(span_text(ms).split(" ")[:2])


def about_text(ms: int) -> str:
    """Show a span in round numbers of one unit."""
    unit = next((unit for unit in _UNITS if ms + unit // 2 >= unit * 3 // 2), 1)
    return span_text((ms + unit // 2) // unit * unit)


def _rounded(ms: int, step: int) -> str:
    """Show a moment on the grid of a step, tenths of seconds where the step has them."""
    if step >= 1000 or ms % 1000 == 0 or ms < 1000:
        return span_text(ms)
    head = span_text(ms // 1000 * 1000)
    digits = f"{ms % 1000:03}".rstrip("0")
    return f"{head.removesuffix('s')}.{digits}s" if head.endswith("s") else f"{head} 0.{digits}s"
