"""The applications of one node among several: a request for a world that another node has is passed on to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeVar, cast

from fauxvider.clock import monotonic_ms
from fauxvider.errors import StoreError
from fauxvider.ports import ClaimedWorld, SharedFile
from fauxvider.server.app import Pages, Place, ProviderApp, read_request
from fauxvider.server.hops import Frame, Head, Hops, NodeGoneError
from fauxvider.server.passing import reply_frame, reply_of, request_frame, request_of
from fauxvider.service.emulator import Emulator
from fauxvider.service.handle import handle
from fauxvider.service.sharing import Elsewhere, Sharing
from fauxvider.service.wire import Reply, Request, WireFault, of_our_own
from fauxvider.service.world import World, WorldOptions

__all__ = ["Node", "SharedApp"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

T = TypeVar("T")
_PAUSE_S = 0.05  # between two looks for the node that takes over
_SAFE = ("GET", "HEAD")
_MOVED: Head = {"moved": True}
ControlServe = Callable[[Head, bytes], Awaitable[Frame]]


class Node:
    """One process of several: its part in sharing worlds, and its end of the hops."""

    def __init__(
        self, emulator: Emulator, file: SharedFile, *, lets_go: bool, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """`lets_go`: worlds may move to the nodes that are asked for them; `host`, `port`: where those call."""
        self.emulator = emulator
        self.sharing = Sharing(emulator, file, lets_go=lets_go)
        self.hops = Hops(file.node, file.secret, self._serve, host=host, port=port)
        self.serve_control: ControlServe | None = None
        self.serve_page: Pages | None = None
        self._is_leaving = False
        self._patience_ms = round(file.lease_s * 1000) + 2000

    async def start(self, defaults: WorldOptions) -> None:
        """Join the other nodes. Raises StoreError, PortTakenError, UsageError."""
        await self.hops.start()
        await self.sharing.start(self.hops.address, defaults)

    async def finish(self) -> None:
        """Begin nothing more for other nodes, who wait for the worlds to be free; return when they are answered."""
        self._is_leaving = True
        await self.hops.finished()

    async def stop(self) -> None:
        await self.sharing.stop()
        await self.hops.stop()

    async def looking(self, find: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
        """Look for a world again and again, until the lease of a node that is gone must be over."""
        deadline = monotonic_ms() + self._patience_ms
        while True:
            yield await find()
            if monotonic_ms() > deadline:
                return
            await asyncio.sleep(_PAUSE_S)

    async def ask(self, name: str, where: Elsewhere, head: Head, body: bytes) -> Frame | None:
        """Ask the node that has a world; None when the world has gone on. Raises NodeGoneError, and its StoreError."""
        head = {**head, "certain": where.is_certain}
        asked = asyncio.ensure_future(self.hops.ask(where.node, where.address, head, body))
        try:
            while not (await asyncio.wait([asked], timeout=self.sharing.file.lease_s))[0]:
                # It takes its time, or it has stopped and will never answer: its lease tells.
                if not await self.sharing.still(name, where):
                    self.hops.forget(where.node)
                    gone = NodeGoneError(f"the node at {where.address} does not answer, and its lease is over")
                    gone.was_asked = True
                    raise gone
            answer, data = asked.result()
        except NodeGoneError:
            self.sharing.went(name)
            raise
        finally:
            asked.cancel()
        if "moved" in answer:
            self.sharing.went(name)
            return None
        if "store" in answer:
            raise StoreError(answer["store"])
        return answer, data

    @contextlib.asynccontextmanager
    async def counted(self, name: str, through: str = "") -> AsyncIterator[None]:
        """Count a request in and out; the world may go to who asks more when it is done."""
        self.sharing.begin(name, through)
        try:
            yield
        finally:
            self.sharing.end(name)

    async def _serve(self, node: str, head: Head, body: bytes) -> Frame:
        """Answer another node."""
        if self._is_leaving:
            return _MOVED, b""
        try:
            return await self._served(node, head, body)
        except StoreError as error:
            return {"store": str(error)}, b""

    async def _served(self, node: str, head: Head, body: bytes) -> Frame:
        if head["kind"] == "control":
            return await self._serve_control(head, body)
        if head["kind"] == "page":
            return await self._serve_page(head)
        place = Place(*head["place"])
        world = await self._own(place.world, head)
        if world is None:
            return _MOVED, b""
        reply = await self.handled(world, place, request_of(head, place, body), node)
        if reply is None:
            return _MOVED, b""
        await self.sharing.let_go(place.world)
        return reply_frame(reply)

    async def handled(self, world: World, place: Place, request: Request, through: str = "") -> Reply | None:
        """Handle a request here; None when the world proved to be another's, and nothing of the request was kept."""
        kept = cast("ClaimedWorld", world.kept)
        if kept.lost:  # it went while the request was read
            return None
        commits = kept.commits
        async with self.counted(place.world, through):
            reply = await handle(world.provider(place.provider), request)
        return None if kept.is_refused and kept.commits == commits else reply

    async def _serve_control(self, head: Head, body: bytes) -> Frame:
        world = await self._own(head["world"], head)
        if self.serve_control is None or (world is None and not head["make"]):
            return _MOVED, b""
        async with self.counted(head["world"]):
            return await self.serve_control(head, body)

    async def _serve_page(self, head: Head) -> Frame:
        world = await self._own(head["world"], head)
        if self.serve_page is None or world is None:
            return _MOVED, b""
        page = await self.serve_page(head["world"], head["path"])
        return {"found": page is not None}, page or b""

    async def page(self, name: str, path: str) -> bytes | None:
        """Give a document of a world, wherever that is; None when there is none."""
        async for where in self.looking(lambda: self.sharing.find(name)):
            if not isinstance(where, Elsewhere):
                return None if self.serve_page is None else await self.serve_page(name, path)
            with contextlib.suppress(NodeGoneError):
                answer = await self.ask(name, where, {"kind": "page", "world": name, "path": path}, b"")
                if answer is not None:
                    return answer[1] if answer[0].get("found") else None
        return None

    async def _own(self, name: str, head: Head) -> World | None:
        """Give a world that is here. One that has been let go is not claimed again for who has not heard of that."""
        if not head["certain"] and self.emulator.find_world(name) is None:
            return None
        world = await self.sharing.find(name)
        return world if isinstance(world, World) else None


class SharedApp(ProviderApp):
    """The providers' HTTP face of a node: worlds that are elsewhere are asked there."""

    def __init__(self, emulator: Emulator, pages: Pages | None, node: Node) -> None:
        super().__init__(emulator, node.page)
        self._node = node
        node.serve_page = pages

    async def answer(self, place: Place, scope: Message, receive: Receive) -> Reply | None:
        sharing, request = self._node.sharing, None
        here = sharing.here(place.world)
        limit = self.emulator.compiled(place.provider, {}).max_body
        if here is not None:
            limit = here.provider(place.provider).compiled.max_body
        async for where in self._node.looking(lambda: sharing.find(place.world)):
            if where is None:
                return None if request is None else of_our_own(503, "the world is gone")
            request = request or await read_request(place, scope, receive, limit)
            reply = await self._asked(where, place, request)
            if reply is not None:
                return reply
        return of_our_own(503, "the node that had the world is gone, and nobody could take over")

    async def _asked(self, where: World | Elsewhere, place: Place, request: Request) -> Reply | None:
        """Have the request answered; None when the world turns out to be somewhere else."""
        if isinstance(where, World):
            return await self._node.handled(where, place, request)
        head, body = request_frame(place, request)
        try:
            answer = await self._node.ask(place.world, where, head, body)
        except NodeGoneError as gone:
            if gone.was_asked and request.method not in _SAFE:
                # It may have been accepted: whoever asked has to find out, as with any server that dies.
                return Reply(502, [], b"", wire=WireFault("reset"))
            return None
        return None if answer is None else reply_of(*answer)
