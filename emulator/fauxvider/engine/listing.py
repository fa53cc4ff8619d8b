"""Lists of jobs: the filter text, the order, the pages.

The filter language is `field:value`, `field>value` (`= : > < >= <=`) or `field.EQ:'value'`, joined by
AND, OR and NOT (AND binds closer than OR); texts compare with case.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["FilterError", "cursor_text", "parse_filter", "read_cursor", "sort_key"]

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<word>AND|OR|NOT)\b
    | (?P<open>\() | (?P<close>\))
    | (?P<field>[A-Za-z_][\w]*)(?P<call>\.(?:EQ|eq|NE|ne|GT|gt|LT|lt|GE|ge|LE|le))?
      (?P<op>>=|<=|[:=><])
      (?P<value>'[^']*'|"[^"]*"|[^\s()]+)
    )""",
    re.VERBOSE,
)
_CALLS = {"eq": "=", "ne": "!=", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}
_MAX_TOKENS = 100


class FilterError(ValueError):
    """The filter text cannot be read; the message says where."""


def parse_filter(text: str) -> Test:
    """Compile a filter text to a test on a row (a job as the list shows it)."""
    tokens = _tokens(text)
    test, at = _either(tokens, 0)
    if at != len(tokens):
        raise FilterError("a part of the filter is left over")
    return test


def _tokens(text: str) -> list[re.Match[str]]:
    at, found = 0, list[re.Match[str]]()
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None or len(found) == _MAX_TOKENS:
            raise FilterError(f"cannot read the filter at character {at + 1}")
        found.append(token)
        at = token.end()
    if not found:
        raise FilterError("the filter is empty")
    return found


def _either(tokens: list[re.Match[str]], at: int) -> tuple[Test, int]:
    test, at = _both(tokens, at)
    while at < len(tokens) and tokens[at]["word"] == "OR":
        other, at = _both(tokens, at + 1)
        test = _or(test, other)
    return test, at


def _both(tokens: list[re.Match[str]], at: int) -> tuple[Test, int]:
    test, at = _one(tokens, at)
    while at < len(tokens) and tokens[at]["word"] == "AND":
        other, at = _one(tokens, at + 1)
        test = _and(test, other)
    return test, at


def _or(one: Test, other: Test) -> Test:
    return lambda row: one(row) or other(row)


def _and(one: Test, other: Test) -> Test:
    return lambda row: one(row) and other(row)


def _one(tokens: list[re.Match[str]], at: int) -> tuple[Test, int]:
    if at >= len(tokens):
        raise FilterError("the filter ends too early")
    token = tokens[at]
    if token["word"] == "NOT":
        test, at = _one(tokens, at + 1)
        return (lambda row: not test(row)), at
    if token["open"]:
        test, at = _either(tokens, at + 1)
        if at >= len(tokens) or not tokens[at]["close"]:
            raise FilterError("a bracket is not closed")
        return test, at + 1
    if not token["field"]:
        raise FilterError(f"{token[0].strip()!r} stands in the wrong place")
    return _comparison(token), at + 1


def _comparison(token: re.Match[str]) -> Test:
    name, value = token["field"], token["value"].strip("'\"")
    operator = _CALLS[token["call"][1:].lower()] if token["call"] else token["op"]

    def test(row: Row) -> bool:
        return name in row and _compare(row[name], operator, value)

    return test


def _compare(actual: Any, operator: str, wanted: str) -> bool:
    if actual is None:
        return (wanted in ("null", "None")) == (operator in (":", "="))
    one, other = _comparable(actual, wanted)
    if operator in (":", "="):
        return bool(one == other)
    if operator == "!=":
        return bool(one != other)
    return bool({">": one > other, "<": one < other, ">=": one >= other, "<=": one <= other}[operator])


def _comparable(actual: Any, wanted: str) -> tuple[Any, Any]:
    if isinstance(actual, bool):
        return str(actual).lower(), wanted.lower()
    if isinstance(actual, int | float | Decimal):
        try:
            number = Decimal(wanted)
        except InvalidOperation:
            return str(actual), wanted
        # NaN cannot be compared; the text can.
        return (str(actual), wanted) if number.is_nan() else (Decimal(str(actual)), number)
    return str(actual), wanted


def sort_key(text: str, fields: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Read ``created_at:desc,id``; give (field, is descending). Unknown fields raise FilterError."""
    keys = []
    for part in text.split(","):
        name, _, order = part.strip().partition(":")
        if (fields and name not in fields) or order not in ("", "asc", "desc"):
            raise FilterError(f"cannot sort by {part.strip()!r}")
        keys.append((name, order == "desc"))
    return keys


def cursor_text(newest: int, offset: int) -> str:
    """Name a page: jobs up to number `newest`, so that later ones do not shift it, from `offset` on."""
    return base64.urlsafe_b64encode(f"p:{newest}:{offset}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, int] | None:
    """Give (newest, offset) of a cursor that `cursor_text` made, else None."""
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    found = re.fullmatch(r"p:(\d{1,10}):(\d{1,10})", plain)
    return (int(found[1]), int(found[2])) if found else None
