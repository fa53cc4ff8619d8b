"""What comes in and goes out, free of any web framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fauxvider.contract.model import Auth

__all__ = ["Rejection", "Reply", "Request", "WireFault", "header_of", "key_of", "of_our_own"]


@dataclass(slots=True)
class Request:
    """One request at a provider. Headers are lower-case byte pairs, as ASGI gives them."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    site: str = "local"  # "local", or "real" when the provider's own host name was called
    origin: str = ""
    raw_path: bytes = b""  # the whole path as it was sent: what signatures cover
    params: Mapping[str, str] = field(default_factory=dict)
    disconnected: Callable[[], Awaitable[Any]] | None = None  # returns when the client is gone
    named: dict[bytes, bytes] | None = None  # the headers by name, made when one is first asked for
    tree: Any = None  # the body as JSON, once somebody has read it
    over_size: bool = False  # the body was cut off: it passed every limit
    fingerprint: str = ""  # of the body, where that stands in for another one (a replay)


@dataclass(frozen=True, slots=True)
class WireFault:
    """What goes wrong while an answer is sent.

    kinds: reset close hang truncate json encoding length drip (`span` ms) garbage half_close.
    """

    kind: str
    span: int = 0
    share: float = 0.5  # of the body, for truncate


@dataclass(slots=True)
class Reply:
    """The answer. What follows `body` is for the journal, but for `length` and `wire`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    operation: str = ""
    job: str = ""
    cause: str = ""
    length: int | None = None  # the body's, where the body itself is not sent (HEAD)
    wire: WireFault | None = None
    state: str = ""
    word: str = ""
    key: str = ""
    intent: str = ""
    fingerprint: str = ""
    retry_after: int | None = None
    shown_cost: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refusal, before the contract gives it a face. `extra` joins the template scope."""

    cause: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def of_our_own(status: int, why: str) -> Reply:
    """Answer in the emulator's own words, where no provider has any: a store that fails, a node that is gone."""
    return Reply(status, [(b"content-type", b"text/plain")], f"fauxvider: {why}".encode())


def header_of(request: Request, name: bytes) -> str | None:
    """Give a header's value (of several, the last); names are lower case."""
    named = request.named
    if named is None:
        named = request.named = dict(request.headers)
    value = named.get(name)
    return None if value is None else value.decode("latin-1")


def key_of(auth: Auth, request: Request) -> tuple[str, bool]:
    """Give the API key ("" without one) and whether any of the accepted headers was there."""
    is_present = False
    for accepted in auth.accept:
        value = header_of(request, accepted.header.encode("latin-1"))
        if value is None:
            continue
        is_present = True
        if not accepted.scheme:
            return value.strip(), True
        if (key := _key_after(accepted.scheme, value)) is not None:
            return key, True
    return "", is_present


@lru_cache(maxsize=1024)
def _key_after(scheme: str, value: str) -> str | None:
    given, _, key = value.partition(" ")
    return key.strip() if given.lower() == scheme.lower() else None
