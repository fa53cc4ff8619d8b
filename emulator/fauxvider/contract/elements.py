"""The elements that a contract's rules are made of: evidence, states and spans, failures, envelopes, sizes, costs.

As pure as `fauxvider.contract.model`, which puts them together and gives all their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias

Scope: TypeAlias = Mapping[str, Any]
Template: TypeAlias = Callable[[Scope], Any]
Canonical: TypeAlias = Literal[
    "queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired"
]


# How a real run can end without a picture (the ports say what each means).
LiveFailure: TypeAlias = Literal[
    "oom", "nan", "black", "killed", "deadline", "invalid", "unavailable", "queue_full", "not_cached", "error"
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who says so: level, source key, line ranges of a given document, a remark."""

    level: Literal["documented", "observed", "inferred", "assumed"]
    source: str = ""
    lines: tuple[tuple[int, int], ...] = ()
    date: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    title: str
    document: str = ""
    lines: int = 0
    retrieved: str = ""


@dataclass(frozen=True, slots=True)
class ReadingCase:
    says: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    about: str
    default: str
    cases: Mapping[str, ReadingCase]


@dataclass(frozen=True, slots=True)
class Origin:
    name: str
    url: str
    host: str


@dataclass(frozen=True, slots=True)
class IdKind:
    """`tokens`: literal text or (token, argument), as read from the pattern."""

    name: str
    scope: str
    tokens: tuple[str | tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuthHeader:
    header: str  # lower case
    scheme: str = ""  # "" means the bare value


@dataclass(frozen=True, slots=True)
class Auth:
    accept: tuple[AuthHeader, ...]


@dataclass(frozen=True, slots=True)
class Account:
    unit: str
    balance: Decimal
    funds: Literal["positive", "covers", "off"]
    charge: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    word: str
    canonical: Canonical
    shown: str = ""  # the word in its place, where another state has that one too

    @property
    def said(self) -> str:
        """The word that answers show."""
        return self.shown or self.word

    @property
    def is_terminal(self) -> bool:
        return self.canonical not in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Span:
    """A duration law, in ms. `work`: base + per_step x steps (x megapixels).

    `base_law` and `step_law`, when one is there, say it more finely: in microseconds, the first for
    any picture, the second a megapixel, the third a square megapixel.
    """

    kind: Literal["fixed", "uniform", "around", "work"]
    low: int = 0
    high: int = 0
    spread: int = 0  # parts per million, either way
    base: int = 0
    per_step: int = 0
    steps: Template | None = None
    megapixels: bool = False
    strength: Template | None = None  # the share of the steps that an image-to-image run takes
    base_law: tuple[int, ...] = ()
    step_law: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    state: State
    lasts: Span


@dataclass(frozen=True, slots=True)
class Failure:
    name: str
    end: Canonical
    after: Literal["queued", "running"]
    values: Mapping[str, Template]
    state: State | None = None  # shown instead of the usual word for that end


@dataclass(frozen=True, slots=True)
class Deadline:
    """A limit of the provider's own; `failure` names a shape, "" means that the record goes."""

    name: str
    pointer: tuple[str, ...]
    default: int | None
    covers: Literal["queued", "running", "all"]
    failure: str = ""
    header: str = ""  # lower case: holds the limit instead of the body
    unit: int = 1  # ms


@dataclass(frozen=True, slots=True)
class Envelope:
    name: str
    content_type: str
    body: Template
    root: str = ""  # XML root element; "" for JSON
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class ErrorFace:
    cause: str
    status: int
    envelope: Envelope
    values: Mapping[str, Template]
    headers: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """One violation of an input schema. `path` is from the request body's root."""

    path: tuple[str | int, ...]
    keyword: str
    limit: Any = None
    low: Any = None
    high: Any = None
    value: Any = None
    message: str = ""


class Validator(Protocol):
    def is_valid(self, value: Any) -> bool: ...
    def issues(self, value: Any) -> list[Issue]: ...


@dataclass(frozen=True, slots=True)
class SizeRule:
    kind: Literal["fields", "text", "table", "source", "aspect", "fixed"]
    value: Template | None = None
    width: Template | None = None
    height: Template | None = None
    separator: str = "*"
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    default: str | tuple[int, int] | None = None
    fixed: tuple[int, int] = (1024, 1024)
    megapixels: Template | None = None
    multiple: int = 1
    match: str = ""
    source: Template | None = None


@dataclass(frozen=True, slots=True)
class Output:
    count: Template
    size: SizeRule
    format: Template
    ext: Mapping[str, str]
    quality: Template | None
    result: Template
    names: frozenset[str]  # the dotted names that `result` looks up


@dataclass(frozen=True, slots=True)
class Cost:
    kind: str
    price: Decimal = Decimal(0)
    first: Decimal | None = None
    pixels_per_megapixel: int = 1_000_000
    megapixels: Literal["exact", "ceil", "floor"] = "exact"
    by: tuple[Template, ...] = ()
    rows: Mapping[str, Decimal] = field(default_factory=dict)
    default: Decimal | None = None
    formula: Callable[[Mapping[str, Decimal]], Decimal] | None = None
    names: Mapping[str, Template] = field(default_factory=dict)
    digits: int | None = None
    rounding: str = "half_even"


@dataclass(frozen=True, slots=True)
class Picture:
    """Which parameters reach the renderer; templates give plain values or None."""

    prompt: Template
    negative: Template | None = None
    seed: Template | None = None
    steps: Template | None = None
    guidance: Template | None = None
    strength: Template | None = None
    sources: tuple[Template, ...] = ()
    pipeline: str = ""
