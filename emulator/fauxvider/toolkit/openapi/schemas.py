"""Small algebra of JSON Schemas as the export uses them: unions, looking up members, values as schemas. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import orjson

__all__ = [
    "ANYTHING",
    "DECIMAL_TEXT",
    "INTEGER",
    "NAME",
    "NULL",
    "NUMBER",
    "STRING",
    "Schema",
    "array",
    "constant",
    "has_null",
    "key_of",
    "literal",
    "member",
    "named",
    "nullable",
    "or_null",
    "record",
    "shape_of_value",
    "union",
    "without_null",
]  # fmt: skip

Schema: TypeAlias = dict[str, Any]

ANYTHING: Schema = {}
NULL: Schema = {"type": "null"}
STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
DECIMAL_TEXT: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
NAME = "x-name"  # the name under which a schema moves into the document's components
_TYPES = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (Decimal, "number"))
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}/]")


def literal(text: str) -> str:
    """Give a pattern that matches just this text."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def named(name: str, schema: Schema) -> Schema:
    return {**schema, NAME: name} if schema else schema


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return "array" if isinstance(value, Sequence) else "object"


def constant(value: Any) -> Schema:
    """Give the schema of just this value; objects and lists keep their shape."""
    if isinstance(value, Mapping):
        return record({key: constant(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        items = [constant(inner) for inner in value]
        return array(union(items)) | {"minItems": len(items), "maxItems": len(items)}
    return dict(NULL) if value is None else {"type": type_of(value), "const": value}


def shape_of_value(value: Any) -> Schema:
    """Give a schema of values like this one: the same members and types."""
    if isinstance(value, Mapping):
        return record({key: shape_of_value(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return array(union([shape_of_value(inner) for inner in value]))
    return {"type": type_of(value)}


def record(members: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
    """Give the schema of an object with just these members."""
    needed = [name for name in members if name not in set(optional)]
    schema: Schema = {"type": "object", "properties": dict(members), "additionalProperties": False}
    return schema | ({"required": needed} if needed else {})


def array(items: Schema | None) -> Schema:
    """Give the schema of a list; None: of an empty one."""
    return {"type": "array", "maxItems": 0} if items is None else {"type": "array", "items": items}


def union(schemas: Iterable[Schema | None]) -> Schema | None:
    """Give what any of them admits; None (nothing at all) when there is none."""
    branches: dict[bytes, Schema] = {}
    for schema in schemas:
        for one in _branches(schema):
            branches.setdefault(key_of(one), one)
    found = list(branches.values())
    if any(not one for one in found):
        return {}
    found = _with_enums(_without_covered(found))
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    return _with_null(found) or {"anyOf": found}


def key_of(schema: Any) -> bytes:
    """Give a text that equal schemas share."""
    return orjson.dumps(schema, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _branches(schema: Schema | None) -> Iterator[Schema]:
    if schema is None:
        return
    if set(schema) == {"anyOf"}:
        for one in schema["anyOf"]:
            yield from _branches(one)
    elif isinstance(schema.get("type"), list) and NAME not in schema:
        for name in schema["type"]:
            yield NULL if name == "null" else {**schema, "type": name}
    elif isinstance(schema.get("enum"), list) and set(schema) <= {"enum", "type"}:
        for value in schema["enum"]:
            yield constant(value)
    else:
        yield schema


def _without_covered(found: list[Schema]) -> list[Schema]:
    """Leave out what a plain type beside it admits anyway."""
    plain = {one["type"] for one in found if set(one) == {"type"}}
    if "number" in plain:
        plain.add("integer")
        found = [one for one in found if one != INTEGER]
    return [one for one in found if set(one) == {"type"} or one.get("type") not in plain or NAME in one]


def _with_enums(found: list[Schema]) -> list[Schema]:
    """Join constants of one type into one enumeration."""
    out: list[Schema] = []
    for one in found:
        mate = next((at for at, other in enumerate(out) if _is_listable(one) and _joinable(one, other)), None)
        if mate is None:
            out.append(one)
        else:
            known = out[mate].get("enum", [out[mate].get("const")])
            out[mate] = {"type": one["type"], "enum": [*known, one["const"]]}
    return out


def _is_listable(schema: Schema) -> bool:
    return set(schema) == {"type", "const"} and schema["type"] != "boolean"


def _joinable(one: Schema, other: Schema) -> bool:
    return one["type"] == other.get("type") and (set(other) == {"type", "enum"} or _is_listable(other))


def _with_null(found: list[Schema]) -> Schema | None:
    """Write `string or null` as one schema with two types."""
    others = [one for one in found if one != NULL]
    if len(others) == len(found) or len(others) != 1:
        return None
    (other,) = others
    is_plain = isinstance(other.get("type"), str) and not {"enum", "const", NAME} & set(other)
    return {**other, "type": [other["type"], "null"]} if is_plain else None


def nullable(schema: Schema | None) -> Schema:
    return union([schema, NULL]) or {}


def or_null(schema: Schema | None) -> Schema:
    """Give null where there can be no value: a look-up that finds nothing shows null."""
    return NULL if schema is None else schema


def without_null(schema: Schema | None) -> Schema | None:
    """Give what is left without null; None if that is nothing. `{}` stays: it says nothing."""
    if not schema:
        return schema
    if set(schema) == {"anyOf"} or isinstance(schema.get("type"), list):
        return union(one for one in _branches(schema) if one.get("type") != "null")
    return None if schema.get("type") == "null" else schema


def has_null(schema: Schema | None) -> bool:
    return schema == {} or any(one.get("type") == "null" for one in _branches(schema))


def member(schema: Schema | None, path: Sequence[str]) -> Schema:
    """Give the schema of what stands at a path of names below a value, as a template looks it up."""
    if schema is None:
        return NULL
    if not path or not schema:
        return schema
    found = union(member(_child(one, path[0]), path[1:]) for one in _branches(schema))
    return NULL if found is None else found


def _child(schema: Schema, name: str) -> Schema:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        known = schema.get("properties", {}).get(name)
        if known is None:
            return NULL if schema.get("additionalProperties") is False else ANYTHING
        if known is True:
            return ANYTHING
        return known if name in schema.get("required", ()) else nullable(known)
    if kind == "array":
        return _item(schema, int(name)) if name.isdecimal() else NULL
    return ANYTHING if kind is None else NULL


def _item(schema: Schema, at: int) -> Schema:
    first = schema.get("prefixItems", [])
    if at < len(first):
        return first[at] if at < schema.get("minItems", 0) else nullable(first[at])
    items = schema.get("items", {})
    return NULL if items is False or at >= schema.get("maxItems", at + 1) else nullable(items)
