"""What a scenario does to a job's life: a changed plan, events to come, and what the job carries along.

Decided once, when the job is accepted; from then on it is a fact like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Contract, State
from fauxvider.engine.facts import Event, Plan, Twist
from fauxvider.scenario.model import Fault

__all__ = ["FOREVER", "JOB_FAULTS", "Twisted", "twisted"]

FOREVER = 100 * 365 * 86_400_000


@dataclass(slots=True)
class Twisted:
    """A plan under change. `accepted` is the job's moment."""

    contract: Contract
    accepted: int
    plan: Plan
    events: list[Event] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    extra: list[tuple[State, str, int]] = field(default_factory=list)
    hidden: int = 0
    gone: int | None = None
    flicker: tuple[str, int, int] | None = None
    output: dict[str, Any] = field(default_factory=dict)

    def twist(self) -> Twist | None:
        """Give what the job carries; None if nothing."""
        made = Twist(
            words=dict(self.words),
            extra=tuple(self.extra),
            hidden=self.hidden,
            gone=self.gone,
            flicker=self.flicker,
            output=dict(self.output),
        )
        return None if made == Twist() else made


def twisted(
    contract: Contract, plan: Plan, *, accepted: int, jobs: Sequence[Fault], outputs: Sequence[Fault]
) -> Twisted:
    """Apply the job's faults and note those of its pictures."""
    state = Twisted(contract, accepted, plan)
    for fault in jobs:
        JOB_FAULTS[fault.name](state, fault)
    for fault in outputs:
        state.output.setdefault(fault.name, fault.value)
    return state


def _phases(state: Twisted, change: Callable[[str, str, int], int]) -> None:
    """Change the length of each phase: `change(word, canonical, ms) -> ms`."""
    phases = zip(state.contract.phases, state.plan.phases, strict=False)
    spans = tuple(change(phase.state.word, phase.state.canonical, span) for phase, span in phases)
    state.plan = replace(state.plan, phases=spans)


def _stuck(state: Twisted, fault: Fault) -> None:
    # For ever means that the provider's own deadlines do not end it either.
    state.plan = replace(state.plan, deadlines=())
    _phases(state, lambda word, _, span: FOREVER if word == fault.value else span)


def _slow(state: Twisted, fault: Fault) -> None:
    if isinstance(fault.value, Mapping):
        factor = Decimal(fault.value["factor"])
        _phases(state, lambda _, __, span: min(FOREVER, int(span * factor)))
        return
    last = state.contract.phases[-1].state.word
    _phases(state, lambda word, _, span: span + int(fault.value) if word == last else span)


def _fail(state: Twisted, fault: Fault) -> None:
    state.plan = replace(state.plan, failure=str(fault.value))


def _cancel(state: Twisted, fault: Fault) -> None:
    at = state.accepted + int(fault.value)
    if "cancelled" in state.contract.ends:
        state.events.append(Event(at, "cancelled", name="provider"))
    else:  # a provider without a word for it fails the job
        state.events.append(Event(at, "forced", name=state.contract.default_failure))


def _moderate(state: Twisted, _fault: Fault) -> None:
    state.plan = replace(state.plan, failure=_failure_with(state.contract, "moderated"))


def _failure_with(contract: Contract, end: str) -> str:
    found = next((name for name, failure in contract.failures.items() if failure.end == end), None)
    return found or contract.default_failure


def _time_out(state: Twisted, fault: Fault) -> None:
    limits = [deadline.failure for deadline in state.contract.deadlines if deadline.failure]
    ends = {failure.end for failure in state.contract.failures.values()}
    name = _failure_with(state.contract, "timed_out") if "timed_out" in ends or not limits else limits[0]
    state.events.append(Event(state.accepted + int(fault.value), "forced", name=name))


def _lose_worker(state: Twisted, fault: Fault) -> None:
    queued = sum(
        span
        for phase, span in zip(state.contract.phases, state.plan.phases, strict=False)
        if phase.state.canonical == "queued"
    )
    at = state.accepted + queued + int(fault.value["after"])
    ends = fault.value["ends"]
    again = replace(state.plan, failure="" if ends == "succeeded" else ends)
    # The worker is lost in mid-run, however short the run would have been.
    _phases(state, lambda _, canonical, span: max(span, at) if canonical == "running" else span)
    state.events.append(Event(at, "requeued", plan=again))


def _words(state: Twisted, fault: Fault) -> None:
    for word, other in fault.value.items():
        state.words.setdefault(word, other)


def _extra(state: Twisted, fault: Fault) -> None:
    after = fault.value["after"]
    known = state.contract.states[after]
    state.extra.append((State(fault.value["word"], known.canonical), after, int(fault.value["lasts"])))


def _hidden(state: Twisted, fault: Fault) -> None:
    state.hidden = max(state.hidden, int(fault.value))


def _gone(state: Twisted, fault: Fault) -> None:
    state.gone = int(fault.value)


def _flicker(state: Twisted, fault: Fault) -> None:
    state.flicker = (fault.value["word"], int(fault.value["after"]), int(fault.value["lasts"]))


JOB_FAULTS: Mapping[str, Callable[[Twisted, Fault], None]] = {
    "stuck": _stuck,
    "slow": _slow,
    "fail": _fail,
    "cancel": _cancel,
    "moderate": _moderate,
    "time_out": _time_out,
    "lose_worker": _lose_worker,
    "words": _words,
    "extra": _extra,
    "hidden": _hidden,
    "gone": _gone,
    "flicker": _flicker,
}
