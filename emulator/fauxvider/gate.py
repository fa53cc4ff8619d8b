"""The gate between bytes and values: JSON, query strings and multipart forms, read strictly and in linear time.

What two readers could read differently (a key that stands twice, a number that does not fit, half a
surrogate pair) is refused on the way in and never made on the way out.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from urllib.parse import unquote_plus

import orjson

from fauxvider.errors import FauxviderError
from fauxvider.values import Json, JsonTree

__all__ = [
    "GateError",
    "JsonRefusedError",
    "MultipartRefusedError",
    "Part",
    "dump_json",
    "parse_json",
    "parse_multipart",
    "parse_query",
]

_BLANKS = b" \t\r\n"
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
_MAX_EXPONENT = 400
_MAX_DIGITS = 100
_MAX_FIELDS = 256
_MAX_QUERY = 65_536
_MAX_DEPTH = 64
_MAX_BOUNDARY = 70
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# The library warns of each broken form on its own logger, which is the user's; the refusal says it already.
_SILENT = logging.Logger("fauxvider.gate", level=logging.CRITICAL + 1)


class GateError(FauxviderError, ValueError):
    """Bytes that the client should not have sent."""

    fault = "the client"
    exit_code = 2


class JsonRefusedError(GateError):
    """A body that is no JSON, or none that every reader reads alike.

    ``problem`` says what is wrong; ``at`` where: a position, a key or a number, may be empty.
    """

    def __init__(self, problem: str, at: str = "") -> None:
        self.problem = problem
        self.at = at
        super().__init__(f"{problem} ({at})" if at else problem)


class MultipartRefusedError(GateError):
    """A multipart form that cannot be read, or is too large."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form. ``filename`` is text to show, never a path; None when the part has none."""

    name: str
    filename: str | None
    media_type: str
    data: bytes


# --- JSON ---------------------------------------------------------------------------------------------


def parse_json(body: bytes, *, max_depth: int = _MAX_DEPTH) -> Json:
    """Read a JSON body; raises JsonRefusedError.

    Refused besides bad syntax: duplicate keys, depth over ``max_depth``, integers of more than 100 digits,
    numbers that become infinite or zero, lone surrogates, bytes that are not UTF-8, a byte order mark.
    """
    try:
        value: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise JsonRefusedError(_plain(error.msg), f"position {error.pos}") from None
    # A body that comes out as it went in has lost nothing: no key, no digit. Blanks do not matter. Only
    # others, such as those with escapes, are looked at more closely.
    if body.count(b"{") + body.count(b"[") <= max_depth:
        again = orjson.dumps(value)
        if again == body or (
            # the search for one byte is five times as fast as that for two
            (b"\\" not in body or b"\\u" not in body)
            and again.translate(None, _BLANKS) == body.translate(None, _BLANKS)
        ):
            return value
    return _examined(body, value, max_depth)


def _examined(body: bytes, value: Json, max_depth: int) -> Json:
    is_odd = _is_odd(value) if isinstance(value, float) else _walk(value, max_depth)
    # Every pair that a duplicate key pushed out took a colon along; one that is escaped is no evidence.
    if is_odd or b"\\u003" in body or orjson.dumps(value).count(b":") != body.count(b":"):
        return _read_slowly(body)
    return value


def _walk(node: Json, left: int) -> bool:
    """Say whether a number below may have lost something; raises JsonRefusedError for depth."""
    children: Iterable[Json]
    if type(node) is dict:
        children = node.values()
    elif type(node) is list:
        children = node
    else:
        return False
    if not left:
        raise JsonRefusedError("the JSON is nested too deeply")
    is_odd = False
    for child in children:
        kind = type(child)
        if kind is dict or kind is list:
            is_odd = _walk(child, left - 1) or is_odd
        elif kind is float and _is_odd(child):
            is_odd = True
    return is_odd


def _is_odd(number: Any) -> bool:
    # orjson turns integers beyond 64 bits into floats, and the smallest numbers into 0.
    return number == 0 or not _LOWEST < number < -_LOWEST


def _read_slowly(body: bytes) -> Json:
    """Read with the standard library, large integers exactly; raises JsonRefusedError if anything is wrong."""
    value: Json = json.loads(body, object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise JsonRefusedError("a key stands twice", _shown(key))
        seen.add(key)
    return dict(pairs)


def _integer(token: str) -> int:
    if len(token) > _MAX_DIGITS:
        raise JsonRefusedError(f"an integer has more than {_MAX_DIGITS} digits", _shown(token))
    return int(token)


def _float(token: str) -> float:
    mantissa = token.lower().partition("e")[0]
    if float(token) == 0 and mantissa.strip("-0."):
        raise JsonRefusedError("a number is too small", _shown(token))
    return float(token)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")


def _plain(message: str) -> str:
    return message.partition(":")[0] if message.startswith("depth") else message


def dump_json(tree: JsonTree) -> bytes:
    """Write compact JSON in the tree's own order, decimals exactly; raises ValueError for NaN and infinities.

    Half surrogate pairs become U+FFFD: no strict reader would take them.
    """
    try:
        data = orjson.dumps(tree, default=_decimal)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        data = orjson.dumps(_sanitized(tree), default=_decimal)
    # orjson writes NaN and the infinities as null.
    if b"null" in data:
        _refuse_infinite(tree)
    return data


def _decimal(value: object) -> orjson.Fragment:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    if not value.is_finite() or abs(value.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"{value} is no JSON number")
    return orjson.Fragment(format(value, "f"))


def _sanitized(tree: JsonTree) -> Any:
    """Copy a tree that orjson refuses with what it refuses written otherwise."""
    if isinstance(tree, str):
        return _SURROGATE.sub("\ufffd", tree)
    if isinstance(tree, dict):
        return {_key(key): _sanitized(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_sanitized(value) for value in tree]
    if isinstance(tree, int) and not _LOWEST <= tree <= _HIGHEST:
        return orjson.Fragment(str(tree))
    return tree


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{key!r} is no JSON key")
    return _SURROGATE.sub("\ufffd", key)


def _refuse_infinite(node: JsonTree) -> None:
    kind = type(node)
    children: Iterable[Any] = (node,)
    if kind is dict:
        children = cast("dict[str, Any]", node).values()
    elif kind is list:
        children = cast("list[Any]", node)
    for child in children:
        kind = type(child)
        if kind is dict or kind is list:
            _refuse_infinite(child)
        elif kind is float and not math.isfinite(cast("float", child)):
            raise ValueError(f"{child} is no JSON number")


# --- query strings ------------------------------------------------------------------------------------


def parse_query(query: bytes) -> dict[str, str]:
    """Read a query string; the first value of a name wins, and a name without ``=`` is empty.

    Of hostile length, the first 256 fields of the first 64 kB are read.
    """
    if not query:
        return {}
    found: dict[str, str] = {}
    for field in query[:_MAX_QUERY].decode("latin-1").split("&", _MAX_FIELDS)[:_MAX_FIELDS]:
        if field:
            name, _, value = field.partition("=")
            found.setdefault(_unquoted(name), _unquoted(value))
    return found


def _unquoted(text: str) -> str:
    if text.isascii():
        return unquote_plus(text) if "%" in text or "+" in text else text
    return unquote_plus(text.encode("latin-1").decode("utf-8", "replace"))


# --- multipart forms ----------------------------------------------------------------------------------


def parse_multipart(content_type: str, body: bytes, *, max_parts: int, max_part: int) -> list[Part]:
    """Read a multipart/form-data body; raises MultipartRefusedError. ``max_part`` is the bytes of one part."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    boundary = _boundary(content_type)
    # No part may hold the delimiter; each of its occurrences costs the parser more than a look at the whole.
    if body.count(b"\r\n--" + boundary) > max_parts + 1:
        raise MultipartRefusedError(f"the form has more than {max_parts} parts")
    form = _Form(max_parts, max_part)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.logger = _SILENT
        parser.write(body)
    except FormParserError as error:
        raise MultipartRefusedError(f"the form cannot be read: {_CONTROL.sub('?', str(error))}") from None
    if not form.is_complete:
        raise MultipartRefusedError("the form has no end")
    return form.parts


def _boundary(content_type: str) -> bytes:
    from python_multipart.multipart import parse_options_header

    try:
        kind, options = parse_options_header(content_type)
    except UnicodeEncodeError:
        raise MultipartRefusedError("the Content-Type cannot be read") from None
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise MultipartRefusedError("the body is not multipart/form-data")
    if len(boundary) > _MAX_BOUNDARY or not _BOUNDARY.fullmatch(boundary):
        raise MultipartRefusedError("the form has no boundary, or a bad one")
    return boundary


class _Form:
    """Collects what the parser calls out."""

    def __init__(self, max_parts: int, max_part: int) -> None:
        self.parts: list[Part] = []
        self.is_complete = False
        self._max_parts = max_parts
        self._max_part = max_part
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._data: list[bytes] = []
        self._size = 0

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.parts) == self._max_parts:
            raise MultipartRefusedError(f"the form has more than {self._max_parts} parts")
        self._headers, self._data, self._size = {}, [], 0

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers.setdefault(self._name.lower(), self._value)
        self._name = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._max_part:
            raise MultipartRefusedError(f"a part of the form is larger than {self._max_part} bytes")
        self._data.append(data[start:end])

    def _end(self) -> None:
        from python_multipart.multipart import parse_options_header

        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise MultipartRefusedError("a part of the form has no name")
        filename = options.get(b"filename")
        default = b"text/plain" if filename is None else b"application/octet-stream"
        media_type = parse_options_header(self._headers.get(b"content-type", default))[0]
        self.parts.append(
            Part(
                _text(options[b"name"]),
                None if filename is None else _text(filename),
                _text(media_type or default),
                b"".join(self._data),
            )
        )

    def _finish(self) -> None:
        self.is_complete = True


def _text(data: bytes) -> str:
    return _CONTROL.sub("", data.decode("utf-8", "replace"))
