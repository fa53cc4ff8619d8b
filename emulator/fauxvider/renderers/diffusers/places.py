"""Which model folders may have a worker process: no more at a time than memory is meant to hold."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Holder", "Places"]


class Holder(Protocol):
    """Something that has a worker while it holds a place."""

    def dismiss(self) -> asyncio.Task[None]:
        """Give the idle worker up now; the task is done when its process has ended."""
        ...


class Places:
    """Hands out places in the order in which jobs came; an idle worker is ended when another folder needs its place.

    With as many places as folders nobody ever waits or loses a worker. All methods belong to one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Holder, bool] = {}  # whether it is at work; of the idle ones, the longest idle first
        self._waiting: dict[Holder, tuple[float, asyncio.Future[asyncio.Task[None] | None]]] = {}

    async def take(self, holder: Holder, since: float) -> None:
        """Wait for a place to work at, for a job that came at `since`; a worker in the way has ended by then."""
        granted: asyncio.Future[asyncio.Task[None] | None] = asyncio.get_running_loop().create_future()
        self._waiting[holder] = (since, granted)
        self._grant()
        try:
            leaving = await granted
            if leaving is not None:
                await asyncio.shield(leaving)
        except asyncio.CancelledError:
            self._waiting.pop(holder, None)
            self.leave(holder)
            raise

    def leave(self, holder: Holder) -> None:
        """Stop working. The place, and the worker, stay until another folder needs them."""
        if self._held.pop(holder, None) is not None:
            self._held[holder] = False
        self._grant()

    def _grant(self) -> None:
        # In the order of their jobs, so that no folder starves and none changes place with each job.
        for holder in sorted(self._waiting, key=lambda one: self._waiting[one][0]):
            if sum(self._held.values()) >= self._limit:
                return
            if self._waiting[holder][1].done():  # it was cancelled, and has not run since
                continue
            leaving = None
            if holder not in self._held and len(self._held) >= self._limit:
                leaving = self._make_room()
            self._held.pop(holder, None)
            self._held[holder] = True
            self._waiting.pop(holder)[1].set_result(leaving)

    def _make_room(self) -> asyncio.Task[None]:
        idle = [one for one, is_at_work in self._held.items() if not is_at_work]
        # One whose next job waits already is the last to lose its worker.
        victim = min(idle, key=lambda one: one in self._waiting)
        del self._held[victim]
        return victim.dismiss()
