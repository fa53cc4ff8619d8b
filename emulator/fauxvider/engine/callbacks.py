"""Callback deliveries: which outcomes count, when the next attempt is due, when it is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from fauxvider.contract.model import Callbacks, Milestone
from fauxvider.engine.facts import Attempt, Delivery
from fauxvider.engine.timeline import Life

__all__ = [
    "delays_of", "delivery_state", "failure_of", "is_accepted", "is_progress", "is_retried", "milestones", "next_due",
]  # fmt: skip

DeliveryState = Literal["pending", "delivered", "failed"]


def is_accepted(callbacks: Callbacks, attempt: Attempt) -> bool:
    """Tell whether the receiver's answer ends the delivery well."""
    return attempt.kind == "http" and _in_classes(attempt.status, callbacks.accept)


def is_retried(callbacks: Callbacks, attempt: Attempt) -> bool:
    """Tell whether the contract tries again after this outcome."""
    on = callbacks.retry.on
    if attempt.kind == "blocked":
        return False
    if "any" in on:
        return True
    if attempt.kind in ("network", "timeout"):
        return attempt.kind in on
    return _in_classes(attempt.status, on)


def _in_classes(status: int | None, classes: frozenset[str]) -> bool:
    return status is not None and (str(status) in classes or f"{status // 100}xx" in classes)


def delays_of(callbacks: Callbacks, delivery: Delivery) -> tuple[int, ...]:
    """Give the waits between the attempts of a delivery."""
    retry = callbacks.retry
    return () if retry.ends_only and is_progress(callbacks, delivery.event) else retry.delays


def next_due(callbacks: Callbacks, delivery: Delivery) -> int | None:
    """Give the moment of the next attempt, or None when there is none to come."""
    attempts = delivery.attempts
    if not attempts:
        return delivery.due
    last, delays = attempts[-1], delays_of(callbacks, delivery)
    if is_accepted(callbacks, last) or not is_retried(callbacks, last) or len(attempts) > len(delays):
        return None
    anchor = last.ended if callbacks.retry.origin == "end" else last.at
    return anchor + delays[len(attempts) - 1]


def delivery_state(callbacks: Callbacks, delivery: Delivery) -> DeliveryState:
    """Give the state of a delivery: it follows from its attempts."""
    if next_due(callbacks, delivery) is not None:
        return "pending"
    return "delivered" if is_accepted(callbacks, delivery.attempts[-1]) else "failed"


def failure_of(callbacks: Callbacks, delivery: Delivery) -> tuple[str, str] | None:
    """Give (reason, detail) of a delivery that was given up, else None."""
    if delivery_state(callbacks, delivery) != "failed":
        return None
    last = delivery.attempts[-1]
    detail = f"HTTP {last.status}" if last.status is not None else last.error
    if len(delivery.attempts) > len(delays_of(callbacks, delivery)) and is_retried(callbacks, last):
        return "max_attempts_exceeded", detail
    reasons = {"http": "http_error", "network": "connection_error"}
    return reasons.get(last.kind, last.kind), detail


# --- before the end


def is_progress(callbacks: Callbacks, event: str) -> bool:
    """Tell whether an event tells of a job that has not ended yet."""
    return any(one.event == event for one in callbacks.progress)


def milestones(callbacks: Callbacks, life: Life, times: Callable[[Milestone], int]) -> list[tuple[int, str]]:
    """Give (moment, event) of all that is told of before a job's end, in order; `times`: how often in a run."""
    found: list[tuple[int, str]] = []
    for one in callbacks.progress:
        moments = _moments(one, life, times)
        is_throttled = one.event in callbacks.throttled
        found += [(at, one.event) for at in (_thinned(moments, callbacks.throttle) if is_throttled else moments)]
    return sorted(found, key=lambda pair: pair[0])


def _moments(one: Milestone, life: Life, times: Callable[[Milestone], int]) -> Iterator[int]:
    if one.when in ("queued", "running"):
        entered = next((at for at, state in life.marks if state.canonical == one.when), None)
        if entered is not None and entered < life.ended:
            yield entered
    elif life.succeeds and not life.is_open:  # nobody knows how far a run comes that is cut off
        if one.when == "output":
            yield life.ended
        elif life.started is not None:
            count = times(one)
            for number in range(1, count + 1):
                yield life.started + (life.ended - life.started) * number // count


def _thinned(moments: Iterable[int], span: int) -> Iterator[int]:
    """Leave out what comes too soon after the last one."""
    last: int | None = None
    for at in moments:
        if last is None or at >= last + span:
            last = at
            yield at
