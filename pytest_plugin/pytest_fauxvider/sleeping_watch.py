"""The watch over one event loop: it moves time to the earliest sleeper once nothing else can happen by itself."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from pytest_fauxvider.sleeping_waits import Waits

if TYPE_CHECKING:
    from pytest_fauxvider.sleeping import VirtualTime

__all__ = ["WAKE", "Kind", "LoopTime", "meant_ns"]

# What the timer of `asyncio.sleep`, and no other, calls.
WAKE: Any = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
_QUIET = 3  # turns of the loop, each of which looks at its sockets, without anything to run
_BLIND = 20  # the same where the loop does not show what it has to run
_SPINNING = 2000  # turns in which something is always ready: a task that waits by spinning
_SOON_S = 0.001  # real
_STUCK = 2000  # looks at requests that stay at work: they wait for something that is not ours
_THREADS = 50  # looks at work in other threads that does not end: it waits for us
_NEVER_S = 31 * 86_400.0
_MS = 1_000_000


class Kind(Protocol):
    """What differs between classes of loops."""

    def call_later(self, loop: Any, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Set a timer in real time."""
        ...

    def fire_due(self, loop: Any, now: int) -> None:
        """Fire the timers that virtual time has reached, where the loop does not do that by itself."""
        ...


class _Sleeper(asyncio.TimerHandle):
    """A sleep's timer, which no loop knows of."""

    def cancel(self) -> None:
        asyncio.Handle.cancel(self)


class LoopTime:
    """The sleeps and timers of one loop, and the watch that moves time when the loop is idle."""

    def __init__(self, session: VirtualTime, loop: Any, kind: Kind) -> None:
        self._session = session
        self._loop = loop
        self._kind = kind
        self._sleepers: list[tuple[int, int, _Sleeper]] = []
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._ready = getattr(loop, "_ready", None)
        self._is_watching = False
        self.is_over = False
        self._quiet = self._turns = self._patience = 0
        self._seen = -1
        self._advance_began: int | None = None  # the number that the first sleeper since then would have
        self._is_settled = True  # no move is under way, and what fell due with the last one has run
        self.in_threads = 0
        self.activity = 0  # timers and sleeps so far
        self._waits = Waits(session, loop, kind, self)

    def sleep(self, delay: float, args: tuple[Any, ...], context: Context | None) -> asyncio.TimerHandle:
        """Take a sleep's timer in; give its handle."""
        self._session.note(delay)
        return self._take_in(_Sleeper(self._loop.time() + delay, WAKE, args, self._loop, context), delay)

    def stall(self, give_up: Callable[[], None]) -> asyncio.TimerHandle:
        """Wait for what never comes: time moves to whatever timer is next."""
        return self._take_in(_Sleeper(self._loop.time() + _NEVER_S, give_up, (), self._loop, None), _NEVER_S)

    def _take_in(self, handle: _Sleeper, delay: float) -> _Sleeper:
        self.activity += 1
        due = self._session.offset_ns() + round(delay * 1_000_000_000)
        heapq.heappush(self._sleepers, (due, next(self._numbers), handle))
        self._quiet = self._turns = 0
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_soon(self._watch)
        return handle

    def note(self, handle: asyncio.TimerHandle, delay: float) -> None:
        """Remember when another timer is due."""
        self.activity += 1
        due = self._session.offset_ns() + meant_ns(delay)
        heapq.heappush(self._timers, (due, next(self._numbers), handle))
        if self._session.waits:
            self._waits.note(handle, due, delay)
        if len(self._timers) > 1000:
            self._timers = [entry for entry in self._timers if not _is_done(entry[2])]
            heapq.heapify(self._timers)

    @property
    def is_busy(self) -> bool:
        """Whether something in this loop is at work, or sleeps: time takes care of itself then."""
        return bool(self._sleepers or self._advance_began is not None or self.in_threads)

    def is_done(self, handle: asyncio.TimerHandle) -> bool:
        return _is_done(handle)

    def pass_to(self, moment: int) -> None:
        """Let time pass to a moment (ns as the session counts) as if somebody slept until then."""
        delay = max(0, moment - self._session.offset_ns()) / 1e9
        self._take_in(_Sleeper(self._loop.time() + delay, _nothing, (), self._loop, None), delay)

    def end(self) -> None:
        """Give what still sleeps to the loop, in real time."""
        self.is_over = True
        now = self._session.moved_ns()
        for due, _, handle in self._sleepers:
            if getattr(handle, "_callback", None) is WAKE and not handle.cancelled() and not self._loop.is_closed():
                self._kind.call_later(self._loop, max(0.0, (due - now) / 1e9), _fire, handle)
        self._sleepers.clear()

    def _watch(self) -> None:
        """Look, once a turn, whether anything can still happen by itself."""
        if self.is_over or not (self._wake_due() if self._is_settled else self._sleepers):
            self._is_watching = False
            return
        self._turns += 1
        if self._ready and self._turns < _SPINNING:
            self._quiet = 0
            self._loop.call_soon(self._watch)
            return
        self._quiet += 1
        if self._quiet < (_BLIND if self._ready is None else _QUIET):
            self._loop.call_soon(self._watch)
            return
        try:
            counts = self._session.look()
        except Exception as error:  # noqa: BLE001 - told to who sleeps
            self._fail(error)
        else:
            self._ask(counts, self._judge)

    def _wake_due(self) -> bool:
        """Wake those whose moment has come, and say whether others sleep."""
        sleepers, now = self._sleepers, self._session.offset_ns()
        while sleepers and (sleepers[0][2].cancelled() or sleepers[0][0] <= now):
            handle = heapq.heappop(sleepers)[2]
            if not handle.cancelled():
                self._loop.call_soon(_fire, handle)
                self._quiet = self._turns = 0
        return bool(sleepers)

    def _ask(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        def tell(done: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                # In the turn after the one that wakes the loop, which has the waking itself among its work.
                self._loop.call_soon_threadsafe(self._loop.call_soon, then, done)

        future.add_done_callback(tell)

    def _again(self, *, later: bool = True) -> None:
        self._quiet = self._turns = 0
        if later:
            self._kind.call_later(self._loop, _SOON_S, self._watch)
        else:
            self._loop.call_soon(self._watch)

    def _judge(self, counts: Future[Any]) -> None:
        """Move time if the emulator has nothing to do for this loop, and had nothing the last time either."""
        if counts.cancelled() or counts.exception() is not None:
            self._fail(_error_of(counts))
            return
        seen, at_work = counts.result()
        self._patience += 1
        is_stuck = self._patience > _STUCK
        if self._advance_began is not None:
            self._run_ahead()
        elif (at_work > 0 and not is_stuck) or (self.in_threads and self._patience < _THREADS):
            self._again()
        elif self._ready and self._turns < _SPINNING:
            self._again(later=False)
        elif seen != self._seen:
            self._seen = seen
            self._again(later=False)
        else:
            self._move()

    def _run_ahead(self) -> None:
        """While time moves: wake a sleeper that a callback waits for, which would else wait for that callback."""
        began = self._advance_began
        fresh = [entry for entry in self._sleepers if began is not None and entry[1] >= began]
        if fresh and self._session.world.attempting:
            entry = min(fresh)
            self._sleepers.remove(entry)
            heapq.heapify(self._sleepers)
            self._session.run_ahead(max(entry[0], self._session.offset_ns()))
            if not entry[2].cancelled():
                self._loop.call_soon(_fire, entry[2])
            self._again(later=False)
        else:
            self._again()

    def _move(self) -> None:
        while self._timers and _is_done(self._timers[0][2]):
            heapq.heappop(self._timers)
        while self._sleepers and self._sleepers[0][2].cancelled():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self._is_watching = False
            return
        target = self._sleepers[0][0]
        if self._timers:
            target = min(target, self._timers[0][0])
        if target <= self._session.moved_ns():
            if self._timers and self._timers[0][0] <= target:  # due by now: it runs by itself
                heapq.heappop(self._timers)
            self._again(later=False)
            return
        try:
            future = self._session.try_move(target)
        except Exception as error:  # noqa: BLE001 - told to who sleeps
            self._fail(error)
            return
        if future is None:
            self._again()
            return
        self._advance_began, self._patience, self._is_settled = next(self._numbers), 0, False
        self._ask(future, self._moved)
        self._again()

    def _moved(self, done: Future[Any]) -> None:
        self._advance_began, self._seen = None, -1
        self._patience = 0
        if done.cancelled() or done.exception() is not None:
            self._fail(_error_of(done))
            return
        self._kind.fire_due(self._loop, self._session.offset_ns())
        # Timers that fell due with the move run in the loop's next turn; the sleepers wake after them.
        self._loop.call_soon(self._loop.call_soon, self._settled)

    def _settled(self) -> None:
        self._is_settled = True
        self._wake_due()

    def _fail(self, error: BaseException) -> None:
        """Time cannot move any more (the world is gone): whoever sleeps is told."""
        self._is_watching, self._is_settled = False, True
        for _, _, handle in self._sleepers:
            future = handle._args[0] if handle._args else None
            if future is not None and not future.done():
                future.set_exception(error)
        self._sleepers.clear()


def meant_ns(delay: float) -> int:
    """Give the span that was meant where a deadline has been reckoned a moment ago: 4.9963 s is 5 s.

    Between `loop.time() + 5` and the setting of the timer another thread may run for some milliseconds.
    """
    for unit in (1.0, 0.1, 0.01):
        above = math.ceil((delay - 0.0005) / unit) * unit
        if above - delay <= min(unit / 5, 0.02):
            return round(above * 1000) * _MS
    return round(delay * 1000) * _MS


def _nothing() -> None:
    """What the timer of a sleeper that is none calls."""


def _error_of(done: Future[Any]) -> BaseException:
    return (None if done.cancelled() else done.exception()) or asyncio.CancelledError()


def _fire(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()


def _is_done(handle: asyncio.TimerHandle) -> bool:
    return handle.cancelled() or not getattr(handle, "_scheduled", True)
