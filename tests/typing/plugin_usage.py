"""A user's tests, for the type checker alone: what the plugin's fixtures and names give."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

import pytest

from fauxvider import Contract, Receiver
from pytest_fauxvider import (
    ContractCase,
    FauxServer,
    FauxWorld,
    StrictError,
    WorldClock,
    assert_valid_request,
    assert_valid_response,
    fauxvider_contract_cases,
    given_world,
)


@pytest.mark.fauxvider("acme", scenario="stuck-in-queue", strict="-scenario")
def test_world(fauxvider: FauxWorld, fauxvider_receiver: Receiver, fauxvider_clock: WorldClock) -> None:
    assert_type(fauxvider.base_url(), str)
    assert_type(fauxvider.provider, str)
    assert_type(fauxvider.contract(), Contract)
    assert_type(fauxvider.advance("1s"), list[dict[str, Any]])
    assert_type(fauxvider.requests(does="submit"), list[dict[str, Any]])
    assert_type(fauxvider.story(), list[str])
    assert_type(fauxvider.near_misses(), list[str])
    assert_type(fauxvider.charged(), Decimal)
    assert_type(fauxvider.receiver, Receiver)
    assert_type(fauxvider.receive([503, "reset", 200], keep=1), Receiver)
    assert_type(fauxvider.clock, WorldClock)
    assert_type(fauxvider_clock.now(), int)
    assert_type(fauxvider_clock.time(), float)
    assert_type(fauxvider_clock.moment(), datetime)
    fauxvider.assert_charged(Decimal("0.02"), "acme")
    fauxvider.assert_delivered(1, event="run.completed")
    fauxvider.assert_clean(ignore=["hammered"])


@fauxvider_contract_cases("acme", operation="status", status=[200, "4xx"])
def test_parser(case: ContractCase) -> None:
    assert_type(case.status, int)
    assert_type(case.body, bytes)
    assert_type(case.headers, tuple[tuple[str, str], ...])
    assert_type(case.request.url, str)
    assert_type(fauxvider_contract_cases("acme").cases, list[ContractCase])
    assert_type(assert_valid_request("acme", "POST", "/v2/run", json={}).operation, str)
    assert_valid_response("acme", object(), readings={"a": "b"})


def test_server(fauxvider_server: FauxServer) -> None:
    assert_type(StrictError("x"), StrictError)
    with fauxvider_server.world("acme", clock="manual") as world:
        assert_type(world, FauxWorld)
        assert_type(world.server, FauxServer)


async def test_coroutine(fauxvider: FauxWorld, fauxvider_clock: WorldClock) -> None:
    assert_type(await fauxvider.aadvance(2.5), list[dict[str, Any]])
    await fauxvider_clock.asleep(1)


@given_world("acme", clock="manual")
def test_examples(world: FauxWorld, number: int) -> None:
    assert_type(world.now(), int)


def wrong(fauxvider: FauxWorld) -> None:
    """What must not pass: strict mode warns of an ignore that ignores nothing."""
    fauxvider.assert_charged(0.02)  # type: ignore[arg-type]
    fauxvider.advance(None)  # type: ignore[arg-type]
    fauxvider.receive(answers=object())  # type: ignore[arg-type]
