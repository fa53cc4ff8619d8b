"""Callback deliveries: which outcomes count, when the next attempt is due, when it is given up."""

from __future__ import annotations

from typing import Literal

from fauxvider.contract.model import Callbacks
from fauxvider.engine.facts import Attempt, Delivery

__all__ = ["delivery_state", "failure_of", "is_accepted", "is_retried", "next_due"]

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


def next_due(callbacks: Callbacks, delivery: Delivery) -> int | None:
    """Give the moment of the next attempt, or None when there is none to come."""
    attempts = delivery.attempts
    if not attempts:
        return delivery.due
    last, delays = attempts[-1], callbacks.retry.delays
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
    if len(delivery.attempts) > len(callbacks.retry.delays) and is_retried(callbacks, last):
        return "max_attempts_exceeded", detail
    reasons = {"http": "http_error", "network": "connection_error"}
    return reasons.get(last.kind, last.kind), detail
