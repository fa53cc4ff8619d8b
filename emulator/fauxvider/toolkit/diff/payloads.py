"""Two JSON Schemas: which values did one take that the other does not? Proofs and witnesses, no guesses.

`covers` proves that nothing is lost; a witness, tried against both validators, proves that something is.
What neither settles is said to be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import jsonschema_rs

from fauxvider.toolkit.diff.candidates import candidates_of, is_valid, validator_of

__all__ = ["Loss", "losses"]

_MOST = 12  # witnesses told for one pair


@dataclass(frozen=True)
class Loss:
    """A value of the first schema that the second refuses, by which keyword of it and where in the value.

    `verdict` "unknown": neither a proof nor a witness was found; there is no value then.
    """

    verdict: Literal["witness", "unknown"]
    value: Any = None
    path: tuple[str | int, ...] = ()
    keyword: str = ""
    schema_path: tuple[str | int, ...] = ()
    message: str = ""


def losses(first: Any, second: Any) -> list[Loss]:
    """List what the first schema admits and the second does not: one witness for each rule that refuses."""
    first, second = _plain(first), _plain(second)
    if first == second or _covers(second, first) == "yes":
        return []
    found = list(_witnesses(first, second))
    if found:
        return found
    return [] if _is_nothing(first, second) else [Loss("unknown")]


def _plain(schema: Any) -> Any:
    """Take what only explains out of a schema, so that it counts for nothing."""
    if isinstance(schema, Mapping):
        left_out = ("title", "description", "examples", "default", "deprecated", "x-name", "xml", "discriminator")
        return {key: _member(key, value) for key, value in schema.items() if key not in left_out}
    return [_plain(one) for one in schema] if isinstance(schema, list) else _number(schema)


def _member(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "$defs", "dependentSchemas") and isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return json.loads(json.dumps(value, default=float)) if key in ("const", "enum") else _plain(value)


def _number(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _canonical(schema: Any) -> jsonschema_rs.CanonicalSchema:
    return jsonschema_rs.canonicalize(schema, offline=True)


def _covers(wide: Any, narrow: Any) -> str:
    try:
        return str(_canonical(wide).covers(_canonical(narrow)))
    except (ValueError, jsonschema_rs.ValidationError):
        return "unknown"


def _difference(first: Any, second: Any) -> jsonschema_rs.CanonicalSchema | None:
    try:
        return _canonical(first).subtract(_canonical(second))
    except (ValueError, jsonschema_rs.ValidationError):
        return None


def _is_nothing(first: Any, second: Any) -> bool:
    left = _difference(first, second)
    return left is not None and str(left.satisfiability()) == "no"


def _witnesses(first: Any, second: Any) -> Iterator[Loss]:
    takes, refuses = validator_of(first), validator_of(second)
    left = _difference(first, second)
    edges = candidates_of(left.to_json_schema()) if left is not None else []
    seen: set[Any] = set()
    for value in [*edges, *candidates_of(first, second)]:
        if len(seen) >= _MOST:
            return
        if not is_valid(takes, value) or is_valid(refuses, value):
            continue
        error = _closest(next(iter(refuses.iter_errors(value))))
        key = (tuple(error.instance_path), error.kind.name)
        if key not in seen:
            seen.add(key)
            path, schema_path = tuple(error.instance_path), tuple(error.schema_path)
            yield Loss("witness", value, path, error.kind.name, schema_path, error.message[:200])


def _closest(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError:
    """Go into the alternative that the value came closest to: the one that refuses it furthest inside."""
    context = getattr(error.kind, "context", None)
    branches = [branch for branch in context or () if branch]
    if not branches:
        return error
    deepest = max(branches, key=lambda branch: (max(len(one.instance_path) for one in branch), -len(branch)))
    inner = max(deepest, key=lambda one: len(one.instance_path))
    is_deeper = len(inner.instance_path) > len(error.instance_path) or len(deepest) == 1
    return _closest(inner) if is_deeper else error
