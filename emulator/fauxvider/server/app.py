"""The providers' HTTP face: one ASGI callable, no framework on the way of a request.

`/<provider>/...` is the provider's API in the default world, `/<provider>/~<origin>/...` its other hosts,
`/w/<world>/...` the same in another world; a provider's real host name in `Host` is understood too.
Documents that belong to no provider come from `pages`, which a higher floor hands in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fauxvider.gate import dump_json
from fauxvider.server.spoil import send_spoiled
from fauxvider.server.wire import RESPOND
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.handle import handle
from fauxvider.service.provider import Provider
from fauxvider.service.wire import Reply, Request

__all__ = ["WORLD", "ProviderApp"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pages = Callable[[str, str], Awaitable[bytes | None]]  # (world, path) -> a JSON document, or None
Probe = Callable[[str], Awaitable[tuple[int, bytes] | None]]  # path -> status and JSON document, or None

# In an ASGI scope: the world that answers at the providers' own host names, where it is not the default one.
WORLD = "fauxvider.world"

_JSON = (b"content-type", b"application/json")
_MAX_STRAYS = 50


class ProviderApp:
    """ASGI application over an `Emulator`."""

    def __init__(self, emulator: Emulator, pages: Pages | None = None) -> None:
        """`pages` answers GET requests for what belongs to no provider."""
        self.emulator = emulator
        self._pages = pages
        self.probe: Probe | None = None  # answers GET requests first, where no provider is found
        self.strays: deque[tuple[str, str]] = deque(maxlen=_MAX_STRAYS)  # method and path of what reached no provider
        self.stray_count = 0
        self._hosts = {host.encode("latin-1"): place for host, place in emulator.hosts.items()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        place = self._place(scope)
        if isinstance(place, Reply):
            await _read(receive, 0)
            place = await self._page(scope) or place
            if place.status == 404:
                self.stray_count += 1
                self.strays.append((scope["method"], scope["path"]))
            await _send(scope, send, place)
            return
        provider, origin, path, site = place
        body, is_over = await _read(receive, provider.compiled.max_body)
        request = Request(
            method=scope["method"],
            path=path,
            query=scope["query_string"],
            headers=scope["headers"],
            body=body,
            site=site,
            origin=origin,
            raw_path=scope.get("raw_path") or scope["path"].encode(),
            over_size=is_over,
            disconnected=receive,
        )
        reply = await handle(provider, request)
        if reply.wire is None:
            await _send(scope, send, reply)
        else:
            await send_spoiled(scope, receive, send, reply, reply.wire)

    def _place(self, scope: Message) -> tuple[Provider, str, str, str] | Reply:
        """Find provider, origin and the path that is left; or say what there is."""
        path: str = scope["path"]
        world_name = DEFAULT_WORLD
        if path.startswith("/w/"):
            world_name, slash, rest = path[3:].partition("/")
            path = slash + rest
        world = self.emulator.find_world(world_name)
        name, slash, rest = path[1:].partition("/")
        if world is None or name not in self.emulator.contracts:
            return self._real_host(scope) or self._nothing_there(path)
        found = world.provider(name)
        if rest.startswith("~"):
            origin, slash, rest = rest[1:].partition("/")
            return found, origin, slash + rest, "local"
        return found, found.contract.api.name, slash + rest, "local"

    async def _page(self, scope: Message) -> Reply | None:
        if self.probe is not None and scope["method"] in ("GET", "HEAD") and (seen := await self.probe(scope["path"])):
            return Reply(seen[0], [_JSON], seen[1])
        if self._pages is None or scope["method"] != "GET":
            return None
        path, world = scope["path"], DEFAULT_WORLD
        if path.startswith("/w/"):
            world, slash, rest = path[3:].partition("/")
            path = slash + rest
        page = await self._pages(world, path)
        return None if page is None else Reply(200, [_JSON], page)

    def _real_host(self, scope: Message) -> tuple[Provider, str, str, str] | None:
        """Understand a request to a provider's own host name: an exact match, or nothing."""
        for name, value in scope["headers"]:
            if name == b"host":
                real = self._hosts.get(value.partition(b":")[0].lower())
                if real is not None:
                    found = self.emulator.world(scope.get(WORLD, DEFAULT_WORLD)).provider(real[0])
                    return found, real[1], scope["path"], "real"
        return None

    def _nothing_there(self, path: str) -> Reply:
        providers = {name: f"{self.emulator.settings.base_url}/{name}" for name in self.emulator.contracts}
        if path == "/":
            return Reply(200, [_JSON], dump_json({"fauxvider": "providers", "providers": dict(providers)}))
        text = "no provider at this path; these are served"
        return Reply(404, [_JSON], dump_json({"error": text, "providers": dict(providers)}))


async def _read(receive: Receive, limit: int) -> tuple[bytes, bool]:
    """Read the whole body; keep `limit` bytes of it at most, and tell whether there was more."""
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return (body, False) if len(body) <= limit else (body[:limit], True)
    parts, size, is_over = [message.get("body", b"")], 0, False
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        part = message.get("body", b"")
        size += len(part)
        is_over = is_over or size > limit
        if not is_over:
            parts.append(part)
    return b"".join(parts), is_over


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
