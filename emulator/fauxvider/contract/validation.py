"""Input schemas: jsonschema-rs says yes or no, and its errors become ordered issues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import jsonschema_rs

from fauxvider.contract.model import Issue

__all__ = ["SchemaValidator", "check_schema"]

Path: TypeAlias = tuple[str | int, ...]

MAX_ISSUES: Final = 100
# Listing errors costs about 10 microseconds each, and a body may hold a million wrong items: a value
# with more members than this is cut before it is asked what is wrong with it.
MAX_MEMBERS: Final = 10_000
MAX_ITEMS: Final = 1_000
MAX_PATTERN: Final = 1_000

_BOUNDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "minLength": (("minLength",), ("maxLength",)),
    "maxLength": (("minLength",), ("maxLength",)),
    "minItems": (("minItems",), ("maxItems",)),
    "maxItems": (("minItems",), ("maxItems",)),
}
_NUMERIC = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))

# The order of several violations of one value, and what each of them says without naming the value.
_TEXTS: dict[str, str] = {
    "required": "is required",
    "type": "must be {limit}",
    "enum": "must be one of {limit}",
    "const": "must be {limit}",
    "minLength": "must have at least {limit} characters",
    "maxLength": "must have at most {limit} characters",
    "minimum": "must be at least {limit}",
    "exclusiveMinimum": "must be greater than {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMaximum": "must be less than {limit}",
    "multipleOf": "must be divisible by {limit}",
    "pattern": "must match {limit}",
    "format": "must be a {limit}",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "uniqueItems": "must not repeat an item",
    "contains": "must contain a fitting item",
    "minProperties": "must have at least {limit} fields",
    "maxProperties": "must have at most {limit} fields",
    "propertyNames": "is not an allowed name",
    "additionalProperties": "is not allowed",
    "unevaluatedProperties": "is not allowed",
    "not": "is not allowed",
    "falseSchema": "is not allowed",
}
_RANKS = {keyword: rank for rank, keyword in enumerate(_TEXTS)}
_LAST: Final = 1 << 30


class SchemaValidator:
    """One JSON Schema (2020-12), compiled at the first use; issues get `prefix` before their path."""

    __slots__ = ("_compiled", "_prefix", "_schema")

    def __init__(self, schema: Mapping[str, Any], *, prefix: Path = ()) -> None:
        self._schema = schema
        self._prefix = prefix
        self._compiled: jsonschema_rs.Validator | None = None

    @property
    def schema(self) -> Mapping[str, Any]:
        return self._schema

    def is_valid(self, value: Any) -> bool:
        """Say whether a JSON value fits."""
        validator = self._compiled or self._compile()
        try:
            return validator.is_valid(value)
        except ValueError:  # no JSON value at all
            return False

    def issues(self, value: Any) -> list[Issue]:
        """List at most 100 violations: missing fields first, then in the schema's own order.

        Of a value with more than 10,000 members only the beginning of each list is looked at.
        """
        validator = self._compiled or self._compile()
        asked = value if _is_small(value) else _Cut(self._schema).of(value)
        try:
            found = [issue for error in validator.iter_errors(asked) for issue in self._unfold(error, asked)]
        except ValueError as problem:  # a lone surrogate, or a number of thousands of digits: not JSON
            return (
                [] if self.is_valid(value) else [Issue(self._prefix, "type", message=f"is not JSON: {problem}"[:200])]
            )
        if not found and asked is not value and not self.is_valid(value):
            return [Issue(self._prefix, "items", message="is not valid")]
        found.sort(key=self._rank)
        return found[:MAX_ISSUES]

    def _compile(self) -> jsonschema_rs.Validator:
        self._compiled = _compiled(self._schema)
        return self._compiled

    # --- one error, one or more issues

    def _unfold(self, error: jsonschema_rs.ValidationError, value: Any) -> Iterator[Issue]:
        kind, path = error.kind, tuple(error.instance_path)
        context = getattr(kind, "context", None)
        if context is not None:
            yield from self._closest(error, [branch for branch in context if branch], value)
            return
        names: Iterable[str | int] = getattr(kind, "unexpected", ())
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
            names = (kind.property,)
        elif isinstance(kind, jsonschema_rs.ValidationErrorKind.PropertyNames):
            names = (str(kind.error.instance),)
        for name in islice(names, MAX_ISSUES):
            yield self._issue(error, (*path, name), value)
        if not names:
            yield self._issue(error, path, value)

    def _closest(
        self, error: jsonschema_rs.ValidationError, branches: list[list[jsonschema_rs.ValidationError]], value: Any
    ) -> Iterator[Issue]:
        """Give the violations of the alternative that the value was probably meant for.

        An alternative for another JSON type is out; among the others the fewest violations win.
        When all are for other types, one `type` issue lists the types.
        """
        here = error.instance_path
        meant = [branch for branch in branches if not _is_other_type(branch, here)]
        if meant:
            best = min(meant, key=len)
            for inner in best:
                yield from self._unfold(inner, value)
            return
        types = [name for branch in branches for one in branch for name in getattr(one.kind, "types", ())]
        if types:
            limit: Any = list(dict.fromkeys(types))
            yield self._make(tuple(here), "type", limit if len(limit) > 1 else limit[0], node={}, value=value)
        else:  # several alternatives of a oneOf fit
            yield self._issue(error, tuple(here), value)

    def _issue(self, error: jsonschema_rs.ValidationError, path: Path, value: Any) -> Issue:
        *way, last = error.schema_path or [""]
        node: Any = self._schema
        for step in way:
            node = _child(node, step)
        node = node if isinstance(node, Mapping) else {}
        return self._make(path, error.kind.name, node.get(last), node=node, value=value)

    def _make(self, path: Path, keyword: str, limit: Any, *, node: Mapping[str, Any], value: Any) -> Issue:
        low, high = _BOUNDS.get(keyword, _NUMERIC)
        between = " or " if keyword == "type" else ", "
        shown = between.join(map(str, limit)) if isinstance(limit, list | tuple) else str(limit)
        return Issue(
            path=(*self._prefix, *path),
            keyword=keyword,
            limit=limit,
            low=_first_of(node, low),
            high=_first_of(node, high),
            value=_value_at(value, path),
            message=_TEXTS.get(keyword, "is not valid").format(limit=shown),
        )

    # --- order

    def _rank(self, issue: Issue) -> tuple[int, tuple[int, ...], int]:
        order: list[int] = []
        node: Any = self._schema
        for step in issue.path[len(self._prefix) :]:
            place, node = self._step(node, step)
            order.append(place)
        return issue.keyword != "required", tuple(order), _RANKS.get(issue.keyword, len(_RANKS))

    def _step(self, node: Any, step: str | int) -> tuple[int, Any]:
        for candidate in self._alternatives(node, 0):
            properties = candidate.get("properties", {})
            if isinstance(step, str) and step in properties:
                return list(properties).index(step), properties[step]
            if isinstance(step, int) and isinstance(candidate.get("items"), Mapping):
                return step, candidate["items"]
        return (step if isinstance(step, int) else _LAST), {}

    def _alternatives(self, node: Any, depth: int) -> Iterator[Mapping[str, Any]]:
        if not isinstance(node, Mapping) or depth > 8:
            return
        yield node
        if isinstance(reference := node.get("$ref"), str):
            yield from self._alternatives(_resolve(self._schema, reference), depth + 1)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in node.get(keyword, ()):
                yield from self._alternatives(branch, depth + 1)


def _compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions())


def _is_other_type(branch: Sequence[jsonschema_rs.ValidationError], here: list[str | int]) -> bool:
    return any(
        isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Type) and error.instance_path == here
        for error in branch
    )


def _is_small(value: Any) -> bool:
    left, waiting = MAX_MEMBERS, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping | list | tuple):
            left -= len(one)
            if left < 0:
                return False
            waiting.extend(one.values() if isinstance(one, Mapping) else one)
    return True


class _Cut:
    """Cuts the lists of a value, and the members that the schema has no name for."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._names = _names_in(schema)
        self._left = MAX_MEMBERS

    def of(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            some = set(islice(value, self._room(len(value))))
            return {key: self.of(inner) for key, inner in value.items() if key in self._names or key in some}
        if isinstance(value, list | tuple):
            return [self.of(inner) for inner in value[: self._room(len(value))]]
        return value

    def _room(self, wanted: int) -> int:
        room = max(0, min(wanted, MAX_ITEMS, self._left))
        self._left -= room
        return room


def _names_in(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_names_in, schema))
    if not isinstance(schema, Mapping):
        return set()
    return set(schema.get("properties", ())).union(*map(_names_in, schema.values()))


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(step)
    if isinstance(node, list | tuple) and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _value_at(value: Any, path: Path) -> Any:
    for step in path:
        value = _child(value, step)
    return value


def _first_of(node: Mapping[str, Any], keywords: tuple[str, ...]) -> Any:
    return next((node[keyword] for keyword in keywords if keyword in node), None)


def _resolve(schema: Any, reference: str) -> Any:
    for step in reference.removeprefix("#").split("/")[1:]:
        schema = _child(schema, step.replace("~1", "/").replace("~0", "~"))
    return schema


# --- schemas from a contract ------------------------------------------------------------------------

_NAMED = frozenset(("properties", "patternProperties", "$defs", "dependentSchemas"))
_DATA = frozenset(("enum", "const", "default", "examples", "required", "dependentRequired"))
_REFUSED = frozenset(("$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary"))


def check_schema(schema: Any) -> str | None:
    """Say what is wrong with a contract's schema (starting with a JSON pointer), or None.

    Allowed is 2020-12 with `$ref: "#/..."` alone, linear patterns of at most 1,000 characters and
    whole numbers in multipleOf.
    """
    problem = next(_problems(schema, ""), None)
    if problem is not None or isinstance(schema, bool):
        return problem
    try:
        _compiled(schema)
    except (ValueError, jsonschema_rs.ReferencingError) as wrong:
        place = "".join(f"/{step}" for step in getattr(wrong, "instance_path", ()))
        return f"{place or '/'}: {getattr(wrong, 'message', str(wrong))}"
    return None


def _problems(schema: Any, pointer: str) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        yield f"{pointer or '/'}: a schema is a mapping"
        return
    for keyword, value in schema.items():
        at = f"{pointer}/{keyword}"
        yield from _keyword_problems(keyword, value, at)
        if keyword in _NAMED and isinstance(value, Mapping):
            for name, inner in value.items():
                yield from _problems(inner, f"{at}/{name}")
        elif keyword not in _DATA and isinstance(value, Mapping):
            yield from _problems(value, at)
        elif keyword not in _DATA and isinstance(value, list):
            for number, inner in enumerate(value):
                if isinstance(inner, Mapping):
                    yield from _problems(inner, f"{at}/{number}")


def _keyword_problems(keyword: str, value: Any, at: str) -> Iterator[str]:
    if keyword in _REFUSED:
        yield f"{at}: {keyword} is not allowed in a contract"
    elif keyword == "$ref" and not (isinstance(value, str) and value.startswith("#/")):
        yield f"{at}: a $ref stays inside its schema: '#/...'"
    elif keyword == "pattern" and isinstance(value, str) and len(value) > MAX_PATTERN:
        yield f"{at}: a pattern has at most {MAX_PATTERN} characters"
    elif keyword == "multipleOf" and (not isinstance(value, int) or isinstance(value, bool)):
        yield f"{at}: multipleOf takes a whole number"
