"""What a contract has for a client to face, and what of it the journal of a world shows to have been faced. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from fauxvider.analysis.entries import Entry, is_lost, moment_of, text_in
from fauxvider.contract.causes import FALLBACKS
from fauxvider.contract.model import Contract, Deadline
from fauxvider.values import span_text
from pytest_fauxvider.coverage.deliveries import delivery_items, faced_deliveries, is_sent
from pytest_fauxvider.coverage.model import ProviderTally

__all__ = ["faced_in", "items_of", "tally_of"]

_OPEN = ("queued", "running")


def tally_of(contract: Contract, entries: Iterable[Entry] = ()) -> ProviderTally:
    """Count one provider in one world; without entries, what there is."""
    faced = faced_in(contract, [entry for entry in entries if entry.get("provider") == contract.provider])
    there = {what: dict(names) for what, names in items_of(contract).items()}
    known = {what: {name: times for name, times in faced[what].items() if name in there[what]} for what in there}
    return ProviderTally(there=there, faced=known, digests=[contract.digest])


# --- what there is


def items_of(contract: Contract) -> Mapping[str, Mapping[str, str]]:
    """Give kind -> name -> about. Contracts are shared by worlds, so this is worked out once for each."""
    return _items(_Same(contract))


class _Same:
    """A contract, known again by identity: it holds mappings, which have no hash."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.contract is self.contract

    def __hash__(self) -> int:
        return id(self.contract)


@lru_cache(maxsize=256)
def _items(same: _Same) -> Mapping[str, Mapping[str, str]]:
    contract = same.contract
    return {
        "operations": {name: f"{one.methods[0]} {one.path}" for name, one in contract.operations.items()},
        "states": {word: state.canonical for word, state in contract.states.items()},
        "errors": {
            cause: f"HTTP {face.status}"
            for cause, face in contract.errors.items()
            if _face_of(contract, cause) == cause
        },
        "outcomes": _outcomes(contract),
        "deliveries": delivery_items(contract),
        "expiries": _expiries(contract),
        "readings": {
            f"{name}={case}": f"{reading.about}: {known.says}"
            for name, reading in contract.readings.items()
            for case, known in reading.cases.items()
            if case != reading.default  # that one is in force wherever nobody asks for another
        },
    }


def _face_of(contract: Contract, cause: str) -> str:
    """Give the cause whose face a client sees: one without a face of its own looks like the one it falls back to."""
    while (other := FALLBACKS.get(cause, "")) in contract.errors:
        mine, theirs = contract.errors[cause], contract.errors[other]
        if (mine.status, mine.values, mine.headers) != (theirs.status, theirs.values, theirs.headers):
            break
        cause = other
    return cause


def _outcomes(contract: Contract) -> dict[str, str]:
    found = {"succeeded": "the job succeeded"}
    if any(one.kind == "cancel" for one in contract.operations.values()):
        found["cancelled"] = "the client cancelled it"
    for name, failure in contract.failures.items():
        found[name] = f"shown as {(failure.state or contract.ends[failure.end]).word}"
    return found


def _expiries(contract: Contract) -> dict[str, str]:
    found = {}
    for name, url in contract.urls.items():
        if url.lives is not None:
            found[f"url {name}"] = f"the link dies after {span_text(url.lives)}"
        if url.keeps is not None:
            found[f"file {name}"] = f"the file is swept after {span_text(url.keeps)}"
    for name, operation in contract.operations.items():
        if operation.keeps is not None:
            found[f"record of {name}"] = f"the provider forgets the job {span_text(operation.keeps)} after its end"
    for deadline in contract.deadlines:
        limit = "" if deadline.default is None else f" after {span_text(deadline.default)}"
        what = f"the job ends as {deadline.failure}" if deadline.failure else "the provider forgets the job"
        found[f"deadline {deadline.name}"] = f"{what}{limit}"
    return found


# --- what was faced


@dataclass(slots=True)
class _Known:
    """What the journal tells of one job."""

    operation: str
    accepted: int
    is_shown: bool = False  # an answer after the submit's has shown it
    ended: int | None = None
    outcome: str = ""
    word: str = ""


@dataclass(slots=True)
class _Facing:
    contract: Contract
    jobs: dict[str, _Known] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # jobs whose end the client could see
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, what: str, name: str) -> None:
        if name:
            self.counts[what][name] += 1


def faced_in(contract: Contract, entries: list[Entry]) -> Mapping[str, Counter[str]]:
    """Give kind -> name -> times, from the entries of one provider (docs/journal.md), in the journal's order."""
    facing = _Facing(contract, counts={what: Counter() for what in items_of(contract)})
    for entry in entries:
        if (note := _NOTED.get(text_in(entry, "kind"))) is not None:
            note(facing, entry)
    for job in facing.seen:
        facing.count("outcomes", facing.jobs[job].outcome)
    facing.counts["deliveries"] = faced_deliveries(contract, entries)
    if entries:
        facing.counts["readings"].update(f"{name}={case}" for name, case in contract.choice.items())
    return facing.counts


def _accepted(facing: _Facing, entry: Entry) -> None:
    facing.jobs[text_in(entry, "job")] = _Known(text_in(entry, "operation"), moment_of(entry))


def _ended(facing: _Facing, entry: Entry) -> None:
    job = facing.jobs.get(text_in(entry, "job"))
    if job is None:
        return
    job.ended, job.word = moment_of(entry), text_in(entry, "word")
    job.outcome = text_in(entry, "failure") or text_in(entry, "state")
    for deadline in facing.contract.deadlines:
        if deadline.failure and deadline.failure == job.outcome:
            facing.count("expiries", f"deadline {deadline.name}")


def _request(facing: _Facing, entry: Entry) -> None:
    operation, cause, job = text_in(entry, "operation"), text_in(entry, "cause"), text_in(entry, "job")
    if operation in facing.contract.operations:
        facing.count("operations", operation)
    if is_lost(entry):
        return
    facing.count("states", text_in(entry, "word"))
    if cause:
        facing.count("errors", _face_of(facing.contract, cause))
        _expired(facing, entry, cause)
    known, state = facing.jobs.get(job), text_in(entry, "state")
    if known is None or not state:
        return
    known.is_shown = known.is_shown or text_in(entry, "does") == "read"
    if known.ended is not None and state not in _OPEN:
        facing.seen.add(job)


def _expired(facing: _Facing, entry: Entry, cause: str) -> None:
    if text_in(entry, "does") == "file":
        _file_expired(facing, entry, cause)
    elif cause == "job_unknown":
        path, at = text_in(entry, "path"), moment_of(entry)
        for job, known in facing.jobs.items():
            if job and (job == text_in(entry, "job") or job in path):
                for name in _gone(facing.contract, known, at):
                    facing.count("expiries", name)


def _file_expired(facing: _Facing, entry: Entry, cause: str) -> None:
    name, known = text_in(entry, "operation"), facing.jobs.get(text_in(entry, "job"))
    url = facing.contract.urls.get(name)
    if cause == "url_expired":
        facing.count("expiries", f"url {name}")
        return
    keeps, ended = url.keeps if url else None, known.ended if known else None
    if cause == "url_unknown" and keeps is not None and ended is not None and moment_of(entry) > ended + keeps:
        facing.count("expiries", f"file {name}")


def _gone(contract: Contract, job: _Known, at: int) -> list[str]:
    """Say by which rules a job that is denied at a moment has been forgotten."""
    operation = contract.operations.get(job.operation)
    keeps = operation.keeps if operation else None
    is_swept = keeps is not None and job.ended is not None and at >= job.ended + keeps
    found = [f"record of {job.operation}"] if is_swept else []
    return found + [f"deadline {one.name}" for one in contract.deadlines if _is_past(one, job, at)]


def _is_past(deadline: Deadline, job: _Known, at: int) -> bool:
    if deadline.failure:
        return False
    if job.ended is None and job.is_shown:  # the client may have asked for another limit than the usual one
        return True
    limit = None if deadline.default is None else job.accepted + deadline.default
    return limit is not None and at >= limit and (job.ended is None or job.ended >= limit)


def _attempt(facing: _Facing, entry: Entry) -> None:
    job = text_in(entry, "job")
    known = facing.jobs.get(job)
    if known is not None and known.ended is not None and is_sent(entry):
        facing.seen.add(job)
        facing.count("states", known.word)


_NOTED: Mapping[str, Callable[[_Facing, Entry], None]] = {
    "accepted": _accepted,
    "ended": _ended,
    "request": _request,
    "attempt": _attempt,
}
