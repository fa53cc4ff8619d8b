"""JSON Schema to values: what is drawn fits, what is broken breaks one rule; both validators are asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import pytest_fauxvider
from fauxvider import UsageError, load_contract
from fauxvider.contract.strict import pointer_text
from fauxvider.contract.validation import SchemaValidator
from fauxvider_contracts import provider_names
from pytest_fauxvider.strategies import from_schema, from_schema_broken, rules_of
from pytest_fauxvider.strategies.automaton import texts
from pytest_fauxvider.strategies.scalars import FORMATS
from pytest_fauxvider.strategies.schema import plain_json
from support.acme import ACME

SIDE = {"type": "integer", "default": 1024, "minimum": 256, "maximum": 1536, "multipleOf": 64}
HAND_MADE: dict[str, Any] = {
    "true": True,
    "types": {"type": ["string", "null", "boolean"]},
    "enum": {"enum": [1, "a", None, 2.5, [1], {"a": 1}]},
    "const": {"const": {"a": [1]}},
    "side": SIDE,
    "open ends": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "share": {"type": "number", "minimum": 0, "maximum": 1, "not": {"const": 1}},
    "two multiples": {"allOf": [{"type": "number", "minimum": 0, "multipleOf": 2}, {"maximum": 10, "multipleOf": 3}]},
    "no multiple": {"type": "integer", "not": {"multipleOf": 64}},
    "huge": {"type": "integer", "minimum": 2**60},
    "text": {"type": "string", "minLength": 2, "maxLength": 2000},
    "size": {"type": "string", "pattern": r"^[1-9][0-9]{1,3}\*[1-9][0-9]{1,3}$"},
    "two patterns": {"type": "string", "pattern": "^x", "allOf": [{"pattern": "y$"}], "minLength": 5, "maxLength": 6},
    "no pattern": {"type": "string", "not": {"pattern": "^https?://"}, "maxLength": 9},
    "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
    "long list": {"type": "array", "items": SIDE, "minItems": 100},
    "distinct": {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 2, "uniqueItems": True},
    "distinct numbers": {"type": "array", "items": {"type": "number"}, "uniqueItems": True},
    "tuple": {"type": "array", "prefixItems": [SIDE, {"type": "string"}], "items": False, "minItems": 1},
    "tuple and more": {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "boolean"}, "minItems": 3},
    "contains": {"type": "array", "items": {"type": "string"}, "contains": {"const": "a"}, "maxItems": 4},
    "few of them": {"type": "array", "contains": {"type": "null"}, "minContains": 2, "maxContains": 3},
    "object": {"type": "object", "required": ["a"], "properties": {"a": SIDE, "b": {"type": "string"}}},
    "closed": {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
    "counted": {"type": "object", "minProperties": 3, "maxProperties": 4, "properties": {"a": True, "b": SIDE}},
    "patterned": {"type": "object", "patternProperties": {"^x": SIDE}, "additionalProperties": {"type": "null"}},
    "named": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$", "maxLength": 4}, "minProperties": 1},
    "all at once": {
        "type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer"}}, "minProperties": 1,
        "patternProperties": {"^x": {"type": "boolean"}}, "propertyNames": {"maxLength": 4},
    },
    "undeclared": {"type": "object", "required": ["x1", "y"], "patternProperties": {"^x": SIDE}},
    "depends": {"type": "object", "properties": {"a": True, "b": True}, "dependentRequired": {"a": ["b"]}},
    "any of": {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": SIDE}},
    "one of": {"oneOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 5}]},
    "one of texts": {"oneOf": [{"type": "string", "minLength": 3}, {"type": "string", "pattern": "^a"}]},
    "one of objects": {"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]},
    "if": {"type": "object", "if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
    "ref": {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"], "$defs": {"x": SIDE}},
    "ref and more": {"$ref": "#/$defs/x", "maximum": 512, "$defs": {"x": SIDE}},
    "tree": {"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {"next": {"$ref": "#/$defs/t"}}, "additionalProperties": False}}},
    "bush": {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}},
    "not text": {"not": {"type": "string"}},
}  # fmt: skip
# Nothing can be made to break these and fit nothing else.
UNBREAKABLE = {"true"}
# What is reported here stands inside the keyword, or beside it.
LOOSE = ("oneOf", "anyOf", "not", "if", "contains", "minContains", "maxContains", "propertyNames", "dependentRequired")


def _schemas_of_contracts() -> Iterator[Any]:
    seen = set[str]()
    for source in (*provider_names(), ACME):
        for operation in load_contract(source).operations.values():
            for model, validator in operation.validators.items():
                assert isinstance(validator, SchemaValidator)
                schema = plain_json(validator.schema)
                if (text := json.dumps(schema, sort_keys=True)) not in seen:
                    seen.add(text)
                    yield pytest.param(schema, id=f"{Path(source).stem}-{operation.name}-{model}")


CONTRACTS = list(_schemas_of_contracts())


def _both(schema: Any) -> tuple[Any, Any]:
    return jsonschema.Draft202012Validator(schema), jsonschema_rs.Draft202012Validator(schema)


def _check_valid(schema: Any, examples: int) -> None:
    python, rust = _both(schema)

    @settings(max_examples=examples, database=None)
    @given(from_schema(schema), from_schema(schema, extras=False))
    def check(value: Any, lean: Any) -> None:
        for one in (value, lean):
            assert python.is_valid(one), list(python.iter_errors(one))
            assert rust.is_valid(one)
            json.dumps(one, allow_nan=False).encode()

    check()


def _check_broken(schema: Any, examples: int) -> set[str]:
    found = rules_of(schema)
    for rule, broken in found.items():
        settings(max_examples=examples, database=None)(
            given(from_schema(broken, extras=False))(_breaks(schema, rule))
        )()
    return {rule.keyword for rule in found}


def _breaks(schema: Any, rule: Any) -> Any:
    python, rust = _both(schema)

    def check(value: Any) -> None:
        errors = list(python.iter_errors(value))
        assert errors
        assert not rust.is_valid(value)
        if rule.keyword in LOOSE or "$ref" in json.dumps(schema):
            return
        pointer = rule.pointer.rpartition("/")[0] if rule.name else rule.pointer
        told = [pointer_text(error.schema_path) for error in (*errors, *rust.iter_errors(value))]
        assert [one for one in told if one != pointer and not one.startswith(f"{pointer}/")] == []

    return check


@pytest.mark.parametrize("name", HAND_MADE)
def test_values_fit_under_both_validators(name: str) -> None:
    _check_valid(HAND_MADE[name], 60)


@pytest.mark.parametrize("schema", CONTRACTS)
def test_values_fit_the_contracts(schema: Any) -> None:
    _check_valid(schema, 15)


@pytest.mark.parametrize("name", HAND_MADE)
def test_broken_values_break_the_rule_that_they_name(name: str) -> None:
    assert bool(_check_broken(HAND_MADE[name], 15)) is (name not in UNBREAKABLE)


@pytest.mark.parametrize("schema", CONTRACTS)
def test_every_rule_of_the_contracts_can_be_broken(schema: Any) -> None:
    broken = _check_broken(schema, 2)
    assert broken >= set(_keywords(schema)) - {"default", "description", "examples"}


def _keywords(schema: Any) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword == "properties":
            for inner in value.values():
                yield from _keywords(inner)
        elif keyword == "items":
            yield from _keywords(value)
        elif keyword != "additionalProperties" or value is not True:
            yield keyword


@given(from_schema_broken(HAND_MADE["object"]))
def test_a_broken_value_says_what_it_breaks(broken: Any) -> None:
    errors = list(_both(HAND_MADE["object"])[0].iter_errors(broken.value))
    assert [error.validator for error in errors] == [broken.rule.keyword]
    assert str(broken.rule).startswith(broken.rule.keyword)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=20)
def test_texts_have_their_format(name: str, data: st.DataObject) -> None:
    schema = {"type": "string", "format": name}
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(data.draw(from_schema(schema)))


# --- patterns

PATTERNS = [
    "^a{2,4}$", "a|b", "^(ab|c)+$", "^[^a-c]{3}$", r"^\d+\.\d{2}$", r"^\w+@\w+$", r"\s", "^$", "", "x?y*z+",
    r"^(?:[A-Z]{2}|q)-[\dA-F]{1,3}$", r"^\x41\u0042[\]\-\\]$", r"^[à-ü]+$", "^a|b$", r"^(?<year>\d{4})$", ".", r"^\D\S\W$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
@settings(max_examples=40)
def test_texts_match_their_pattern_in_every_engine(pattern: str, data: st.DataObject) -> None:
    schema = {"type": "string", "pattern": pattern, "maxLength": 12}
    text = data.draw(from_schema(schema))
    python = re.compile(pattern.replace("(?<year>", "(?P<year>"))
    assert python.search(text)
    assert jsonschema_rs.Draft202012Validator(schema, pattern_options=jsonschema_rs.RegexOptions()).is_valid(text)
    if pattern not in ("", "."):
        other = data.draw(from_schema({"type": "string", "not": {"pattern": pattern}, "maxLength": 12}))
        assert not python.search(other)


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?<!a)b", r"\bword", r"(a)\1", r"\p{L}", "a{2000}", "(", "*a", "[b-a]", "a{x}", "^*"]
)
def test_a_pattern_that_no_text_can_be_made_for_is_told_of(pattern: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        texts((pattern,), (), 0, None)


def test_lengths_are_those_that_there_are_texts_of() -> None:
    assert texts(("^(ab)+$",), ("^abab$",), 1, 9).lengths == [2, 6, 8]
    assert texts(("^a{500}$",), (), 0, None).lengths == [500]
    assert texts(("^a$",), ("a",), 0, None).lengths == []


# --- what cannot be made


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "integer", "minimum": 1, "maximum": 63, "multipleOf": 64},
    ],
)
def test_a_schema_that_nothing_fits_is_told_of(schema: Any) -> None:
    with pytest.raises(UsageError, match="no value fits"):
        from_schema(schema)


def test_what_goes_beyond_the_strategies_is_told_of() -> None:
    for schema in (
        {"type": "array", "prefixItems": [SIDE], "uniqueItems": True},
        {"not": HAND_MADE["tree"], "$defs": HAND_MADE["tree"]["$defs"]},
    ):
        with pytest.raises(UsageError, match=r"no (lists|values) can be made"):
            from_schema(schema)


# --- shrinking, ends, losses


def test_examples_shrink() -> None:
    side = {"type": "object", "properties": {"w": SIDE, "h": SIDE}, "required": ["w"]}
    assert find(from_schema(side), lambda value: value["w"] > 1000) == {"w": 1024}
    assert find(from_schema(HAND_MADE["size"]), lambda text: len(text) > 6) in ("100*100", "1000*10", "10*1000")
    assert find(from_schema(HAND_MADE["list"]), lambda _: True) == [""]
    assert find(from_schema({"type": "string", "maxLength": 2000}), lambda text: text != "") == "0"
    assert find(from_schema({"type": "number", "minimum": 0, "maximum": 10}), lambda number: number > 5) == 6
    assert find(from_schema(HAND_MADE["object"], extras=False), lambda _: True) == {"a": 256}


def test_the_ends_of_a_range_come_often() -> None:
    seen: Counter[Any] = Counter()

    @settings(max_examples=400, database=None, phases=[Phase.generate])
    @given(from_schema(SIDE), from_schema({"type": "string", "maxLength": 300}))
    def look(side: int, text: str) -> None:
        seen[side] += 1
        seen[len(text)] += 1

    look()
    assert min(seen[256], seen[1536], seen[300]) > 15
    assert len([side for side in range(256, 1537, 64) if seen[side]]) > 18


def test_nothing_is_drawn_to_be_thrown_away() -> None:
    folder = Path(pytest_fauxvider.__file__).parent / "strategies"
    sources = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    assert len(sources) > 10
    wrong = re.compile(r"\.filter\(|\bassume\(|\breject\(")
    assert [name for name, source in sources.items() if wrong.search(source)] == []


@pytest.mark.parametrize("name", sorted(set(HAND_MADE) - {"bush", "tree"}))
def test_hypothesis_loses_none(name: str) -> None:
    drawn = 0

    @settings(max_examples=50, database=None, phases=[Phase.generate], suppress_health_check=list[HealthCheck]())
    @given(from_schema(HAND_MADE[name]))
    def count(_: Any) -> None:
        nonlocal drawn
        drawn += 1

    with Statuses() as statuses:
        count()
    assert statuses["invalid"] <= 2, statuses  # a repeated key of a dictionary is drawn again by Hypothesis itself
    assert drawn >= min(50, statuses["valid"])


class Statuses:
    """Counts how Hypothesis's test cases ended, from its own statistics."""

    def __enter__(self) -> Counter[str]:
        from hypothesis.statistics import collector

        self.found: Counter[str] = Counter()
        self._context = collector.with_value(self._take)
        self._context.__enter__()
        return self.found

    def _take(self, stats: dict[str, Any]) -> None:
        for case in stats["generate-phase"]["test-cases"]:
            self.found[case["status"]] += 1

    def __exit__(self, *args: object) -> None:
        self._context.__exit__(*args)
