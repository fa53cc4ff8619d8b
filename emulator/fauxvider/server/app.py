"""The providers' HTTP face: one ASGI callable, no framework on the way of a request.

`/<provider>/...` is the provider's API in the default world, `/<provider>/~<origin>/...` its other hosts,
`/w/<world>/...` the same in another world; a provider's real host name in `Host` is understood too.
Documents that belong to no provider come from `pages`, which a higher floor hands in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from fauxvider.errors import StoreError
from fauxvider.gate import dump_json
from fauxvider.server.spoil import send_spoiled
from fauxvider.server.wire import RESPOND
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.handle import handle
from fauxvider.service.journal import holds_key
from fauxvider.service.wire import Reply, Request, of_our_own

__all__ = ["WORLD", "ClientLeftError", "Place", "ProviderApp", "read_request", "world_of"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pages = Callable[[str, str], Awaitable[bytes | None]]  # (world, path) -> a JSON document, or None
Probe = Callable[[str], Awaitable[tuple[int, bytes] | None]]  # path -> status and JSON document, or None

# In an ASGI scope: the world that answers at the providers' own host names, where it is not the default one.
WORLD = "fauxvider.world"

_JSON = (b"content-type", b"application/json")
_MAX_STRAYS = 50
_MAX_PLACES = 1024  # that are kept at hand, by path
_MAX_PATH = 256


class Place(NamedTuple):
    """Where a request goes: a provider, one of its origins, and the path that is left. The world may be unknown."""

    world: str
    provider: str
    origin: str
    path: str
    site: str


class ClientLeftError(Exception):
    """The client left, or was cut, before its request was whole."""


class ProviderApp:
    """ASGI application over an `Emulator`."""

    def __init__(self, emulator: Emulator, pages: Pages | None = None) -> None:
        """`pages` answers GET requests for what belongs to no provider."""
        self.emulator = emulator
        self._pages = pages
        self.probe: Probe | None = None  # answers GET requests first, where no provider is found
        self.strays: deque[tuple[str, str]] = deque(maxlen=_MAX_STRAYS)  # method and path of what reached no provider
        self.stray_count = 0
        self._origins = {name: next(iter(file.origin_urls)) for name, file in emulator.contracts.items()}
        self._places: dict[str, Place] = {}
        self._hosts = {host.encode("latin-1"): place for host, place in emulator.hosts.items()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        place = self._place(scope)
        try:
            reply = None if place is None else await self.answer(place, scope, receive)
            if reply is None:
                reply = await self._nothing_there(scope, receive)
        except ClientLeftError:
            return  # what was never asked to the end is neither answered nor noted
        except StoreError as error:
            reply = of_our_own(503, str(error))
        if reply.wire is None:
            await _send(scope, send, reply)
        else:
            await send_spoiled(scope, receive, send, reply, reply.wire)

    async def answer(self, place: Place, scope: Message, receive: Receive) -> Reply | None:
        """Answer a request at a provider; None, with the request unread, when there is no such world."""
        world = self.emulator.find_world(place.world)
        if world is None:
            return None
        provider = world.provider(place.provider)
        return await handle(provider, await read_request(place, scope, receive, provider.compiled.max_body))

    def _place(self, scope: Message) -> Place | None:
        path = scope["path"]
        known = self._places.get(path)
        if known is None and (known := self._named(path)) is not None and len(path) <= _MAX_PATH:
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            self._places[path] = known
        return known or self._real_host(scope)

    def _named(self, full_path: str) -> Place | None:
        """Find the place that a path names; a path is asked for again and again."""
        world, path = world_of(full_path)
        name, slash, rest = path[1:].partition("/")
        if name not in self.emulator.contracts:
            return None
        if rest.startswith("~"):
            origin, slash, rest = rest[1:].partition("/")
            return Place(world, name, origin, slash + rest, "local")
        return Place(world, name, self._origins[name], slash + rest, "local")

    async def _page(self, scope: Message) -> Reply | None:
        if self.probe is not None and scope["method"] in ("GET", "HEAD") and (seen := await self.probe(scope["path"])):
            return Reply(seen[0], [_JSON], seen[1])
        if self._pages is None or scope["method"] != "GET":
            return None
        page = await self._pages(*world_of(scope["path"]))
        return None if page is None else Reply(200, [_JSON], page)

    def _real_host(self, scope: Message) -> Place | None:
        """Understand a request to a provider's own host name: an exact match, or nothing."""
        for name, value in scope["headers"]:
            if name == b"host":
                real = self._hosts.get(value.partition(b":")[0].lower())
                if real is not None:
                    return Place(scope.get(WORLD, DEFAULT_WORLD), real[0], real[1], scope["path"], "real")
        return None

    async def _nothing_there(self, scope: Message, receive: Receive) -> Reply:
        """Answer what reaches no provider: with a page, or by saying what there is."""
        await _read(receive, 0)
        reply = await self._page(scope) or self._overview(*world_of(scope["path"]))
        if reply.status == 404:
            if (watch := self.emulator.settings.watch) is not None:
                watch.event("stray", method=scope["method"], status=404, path=_kept_of(scope))
            self.stray_count += 1
            self.strays.append((scope["method"], scope["path"]))
        return reply

    def _overview(self, world: str, path: str) -> Reply:
        providers = {name: f"{self.emulator.settings.base_url}/{name}" for name in self.emulator.contracts}
        if path == "/":
            return Reply(200, [_JSON], dump_json({"fauxvider": "providers", "providers": dict(providers)}))
        is_unknown = world != DEFAULT_WORLD and path[1:].partition("/")[0] in providers
        text = f"there is no world {world!r}" if is_unknown else "no provider at this path"
        text += "; these providers are served in the default one" if is_unknown else "; these are served"
        return Reply(404, [_JSON], dump_json({"error": text, "providers": dict(providers)}))


def _kept_of(scope: Message) -> str:
    """Give a path without what stands in the headers too: a key that went astray."""
    path: str = scope["path"]
    values = (value.decode("latin-1").rpartition(" ")[2] for _, value in scope["headers"])
    return next(("***" for value in values if holds_key(path, value)), path)


def world_of(path: str) -> tuple[str, str]:
    """Give the world that a path names, and the path within it."""
    if not path.startswith("/w/"):
        return DEFAULT_WORLD, path
    world, slash, rest = path[3:].partition("/")
    return world, slash + rest


async def read_request(place: Place, scope: Message, receive: Receive, limit: int) -> Request:
    """Read a request; of its body `limit` bytes at most. Raises ClientLeftError."""
    body, is_over = await _read(receive, limit)
    return Request(
        method=scope["method"],
        path=place.path,
        query=scope["query_string"],
        headers=scope["headers"],
        body=body,
        site=place.site,
        origin=place.origin,
        raw_path=scope.get("raw_path") or scope["path"].encode(),
        over_size=is_over,
        disconnected=receive,
    )


async def _read(receive: Receive, limit: int) -> tuple[bytes, bool]:
    """Read the whole body; keep `limit` bytes of it at most, and tell whether there was more."""
    message = await receive()
    if not message.get("more_body"):
        body: bytes | None = message.get("body")
        if body is None:
            return _no_body(message), False
        return (body, False) if len(body) <= limit else (body[:limit], True)
    parts, size, is_over = [message.get("body", b"")], 0, False
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        part = message.get("body", b"")
        size += len(part)
        is_over = is_over or size > limit
        if not is_over:
            parts.append(part)
    return b"".join(parts), is_over


def _no_body(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientLeftError
    return b""


async def _send(scope: Message, send: Send, reply: Reply) -> None:
    length = len(reply.body) if reply.length is None else reply.length
    headers = [*reply.headers, (b"content-length", b"%d" % length)]
    extensions = scope.get("extensions")
    if extensions is not None and (respond := extensions.get(RESPOND)) is not None:
        body = b"" if scope["method"] == "HEAD" else reply.body
        if respond(send, reply.status, headers, body):
            return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _other(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return
    await receive()
    await send({"type": "websocket.close", "code": 1008})
