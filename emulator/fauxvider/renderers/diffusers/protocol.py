"""What the server and its worker process say to each other.

A message on the wire is a JSON header with a length before it, then the message's raw blobs: no
pickle, so neither side can be made to run what the other sends.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fauxvider.ports import Failed, FailureKind, Progress, Rendered, Report, RunEvent, Started

__all__ = [
    "HEAD",
    "Cancel",
    "Close",
    "Configure",
    "Done",
    "Ended",
    "Failed",
    "FailureKind",
    "Fault",
    "Message",
    "Progress",
    "Ready",
    "Render",
    "Rendered",
    "Report",
    "RunEvent",
    "StartFailed",
    "Started",
    "Step",
    "Taken",
    "head_lengths",
    "pack",
    "unpack",
]  # fmt: skip

# Accidents on order: `crash` kills the worker process, `hang` waits for ever, at a job's second step.
Fault: TypeAlias = Literal["oom", "nan", "black", "crash", "hang"]


# --- server to worker ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configure:
    """The first message: the one folder that the worker serves, and how.

    ``model`` is a folder whose pipelines are of that ``family``; None is the tiny one, built on demand.
    """

    family: str
    model: str | None
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
