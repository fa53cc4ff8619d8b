"""What the service needs from outside: time, facts kept, pictures made, callbacks sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fauxvider.contract.model import Limit
from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.engine.limits import Verdict
from fauxvider.engine.recipe import Recipe

__all__ = ["Clock", "Renderer", "SendOutcome", "Sender", "Store"]


class Clock(Protocol):
    """Time of one world, in ms since the Unix epoch."""

    @property
    def spec(self) -> str:
        """How the clock was asked for: ``real``, ``scaled:60``, ``manual``, ``stepping:1s``."""
        ...

    @property
    def step(self) -> int:
        """Milliseconds that each provider request moves time by; 0 for all but stepping clocks."""
        ...

    @property
    def is_virtual(self) -> bool:
        """Whether time stands still until it is moved."""
        ...

    def now(self) -> int: ...

    def move_to(self, moment: int) -> None:
        """Set a virtual clock forward; clocks that run by themselves ignore it."""
        ...

    def real_seconds(self, span: int) -> float:
        """Real seconds that a span of this clock takes."""
        ...


class Renderer(Protocol):
    """Makes pictures; called in a worker thread. Raises RenderError."""

    @property
    def name(self) -> str: ...

    def render(self, recipe: Recipe) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of one attempt.

    ``http``: a whole response head came back (``status``; ``error`` notes a body that was cut).
    ``network``: none did. ``timeout``: none did in time. ``blocked``: nothing was sent.
    """

    kind: Literal["http", "network", "timeout", "blocked"]
    status: int | None = None
    body: bytes = b""
    error: str = ""
    redirect: bool = False


class Sender(Protocol):
    """Sends one callback; never raises for what a receiver does."""

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome: ...


class Store(Protocol):
    """The facts of one world and one provider. Nothing computed is kept here.

    An acknowledged write is kept; readers get immutable facts.
    """

    async def next_number(self, kind: str) -> int:
        """Count up: 1, 2, 3, ... per kind (job, delivery, asset, secret, request)."""
        ...

    async def add_job(self, job: Job) -> None: ...
    async def add_event(self, job_id: str, event: Event) -> None: ...
    async def put_delivery(self, delivery: Delivery) -> None: ...
    async def record(self, job_id: str) -> Record | None: ...
    async def record_by_number(self, number: int) -> Record | None: ...
    async def record_by_file(self, file_key: str) -> Record | None: ...
    async def record_by_intent(self, intent: str) -> Record | None: ...
    def records(self) -> AsyncIterator[Record]:
        """All records, newest first."""
        ...

    async def add_charge(self, charge: Charge) -> None: ...
    async def charges(self) -> Sequence[Charge]: ...
    async def put_asset(self, asset: Asset) -> None: ...
    async def asset(self, asset_id: str) -> Asset | None: ...
    async def asset_by_key(self, key: str) -> Asset | None: ...
    async def put_secret(self, secret: Secret) -> None: ...
    async def drop_secret(self, secret_id: str) -> None: ...
    async def secrets(self) -> Sequence[Secret]: ...
    async def take(self, limit: Limit, caller: str, now: int, *, count: int) -> Verdict: ...
    async def release(self, limit: Limit, caller: str) -> None: ...
    async def dropped(self) -> int:
        """How many records a cap has pushed out."""
        ...
