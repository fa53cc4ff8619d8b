"""What the service needs from outside: time, facts kept, pictures made, callbacks sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from fauxvider.contract.model import Limit, LiveFailure
from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.engine.limits import Verdict
from fauxvider.engine.recipe import Recipe

__all__ = [
    "Claim",
    "ClaimedWorld",
    "Clock",
    "Failed",
    "FailureKind",
    "KeptWorld",
    "OnEvent",
    "Pipeline",
    "Progress",
    "Rendered",
    "Renderer",
    "Report",
    "RunEvent",
    "SavedWorld",
    "SendOutcome",
    "Sender",
    "SharedFile",
    "Started",
    "Store",
    "StoreFile",
]

# How a run can end without a picture:
#   cancelled    by request, queued or running        oom         the device's memory ran out
#   nan, black   the model gave no usable picture     killed      the worker process died
#   deadline     it ran longer than allowed           invalid     the recipe cannot be rendered
#   unavailable  no worker could be started           queue_full  too many jobs wait
#   not_cached   replaying, and it was never kept     error       anything else, by name
FailureKind: TypeAlias = LiveFailure | Literal["cancelled"]


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


# --- a run as it is told of: Started, Progress, then exactly one of Rendered and Failed ---------------


@dataclass(frozen=True, slots=True)
class Started:
    """The model has taken the job; ``queued_ms`` holds the wait for other jobs and for a cold start."""

    job_id: str
    queued_ms: float


@dataclass(frozen=True, slots=True)
class Progress:
    """One denoising step is done (1-based)."""

    job_id: str
    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Report:
    """How a picture was made. Spans are measured: ``execution_ms`` by the worker, around the model's call.

    ``rendered`` is the size that the model worked at; ``unapplied`` names parameters of the recipe
    that its pipeline cannot apply.
    """

    renderer: ClassVar[str] = "diffusers"

    pipeline: str
    model: str
    device: str
    dtype: str
    seed: int
    steps: int
    size: tuple[int, int]
    rendered: tuple[int, int]
    queued_ms: float
    execution_ms: float
    encode_ms: float
    unapplied: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    replayed: bool = False

    def as_replayed(self) -> Report:
        """Give the report of a picture that came from kept results."""
        return replace(self, replayed=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The end of a run that gave a picture: the finished file, metadata included, and its report."""

    job_id: str
    data: bytes
    report: Report


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a run that gave none. ``detail`` is one line and never holds the prompt."""

    job_id: str
    kind: FailureKind
    detail: str
    queued_ms: float
    execution_ms: float
    steps: int


RunEvent: TypeAlias = Started | Progress | Rendered | Failed
OnEvent: TypeAlias = Callable[[RunEvent], None]


class Pipeline(Protocol):
    """Makes pictures for real, in its own time: jobs of one model one after the other. Lives in one event loop."""

    @property
    def name(self) -> str: ...

    async def start(self, *, warm: bool = True) -> None:
        """Take jobs from now on; with ``warm``, wait until it can render. Raises RenderError."""
        ...

    def problem(self, recipe: Recipe) -> str:
        """Say why a recipe cannot be rendered, before it is queued; "" when nothing is wrong."""
        ...

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent) -> None:
        """Queue a job; events follow, on the loop. Raises RenderError when it takes none."""
        ...

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once while it waits, within a step while it runs. False when it is over."""
        ...

    async def close(self) -> None:
        """Stop everything; what is not over ends as cancelled."""
        ...


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
    async def note_ended(self, job_id: str, run: int) -> None:
        """Say that the end of a run has been dealt with: charged, and its callback made."""
        ...

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


@dataclass(frozen=True, slots=True)
class SavedWorld:
    """A world as it was saved: what it was made from, how far it was, the last of its journal."""

    name: str
    made: Mapping[str, Any]  # as `POST /worlds` takes it, and `now`: where its clock started
    state: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...] = ()
    entries_total: int = 0
    providers: tuple[str, ...] = ()  # those that have facts in it


class KeptWorld(Protocol):
    """A world's place in a store. What is written in one turn of the loop is kept whole or not at all."""

    @property
    def written(self) -> int:
        """How many facts were written so far, journal entries apart."""
        ...

    @property
    def lost(self) -> str:
        """Why nothing more of the world is kept here; "" as long as it is."""
        ...

    def has(self, provider: str) -> bool:
        """Tell whether facts of a provider were saved, and not asked for yet."""
        ...

    def store(self, provider: str) -> Store:
        """Give the facts of a provider: those that were saved, or none."""
        ...

    def keep(self, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write down how the world was made, and how far it is."""
        ...

    def note_state(self, state: Mapping[str, Any]) -> None: ...
    def note_due(self, moment: int | None) -> None:
        """Say when somebody has to look after the world, wall ms; None: it moves only when it is asked to."""
        ...

    def add_entry(self, number: int, entry: tuple[int, str, Sequence[str], Sequence[Any]]) -> None:
        """Write a journal entry down: moment, kind, names and values."""
        ...

    def drop(self) -> None:
        """Forget the world with all its facts."""
        ...

    async def flush(self) -> None:
        """Return when all that was written so far is kept: before anything is acknowledged. Raises StoreError."""
        ...


class StoreFile(Protocol):
    """Where worlds outlive the process."""

    def worlds(self) -> Sequence[SavedWorld]: ...  # those that were saved; asked once, at the start
    def world(self, name: str) -> KeptWorld:
        """Give a world's place: that of one that was saved, or of one to be made."""
        ...

    async def flush(self) -> None:
        """Return when all that was written so far is kept, and the store answers. Raises StoreError."""

    def around_commits(self, around: Callable[[], AbstractContextManager[object]]) -> None:
        """Have each commit made within what `around` gives: to be timed. It is called in another thread."""

    def close(self) -> None:
        """Keep what is left, and leave; returns when the store has answered. May be called more than once."""

    def left(self) -> str:
        """Say in one line what `close` has not kept or released, or not yet; "" for nothing. For any thread."""
        ...


class ClaimedWorld(KeptWorld, Protocol):
    """A world's place in a shared store, for as long as this node has it. Another claim is another place."""

    @property
    def is_refused(self) -> bool:
        """Whether the store knows of a later claim, so that nothing of the last turn was kept for certain."""
        ...

    @property
    def commits(self) -> int:
        """How many times something of the world was kept."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim has come to: the world's place, and whether it is the one that this node had; or who has it."""

    place: ClaimedWorld | None = None
    is_known: bool = False
    node: str = ""
    address: str = ""


@runtime_checkable
class SharedFile(StoreFile, Protocol):
    """A store that several processes use. Each world has one owner at a time, who alone writes in it.

    An owner that is gone for longer than its lease loses its worlds to whoever claims them; what it still writes
    is refused. Methods raise StoreError when the store cannot be reached.
    """

    @property
    def node(self) -> str:
        """This process's name among all."""
        ...

    @property
    def secret(self) -> str:
        """What nodes know each other by."""
        ...

    @property
    def lease_s(self) -> float:
        """Seconds for which a node that says nothing is taken to be alive."""
        ...

    async def join(self, address: str) -> None:
        """Say where this node is called."""
        ...

    async def beat(self) -> None:
        """Renew the lease."""
        ...

    async def claim(self, world: str, *, known: KeptWorld | None = None, make: bool = False) -> Claim | None:
        """Claim a world that nobody has, and renew the lease; `known` is this node's place from an earlier claim.

        None when there is no world of this name, and it is not to be made.
        """
        ...

    async def read(self, place: ClaimedWorld) -> SavedWorld | None:
        """Give a world that this node has claimed, as it was saved."""
        ...

    async def release(self, place: ClaimedWorld) -> None:
        """Let others have a world; to be called when nothing of it is under way."""
        ...

    async def names(self) -> Sequence[str]: ...
    async def unserved(self, now: int) -> Sequence[str]:
        """Give worlds that have something due by `now` (wall ms), and whose owner is gone."""
        ...
