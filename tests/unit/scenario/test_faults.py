"""Whether a rule fits a thing: compared with an oracle that asks in the plainest way."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fauxvider.engine.faults import Thing, fits, is_met
from fauxvider.scenario.model import Nth, Predicate, When
from fauxvider.scenario.parse import read_scenario

# --- Nth

RANGES = st.tuples(st.integers(1, 12), st.none() | st.integers(0, 8)).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
)


@given(st.lists(RANGES, max_size=4), st.integers(1, 40))
def test_ranges_are_the_numbers_between(ranges: list[tuple[int, int | None]], number: int) -> None:
    members = {n for low, high in ranges for n in range(low, (41 if high is None else high + 1))}
    assert Nth(tuple(ranges)).includes(number) == (number in members)


@given(st.integers(1, 9), st.integers(1, 100))
def test_every_is_each_multiple(every: int, number: int) -> None:
    assert Nth(every=every).includes(number) == (number in range(every, 101, every))


# --- predicates

LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.1, 1.0, 2.5]) | st.sampled_from(["", "a", "ab"])
)
KEYS = st.sampled_from(["a", "b", "0"])
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
POINTERS = st.lists(KEYS, max_size=2).map(tuple)
PREDICATES = st.one_of(
    st.builds(Predicate, POINTERS, st.just("equals"), BODIES),
    st.builds(Predicate, POINTERS, st.just("matches"), st.sampled_from(["^a", "b$", "x", "."])),
    st.builds(Predicate, POINTERS, st.sampled_from(["above", "below"]), st.sampled_from([-1, 0, 0.1, 1, 2.5])),
    st.builds(Predicate, POINTERS, st.just("present"), st.booleans()),
)


def found(body: Any, pointer: tuple[str, ...]) -> Any:
    """Look a pointer up by trying."""
    for name in pointer:
        try:
            body = body[int(name)] if isinstance(body, list) else body[name]
        except (LookupError, TypeError, ValueError):
            return None
    return body


def same(actual: Any, wanted: Any) -> bool:
    """Compare as JSON: a mapping may have more keys; true is no number."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(same(actual.get(key), wanted[key]) for key in wanted)
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return json.dumps(actual) == json.dumps(wanted)
    return bool(actual == wanted)


def holds(predicate: Predicate, body: Any) -> bool:
    actual = found(body, predicate.pointer)
    number = type(actual) in (int, float)
    match predicate.kind:
        case "present":
            return predicate.value is (actual is not None)
        case "equals":
            return same(actual, predicate.value)
        case "matches":
            return type(actual) is str and bool(re.search(predicate.value, actual))
        case "above":
            return number and actual > predicate.value
        case "below":
            return number and actual < predicate.value


@given(PREDICATES, BODIES)
@example(Predicate(("a",), "equals", 1), {"a": True})
@example(Predicate(("a",), "above", 0), {"a": True})
@example(Predicate(("a", "0"), "present", True), {"a": [None]})
def test_a_predicate_holds_as_the_oracle_says(predicate: Predicate, body: Any) -> None:
    assert is_met(predicate, body) == holds(predicate, body)


@given(BODIES, POINTERS)
def test_what_stands_there_equals_itself_and_is_either_present_or_not(body: Any, pointer: tuple[str, ...]) -> None:
    assert is_met(Predicate(pointer, "equals", found(body, pointer)), body)
    assert is_met(Predicate(pointer, "present", True), body) != is_met(Predicate(pointer, "present", False), body)


@pytest.mark.parametrize("number", [0.1, 0.3, 1e-7, 5, 2**70, 12.345678901234567])
def test_a_number_of_a_scenario_equals_that_of_a_body(number: float) -> None:
    rule = {"on": "job", "when": {"input": {"/n": number}}, "do": {"moderate": True}}
    (predicate,) = read_scenario({"scenario": 1, "name": "x", "rules": [rule]}).rules[0].when.inputs
    assert is_met(predicate, json.loads(json.dumps({"n": number})))
    above = Predicate(("n",), "above", predicate.value)
    assert not is_met(above, {"n": number})


def test_a_long_text_is_looked_at_up_to_a_cap() -> None:
    assert is_met(Predicate((), "matches", "x$"), "x" * 10_000)
    assert not is_met(Predicate((), "matches", "y"), "x" * 10_000 + "y")


# --- a whole condition

NAMES = st.sampled_from(["a", "b"])
SETS = st.none() | st.frozensets(NAMES, min_size=1)
NTHS = (
    st.none()
    | st.builds(Nth, st.lists(RANGES, min_size=1, max_size=2).map(tuple))
    | st.builds(Nth, every=st.integers(1, 3))
)
MOMENTS = st.integers(0, 4)
WHENS = st.builds(
    When, provider=st.none() | NAMES, operations=SETS, does=SETS, models=SETS, events=SETS, nth=NTHS, job=NTHS,
    attempt=NTHS, inputs=st.lists(PREDICATES, max_size=1).map(tuple), since=st.none() | MOMENTS,
    until=st.none() | MOMENTS,
)  # fmt: skip
THINGS = st.builds(
    Thing, provider=NAMES, since=MOMENTS, operation=NAMES, does=NAMES, model=NAMES, job=st.integers(1, 5),
    attempt=st.integers(1, 5), events=st.lists(NAMES, max_size=2).map(tuple), body=BODIES,
)  # fmt: skip


def unmet(when: When, thing: Thing) -> list[str]:
    """Name the keys that do not hold."""
    wanted = {"operations": thing.operation, "does": thing.does, "models": thing.model}
    wrong = [key for key, name in wanted.items() if getattr(when, key) is not None and name not in getattr(when, key)]
    for key in ("job", "attempt"):
        nth = getattr(when, key)
        wrong += [key] if nth is not None and not nth.includes(getattr(thing, key)) else []
    wrong += ["provider"] if when.provider is not None and when.provider != thing.provider else []
    wrong += ["events"] if when.events is not None and not when.events & set(thing.events) else []
    wrong += ["since"] if when.since is not None and when.since > thing.since else []
    wrong += ["until"] if when.until is not None and when.until <= thing.since else []
    return wrong + [predicate.kind for predicate in when.inputs if not holds(predicate, thing.body)]


@given(WHENS, THINGS)
@example(When(), Thing("a", 0))
@example(When(since=1, until=2), Thing("a", 1))
@example(When(since=1, until=2), Thing("a", 2))
def test_a_condition_fits_as_the_oracle_says(when: When, thing: Thing) -> None:
    assert fits(when, thing) == (not unmet(when, thing))
