"""The world's time in the shapes that clients take it in: `time.time`, `time.sleep`, `asyncio.sleep`, a datetime."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread

from fauxvider import WorldHandle

__all__ = ["WorldClock"]


class WorldClock:
    """One world's clock. For clients that are given theirs: `Client(now=clock.time, sleep=clock.sleep)`."""

    def __init__(self, world: WorldHandle, *, is_virtual: bool) -> None:
        self._world = world
        self.is_virtual = is_virtual

    def __repr__(self) -> str:
        return f"<the clock of world {self._world.name}: {self.moment().isoformat()}>"

    def now(self) -> int:
        """Give the world's moment in ms since the epoch."""
        return self._world.now()

    def time(self) -> float:
        """Give it in seconds, as `time.time` does."""
        return self._world.now() / 1000

    def moment(self) -> datetime:
        """Give it as a datetime in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, by: str | float) -> list[dict[str, Any]]:
        """Move a virtual clock by a span ("7d 1s", or seconds), settle what falls due, give what happened.

        Raises UsageError on a clock that runs by itself.
        """
        return self._world.advance(by)

    def sleep(self, seconds: float) -> None:
        """Let so much of the world's time pass: at once on a virtual clock, else by waiting."""
        if self.is_virtual:
            self._world.advance(max(seconds, 0))
        else:
            time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Do the same in a coroutine, so that others go on meanwhile."""
        if self.is_virtual:
            await anyio.to_thread.run_sync(self._world.advance, max(seconds, 0))
        else:
            await anyio.sleep(seconds)
