"""From a filled template to bytes: JSON, text or XML, with their headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from fauxvider.contract.model import Answer, ErrorFace, Template
from fauxvider.contract.templates import text_of
from fauxvider.gate import dump_json
from fauxvider.service.wire import Reply

__all__ = ["error_reply", "header_pairs", "reply", "xml_text"]

_JSON = (b"content-type", b"application/json")
_BAD_IN_HEADER = str.maketrans("", "", "\r\n\0")
_BAD_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not even as references


def reply(
    answer: Answer,
    scope: Mapping[str, Any],
    *,
    operation: str = "",
    job: str = "",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> Reply:
    """Encode an answer. JSON unless the contract says text; no body at all without a template."""
    headers: list[tuple[bytes, bytes]] = []
    body = b""
    if answer.body is not None and answer.is_text:
        body = text_of(answer.body(scope)).encode("utf-8", "replace")
        headers.append((b"content-type", b"text/plain"))
    elif answer.body is not None:
        body = dump_json(answer.body(scope))
        headers.append(_JSON)
    if answer.headers:
        headers = _over(headers, header_pairs(answer.headers, scope))
    headers.extend(more)
    return Reply(answer.status, headers, body, operation, job)


def error_reply(face: ErrorFace, scope: dict[str, Any], *, more: Iterable[tuple[bytes, bytes]] = ()) -> Reply:
    """Encode a refusal: its values first, then the envelope around them."""
    envelope = face.envelope
    scope["error"] = {"status": face.status}
    values = {name: value(scope) for name, value in face.values.items()}
    scope["error"] = {"status": face.status, **values}
    tree = envelope.body(scope)
    if envelope.root:
        body = xml_text(envelope.root, tree).encode("utf-8", "replace")
    elif envelope.is_text:
        body = text_of(tree).encode("utf-8", "replace")
    else:
        body = dump_json(tree)
    headers = [(b"content-type", envelope.content_type.encode("latin-1"))]
    headers = _over(headers, header_pairs(face.headers, scope))
    return Reply(face.status, [*headers, *more], body, cause=face.cause)


def header_pairs(headers: Iterable[tuple[str, Template]], scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Fill header templates; a null one is left out, and no value can break out of its line."""
    pairs = []
    for name, template in headers:
        value = template(scope)
        if value is not None:
            text = text_of(value).translate(_BAD_IN_HEADER)
            pairs.append((name.lower().encode("latin-1"), text.encode("latin-1", "replace")))
    return pairs


def _over(headers: list[tuple[bytes, bytes]], further: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {name for name, _ in further}
    return [pair for pair in headers if pair[0] not in named] + further


def xml_text(root: str, tree: Any) -> str:
    """Write a tree as XML: mappings become elements, lists repeat theirs."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(root, tree)}'


def _element(name: str, tree: Any) -> str:
    if isinstance(tree, Mapping):
        inner = "".join(_elements(key, value) for key, value in tree.items())
    else:
        inner = "" if tree is None else escape(_BAD_IN_XML.sub("\ufffd", text_of(tree)))
    return f"<{name}>{inner}</{name}>"


def _elements(name: str, tree: Any) -> str:
    if isinstance(tree, list):
        return "".join(_element(name, item) for item in tree)
    return _element(name, tree)
