"""Virtual sleeping in runs of pytest: beside other plugins, in modules of every shape, and switched off."""

from __future__ import annotations

from typing import Any

import pytest

CLIENT = '''
"""A client that knows nothing of fauxvider: it keeps `sleep` and clocks in every way there is."""
import asyncio
import time
from dataclasses import dataclass, field
from time import monotonic, sleep


def poll(ask, pause=sleep, clock=time.monotonic, limit=120):
    deadline = clock() + limit
    while clock() < deadline:
        if ask() == "COMPLETED":
            return True
        pause(2)
    return False


@dataclass
class Poller:
    ask: object
    pause: object = field(default=time.sleep)
    now: object = time.time

    def run(self):
        began = self.now()
        while self.ask() != "COMPLETED":
            self.pause(2)
        return self.now() - began


async def poll_async(ask):
    while await asyncio.to_thread(ask) != "COMPLETED":
        await asyncio.sleep(2)
'''
TESTS = """
import time

from some_client import Poller, poll


@acme
def test_default_arguments(fauxvider, client):
    job, began = client.submit(), fauxvider.now()
    assert poll(lambda: client.status(job)["status"])
    assert 6000 <= fauxvider.now() - began < 6100  # three sleeps, and some requests of a millisecond each


@acme
def test_attributes(fauxvider, client):
    job = client.submit()
    assert 6 <= Poller(lambda: client.status(job)["status"]).run() < 100


@acme
def test_the_client_gives_up(fauxvider, client):
    began = fauxvider.now()
    assert not poll(lambda: "IN_QUEUE")
    assert fauxvider.now() - began == 120_000


def test_without_a_world():
    began = time.monotonic()
    time.sleep(0.001)
    assert time.monotonic() - began < 60
"""


@pytest.fixture
def client_suite(suite: Any) -> Any:
    suite.pytester.makepyfile(some_client=CLIENT)
    return suite


def test_it_simply_holds(client_suite: Any) -> None:
    client_suite.run(text=TESTS).assert_outcomes(passed=4)


def test_in_a_process_of_its_own_and_in_workers(client_suite: Any) -> None:
    client_suite.tests(TESTS)
    client_suite.run_apart("-n", "2").assert_outcomes(passed=4)


REAL = """
import time

sleep = time.sleep
assert type(sleep).__name__ == "builtin_function_or_method"


def test_it():
    assert time.sleep is sleep
    sleep(0)
"""


def test_nothing_is_replaced_without_the_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(REAL)
    result = pytester.runpytest_subprocess("-p", "no:fauxvider", "-W", "error", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_opting_out(client_suite: Any) -> None:
    text = """
import time


@acme
@pytest.mark.fauxvider(sleep="real")
def test_by_marker(fauxvider):
    began = fauxvider.now()
    time.sleep(0.001)
    assert fauxvider.now() == began


@acme
def test_as_said(fauxvider):
    began = fauxvider.now()
    time.sleep(0.001)
    assert (fauxvider.now() > began) == VIRTUAL


@pytest.mark.fauxvider("acme", clock="scaled:1000")
def test_a_clock_that_runs(fauxvider):
    time.sleep(0.001)
"""
    client_suite.run(text=text.replace("VIRTUAL", "True")).assert_outcomes(passed=3)
    client_suite.run("--fauxvider-sleep=real", text=text.replace("VIRTUAL", "False")).assert_outcomes(passed=3)


ASYNC = """
import asyncio

from some_client import poll_async


MARK
@acme
async def test_it(fauxvider, client):
    job, began = client.submit(), fauxvider.now()
    await poll_async(lambda: client.status(job)["status"])
    assert 6000 <= fauxvider.now() - began < 6100


MARK
@acme
async def test_two_at_once(fauxvider):
    began = fauxvider.now()
    await asyncio.gather(asyncio.sleep(2), asyncio.sleep(2))
    assert fauxvider.now() - began == 2000
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(50), 3)
    assert fauxvider.now() - began == 5000


MARK
async def test_without_a_world():
    await asyncio.sleep(0.001)
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_pytest_asyncio(client_suite: Any, mode: str) -> None:
    client_suite.ini(f"asyncio_mode = {mode}", "asyncio_default_fixture_loop_scope = function")
    client_suite.tests(ASYNC.replace("MARK", "@pytest.mark.asyncio" if mode == "strict" else ""))
    result = client_suite.pytester.runpytest_subprocess("-W", "error", "-p", "asyncio", "-p", "no:anyio")
    result.assert_outcomes(passed=3)


def test_beside_anyio(client_suite: Any) -> None:
    client_suite.pytester.makeconftest(
        (client_suite.path / "conftest.py").read_text()
        + "\n\n@pytest.fixture(params=['asyncio', ('asyncio', {'use_uvloop': True})], ids=['asyncio', 'uvloop'])\n"
        + "def anyio_backend(request):\n    return request.param\n"
    )
    client_suite.tests(ASYNC.replace("MARK", "@pytest.mark.anyio"))
    client_suite.run_apart().assert_outcomes(passed=6)


def test_hypothesis_times_examples_in_real_time(client_suite: Any) -> None:
    text = """
import time

from hypothesis import given, settings, strategies as st


@settings(max_examples=20, deadline=60_000)
@given(seconds=st.integers(1, 9))
def test_it(fauxvider_server, seconds):
    with fauxvider_server.world("acme", strict=False) as world:
        began = world.now()
        time.sleep(seconds * 100)
        assert world.now() - began == seconds * 100_000
"""
    client_suite.run(text=text).assert_outcomes(passed=1)


def test_an_endless_poll_fails_and_ends(client_suite: Any) -> None:
    text = """
import time


@acme
def test_it(fauxvider):
    while True:
        try:
            time.sleep(86400)
            raise ConnectionError
        except Exception:
            pass
"""
    result = client_suite.run(text=text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*EndlessSleepError: the client has slept 401 times*this loop does not end*"])


def test_durations_are_real(client_suite: Any) -> None:
    client_suite.tests("import time\n\n\n@acme\ndef test_it(fauxvider):\n    time.sleep(5000)\n")
    result = client_suite.run("--durations=3", "-vv")
    result.assert_outcomes(passed=1)
    assert "5000" not in "\n".join(line for line in result.outlines if " call " in line)
