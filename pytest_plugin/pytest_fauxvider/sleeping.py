"""No test waits: while `virtual_sleep` is on, a client that sleeps moves the world's time instead.

    with Server() as server, server.world(clock="manual") as world, virtual_sleep(world) as slept:
        client.poll_until_done()            # time.sleep(2) between polls takes no time
        assert slept.spans == [2, 2, 2]

What holds while it is on:

- ``time.sleep(2)`` moves the world by exactly two seconds and settles what falls due, callbacks included;
  `time.monotonic`, `time.perf_counter` and `time.time` move by as much, so deadlines end. They also move
  with the world's own `advance`. Clocks that never run back stay moved after the end.
- `asyncio.sleep` (and what rests on it: anyio, tenacity, stamina) waits until its loop is idle: nothing
  ready to run, no request at work at the provider. Then time moves to the earliest sleeper. Two tasks that
  sleep two seconds at once take two seconds. Timeouts that are due before that come first.
- A sleep inside a callback's handler returns at once: the handler's own clock moves, and the world's does
  not, because the world stands at the moment of that callback until it is answered. (As in life, where the
  handler's time is a part of the time that its client sleeps.)
- A sleep in any of the client's threads counts. The emulator's own threads, pytest, Hypothesis and what
  waits on real threads (`threading`, `queue`, `subprocess`) always see real time.
- A task that waits with a timeout, and does not sleep, lets time pass as well, at the cost of a little real time
  (`sleeping_waits`): a client that waits for its callback gets it.
- trio has its own virtual clock (`trio.testing.MockClock`); it is left alone. So is `datetime.now`.

Instead of replacing `asyncio.sleep` the loops' timers are watched: every sleep, however it was imported or
passed on, ends in a timer. A test without virtual time runs on the loops' own methods.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_fauxvider import sleeping_clocks as clocks

if TYPE_CHECKING:
    from concurrent.futures import Future

    from fauxvider import WorldHandle
    from fauxvider.service.world import World
    from pytest_fauxvider.sleeping_watch import LoopTime

__all__ = ["EndlessSleepError", "VirtualTime", "begin_run", "end_run", "install", "uninstall", "virtual_sleep"]

_MS = 1_000_000  # ns
_DAY_S = 86_400
MOST = 4_000  # sleeps: with a request each they still fit into a capsule
LIMIT_DAYS = 400
_runs: list[None] = []
_PATIENCE_S = 0.005  # real: how long a thread waits for another one's advance before it looks again


class EndlessSleepError(BaseException):
    """The client sleeps again and again: it would never have ended.

    No Exception, so that a client that survives every error does not survive this one.
    """


class VirtualTime:
    """Virtual time that is on. ``spans``: what the client has slept so far, in seconds, in order."""

    def __init__(self, handle: WorldHandle, *, most: int, limit_days: float, waits: bool) -> None:
        self.handle = handle
        self.spans: list[float] = []
        self.most = most
        self.waits = waits
        self.limit_s = limit_days * _DAY_S
        self._server = handle._server
        self._began = self.world.present()
        self._moved_ms = 0
        self._part_ns = 0  # slept, and too short for the world's milliseconds
        self._lock = threading.Lock()  # who holds it moves time
        self._ahead: dict[int, int] = {}  # by thread: its own clock, where a handler's sleep has moved that
        self._total_s = 0.0
        self.loops: dict[Any, LoopTime] = {}

    def find_world(self) -> World | None:
        return self._server.emulator.find_world(self.handle.name)

    def ns_at(self, moment: int) -> int:
        """Give a moment of the world as this counts."""
        return (moment - self._began) * _MS

    @property
    def world(self) -> World:
        return self._server.emulator.world(self.handle.name)

    @property
    def seconds(self) -> float:
        """How long the client has slept in all."""
        return self._total_s

    def moved_ns(self) -> int:
        """How far the world has moved since this is on."""
        world = self.find_world()
        if world is not None:
            self._moved_ms = world.present() - self._began
        return self._moved_ms * _MS + self._part_ns

    def offset_ns(self) -> int:
        moved = self.moved_ns()
        return max(moved, self._ahead.get(threading.get_ident(), 0)) if self._ahead else moved

    def furthest_ns(self) -> int:
        """How far any thread's clock has moved: no clock may run back."""
        return max(self.moved_ns(), *self._ahead.values(), 0)

    def note(self, seconds: float) -> None:
        """Write down that the client sleeps. Raises EndlessSleepError."""
        self.spans.append(seconds)
        self._total_s += seconds
        if len(self.spans) > self.most or self._total_s > self.limit_s:
            raise EndlessSleepError(
                f"the client has slept {len(self.spans)} times, {self._total_s:.0f} s of virtual time, the last "
                f"time for {seconds:g} s: this loop does not end (virtual_sleep(most=..., limit_days=...) allows more)"
            )

    def sleep(self, seconds: float) -> None:
        """Sleep in the calling thread."""
        self.note(seconds)
        span = round(seconds * 1_000_000_000)
        until = self.offset_ns() + span
        while self.offset_ns() < until:
            if self.world.attempting:
                self.run_ahead(until)
            elif self._lock.acquire(timeout=_PATIENCE_S):
                try:
                    self._move(until)
                finally:
                    self._lock.release()

    def run_ahead(self, until: int) -> None:
        """Move the calling thread's clocks alone: the world stands at a callback that waits for its answer."""
        self._ahead[threading.get_ident()] = until

    def _move(self, until: int) -> None:
        span = self._span_to(until)
        if span is not None:
            self._server.call(self.world.advance(span))

    def _span_to(self, until: int) -> int | None:
        """Give the ms that the world has to move, and keep the rest; None when it has got there."""
        gap = until - (moved := self.moved_ns())
        if gap <= 0:
            return None
        whole = until // _MS - (moved - self._part_ns) // _MS
        self._part_ns = until % _MS
        return whole

    def try_move(self, until: int) -> Future[Any] | None:
        """Begin to move time, for a loop that must go on; None while somebody else moves it."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            future = self._server.begin(self.world.advance(self._span_to(until) or 0))
        except BaseException:
            self._lock.release()
            raise
        future.add_done_callback(lambda _done: self._lock.release())
        return future

    def look(self) -> Future[tuple[int, int]]:
        """Ask the emulator, after all that has reached it, for its count of requests and those still at work."""
        return self._server.begin(_counts(self.world))


async def _counts(world: World) -> tuple[int, int]:
    import asyncio

    # What is in the sockets by now is read, accepted, answered or at work after a few turns.
    for _ in range(4):
        await asyncio.sleep(0)
    return world.requests, world.requests - world.answered - world.held


def install() -> None:
    """Put stand-ins into the `time` module, so that what is imported from now on can be virtual. Cheap."""
    clocks.install()


def begin_run(*, is_virtual: bool = True) -> None:
    """Note that a run of pytest begins: of runs within runs, the end of the last takes everything back.

    Where sleep is real unless a test asks otherwise, nothing is replaced until one does.
    """
    _runs.append(None)
    if is_virtual:
        clocks.install()
    elif len(_runs) == 1:
        uninstall()


def end_run() -> None:
    _runs.pop()
    if not _runs:
        uninstall()


def uninstall() -> None:
    """Take everything back."""
    if loops := sys.modules.get("pytest_fauxvider.sleeping_loops"):
        loops.uninstall()
    clocks.uninstall()


@contextlib.contextmanager
def virtual_sleep(
    world: WorldHandle, *, most: int = MOST, limit_days: float = LIMIT_DAYS, waits: bool = True
) -> Iterator[VirtualTime]:
    """Make the client's sleeps virtual, in the time of `world`, for the length of a ``with`` block.

    A client that sleeps more than `most` times, or longer than `limit_days` in all, gets EndlessSleepError.
    With `waits`, time passes for a task too that only waits with a timeout.
    Raises UsageError when the world's clock runs by itself, or when time is virtual already.
    """
    from fauxvider.errors import UsageError
    from pytest_fauxvider import sleeping_loops

    session = VirtualTime(world, most=most, limit_days=limit_days, waits=waits)
    clock = session.world.clock
    if not clock.is_virtual:
        raise UsageError(f"the clock {clock.spec} moves by itself: sleep is virtual with manual and stepping clocks")
    if clocks.STATE.session is not None:
        raise UsageError("sleep is virtual already, in another world: one at a time")
    was_installed = clocks.is_installed()
    clocks.install()
    clocks.take_over_names()
    sleeping_loops.install(session)
    clocks.STATE.session = session
    try:
        yield session
    finally:
        clocks.STATE.session = None
        clocks.STATE.base_ns += session.furthest_ns()
        for loop_time in session.loops.values():
            loop_time.end()
        if not was_installed:
            uninstall()
