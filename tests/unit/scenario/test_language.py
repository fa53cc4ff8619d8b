"""The language of scenarios, drawn at random: reading, writing and the published schema agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

import fauxvider_contracts
from fauxvider.contract.model import Contract
from fauxvider.contract.parse import load_contract
from fauxvider.errors import ContractError, Place
from fauxvider.scenario.conditions import CONDITIONS
from fauxvider.scenario.faults import COMPANIONS, FAULTS
from fauxvider.scenario.known import KINDS
from fauxvider.scenario.model import Stage
from fauxvider.scenario.parse import read_scenario, scenario_text
from support.acme import ACME

SCHEMA = json.loads(fauxvider_contracts.schema_text("scenario-1"))


@cache
def acme() -> Mapping[str, Contract]:
    return {"acme": load_contract(ACME)}


@cache
def shape() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(SCHEMA)


# --- the whole language

SPANS = st.sampled_from(["250ms", "10s", "7d 1s", 0, 3, 1.5])
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
NUMBERS = st.integers() | st.decimals(-1000, 1000, places=3) | st.floats(-1e20, 1e20).filter(lambda x: abs(x) > 1e-20)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
YES = st.just(True)
SHARES = st.sampled_from([0, 0.5, Decimal("0.25")])
COUNTS = st.integers(1, 1000)
HEADERS = st.dictionaries(st.sampled_from(["Retry-After", "x-a", "Server"]), st.sampled_from(["", "a b", "é", 5]))
ANSWERS = st.fixed_dictionaries({"status": st.sampled_from([200, 429, 599])}, optional={"headers": HEADERS}).flatmap(
    lambda head: (
        st.just(head) | JSON.map(lambda body: {**head, "body": body}) | WORDS.map(lambda text: {**head, "text": text})
    )
)
DRAWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "request": {
        "refuse": st.sampled_from(["rate", "funds", "param_enum"]), "answer": ANSWERS, "slow": SPANS, "drip": SPANS,
        "lose": st.sampled_from(["reset", "truncate", "hang", "close", "html_522"]) | ANSWERS,
        "garble": st.sampled_from(["json", "encoding", "length"]), "garbage": YES, "half_close": YES,
    },
    "job": {
        "stuck": st.just("IN_QUEUE"), "slow": st.sampled_from([10, 0.5, "3s"]), "fail": st.just("handler_error"),
        "cancel": SPANS, "moderate": YES, "time_out": SPANS, "hidden": SPANS, "gone": SPANS,
        "lose_worker": st.fixed_dictionaries({"after": SPANS, "ends": st.sampled_from(["succeeded", "no_input"])}),
        "words": st.fixed_dictionaries({"COMPLETED": WORDS}),
        "extra": st.fixed_dictionaries({"word": WORDS, "after": st.just("IN_QUEUE"), "lasts": SPANS}),
        "flicker": st.fixed_dictionaries({"word": st.just("IN_QUEUE"), "after": SPANS, "lasts": SPANS}),
    },
    "output": {
        "late": SPANS, "dies": SPANS, "content_type": st.sampled_from(["text/html", "é"]),
        "truncate": SHARES, "short": SHARES, "resize": st.lists(st.integers(1, 16_383), min_size=2, max_size=2),
        "corrupt": YES, "empty_url": YES, "black": YES, "no_range": YES, "reset": YES,
    },
    "delivery": {"lose": YES, "duplicate": COUNTS, "delay": SPANS, "early": YES, "hold": COUNTS, "replay": SPANS},
    "attempt": {
        "tamper": st.just("body"), "sign": st.sampled_from(["wrong", "stale", "rotated", "missing"]),
        "reserialise": YES, "drip": SPANS, "lose": YES, "answer": st.integers(200, 599), "reset_after": YES,
    },
    "account": {
        "balance": st.sampled_from(["0", "-1.50", 4, 0.25]), "reading": st.just({"edit.cost": "flat"}),
        "quota": st.fixed_dictionaries({"limit": st.just("run"), "count": st.integers(0, 9)}),
    },
}  # fmt: skip
RANGES = st.sampled_from([1, "2", "2-4", "3-"])
NTHS = RANGES | st.lists(RANGES, min_size=1, max_size=3) | st.fixed_dictionaries({"every": COUNTS})
POINTERS = st.sampled_from(["", "/a", "/a~1b/0", "/~0"])
NOT_TREES = JSON.filter(lambda value: not isinstance(value, dict))
TESTS = st.fixed_dictionaries(
    {"present": st.booleans()},
    optional={"equals": JSON, "matches": st.sampled_from(["^a", "[0-9]+"]), "above": NUMBERS, "below": NUMBERS},
)
WHEN: dict[str, st.SearchStrategy[Any]] = {
    "provider": st.just("acme"), "operation": st.sampled_from(["run", ["run"]]),
    "does": st.sampled_from(["submit", ["file", "read"]]),
    "model": st.sampled_from(["dev", ["dev", "edit"]]), "nth": NTHS, "job": NTHS, "attempt": NTHS,
    "event": st.sampled_from(["failed", ["run.completed"]]),
    "input": st.dictionaries(POINTERS, NOT_TREES | TESTS, min_size=1),
    "since": st.sampled_from([0, "1s"]), "until": st.sampled_from(["2s", "1d"]),
}  # fmt: skip


def rules_of(stage: str) -> st.SearchStrategy[dict[str, Any]]:
    conditions = st.fixed_dictionaries({}, optional={key: WHEN[key] for key, on in CONDITIONS.items() if stage in on})
    faults = st.one_of([value.map(lambda drawn, name=name: {name: drawn}) for name, value in DRAWN[stage].items()])
    beside = st.fixed_dictionaries({}, optional={"retry_after": SPANS})
    dos = st.builds(lambda do, more: {**do, **more} if "refuse" in do else do, faults, beside)
    return st.fixed_dictionaries(
        {"on": st.just(stage), "do": dos}, optional={"when": conditions, "times": COUNTS, "note": WORDS}
    )


SCENARIOS = st.fixed_dictionaries(
    {
        "scenario": st.just(1), "name": st.just("x"),
        "rules": st.lists(st.sampled_from(get_args(Stage)).flatmap(rules_of), max_size=4),
    },
    optional={
        "about": WORDS, "source": WORDS, "provider": st.just("acme"),
        "world": st.fixed_dictionaries(
            {}, optional={"seed": COUNTS, "now": JSON, "readings": st.just({"edit.cost": "flat"})}
        ),
    },
)  # fmt: skip


# --- what agrees with it


def test_every_fault_is_drawn_published_and_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    sections = {part.split("`")[0]: part for part in page.split("\n`on: ")[1:]}
    assert tuple(FAULTS) == tuple(COMPANIONS) == get_args(Stage)
    for stage, faults in FAULTS.items():
        published = SCHEMA["$defs"][f"{stage}_fault"]
        beside = {name for names in COMPANIONS[stage].values() for name in names}
        assert set(DRAWN[stage]) == set(faults)
        assert set(published["properties"]) == {*faults, *beside}
        assert {one["required"][0] for one in published["oneOf"]} == set(faults)
        assert [name for name in faults if f"| `{name}:" not in sections[stage]] == []


def test_conditions_and_kinds_are_published() -> None:
    when = SCHEMA["$defs"]["rule"]["properties"]["when"]["properties"]
    kinds = json.loads(fauxvider_contracts.schema_text())["$defs"]["operation"]["properties"]["kind"]["enum"]
    assert set(when) == set(CONDITIONS) == set(WHEN)
    assert tuple(SCHEMA["$defs"]["kind"]["enum"]) == KINDS == (*kinds, "file", "unknown")


def test_the_examples_of_the_schema_are_good() -> None:
    for scenario in SCHEMA["examples"]:
        read_scenario(scenario, contracts=acme())
    for rule in SCHEMA["$defs"]["rule"]["examples"]:
        read_scenario({"scenario": 1, "name": "x", "rules": [rule]}, contracts=acme())
    for stage in FAULTS:
        for do in SCHEMA["$defs"][f"{stage}_fault"]["examples"]:
            read_scenario({"scenario": 1, "name": "x", "rules": [{"on": stage, "do": do}]}, contracts=acme())


@given(SCENARIOS)
def test_what_is_read_can_be_written_down_again(tree: dict[str, Any]) -> None:
    scenario = read_scenario(tree, contracts=acme())
    text = scenario_text(scenario)
    assert read_scenario(text, contracts=acme()) == scenario
    assert read_scenario(scenario.source, contracts=acme()) == scenario
    assert scenario_text(read_scenario(text)) == text
    assert shape().is_valid(scenario.source)


@given(SCENARIOS.filter(lambda tree: tree["rules"]), st.data())
def test_what_is_read_has_the_published_shape(tree: dict[str, Any], data: st.DataObject) -> None:
    """Spoil one thing: whoever refuses, the reader is never the more lenient one, and errors have a place."""
    rule = data.draw(st.sampled_from(tree["rules"]))
    holder = data.draw(st.sampled_from([rule, *(rule[key] for key in ("do", "when") if rule.get(key))]))
    key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = data.draw(JSON | st.sampled_from(["\u0661s", "1_0", " 1s ", "1e3"]))
    try:
        scenario = read_scenario(tree)
    except ContractError as error:
        place = error.place
    else:
        place = Place("", 0, 0, "/rules/")
        assert shape().is_valid(scenario.source)
    assert place is not None
    assert place.pointer.startswith("/rules/")
