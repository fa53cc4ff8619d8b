"""The marker: each argument, how markers merge, what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

OPTIONS = "fauxvider.server.emulator.world(fauxvider.name).options"


@pytest.mark.parametrize(
    ("argument", "holds"),
    [
        ('clock="manual"', "world.clock.spec == 'manual'"),
        ('clock="stepping:3s"', "world.clock.spec == 'stepping:3s'"),
        ('now="2027-01-02T03:04:05Z"', "world.began == 1798859045000"),
        ('readings={"edit.cost": "per_mp"}', "world.options.readings == {'acme': {'edit.cost': 'per_mp'}}"),
        ('readings={"acme": {"edit.cost": "per_mp"}}', "world.options.readings == {'acme': {'edit.cost': 'per_mp'}}"),
        ("seed=7", "world.options.seed == 7"),
        ('keys=["k"]', "list(world.keys) == ['k']"),
        ('keys=("k", {"key": "d", "state": "deleted"})', "world.keys['d'].state == 'deleted'"),
        ('balances={"acme": "0.5"}', "str(world.options.balances['acme']) == '0.5'"),
        ('limits="off"', "world.options.limits is None"),
        ('sleep="real"', "fauxvider.plan.sleeps is False"),
        ('strict="verdict"', "fauxvider.plan.strict == {'verdict'}"),
        ('strict="-verdict, -scenario"', "fauxvider.plan.strict == {'unexpected', 'callbacks'}"),
        ('strict=["all", "-risks"]', "fauxvider.plan.strict == {'unexpected', 'scenario', 'callbacks', 'verdict'}"),
        ("strict=False", "fauxvider.plan.strict == set()"),
        ("strict=True", "'risks' in fauxvider.plan.strict"),
        ('ignore="hammered"', "fauxvider.plan.ignore == ('hammered',)"),
        ('ignore=["hammered", "went-back"]', "fauxvider.plan.ignore == ('hammered', 'went-back')"),
        ("answers=[503]", "fauxvider.plan.answers == [503]"),
    ],
)
def test_an_argument(suite: Any, argument: str, holds: str) -> None:
    result = suite.run(
        text=f"""
@pytest.mark.fauxvider("acme", {argument})
def test_it(fauxvider):
    world = fauxvider.server.emulator.world(fauxvider.name)
    assert {holds}
"""
    )
    result.assert_outcomes(passed=1)


def test_the_nearest_wins_and_the_rest_is_merged(suite: Any) -> None:
    result = suite.run(
        text="""
pytestmark = pytest.mark.fauxvider("acme", clock="manual", seed=1, readings={"edit.cost": "per_mp"})


@pytest.mark.fauxvider(seed=2, strict="verdict")
class TestAll:
    @pytest.mark.fauxvider("acme", seed=3, readings={"callback.retry": "one"})
    def test_it(self, fauxvider):
        world = fauxvider.server.emulator.world(fauxvider.name)
        assert (world.clock.spec, world.options.seed) == ("manual", 3)
        assert world.options.readings == {"acme": {"edit.cost": "per_mp", "callback.retry": "one"}}
        assert fauxvider.plan.strict == {"verdict"}
        assert fauxvider.provider == "acme"

    def test_of_the_class(self, fauxvider):
        assert fauxvider.server.emulator.world(fauxvider.name).options.seed == 2

    @pytest.mark.fauxvider(readings={"acme": {"edit.cost": "flat"}})
    def test_another_way_of_saying_it(self, fauxvider):
        assert fauxvider.contract().choice["edit.cost"] == "flat"

    @pytest.mark.fauxvider("runpod")
    def test_of_another_provider(self, fauxvider):
        assert fauxvider.provider == "runpod"
"""
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"acme", scenari="x"', "@pytest.mark.fauxvider has no argument 'scenari' - did you mean 'scenario'? (it has: scenario, clock, now, readings, strict, ignore, seed, keys, balances, limits, sleep, answers)"),
        ('"acme", colour="x"', "@pytest.mark.fauxvider has no argument 'colour' (it has: scenario, clock, *"),
        ("7", "@pytest.mark.fauxvider takes names of providers, not 7"),
        ('"acmee"', "there is no provider 'acmee' (there are: fal, onemin, replicate, runflow, runpod, acme)"),
        ('"acme", clock="sundial"', "'sundial' is not a clock (allowed: real, scaled:N *"),
        ('"acme", strict="verdicts"', "there is no check 'verdicts' (there are: unexpected, scenario, callbacks, verdict, risks; all, none)"),
        ('"acme", strict=7', "7 is not True, False or some of unexpected, scenario, callbacks, verdict, risks"),
        ('"acme", sleep="deep"', "sleep 'deep' is not 'virtual' or 'real'"),
        ('"acme", readings={"edit.price": "x"}', "cannot place the reading 'edit.price': no provider has it"),
        ('"acme", readings={"edit.cost": "x"}', "the reading 'edit.cost' has no case 'x' (it has: flat, per_mp)"),
        ('"acme", seed="x"', "seed 'x' is not a whole number from 0 to 2^63"),
        ('"acme", limits="x"', "limits 'x' is not 'on', 'off' or {'factor': N}"),
        ('"acme", now="soon"', "'soon' is not a moment: *"),
        ('"acme", scenario="stuck-in-que"', "there is no bundled scenario 'stuck-in-que'; near it: stuck-in-queue*"),
        ('"acme", scenario="zzz"', "there is no bundled scenario 'zzz' (there are * a file's name ends with .yaml or .yml or .json"),
        ('"acme", scenario="no/such.yaml"', "there is no scenario file 'no/such.yaml' in *"),
        ('"acme", scenario=7', "a scenario is the name of a bundled one, a file, a mapping or a Scenario; not 7"),
        ('"acme", scenario={"scenario": 1}', "scenario: * 'name'*"),
    ],
)  # fmt: skip
def test_a_wrong_one_fails_at_set_up_in_one_line(suite: Any, marker: str, said: str) -> None:
    result = suite.run(text=f"@pytest.mark.fauxvider({marker})\ndef test_it(fauxvider):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"fauxvider: {said.replace('[', '[[]')}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_wrong_one_is_told_of_though_no_fixture_asks_for_it(suite: Any) -> None:
    result = suite.run(text="@pytest.mark.fauxvider(colour=1)\ndef test_it():\n    pass\n")
    result.assert_outcomes(errors=1)


SCENARIO = "scenario: 1\nname: down\nrules:\n  - {on: request, when: {does: submit}, do: {refuse: unavailable}}\n"


@pytest.mark.parametrize(
    "scenario",
    [
        '"down.yaml"',
        '"sub/../down.yaml"',
        'Path(__file__).parent / "down.yaml"',
        '{"scenario": 1, "name": "down", "rules": [{"on": "request", "when": {"does": "submit"}, "do": {"refuse": "unavailable"}}]}',
        repr(SCENARIO),
        'read_scenario(Path(__file__).parent / "down.yaml")',
    ],
)  # fmt: skip
def test_a_scenario_in_every_form(suite: Any, scenario: str) -> None:
    folder = suite.pytester.mkdir("tests")
    (folder / "sub").mkdir()
    (folder / "down.yaml").write_text(SCENARIO)
    (folder / "test_down.py").write_text(f"""
from pathlib import Path

import pytest
from fauxvider.scenario.parse import read_scenario


@pytest.mark.fauxvider("acme", scenario={scenario})
def test_it(fauxvider, client):
    assert client.ask("POST", "/v2/acme-dev/run", {{"input": {{"prompt": "x"}}}})[0] == 503
    assert fauxvider.scenario()["name"] == "down"
""")
    suite.run().assert_outcomes(passed=1)


def test_a_bundled_scenario(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.mark.fauxvider("runpod", scenario="stuck-in-queue", strict=False)
def test_what_it_wants_of_its_world_holds(fauxvider):
    world = fauxvider.server.emulator.world(fauxvider.name)
    assert (world.clock.spec, world.options.seed) == ("manual", 25)


@pytest.mark.fauxvider(scenario="stuck-in-queue", strict=False, clock="stepping:1s", seed=4)
def test_but_the_marker_wins(fauxvider):
    world = fauxvider.server.emulator.world(fauxvider.name)
    assert (world.clock.spec, world.options.seed) == ("stepping:1s", 4)
    assert fauxvider.provider == "runpod"
"""
    )
    result.assert_outcomes(passed=2)
    suite.run("--fauxvider-clock", "stepping:5s").assert_outcomes(passed=1, failed=1)  # and so does the command line


def test_it_is_registered(suite: Any) -> None:
    result = suite.run("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.fauxvider([*]providers, scenario, clock, *"])
    suite.run("--strict-markers", text="@acme\ndef test_it(fauxvider):\n    pass\n").assert_outcomes(passed=1)
