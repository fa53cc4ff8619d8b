"""What a run is made from, and the emulator that it runs in."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fauxvider import LocalServer, UsageError

__all__ = ["Budget", "Knobs", "Step", "run_now", "server_for"]


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may happen in one run: orders, requests that go wrong, deaths of the client, further deliveries."""

    orders: int = 3
    faults: int = 4
    crashes: int = 2
    deliveries: int = 4


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a run is made from; the attributes of a `ProviderMachine`."""

    provider: str
    model: str = ""
    contracts: tuple[str, ...] = ()
    readings: Mapping[str, Any] = field(default_factory=dict)
    world: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1
    key: str = "machine-key"
    poll_every: int = 10_000
    budget: Budget = field(default_factory=Budget)
    unchecked: frozenset[str] = frozenset()
    errors: tuple[type[BaseException], ...] = ()


_SERVERS: dict[tuple[str, tuple[str, ...]], LocalServer] = {}


def server_for(provider: str, contracts: tuple[str, ...]) -> LocalServer:
    """Give the emulator for a provider; it is made once, and each run has a world of its own in it."""
    known = _SERVERS.get((provider, contracts))
    if known is None:
        bundled = () if contracts else (provider,)
        known = LocalServer(providers=bundled, contracts=contracts, deliver=lambda _callback: 200, clock="manual")
        if provider not in known.emulator.contracts:
            known.close()
            raise UsageError(f"no contract is for {provider!r} (there are: {', '.join(known.emulator.contracts)})")
        _SERVERS[(provider, contracts)] = known
        atexit.register(known.close)
    return known


def run_now(work: Any) -> Any:
    """Run a coroutine of the store in memory, which never suspends."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise RuntimeError("a store suspended where it must not")
