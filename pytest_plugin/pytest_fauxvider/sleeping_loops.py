"""What is replaced in event loops while time is virtual: their clock, their timers, their count of work in threads.

A sleep is known by the callback of its timer, which only `asyncio.sleep` uses. Its timer is not given to
the loop; all other timers are, and are noted too, so that time never jumps over a timeout.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import math
import sys
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Any

from pytest_fauxvider import sleeping_clocks as clocks
from pytest_fauxvider.sleeping import VirtualTime
from pytest_fauxvider.sleeping_watch import WAKE, LoopTime, meant_ns

__all__ = ["install", "stall", "uninstall"]


class _FastTimer(asyncio.TimerHandle):
    """A timer of a loop whose clock cannot be moved: it fires in real time, or when virtual time gets there."""

    def __init__(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], loop: Any, context: Context | None
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.real: Any = None
        self._scheduled = True

    def cancel(self) -> None:
        asyncio.Handle.cancel(self)
        if self.real is not None:
            self.real.cancel()

    def fire(self) -> None:
        if self._scheduled and not self.cancelled():
            self._scheduled = False
            if self.real is not None:
                self.real.cancel()
            self._run()


class _Kind:
    """What is replaced in one class of loops, and the originals."""

    def __init__(self, loop_class: Any) -> None:
        self.loop_class = loop_class
        self.names = ("time", "call_at", "call_later", "run_in_executor")
        self.own = {name: vars(loop_class).get(name) for name in self.names}
        self.real: dict[str, Callable[..., Any]] = {name: getattr(loop_class, name) for name in self.names}
        self.is_fast = not issubclass(loop_class, asyncio.BaseEventLoop)
        self.fast_timers: list[tuple[int, int, _FastTimer]] = []
        self._numbers = itertools.count()

    def call_later(self, loop: Any, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Set a timer in real time."""
        if self.is_fast:
            return self.real["call_later"](loop, delay, callback, *args)
        return self.real["call_at"](loop, loop.time() + delay, callback, *args)

    def replace(self) -> None:
        for name in self.names:
            replacement = functools.partial(_REPLACEMENTS[name], self)
            setattr(self.loop_class, name, _method(self.real[name], replacement))

    def restore(self) -> None:
        for name, own in self.own.items():
            if own is None:
                delattr(self.loop_class, name)
            else:
                setattr(self.loop_class, name, own)

    def fast_timer(
        self, loop: Any, delay: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None
    ) -> _FastTimer:
        timer = _FastTimer(loop.time() + delay, callback, args, loop, context)
        timer.real = self.real["call_later"](loop, delay, timer.fire)
        session = clocks.STATE.session
        due = (session.offset_ns() if session else 0) + meant_ns(delay)
        heapq.heappush(self.fast_timers, (due, next(self._numbers), timer))
        return timer

    def fire_due(self, loop: Any, now: int) -> None:
        """Fire what virtual time has reached, where the loop does not do that by itself."""
        while self.fast_timers and (self.fast_timers[0][0] <= now or self.fast_timers[0][2].cancelled()):
            loop.call_soon(heapq.heappop(self.fast_timers)[2].fire)


def _method(real: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replacement(self, *args, **kwargs)

    return method


_emulators: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
_kinds: dict[Any, _Kind] = {}


def _is_real(loop: Any) -> bool:
    """Say whether a loop is an emulator's or a receiver's; it is looked at in its own thread."""
    known = _emulators.get(loop)
    if known is None:
        known = _emulators[loop] = clocks.is_real_thread()
    return known


def _time_of(session: VirtualTime | None, kind: _Kind, loop: Any) -> LoopTime | None:
    if session is None or _is_real(loop):
        return None
    found = session.loops.get(loop)
    if found is None:
        found = session.loops[loop] = LoopTime(session, loop, kind)
    return found


def _session() -> VirtualTime | None:
    session = clocks.STATE.session
    return session if isinstance(session, VirtualTime) else None


def _time(kind: _Kind, loop: Any) -> float:
    now: float = kind.real["time"](loop)
    if _is_real(loop):
        return now
    session = clocks.STATE.session
    return now + (clocks.STATE.base_ns + (session.offset_ns() if session else 0)) / 1_000_000_000


def _is_sleep(delay: float, callback: object) -> bool:
    """Say whether a timer is a client's sleep.

    The frames above: `_call_later`, the method in its place, `asyncio.sleep`, and who sleeps (or a task's step).
    """
    if callback is not WAKE or not math.isfinite(delay):
        return False
    name = sys._getframe(4).f_globals.get("__name__") or ""
    return name.startswith("asyncio.") or not clocks.is_real_caller(name)


def _call_later(
    kind: _Kind, loop: Any, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
) -> Any:
    times = _time_of(_session(), kind, loop)
    if times is None:
        return kind.real["call_later"](loop, delay, callback, *args, context=context)
    if _is_sleep(delay, callback):
        return times.sleep(delay, args, context)
    if kind.is_fast:
        timer = kind.fast_timer(loop, delay, callback, args, context)
        times.note(timer, delay)
        return timer
    return kind.real["call_later"](loop, delay, callback, *args, context=context)  # it calls call_at


def _call_at(
    kind: _Kind, loop: Any, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
) -> Any:
    if kind.is_fast:
        return _call_later(kind, loop, max(0.0, when - loop.time()), callback, *args, context=context)
    handle = kind.real["call_at"](loop, when, callback, *args, context=context)
    times = _time_of(_session(), kind, loop)
    if times is not None and math.isfinite(when):
        times.note(handle, when - loop.time())
    return handle


def _run_in_executor(kind: _Kind, loop: Any, executor: Any, work: Callable[..., Any], *args: Any) -> Any:
    future = kind.real["run_in_executor"](loop, executor, work, *args)
    times = _time_of(_session(), kind, loop)
    if times is not None:
        times.in_threads += 1
        future.add_done_callback(functools.partial(_thread_done, times))
    return future


def _thread_done(times: LoopTime, _future: object) -> None:
    times.in_threads -= 1


_REPLACEMENTS: dict[str, Callable[..., Any]] = {
    "time": _time,
    "call_at": _call_at,
    "call_later": _call_later,
    "run_in_executor": _run_in_executor,
}


def stall(loop: Any, give_up: Callable[[], None]) -> asyncio.TimerHandle | None:
    """Let time pass in a loop that waits for what never comes: to its next timer, or until it is given up.

    Without virtual time the loop's timers run by themselves, and nothing is done.
    """
    session = _session()
    times = None if session is None else session.loops.get(loop)
    if times is None and session is not None and not _is_real(loop):
        times = _time_of(session, next(kind for own, kind in _kinds.items() if isinstance(loop, own)), loop)
    return None if times is None else times.stall(give_up)


def install(session: VirtualTime) -> None:
    """Replace the methods of the loops' classes, once; the emulator's own loop is never virtual."""
    own = getattr(session.handle._server, "_loop", None)
    if own is not None:
        _emulators[own] = True
    classes: list[Any] = [asyncio.BaseEventLoop]
    if (uvloop := sys.modules.get("uvloop")) is not None:
        classes.append(uvloop.Loop)
    for loop_class in classes:
        if loop_class not in _kinds:
            _kinds[loop_class] = _Kind(loop_class)
            _kinds[loop_class].replace()


def uninstall() -> None:
    for kind in _kinds.values():
        kind.restore()
    _kinds.clear()
