"""What the server and its worker process say to each other, and what becomes of a job.

A message on the wire is a JSON header with a length before it, then the message's raw blobs: no
pickle, so neither side can be made to run what the other sends.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

__all__ = [
    "HEAD",
    "Cancel",
    "Close",
    "Configure",
    "Done",
    "Ended",
    "Event",
    "Failed",
    "FailureKind",
    "Fault",
    "Message",
    "Progress",
    "Ready",
    "Render",
    "Rendered",
    "Report",
    "StartFailed",
    "Started",
    "Step",
    "Taken",
    "head_lengths",
    "pack",
    "unpack",
]  # fmt: skip

# How a job can end without a picture:
#   cancelled    by request, queued or running        oom         the device's memory ran out
#   nan, black   the model gave no usable picture     killed      the worker process died
#   deadline     it ran longer than allowed           invalid     the recipe cannot be rendered
#   unavailable  no worker could be started           queue_full  too many jobs wait
#   not_cached   replaying, and it was never kept     error       anything else, by name
FailureKind: TypeAlias = Literal[
    "cancelled", "oom", "nan", "black", "killed", "deadline", "invalid", "unavailable", "queue_full", "not_cached",
    "error",
]  # fmt: skip

# Accidents on order: `crash` kills the worker process, `hang` waits for ever, at a job's second step.
Fault: TypeAlias = Literal["oom", "nan", "black", "crash", "hang"]


# --- server to worker ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configure:
    """The first message: which folder serves which pipeline (``tiny`` is built on demand), and how."""

    folders: dict[str, str]
    tiny_cache: str
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    render_max_side: int | None = None
    memory_fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Render:
    """One job. ``sources`` are (kind, label); their bytes are the blobs, in the same order."""

    job_id: str
    pipeline: str
    width: int
    height: int
    format: str
    quality: int | None
    prompt: str
    negative: str
    seed: int
    steps: int | None
    guidance: float | None
    strength: float | None
    sources: tuple[tuple[str, str], ...] = ()
    fault: Fault | None = None
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop that job at its next step; another job is not touched."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Leave after the job in hand."""


# --- worker to server ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker can render; spans are seconds, measured by itself."""

    pid: int
    device: str
    dtype: str
    versions: dict[str, str]
    import_s: float
    load_s: float
    warm_s: float


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The worker cannot start, in one line for the person who started it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The worker has begun a job. One that dies before this word has not touched it."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One denoising step is done (1-based)."""

    job_id: str
    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Done:
    """The picture is the only blob: an encoded file, without metadata."""

    job_id: str
    execution_ms: float
    encode_ms: float
    steps: int
    rendered: tuple[int, int]
    unapplied: tuple[str, ...]
    model: str
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """There is no picture."""

    job_id: str
    kind: FailureKind
    detail: str
    execution_ms: float
    steps: int


Message: TypeAlias = Configure | Render | Cancel | Close | Ready | StartFailed | Taken | Step | Done | Ended

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Configure, Render, Cancel, Close, Ready, StartFailed, Taken, Step, Done, Ended)
}
HEAD = struct.Struct(">II")  # header bytes, blob bytes


def pack(message: Message) -> bytes:
    """Give the message as it goes over a pipe."""
    fields = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    blobs: tuple[bytes, ...] = fields.pop("blobs", ())
    header = json.dumps({"is": type(message).__name__, "blobs": [len(blob) for blob in blobs], **fields}).encode()
    body = b"".join(blobs)
    return HEAD.pack(len(header), len(body)) + header + body


def head_lengths(head: bytes) -> tuple[int, int]:
    """Give the lengths of header and blobs that follow these eight bytes."""
    header, body = HEAD.unpack(head)
    return header, body


def unpack(header: bytes, body: bytes) -> Message:
    """Read a message back."""
    fields = json.loads(header)
    kind, lengths = _TYPES[fields.pop("is")], fields.pop("blobs")
    values = {name: _frozen(value) for name, value in fields.items()}
    if lengths:
        ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
        values["blobs"] = tuple(body[end - length : end] for end, length in zip(ends, lengths, strict=True))
    message: Message = kind(**values)
    return message


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


# --- what the server's side tells of a job ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The worker has taken the job; ``queued_ms`` holds the wait for other jobs and for a cold start."""

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
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    replayed: bool = False

    def as_replayed(self) -> Report:
        """Give the report of a picture that came from kept results."""
        return dataclasses.replace(self, replayed=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The end of a job that gave a picture: the finished file, metadata included, and its report."""

    job_id: str
    data: bytes
    report: Report


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a job that gave none. ``detail`` is one line and never holds the prompt."""

    job_id: str
    kind: FailureKind
    detail: str
    queued_ms: float
    execution_ms: float
    steps: int


Event: TypeAlias = Started | Progress | Rendered | Failed
