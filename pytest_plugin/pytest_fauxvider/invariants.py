"""What must hold for every client, whatever happens: a reference model of one run, over the emulator's facts.

The model reads the world's journal and what reached the client; it knows nothing of how the client works. What
the client believes (`Claims`) is held up against it: after each step, and once more when all has come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fauxvider.analysis.entries import since_text

__all__ = [
    "ENOUGH",
    "INVARIANTS",
    "SETTLED",
    "BilledTwiceError",
    "Claims",
    "JobFacts",
    "KeptPastLifeError",
    "LeftOpenError",
    "MadeUpError",
    "Model",
    "RefusedError",
    "ResultLostError",
    "ResultTwiceError",
    "TerminalChangedError",
    "ViolationError",
    "at_rest",
    "long_after",
    "now",
]

# Undisturbed looks after the end, and the ms that they are spread over at least: what a client has not noticed
# by then, it never will.
ENOUGH = 3
SETTLED = 60_000


class ViolationError(AssertionError):
    """The client broke an invariant. `job` is the provider's id of the job that it is about, "" without one."""

    name = ""
    about = ""

    def __init__(self, what: str, *, job: str = "") -> None:
        self.job = job
        super().__init__(f"{self.about}: {what}")


class ResultLostError(ViolationError):
    name, about = "lost", "no result is lost"


class ResultTwiceError(ViolationError):
    name, about = "twice", "no result is handed on twice"


class TerminalChangedError(ViolationError):
    name, about = "terminal", "what has ended stays ended"


class BilledTwiceError(ViolationError):
    name, about = "billed-twice", "nothing is billed twice for one intent"


class KeptPastLifeError(ViolationError):
    name, about = "kept", "nothing is kept past its life"


class MadeUpError(ViolationError):
    name, about = "made-up", "success is never made up"


class LeftOpenError(ViolationError):
    name, about = "open", "what has ended is not waited for"


class RefusedError(ViolationError):
    name, about = "refused", "what is ordered is asked for rightly"


INVARIANTS: Mapping[str, type[ViolationError]] = {
    error.name: error
    for error in (
        ResultLostError, ResultTwiceError, TerminalChangedError, BilledTwiceError, KeptPastLifeError, MadeUpError,
        LeftOpenError, RefusedError,
    )
}  # fmt: skip


@dataclass(slots=True)
class JobFacts:
    """One job of the provider. `order` is the number of the intent that it was for (None: of none that is known)."""

    id: str
    order: int | None
    accepted: int
    state: str = ""  # canonical; "" while it is open
    word: str = ""
    ended: int | None = None
    charges: list[str] = field(default_factory=list)
    is_told: bool = False  # the client got the answer that names it
    is_cancelled: bool = False  # by the client
    looks: int = 0  # undisturbed ones after its end, and callbacks that told of it
    looked: int = 0  # when the last one was

    @property
    def is_paid_success(self) -> bool:
        return self.state == "succeeded" and bool(self.charges)

    def look(self, moment: int) -> None:
        """Note that the client had a chance to learn of the end."""
        self.looks += 1
        self.looked = moment

    @property
    def had_its_chance(self) -> bool:
        return self.ended is not None and self.looks >= ENOUGH and self.looked >= self.ended + SETTLED


@dataclass(slots=True)
class Claims:
    """What the client believes now: results handed on, in order, and what it says of each order."""

    results: Sequence[tuple[int, Any]] = ()
    words: Mapping[int, str] = field(default_factory=dict)
    jobs: Mapping[int, str] = field(default_factory=dict)  # the provider's ids that the client has for its orders
    hands_on: bool = True  # whether the client tells its results at all

    def lacks(self, number: int) -> bool:
        """Whether the client shows that it has not got an order's result."""
        if self.hands_on:
            return all(known != number for known, _ in self.results)
        return self.words.get(number) in ("failed", "gave up")


class Model:
    """The provider's side of a run, and what of it reached the client."""

    def __init__(self, began: int, order_of: Callable[[str, str], int | None]) -> None:
        self.began = began
        self.jobs: dict[str, JobFacts] = {}
        self.ended_words: dict[int, str] = {}  # what the client said of an order when it first called it ended
        self.refusals: dict[int, str] = {}  # why an order was refused although nothing disturbed its submit
        self._order_of = order_of

    def absorb(self, entries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Take in what is new in the journal; give the last request among it."""
        request: Mapping[str, Any] | None = None
        for entry in entries:
            kind = entry["kind"]
            if kind == "request":
                request = entry
                self._asked(entry)
            elif kind == "accepted":
                job = entry["job"]
                self.jobs[job] = JobFacts(job, self._order_of(entry["provider"], job), entry["at"])
            elif kind == "ended" and (known := self.jobs.get(entry["job"])) is not None:
                known.state, known.word, known.ended = entry["state"], entry.get("word", ""), entry["at"]
            elif kind == "charged" and (known := self.jobs.get(entry["job"])) is not None:
                known.charges.append(f"{entry['amount']} {entry.get('unit', '')}".strip())
        return request

    def _asked(self, entry: Mapping[str, Any]) -> None:
        if entry.get("does") in ("cancel", "purge") and entry["status"] < 400:
            known = self.jobs.get(entry.get("job", ""))
            if known is not None:
                known.is_cancelled = True

    def heard(self, request: Mapping[str, Any] | None) -> None:
        """Note that the client got this request's answer, whole."""
        if request is not None and request.get("does") == "submit" and request["status"] < 400:
            known = self.jobs.get(request.get("job", ""))
            if known is not None:
                known.is_told = True

    def placed(self, number: int, request: Mapping[str, Any] | None) -> None:
        """Note that an order's submit went undisturbed; `request` is its last one."""
        is_fault = request is not None and 400 <= request["status"] < 500 and request["status"] not in (402, 429)
        if request is not None and is_fault and not self.of_order(number):
            self.refusals[number] = f"{request['status']} ({request.get('cause', 'refused')})"

    def called(self, body: bytes, moment: int) -> None:
        """Note that the client got a callback, and lived through it."""
        for known in self.jobs.values():
            if known.ended is not None and known.id.encode() in body:
                known.look(moment)

    def of_order(self, number: int) -> list[JobFacts]:
        return [job for job in self.jobs.values() if job.order == number]

    def at(self, moment: int) -> str:
        return since_text(moment - self.began)


def now(model: Model, claims: Claims) -> Iterator[ViolationError]:
    """Hold the client's claims up against the facts, after any step."""
    yield from _billed(model)
    for number, why in model.refusals.items():
        yield RefusedError(f"the provider refused order {number}: {why}")
    seen: set[int] = set()
    for number, _ in claims.results:
        if number in seen:
            yield ResultTwiceError(f"order {number} was handed on twice", job=_job_of(model, number))
        seen.add(number)
        if not _has_succeeded(model, number):
            yield MadeUpError(f"order {number} was handed on, and {_states(model, number)}")
    for number, word in claims.words.items():
        yield from _word(model, number, word)


def _billed(model: Model) -> Iterator[ViolationError]:
    paid: dict[int, list[JobFacts]] = {}
    for job in model.jobs.values():
        if job.order is not None and job.is_paid_success:
            paid.setdefault(job.order, []).append(job)
    for number, jobs in paid.items():
        if len(jobs) > 1:
            bills = " and ".join(f"{job.charges[-1]} for {job.id}" for job in jobs)
            yield BilledTwiceError(f"order {number} cost {bills}", job=jobs[-1].id)


def _word(model: Model, number: int, word: str) -> Iterator[ViolationError]:
    first = model.ended_words.get(number)
    if first is None:
        if word in ("succeeded", "failed"):
            model.ended_words[number] = word
    elif word != first:
        yield TerminalChangedError(f"the client called order {number} {first}, and now calls it {word}")
    if word == "succeeded" and not _has_succeeded(model, number):
        yield MadeUpError(f"the client calls order {number} succeeded, and {_states(model, number)}")


def _has_succeeded(model: Model, number: int) -> bool:
    return any(job.state == "succeeded" for job in model.of_order(number))


def _states(model: Model, number: int) -> str:
    jobs = model.of_order(number)
    return " and ".join(f"job {job.id} {job.word or 'is under way'}" for job in jobs) or "there is no job for it"


def _job_of(model: Model, number: int) -> str:
    return next((job.id for job in model.of_order(number)), "")


def at_rest(model: Model, claims: Claims, *, is_fair: Callable[[JobFacts], bool]) -> Iterator[ViolationError]:
    """Judge what is left undone, now that the client has had every chance.

    `is_fair` says of a job whether it had: whether the client could have got hold of its end.
    """
    yield from now(model, claims)
    for number, held in claims.jobs.items():
        if (known := model.jobs.get(held)) is not None and known.order not in (None, number):
            yield ResultLostError(f"order {number} has no job: the client has that of order {known.order}", job=held)
    for job in model.jobs.values():
        if job.order is None or not job.is_told or job.ended is None or job.is_cancelled or not is_fair(job):
            continue
        others = [one for one in model.of_order(job.order) if one is not job]
        if job.state == "succeeded" and claims.lacks(job.order):
            yield ResultLostError(_lost(model, job, claims), job=job.id)
        is_open = claims.words.get(job.order) == "open"
        if is_open and not any(one.ended is None for one in others):
            yield LeftOpenError(
                f"job {job.id} {job.word} at {model.at(job.ended)}, and the client still waits for order {job.order}",
                job=job.id,
            )


def _lost(model: Model, job: JobFacts, claims: Claims) -> str:
    bill = f" and cost {job.charges[0]}" if job.charges else ""
    word = claims.words.get(job.order or 0, "")
    believes = f" (the client calls it {word})" if word else ""
    ended = model.at(job.ended or 0)
    return f"job {job.id} {job.word} at {ended}{bill}; order {job.order} was never handed on{believes}"


def long_after(model: Model, claims: Claims, *, is_dead: Callable[[str], bool]) -> Iterator[ViolationError]:
    """Judge what the client still has on offer. `is_dead` says whether a link leads nowhere by now."""
    yield from now(model, claims)
    for number, value in claims.results:
        job = _job_of(model, number)
        if isinstance(value, str) and value.startswith(("http://", "https://")) and is_dead(value):
            yield KeptPastLifeError(f"of order {number} the client has a link, and it is dead: {value}", job=job)
        elif isinstance(value, str | bytes) and not value:
            yield ResultLostError(f"of order {number} the client has an empty result", job=job)
