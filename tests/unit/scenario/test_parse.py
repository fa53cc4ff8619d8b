"""What a scenario becomes, the one line that is said about a wrong one, and that it can be written down again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

import fauxvider_contracts
from fauxvider.cli.check import check
from fauxvider.contract.model import Contract
from fauxvider.contract.parse import load_contract
from fauxvider.contract.strict import load_text
from fauxvider.errors import ContractError, UsageError
from fauxvider.scenario.model import NO_SCENARIO, Nth, Predicate, Rule, Scenario
from fauxvider.scenario.parse import read_scenario, scenario_text
from support.acme import ACME, ACME_TEXT

HEAD = "scenario: 1\nname: x\nprovider: acme\nrules:\n  - "
WRONG = {one["about"]: one for one in load_text((Path(__file__).parent / "wrong_scenarios.yaml").read_text(), file="w")}
SCHEMA = json.loads(fauxvider_contracts.schema_text("scenario-1"))


@cache
def acme() -> Mapping[str, Contract]:
    return {"acme": load_contract(ACME)}


@cache
def shape() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(SCHEMA)


def text_of(wrong: Mapping[str, Any]) -> str:
    return wrong["text"] if "text" in wrong else f"{HEAD}{wrong['rule']}\n"


def rule_of(text: str) -> Rule:
    (rule,) = read_scenario(f"{HEAD}{text}\n", contracts=acme()).rules
    return rule


def fault_of(stage: str, text: str) -> Any:
    return rule_of(f"{{on: {stage}, do: {text}}}").do.value


# --- one wrong thing, one line


@pytest.mark.parametrize("about", WRONG)
def test_one_wrong_thing_gives_one_located_error(about: str, tmp_path: Path) -> None:
    wrong, file = WRONG[about], tmp_path / "wrong.yaml"
    file.write_text(text_of(wrong), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        read_scenario(file, contracts=acme())
    error, place = caught.value, caught.value.place
    assert place is not None
    assert place.file == str(file)
    assert place.pointer == ("/rules/0" if "rule" in wrong else "") + wrong["pointer"]
    assert wrong["problem"] in error.problem
    assert wrong.get("allowed", "") in error.allowed
    assert text_of(wrong).splitlines()[place.line - 1][place.column - 1 :].startswith(wrong["at"])


@pytest.mark.parametrize("about", [about for about, one in WRONG.items() if "rule" in one])
def test_a_mapping_is_refused_as_its_file_is(about: str) -> None:
    tree = load_text(text_of(WRONG[about]), file="x")
    with pytest.raises(ContractError) as caught:
        read_scenario(tree, contracts=acme())
    assert caught.value.problem.startswith(WRONG[about]["problem"]) or WRONG[about]["problem"] in caught.value.problem
    assert caught.value.place is not None
    assert caught.value.place.pointer == "/rules/0" + WRONG[about]["pointer"]
    assert caught.value.place.line == 0


@pytest.mark.parametrize("about", [about for about, one in WRONG.items() if one.get("shape")])
def test_the_published_schema_refuses_it_too(about: str) -> None:
    assert not shape().is_valid(load_text(text_of(WRONG[about]), file="x"))


def test_a_bad_rule_refuses_the_file_whole() -> None:
    good = "{on: request, do: {lose: reset}}\n"
    with pytest.raises(ContractError, match=r"<text>:7:20: /rules/2/do/vanish: there is no fault"):
        read_scenario(f"{HEAD}{good}  - {good}  - {{on: job, do: {{vanish: true}}}}\n")


def test_without_contracts_names_are_not_looked_up() -> None:
    rule = "{on: job, when: {provider: any, model: any}, do: {fail: any}}"
    assert read_scenario(f"scenario: 1\nname: x\nrules: [{rule}]\n").rules[0].do.value == "any"


def test_a_name_is_looked_up_at_the_provider_of_its_rule() -> None:
    contracts = {**acme(), **{name: load_contract(name) for name in fauxvider_contracts.provider_names()}}
    other = fauxvider_contracts.provider_names()[0]
    rule = {"on": "job", "do": {"stuck": "IN_QUEUE"}, "when": {"model": "dev"}}
    scenario = {"scenario": 1, "name": "x", "rules": [rule]}
    assert read_scenario(scenario, contracts=contracts).rules[0].do.value == "IN_QUEUE"
    rule["when"] = {"model": "dev", "provider": "acme"}
    assert read_scenario(scenario, contracts=contracts).rules[0].when.provider == "acme"
    rule["when"] = {"model": "dev", "provider": other}
    with pytest.raises(ContractError, match="there is no model 'dev'"):
        read_scenario(scenario, contracts=contracts)


# --- what it becomes


def test_the_head_of_a_scenario() -> None:
    scenario = read_scenario(
        "scenario: 1\nname: x\nabout: a\nsource: s\nprovider: acme\n"
        "world: {clock: manual, seed: 7, limits: {factor: 0.5}}\n"
        "rules:\n- {on: request, do: {lose: reset}, times: 2, note: n}\n- {on: job, do: {moderate: true}}\n"
    )
    assert (scenario.name, scenario.about, scenario.origin, scenario.provider) == ("x", "a", "s", "acme")
    assert scenario.world == {"clock": "manual", "seed": 7, "limits": {"factor": Decimal("0.5")}}
    assert [(rule.number, rule.on, rule.times, rule.note) for rule in scenario.rules] == [
        (1, "request", 2, "n"),
        (2, "job", None, ""),
    ]
    assert type(scenario.source) is dict


FORMS = [
    ("request", "{refuse: rate, retry_after: 2s}", "rate"),
    ("request", "{slow: 1.5}", 1500),
    ("request", "{lose: hang}", "hang"),
    ("request", "{lose: {status: 502, text: Bad}}",
     {"status": 502, "headers": {"content-type": "text/plain; charset=utf-8"}, "text": "Bad"}),
    ("request", "{answer: {status: 503, headers: {A: 2}, body: {b: 0.10}}}",
     {"status": 503, "headers": {"a": "2", "content-type": "application/json"}, "body": {"b": Decimal("0.10")}}),
    ("request", "{answer: {status: 204}}", {"status": 204, "headers": {}}),
    ("request", "{half_close: true}", True),
    ("job", "{slow: 10}", {"factor": Decimal(10)}),
    ("job", "{slow: 0.5}", {"factor": Decimal("0.5")}),
    ("job", "{slow: 10s}", 10_000),
    ("job", "{lose_worker: {after: 1s, ends: succeeded}}", {"after": 1000, "ends": "succeeded"}),
    ("job", "{lose_worker: {after: 1s, ends: no_input}}", {"after": 1000, "ends": "no_input"}),
    ("job", "{words: {COMPLETED: DONE}}", {"COMPLETED": "DONE"}),
    ("job", "{extra: {word: W, after: IN_QUEUE, lasts: 2s}}", {"word": "W", "after": "IN_QUEUE", "lasts": 2000}),
    ("job", "{flicker: {word: IN_QUEUE, after: 0s, lasts: 2s}}", {"word": "IN_QUEUE", "after": 0, "lasts": 2000}),
    ("output", "{truncate: 0.5}", Decimal("0.5")),
    ("output", "{resize: [512, 64]}", (512, 64)),
    ("account", "{balance: '0'}", Decimal(0)),
    ("account", "{quota: {limit: run, count: 2}}", {"limit": "run", "count": 2}),
    ("account", "{reading: {edit.cost: per_mp}}", {"edit.cost": "per_mp"}),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "text", "value"), FORMS)
def test_arguments_of_faults_are_normalised(stage: str, text: str, value: Any) -> None:
    assert fault_of(stage, text) == value


def test_a_gateways_page_has_a_name() -> None:
    value = fault_of("request", "{lose: html_522}")
    assert value["status"] == 522
    assert value["headers"] == {"content-type": "text/html"}
    assert value["text"].startswith("<html>")
    value["headers"].clear()  # its own copy
    assert fault_of("request", "{lose: html_522}")["headers"]


def test_what_stands_beside_a_fault() -> None:
    assert rule_of("{on: request, do: {refuse: rate, retry_after: 2s}}").do.extra == {"retry_after": 2000}
    assert rule_of("{on: request, do: {refuse: rate}}").do.extra == {}


@pytest.mark.parametrize(
    ("text", "nth"),
    [
        ("3", Nth(((3, 3),))),
        ("[1, 3]", Nth(((1, 1), (3, 3)))),
        ("2-4", Nth(((2, 4),))),
        ('"3-"', Nth(((3, None),))),
        ('"3"', Nth(((3, 3),))),
        ("[1, 4-]", Nth(((1, 1), (4, None)))),
        ("{every: 2}", Nth(every=2)),
    ],
)
def test_the_forms_of_nth(text: str, nth: Nth) -> None:
    when = rule_of(f"{{on: attempt, when: {{nth: {text}, job: {text}, attempt: {text}}}, do: {{lose: true}}}}").when
    assert when.nth == when.job == when.attempt == nth


def test_conditions() -> None:
    when = rule_of(
        "{on: request, when: {does: [submit, file], operation: run, model: dev, since: 1s, until: 2s}, do: {slow: 1s}}"
    ).when
    assert (when.does, when.operations, when.models) == ({"submit", "file"}, {"run"}, {"dev"})
    assert (when.since, when.until, when.nth, when.inputs) == (1000, 2000, None, ())
    when = rule_of("{on: delivery, when: {event: [run.completed, failed]}, do: {lose: true}}").when
    assert when.events == {"run.completed", "failed"}


def test_predicates_hold_numbers_as_a_parsed_body_does() -> None:
    tests = "{/a~1b/0: 0.1, /c: {above: 1, below: 2.5}, /d: {equals: {e: [null, 1.0]}}, '': {present: true}}"
    assert rule_of(f"{{on: job, when: {{input: {tests}}}, do: {{gone: 1s}}}}").when.inputs == (
        Predicate(("a/b", "0"), "equals", 0.1),
        Predicate(("c",), "above", 1),
        Predicate(("c",), "below", 2.5),
        Predicate(("d",), "equals", {"e": [None, 1.0]}),
        Predicate((), "present", True),
    )
    (first, *_) = rule_of(f"{{on: job, when: {{input: {tests}}}, do: {{gone: 1s}}}}").when.inputs
    assert type(first.value) is float


# --- where it comes from


def test_a_file_a_text_json_and_a_mapping_give_the_same(tmp_path: Path) -> None:
    tree = {"scenario": 1, "name": "x", "rules": [{"on": "output", "do": {"short": 0.5}, "note": "\U0001f642 é"}]}
    (tmp_path / "s.json").write_text(json.dumps(tree, indent="\t"), encoding="utf-8")
    expected = read_scenario(tree)
    assert read_scenario(tmp_path / "s.json") == expected
    assert read_scenario(str(tmp_path / "s.json")) == expected
    assert read_scenario(json.dumps(tree)) == expected
    assert read_scenario(scenario_text(expected)) == expected
    assert read_scenario(expected.source) == expected


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ContractError, match=r"nowhere\.yaml: the file cannot be read"):
        read_scenario("nowhere.yaml")


class Word(StrEnum):
    LOSE = "lose"


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "a object has no place"),
        (float("nan"), "has no place"),
        (Decimal("Infinity"), "is not a number"),
        (10**61, "out of range"),
        (10**5000, "out of range"),
        (1e-300, "out of range"),
        ("\ud800", "not UTF-8"),
        ({5: 1}, "the key 5 is not text"),
        (ENDLESS, "more than 64 levels"),
        ([0] * 50_001, "more than 50000 nodes"),
        ("x" * 1_000_001, "more than 1000000 characters"),
        (b"x", "a bytes has no place"),
    ],
    ids=range(12),
)
def test_what_no_file_can_hold_is_refused_in_a_mapping(value: Any, problem: str) -> None:
    with pytest.raises(ContractError, match=problem) as caught:
        read_scenario({"scenario": 1, "name": "x", "rules": [], "world": {"now": value}})
    assert caught.value.place is not None
    assert caught.value.place.pointer.startswith("/world/now")


def test_a_mapping_may_hold_what_python_has() -> None:
    rule = {"on": "delivery", "do": {Word.LOSE: True}, "when": {"nth": (1, 2)}}
    scenario = read_scenario({"scenario": 1, "name": "x", "rules": (rule,)})
    assert scenario.rules[0].do.name == "lose"
    assert read_scenario(scenario_text(scenario)) == scenario


def test_what_was_not_read_cannot_be_written() -> None:
    assert read_scenario(scenario_text(NO_SCENARIO)).rules == ()
    rules = read_scenario({"scenario": 1, "name": "x", "rules": [{"on": "job", "do": {"moderate": True}}]}).rules
    with pytest.raises(UsageError, match="was not read"):
        scenario_text(Scenario("x", rules))


# --- the command line


def test_check_reads_scenarios_and_contracts(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"{HEAD}{{on: job, do: {{stuck: IN_QUEUE}}}}\n", encoding="utf-8")
    bad.write_text(f"{HEAD}{{on: job, do: {{stuck: IN_QUEUEE}}}}\n", encoding="utf-8")
    result = CliRunner().invoke(check, [str(good), str(ACME), str(bad)])
    assert result.exit_code == 2
    told, contract, wrong = result.output.splitlines()
    assert told == f"{good}: ok: scenario 'x' for acme, 1 rule"
    assert contract.startswith(f"{ACME}: ok: acme")
    assert wrong == (f"{bad}:5:27: /rules/0/do/stuck: there is no phase 'IN_QUEUEE' (allowed: IN_QUEUE, IN_PROGRESS)")
    assert CliRunner().invoke(check, [str(good), str(ACME)]).exit_code == 0
    alone = CliRunner().invoke(check, [str(good)])
    assert alone.exit_code == 2
    assert "/provider: there is no provider 'acme' (allowed: " in alone.output


ODD = """\
  odd:
      $reading: edit.cost
      flat: null
      per_mp: {end: failed, after: running, values: {}, evidence: documented page L35}
  default_failure:"""


def test_check_looks_names_up_under_the_readings_of_the_scenario(tmp_path: Path) -> None:
    contract, file = tmp_path / "acme.yaml", tmp_path / "s.yaml"
    contract.write_text(ACME_TEXT.replace("default_failure:", ODD, 1), encoding="utf-8")
    head = "scenario: 1\nname: x\nprovider: acme\nrules: [{on: job, do: {fail: odd}}]\nworld: "
    worlds = {
        "{readings: {edit.cost: per_mp}}": 0,
        "{readings: {acme: {edit.cost: per_mp}}}": 0,
        "{readings: {edit.cost: flat}}": 2,
        "{}": 2,
    }
    for world, code in worlds.items():
        file.write_text(f"{head}{world}\n", encoding="utf-8")
        result = CliRunner().invoke(check, [str(file), str(contract)])
        assert result.exit_code == code, result.output
