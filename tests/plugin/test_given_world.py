"""A world for each example of Hypothesis."""

from __future__ import annotations

from typing import Any

HEAD = """
import time
import urllib.request

from hypothesis import given, settings, strategies as st

from pytest_fauxvider import given_world

settings.register_profile("here", database=None, derandomize=True)
settings.load_profile("here")
"""


def test_each_example_has_its_own(suite: Any) -> None:
    result = suite.run(
        text=f"""{HEAD}
made = []


@given(number=st.integers(0, 9), text=st.text())
@given_world("acme", clock="manual", seed=4)
def test_it(world, number, text):
    assert world.requests() == [] and world.now() == 1767225600000
    assert world.server.emulator.world(world.name).options.seed == 4
    time.sleep(number)  # takes no time, and passes in the example's world
    assert world.now() == 1767225600000 + number * 1000
    urllib.request.urlopen(urllib.request.Request(world.base_url() + "/v2/me", headers={{"Authorization": "Bearer k"}}))
    made.append(world)


def test_all_are_gone(fauxvider_server):
    assert len(made) >= 100
    assert fauxvider_server.emulator.world_names() == ["default"]
"""
    )
    result.assert_outcomes(passed=2)


def test_with_fixtures_and_coroutines(suite: Any) -> None:
    result = suite.run(
        text=f"""{HEAD}
@pytest.fixture(scope="session")
def answer():
    return 42


@given(number=st.integers())
@given_world("acme")
def test_fixture(world, answer, number, fauxvider_server):
    assert answer == 42 and world.server is fauxvider_server


@given(st.integers(), st.integers())
@given_world("acme")
def test_positions(world, one, other):
    assert isinstance(one, int) and isinstance(other, int)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@settings(max_examples=5)
@given(number=st.integers(0, 3))
@given_world("acme")
async def test_coroutine(world, number):
    import asyncio

    began = world.now()
    await asyncio.sleep(number)
    assert world.now() == began + number * 1000


class TestIt:
    @settings(max_examples=5)
    @given(number=st.integers())
    @given_world("acme")
    def test_method(self, world, number):
        assert world.provider == "acme"
"""
    )
    result.assert_outcomes(passed=4)


def test_a_failing_example_tells_its_story_once(suite: Any) -> None:
    result = suite.run(
        text=f"""{HEAD}
@given(number=st.integers(0, 9))
@given_world("acme")
def test_it(world, number):
    urllib.request.urlopen(urllib.request.Request(world.base_url() + "/v2/me", headers={{"Authorization": "Bearer k"}}))
    assert number < 5
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "*assert 5 < 5*",
        "*fauxvider: what the provider saw*",
        "*GET /v2/me -> 200*",
        "*replay:   fauxvider replay .pytest_cache/*/run.capsule.json *",
        "*number=5*",
    ])  # fmt: skip
    assert result.stdout.str().count("what the provider saw") == 1
    assert len(list(suite.path.rglob("run.capsule.json"))) == 1
    assert suite.run("--fauxvider-trace=off").stdout.str().count("what the provider saw") == 1


def test_the_end_of_each_example_is_checked(suite: Any) -> None:
    result = suite.run(
        text=f"""{HEAD}
import urllib.error


@given(number=st.integers(0, 9))
@given_world("acme")
def test_it(world, number):
    if number > 2:
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(world.base_url() + "/nowhere")


@given(number=st.integers(0, 9))
@given_world("acme", strict="-unexpected")
def test_off(world, number):
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(world.base_url() + "/nowhere")
"""
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([
        "*StrictError: fauxvider (unexpected): *",
        "*GET /nowhere*: no such path*",
        "*number=3*",
    ])  # fmt: skip


def test_what_it_does_not_take(suite: Any) -> None:
    result = suite.run(
        text=f"""{HEAD}
def test_names():
    with pytest.raises(ValueError, match="@given_world has no argument 'colour'"):
        given_world("acme", colour=1)


def test_parameter():
    with pytest.raises(ValueError, match="gives test_it a world: it needs a parameter named 'world'"):
        @given_world("acme")
        def test_it(number):
            pass


def test_order():
    with pytest.raises(ValueError, match="stands below @given, next to test_it"):
        @given_world("acme")
        @given(number=st.integers())
        def test_it(world, number):
            pass
"""
    )
    result.assert_outcomes(passed=3)
