"""From a template to the JSON Schema of all that it can give: the template is read, never run.

A `$case` narrows what its branches know (`job.state` is `failed` there), so that a body that differs by
state becomes one alternative a state. What cannot be told apart is a wider schema, never a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

from fauxvider.contract.formats import text_of
from fauxvider.toolkit.openapi.formats import formatted
from fauxvider.toolkit.openapi.schemas import (
    NULL,
    STRING,
    Schema,
    array,
    constant,
    has_null,
    literal,
    named,
    record,
    union,
    without_null,
)

__all__ = ["Knowledge", "Shape", "shape_of"]

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class Knowledge(Protocol):
    """What is known of the names that a template may use."""

    @property
    def views(self) -> Mapping[str, Any]: ...
    def schema(self, name: str) -> Schema | None:
        """Give the schema of a dotted name; None when there can be no value at all."""
        ...

    def narrowed(self, name: str, case: str | None, others: tuple[str, ...]) -> Self | None:
        """Give what is known where the name has the value `case` (None: none of `others`); None if it never has."""
        ...

    def bound(self, name: str, schema: Schema | None) -> Self:
        """Give what is known where a list's element is called `name`."""
        ...


class Shape(NamedTuple):
    """The schema of what a template gives (None: nothing can come), and whether its key may be left out."""

    schema: Schema | None
    is_optional: bool = False


def shape_of(tree: Any, known: Knowledge) -> Shape:
    """Give the shape of a template's values."""
    if isinstance(tree, str):
        return _text(tree, known)
    if isinstance(tree, Mapping):
        form = next((key for key in tree if isinstance(key, str) and key.startswith("$")), None)
        return _mapping(tree, known) if form is None else _FORMS[form](tree, known)
    if isinstance(tree, list | tuple):
        return Shape(_list(tree, known))
    return Shape(constant(tree))


def _mapping(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    shapes = {key: shape_of(value, known) for key, value in tree.items()}
    there = {key: shape.schema for key, shape in shapes.items() if shape.schema is not None}
    if any(shape.schema is None and not shape.is_optional for shape in shapes.values()):
        return Shape(None)
    return Shape(record(there, optional=[key for key, shape in shapes.items() if shape.is_optional]))


def _list(tree: Any, known: Knowledge) -> Schema:
    shapes = [shape_of(value, known) for value in tree]
    there = [shape for shape in shapes if shape.schema is not None]
    schema = array(union(shape.schema for shape in there)) | {"maxItems": len(there)}
    return schema | {"minItems": sum(not shape.is_optional for shape in there)}


# --- text


def _text(text: str, known: Knowledge) -> Shape:
    whole = _PIECE.fullmatch(text)
    if whole is not None and whole[1] is not None:
        return _placeholder(whole[1], known)
    if "{" not in text and "}" not in text:
        return Shape(constant(text))
    return _joined(text, known)


def _placeholder(inside: str, known: Knowledge) -> Shape:
    path, *formats = inside.split("|")
    schema = known.schema(path.removesuffix("?"))
    for one in formats:
        schema = formatted(schema, one)
    if path.endswith("?"):
        return Shape(without_null(schema), has_null(schema) or schema is None)
    return Shape(schema)


def _joined(text: str, known: Knowledge) -> Shape:
    """Text around placeholders: a constant if they all are, else a pattern as far as it can be told."""
    patterns: list[str] = []
    texts: list[str | None] = []
    is_optional, at = False, 0
    for found in _PIECE.finditer(text):
        before = text[at : found.start()]
        patterns.append(literal(before))
        texts.append(before)
        at = found.end()
        if found[1] is None:
            patterns.append(literal(found[0][0]))
            texts.append(found[0][0])
            continue
        shape = _placeholder(found[1], known)
        is_optional = is_optional or shape.is_optional
        if shape.schema is None:
            return Shape(None, shape.is_optional)
        patterns.append(_pattern(shape.schema))
        texts.append(text_of(shape.schema["const"]) if "const" in shape.schema else None)
    patterns.append(literal(text[at:]))
    texts.append(text[at:])
    if None not in texts:
        return Shape(constant("".join(map(str, texts))), is_optional)
    pattern = "".join(patterns)
    is_known = pattern.replace("[^]*", "")
    return Shape({"type": "string", "pattern": f"^{_any(pattern)}$"} if is_known else dict(STRING), is_optional)


def _any(pattern: str) -> str:
    return pattern.replace("[^]*", r"[\s\S]*")


def _pattern(schema: Schema) -> str:
    """Give the pattern of a schema's texts; `[^]*` stands for any text."""
    if "const" in schema:
        return literal(text_of(schema["const"]))
    if isinstance(schema.get("enum"), list):
        return f"({'|'.join(literal(text_of(value)) for value in schema['enum'])})"
    inner = schema.get("pattern", "")
    if schema.get("type") == "string" and inner.startswith("^") and inner.endswith("$"):
        return f"({inner[1:-1]})"
    return "-?[0-9]+" if schema.get("type") == "integer" else "[^]*"


# --- forms


def _view(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    name = tree["$view"]
    shape = shape_of(known.views[name], known)
    return shape if shape.schema is None else shape._replace(schema=_titled(name, shape.schema))


def _titled(name: str, schema: Schema) -> Schema:
    """Name what a view gives; of one that differs by state, each alternative."""
    if set(schema) == {"anyOf"}:
        return {"anyOf": [named(name, one) if one.get("type") == "object" else one for one in schema["anyOf"]]}
    return named(name, schema) if schema.get("type") == "object" else schema


def _case(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    name, cases = tree["$case"], {str(_key(key)): value for key, value in tree["$of"].items()}
    shapes = []
    for case, branch in cases.items():
        inner = known.narrowed(name, case, ())
        if inner is not None:
            shapes.append(shape_of(branch, inner))
    rest = known.narrowed(name, None, tuple(cases))
    if rest is not None:
        shapes.append(shape_of(tree["$else"], rest) if "$else" in tree else Shape(dict(NULL)))
    return Shape(union(shape.schema for shape in shapes), any(shape.is_optional for shape in shapes))


def _key(key: Any) -> str:
    return "null" if key is None else text_of(key)


def _each(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    name, *formats = tree["$each"].split("|")
    source = known.schema(name)
    for one in formats:
        source = formatted(source, one)
    lists = without_null(source)
    if lists is None:
        return Shape(array(None))
    element = lists.get("items", {}) if lists.get("type") == "array" else {}
    if lists.get("maxItems") == 0:
        return Shape(array(None))
    shape = shape_of(tree["$item"], known.bound(tree.get("$as", "item"), element))
    schema = array(shape.schema)
    kept: Schema = {key: lists[key] for key in ("minItems", "maxItems") if key in lists and not shape.is_optional}
    return Shape(schema if has_null(source) or shape.schema is None else {**schema, **kept})


def _json(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    shape = shape_of(tree["$json"], known)
    if shape.schema is None:
        return shape
    said = {"contentMediaType": "application/json", "contentSchema": shape.schema}
    return Shape({"type": "string", **said}, shape.is_optional)


def _lines(_tree: Mapping[str, Any], _known: Knowledge) -> Shape:
    return Shape({"type": "string"})


def _first(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    *earlier, last = [shape_of(option, known) for option in tree["$first"]]
    found: list[Schema | None] = []
    for shape in earlier:
        found.append(without_null(shape.schema))
        if shape.schema is not None and not shape.is_optional and not has_null(shape.schema):
            return Shape(union(found))
    return Shape(union([*found, last.schema]), last.is_optional)


def _merge(tree: Mapping[str, Any], known: Knowledge) -> Shape:
    members: dict[str, Schema] = {}
    optional: set[str] = set()
    for part in tree["$merge"]:
        schema = shape_of(part, known).schema or {}
        if schema.get("type") != "object":
            return Shape({"type": "object"})
        needed = schema.get("required", [])
        optional = {name for name in optional if name not in needed}
        optional |= {name for name in schema["properties"] if name not in needed and name not in members}
        members |= schema["properties"]
    return Shape(record(members, optional=optional))


_FORMS = {
    "$view": _view, "$case": _case, "$each": _each, "$json": _json, "$first": _first, "$merge": _merge, "$text": _lines,
}  # fmt: skip
