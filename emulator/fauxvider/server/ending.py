"""How a server ends: nothing new is begun, what is under way is finished, and the rest is written down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fauxvider.server.health import Health
from fauxvider.service.emulator import Emulator
from fauxvider.service.world import World

__all__ = ["Ending"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an emulator's worlds, in three steps, in the order of the methods."""

    emulator: Emulator
    health: Health

    @property
    def busy(self) -> int:
        """How many callbacks are on their way."""
        return sum(world.attempting for world in self._worlds())

    def begin(self) -> None:
        """Say that the server is not ready; no timer rings any more, and held calls are answered as things stand."""
        self.health.drain()
        for world in self._worlds():
            world.drain()

    async def finish(self) -> None:
        """Return when no callback is on its way."""
        await asyncio.gather(*[world.quiet() for world in self._worlds() if world.attempting])

    async def cut(self) -> None:
        """End what is still under way; a store gets to know which attempts were interrupted."""
        await asyncio.gather(*[world.cut() for world in self._worlds()])

    def _worlds(self) -> list[World]:
        return [self.emulator.world(name) for name in self.emulator.world_names()]
