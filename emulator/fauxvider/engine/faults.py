"""Whether a scenario's rule fits a thing that is about to happen, and what jobs carry of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from fauxvider.contract.model import Contract
from fauxvider.engine.plan import at_pointer
from fauxvider.scenario.known import known_names
from fauxvider.scenario.model import Predicate, Rule, When

__all__ = ["Test", "Thing", "conditions_of", "fits", "is_met", "is_understood"]


@dataclass(slots=True)
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


Test: TypeAlias = Callable[[Any, Thing], bool]

_TESTS: Mapping[str, Test] = {
    "provider": lambda wanted, thing: wanted == thing.provider,
    "operations": lambda wanted, thing: thing.operation in wanted,
    "does": lambda wanted, thing: thing.does in wanted,
    "models": lambda wanted, thing: thing.model in wanted,
    "events": lambda wanted, thing: any(event in wanted for event in thing.events),
    "job": lambda wanted, thing: wanted.includes(thing.job),
    "attempt": lambda wanted, thing: wanted.includes(thing.attempt),
    "since": lambda wanted, thing: thing.since >= wanted,
    "until": lambda wanted, thing: thing.since < wanted,
    "inputs": lambda wanted, thing: wanted(thing.body),
}


_KIND = ("provider", "operations", "does", "models")  # what many things have in common


def conditions_of(when: When, *, of_kind: bool | None = None) -> tuple[tuple[Test, Any], ...]:
    """Give a test, and what it wants, for each thing that a rule asks about; `nth` needs counting and is none.

    `of_kind`: only those (not) about the thing's kind: its provider, operation and model.
    """
    names = [name for name in _TESTS if of_kind is None or (name in _KIND) == of_kind]
    asked = [(name, wanted) for name in names if (wanted := getattr(when, name)) not in (None, ())]
    return tuple((_TESTS[name], _looking(wanted) if name == "inputs" else wanted) for name, wanted in asked)


def _looking(predicates: Sequence[Predicate]) -> Callable[[Any], bool]:
    """Make one test of a body from predicates: it is done for every submit, the making once."""
    checks = tuple((predicate.pointer, _check(predicate)) for predicate in predicates)

    def look(body: Any) -> bool:
        for pointer, check in checks:  # noqa: SIM110 - a loop costs half of all() over a generator
            if not check(at_pointer(body, pointer)):
                return False
        return True

    return look


def fits(when: When, thing: Thing) -> bool:
    """Tell whether everything but `nth` (which needs counting) holds."""
    return all(test(wanted, thing) for test, wanted in conditions_of(when))


# What a fault names of a contract: the sort of name, and how to find the names in its argument.
_NAMED: Mapping[tuple[str, str], tuple[str, Callable[[Any], list[str]]]] = {
    ("request", "refuse"): ("cause", lambda value: [value]),
    ("job", "stuck"): ("phase", lambda value: [value]),
    ("job", "fail"): ("failure", lambda value: [value]),
    ("job", "lose_worker"): ("failure", lambda value: [] if value["ends"] == "succeeded" else [value["ends"]]),
    ("job", "extra"): ("phase", lambda value: [value["after"]]),
    ("job", "flicker"): ("state", lambda value: [value["word"]]),
    ("job", "words"): ("state", list),
    ("account", "quota"): ("limit", lambda value: [value["limit"]]),
    ("account", "reading"): ("reading", list),
}


def is_understood(contract: Contract, rule: Rule) -> bool:
    """Tell whether a contract has everything that a rule's fault names; words of other providers do no harm."""
    what, names_in = _NAMED.get((rule.on, rule.do.name), ("", None))
    if names_in is None:
        return True
    known = known_names({contract.provider: contract}, what) or ()
    found = [name in known for name in names_in(rule.do.value)]
    return any(found) if rule.do.name == "words" else all(found)


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def is_met(predicate: Predicate, body: Any) -> bool:
    """Tell whether a predicate holds for a request body."""
    return _check(predicate)(at_pointer(body, predicate.pointer))


def _check(predicate: Predicate) -> Callable[[Any], bool]:
    """Give the test of what stands at a predicate's pointer (None: nothing)."""
    wanted = predicate.value
    if predicate.kind == "present":
        return lambda actual: (actual is not None) == bool(wanted)
    if predicate.kind == "equals":
        return lambda actual: _same(actual, wanted)
    if predicate.kind == "matches":
        search = _compiled(str(wanted)).search
        return lambda actual: isinstance(actual, str) and search(actual, 0, _LONGEST) is not None
    if predicate.kind == "above":
        return lambda actual: _is_number(actual) and bool(actual > wanted)
    return lambda actual: _is_number(actual) and bool(actual < wanted)


_LONGEST = 10_000  # characters of a text that patterns look at


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(actual, dict) and all(_same(actual.get(key), value) for key, value in wanted.items())
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return bool(actual == wanted)
