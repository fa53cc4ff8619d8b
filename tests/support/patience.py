"""Patience with what comes by itself, and with what might never end: the one place where tests look at real clocks."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, thread_time

__all__ = ["PATIENCE_S", "patience", "until"]

# For whoever waits for something that comes by itself, from a socket, a thread or a process: only what hangs takes as long.
PATIENCE_S = 60.0


def until(is_so: Callable[[], object], *, every_s: float = 0.01) -> None:
    """Wait until something is so; raises AssertionError when it never is."""
    end, pause = monotonic() + PATIENCE_S, threading.Event()
    while not is_so():
        assert monotonic() < end, "it has not come"
        pause.wait(every_s)


@contextmanager
def patience(limit_s: float = PATIENCE_S) -> Iterator[None]:
    """Fail when the block has used a minute of this thread's processor time.

    It tells what hangs from what does not, and measures nothing: what is refused or read in milliseconds stays far below
    it on the busiest machine, and the same input without its guard has to take hours. How fast something is stands in
    benchmarks/. The garbage collector rests meanwhile, since its time is that of everything else in the process.
    """
    was_on = gc.isenabled()
    gc.disable()
    began = thread_time()
    try:
        yield
        took = thread_time() - began
    finally:
        if was_on:
            gc.enable()
    assert took < limit_s, f"it took {took:.0f} s of processor time: is its guard gone?"
