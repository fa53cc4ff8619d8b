"""Counting, world by world, what is faced in this process."""

from __future__ import annotations

import threading

from fauxvider.contract.model import Contract
from fauxvider.service.emulator import Emulator
from fauxvider.service.world import World
from pytest_fauxvider.coverage.facing import tally_of
from pytest_fauxvider.coverage.model import Tally

__all__ = ["Collector"]


class Collector:
    """Looks at every world of the process before it goes, whoever made it. Worlds end in threads of several servers."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.dropped = 0  # journal entries that a cap had pushed out before they could be counted
        self._lock = threading.Lock()

    def start(self) -> None:
        Emulator.watchers.append(self._take)

    def stop(self) -> None:
        Emulator.watchers.remove(self._take)

    def name(self, contract: Contract) -> None:
        """Count a provider that a test names, whether or not a request came to it."""
        with self._lock:
            self.tally.add(Tally({contract.provider: tally_of(contract)}))

    def _take(self, world: World) -> None:
        entries = list(world.journal.entries())
        used = {entry.get("provider") for entry in entries}
        found = {
            name: tally_of(provider.contract, entries)
            for name, provider in world.used_providers.items()
            if name in used
        }
        with self._lock:
            self.tally.add(Tally(found))
            self.dropped += world.journal.dropped
