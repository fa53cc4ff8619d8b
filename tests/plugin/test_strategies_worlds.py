"""Scenarios, worlds and moments: legal by construction, and what they say of a job is what happens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from fauxvider import LocalServer, UsageError, load_contract
from fauxvider.scenario.faults import FAULTS
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario, scenario_text
from fauxvider_contracts import provider_names
from pytest_fauxvider.strategies import World, moments, scenarios, submissions, worlds
from pytest_fauxvider.strategies.faults import kinds_of
from pytest_fauxvider.strategies.playing import playing
from pytest_fauxvider.strategies.provider import source_of
from pytest_fauxvider.strategies.timeline import landmarks
from support.acme import ACME

PROVIDERS = [*provider_names(), str(ACME)]
each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: Path(provider).stem)


# --- scenarios


@each_provider
@pytest.mark.parametrize("legal", [True, False])
@given(data=st.data())
@settings(max_examples=60)
def test_a_scenario_reads_back_from_its_own_text(provider: str, legal: bool, data: st.DataObject) -> None:
    contract = source_of(provider).contract
    drawn = data.draw(scenarios(provider, legal=legal))
    known = {contract.provider: contract}
    for again in (read_scenario(scenario_text(drawn), contracts=known), read_scenario(drawn.source, contracts=known)):
        assert (again.rules, again.name, again.provider) == (drawn.rules, drawn.name, drawn.provider)


@each_provider
@given(data=st.data())
@settings(max_examples=60)
def test_a_legal_scenario_keeps_to_the_contract(provider: str, data: st.DataObject) -> None:
    contract = source_of(provider).contract
    legal = {(kind.stage, kind.name) for kind in kinds_of(contract) if kind.legal}
    drawn = data.draw(scenarios(provider))
    assert {(rule.on, rule.do.name) for rule in drawn.rules} <= legal
    for rule in drawn.rules:
        if rule.do.name == "refuse":
            assert contract.errors[rule.do.value].cause == rule.do.value
        if rule.do.name in ("cancel", "moderate", "time_out"):
            assert {"cancel": "cancelled" in contract.ends}.get(rule.do.name, True)
        assert rule.on not in ("delivery", "attempt") or contract.callbacks is not None


def test_every_fault_of_the_language_is_drawn() -> None:
    seen: Counter[tuple[str, str]] = Counter()

    @settings(max_examples=800, database=None)
    @given(scenarios(ACME, legal=False, max_rules=4))
    def look(drawn: Scenario) -> None:
        seen.update((rule.on, rule.do.name) for rule in drawn.rules)

    look()
    assert set(seen) == {(stage, name) for stage, faults in FAULTS.items() for name in faults}


def test_a_near_legal_scenario_has_something_that_is_not_legal() -> None:
    first = find(scenarios(ACME, legal=False), lambda _: True)
    assert len(first.rules) == 1
    only = find(scenarios("onemin", legal=False, stages=["job"]), lambda drawn: drawn.rules[0].do.name == "words")
    assert {rule.on for rule in only.rules} == {"job"}


def test_scenarios_shrink_to_the_rule_that_matters() -> None:
    found = find(scenarios("runpod"), lambda drawn: any(rule.do.name == "duplicate" for rule in drawn.rules))
    assert found.source["rules"] == [{"on": "delivery", "do": {"duplicate": 1}}]
    assert find(scenarios("runpod"), lambda _: True).rules == ()


@pytest.mark.parametrize(
    ("provider", "stages", "says"),
    [
        (ACME, ["requests"], "a scenario has no stage 'requests' (it has: request, job, output"),
        ("onemin", ["delivery"], "onemin has no legal fault of delivery"),
    ],
)
def test_stages_that_there_are_not(provider: Any, stages: Any, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        scenarios(provider, stages=stages)
    assert str(refused.value).startswith(says)


# --- worlds


@each_provider
@pytest.mark.parametrize("legal", [True, False])
@given(data=st.data())
@settings(max_examples=25)
def test_every_world_can_be_made_and_lived_in(provider: str, legal: bool, data: st.DataObject) -> None:
    source = source_of(provider)
    drawn = data.draw(worlds(provider, legal=legal))
    options = {**drawn, "clock": "stepping:1ms"}
    hook = "https://client.test/hook" if source.contract.callbacks is not None else None
    with playing(source, **options) as play:
        for _ in range(2):
            answer = play.submit(data.draw(submissions(provider, callback_url=hook)))
            assert answer.fault or 100 <= answer.status < 600
        play.world.advance("1h")
        play.world.advance("60d")
        assert play.world.report() is not None
        assert {job["provider"] for job in play.world.jobs()} <= {source.name}


def test_worlds_are_options_of_a_server() -> None:
    first = find(worlds("runpod"), lambda _: True)
    assert dict(first) == {"seed": 0, "clock": "manual"}
    assert repr(first) == "World({'seed': 0, 'clock': 'manual'})"
    with LocalServer(providers=["runpod"]) as server, server.world(**first) as world:
        assert world.jobs() == []


def test_every_reading_and_every_balance_is_drawn() -> None:
    contract = load_contract("runpod")
    readings, balances = set[tuple[str, str]](), set[str]()

    @settings(max_examples=1500, database=None)
    @given(worlds("runpod", scenario=False))
    def look(drawn: World) -> None:
        assert "scenario" not in drawn
        assert len(drawn.get("readings", {}).get("runpod", {})) <= 1
        readings.update(drawn.get("readings", {}).get("runpod", {}).items())
        balances.update(drawn.get("balances", {}).values())

    look()
    others = {(name, case) for name, one in contract.readings.items() for case in one.cases if case != one.default}
    assert len(others - readings) <= 3
    assert {"0", "0.02", "100.02"} <= balances


# --- moments


@each_provider
def test_the_landmarks_of_a_contract(provider: str) -> None:
    contract = source_of(provider).contract
    about = {what for _, what in landmarks(contract)}
    assert {f"the start of {phase.state.word}" for phase in contract.phases} <= about
    lives = [url for url in contract.urls.values() if url.serves == "output"]
    assert {f"the end of the URL {url.name}" for url in lives if url.lives} <= about
    rungs = len(contract.callbacks.retry.delays) + 1 if contract.callbacks else 0
    assert len([what for what in about if what.startswith("callback attempt") and "timeout" not in what]) == rungs
    assert find(moments(provider), lambda _: True).ms == 0
    assert find(moments(provider), lambda moment: moment.ms > 1000).span


@given(data=st.data())
@settings(max_examples=40)
def test_moments_of_a_world_are_where_its_job_changes(data: st.DataObject) -> None:
    with playing(source_of(ACME), clock="manual") as play:
        play.submit(data.draw(submissions(ACME, "dev", operation="run")))
        first = data.draw(moments(ACME, world=play.world))
        began = play.world.now()
        ends = play.world.jobs()[0]["ends"]
        play.world.advance(first.span)
        assert play.world.now() == began + first.ms
        job = play.world.jobs()[0]
        is_over = job["state"] not in ("queued", "running")
        assert is_over is (play.world.now() >= ends)
        if first.about == f"just before the end of {job['id']}":
            assert (play.world.now(), is_over) == (ends - 1, False)
        if first.about == f"the end of {job['id']}":
            assert (play.world.now(), is_over) == (ends, True)


def test_the_moment_before_a_url_dies_and_the_one_after() -> None:
    def answered(about: str) -> int:
        with playing(source_of(ACME), clock="manual") as play:
            submission = find(submissions(ACME, "dev", operation="run"), lambda _: True)
            job = play.submit(submission).json()["id"]
            moment = find(moments(ACME, world=play.world), lambda one: one.about.startswith(about))
            play.world.advance("20s")
            url = play.ask("GET", f"/v2/acme-dev/status/{job}", headers=submission.headers).json()["output"][
                "image_url"
            ]
            play.world.advance((moment.ms - 20_000) / 1000)
            return play.server.request("GET", url, world=play.world.name).status

    assert [answered("just before the end of the URL"), answered("the end of the URL")] == [200, 200]
    assert answered("just after the end of the URL") == 403


def test_moments_follow_the_callbacks_of_a_world() -> None:
    with playing(source_of(ACME), clock="manual") as play:
        play.answers = iter([500, 500, 200])
        play.submit(
            find(submissions(ACME, "dev", operation="run", callback_url="https://client.test/h"), lambda _: True)
        )
        play.world.advance((play.world.jobs()[0]["ends"] - play.world.now()) / 1000)
        ahead = find(moments(ACME, world=play.world), lambda one: one.about.startswith("the next attempt"))
        assert len(play.came) == 1
        play.world.advance((ahead.ms - 1) / 1000)
        assert len(play.came) == 1
        play.world.advance("1ms")
        assert len(play.came) == 2
