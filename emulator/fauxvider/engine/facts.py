"""The facts of a world: what was accepted, what happened to it, what was tried.

Nothing that can be computed is a fact. Moments and spans are integer milliseconds.

Nobody changes a fact. What is made for each request says so to the type checkers alone: a frozen dataclass sets
every field through a guard, which made up a twelfth of what a submit costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from fauxvider.contract.model import State

__all__ = [
    "ApiKey",
    "Asset",
    "Attempt",
    "Charge",
    "Delivery",
    "Event",
    "Job",
    "Plan",
    "Record",
    "Secret",
    "Shape",
    "Twist",
]

KeyState: TypeAlias = Literal["active", "deleted", "inactive", "unfunded"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a world knows. `scopes` None means every scope."""

    key: str
    state: KeyState = "active"
    scopes: frozenset[str] | None = None
    name: str = ""


@dataclass(slots=True, unsafe_hash=True)  # its fields are final: see above
class Plan:
    """What was drawn for one run of a job: phase lengths (ms), seed, and how it will end."""

    phases: Final[tuple[int, ...]]
    seed: Final[int]
    deadlines: Final[tuple[int | None, ...]] = ()
    failure: Final[str] = ""  # "" succeeds
    detail: Final[str] = ""
    live: Final[bool] = False  # runs for real: events say when it starts and how it ends


@dataclass(frozen=True, slots=True)
class Shape:
    """What will be delivered: pictures of one size and format."""

    width: int
    height: int
    count: int
    format: Literal["png", "jpeg", "webp"]


@dataclass(frozen=True, slots=True)
class Twist:
    """What a scenario has laid on a job: other words, extra states, a record and pictures that misbehave."""

    words: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[tuple[State, str, int], ...] = ()  # state, the word that it comes after, ms
    hidden: int = 0
    gone: int | None = None  # ms after the end
    flicker: tuple[str, int, int] | None = None  # word, ms after the end, ms
    output: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, unsafe_hash=True)  # its fields are final: see above
class Job:
    """A job as accepted. `body` is the request body as kept (JSON text)."""

    id: Final[str]
    number: Final[int]
    operation: Final[str]
    model: Final[str]
    accepted: Final[int]
    body: Final[bytes]
    plan: Final[Plan]
    shape: Final[Shape]
    price: Final[Decimal]
    key: Final[str] = ""
    address: Final[str | None] = None
    file_keys: Final[tuple[str, ...]] = ()
    site: Final[str] = "local"
    intent: Final[str] = ""  # idempotency scope and key, "" without
    fingerprint: Final[str] = ""
    request: Final[int] = 0
    twist: Final[Twist | None] = None
    shown_address: Final[str] = ""  # stands in for an address that holds the caller's API key


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job after it was accepted.

    kinds: cancelled; purged; retried (plan); forced (name: a failure, "" succeeds, detail);
    ttl (number: ms left from `at`); drained (number: chunks handed out so far); started (of a live run);
    requeued (plan: the worker was lost, and the platform runs it again).
    """

    at: int
    kind: Literal["cancelled", "purged", "retried", "forced", "ttl", "drained", "started", "requeued"]
    name: str = ""
    number: int = 0
    plan: Plan | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of a delivery. `status` is None when no answer came."""

    number: int
    at: int
    ended: int
    kind: Literal["http", "network", "timeout", "blocked"]
    status: int | None = None
    body: str = ""
    error: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One callback of one job: its bytes are frozen when it is made."""

    id: str
    job_id: str
    number: int
    event: str
    address: str
    created: int
    due: int
    automatic: bool
    payload: bytes
    secret_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    sending: int | None = None  # the moment of an attempt that is under way: still there after a crash

    def with_attempt(self, attempt: Attempt) -> Delivery:
        return replace(self, attempts=(*self.attempts, attempt))


@dataclass(slots=True)
class Record:
    """A job with all that happened to it. `ended`: the number of the run whose end has been dealt with."""

    job: Job
    events: tuple[Event, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    charged: bool = False
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the ledger."""

    at: int
    job_id: str
    amount: Decimal
    unit: str
    rule: str  # pointer into the contract
    key: str
    intent: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded picture, or (data None) one that the world has had from its start."""

    id: str
    number: int
    key: str
    name: str
    media_type: str
    created: int
    size: int = 0
    width: int = 0
    height: int = 0
    data: bytes | None = None
    state: Literal["pending", "uploaded", "ready"] = "ready"
    confirmed: int | None = None
    owner: str = ""
    note: str = ""
    digest: str = ""  # MD5 of the bytes, hex: storage services show it as ETag


@dataclass(frozen=True, slots=True)
class Secret:
    """A callback signing secret."""

    id: str
    number: int
    value: str = field(repr=False)
    label: str = ""
    created: int = 0
    updated: int = 0
    current: bool = True
    disabled: int | None = None
    last_used: int | None = None
