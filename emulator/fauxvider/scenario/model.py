"""What a scenario says, as frozen dataclasses. Pure; read from files by `fauxvider.scenario.parse`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["NO_SCENARIO", "Fault", "Nth", "Predicate", "Rule", "Scenario", "Stage", "When"]

Stage: TypeAlias = Literal["request", "job", "output", "delivery", "attempt", "account"]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on the request body. kinds: equals matches above below present."""

    pointer: tuple[str, ...]
    kind: Literal["equals", "matches", "above", "below", "present"]
    value: Any


@dataclass(frozen=True, slots=True)
class Nth:
    """Which of the counted things: ranges (low, high or None for open), or every n-th."""

    ranges: tuple[tuple[int, int | None], ...] = ()
    every: int = 0

    def includes(self, number: int) -> bool:
        if self.every:
            return number % self.every == 0
        return any(low <= number and (high is None or number <= high) for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class When:
    """What a rule waits for; None means that it does not care. Spans in ms from the world's start."""

    provider: str | None = None
    operations: frozenset[str] | None = None
    does: frozenset[str] | None = None
    models: frozenset[str] | None = None
    events: frozenset[str] | None = None
    nth: Nth | None = None
    job: Nth | None = None
    attempt: Nth | None = None
    inputs: tuple[Predicate, ...] = ()
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its name, its argument (spans in ms), and further arguments (`retry_after`)."""

    name: str
    value: Any
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    number: int  # from 1, as it stands in the file
    on: Stage
    when: When
    do: Fault
    times: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`source` is the mapping that it was read from, so that it can be written down again."""

    name: str
    rules: tuple[Rule, ...] = ()
    about: str = ""
    origin: str = ""
    provider: str | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    def stage(self, on: Stage) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.on == on)


NO_SCENARIO = Scenario("none")
