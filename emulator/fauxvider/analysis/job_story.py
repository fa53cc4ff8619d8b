"""What a journal tells of one job: what was asked and tried for it, what it came to, what the client could know.

What a client could not see is kept apart from what happened: an answer that was lost on the way showed it
nothing, and a word that the contract does not have told it nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from fauxvider.analysis.payments import Money
from fauxvider.contract.model import Contract, Url
from fauxvider.engine.callbacks import is_progress

__all__ = ["Asked", "End", "JobStory", "Note", "Shown", "Tried"]

Shown: TypeAlias = Literal["", "open", "over", "succeeded", "unknown"]  # over: it ended without success

_POLLS = frozenset({"read", "stream"})
_DENIALS = frozenset({404, 410})
DEFAULT_PATIENCE = 600_000  # ms that a client should wait for a job of a contract that documents no limit


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the client and its answer. `ended`: the moment of the answer; `retry_after` in ms.

    `place`: where it stands in the journal, for what happened at one moment.
    """

    at: int
    place: int
    ended: int
    provider: str
    operation: str
    does: str
    method: str
    path: str
    status: int
    job: str
    cause: str
    key: str
    number: int
    range: str  # of a file, as it was asked for; "" where the whole was
    cost: Decimal | None  # that the answer showed
    word: str
    state: str  # the canonical one that the word stands for; "" where the answer did not come
    shows: Shown
    retry_after: int | None
    intent: str
    fingerprint: str
    leaks: str
    faults: frozenset[str]
    is_lost: bool  # the answer surely did not reach the client
    is_late: bool  # a scenario held it back for long: it may have come to nobody

    @property
    def is_seen(self) -> bool:
        """Whether the answer surely reached the client: nobody is blamed for what another one showed."""
        return not (self.is_lost or self.is_late)

    @property
    def is_ok(self) -> bool:
        return self.is_seen and 200 <= self.status < 300

    @property
    def is_poll(self) -> bool:
        return self.does in _POLLS

    @property
    def denies(self) -> bool:
        """Whether a look-up was told that there is no such job."""
        is_empty = not self.job and not self.shows and (self.status in _DENIALS or self.is_ok)
        return self.is_poll and self.is_seen and (self.cause == "job_unknown" or is_empty)

    @property
    def is_download(self) -> bool:
        """Whether the client got a file (whole, as far as HTTP can tell)."""
        return self.does == "file" and self.method == "GET" and not self.is_lost and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Tried:
    """One callback attempt. `is_taken`: a receiver answered, and with a status that the contract accepts."""

    at: int
    ended: int
    delivery: str
    number: int
    event: str
    outcome: str
    status: int
    signature: str
    faults: frozenset[str]
    is_answered: bool
    is_taken: bool
    is_retried: bool  # the contract tries again after such an outcome

    @property
    def is_tampered(self) -> bool:
        """Whether it came with other bytes than were meant: nobody knows what they told."""
        return "tamper" in self.faults


@dataclass(frozen=True, slots=True)
class End:
    at: int
    state: str
    word: str
    failure: str


@dataclass(frozen=True, slots=True)
class Note:
    at: int
    place: int  # as an `Asked` has it
    said: str
    text: str
    job: str


@dataclass(slots=True)
class JobStory:
    """One job. Lists are in the order of events."""

    id: str
    contract: Contract
    accepted: int
    operation: str
    model: str
    price: Decimal
    intent: str
    fingerprint: str
    key: str
    address: str
    number: int
    leaks: str
    submit: Asked | None = None  # None: its request was never answered
    ends: list[End] = field(default_factory=list)
    charged: list[tuple[int, Money]] = field(default_factory=list)
    asks: list[Asked] = field(default_factory=list)
    files: list[Asked] = field(default_factory=list)
    tries: list[Tried] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)  # of the scenario, on the job and its pictures

    @property
    def provider(self) -> str:
        return self.contract.provider

    @property
    def end(self) -> End | None:
        return self.ends[-1] if self.ends else None

    @property
    def succeeds(self) -> bool:
        return bool(self.ends) and self.ends[-1].state == "succeeded"

    @property
    def polls(self) -> list[Asked]:
        return [asked for asked in self.asks if asked.is_poll]

    @property
    def patience(self) -> int:
        """The moment until which a client should look for the end: the longest run that the contract allows."""
        spans = [one.default for one in self.contract.deadlines if one.covers == "running" and one.default]
        return self.accepted + max(spans, default=DEFAULT_PATIENCE)

    @property
    def is_known(self) -> bool:
        """Whether the client can know the job's name: from an answer, by a callback, or because it uses it."""
        is_used = bool(self.files) or any(asked.does != "submit" for asked in self.asks)
        return self.is_named or is_used or any(tried.is_taken and not tried.is_tampered for tried in self.tries)

    @property
    def is_named(self) -> bool:
        """Whether an answer to the POST (or to its replay) surely told the client the job's name."""
        return any(asked.does == "submit" and asked.is_ok for asked in self.asks)

    @property
    def named_at(self) -> int | None:
        """The moment of the first answer that can have told the client the job's name."""
        named = (one.ended for one in self.asks if one.does == "submit" and not one.is_lost and one.status < 300)
        return min(named, default=None)

    @property
    def output(self) -> Url | None:
        return next((url for url in self.contract.urls.values() if url.serves == "output"), None)

    @property
    def downloads(self) -> list[Asked]:
        return [asked for asked in self.files if asked.is_download and "reset" not in self.faults]

    def end_before(self, moment: int) -> End | None:
        return next((end for end in reversed(self.ends) if end.at <= moment), None)

    def end_told_by(self, tried: Tried) -> End | None:
        """Give the end that a callback tells of: it says what was so when it was made, however late it comes."""
        events = self.contract.callbacks.events if self.contract.callbacks is not None else {}
        if self.contract.callbacks is not None and is_progress(self.contract.callbacks, tried.event):
            return None
        before = [end for end in self.ends if end.at <= tried.at]
        named = [end for end in before if events.get(end.state) == tried.event]
        return next(reversed(named or before), None)

    def told(self, *, perhaps: bool = False) -> Iterator[tuple[int, Shown]]:
        """Give what the client was told of the job's state, with moments: by answers and by callbacks it took.

        `perhaps`: and what it may have been told, by an answer that came very late.
        """
        found: list[tuple[int, Shown]] = [
            (one.ended, one.shows) for one in self.asks if one.shows and (perhaps or one.is_seen)
        ]
        for tried in self.tries:
            end = self.end_told_by(tried)
            if tried.is_taken and end is not None and not tried.is_tampered:
                found.append((tried.at, "succeeded" if end.state == "succeeded" else "over"))
        return iter(sorted(found, key=lambda pair: pair[0]))

    def told_end(self, *, perhaps: bool = False) -> int | None:
        """Give the moment at which the client was first told of an end."""
        return next((at for at, shows in self.told(perhaps=perhaps) if shows in ("over", "succeeded")), None)

    def url_death(self) -> int | None:
        """Give the moment at which the last URL that the client was given died; None if URLs do not die."""
        url, end = self.output, self.end
        if url is None or url.lives is None or end is None:
            return None
        issued = [end.at]
        if url.origin_moment == "issue":
            issued += [at for at, shows in self.told() if shows == "succeeded"]
        return max(issued) + url.lives
