"""Small values that every floor shares: spans, sizes, moments and exact money.

Moments and spans are integer milliseconds everywhere; a moment counts from the Unix epoch.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from fauxvider.errors import UsageError

__all__ = [
    "Json",
    "JsonTree",
    "decimal_text",
    "parse_moment",
    "parse_money",
    "parse_size",
    "parse_span",
    "span_text",
]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
# What templates give: JSON, with exact decimals still in it.
JsonTree: TypeAlias = "dict[str, JsonTree] | list[JsonTree] | str | int | float | bool | Decimal | None"

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MAX_MOMENT = 10**14  # ms: the year 5138, and the longest span
_SPAN = re.compile(r"(\d{1,12})(?:\.(\d{1,3}))?\s*(ms|s|m|h|d)\s*", re.ASCII)
_SIZES = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
          "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}  # fmt: skip
_SIZE = re.compile(r"(\d{1,15})\s*([kKMG]?i?B)?", re.ASCII)


def parse_span(value: object, *, per_ms: int = 1) -> int:
    """Read a span such as ``"7d 1s"`` or a number of seconds; give milliseconds (or parts of one).

    Raises UsageError for anything else (negative spans included).
    """
    if isinstance(value, bool):
        raise UsageError(f"{value!r} is not a span")
    if isinstance(value, int | float | Decimal):
        seconds = Decimal(str(value))
        if seconds.is_nan() or not 0 <= seconds <= _MAX_MOMENT // 1000:
            raise UsageError(f"a span of {value} seconds is out of range")
        return int(seconds * 1000 * per_ms)
    if isinstance(value, str):
        text, total, at = value.strip(), 0, 0
        while at < len(text):
            part = _SPAN.match(text, at)
            if part is None:
                break
            whole, fraction, unit = part.groups()
            total += int(Decimal(f"{whole}.{fraction or 0}") * _UNITS[unit] * per_ms)
            at = part.end()
        if text and at == len(text) and total <= _MAX_MOMENT * per_ms:
            return total
    raise UsageError(f"{value!r} is not a span: write 250ms, 10s, 5m, 2h, 7d or '7d 1s'")


def span_text(ms: int) -> str:
    """Show a span shortly: ``7d 1s``, ``250ms``, ``0s``."""
    if ms <= 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts)


def parse_size(value: object) -> int:
    """Read a size in bytes, such as ``10MiB``, ``50MB`` or a plain integer."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        return int(found[1]) * _SIZES[found[2] or ""]
    raise UsageError(f"{value!r} is not a size: write 1000, 10MiB or 50MB")


def parse_money(value: object) -> Decimal:
    """Read exact money; floats are refused, because they are not exact."""
    if isinstance(value, bool | float):
        raise UsageError(f"{value!r} is not exact money")
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        raise UsageError(f"{value!r} is not a decimal number") from None
    if not money.is_finite() or abs(money.adjusted()) > 30:
        raise UsageError(f"{value!r} is out of the range of money")
    return money


def decimal_text(money: Decimal) -> str:
    """Give the shortest plain decimal text: ``0.025``, ``4``, never an exponent."""
    text = format(money, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def parse_moment(value: object) -> int:
    """Read a moment: epoch milliseconds (an integer) or ISO 8601 text with a zone."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_MOMENT:
        return value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if moment.tzinfo is not None:
                span = moment - datetime(1970, 1, 1, tzinfo=UTC)
                found = span.days * 86_400_000 + span.seconds * 1000 + span.microseconds // 1000
                if 0 <= found < _MAX_MOMENT:
                    return found
    raise UsageError(f"{value!r} is not a moment: write 2026-01-01T00:00:00Z or epoch milliseconds")
