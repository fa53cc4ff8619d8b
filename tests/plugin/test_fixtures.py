"""The fixtures: a server for the session, a world for each test, its clock, its receiver, what overrides them."""

from __future__ import annotations

from typing import Any

from support.acme import ACME_TEXT


def test_a_world_of_the_test_s_own(suite: Any) -> None:
    result = suite.run(
        text="""
seen = set()


@acme
@pytest.mark.parametrize("number", range(3))
def test_each(fauxvider, client, number):
    assert fauxvider.jobs() == []
    client.submit()
    assert len(fauxvider.jobs()) == 1
    assert fauxvider.base_url() not in seen
    seen.add(fauxvider.base_url())


def test_one_server(fauxvider_server):
    names = {base.partition("/w/")[0] for base in seen}
    assert names == {fauxvider_server.url}
    assert fauxvider_server.emulator.world_names() == ["default"]
"""
    )
    result.assert_outcomes(passed=4)


def test_what_a_world_tells(suite: Any) -> None:
    result = suite.run(
        text="""
from decimal import Decimal


@acme
def test_it(fauxvider, client):
    job = client.submit()
    fauxvider.advance("10s")
    assert client.status(job)["status"] == "COMPLETED"
    assert client.download(job)[:2] == b"\\xff\\xd8"
    assert fauxvider.jobs()[0]["state"] == "succeeded"
    assert fauxvider.charged() == Decimal("0.020972")
    fauxvider.assert_charged("0.020972")
    assert fauxvider.report().over_budget({"USD": "0.03"}) == []
    (over,) = fauxvider.report().over_budget({"USD": "0.01"})
    assert over.startswith("0.020972 USD was charged, 0.010972 USD over the budget of 0.01 USD")
    with pytest.raises(ValueError, match="there is no provider 'nobody'"):
        fauxvider.charged("nobody")
    fauxvider.assert_clean()
    assert [one["status"] for one in fauxvider.requests(does="submit")] == [201]
    assert len(fauxvider.requests(does="read", word="COMPLETED")) == 2
    assert any("charged 0.020972 USD" in line for line in fauxvider.story())
    assert fauxvider.verdict().is_clean
    assert fauxvider.ledger()["providers"]["acme"]["total"] == "0.020972"
    assert fauxvider.near_misses() == []
    assert "acme" in repr(fauxvider)
    fauxvider.note("saved", job=job)
    fauxvider.save("run.capsule.json")
"""
    )
    result.assert_outcomes(passed=1)
    assert (suite.path / "run.capsule.json").is_file()


def test_callbacks_come_to_the_receiver(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_taken(fauxvider, client, fauxvider_receiver, fauxvider_clock):
    client.submit(webhook=fauxvider_receiver.url + "/hook")
    began = fauxvider_clock.now()
    fauxvider_clock.advance("1m")
    (got,) = fauxvider_receiver.received
    assert got.path == "/hook" and began < got.at < began + 60_000
    assert fauxvider.receiver is fauxvider_receiver
    fauxvider.assert_delivered(1, event="run.completed")


@pytest.mark.fauxvider("acme", answers=[503, "reset", 200])
def test_retried(fauxvider, client, fauxvider_receiver):
    client.submit(webhook=fauxvider_receiver.url)
    fauxvider.advance("1m")
    assert [one.answer for one in fauxvider_receiver.received] == [503, "reset", 200]
    fauxvider.assert_delivered()


@pytest.mark.fauxvider("acme")
def test_of_one_s_own(fauxvider, client):
    with pytest.raises(OSError):
        seen = []
        hook = fauxvider.receive(lambda got: seen.append(got.body) or 204)
        client.submit(webhook=hook.url)
        fauxvider.advance("1m")
        assert len(seen) == 1
        raise OSError
"""
    )
    result.assert_outcomes(passed=3)


def test_the_clock(suite: Any) -> None:
    result = suite.run(
        text="""
import asyncio
from datetime import timedelta


@pytest.mark.fauxvider("acme", now="2026-03-04T05:06:07Z")
def test_virtual(fauxvider, fauxvider_clock):
    clock = fauxvider_clock
    assert clock.moment().isoformat() == "2026-03-04T05:06:07+00:00"
    assert clock.now() == 1772600767000 and clock.time() == 1772600767.0
    began = clock.moment()
    clock.sleep(1.5)
    clock.advance("7d")
    asyncio.run(clock.asleep(0.5))
    asyncio.run(fauxvider.aadvance("1s"))
    assert clock.moment() - began == timedelta(days=7, seconds=3)
    assert "2026-03-11" in repr(clock)


@pytest.mark.fauxvider("acme", clock="scaled:1000")
def test_running(fauxvider_clock):
    began = fauxvider_clock.now()
    fauxvider_clock.sleep(0.01)
    asyncio.run(fauxvider_clock.asleep(0.01))
    assert fauxvider_clock.now() >= began + 10
    assert not fauxvider_clock.is_virtual
    with pytest.raises(ValueError, match="moves by itself"):
        fauxvider_clock.advance("1s")
"""
    )
    result.assert_outcomes(passed=2)


def test_what_is_slept_passes_in_the_world(suite: Any) -> None:
    result = suite.run(
        text="""
import time


@acme
def test_polling(fauxvider, client, fauxvider_clock):
    began, job = fauxvider_clock.now(), client.submit()
    while client.status(job)["status"] != "COMPLETED":
        time.sleep(2)
    assert fauxvider_clock.now() - began > 2000


@acme
def test_a_held_call_ends(client):
    status, job = client.ask("POST", "/v2/acme-dev/runsync", {"input": {"prompt": "x"}})
    assert job["status"] == "COMPLETED"


@pytest.mark.fauxvider("acme", sleep="real")
def test_untouched(fauxvider, fauxvider_clock):
    began = fauxvider_clock.now()
    time.sleep(0.001)
    assert fauxvider_clock.now() == began
"""
    )
    result.assert_outcomes(passed=3)


def test_worlds_within_a_test(suite: Any) -> None:
    result = suite.run(
        text="""
import time

from pytest_fauxvider import FauxWorld, StrictError


def test_it(fauxvider_server):
    with fauxvider_server.world("acme", clock="manual", seed=7) as world, fauxvider_server.world("acme") as other:
        assert isinstance(world, FauxWorld)
        assert world.base_url() != other.base_url()
        began = world.now(), other.now()
        time.sleep(3)
        assert (world.now(), other.now()) == (began[0] + 3000, began[1])  # the outer one
    with pytest.raises(StrictError, match="2 requests for what the provider does not have"):
        with fauxvider_server.world("acme") as world:
            import urllib.request, urllib.error
            for path in ("/x", "/y"):
                with pytest.raises(urllib.error.HTTPError):
                    urllib.request.urlopen(world.base_url() + path)
    with fauxvider_server.world(name="mine") as world:
        assert world.base_url("acme").endswith("/w/mine/acme")
    with pytest.raises(ValueError, match="no argument 'scenari' - did you mean 'scenario'"):
        fauxvider_server.world("acme", scenari={})


def test_the_same_ids_in_every_run(fauxvider_server):
    made = []
    for _ in range(2):
        with fauxvider_server.world("acme") as world:
            made.append((world.name, world.server.emulator.world(world.name).options.seed))
    assert made[0] == made[1]
"""
    )
    result.assert_outcomes(passed=2)


def test_settings_and_contracts_can_be_overridden(suite: Any) -> None:
    (suite.path / "theirs.yaml").write_text(ACME_TEXT.replace("provider: acme\n", "provider: other\n"))
    result = suite.run(
        text="""
@pytest.fixture(scope="session")
def fauxvider_contracts(pytestconfig):
    return [pytestconfig.rootpath / "theirs.yaml"]


@pytest.fixture(scope="session")
def fauxvider_settings():
    return {"providers": [], "clock": "manual", "balances": {"other": "1.50"}, "strict": "-verdict", "keys": ["good"]}


def test_it(fauxvider, fauxvider_server):
    assert list(fauxvider_server.emulator.contracts) == ["other"]
    assert fauxvider.provider == "other"  # the only one
    world = fauxvider_server.emulator.world(fauxvider.name)
    assert world.clock.spec == "manual" and list(world.keys) == ["good"]
    assert fauxvider.plan.strict == {"unexpected", "scenario", "callbacks"}
    assert fauxvider_server.emulator.world("default").clock.spec == "manual"


@pytest.mark.fauxvider(balances={"other": 2}, clock="stepping:2s")
def test_the_marker_wins(fauxvider, fauxvider_server):
    assert str(fauxvider_server.emulator.world(fauxvider.name).options.balances["other"]) == "2"
    assert fauxvider.server.emulator.world(fauxvider.name).clock.spec == "stepping:2s"
"""
    )
    result.assert_outcomes(passed=2)


def test_wrong_settings_are_told_in_one_line(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.fixture(scope="session")
def fauxvider_settings():
    return {"provider": ["acme"]}


def test_it(fauxvider):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "fauxvider: fauxvider_settings (beside providers, contracts, *) has no argument 'provider' (it has: scenario,*"
        ]
    )
    result.stdout.no_fnmatch_line("*During handling*")


def test_which_provider_is_meant(suite: Any) -> None:
    result = suite.run(
        text="""
from fauxvider import UsageError


def test_none(fauxvider):
    with pytest.raises(UsageError, match=r"name the provider, as @pytest.mark.fauxvider\\(.NAME.\\) does: .*acme"):
        fauxvider.base_url()
    assert fauxvider.base_url("acme").endswith("/acme")


@pytest.mark.fauxvider("acme", "runpod")
def test_two(fauxvider):
    with pytest.raises(UsageError, match="one of those that the test names: acme, runpod"):
        fauxvider.base_url()


@acme
def test_files(fauxvider):
    assert fauxvider.base_url(origin="images").endswith("/acme/~images")
    assert fauxvider.contract().provider == "acme"


@pytest.mark.fauxvider(scenario={"scenario": 1, "name": "n", "provider": "acme", "rules": []})
def test_of_the_scenario(fauxvider):
    assert fauxvider.provider == "acme"
"""
    )
    result.assert_outcomes(passed=4)


def test_what_the_assertions_say(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_charged(fauxvider, client):
    client.submit()
    fauxvider.advance("10s")
    fauxvider.assert_charged("0.01")


@pytest.mark.fauxvider("acme", answers=[404], strict=False)
def test_delivered(fauxvider, client, fauxvider_receiver):
    client.submit(webhook=fauxvider_receiver.url)
    fauxvider.advance("10s")
    fauxvider.assert_delivered()


@acme
def test_none_at_all(fauxvider):
    fauxvider.assert_delivered()


@acme
def test_clean(fauxvider, client):
    client.ask("POST", "/v2/acme-dev/run", {"input": {}})
    client.ask("POST", "/v2/acme-dev/run", {"input": {"width": 7}})
    fauxvider.assert_clean()


@acme
def test_unknown_fact(fauxvider):
    fauxvider.requests(verb="GET")
"""
    )
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines([
        "E       AssertionError: 0.020972 was charged, not 0.01",
        "E       Total: 0.020972 USD",
        "E       AssertionError: 0 of 1 callbacks were taken",
        "E         run.completed of job *: failed; attempts: 404",
        "E       AssertionError: 0 of 1 callbacks were taken",
        "E       AssertionError: The client's faults: 1 risk.",
        "E       risk  forbidden-request",
        "E  *UsageError: a request has no fact 'verb' (it has: provider, operation, does, *",
    ])  # fmt: skip


def test_without_the_plugin(suite: Any) -> None:
    (suite.path / "tox.ini").unlink()
    result = suite.run("-p", "no:fauxvider", text="def test_it():\n    pass\ndef test_no(fauxvider):\n    pass\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'fauxvider' not found*"])
    result.stdout.no_fnmatch_line("fauxvider: *")
