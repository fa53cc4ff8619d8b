"""Request limits: whether one more fits, and how long to wait if not.

`Window` is the state of one limit for one caller; a store keeps it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from fauxvider.contract.model import Limit

__all__ = ["Verdict", "Window", "take"]


@dataclass(slots=True)
class Window:
    """`times` serves sliding windows, `start` and `used` fixed ones and calls in flight."""

    times: deque[int] = field(default_factory=deque)
    start: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait` is 0 when the request fits, else the ms until one would; `reset` is a moment."""

    wait: int
    count: int
    remaining: int
    reset: int


def take(limit: Limit, window: Window, now: int, *, count: int) -> Verdict:
    """Count one request against a limit of `count`, unless it is full."""
    if limit.kind == "sliding":
        return _sliding(limit, window, now, count)
    if limit.kind == "fixed":
        return _fixed(limit, window, now, count)
    if window.used >= count:
        return Verdict(1000, count, 0, now + 1000)
    window.used += 1
    return Verdict(0, count, count - window.used, now)


def _sliding(limit: Limit, window: Window, now: int, count: int) -> Verdict:
    times, oldest = window.times, now - limit.window
    while times and times[0] <= oldest:
        times.popleft()
    if len(times) >= count:
        free = (times[0] if times else now) + limit.window
        return Verdict(max(1, free - now), count, 0, free)
    times.append(now)
    return Verdict(0, count, count - len(times), times[0] + limit.window)


def _fixed(limit: Limit, window: Window, now: int, count: int) -> Verdict:
    start = now - now % limit.window
    if window.start != start:
        window.start, window.used = start, 0
    reset = start + limit.window
    if window.used >= count:
        return Verdict(max(1, reset - now), count, 0, reset)
    window.used += 1
    return Verdict(0, count, count - window.used, reset)
