"""What all doors share: which hosts they know, and one exchange with the emulator in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fauxvider.local import Answer, answer_of

if TYPE_CHECKING:
    from fauxvider import WorldHandle

__all__ = ["SELF", "Door", "EndlessWaitError"]

Pairs = Iterable[tuple[str, str]]
SELF = float("inf")  # a timeout: the client watches its own time
_TURNS = 5
_SOON_S = 0.005


class EndlessWaitError(BaseException):
    """The provider does not answer, and the client has no timeout: it would wait for ever.

    No Exception, so that a client that survives every error does not survive this one.
    """


class Door:
    """The way from a client to one world, for requests to the providers' own hosts."""

    def __init__(self, world: WorldHandle) -> None:
        self.world = world
        self._server = world._server
        self._emulator = self._server.emulator
        self.hosts = frozenset(urlsplit(f"//{host}").hostname or host for host in self._emulator.hosts)

    def knows(self, host: str | None) -> bool:
        return host is not None and host.lower().rstrip(".") in self.hosts

    def exchange(self, method: str, url: str, headers: Pairs, body: bytes, *, timeout_s: float | None = None) -> Answer:
        """Give the answer to one request; with the fault ``hang``, after so much of the world's time.

        Raises EndlessWaitError when the client would wait for ever.
        """
        return self._server.call(self._exchange(method, url, list(headers), body, timeout_s))

    async def exchange_async(
        self, method: str, url: str, headers: Pairs, body: bytes, *, timeout_s: float | None = None
    ) -> Answer:
        """Do the same while the client's own loop goes on; with `SELF` a hanging answer is given at once."""
        work = self._exchange(method, url, list(headers), body, timeout_s)
        return await asyncio.wrap_future(self._server.begin(work))

    async def _exchange(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, timeout_s: float | None
    ) -> Answer:
        request = answer_of(self._server.app, method, url, headers, body, world=self.world.name)
        clock = self._emulator.world(self.world.name).clock
        if clock.is_virtual and not clock.step:
            answer = await self._patiently(asyncio.ensure_future(request), timeout_s)
        else:
            answer = await request
        if answer.fault == "hang":
            await self._hang(timeout_s)
        return answer

    async def _patiently(self, request: asyncio.Task[Answer], timeout_s: float | None) -> Answer:
        """Let time pass for who waits: a held call comes to its moment, or to the client's timeout."""
        world = self._emulator.world(self.world.name)
        deadline = None if timeout_s in (None, SELF) else world.clock.now() + int((timeout_s or 0) * 1000)
        while not request.done():
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if request.done():
                break
            due = world.next_due()
            if not world.held or world.attempting or due is None:
                await asyncio.wait({request}, timeout=_SOON_S)
            elif deadline is not None and due > deadline:
                request.cancel()
                await world.advance(max(0, deadline - world.clock.now()))
                return Answer(0, fault="timeout")
            else:
                await world.advance(max(0, due - world.clock.now()))
        return await request

    async def _hang(self, timeout_s: float | None) -> None:
        world = self._emulator.world(self.world.name)
        if timeout_s == SELF:
            return
        if timeout_s is None:
            raise EndlessWaitError("the provider does not answer, and this client has no timeout: it waits for ever")
        if world.clock.is_virtual and not world.attempting:
            await world.advance(int(timeout_s * 1000))
