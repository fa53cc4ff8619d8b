"""The documented cases' own language (docs/fixtures.md): how expected JSON matches, how a body is built."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fauxvider.gate import dump_json
from fauxvider.toolkit.verify.wants import decoded, same, shown

__all__ = ["Difference", "body_of", "differences", "readings_of"]

Difference = tuple[str, str, str]  # where, what was wanted, what came
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, Decimal),
    "integer": (int,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}
_BOUNDARY = "frontier"


def differences(wanted: Any, got: Any, at: str = "") -> Iterator[Difference]:
    """Match as a subset: listed keys must match, lists element by element; `$...` stand for what may vary."""
    if isinstance(wanted, Mapping):
        special = next((key for key in wanted if key.startswith("$")), None)
        if special is not None:
            yield from _special(special, wanted[special], got, at)
        elif not isinstance(got, Mapping):
            yield at or "/", "an object", shown(got)
        else:
            yield from _fields(wanted, got, at)
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            yield at or "/", f"{len(wanted)} items", shown(got)
            return
        for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from differences(one, other, f"{at}/{index}")
    elif not same(wanted, got):
        yield at or "/", shown(wanted), shown(got)


def _fields(wanted: Mapping[str, Any], got: Mapping[str, Any], at: str) -> Iterator[Difference]:
    for key, value in wanted.items():
        if isinstance(value, Mapping) and "$absent" in value:
            if key in got:
                yield f"{at}/{key}", "no such field", shown(got[key])
        elif key not in got:
            yield f"{at}/{key}", "a field", "no such field"
        else:
            yield from differences(value, got[key], f"{at}/{key}")


def _special(kind: str, value: Any, got: Any, at: str) -> Iterator[Difference]:
    if kind == "$all":
        for one in value:
            yield from differences(one, got, at)
    elif kind == "$json":
        tree, problem = decoded(got.encode()) if isinstance(got, str) else (None, "no text")
        yield from ([(at or "/", "JSON in a string", problem)] if problem else differences(value, tree, f"{at}#"))
    elif not _fits(kind, value, got):
        yield at or "/", f"{kind} {shown(value)}", shown(got)


def _fits(kind: str, value: Any, got: Any) -> bool:
    if kind == "$any":
        return True
    if kind == "$not":
        return next(differences(value, got), None) is not None
    if kind == "$matches":
        return isinstance(got, str) and re.search(value, got) is not None
    if kind == "$type":
        return isinstance(got, _TYPES[value]) and (value == "boolean" or not isinstance(got, bool))
    if kind == "$keys":
        return isinstance(got, dict) and list(got) == value
    return kind == "$length" and isinstance(got, str | list | dict) and len(got) == value


def body_of(request: Mapping[str, Any]) -> tuple[bytes, str]:
    """Build a request's body; give it with the content type that goes with it, "" for none."""
    if "json" in request:
        return dump_json(request["json"]), "application/json"
    if "text" in request:
        return request["text"].encode(), ""
    if "bytes_base64" in request:
        return b64decode(request["bytes_base64"]), ""
    if "fill" in request:
        fill = request["fill"]
        head, tail = fill.get("prefix", "").encode(), fill.get("suffix", "").encode()
        return head + fill["byte"].encode() * (int(fill["total"]) - len(head) - len(tail)) + tail, ""
    if "multipart" in request:
        return _multipart(request["multipart"]), f"multipart/form-data; boundary={_BOUNDARY}"
    return b"", ""


def readings_of(world: Mapping[str, Any], provider: str) -> Mapping[str, str]:
    """Give the readings that a case's world names, by reading or by provider and reading."""
    given: Mapping[str, Any] = world.get("readings", {})
    return given[provider] if isinstance(given.get(provider), Mapping) else given


def _multipart(parts: Any) -> bytes:
    out = b""
    for part in parts:
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{part["name"]}"'
        head += f'; filename="{part["filename"]}"\r\n' if "filename" in part else "\r\n"
        head += f"Content-Type: {part['media_type']}\r\n" if "media_type" in part else ""
        out += head.encode() + b"\r\n" + b64decode(part.get("bytes_base64", "")) + b"\r\n"
    return out + f"--{_BOUNDARY}--\r\n".encode()
