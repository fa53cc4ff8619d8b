"""The smallest value that a JSON Schema admits, as an example where no documented one is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

__all__ = ["sample_of"]

_MAX_DEPTH = 24


def sample_of(schema: Any, schemas: Mapping[str, Any], *, at: Sequence[str] = ()) -> Any:
    """Give a value of a schema: what is required, with defaults, first choices and least bounds.

    `schemas`: the components that references lead to; `at`: names of members, one in another, that shall be there
    though the schema can do without. Patterns and `not` are not looked at.
    """
    value = _sample(schema, schemas, 0)
    if at and isinstance(value, dict):
        inner = _followed(_followed(schema, schemas).get("properties", {}).get(at[0]), schemas)
        if at[0] not in value or at[1:]:
            value[at[0]] = sample_of(inner, schemas, at=at[1:])
    return value


def _followed(schema: Any, schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            break
        schema = schemas.get(schema["$ref"].rpartition("/")[2])
    return schema if isinstance(schema, Mapping) else {}


def _sample(schema: Any, schemas: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _sample(schemas.get(schema["$ref"].rpartition("/")[2]), schemas, depth + 1)
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if schema.get("enum"):
        return schema["enum"][0]
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword) and "properties" not in schema:
            return _sample(schema[keyword][0], schemas, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, schemas, depth)


def _of_kind(kind: str, schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _sample(properties.get(name, {}), schemas, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_sample(schema.get("items", {}), schemas, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _least(schema)
    return False if kind == "boolean" else None


def _text(schema: Mapping[str, Any]) -> str:
    text = "a lighthouse at dusk"
    text = text[: schema.get("maxLength", len(text))]
    return text.ljust(schema.get("minLength", 0), ".")


def _least(schema: Mapping[str, Any]) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
    step = schema.get("multipleOf", 1)
    value = -(-Decimal(str(low)) // Decimal(str(step))) * Decimal(str(step)) if low else Decimal(0)
    return int(value) if value == value.to_integral_value() else float(value)
