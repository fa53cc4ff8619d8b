"""When something does not hold: what holds instead. Measured with a clock that can be moved."""

from __future__ import annotations

from collections.abc import Callable

from fauxvider.toolkit.verify.jobs import Watch, begin, phases_of
from fauxvider.toolkit.verify.session import Session

__all__ = ["measure_pace", "measured_span"]

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_USUAL = (
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 20, 30, 45)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 3, 7, 14, 30, 90)),
)
_FINER = 0.01  # by how much each look is later than the one before, as a share of what has passed
_LOOKS = 1_500
_LONGEST = 2 * _HOUR


def measured_span(session: Session, began: int, is_there: Callable[[], bool], *, slack: int) -> int | None:
    """Find after which of the usual spans something is gone, in ms; None if after none of them.

    `began`: the world's moment from which it counts; `slack`: how far on either side of a span is looked, in ms.
    """
    world = session.world
    if world is None:
        return None
    for span in _USUAL:
        world.advance_to(began + span - slack)
        if not is_there():
            return None
        world.advance_to(began + span + slack)
        if not is_there():
            return span
    return None


def measure_pace(session: Session, operation: str, model: str) -> None:
    """Follow a job closely, and tell how long each state lasted, and in which order they came."""
    _, run, watch = begin(session, operation, model)
    seen = _followed(watch)
    stages = phases_of(session, run)
    order = [stage.state.word for stage in stages]
    came = [word for word, _ in seen if word in order]
    if sorted(came) == sorted(order) and came != order:
        session.fail("/lifecycle/phases", "states", " then ".join(order), " then ".join(came), came)
    left = dict(seen)
    starts = dict(zip([word for word, _ in seen], [0, *[ms for _, ms in seen]], strict=False))
    low = high = 0
    for stage in stages:
        shortest, longest = stage.low - low, stage.high - high
        low, high = stage.low, stage.high
        lasted = left[stage.state.word] - starts[stage.state.word] if stage.state.word in left else None
        if lasted is not None and not shortest * 0.97 - 5 <= lasted <= longest * 1.03 + 5:
            observed = {"ms": lasted, "low": shortest, "high": longest}
            session.fail(stage.rule, "pace", f"{shortest} to {longest} ms", f"{lasted} ms", observed)


def _followed(watch: Watch) -> list[tuple[str, int]]:
    """Give each state on the way, and how many ms after acceptance it was left."""
    seen: list[tuple[str, int]] = []
    word, passed = "", 0
    for _ in range(_LOOKS):
        state = watch.look()
        now = state.word if state is not None else ""
        if now != word and word:
            seen.append((word, passed))
        word = now
        if passed > _LONGEST or (state is not None and state.is_terminal):
            return seen
        passed += max(2, int(passed * _FINER))
        watch.to(passed)
    return seen
