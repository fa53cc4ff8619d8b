"""The recorder of a world: what came from outside, in order, so that the run can be repeated.

A run is repeated exactly when the same things come in between the same others. So the record is one list:
what began (a request, an advance), what came in (the outcome of a callback), and, where something else
came between, when that which had begun went on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, Protocol, TypeAlias

from fauxvider.clock import HeldClock
from fauxvider.engine.facts import Job
from fauxvider.ports import Clock, SendOutcome
from fauxvider.service.wire import Request

__all__ = ["MAX_BYTES", "MAX_REQUESTS", "MAX_STEPS", "Does", "Recorder", "Step", "Tape", "message_print"]

MAX_REQUESTS = 5_000
MAX_BYTES = 16_000_000  # of request bodies
MAX_STEPS = 50_000  # of all kinds

Does: TypeAlias = Literal["request", "advance", "settle", "force", "note", "sent", "go"]


@dataclass(slots=True, eq=False)
class Step:
    """One thing that came from outside; `at` in ms since the world's start.

    ``request`` and ``advance`` are over when the next step begins (at `ended`), unless they are `held`: then
    steps ``go`` of the same mark say when they went on, but for the first `turns`, which came at once.
    ``sent``: a callback came back.
    """

    does: Does
    at: int
    mark: str = ""
    provider: str = ""
    request: Request | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended: int | None = None
    held: bool = False
    turns: int = 0


class Tape(Protocol):
    """What a world tells of its run, to a recorder or to a player that decides when things go on."""

    def request(self, provider: str, request: Request) -> str:
        """Begin a request; give its mark."""
        ...

    def advance(self, span: int) -> str: ...
    def settle(self) -> None: ...
    def force(self, job: str, failure: str) -> None: ...
    def note(self, facts: Mapping[str, str]) -> None: ...

    def turn(self, mark: str, *, is_last: bool = True) -> Awaitable[None] | None:
        """Say that what has this mark goes on; a player may have it wait. `is_last`: to its end."""
        ...

    def sending(self, mark: str, job: Job, body: bytes) -> Awaitable[SendOutcome] | None:
        """Give the outcome of a callback if it is known already."""
        ...

    def sent(self, mark: str, outcome: SendOutcome, body: bytes) -> None: ...


def message_print(body: bytes) -> str:
    """Give the digest by which the journal tells the bytes of callbacks apart."""
    return blake2b(body, digest_size=6).hexdigest()


class Recorder:
    """Keeps the steps of a world. What goes over a bound makes the record worthless, so then all of it goes."""

    __slots__ = ("_bytes", "_clock", "_held", "_open", "_serial", "began", "dropped", "steps")

    def __init__(self, clock: Clock) -> None:
        self.began = clock.now()
        self.steps: list[Step] = []
        self.dropped = 0  # requests and other steps that were not kept
        self._clock = clock
        self._held = clock if isinstance(clock, HeldClock) else None
        self._open: dict[str, Step] = {}
        self._serial = 0
        self._bytes = 0

    def _moment(self) -> int:
        return (self._held.look() if self._held is not None else self._clock.now()) - self.began

    def request(self, provider: str, request: Request) -> str:
        at = self._moment()
        self._serial += 1
        self._bytes += len(request.body)
        if self._serial > MAX_REQUESTS or self._bytes > MAX_BYTES:
            return self._drop()
        mark = f"r{self._serial}"
        # A copy: what is done with a request may change it.
        kept = Request(
            request.method, request.path, request.query, request.headers, request.body, request.site, request.origin,
            request.raw_path, over_size=request.over_size,
        )  # fmt: skip
        self._keep(Step("request", at, mark, provider, kept), mark)
        return mark

    def advance(self, span: int) -> str:
        mark = f"a{len(self.steps)}"
        self._keep(Step("advance", self._moment(), mark, facts={"span": span}), mark)
        return mark

    def settle(self) -> None:
        self._keep(Step("settle", self._moment()))

    def force(self, job: str, failure: str) -> None:
        self._keep(Step("force", self._moment(), facts={"job": job, "failure": failure}))

    def note(self, facts: Mapping[str, str]) -> None:
        self._keep(Step("note", self._moment(), facts=dict(facts)))

    def turn(self, mark: str, *, is_last: bool = True) -> None:
        if self.dropped:
            return
        at = self._moment()
        begun = self._open.get(mark)
        if begun is not None and is_last:
            del self._open[mark]
        if begun is not None and begun is self.steps[-1] and (is_last or at == begun.at):
            begun.turns += not is_last
            begun.ended = at if is_last else None
            return
        self._keep(Step("go", at, mark))
        if begun is not None:
            begun.held = True

    def sending(self, mark: str, job: Job, body: bytes) -> None:
        """Nothing is known before it was sent."""

    def sent(self, mark: str, outcome: SendOutcome, body: bytes) -> None:
        facts = {
            "kind": outcome.kind, "status": outcome.status, "error": outcome.error, "digest": message_print(body),
        }  # fmt: skip
        self._keep(Step("sent", self._moment(), mark, facts=facts))

    def _keep(self, step: Step, mark: str = "") -> None:
        if self.dropped or len(self.steps) >= MAX_STEPS:
            self._drop()
            return
        self.steps.append(step)
        if mark:
            self._open[mark] = step

    def _drop(self) -> str:
        self.dropped += 1 + len(self.steps)
        self.steps.clear()
        self._open.clear()
        return ""
