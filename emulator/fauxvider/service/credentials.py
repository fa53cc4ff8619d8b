"""What a request that was denied had for a key, as facts without the key: to be explained later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import parse_qsl

from fauxvider.analysis.near_credentials import CAUSES, Denied, KnownKey, Presented
from fauxvider.service.wire import Reply, Request, key_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider
    from fauxvider.service.world import World

__all__ = ["Refused", "denied_of", "known_keys"]

_MOST = 8  # places of one request
_LONGEST_QUERY = 4096
# Names under which keys are sent; and words that stand before them, by convention.
_LOOKS = re.compile(r"(?:^|[-_])(?:api-?_?key|key|token|auth[a-z]*|bearer|secret|credentials?)(?:$|[-_])")
_WORDS = frozenset({"bearer", "basic", "token", "key", "apikey", "api-key"})


class Refused(NamedTuple):
    """A refused request that is kept to be explained: `body` up to a size; `denied` where its key was the reason."""

    provider: str
    origin: str
    method: str
    path: str
    body: bytes
    denied: Denied | None = None


def denied_of(provider: Provider, request: Request, reply: Reply) -> Denied | None:
    """Give the facts of a request that was denied for its key (or what that may do); None for any other."""
    if reply.cause not in CAUSES:
        return None
    places = tuple(islice(_presented(provider, request), _MOST))
    return Denied(reply.cause, reply.operation, places, _is_scripted(provider, request, reply))


def known_keys(world: World, others: Iterable[World]) -> dict[str, KnownKey]:
    """Give the keys of a world and of others by the fingerprints that the first one has for them."""
    found = {world.print_of(one.key): KnownKey(one.state, one.name, one.scopes) for one in world.keys.values()}
    elsewhere: dict[str, list[str]] = {}
    for other in others:
        for key in other.keys:
            elsewhere.setdefault(world.print_of(key), []).append(other.name)
    for print_, names in elsewhere.items():
        found.setdefault(print_, KnownKey(worlds=tuple(names)))
    return found


def _is_scripted(provider: Provider, request: Request, reply: Reply) -> bool:
    """Tell whether the key was good, so that only a scenario can have denied the request."""
    if reply.cause == "owner_only":
        return False
    key, _ = key_of(provider.contract.auth, request)
    entry = provider.world.keys.get(key)
    if not key or (provider.world.keys and entry is None):
        return False
    if reply.cause != "scope_missing" or entry is None:
        return entry is None or entry.state in ("active", "unfunded")
    operation = provider.contract.operations.get(reply.operation)
    return entry.scopes is None or (operation is not None and operation.scope in entry.scopes)


def _presented(provider: Provider, request: Request) -> Iterator[Presented]:
    contract = provider.contract
    accepted = {one.header for one in contract.auth.accept}
    words = _WORDS | {one.scheme.lower() for one in contract.auth.accept if one.scheme}
    intent = contract.idempotency.header.lower() if contract.idempotency else ""
    for raw, data in request.headers:
        name = raw.decode("latin-1").lower()
        if name in accepted or (_LOOKS.search(name) and name != intent and "idempotency" not in name):
            yield _seen(provider.world, "header", name, data.decode("latin-1"), words)
    query = request.query[:_LONGEST_QUERY].decode("latin-1")
    for name, value in parse_qsl(query):
        if _LOOKS.search(name.lower()):
            yield _seen(provider.world, "query", name.lower(), value, frozenset())


def _seen(world: World, place: Literal["header", "query"], name: str, value: str, words: frozenset[str]) -> Presented:
    scheme, key = _parted(value.strip(), words)
    again, inner = _parted(key, words) if scheme else ("", key)
    bare = inner.strip("\"'")
    print_ = world.print_of(bare) if bare else ""
    return Presented(place, name, scheme, print_, is_double=bool(again), is_quoted=bare != inner)


def _parted(value: str, words: frozenset[str]) -> tuple[str, str]:
    """Part a value into the word before the key, in lower case, and the key; "" where no such word is there."""
    head, _, rest = value.partition(" ")
    return (head.lower(), rest.strip()) if head.lower() in words else ("", value)
