"""Schemas of an OpenAPI document, with references resolved and everything that could run away bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Document", "input_schema"]

_MAX_NODES = 20_000
_MAX_DEPTH = 12
_MAX_PROPERTIES = 100
_MAX_TEXT = 500
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TYPES = frozenset(["string", "integer", "number", "boolean", "object", "array", "null"])
_LOOKS = re.compile(r"\(\?[=!<]|\\[pPkgZAzbBGKRXC1-9]|\[\[:|\(\?P")


class Document:
    """A document whose references are followed inside it alone; `notes` says what was left out."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree
        self._left = _MAX_NODES
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 20:
            self.notes.append(text)

    def at(self, *path: str) -> Mapping[str, Any]:
        node: Any = self._tree
        for step in path:
            node = node.get(step) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else {}

    def list_at(self, *path: str) -> list[Any]:
        node = self.at(*path[:-1]).get(path[-1])
        return node if isinstance(node, list) else []

    def resolved(self, node: Any) -> Mapping[str, Any]:
        """Follow references; {} for what is no mapping, leads nowhere, elsewhere, or in a circle."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(node, Mapping):
                return {}
            target = node.get("$ref")
            if not isinstance(target, str):
                return node
            node = self._target(target)
        self.note("a reference that leads in a circle")
        return {}

    def _target(self, target: str) -> Any:
        if not target.startswith("#/"):
            self.note(f"the reference {target[:80]}: only those inside the document are followed")
            return {}
        node: Any = self._tree
        for part in target[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                node = node.get(name) if isinstance(node, Mapping) else None
        if node is None:
            self.note(f"the reference {target[:80]}: it leads nowhere")
        return node

    def json_schema(self, raw: Any) -> Any:
        """Give the schema of a body's JSON form; None when it has none."""
        content = self.resolved(raw).get("content")
        for name, media in (content if isinstance(content, Mapping) else {}).items():
            is_json = re.fullmatch(r"application/([\w.-]+\+)?json|\*/\*", str(name).partition(";")[0].strip())
            if is_json and isinstance(media, Mapping) and media.get("schema") is not None:
                return media["schema"]
        return None

    def properties(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """Give the properties of a schema, those of its parts (`allOf`) among them."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            self.note("schemas beyond a depth or a number that a person would read")
            return {}
        node = self.resolved(schema)
        found: dict[str, Any] = {}
        for part in _parts(node, "allOf") or _parts(node, "anyOf")[:1] or _parts(node, "oneOf")[:1]:
            found |= self.properties(part, depth + 1)
        own = node.get("properties")
        for name, one in (own if isinstance(own, Mapping) else {}).items():
            if len(found) < _MAX_PROPERTIES:
                found[str(name)] = one
        return found

    def required(self, schema: Any, depth: int = 0) -> list[str]:
        node = self.resolved(schema)
        found = [str(name) for name in _parts(node, "required") if isinstance(name, str)]
        if depth < _MAX_DEPTH:
            for part in _parts(node, "allOf"):
                found += self.required(part, depth + 1)
        return list(dict.fromkeys(found))

    def plain(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """Give a schema as the contract language takes it: no references, no dialect of OpenAPI's own."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            self.note("schemas beyond a depth or a number that a person would read")
            return {}
        node = self.resolved(schema)
        made = _bounds(node)
        kinds = _types(node)
        if kinds:
            made["type"] = kinds[0] if len(kinds) == 1 else kinds
        values = _parts(node, "enum")
        if values and len(values) <= _MAX_PROPERTIES and all(_is_scalar(one) for one in values):
            made["enum"] = list(dict.fromkeys(values))
        if _is_scalar(node.get("default")) and node.get("default") is not None:
            made["default"] = node["default"]
        if isinstance(node.get("items"), Mapping):
            made["items"] = self.plain(node["items"], depth + 1)
        if properties := self.properties(node, depth):
            made["properties"] = {name: self.plain(one, depth + 1) for name, one in properties.items()}
            made["required"] = [name for name in self.required(node) if name in properties]
        return {key: value for key, value in made.items() if value != []}


def _parts(node: Mapping[str, Any], name: str) -> list[Any]:
    value = node.get(name)
    return value if isinstance(value, list) else []


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and abs(value) < 1e15)


def _types(node: Mapping[str, Any]) -> list[str]:
    kind = node.get("type")
    kinds = [one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, str) and one in _TYPES]
    return [*kinds, "null"] if kinds and node.get("nullable") is True and "null" not in kinds else kinds


def _bounds(node: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in _NUMBERS:
        value = node.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
            made[name] = value
    for name in ("Minimum", "Maximum"):  # 3.0: a flag beside the bound
        if node.get(f"exclusive{name}") is True and name.lower() in made:
            made[f"exclusive{name}"] = made.pop(name.lower())
    for name in _COUNTS:
        value = node.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            made[name] = value
    step = node.get("multipleOf")
    if isinstance(step, int) and not isinstance(step, bool) and 0 < step < 10**9:
        made["multipleOf"] = step
    pattern = node.get("pattern")
    if isinstance(pattern, str) and len(pattern) < _MAX_TEXT and not _LOOKS.search(pattern) and _compiles(pattern):
        made["pattern"] = pattern
    return made


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def input_schema(document: Document, schema: Any, *, leave: str = "") -> dict[str, Any]:
    """Give the schema of a model's input: that of the body, without the field that names the model."""
    plain = document.plain(schema)
    properties = {name: one for name, one in plain.get("properties", {}).items() if name != leave}
    required = [name for name in plain.get("required", []) if name in properties]
    return {"type": "object", **({"required": required} if required else {}), "properties": properties}
