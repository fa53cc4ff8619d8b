"""The only reader of time: four clocks, one interface (`fauxvider.ports.Clock`)."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation

from fauxvider.errors import UsageError
from fauxvider.values import parse_span, span_text

__all__ = ["EPOCH", "HeldClock", "ManualClock", "RealClock", "make_clock", "monotonic_ms", "precise_s", "wall_ms"]

# Where virtual clocks start unless told otherwise, so that a run repeats byte for byte.
EPOCH = 1_767_225_600_000  # 2026-01-01T00:00:00Z

_CLOCKS = "real, scaled:N (N times as fast), manual, stepping or stepping:SPAN"


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def precise_s() -> float:
    """Give seconds of a clock of no known start, as finely as can be: for spans."""
    return time.perf_counter()


def wall_ms() -> int:
    """Give the time that processes and machines have in common, ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


class RealClock:
    """Runs by itself, `speed` times as fast as the wall clock.

    It reads the monotonic clock, so that a stepped wall clock moves nothing.
    """

    is_virtual = False
    step = 0

    def __init__(self, *, speed: Decimal = Decimal(1), start: int | None = None) -> None:
        self.speed = speed
        self._start = int(time.time() * 1000) if start is None else start
        self._since = time.monotonic_ns()
        self._factor = float(speed) / 1_000_000

    @property
    def spec(self) -> str:
        return "real" if self.speed == 1 else f"scaled:{self.speed}"

    def now(self) -> int:
        return self._start + int((time.monotonic_ns() - self._since) * self._factor)

    def move_to(self, moment: int) -> None:
        """A running clock is not moved."""

    def real_seconds(self, span: int) -> float:
        return span / 1000 / float(self.speed)


class ManualClock:
    """Stands still until it is moved; with a step, each provider request moves it too."""

    is_virtual = True

    def __init__(self, *, start: int = EPOCH, step: int = 0) -> None:
        self.step = step
        self._now = start

    @property
    def spec(self) -> str:
        return f"stepping:{span_text(self.step)}" if self.step else "manual"

    def now(self) -> int:
        return self._now

    def move_to(self, moment: int) -> None:
        self._now = max(self._now, moment)

    def real_seconds(self, span: int) -> float:
        """A virtual span takes no real time of its own; a receiver gets the span as patience."""
        return span / 1000


class HeldClock:
    """A running clock that shows the moment at which it was last looked at.

    What happens between two looks happens at one moment, so that a run can be repeated to the millisecond.
    """

    is_virtual = False
    step = 0

    def __init__(self, clock: RealClock) -> None:
        self._clock = clock
        self._now = clock.now()

    @property
    def spec(self) -> str:
        return self._clock.spec

    def now(self) -> int:
        return self._now

    def look(self) -> int:
        """Take the present moment over, and give it."""
        self._now = self._clock.now()
        return self._now

    def present(self) -> int:
        """Give the present moment, for who asks from outside."""
        return self._clock.now()

    def move_to(self, moment: int) -> None:
        """A running clock is not moved."""

    def real_seconds(self, span: int) -> float:
        return self._clock.real_seconds(span)


def make_clock(spec: str, *, start: int | None = None, step: object = None) -> RealClock | ManualClock:
    """Make a clock from its text (see `_CLOCKS`). Raises UsageError naming what is allowed."""
    kind, _, argument = spec.partition(":")
    if kind == "real" and not argument:
        return RealClock(start=start)
    if kind == "scaled":
        try:
            speed = Decimal(argument)
        except InvalidOperation:
            speed = Decimal(0)
        if speed.is_finite() and 0 < speed <= 10**6:
            return RealClock(speed=speed, start=start)
    if kind == "manual" and not argument:
        return ManualClock(start=EPOCH if start is None else start)
    if kind == "stepping":
        span = parse_span(argument or (step if step is not None else "1s"))
        if span > 0:
            return ManualClock(start=EPOCH if start is None else start, step=span)
    raise UsageError(f"{spec!r} is not a clock (allowed: {_CLOCKS})")
