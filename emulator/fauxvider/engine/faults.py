"""Whether a scenario's rule fits a thing that is about to happen, and what jobs carry of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fauxvider.engine.plan import at_pointer
from fauxvider.scenario.model import Predicate, When

__all__ = ["Thing", "fits", "is_met"]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a rule may be about. What is not known of it stays empty."""

    provider: str
    since: int  # ms since the world's start
    operation: str = ""
    does: str = ""
    model: str = ""
    job: int = 0
    attempt: int = 0
    events: tuple[str, ...] = ()
    body: Any = None


def fits(when: When, thing: Thing) -> bool:
    """Tell whether everything but `nth` (which needs counting) holds."""
    return (
        when.provider in (None, thing.provider)
        and _is_in(when.operations, thing.operation)
        and _is_in(when.does, thing.does)
        and _is_in(when.models, thing.model)
        and (when.events is None or any(event in when.events for event in thing.events))
        and (when.job is None or when.job.includes(thing.job))
        and (when.attempt is None or when.attempt.includes(thing.attempt))
        and (when.since is None or thing.since >= when.since)
        and (when.until is None or thing.since < when.until)
        and all(is_met(predicate, thing.body) for predicate in when.inputs)
    )


def _is_in(names: frozenset[str] | None, name: str) -> bool:
    return names is None or name in names


def is_met(predicate: Predicate, body: Any) -> bool:
    """Tell whether a predicate holds for a request body."""
    actual, wanted = at_pointer(body, predicate.pointer), predicate.value
    if predicate.kind == "present":
        return (actual is not None) == bool(wanted)
    if predicate.kind == "equals":
        return _same(actual, wanted)
    if predicate.kind == "matches":
        return isinstance(actual, str) and re.search(str(wanted), actual[:10_000]) is not None
    if isinstance(actual, bool) or not isinstance(actual, (int, float, Decimal)):
        return False
    return bool(actual > wanted) if predicate.kind == "above" else bool(actual < wanted)


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(actual, dict) and all(_same(actual.get(key), value) for key, value in wanted.items())
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return bool(actual == wanted)
