"""What a job costs, exactly: one function per cost kind of the contract language (section 13)."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fauxvider.contract.expressions import round_to
from fauxvider.contract.formats import text_of
from fauxvider.contract.model import Cost, Scope
from fauxvider.errors import ExpressionError
from fauxvider.values import decimal_text, parse_money

__all__ = ["COST_KINDS", "Work", "price_of"]

# 60 digits hold the price of any picture divided by 2^20 without a remainder.
_EXACT = decimal.Context(
    prec=60,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-60,
    Emax=60,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.FloatOperation],
)


@dataclass(frozen=True, slots=True)
class Work:
    """What was done: pixels of one picture, number of pictures, run time in ms, the job's scope."""

    width: int
    height: int
    count: int
    run_ms: int
    scope: Scope


def price_of(cost: Cost, *, width: int, height: int, count: int, run_ms: int, scope: Scope) -> Decimal:
    """Give the price of a job in the account's unit, with no positive exponent and no trailing zeros.

    `count` pictures of `width` x `height` pixels, `run_ms` of running. Raises ExpressionError when
    the contract gives no price for this request.
    """
    if min(width, height, count, run_ms) < 0:
        raise ExpressionError("a size, a count and a run time are not negative")
    try:
        price = COST_KINDS[cost.kind](cost, Work(width, height, count, run_ms, scope))
        if cost.digits is not None:
            price = round_to(price, cost.digits, cost.rounding)
    except decimal.DecimalException as problem:
        raise ExpressionError(f"the cost kind {cost.kind!r} has no answer: {type(problem).__name__}") from None
    if not price.is_finite() or price < 0 or abs(price.adjusted()) > 60:
        raise ExpressionError(f"the cost {price} is out of range")
    return Decimal(decimal_text(price))


def _free(_cost: Cost, _work: Work) -> Decimal:
    return Decimal(0)


def _per_request(cost: Cost, _work: Work) -> Decimal:
    return cost.price


def _per_image(cost: Cost, work: Work) -> Decimal:
    return _EXACT.multiply(cost.price, work.count)


def _per_megapixel(cost: Cost, work: Work) -> Decimal:
    pixels, unit = work.width * work.height, cost.pixels_per_megapixel
    # Whole or exact, the megapixels of one picture are pixels / unit: dividing last loses nothing.
    if cost.megapixels == "ceil":
        pixels = -(-pixels // unit) * unit
    elif cost.megapixels == "floor":
        pixels = pixels // unit * unit
    if cost.first is None:
        one = _share(cost.price, pixels, unit)
    else:
        one = _EXACT.add(cost.first, _share(cost.price, max(0, pixels - unit), unit))
    return _EXACT.multiply(one, work.count)


def _share(price: Decimal, pixels: int, unit: int) -> Decimal:
    return _EXACT.divide(_EXACT.multiply(price, pixels), unit)


def _per_second(cost: Cost, work: Work) -> Decimal:
    return _EXACT.divide(_EXACT.multiply(cost.price, work.run_ms), 1000)


def _table(cost: Cost, work: Work) -> Decimal:
    row = "/".join([text_of(axis(work.scope)) for axis in cost.by])
    price = cost.rows.get(row, cost.default)
    if price is None:
        raise ExpressionError(f"the table of prices has no row {row[:100]!r} and no default")
    return price


def _formula(cost: Cost, work: Work) -> Decimal:
    if cost.formula is None:
        raise ExpressionError("the cost kind 'formula' has no formula")
    values = {
        "width": Decimal(work.width),
        "height": Decimal(work.height),
        "count": Decimal(work.count),
        "seconds": _EXACT.divide(work.run_ms, 1000),
        "steps": Decimal(0),
    }
    for name, template in cost.names.items():
        values[name] = _decimal(name, template(work.scope))
    return cost.formula(values)


def _decimal(name: str, value: Any) -> Decimal:
    """Read what a request gives for a name: nothing is 0, true is 1, texts of digits are numbers."""
    if isinstance(value, bool) or value is None:
        return Decimal(bool(value))
    try:
        return parse_money(repr(value) if isinstance(value, float) else value)
    except ValueError:
        raise ExpressionError(f"{name} is not a number in range") from None


COST_KINDS: dict[str, Callable[[Cost, Work], Decimal]] = {
    "free": _free,
    "per_request": _per_request,
    "per_image": _per_image,
    "per_megapixel": _per_megapixel,
    "per_second": _per_second,
    "table": _table,
    "formula": _formula,
}
