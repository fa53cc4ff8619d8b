"""What is known of a job by its state: the schema of `job.*`, as `fauxvider.engine.timeline` shows one."""

from __future__ import annotations

from dataclasses import dataclass, field

from fauxvider.contract.model import Contract, Operation, Span
from fauxvider.toolkit.openapi.schemas import INTEGER, NULL, NUMBER, Schema, constant, nullable, or_null, record, union

__all__ = ["JobFacts", "ends_of", "first_states", "states_of"]

_NOT_NEGATIVE: Schema = {"type": "integer", "minimum": 0}


@dataclass(frozen=True)
class JobFacts:
    """A set of canonical states that a job may be in, and whether it has started (None: unknown)."""

    states: frozenset[str]
    has_started: bool | None = None
    words: frozenset[str] | None = field(default=None)  # the words it may have, where that is known

    def started(self) -> bool | None:
        if self.has_started is None and self.states <= {"running", "succeeded"}:
            return True
        return self.has_started

    @property
    def is_over(self) -> bool | None:
        """Whether it has ended; None when that differs."""
        open_states = self.states & {"queued", "running"}
        return None if open_states and open_states != self.states else not open_states


def words_of(contract: Contract, facts: JobFacts) -> list[str]:
    """List the words that a job in these states may have."""
    found = [word for word, state in contract.states.items() if state.canonical in facts.states]
    for end, state in contract.ends.items():  # an end without a word of its own borrows one
        if end in facts.states and end in ends_of(contract) and state.said not in found:
            found.append(state.said)
    for failure in contract.failures.values():
        if failure.end in facts.states and failure.state is not None and failure.state.said not in found:
            found.append(failure.state.said)
    return [word for word in found if facts.words is None or word in facts.words]


def ends_of(contract: Contract) -> frozenset[str]:
    """Name the canonical ends that a job of this contract can come to."""
    found = {"succeeded", *(failure.end for failure in contract.failures.values())}
    kinds = {(one.kind, one.becomes) for one in contract.operations.values()}
    if any(kind == "cancel" or (kind, becomes) == ("purge", "cancelled") for kind, becomes in kinds):
        found.add("cancelled")
    return frozenset(found)


def states_of(contract: Contract) -> frozenset[str]:
    """Name all the canonical states that a job of this contract can be in."""
    return ends_of(contract) | {phase.state.canonical for phase in contract.phases}


def first_states(contract: Contract, operation: Operation) -> frozenset[str]:
    """Name the states that a new job may be in when its submission is answered."""
    waits = operation.waits
    if waits is not None:
        return states_of(contract)
    found: set[str] = set()
    for phase in contract.phases:
        found.add(phase.state.canonical)
        laws = [phase.lasts, *(model.timing[phase.state.word] for model in contract.models.values() if
                               phase.state.word in model.timing)]  # fmt: skip
        if not any(_may_be_nothing(law) for law in laws):
            return frozenset(found)
    return frozenset(found) | ends_of(contract)


def _may_be_nothing(law: Span) -> bool:
    if law.kind == "fixed":
        return law.high == 0 and law.low == 0
    return law.low == 0 if law.kind == "uniform" else law.kind == "around" and law.high == 0


def job_schema(contract: Contract, facts: JobFacts, ids: list[Schema]) -> Schema:
    """Give the schema of `job`, but for its failure and result: `ids` are those it may have."""
    members = {
        "id": union(ids) or {},
        "number": _NOT_NEGATIVE,
        "status": or_null(union(constant(word) for word in words_of(contract, facts))),
        "state": or_null(union(constant(state) for state in sorted(facts.states))),
        "accepted": INTEGER,
        "seed": INTEGER,
        "retries": nullable({"type": "integer", "minimum": 1}),
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "origin_state": {"type": "string"},
        "model": {"type": "string"},
        "steps": nullable(INTEGER),
        "removed": _removed(contract, facts),
        **_moments(facts),
        "cost": _cost(contract, facts),
    }
    return record(members)


def _removed(contract: Contract, facts: JobFacts) -> Schema:
    is_possible = contract.removal is not None and facts.is_over is not False
    return {"type": "boolean"} if is_possible else constant(False)


def _moments(facts: JobFacts) -> dict[str, Schema]:
    started, over = facts.started(), facts.is_over
    return {
        "started": _known(INTEGER, started),
        "queued_ms": _known(_NOT_NEGATIVE, started),
        "ended": _known(INTEGER, over),
        "total_ms": _known(_NOT_NEGATIVE, over),
        "run_ms": _known(_NOT_NEGATIVE, False if over is False else started if over else None),
    }


def _known(schema: Schema, is_there: bool | None) -> Schema:
    return NULL if is_there is False else schema if is_there else nullable(schema)


def _cost(contract: Contract, facts: JobFacts) -> Schema:
    paid = facts.states & contract.account.charge
    if not paid:
        return NULL
    priced: Schema = {**NUMBER, "minimum": 0}
    return priced if paid == facts.states else nullable(priced)


def result_schema(facts: JobFacts, results: Schema | None) -> Schema:
    """Give the schema of `job.result`: what a success shows, and null before it and without it."""
    found = [results] if "succeeded" in facts.states else []
    return or_null(union(found if facts.states == {"succeeded"} else [*found, NULL]))
