"""What a format after a bar makes of a schema: `{job.ended|iso_ms_z}` is a date-time where `job.ended` is a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fauxvider.contract.formats import FORMATS
from fauxvider.toolkit.openapi.schemas import (
    DECIMAL_TEXT,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Schema,
    constant,
    has_null,
    nullable,
    union,
    without_null,
)

__all__ = ["formatted"]

_DATE_TIME: Schema = {"type": "string", "format": "date-time"}
_HEX: Schema = {"type": "string", "pattern": "^[0-9a-f]+$"}

# The schema of what a format gives for any value that it takes.
_GIVES: Mapping[str, Schema] = {
    "iso_s_z": _DATE_TIME, "iso_ms_z": _DATE_TIME, "iso_us_z": _DATE_TIME, "python_utc": _DATE_TIME,
    "stamp": {"type": "string", "pattern": "^[0-9_]+$"}, "amz": {"type": "string", "pattern": "^[0-9]{8}T[0-9]{6}Z$"},
    "epoch_s": INTEGER, "epoch_ms": INTEGER, "http_date": STRING, "plain": DECIMAL_TEXT, "number": NUMBER,
    "cents": INTEGER, "text": STRING, "json": STRING, "lower": STRING, "upper": STRING, "sha256": _HEX, "md5": _HEX,
    "base64": STRING, "length": {"type": "integer", "minimum": 0}, "seconds": NUMBER, "last_segment": STRING,
    "filename": {"type": "string", "minLength": 1},
}  # fmt: skip
# A value that a format cannot be applied to shows null; these take every value.
_TAKES_ALL = frozenset({"text", "json", "lower", "upper", "sha256", "md5", "base64", "last_segment", "filename"})
_NUMBERS = frozenset({"integer", "number"})


def formatted(schema: Schema | None, text: str) -> Schema | None:
    """Give the schema of a value of `schema` after the format `text` (`iso_ms_z`, `first:10`)."""
    name, _, argument = text.partition(":")
    inner = without_null(schema)
    if inner is None:
        return None if schema is None else NULL
    made = _first(inner, int(argument)) if name == "first" else _made(inner, name)
    return nullable(made) if has_null(schema) else made


def _made(schema: Schema, name: str) -> Schema:
    values = _values(schema)
    if values is not None:
        return union(constant(_applied(FORMATS[name], value)) for value in values) or {}
    gives = schema if name == "number" and schema.get("type") in _NUMBERS else _GIVES[name]
    is_sure = name in _TAKES_ALL or name == "length" or schema.get("type") in _NUMBERS
    return gives if is_sure else nullable(gives)


def _applied(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except (TypeError, ValueError, ArithmeticError):
        return None


def _first(schema: Schema, count: int) -> Schema:
    values = _values(schema)
    if values is not None:
        return union(constant(FORMATS["text"](value)[:count]) for value in values) or {}
    if schema.get("type") == "array":
        return {**schema, "maxItems": count}
    return {"type": "string", "maxLength": count} if schema else {}


def _values(schema: Schema) -> list[Any] | None:
    """List the values of a constant or an enumeration."""
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return list(found) if isinstance(found, list) else None
