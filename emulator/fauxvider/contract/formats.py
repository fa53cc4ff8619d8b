"""What may follow a bar in a placeholder: `{job.ended|iso_ms_z}`. Pure.

Every function takes one value that is not null and gives a JSON value. A value that a format
cannot be applied to raises ValueError, TypeError or ArithmeticError; a template shows null then.
Moments are integer milliseconds since the Unix epoch.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from fauxvider.values import decimal_text, parse_money

__all__ = ["FORMATS", "FORMATS_WITH_NUMBER", "json_text", "text_of"]

Format: TypeAlias = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# A number from a request may claim a million digits; nobody wants to read (or build) them.
_MAX_DIGITS = 400


def text_of(value: Any) -> str:
    """Give the text that stands for a value inside a longer text; null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Mapping | list | tuple | bool | int | float | Decimal):
        return json_text(value)
    return ""


def json_text(tree: Any) -> str:
    """Give compact JSON text (UTF-8 characters unescaped, decimals exact, key order kept)."""
    if isinstance(tree, str):
        return encode_basestring(tree)
    if tree is None or isinstance(tree, bool):
        return _WORDS[tree]
    if isinstance(tree, int | float | Decimal):
        return _number_text(tree)
    if isinstance(tree, Mapping):
        items = [f"{encode_basestring(str(key))}:{json_text(value)}" for key, value in tree.items()]
        return "{" + ",".join(items) + "}"
    if isinstance(tree, list | tuple):
        return "[" + ",".join([json_text(value) for value in tree]) + "]"
    return "null"


_WORDS = {None: "null", True: "true", False: "false"}


def _number_text(number: float | Decimal) -> str:
    if isinstance(number, Decimal):
        if not number.is_finite():
            return "null"
        return decimal_text(number) if abs(number.adjusted()) <= _MAX_DIGITS else str(number)
    if isinstance(number, int):
        return str(number) if number.bit_length() <= 4 * _MAX_DIGITS else "null"
    text = repr(number)
    return "null" if text in ("inf", "-inf", "nan") else text


# A job's moments are shown at every poll. Typed, so that 1.0 and True are not taken for a known 1.
_remembered = lru_cache(maxsize=4096, typed=True)


@lru_cache(maxsize=4096)
def _calendar(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


@lru_cache(maxsize=4096)
def _iso(seconds: int) -> str:
    return _calendar(seconds).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)


@_remembered
def _iso_s_z(moment: int) -> str:
    return _iso(_split(moment)[0]) + "Z"


@_remembered
def _iso_ms_z(moment: int) -> str:
    seconds, ms = _split(moment)
    return f"{_iso(seconds)}.{ms:03d}Z"


@_remembered
def _iso_us_z(moment: int) -> str:
    seconds, ms = _split(moment)
    return f"{_iso(seconds)}.{ms:03d}000Z"


@_remembered
def _python_utc(moment: int) -> str:
    seconds, ms = _split(moment)
    return f"{_iso(seconds)}.{ms:03d}000+00:00" if ms else f"{_iso(seconds)}+00:00"


def _stamp(moment: int) -> str:
    seconds, ms = _split(moment)
    return f"{_calendar(seconds):%Y_%m_%d_%H_%M_%S}_{ms:03d}"


def _amz(moment: int) -> str:
    return f"{_calendar(_split(moment)[0]):%Y%m%dT%H%M%SZ}"


def _http_date(moment: int) -> str:
    at = _calendar(_split(moment)[0])  # strftime's names would follow the locale
    return f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d} {at:%H:%M:%S} GMT"


def _split(moment: int) -> tuple[int, int]:
    if not isinstance(moment, int):
        raise TypeError("a moment is an integer")
    return divmod(moment, 1000)


def _epoch_ms(moment: int) -> int:
    _split(moment)
    return moment


def _number(value: Any) -> int | Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    money = parse_money(repr(value) if isinstance(value, float) else value)
    return Decimal(decimal_text(money))


def _plain(value: Any) -> str:
    number = _number(value)
    return str(number) if isinstance(number, int) else decimal_text(number)


def _cents(value: Any) -> int:
    # Whole cents, cut: a balance never shows more than there is.
    return int(Decimal(_number(value)) * 100)


def _seconds(value: Any) -> int | Decimal:
    number = _number(value)
    seconds = Decimal(number).scaleb(-3)
    if abs(seconds.adjusted()) > 30:
        raise ValueError("out of range")
    whole = int(seconds)
    return whole if whole == seconds else Decimal(decimal_text(seconds))


def _bytes_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else text_of(value).encode()


def _sha256(value: Any) -> str:
    return hashlib.sha256(_bytes_of(value)).hexdigest()


def _md5(value: Any) -> str:
    return hashlib.md5(_bytes_of(value), usedforsecurity=False).hexdigest()


def _base64(value: Any) -> str:
    return base64.b64encode(_bytes_of(value)).decode()


def _lower(value: Any) -> str:
    return text_of(value).lower()


def _upper(value: Any) -> str:
    return text_of(value).upper()


def _length(value: Any) -> int:
    return len(value) if isinstance(value, Mapping | list | tuple | bytes) else len(text_of(value))


def _last_segment(value: Any) -> str:
    return text_of(value).rpartition("/")[2]


def _filename(value: Any) -> str:
    name = text_of(value).replace("\\", "/").rpartition("/")[2]
    return _UNSAFE.sub("_", name).lstrip(".")[-100:] or "file"


def _first(value: Any, count: int) -> Any:
    return value[:count] if isinstance(value, list) else text_of(value)[:count]


FORMATS: dict[str, Format] = {
    "iso_s_z": _iso_s_z,
    "iso_ms_z": _iso_ms_z,
    "iso_us_z": _iso_us_z,
    "python_utc": _python_utc,
    "stamp": _stamp,
    "amz": _amz,
    "epoch_s": lambda moment: _split(moment)[0],
    "epoch_ms": _epoch_ms,
    "http_date": _http_date,
    "plain": _plain,
    "number": _number,
    "cents": _cents,
    "text": text_of,
    "json": json_text,
    "lower": _lower,
    "upper": _upper,
    "sha256": _sha256,
    "md5": _md5,
    "base64": _base64,
    "length": _length,
    "seconds": _seconds,
    "last_segment": _last_segment,
    "filename": _filename,
}

# These take a whole number after a colon: `{secret.value|first:8}`.
FORMATS_WITH_NUMBER: dict[str, Callable[[Any, int], Any]] = {"first": _first}
