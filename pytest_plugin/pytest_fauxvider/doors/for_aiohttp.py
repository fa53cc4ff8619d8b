"""The door for aiohttp: connections to the providers' hosts stay in memory; what reads and writes them is its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import aiohttp

from pytest_fauxvider.doors.base import SELF, Door
from pytest_fauxvider.doors.memory import Incoming, wire_bytes

if TYPE_CHECKING:
    from fauxvider import WorldHandle

__all__ = ["aiohttp_door"]

_PIECE = 65_536
_open: list[Door] = []


class _MemoryTransport(asyncio.Transport):
    """The transport of one connection: what is written is asked of the emulator."""

    def __init__(self, door: Door, protocol: Any, scheme: str, host: str) -> None:
        super().__init__()
        self._door, self._protocol, self._scheme, self._host = door, protocol, scheme, host
        self._incoming = Incoming()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffer = b""
        self._end = ""
        self._is_paused = self._is_closed = False
        self._stalled: Any = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._host, 443) if name == "peername" else default

    def is_closing(self) -> bool:
        return self._is_closed or _open[-1:] != [self._door]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closed:
            return
        for asked in self._incoming.take(bytes(data)):
            task = self._loop.create_task(self._answer(asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Any) -> None:
        url = asked.url(self._scheme, self._host)
        answer = await self._door.exchange_async(asked.method, url, asked.headers, asked.body, timeout_s=SELF)
        data, ending = wire_bytes(answer, asked.method)
        self._buffer += data
        self._end = ending.kind
        self._deliver()

    def _deliver(self) -> None:
        while self._buffer and not self._is_paused and not self._is_closed:
            piece, self._buffer = self._buffer[:_PIECE], self._buffer[_PIECE:]
            self._protocol.data_received(piece)
        if self._buffer or self._is_closed:
            return
        if self._end == "silence":
            from pytest_fauxvider.sleeping_loops import stall

            self._stalled = stall(self._loop, self._give_up)
        elif self._end == "reset":
            self._lose(ConnectionResetError(104, "Connection reset by peer"))
        elif self._end == "eof":
            self._protocol.eof_received()
            self._lose(None)

    def _give_up(self) -> None:
        self._lose(ConnectionError("the provider does not answer, and this client has no timeout: it waits for ever"))

    def _lose(self, error: Exception | None) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._deliver)

    def close(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        for task in self._tasks:
            task.cancel()
        self._lose(None)

    def abort(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


@contextlib.contextmanager
def aiohttp_door(world: WorldHandle) -> Iterator[Door]:
    """Answer the providers' own hosts in `world`, for aiohttp's clients, whichever session they use."""
    door = Door(world)
    real = aiohttp.TCPConnector._create_connection

    async def create_connection(self: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - as it has it
        if not door.knows(req.url.host):
            return await real(self, req, traces, timeout)
        protocol = self._factory()
        protocol.connection_made(_MemoryTransport(door, protocol, req.url.scheme, req.url.raw_host))
        return protocol

    aiohttp.TCPConnector._create_connection = create_connection  # type: ignore[method-assign]
    _open.append(door)
    try:
        yield door
    finally:
        _open.remove(door)
        aiohttp.TCPConnector._create_connection = real  # type: ignore[method-assign]
