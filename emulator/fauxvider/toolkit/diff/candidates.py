"""Values at the edges of a JSON Schema: where two schemas differ, one of them usually shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

__all__ = ["candidates_of", "is_valid", "validator_of"]

_MAX_DEPTH = 8
_MOST = 400  # values tried for one pair of schemas
_TEXTS = (
    "a", "", "https://example.org/a.png", "ftp://example.org/a.png", "data:image/png;base64,AA==", "1024*1024",
    "image/png", "1:1", "2026-11-20T09:15:30Z", "00000000-0000-4000-8000-000000000000",
    "00000000-0000-7000-8000-000000000000", "12", "0.5", "x" * 40,
)  # fmt: skip
_OTHERS: tuple[Any, ...] = (None, True, 7, 0.5, "a", [], {})
_CLASS = re.compile(r"\[(\^?)([^\]]+)\](?:\{(\d+)(?:,\d*)?\}|([+*?]))?")
_SPECIAL = re.compile(r"\\(.)")


def validator_of(schema: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())


def is_valid(validator: jsonschema_rs.Validator, value: Any) -> bool:
    try:
        return validator.is_valid(value)
    except ValueError:
        return False


def candidates_of(*schemas: Any) -> list[Any]:
    """List values, fitting or not, that lie at the edges of any of these schemas."""
    found: list[Any] = []
    for schema in schemas:
        others = [other for other in schemas if other is not schema]
        for number, value in enumerate(_values(schema, others, 0)):
            found.append(value)
            if number >= _MOST:
                break
    return found


def _values(schema: Any, others: list[Any], depth: int) -> Iterator[Any]:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        yield from _OTHERS
        return
    if "const" in schema:
        yield schema["const"]
    yield from schema.get("enum", ())
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, ()):
            inner = {key: value for key, value in schema.items() if key != keyword} | dict(branch)
            yield from _values(inner, others, depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from _of_kind(kind, schema, others, depth)
    yield from _OTHERS[:3]


def _of_kind(kind: str, schema: Mapping[str, Any], others: list[Any], depth: int) -> Iterator[Any]:
    if kind == "object":
        yield from _objects(schema, others, depth)
    elif kind == "array":
        yield from _arrays(schema, others, depth)
    elif kind == "string":
        yield from _strings([schema, *(one for one in others if isinstance(one, Mapping))])
    elif kind in ("integer", "number"):
        yield from _numbers([schema, *(one for one in others if isinstance(one, Mapping))])
    else:
        yield from {"boolean": (True, False), "null": (None,)}.get(kind, ())


def _objects(schema: Mapping[str, Any], others: list[Any], depth: int) -> Iterator[Any]:
    """One fitting object, and changes of one member at a time."""
    properties = schema.get("properties", {})
    required = [name for name in schema.get("required", ()) if name in properties]
    base = {name: _fitting(properties[name], depth) for name in required}
    yield base
    full = {name: _fitting(inner, depth) for name, inner in properties.items()}
    names = dict.fromkeys([*properties, *(name for one in others for name in _properties(one))])
    for name in names:
        inner = [_properties(one)[name] for one in others if name in _properties(one)]
        for value in _values(properties.get(name, {}), inner, depth + 1):
            yield {**base, name: value}
        for one in inner:
            for value in _values(one, [properties.get(name, {})], depth + 1):
                yield {**base, name: value}
        yield {key: value for key, value in base.items() if key != name}
    yield full
    yield {**base, "x-unknown-member": 1}
    yield from ({**base, name: full[name]} for name in full)


def _properties(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _fitting(schema: Any, depth: int) -> Any:
    """Give a value that fits, if one is found; null else."""
    if depth > _MAX_DEPTH:
        return None
    try:
        validator = validator_of(schema)
    except (ValueError, TypeError):
        return None
    for number, value in enumerate(_values(schema, [], depth + 1)):
        if is_valid(validator, value):
            return value
        if number > _MOST:
            break
    return None


def _arrays(schema: Mapping[str, Any], others: list[Any], depth: int) -> Iterator[Any]:
    items = schema.get("items", {})
    if schema.get("prefixItems"):
        yield [_fitting(one, depth) for one in schema["prefixItems"]]
    one = _fitting(items, depth) if items is not False else None
    bounds = [
        other.get(key) for other in [schema, *others] if isinstance(other, Mapping) for key in ("minItems", "maxItems")
    ]
    sizes = {0, 1, 2, *(size + more for size in bounds if isinstance(size, int) for more in (-1, 0, 1))}
    yield from ([one] * size for size in sorted(sizes) if 0 <= size <= 64)
    inner = [other["items"] for other in others if isinstance(other, Mapping) and "items" in other]
    least = schema.get("minItems", 1)
    for value in _values(items, inner, depth + 1):
        yield [value] + [one] * (least - 1)


def _numbers(schemas: list[Mapping[str, Any]]) -> Iterator[Any]:
    edges: dict[Any, None] = {0: None, 1: None}
    for schema in schemas:
        step = schema.get("multipleOf", 1)
        for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default", "const"):
            edge = schema.get(key)
            if isinstance(edge, int | float) and not isinstance(edge, bool):
                edges |= dict.fromkeys([edge, edge + step, edge - step, edge + 1, edge - 1, edge + 0.5])
        if step != 1:
            edges |= dict.fromkeys([step, 2 * step, step + 1])
    yield from edges
    yield from (0.5, -1, 10**6)


def _strings(schemas: list[Mapping[str, Any]]) -> Iterator[str]:
    for schema in schemas:
        if "const" in schema:
            yield str(schema["const"])
        for key in ("minLength", "maxLength"):
            size = schema.get(key)
            if isinstance(size, int) and size < 100_000:
                yield from ("x" * one for one in (size - 1, size, size + 1) if one >= 0)
                yield "https://example.org/".ljust(size + 1, "a")
        inner = schema.get("not")
        for pattern in (schema.get("pattern"), inner.get("pattern") if isinstance(inner, Mapping) else None):
            if isinstance(pattern, str):
                yield from _of_pattern(pattern)
    yield from _TEXTS


def _of_pattern(pattern: str) -> Iterator[str]:
    """Guess texts that match a pattern of the plain kind: literals, classes with a count, alternatives."""
    plain = pattern.removeprefix("^").removesuffix("$")
    for branch in re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", plain).replace("(", "").replace(")", "").split("|"):
        text = _CLASS.sub(_from_class, branch)
        text = re.sub(r"\\?.\?", lambda found: "" if not found[0].startswith("\\") else found[0][1], text)
        text = _SPECIAL.sub(lambda found: found[1], text)
        yield text
        yield text + "a"


def _from_class(found: re.Match[str]) -> str:
    negated, inside, count, more = found.groups()
    if negated:
        return "~"
    first = inside[0] if inside[0] != "\\" else inside[:2][-1]
    return first * (int(count) if count else 0 if more == "*" else 1)
