"""The fixtures. They load the emulator when a test first asks for one of them, not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_fauxvider.asked import asked_by
from pytest_fauxvider.options import OPTIONS

if TYPE_CHECKING:
    from fauxvider import Receiver
    from pytest_fauxvider.clocks import WorldClock
    from pytest_fauxvider.world import FauxServer, FauxWorld

__all__ = [
    "COVERAGE",
    "WORLD",
    "fauxvider",
    "fauxvider_clock",
    "fauxvider_contracts",
    "fauxvider_receiver",
    "fauxvider_server",
    "fauxvider_settings",
]

COVERAGE = "fauxvider-coverage"
WORLD = pytest.StashKey["FauxWorld"]()


@pytest.fixture(scope="session")
def fauxvider_settings() -> dict[str, Any]:
    """Override this: what `fauxvider.Server` takes, and defaults of the marker's arguments, for the whole session."""
    return {}


@pytest.fixture(scope="session")
def fauxvider_contracts(pytestconfig: pytest.Config) -> list[str | Path]:
    """Override this: contract files of your own (or set `fauxvider_contracts` in the ini file)."""
    return list(pytestconfig.stash[OPTIONS].contracts)


@pytest.fixture(scope="session")
def fauxvider_server(
    pytestconfig: pytest.Config,
    fauxvider_settings: dict[str, Any],
    fauxvider_contracts: list[str | Path],
) -> Iterator[FauxServer]:
    """The emulator of the whole session, on a free port. `with fauxvider_server.world(...)` makes a world anywhere."""
    from pytest_fauxvider.reporting import trace_root
    from pytest_fauxvider.serving import serving

    options = pytestconfig.stash[OPTIONS]
    traces = None if options.trace == "off" else trace_root(pytestconfig, options)
    with serving(options, fauxvider_settings, fauxvider_contracts, traces=traces) as server:
        yield server


@pytest.fixture
def fauxvider(request: pytest.FixtureRequest, fauxvider_server: FauxServer) -> Iterator[FauxWorld]:
    """A world of the test's own, as its markers ask for it: base URL, time, jobs, callbacks, bill, verdict."""
    world = _planned(request, fauxvider_server)
    request.node.stash[WORLD] = world
    try:
        _name_to(request.config, world)
        world.open()
        yield world
    finally:
        del request.node.stash[WORLD]
        world.close()


def _planned(request: pytest.FixtureRequest, server: FauxServer) -> FauxWorld:
    from fauxvider import FauxviderError

    try:
        providers, options = asked_by(request.node)
        return server.planned(providers, options, test=request.node.nodeid, folders=(request.path.parent,))
    except (FauxviderError, ValueError) as error:
        raise pytest.fail.Exception(f"fauxvider: {error}", pytrace=False) from None


def _name_to(config: pytest.Config, world: FauxWorld) -> None:
    """Count the providers that a test names, also when no request comes to them."""
    hooks = config.pluginmanager.get_plugin(COVERAGE)
    if hooks is not None and hooks.collector is not None:
        for provider in world.plan.providers:
            hooks.collector.name(world.contract(provider))


@pytest.fixture
def fauxvider_receiver(fauxvider: FauxWorld) -> Receiver:
    """A callback receiver on a free port, dated by the world's clock; the marker's `answers` are what it says."""
    return fauxvider.receiver


@pytest.fixture
def fauxvider_clock(fauxvider: FauxWorld) -> WorldClock:
    """The world's clock: `now`, `time`, `moment`, `advance`, `sleep`, `asleep`."""
    return fauxvider.clock
