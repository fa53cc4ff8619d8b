"""A client that does not sleep but waits, with a timeout, for a callback or an answer: time passes for it too.

Nothing tells such a wait from one for something real (a process, another thread), so it costs a little real
time: when nothing at all has happened for a tenth of a second, time moves to the next thing that the world
has to do, and after two seconds without any such thing to the timeout itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_fauxvider.sleeping import VirtualTime
    from pytest_fauxvider.sleeping_watch import Kind, LoopTime

__all__ = ["Waits"]

# What the timers call with which a task waits: asyncio.timeout, wait_for, wait; anyio's scopes; async_timeout.
_CALLBACKS = frozenset({"Timeout._on_timeout", "CancelScope._timeout", "_release_waiter"})
_SHORT_S = 0.5  # shorter ones run out by themselves
_LOOK_S = 0.05
_TO_NEXT = 2  # looks at which nothing has changed
_TO_TIMEOUT = 40
_MS = 1_000_000


class Waits:
    """The waits of one loop."""

    def __init__(self, session: VirtualTime, loop: Any, kind: Kind, times: LoopTime) -> None:
        self._session, self._loop, self._kind, self._times = session, loop, kind, times
        self._waiting: list[tuple[int, asyncio.TimerHandle]] = []
        self._is_armed = False
        self._looks = 0
        self._mark: tuple[int, ...] = ()

    def note(self, handle: asyncio.TimerHandle, due: int, delay: float) -> None:
        """Look at a timer that is being set."""
        callback = getattr(handle, "_callback", None)
        if delay >= _SHORT_S and getattr(callback, "__qualname__", "") in _CALLBACKS:
            self._waiting.append((due, handle))
            self._arm()

    def _arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            self._kind.call_later(self._loop, _LOOK_S, self._look)

    def _look(self) -> None:
        self._is_armed = False
        self._waiting = [entry for entry in self._waiting if not self._times.is_done(entry[1])]
        world = self._session.find_world()
        # A loop that is being closed waits for its threads, with a timeout of its own.
        is_closing = getattr(self._loop, "_executor_shutdown_called", False)
        if not self._waiting or self._times.is_over or world is None or is_closing:
            return
        mark = (world.requests, world.answered, world.attempting, world.present(), self._times.activity)
        if mark == self._mark and not self._times.is_busy:
            self._looks += 1
        else:
            self._mark, self._looks = mark, 0
        moment = self._next_moment(world.next_due())
        if moment is not None:
            self._looks = 0
            self._times.pass_to(moment)
        self._arm()

    def _next_moment(self, next_due: int | None) -> int | None:
        """Say how far time is to move now, in ns as the session counts; None: not at all."""
        first = min(self._waiting, key=lambda entry: entry[0])[0]
        due = None if next_due is None else self._session.ns_at(next_due)
        if due is not None and due <= first:
            # What is due already (a callback, on a clock that stands) happens with the next move.
            return max(due, self._session.moved_ns() + _MS) if self._looks >= _TO_NEXT else None
        return first if self._looks >= _TO_TIMEOUT else None
