"""Reading what a rule waits for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from fauxvider.contract.strict import Items, Map
from fauxvider.scenario.model import Nth, Predicate, Stage, When
from fauxvider.scenario.parts import Part, plain

__all__ = ["CONDITIONS", "read_when"]

_EVERY: tuple[Stage, ...] = ("request", "job", "output", "delivery", "attempt", "account")
_OF_JOBS = _EVERY[:-1]
_PREDICATES: tuple[Literal["equals", "matches", "above", "below", "present"], ...] = (
    "equals",
    "matches",
    "above",
    "below",
    "present",
)
_RANGE = re.compile(r"([1-9]\d{0,11})(?:-([1-9]\d{0,11})?)?", re.ASCII)
_COUNTS = 10**12
_MANY = 1000

# key -> the stages that it is for
CONDITIONS: Mapping[str, tuple[Stage, ...]] = {
    "provider": _EVERY,
    "operation": ("request",),
    "does": ("request",),
    "model": _OF_JOBS,
    "nth": _EVERY,
    "job": _OF_JOBS,
    "attempt": ("attempt",),
    "event": ("delivery", "attempt"),
    "input": _OF_JOBS,
    "since": _EVERY,
    "until": _EVERY,
}


def read_when(part: Part, stage: Stage) -> When:
    """Read `when` of a rule on a stage; the contracts are those of its provider. Raises ContractError."""
    part.entries()
    allowed = tuple(key for key, stages in CONDITIONS.items() if stage in stages)
    for key in part.value:
        if key not in allowed:
            problem = f"does not go with `on: {stage}`" if key in CONDITIONS else "is unknown here"
            raise part.wrong(f"the key {key!r} {problem}", allowed=allowed, key=key)

    def read(key: str, how: Any, *rest: Any) -> Any:
        return how(part.at(key), *rest) if key in part.value else None

    since, until = read("since", Part.span), read("until", Part.span)
    if until is not None and until <= (since or 0):
        raise part.at("until").is_not("after `since`, or the world's start")
    return When(
        provider=read("provider", Part.name, "provider"),
        operations=read("operation", _names, "operation"),
        does=read("does", _names, "kind"),
        models=read("model", _names, "model"),
        events=read("event", _names, "event"),
        nth=read("nth", _nth),
        job=read("job", _nth),
        attempt=read("attempt", _nth),
        inputs=tuple(_predicates(part.at("input"))) if "input" in part.value else (),
        since=since,
        until=until,
    )


def _names(part: Part, what: str) -> frozenset[str]:
    return frozenset(one.name(what) for one in part.one_or_more())


def _nth(part: Part) -> Nth:
    if isinstance(part.value, Map):
        return Nth(every=part.mapping(("every",)).at("every").whole(1, _COUNTS))
    if isinstance(part.value, Items) and len(part.value) > _MANY:
        raise part.wrong(f"more than {_MANY} numbers")
    return Nth(tuple(_range(one) for one in part.one_or_more()))


def _range(part: Part) -> tuple[int, int | None]:
    if isinstance(part.value, int) and not isinstance(part.value, bool) and 1 <= part.value < _COUNTS:
        return part.value, part.value
    found = _RANGE.fullmatch(part.value) if isinstance(part.value, str) else None
    if found is not None:
        low = int(found[1])
        high = int(found[2]) if found[2] else None if found[0].endswith("-") else low
        if high is None or high >= low:
            return low, high
    raise part.is_not("a count from 1", allowed=("such as 3", "[1, 3]", "2-4", "3-", "{every: 2}"))


def _predicates(part: Part) -> Iterator[Predicate]:
    for key, entry in part.entries(empty=False):
        pointer = part.pointer(key)
        if not isinstance(entry.value, Map):
            yield Predicate(pointer, "equals", plain(entry.value, floats=True))
            continue
        entry.mapping((), _PREDICATES).entries(empty=False)
        for kind in _PREDICATES:
            if kind in entry.value:
                yield Predicate(pointer, kind, _wanted(entry.at(kind), kind))


def _wanted(part: Part, kind: str) -> Any:
    if kind == "matches":
        try:
            re.compile(part.text())
        except (re.error, RecursionError, OverflowError) as error:
            raise part.is_not(f"a regular expression: {error}") from None
    elif kind == "present" and not isinstance(part.value, bool):
        raise part.is_not("true or false")
    elif kind in ("above", "below") and not part.is_number:
        raise part.is_not("a number")
    return plain(part.value, floats=True)
