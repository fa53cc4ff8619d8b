"""How a server ends: nothing new is begun, what is under way is finished, and the rest is written down."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from fauxvider.errors import StoreError
from fauxvider.server.health import Health
from fauxvider.server.stoppable import settled
from fauxvider.service.emulator import Emulator
from fauxvider.service.world import World

__all__ = ["Ending", "StoreHangsError"]

STORE_S = 3.0  # for a store to get what was cut when the grace period was over


class StoreHangsError(StoreError):
    """A store has not answered by the end: a thread still waits for it, and the interpreter would wait for that."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an emulator's worlds, in four steps, in the order of the methods."""

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

    async def close(self, *, grace_s: float, hurried: asyncio.Event) -> StoreError | None:
        """Close worlds and store; give what says that something was not kept or not released in time.

        The store has what is left of the grace period, and `STORE_S` in any case.
        """
        self.emulator.end()
        file = self.emulator.file
        if file is None:
            return None
        await asyncio.sleep(0)  # what was written last is handed over in the loop's next turn
        closing = _beside(file.close)
        await settled([closing], grace_s=grace_s - STORE_S, hurried=hurried)
        await asyncio.wait([closing], timeout=STORE_S)
        if closing.done():
            closing.result()
        left = file.left()
        if not left:
            return None
        return StoreError(left) if closing.done() else StoreHangsError(left)

    def _worlds(self) -> list[World]:
        return [self.emulator.world(name) for name in self.emulator.world_names()]


def _beside(work: Callable[[], None]) -> asyncio.Future[None]:
    """Do something in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        problem: BaseException | None = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the loop that waits
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, problem)

    threading.Thread(target=run, name="fauxvider-store-end", daemon=True).start()
    return done
