from __future__ import annotations

import sys
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.model import Issue, Validator
from fauxvider.contract.validation import MAX_ISSUES, MAX_MEMBERS, SchemaValidator, check_schema
from support.patience import patience

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 20},
        "width": {"type": "integer", "minimum": 256, "maximum": 1536, "multipleOf": 64},
        "strength": {"type": "number", "exclusiveMinimum": 0, "maximum": Decimal("1.5")},
        "image": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "size": {"enum": ["square", "tall"]},
        "urls": {"anyOf": [{"type": "array", "maxItems": 4, "items": {"type": "string"}}, {"type": "null"}]},
        "policy": {"$ref": "#/$defs/policy"},
        "code": {"pattern": "^[a-z]+$"},
        "kind": {"const": "flux"},
    },
    "$defs": {
        "policy": {
            "type": "object",
            "required": ["ttl"],
            "properties": {"ttl": {"type": "integer", "minimum": 1000}, "fast": {"type": "boolean"}},
            "additionalProperties": False,
        }
    },
}
GOOD = {"prompt": "a cat", "image": None}


def issues(value: Any, schema: Any = SCHEMA) -> list[Issue]:
    return SchemaValidator(schema, prefix=("input",)).issues(value)


def brief(value: Any, schema: Any = SCHEMA) -> list[tuple[str, str]]:
    return [("/".join(map(str, issue.path[1:])), issue.keyword) for issue in issues(value, schema)]


def test_it_is_the_validator_of_the_model() -> None:
    validator: Validator = SchemaValidator(SCHEMA)
    assert validator.is_valid(GOOD)
    assert validator.issues(GOOD) == []
    assert not validator.is_valid([])


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ({"prompt": ""}, [("prompt", "minLength")]),
        ({"prompt": 3}, [("prompt", "type")]),
        ({"width": 1000}, [("width", "multipleOf")]),
        ({"width": 1700}, [("width", "maximum"), ("width", "multipleOf")]),
        ({"width": "512"}, [("width", "type")]),
        ({"width": 512.0}, []),
        ({"width": Decimal(512)}, []),
        ({"strength": 0}, [("strength", "exclusiveMinimum")]),
        ({"strength": Decimal("1.5000001")}, [("strength", "maximum")]),
        ({"image": "x" * 6}, [("image", "maxLength")]),
        ({"image": 6}, [("image", "type")]),
        ({"size": "wide"}, [("size", "enum")]),
        ({"kind": "other"}, [("kind", "const")]),
        ({"code": "A"}, [("code", "pattern")]),
        ({"urls": ["a", 1, None]}, [("urls/1", "type"), ("urls/2", "type")]),
        ({"urls": ["a"] * 5}, [("urls", "maxItems")]),
        ({"policy": {}}, [("policy/ttl", "required")]),
        ({"policy": {"ttl": 1, "b": 1}}, [("policy/ttl", "minimum"), ("policy/b", "additionalProperties")]),
        ({"unknown": 1}, []),
    ],
)  # fmt: skip
def test_keywords_and_paths(extra: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    value = {**GOOD, **extra}
    assert brief(value) == wanted
    assert SchemaValidator(SCHEMA).is_valid(value) is (not wanted)


def test_missing_fields_come_first_then_the_order_of_the_schema() -> None:
    value = {"kind": 1, "size": 1, "width": "x", "policy": {"fast": 3}}
    assert brief(value) == [
        ("prompt", "required"),
        ("image", "required"),
        ("policy/ttl", "required"),
        ("width", "type"),
        ("size", "enum"),
        ("policy/fast", "type"),
        ("kind", "const"),
    ]
    assert brief(dict(reversed(value.items()))) == brief(value)


def test_an_issue_tells_limit_bounds_and_value() -> None:
    (issue,) = issues({**GOOD, "width": 1000})
    assert issue == Issue(("input", "width"), "multipleOf", 64, 256, 1536, 1000, "must be divisible by 64")
    (issue,) = issues({**GOOD, "strength": Decimal("2.50")})
    assert (issue.limit, issue.low, issue.high, issue.value) == (Decimal("1.5"), 0, Decimal("1.5"), Decimal("2.50"))
    (issue,) = issues({**GOOD, "prompt": "x" * 21})
    assert (issue.limit, issue.low, issue.high) == (20, 1, 20)
    (issue,) = issues({**GOOD, "image": 6})
    assert (issue.limit, issue.message) == (["string", "null"], "must be string or null")
    (issue,) = issues({**GOOD, "size": "x"})
    assert (issue.limit, issue.message) == (["square", "tall"], "must be one of square, tall")
    issue = issues({"prompt": "x"})[0]
    assert (issue.path, issue.value, issue.message) == (("input", "image"), None, "is required")


def test_a_body_that_is_no_object() -> None:
    (issue,) = issues("text")
    assert (issue.path, issue.keyword, issue.limit, issue.value) == (("input",), "type", "object", "text")


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1, [("", "oneOf")]),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, "a", [("", "type")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}]}, {}, [("a", "required")]),
        ({"anyOf": [{"required": ["b", "c"]}, {"required": ["a"]}]}, {}, [("a", "required")]),
        ({"anyOf": [{"type": "string"}, {"anyOf": [{"type": "array"}, {"minimum": 5}]}]}, 3, [("", "minimum")]),
        ({"not": {"type": "null"}}, None, [("", "not")]),
        ({"properties": {"a": False}}, {"a": 1}, [("a", "falseSchema")]),
        ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, [("abc", "propertyNames")]),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, [("b", "required")]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, [("b", "required")]),
        ({"unevaluatedProperties": False}, {"a": 1}, [("a", "unevaluatedProperties")]),
        ({"items": {"properties": {"a": {"type": "null"}}}}, [{}, {"a": 1}], [("1/a", "type")]),
        ({"uniqueItems": True}, [1, 1], [("", "uniqueItems")]),
        ({"contains": {"const": 1}}, [2], [("", "contains")]),
    ],
)  # fmt: skip
def test_further_keywords(schema: Any, value: Any, wanted: list[tuple[str, str]]) -> None:
    assert brief(value, schema) == wanted
    assert all(issue.message for issue in issues(value, schema))


class Explaining:
    """A compiled schema; remembers how many members the values have that it was to explain."""

    def __init__(self, compiled: Any) -> None:
        self.is_valid = compiled.is_valid
        self.asked: list[int] = []
        self._compiled = compiled

    def iter_errors(self, value: Any) -> Any:
        self.asked.append(members(value))
        return self._compiled.iter_errors(value)


def members(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(1 + members(one) for one in inner)


def explained(value: Any, schema: Any = SCHEMA) -> list[Issue]:
    """Give the issues of a value that is refused; however large it is, little of it is looked at for them."""
    validator = SchemaValidator(schema)
    assert not validator.is_valid(value)
    validator._compiled = explaining = Explaining(validator._compiled)  # type: ignore[assignment]
    found = validator.issues(value)
    (asked,) = explaining.asked
    assert asked <= MAX_MEMBERS
    assert 0 < len(found) <= MAX_ISSUES
    return found


BOMBS: dict[str, Any] = {
    "large exponent": {**GOOD, "width": Decimal("1e999999999999")},
    "small exponent": {**GOOD, "width": Decimal("1e-999999999999")},
    "infinity": {**GOOD, "width": Decimal("Infinity")},
    "digits": {**GOOD, "width": 10**6000},
    "surrogate": {**GOOD, "prompt": "\ud800", "width": 1},
    "wrong items": {**GOOD, "urls": [1] * 500_000},
    "late wrong item": {**GOOD, "urls": ["a"] * 500_000 + [1]},
    "nested lists": {**GOOD, "urls": [[[1] * 100] * 100] * 100},
    "unknown names": {**GOOD, "policy": {f"k{number}": 1 for number in range(200_000)}},
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_and_explained_by_their_beginning(name: str) -> None:
    with patience():
        explained(BOMBS[name])


def test_of_a_huge_value_the_beginning_is_explained() -> None:
    found = explained({"urls": [1] * 500_000, **{f"k{number}": 1 for number in range(20_000)}})
    assert [(issue.path, issue.keyword) for issue in found[:3]] == [
        (("prompt",), "required"),
        (("image",), "required"),
        (("urls",), "maxItems"),
    ]
    plain = {"items": {"type": "integer"}}
    (issue,) = explained([1] * 50_000 + ["a"], plain)
    assert (issue.path, issue.message) == ((), "is not valid")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["square", "flux"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(SCHEMA["properties"])), inner),
    max_leaves=8,
)


@given(JSON)
def test_the_verdict_and_the_issues_agree(value: Any) -> None:
    validator = SchemaValidator(SCHEMA)
    assert bool(validator.issues(value)) is not validator.is_valid(value)


# --- schemas


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (SCHEMA, None),
        (True, None),
        ({"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}, "$id": True}}, None),
        ({"enum": [{"$ref": "http://x"}], "default": {"$ref": 1}, "const": {"$id": 1}}, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, None),
        ({"properties": {"a": {"type": "foo"}}}, "/properties/a/type: "),
        ({"properties": {"a": {"minimum": "3"}}}, "/properties/a/minimum: "),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "/properties/a/pattern: "),
        ({"properties": {"a": {"pattern": "(a)\\1"}}}, "/properties/a/pattern: "),
        ({"pattern": "a" * 1001}, "/pattern: a pattern has at most 1000"),
        ({"multipleOf": Decimal("0.5")}, "/multipleOf: multipleOf takes a whole number"),
        ({"items": {"multipleOf": 0.5}}, "/items/multipleOf: "),
        ({"anyOf": [{}, {"$ref": "other.json"}]}, "/anyOf/1/$ref: a $ref stays inside"),
        ({"$ref": "#/$defs/none"}, "'/$defs/none' does not exist"),
        ({"properties": 3}, "/properties: "),
        ([], "/: a schema is a mapping"),
        ({"not": "x"}, "/not: "),
    ],
)
def test_check_schema(schema: Any, problem: str | None) -> None:
    found = check_schema(schema)
    if problem is None:
        assert found is None
    else:
        assert found is not None and problem in found  # noqa: PT018


PLACES = [
    "http://x/y",
    "https://x/y",
    "file:///etc/passwd",
    "ftp://x",
    "data:,{}",
    "//host/x",
    "../x",
    "#",
    "",
    "x#/y",
    3,
]


def test_nothing_outside_the_schema_is_ever_opened() -> None:
    seen: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if watching and event in ("open", "socket.connect", "socket.getaddrinfo"):
            seen.append(event)

    watching = True
    sys.addaudithook(hook)  # for the rest of the process: there is no way to remove one
    try:
        for keyword, place in product(("$ref", "$dynamicRef", "$schema", "$id"), PLACES):
            for schema in ({keyword: place}, {"properties": {"a": {"items": {keyword: place}}}}):
                found = check_schema(schema)
                assert found is not None
                assert keyword in found
    finally:
        watching = False
    assert seen == []


def test_ten_thousand_references_in_a_row_are_followed() -> None:
    chain: dict[str, Any] = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(10_000)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**chain, "a10000": {"type": "integer"}}}
    with patience():
        assert check_schema(schema) is None
        assert not SchemaValidator(schema).is_valid("x")


REDOS = ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*a){20}", "^([a-zA-Z]+)*$", "(x+x+)+y", "^(\\d+)*$"]


@pytest.mark.parametrize("pattern", REDOS)
def test_patterns_take_linear_time(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert check_schema(schema) is None
    validator = SchemaValidator(schema)
    with patience():
        validator.is_valid("a" * 100_000 + "!")
