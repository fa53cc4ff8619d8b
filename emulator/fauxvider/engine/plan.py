"""Drawing the plan of a run: how long each phase lasts, the seed, the deadlines.

Every number is derived from the world's seed and the job's number, so that the same requests
in the same world give the same lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from fauxvider.contract.model import Contract, Deadline, Model, Scope, Span
from fauxvider.engine.facts import Plan, Shape
from fauxvider.engine.minting import Mint

__all__ = ["Deadlines", "Quote", "Range", "at_pointer", "bounds_of", "draw_plan", "ranges_of", "whole"]

# The least that a phase lasts, in ms, and among how many spans from there on one is drawn: 0 draws none.
Range: TypeAlias = tuple[int, int]

_MAX_SPAN = 30 * 86_400_000
_MAX_SEED = 2**31 - 1
_MAX_WHOLE = 2**63
_NUMBERS: Final = (int, float, Decimal)  # as a tuple: building the union for each call would cost more than the check


class Quote(NamedTuple):
    """What a request is offered: what is delivered, from what its times are drawn, the price (None: that depends)."""

    shape: Shape
    ranges: tuple[Range, ...]
    price: Decimal | None


def ranges_of(contract: Contract, model: Model, scope: Scope, shape: Shape) -> tuple[Range, ...]:
    """Give from what the lengths of a request's phases are drawn, phase by phase."""
    timing = model.timing
    return tuple([_range(timing.get(phase.state.word, phase.lasts), scope, shape) for phase in contract.phases])


class Deadlines:
    """The limits that a contract sets to a run."""

    __slots__ = ("_asked_in", "_deadlines", "_unasked")

    def __init__(self, deadlines: Sequence[Deadline]) -> None:
        self._deadlines = deadlines
        self._unasked = tuple([deadline.default for deadline in deadlines])
        is_in_body = not any(deadline.header for deadline in deadlines)
        # The members of a body that may hold a limit; None where one may stand elsewhere.
        self._asked_in = frozenset(d.pointer[0] for d in deadlines if d.pointer) if is_in_body else None

    def asked(self, body: Any, scope: Scope) -> tuple[int | None, ...]:
        """Give each limit that holds for a request, in ms; None is none."""
        if self._asked_in is not None and isinstance(body, dict) and self._asked_in.isdisjoint(body):
            return self._unasked
        return tuple([_deadline(deadline, body, scope) for deadline in self._deadlines])


def draw_plan(
    model: Model,
    *,
    mint: Mint,
    parts: tuple[str | int, ...],
    scope: Scope,
    ranges: Sequence[Range],
    deadlines: tuple[int | None, ...] = (),
    failure: str = "",
    detail: str = "",
) -> Plan:
    """Draw one run. `parts` names the run (job and retry number)."""
    draws = iter(mint.numbers("plan", *parts, count=len(ranges) + 1))
    phases = tuple([least + next(draws) % size if size else least for least, size in ranges])
    seed = whole(model.picture.seed(scope)) if model.picture.seed else None
    if seed is None or seed < 0:
        seed = next(draws) % _MAX_SEED
    return Plan(phases, seed, deadlines, failure, detail)


def bounds_of(span: Span, scope: Scope, shape: Shape) -> tuple[int, int]:
    """Give the shortest and the longest time, in ms, that a law draws for a request."""
    least, size = _range(span, scope, shape)
    return least, least + max(0, size - 1)


def _range(span: Span, scope: Scope, shape: Shape) -> Range:
    if span.kind == "fixed":
        return span.low, 0
    if span.kind == "uniform":
        return span.low, span.high - span.low + 1
    if span.kind == "around":
        return _spread(span.low, span.spread)
    asked = whole(span.steps(scope)) if span.steps else None
    steps = max(0, asked if asked is not None else 1)
    if span.strength is not None:
        steps = _share(steps, span.strength(scope))
    if span.base_law or span.step_law:
        micros = _micros(span.base_law, shape) + steps * _micros(span.step_law, shape)
        return _spread(min(micros // 1000, _MAX_SPAN), span.spread)
    work = span.per_step * steps
    if span.megapixels:
        work = work * shape.width * shape.height * max(1, shape.count) // 1_000_000
    return _spread(min(span.base + work, _MAX_SPAN), span.spread)


def _share(steps: int, strength: Any) -> int:
    """Give how many steps an image-to-image run takes: rounded up, as the models do."""
    if isinstance(strength, bool) or not isinstance(strength, _NUMBERS) or not 0 <= strength <= 1:
        return steps
    return steps - int(steps - steps * strength)


def _micros(law: tuple[int, ...], shape: Shape) -> int:
    """Sum a law's parts: the first as it is, the others times powers of a picture's megapixels, each picture."""
    pixels, total = shape.width * shape.height, 0
    for power, part in enumerate(law):
        total += part * pixels**power // 1_000_000**power * (max(1, shape.count) if power else 1)
    return total


def _spread(middle: int, spread: int) -> Range:
    half = middle * spread // 1_000_000
    return max(0, middle - half), 2 * half + 1


def _deadline(deadline: Deadline, body: Any, scope: Scope) -> int | None:
    if deadline.header:
        return _in_header(deadline, scope["header"].get(deadline.header, ""))
    asked = whole(at_pointer(body, deadline.pointer)) if deadline.pointer else None
    return asked if asked is not None and 0 <= asked <= _MAX_SPAN else deadline.default


def _in_header(deadline: Deadline, text: str) -> int | None:
    is_number = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 16
    asked = int(Decimal(text) * deadline.unit) if is_number else -1
    return asked if 0 <= asked <= _MAX_SPAN else deadline.default


def whole(value: Any) -> int | None:
    """Give a JSON number as an integer, or None when it is none (or absurdly large)."""
    if value.__class__ is int:
        number: int = value
        return number if -_MAX_WHOLE <= number <= _MAX_WHOLE else None
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    if isinstance(value, Decimal) and value.is_nan():
        return None
    # A float's NaN fails the comparison, and so do the infinities; a decimal's would raise.
    return int(value) if -_MAX_WHOLE <= value <= _MAX_WHOLE else None


def at_pointer(tree: Any, pointer: tuple[str, ...]) -> Any:
    """Look a pointer up in a JSON tree; None when nothing is there."""
    for name in pointer:
        if tree is None:
            return None
        if isinstance(tree, dict):
            tree = tree.get(name)
        elif isinstance(tree, list) and name.isascii() and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
        else:
            return None
    return tree
