"""Bodies of answers, guessed from their schemas: which field shows the id, the state, the picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fauxvider.toolkit.starter.schemas import Document

__all__ = ["answer_body", "document_words", "error_body", "words_in"]

_MAX_DEPTH = 4
_MAX_PARTS = 20
_JOB = {"$case": "job.state", "$of": {"succeeded": "{job.result}"}}
_SHOWN: tuple[tuple[str, Any], ...] = (
    (r"(job|task|run|request|prediction|generation)?_?id|uuid", "{job.id}"),
    (r"status(_?code)?|state", "{job.status}"),
    (r"output|outputs|result|results|images|data|urls", _JOB),
    (r"(image_?)?url|image|picture", {"$case": "job.state", "$of": {"succeeded": "{output.url}"}}),
    (r"error|error_?message|failure(_?reason)?", "{job.failure.message?}"),
    (r"(created|submitted|queued|accepted)(_?(at|on|time))?|creation_?time", "{job.accepted|iso_ms_z}"),
    (r"started(_?(at|on))?|start_?time", "{job.started?|iso_ms_z}"),
    (r"(completed|finished|ended|updated)(_?(at|on))?|end_?time", "{job.ended?|iso_ms_z}"),
    (r"model(_?(id|name))?", "{model.name}"),
    (r"seed", "{job.seed}"),
    (r"cost|price", "{job.cost?|number}"),
    (r"progress", "{job.progress?}"),
)
_ERROR = (
    (r"message|detail|details|error|error_?message|description|reason|title", "{error.message}"),
    (r"status(_?code)?|code|http_?status", "{error.status}"),
)
_EMPTY: Mapping[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


def answer_body(document: Document, schema: Any) -> Any:
    """Give a template for an answer about a job; what is not known shows an empty value of its type."""
    body = _filled(document, schema, _SHOWN, 0)
    if isinstance(body, dict) and not _shows_id(body):
        body = {"id": "{job.id}", **body}
    return body if isinstance(body, dict) and body else {"id": "{job.id}", "status": "{job.status}", "output": _JOB}


def _shows_id(body: Any) -> bool:
    if isinstance(body, dict):
        return any(map(_shows_id, body.values()))
    return bool(body == "{job.id}")


def error_body(document: Document, schema: Any) -> Any:
    """Give a template for a refusal; None when its schema tells of no text."""
    body = _filled(document, schema, _ERROR, 0)
    return body if isinstance(body, dict) and "{error.message}" in str(body) else None


def _filled(document: Document, schema: Any, table: tuple[tuple[str, Any], ...], depth: int) -> Any:
    properties = document.properties(schema) if depth < _MAX_DEPTH else {}
    made: dict[str, Any] = {}
    for name, one in properties.items():
        node = document.resolved(one)
        kind = node.get("type")
        kind = next((str(part) for part in kind if part != "null"), "") if isinstance(kind, list) else str(kind or "")
        shown = next((value for pattern, value in table if re.fullmatch(pattern, name, re.IGNORECASE)), None)
        is_object = kind == "object" or (not kind and bool(document.properties(one)))
        if is_object and name in ("input", "inputs") and table is _SHOWN:
            made[name] = "{input}"
        elif is_object and not (shown == _JOB and not document.properties(one)):
            inner = _filled(document, one, table, depth + 1)
            made[name] = inner
        elif shown is not None and _fits(shown, kind):
            made[name] = shown
        else:
            made[name] = _constant(document, node, kind)
    return made


def _fits(shown: Any, kind: str) -> bool:
    """Whether a template's value is of a type; what may be anything fits all."""
    if shown in ("{job.seed}", "{error.status}", "{job.progress?}", "{job.cost?|number}"):
        return kind in ("", "integer", "number")
    return kind in ("", "array") if shown == _JOB else kind in ("", "string")


def _constant(document: Document, node: Mapping[str, Any], kind: str) -> Any:
    words = words_in(document, node)
    if words:
        return _literal(words[0])
    value = node.get("example", node.get("default"))
    if isinstance(value, str) and kind in ("", "string") and len(value) <= 200:
        return _literal(value)
    if isinstance(value, bool) and kind == "boolean":
        return value
    if isinstance(value, int) and not isinstance(value, bool) and kind in ("integer", "number") and abs(value) < 10**15:
        return value
    return _EMPTY.get(kind)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def document_words(document: Document, schema: Any, name: str, depth: int = 0) -> list[str]:
    """Give the words of a field in all variants of a schema."""
    node = document.resolved(schema)
    own = node.get("properties")
    found = words_in(document, own.get(name)) if isinstance(own, Mapping) else []
    for key in ("allOf", "anyOf", "oneOf") if depth < _MAX_DEPTH else ():
        parts = node.get(key)
        for part in parts[:_MAX_PARTS] if isinstance(parts, list) else ():
            found += document_words(document, part, name, depth + 1)
    return list(dict.fromkeys(found))


def words_in(document: Document, schema: Any) -> list[str]:
    """Give the words that a schema lists; [] when it lists none, or others than words."""
    node = document.resolved(schema)
    values = node.get("enum")
    if not isinstance(values, list) and "const" in node:
        values = [node["const"]]
    words = [one for one in values if isinstance(one, str) and 0 < len(one) <= 120] if isinstance(values, list) else []
    return list(dict.fromkeys(words)) if isinstance(values, list) and len(words) == len(values) else []
