"""The library of scenarios: each one works, is the same every time, and shows what a careless client does wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

import fauxvider_contracts
from fauxvider.analysis.verdict import RULES, Verdict, verdict_text
from fauxvider.cli.check import check
from fauxvider.scenario.faults import FAULTS
from fauxvider.scenario.library import scenario_place
from fauxvider.scenario.parse import read_scenario
from support.clients import Style
from support.playing import Field, Play
from support.scenario_clients import client_named

ROOT = Path(fauxvider_contracts.__file__).parent / "scenarios"
FILES = sorted(ROOT.glob("*.yaml"))
SCENARIOS = {path.stem: read_scenario(path) for path in FILES}
CATCHES: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "data" / "scenario_catches.yaml").read_text(encoding="utf-8")
)
STYLES: tuple[Style, ...] = get_args(Style)

# incidents.md C1 to C12, its tables and appendix; a section or a contradiction of a dossier
SOURCE = re.compile(r"(incidents\.md (C\d+|row \d+|appendix \d)|(runpod|runflow|onemin)\.md (\d+(\.\d+)?|C\d+))\b")


@dataclass
class Run:
    journal: bytes
    verdict: Verdict
    never: list[int]


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    made = Field()
    yield made
    made.close()


def play(field: Field, name: str, client: str, style: Style, *, unharmed: bool = False) -> Run:
    """Let a client work in a scenario's world, always under the same name. `unharmed`: without the scenario's rules."""
    scenario, catch = SCENARIOS[name], CATCHES[name]
    assert scenario.provider is not None
    world = dict(scenario.world) if unharmed else {"scenario": scenario.source}
    at: Play = field.play(scenario.provider, **{**world, "name": "library"})
    try:
        prompts = [f"picture {number}" for number in range(catch.get("orders", 1))]
        verdict = at.perform(at.client(client_named(client), style), prompts, after=catch.get("after", 7200))
        journal = "\n".join(json.dumps(entry) for entry in at.entries()).encode()
        return Run(journal, verdict, at.host.emulator.scenario(at.world.name)["never"])
    finally:
        at.close()


def reference(name: str) -> str:
    return str(CATCHES[name].get("reference", "Client"))


def style_of(name: str) -> Style:
    style: Style = CATCHES[name].get("style", "polling")
    return style


# --- the files


def test_every_file_passes_the_check() -> None:
    result = CliRunner().invoke(check, [str(path) for path in FILES])
    assert result.exit_code == 0, result.output
    assert result.output.count(": ok: scenario") == len(FILES)


def test_a_bundled_one_is_checked_and_served_by_its_name() -> None:
    result = CliRunner().invoke(check, ["stuck-in-queue"])
    assert (result.exit_code, "scenario 'stuck-in-queue'" in result.output) == (0, True)
    assert scenario_place("stuck-in-queue") == ROOT / "stuck-in-queue.yaml"
    assert scenario_place("mine.yaml") == Path("mine.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_tells_its_story_and_where_it_is_from(path: Path) -> None:
    scenario = SCENARIOS[path.stem]
    assert scenario.name == path.stem
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", scenario.name)
    assert len(scenario.about) > 20
    assert SOURCE.search(scenario.origin), scenario.origin
    assert scenario.world["clock"] == "manual"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 16


def test_the_library_is_large_and_uses_every_fault_of_every_provider() -> None:
    used = {(rule.on, rule.do.name) for scenario in SCENARIOS.values() for rule in scenario.rules}
    assert used == {(on, fault) for on, faults in FAULTS.items() for fault in faults}
    assert {scenario.provider for scenario in SCENARIOS.values()} == {"runpod", "runflow", "onemin"}
    assert len(SCENARIOS) >= 40


def test_the_table_of_catches_fits_the_library() -> None:
    assert CATCHES.keys() == SCENARIOS.keys()
    assert {catch["rule"] for catch in CATCHES.values()} <= RULES.keys()


# --- at work


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_takes_effect_and_is_the_same_every_time(name: str, field: Field) -> None:
    first, second = (play(field, name, reference(name), style_of(name)) for _ in range(2))
    assert first.never == []
    assert first.journal == second.journal
    assert b'"kind": "fault"' in first.journal


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_careful_client_does_nothing_wrong(name: str, style: Style, field: Field) -> None:
    run = play(field, name, reference(name), style)
    assert run.verdict.is_clean, verdict_text(run.verdict)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_careless_client_is_caught(name: str, field: Field) -> None:
    catch = CATCHES[name]
    run = play(field, name, catch["client"], style_of(name))
    assert catch["rule"] in run.verdict.rules, verdict_text(run.verdict)
    assert not run.verdict.rules - {catch["rule"], *catch.get("beside", ())}, verdict_text(run.verdict)
    assert run.never == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_the_scenario_that_shows_what_is_wrong_with_a_client(name: str, field: Field) -> None:
    """On a good day the careless client does well: that is why nobody sees its mistake."""
    run = play(field, name, CATCHES[name]["client"], style_of(name), unharmed=True)
    assert run.verdict.is_clean, verdict_text(run.verdict)
