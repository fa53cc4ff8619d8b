"""A guard against work that never ends: the one place where a test may look at a clock of the machine."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

__all__ = ["PATIENCE_S", "patience"]

# For whoever waits for something that comes by itself: a socket, a thread, a process. Reached only by what hangs.
PATIENCE_S = 60.0


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
