"""What the strategies give, as small frozen values. No heavy import: Hypothesis may look these up at its start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fauxvider.messages import HttpMessage
from fauxvider.values import span_text

__all__ = ["Delivery", "Moment", "Response", "Submission", "World"]


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that asks for a job. `path` goes behind the base URL; `content` is the body's bytes.

    `breaks` names the one rule that it breaks, if it breaks one: `cause` is what the contract then refuses it
    with (and `status` how), or `failure` is how the job ends that is accepted all the same.
    """

    provider: str
    operation: str
    model: str
    method: str
    path: str
    headers: Mapping[str, str]
    json: Any = None
    content: bytes = field(default=b"", repr=False)
    breaks: str = ""
    cause: str = ""
    failure: str = ""
    status: int = 0

    def __repr__(self) -> str:
        names = ("provider", "operation", "model", "method", "path", "headers", "json", "breaks", "cause", "failure")
        shown = [f"{name}={value!r}" for name in names if (value := getattr(self, name)) or name == "json"]
        return f"Submission({', '.join(shown)})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def is_valid(self) -> bool:
        return not self.breaks

    def url(self, base: str) -> str:
        """Give the address under a base URL."""
        return base.rstrip("/") + self.path


@dataclass(frozen=True, slots=True)
class Response(HttpMessage):
    """An answer of a provider, as its contract has it. `cause` names an error; `state` is a job's, canonically."""

    provider: str
    operation: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cause: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Delivery(HttpMessage):
    """One POST of a callback, as a receiver gets it.

    `signature`: `good`, `none` (there is none), `wrong`, `stale` (of an older body), `old` (by the secret before
    this one). `breaks` names what was done to it; `secret` is the one to check it with ("" where nothing is signed).
    """

    provider: str
    job: str
    event: str
    attempt: int
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    signature: str = "none"
    breaks: str = ""
    secret: str = field(default="", repr=False)

    @property
    def is_genuine(self) -> bool:
        return self.signature in ("good", "none") and not self.breaks


@dataclass(frozen=True, slots=True)
class Moment:
    """A span of `ms` after which something is (`about`) just about to happen, happens, or has just happened."""

    ms: int
    about: str = ""

    @property
    def span(self) -> str:
        """Give it as `WorldHandle.advance` takes it: "7d 1ms"."""
        return span_text(self.ms)


@dataclass(frozen=True)
class World(Mapping[str, Any]):
    """What a world is made from: a mapping, so that ``server.world(**drawn)`` makes it."""

    options: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.options)

    def __len__(self) -> int:
        return len(self.options)

    def __hash__(self) -> int:
        return hash(repr(self.options))

    def __repr__(self) -> str:
        return f"World({dict(self.options)!r})"
