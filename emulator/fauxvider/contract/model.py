"""What a contract says, as frozen dataclasses. Pure: no file, no clock, no library.

One `Contract` is one provider under one choice of readings. Templates are compiled callables
that take a scope (name -> object); see `fauxvider.contract.templates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fauxvider.contract.elements import (
    Account,
    Auth,
    AuthHeader,
    Canonical,
    Cost,
    Deadline,
    Envelope,
    ErrorFace,
    Evidence,
    Failure,
    IdKind,
    Issue,
    LiveFailure,
    Origin,
    Output,
    Phase,
    Picture,
    Reading,
    ReadingCase,
    Scope,
    SizeRule,
    Source,
    Span,
    State,
    Template,
    Validator,
)

__all__ = [
    "Account",
    "Answer",
    "AssetRules",
    "Auth",
    "AuthHeader",
    "Callbacks",
    "Canonical",
    "Contract",
    "Cost",
    "Deadline",
    "Envelope",
    "ErrorFace",
    "Evidence",
    "Failure",
    "IdKind",
    "Idempotency",
    "Issue",
    "Limit",
    "LiveFailure",
    "Milestone",
    "Model",
    "Operation",
    "Origin",
    "Output",
    "Page",
    "Phase",
    "Picture",
    "Reading",
    "ReadingCase",
    "Retry",
    "Scope",
    "SecretRules",
    "SigV4",
    "Signature",
    "SizeRule",
    "Source",
    "Span",
    "State",
    "Template",
    "Url",
    "Validator",
    "Waits",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    key: tuple[str, ...]
    active: bool
    facts: Mapping[str, Any]
    input: Mapping[str, Any]  # JSON Schema, annotations stripped
    defaults: Mapping[str, Any]
    output: Output
    cost: Cost
    timing: Mapping[str, Span]  # by state word
    picture: Picture
    quoted_by: frozenset[str] | None = None  # the parameters that alone decide size, time and price
    also: tuple[tuple[str, ...], ...] = ()  # further keys

    def keys_of(self, length: int) -> list[tuple[str, ...]]:
        """Give the keys that have so many parts: an operation asks for them in as many places."""
        return [key for key in (self.key, *self.also) if len(key) == length]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long an answer is held. Without `query` and `header` it is until the job ends."""

    query: str = ""
    default: int = 0
    low: int = 0
    high: int = 0
    outside: Literal["clamp", "refuse"] = "clamp"
    unless: tuple[str, ...] = ()  # body pointer that switches blocking off
    header: str = ""  # lower case
    directive: str = ""  # of several in that header: the one that asks for a hold
    bare: int | None = None  # the span of a directive without a number
    unit: int = 1  # ms


@dataclass(frozen=True, slots=True)
class Answer:
    """Either a body, or the name of an error cause."""

    status: int = 200
    body: Template | None = None
    headers: tuple[tuple[str, Template], ...] = ()
    cause: str = ""
    is_text: bool = False
    names: frozenset[str] = frozenset()  # the dotted names that body and headers look up


@dataclass(frozen=True, slots=True)
class Page:
    limit: str = "limit"
    default: int = 50
    low: int = 1
    high: int = 500
    cursor: str = "cursor"
    back: str = ""
    sort: str = ""
    filter: str = ""
    default_sort: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    kind: str
    methods: tuple[str, ...]
    path: str
    origin: str
    when: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = ()
    scope: str = ""
    owner: bool = False
    limits: tuple[str, ...] = ()
    body: Literal["json", "multipart", "bytes", "none"] = "none"
    body_optional: bool = False
    max_body: int = 10_485_760
    model: tuple[Template, ...] = ()
    checks: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    validators: Mapping[str, Validator] = field(default_factory=dict)  # by model name; "" without
    # submit
    id: str = ""
    input: tuple[str, ...] = ()
    waits: Waits | None = None
    keeps: int | None = None
    on_invalid: str = ""  # failure name, "" refuses
    on_empty: str = ""
    # look-ups
    job: Template | None = None
    item: Template | None = None
    from_states: frozenset[str] = frozenset()
    extend: Template | None = None
    becomes: str = "cancelled"
    page: Page | None = None
    where: tuple[tuple[tuple[str, ...], Template], ...] = ()
    asset: Template | None = None
    secret: Template | None = None
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # a kind's parameter -> body pointer
    part: str = ""
    max_part: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    secret: str
    key: Literal["raw", "base64_after_prefix", "hex"]
    text: Template
    algorithm: str
    encoding: Literal["hex", "base64"]


@dataclass(frozen=True, slots=True)
class Retry:
    delays: tuple[int, ...]
    origin: Literal["end", "start"]
    on: frozenset[str]
    ends_only: bool = False  # what is told before the end of a job is told once


@dataclass(frozen=True, slots=True)
class Milestone:
    """What is told of before the end: a state is entered, pictures are there, or the run has come some way."""

    event: str
    when: Literal["running", "queued", "output", "share"]
    times: Template | None = None  # share: how many in a run, at equal distances; the last one is its end


@dataclass(frozen=True, slots=True)
class Callbacks:
    address: tuple[str, ...]  # pointer into the body; () where the address stands in the query
    events: Mapping[str, str]  # canonical -> event word
    body: Template
    headers: tuple[tuple[str, Template], ...]
    delivery_id: str
    attempt_id: str
    signature: Signature | None
    delay: int
    timeout: int
    accept: frozenset[str]
    retry: Retry
    fresh: bool  # payload and signature made again for a retry
    words: Mapping[str, str]
    query: str = ""  # the parameter that holds the address
    progress: tuple[Milestone, ...] = ()
    filter: tuple[str, ...] = ()  # body pointer: a list of the events that are wanted
    unasked: frozenset[str] | None = None  # the events that come without such a list; None: all
    throttle: int = 0  # ms between two of one event
    throttled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SigV4:
    region: str
    service: str
    access_key: Template
    query: Mapping[str, str]  # further parameters, signed too


@dataclass(frozen=True, slots=True)
class Url:
    name: str
    serves: Literal["output", "asset", "upload"]
    origin: str
    path: str
    make_path: Template
    signer: Literal["opaque", "sigv4", "unsigned"]
    lives: int | None
    origin_moment: Literal["end", "issue"]
    keeps: int | None
    key: Template | None
    sigv4: SigV4 | None
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    kind: Literal["sliding", "fixed", "in_flight"]
    window: int
    count: int
    per: tuple[str, ...]
    headers: tuple[tuple[str, Template], ...] = ()


@dataclass(frozen=True, slots=True)
class AssetRules:
    id: str
    key: Template | None
    prefix: str
    fields: tuple[Template, ...]
    by: Literal["id", "key"]
    required: bool
    max_size: int | None
    media_types: frozenset[str]
    present: tuple[Mapping[str, Any], ...]
    store_inline: bool


@dataclass(frozen=True, slots=True)
class SecretRules:
    id: str
    value: tuple[str | tuple[str, str], ...]  # tokens as in IdKind
    first_is_current: bool
    present: bool = False  # every new world has one


@dataclass(frozen=True, slots=True)
class Idempotency:
    header: str
    window: int
    per: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    provider: str
    title: str
    digest: str  # SHA-256 of the file's text
    choice: Mapping[str, str]  # reading -> case in force
    sources: Mapping[str, Source]
    readings: Mapping[str, Reading]
    origins: Mapping[str, Origin]  # the first is the API
    ids: Mapping[str, IdKind]
    auth: Auth
    account: Account
    states: Mapping[str, State]  # by word
    phases: tuple[Phase, ...]
    ends: Mapping[str, State]  # canonical end -> state
    failures: Mapping[str, Failure]
    default_failure: str
    live: Mapping[LiveFailure, str]  # how a real run ended -> failure
    deadlines: tuple[Deadline, ...]
    visible_after: int
    removal: int | None  # how long after the end a job's data goes, in ms
    errors: Mapping[str, ErrorFace]
    issue_texts: Mapping[str, Template]
    issue_types: Mapping[str, str]
    models: Mapping[str, Model]
    operations: Mapping[str, Operation]
    callbacks: Callbacks | None
    urls: Mapping[str, Url]
    limits: Mapping[str, Limit]
    assets: AssetRules | None
    secrets: SecretRules | None
    idempotency: Idempotency | None
    unserved: tuple[Mapping[str, Any], ...] = ()

    @property
    def api(self) -> Origin:
        return next(iter(self.origins.values()))
