"""Worlds that several processes serve: who has which, taking over from the dead, letting go to who is asked more.

Each world has one owner at a time (`fauxvider.ports.SharedFile`), so that nothing in a world knows of other
processes: its clock, limits and idempotency keys are one process's own. A node that is asked for another's
world passes the request on; when all requests for a world come through one other node, that one gets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from fauxvider.clock import monotonic_ms, wall_ms
from fauxvider.errors import StoreError
from fauxvider.ports import ClaimedWorld, SharedFile
from fauxvider.service import durable
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.world import World, WorldOptions

__all__ = ["Elsewhere", "Sharing"]

_KNOWN = 10_000
_STREAK = 16  # requests in a row through one other node, after which it gets the world
_HEAVY = 5000  # requests of a world, from which on it stays where it is
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A world that another node has; ``address`` is where that node takes requests of its like.

    A node that is started again at an address is another one. ``is_certain``: the store has just said so; else the
    world was there before, and may have gone on.
    """

    node: str
    address: str
    is_certain: bool = True


class Sharing:
    """This process as one of several on a store. One event loop owns it."""

    def __init__(self, emulator: Emulator, file: SharedFile, *, lets_go: bool = False) -> None:
        """`lets_go`: worlds may move to other nodes; not where somebody holds on to them in this process."""
        self.emulator = emulator
        self.file = file
        self._lets_go = lets_go
        self._finding: dict[str, asyncio.Task[World | Elsewhere | None]] = {}
        self._elsewhere: dict[str, Elsewhere] = {}  # where worlds were found, until one turns out to have gone on
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._streaks: dict[str, tuple[str, int]] = {}  # worlds that were asked for through another node of late
        self._busy: dict[str, int] = {}  # requests that are at work in a world
        self._watch: asyncio.Task[None] | None = None
        self._sure_until = 0

    # --- being one of the nodes

    async def start(self, address: str, defaults: WorldOptions) -> None:
        """Join the others; the default world is made unless there is one. Raises StoreError."""
        self.emulator.defaults = defaults
        with self._renewing():
            await self.file.join(address)
        if await self.find(DEFAULT_WORLD) is None:
            await self.make(DEFAULT_WORLD, defaults)
        self._watch = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Look after nothing any more; what is owned is given up when the store is closed."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    @contextlib.contextmanager
    def _renewing(self) -> Iterator[None]:
        """Count the lease anew, from when it was asked for; nothing is renewed by what fails."""
        asked = monotonic_ms()
        yield
        # A quarter less than the store counts: this node is the first to know that it may have lost its worlds.
        self._sure_until = asked + round(self.file.lease_s * 750)

    async def _go_on(self) -> None:
        """Renew the lease, and take over what is due and has lost its owner."""
        while True:
            await asyncio.sleep(self.file.lease_s / 4)
            try:
                with self._renewing():
                    await self.file.beat()
                for name in [*self._lost(), *await self.file.unserved(wall_ms())]:
                    await self.find(name)
            except StoreError as error:
                _log.warning("%s", error)
            except Exception:  # noqa: BLE001 - else the lease would run out for good
                _log.exception("looking after the worlds failed; it goes on")

    def _lost(self) -> list[str]:
        """Give the worlds here that could not be kept any more: they have to be read again, or are another's."""
        worlds = [self.emulator.world(name) for name in self.emulator.world_names()]
        return [world.name for world in worlds if world.kept is not None and world.kept.lost]

    # --- finding worlds

    def here(self, name: str) -> World | None:
        """Give a world that is this node's beyond doubt, at once."""
        world = self.emulator.find_world(name)
        if world is None or monotonic_ms() >= self._sure_until or world.kept is None or world.kept.lost:
            return None
        return world

    async def find(self, name: str) -> World | Elsewhere | None:
        """Give a world, or say where it is; None when there is none. One that nobody has becomes this node's."""
        while (leaving := self._leaving.get(name)) is not None:
            await asyncio.shield(leaving)
        found = self.here(name) or self._elsewhere.get(name)
        if found is not None:
            return found
        finding = self._finding.get(name)
        if finding is None:
            finding = self._finding[name] = asyncio.create_task(self._found(name))
        return await asyncio.shield(finding)

    async def _found(self, name: str) -> World | Elsewhere | None:
        try:
            return await self._find(name)
        finally:
            del self._finding[name]  # here, not when the loop calls back: what is over is never found again

    async def _find(self, name: str) -> World | Elsewhere | None:
        known = self.emulator.find_world(name)
        with self._renewing():
            claim = await self.file.claim(name, known=None if known is None else known.kept)
        if claim is not None and claim.is_known and known is not None:
            return known
        self._forget(name)
        if claim is None:
            return None
        if claim.place is None:
            if len(self._elsewhere) >= _KNOWN:
                self._elsewhere.clear()
            self._elsewhere[name] = Elsewhere(claim.node, claim.address, is_certain=False)
            return Elsewhere(claim.node, claim.address)
        saved = await self.file.read(claim.place)
        return None if saved is None else durable.restored(self.emulator, saved, claim.place)

    def _forget(self, name: str) -> World | None:
        """Let go of a world, if it is here; nothing that goes on in it is kept any more."""
        world = self.emulator.forget_world(name)
        self._streaks.pop(name, None)
        return world

    async def still(self, name: str, where: Elsewhere) -> bool:
        """Ask the store whether a world is where it was found; one that has lost its owner becomes this node's."""
        self.went(name)
        found = await self.find(name)
        return isinstance(found, Elsewhere) and found.node == where.node

    def went(self, name: str) -> None:
        """Forget where a world was found."""
        self._elsewhere.pop(name, None)

    async def claim_new(self, name: str) -> Elsewhere | ClaimedWorld:
        """Get the place of a world that is to be made here, unless another node has one of that name."""
        known = self.emulator.find_world(name)
        with self._renewing():
            claim = await self.file.claim(name, known=None if known is None else known.kept, make=True)
        self.went(name)
        if claim is None:
            raise TypeError("a world that is to be made can be claimed, or is another's")
        return claim.place or Elsewhere(claim.node, claim.address)

    async def unclaim(self, name: str, place: ClaimedWorld) -> None:
        """Give a place up again where no world was made."""
        if self.emulator.find_world(name) is None:
            await self.file.release(place)

    async def make(self, name: str, options: WorldOptions) -> World | Elsewhere:
        """Make a world, an existing one of that name anew; another node's is that node's to make anew."""
        where = await self.claim_new(name)
        if isinstance(where, Elsewhere):
            return where
        world = self.emulator.make_world(name, options)
        await self.emulator.kept(name)
        return world

    # --- letting go

    def begin(self, name: str, through: str = "") -> None:
        """Count a request in, `through` another node if it came that way."""
        self._busy[name] = self._busy.get(name, 0) + 1
        if through:
            node, count = self._streaks.get(name, ("", 0))
            self._streaks[name] = (through, count + 1 if node == through else 1)
        elif self._streaks:
            self._streaks.pop(name, None)

    def end(self, name: str) -> None:
        """Count it out again."""
        left = self._busy.pop(name, 1) - 1
        if left:
            self._busy[name] = left

    async def let_go(self, name: str) -> None:
        """Give a world up when others ask for it and nothing in it is under way."""
        _, count = self._streaks.get(name, ("", 0))
        if not self._lets_go or count < _STREAK or name in self._leaving or not self._is_light(name):
            return
        world = self.emulator.world(name)
        world.note_state(durable.state_of(world))
        self._forget(name)
        self._leaving[name] = asyncio.create_task(self._release(world))
        await asyncio.shield(self._leaving[name])

    def _is_light(self, name: str) -> bool:
        """Tell whether a world can be read by another node at once, and nothing in it is under way."""
        world = self.emulator.find_world(name)
        is_free = world is not None and world.is_idle and not self._busy.get(name)
        return is_free and world.requests < _HEAVY and self.emulator.settings.live is None  # type: ignore[union-attr]

    async def _release(self, world: World) -> None:
        try:
            await self.file.release(cast("ClaimedWorld", world.kept))
        except StoreError as error:
            _log.warning("%s", error)  # it was forgotten here: whoever is asked for it next asks the store
        finally:
            # Before the task is over: who waits for one that is over does not wait, and would ask for ever.
            del self._leaving[world.name]
