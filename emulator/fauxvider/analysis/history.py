"""A world's journal, indexed for the verdict: jobs with all that was asked, tried, fetched and said about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from fauxvider.analysis.entries import is_lost, moment_of, money_in, ordered, text_in, whole_in
from fauxvider.analysis.job_story import Asked, End, JobStory, Note, Shown, Tried
from fauxvider.analysis.payments import Money
from fauxvider.contract.model import Contract
from fauxvider.engine.callbacks import is_accepted, is_retried
from fauxvider.engine.facts import Attempt
from fauxvider.values import parse_span

__all__ = ["History"]

_OPEN = frozenset({"queued", "running"})
_UNSENT = frozenset({"lose", "answer"})  # faults in which nothing reaches the receiver
_DAY = 86_400_000  # ms
_GARBLED = frozenset({"garble json", "garble encoding"})
_LATE = 10_000  # ms; nobody knows how long a client waits


class History:
    """All that a journal tells about the client. Entries of providers without a contract are passed over."""

    def __init__(self, entries: Iterable[Mapping[str, Any]], contracts: Mapping[str, Contract], *, now: int) -> None:
        self.contracts = contracts
        self.now = now
        self.began = now
        self.dropped = 0
        self._place = 0
        self.jobs: dict[str, JobStory] = {}
        self.requests: list[Asked] = []
        self.notes: list[Note] = []
        self._by_number: dict[int, Asked] = {}
        self._by_path: dict[str, str] = {}
        self._files: list[Asked] = []
        self._strays: list[Asked] = []
        self._faults: dict[str, set[str]] = {}
        found = ordered(entries)
        if found:
            self.began = moment_of(found[0])
        for self._place, entry in enumerate(found):
            self._by_kind(entry)
        for job in self.jobs.values():
            job.faults = self._faults.get(job.id, set())
        self._place_files()

    def of(self, provider: str, *kinds: str) -> Iterator[Asked]:
        """Give the requests to a provider that do one of these kinds of thing."""
        return (one for one in self.requests if one.provider == provider and one.does in kinds)

    def repeated(self) -> Iterator[list[Asked]]:
        """Give the requests by what they ask for: equal ones, as far as they can be told to be equal.

        Not by key: a request that is refused early shows none.
        """
        groups: dict[tuple[str, ...], list[Asked]] = {}
        for one in self.requests:
            if one.fingerprint or one.method in ("GET", "DELETE"):
                key = (one.provider, one.method, one.path, one.fingerprint)
                groups.setdefault(key, []).append(one)
        return iter(groups.values())

    def is_held_at(self, provider: str, moment: int) -> bool:
        """Whether a scenario was holding an answer back just then: who waits for it can do nothing else."""
        return any(one.at < moment <= one.ended for one in self.requests if one.provider == provider and one.is_late)

    def replaced_by(self, job: JobStory) -> JobStory | None:
        """Give the job that the client ordered in place of this one when its last look had no good answer.

        Both were charged; a record that the provider denies may well be gone, and is another matter.
        """
        look = job.asks[-1] if job.asks else None
        if look is None or not look.is_poll or look.denies or job.files or not (job.fingerprint and job.charged):
            return None
        if not look.faults and look.status < 500 and look.status != 429:
            return None
        equal = (other for other in self._equal[_same(job)] if other.charged and other is not job)
        return next((other for other in equal if 0 <= other.accepted - look.at <= _DAY), None)

    @cached_property
    def _equal(self) -> dict[tuple[str, ...], list[JobStory]]:
        """The jobs by what was asked for."""
        groups: dict[tuple[str, ...], list[JobStory]] = {}
        for job in self.jobs.values():
            groups.setdefault(_same(job), []).append(job)
        return groups

    def _by_kind(self, entry: Mapping[str, Any]) -> None:
        kind = entry.get("kind")
        if kind == "note":
            self._note(entry)
        elif kind == "dropped":
            self.dropped += whole_in(entry, "count") or 1
        elif text_in(entry, "provider") not in self.contracts:
            return
        elif kind == "request":
            self._request(entry)
        elif kind == "accepted":
            self._accepted(entry)
        elif kind == "fault":
            self._faults.setdefault(text_in(entry, "target"), set()).add(text_in(entry, "name"))
        elif kind in ("ended", "charged", "attempt") and (story := self.jobs.get(text_in(entry, "job"))):
            _ADDED[kind](story, entry)

    def _request(self, entry: Mapping[str, Any]) -> None:
        asked = _asked(entry, self.contracts[text_in(entry, "provider")], self._place)
        self.requests.append(asked)
        self._by_number[asked.number] = asked
        if asked.does == "file":
            self._files.append(asked)
            if asked.job:
                self._by_path[asked.path] = asked.job
            return
        # Until it is accepted a submit's job has no story; `_accepted` puts the request there.
        if story := self._story(asked):
            story.asks.append(asked)

    def _story(self, asked: Asked) -> JobStory | None:
        if asked.job:
            return self.jobs.get(asked.job)
        return next((self.jobs[part] for part in asked.path.split("/") if part in self.jobs), None)

    def _place_files(self) -> None:
        """Give files to their jobs; a refused one may be known by its path alone."""
        for asked in self._files:
            job = asked.job or self._by_path.get(asked.path, "")
            story = self.jobs.get(job) or self._story(asked)
            (self._strays if story is None else story.files).append(asked)

    def may_have_tried(self, job: JobStory, until: int) -> bool:
        """Whether the client asked for the job's files by then, or for files that cannot be told to be another's."""
        return any(one.at <= until and one.provider == job.provider for one in (*job.files, *self._strays))

    def _accepted(self, entry: Mapping[str, Any]) -> None:
        number = whole_in(entry, "number") or 0
        story = JobStory(
            id=text_in(entry, "job"),
            contract=self.contracts[text_in(entry, "provider")],
            accepted=moment_of(entry),
            operation=text_in(entry, "operation"),
            model=text_in(entry, "model"),
            price=money_in(entry, "price") or Decimal(0),
            intent=text_in(entry, "intent"),
            fingerprint=text_in(entry, "fingerprint"),
            key=text_in(entry, "key"),
            address=text_in(entry, "address"),
            number=number,
            leaks=text_in(entry, "leaks"),
            submit=self._by_number.get(number),
        )
        if story.submit is not None:
            story.asks.append(story.submit)
        self.jobs[story.id] = story

    def _note(self, entry: Mapping[str, Any]) -> None:
        said, text, job = (text_in(entry, name) for name in ("said", "text", "job"))
        note = Note(moment_of(entry), self._place, said, text, job)
        self.notes.append(note)
        if story := self.jobs.get(note.job):
            story.notes.append(note)


def _same(job: JobStory) -> tuple[str, ...]:
    """Give what equal requests have in common; the body alone need not name the model."""
    return (job.provider, job.operation, job.model, job.key, job.fingerprint)


# --- reading entries


def _asked(entry: Mapping[str, Any], contract: Contract, place: int) -> Asked:
    at, retry_after, faults = moment_of(entry), whole_in(entry, "retry_after"), _fault_names(entry)
    ended = whole_in(entry, "ended") or at
    # Nobody knows how long the client waits: an answer that a scenario held back for long may have come to nobody.
    is_late = _held_back(faults, ended - at) >= _LATE
    # A garbled file is no answer that got lost: it came, and it is damaged.
    lost = is_lost(entry, but=_GARBLED if text_in(entry, "does") == "file" else frozenset())
    word = text_in(entry, "word")
    return Asked(
        at=at,
        place=place,
        ended=ended,
        provider=contract.provider,
        operation=text_in(entry, "operation"),
        does=text_in(entry, "does"),
        method=text_in(entry, "method"),
        path=text_in(entry, "path"),
        status=whole_in(entry, "status") or 0,
        job=text_in(entry, "job"),
        cause=text_in(entry, "cause"),
        key=text_in(entry, "key"),
        number=whole_in(entry, "number") or 0,
        range=text_in(entry, "range"),
        cost=money_in(entry, "shown_cost"),
        word=word,
        state="" if lost else _canonical(contract, text_in(entry, "state"), word),
        shows="" if lost else _shown(contract, text_in(entry, "state"), word),
        retry_after=None if retry_after is None else retry_after * 1000,
        intent=text_in(entry, "intent"),
        fingerprint=text_in(entry, "fingerprint"),
        leaks=text_in(entry, "leaks"),
        faults=faults,
        is_lost=lost,
        is_late=is_late,
    )


def _held_back(faults: frozenset[str], took: int) -> int:
    """Give the ms by which a scenario put off the end of an answer; a drip takes real time, which no entry shows."""
    drips = [fault.partition(" ")[2] for fault in faults if fault.startswith("drip ")]
    return (took if "slow" in faults else 0) + sum(map(parse_span, drips))


def _canonical(contract: Contract, state: str, word: str) -> str:
    known = contract.states.get(word)
    return known.canonical if known is not None else state


def _shown(contract: Contract, state: str, word: str) -> Shown:
    if word and word not in contract.states:
        return "unknown"
    canonical = _canonical(contract, state, word)
    if canonical in _OPEN:
        return "open"
    return "succeeded" if canonical == "succeeded" else "over" if canonical else ""


def _fault_names(entry: Mapping[str, Any]) -> frozenset[str]:
    """Give `{"lose", "lose reset"}` for `lose reset`: each fault with and without its argument."""
    faults = [fault.strip() for fault in text_in(entry, "fault").split(",") if fault.strip()]
    return frozenset(faults) | {fault.partition(" ")[0] for fault in faults}


def _ended(story: JobStory, entry: Mapping[str, Any]) -> None:
    state, word = text_in(entry, "state"), text_in(entry, "word")
    known = story.contract.states.get(word) or story.contract.states.get(state)
    canonical = known.canonical if known is not None else state
    story.ends.append(End(moment_of(entry), canonical, word or state, text_in(entry, "failure")))


def _charged(story: JobStory, entry: Mapping[str, Any]) -> None:
    charged = Money(money_in(entry, "amount") or Decimal(0), text_in(entry, "unit"))
    story.charged.append((moment_of(entry), charged))


def _tried(story: JobStory, entry: Mapping[str, Any]) -> None:
    at, status, outcome, faults = (
        moment_of(entry),
        whole_in(entry, "status"),
        text_in(entry, "outcome"),
        _fault_names(entry),
    )
    ended = whole_in(entry, "ended") or at
    kind: Any = "network" if outcome == "lost" else outcome
    fact = Attempt(whole_in(entry, "number") or 0, at, ended, kind, status)
    callbacks = story.contract.callbacks
    is_answered = outcome == "http" and not faults & _UNSENT
    story.tries.append(
        Tried(
            at=at,
            ended=ended,
            delivery=text_in(entry, "delivery"),
            number=fact.number,
            event=text_in(entry, "event"),
            outcome=outcome,
            status=status or 0,
            signature=text_in(entry, "signature"),
            faults=faults,
            is_answered=is_answered,
            is_taken=is_answered and callbacks is not None and is_accepted(callbacks, fact),
            is_retried=callbacks is not None and is_retried(callbacks, fact),
        )
    )


_ADDED = {"ended": _ended, "charged": _charged, "attempt": _tried}
