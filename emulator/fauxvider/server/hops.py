"""Requests passed from one node to another: frames over TCP connections that are kept, many at once on each.

A frame is two lengths (4 bytes each, big-endian), a JSON head, and a body of raw bytes. The first frame of a
connection is a greeting with the nodes' common secret, and who calls; what follows is answered by its number. A node
that ends says so: it is asked nothing more, and answers what had been sent before that was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import orjson

from fauxvider.errors import FauxviderError
from fauxvider.sockets import listen

__all__ = ["Hops", "NodeGoneError"]

_LENGTHS = struct.Struct(">II")
_MAX_HEAD = 4 * 1024 * 1024
_MAX_BODY = 64 * 1024 * 1024
_MAX_GREETING = 4096
_GREETING_S = 5.0
_CONNECT_S = 5.0
_BYE_S = 1.0

Head: TypeAlias = dict[str, Any]
Frame: TypeAlias = tuple[Head, bytes]
_BYE: Head = {"bye": True, "number": 0}
Serve: TypeAlias = Callable[[str, Head, bytes], Awaitable[Frame]]  # (who asks, head, body) -> answer

_log = logging.getLogger(__name__)


class NodeGoneError(FauxviderError, ConnectionError):
    """The other node cannot be reached; or (`was_asked`) it went when it may have begun to work on a request."""

    was_asked = False


class Hops:
    """This node's end of all hops: it asks others, and `serve` answers them."""

    def __init__(self, node: str, secret: str, serve: Serve, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._node = node
        self._secret = secret
        self._serve = serve
        self._place = (host, port)
        self.address = ""
        self._server: asyncio.Server | None = None
        self._lines: dict[str, asyncio.Task[_Line]] = {}  # by node
        self._callers: set[asyncio.StreamWriter] = set()
        self._is_left = asyncio.Event()  # set when a caller goes
        self._working: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises PortTakenError, or UsageError for an address that is none of this machine."""
        sock = listen(*self._place)
        bound, number = sock.getsockname()[:2]
        self.address = f"[{bound}]:{number}" if ":" in bound else f"{bound}:{number}"
        self._server = await asyncio.start_server(self._greeted, sock=sock, limit=1024 * 1024)

    @property
    def busy(self) -> int:
        """How many requests of other nodes are at work."""
        return len(self._working)

    async def finished(self) -> None:
        """Return when the requests of other nodes that are at work now have been answered."""
        if self._working:
            await asyncio.wait(list(self._working))

    async def stop(self) -> None:
        """Ask and answer nothing any more."""
        if self._server is not None:
            self._server.close()
        for writer in self._callers:
            _write(writer, _BYE, b"")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BYE_S):
                while self._callers:
                    self._is_left.clear()
                    await self._is_left.wait()
        for writer in self._callers:
            writer.close()
        for node in list(self._lines):
            self.forget(node)

    def forget(self, node: str) -> None:
        """Close the connection to a node: it is gone, whatever the network says."""
        line = self._lines.pop(node, None)
        if line is None:
            return
        if line.done() and not line.cancelled() and not line.exception():
            line.result().close()
        else:
            line.cancel()

    async def ask(self, node: str, address: str, head: Head, body: bytes) -> Frame:
        """Ask the node at an address. Raises NodeGoneError."""
        line = self._lines.get(node)
        if line is None or (line.done() and (line.cancelled() or line.exception() or line.result().is_closed)):
            line = self._lines[node] = asyncio.create_task(_Line.open(address, self._node, self._secret))
        was_asked = False
        try:
            open_line = await asyncio.shield(line)
            was_asked = not open_line.is_closed
            return await open_line.ask(head, body)
        except OSError as error:
            if self._lines.get(node) is line:
                self.forget(node)
            gone = NodeGoneError(f"the node at {address} is gone: {error}")
            gone.was_asked = was_asked
            raise gone from None
        except asyncio.CancelledError:
            if line.cancelled():  # given up while it was being opened
                raise NodeGoneError(f"the node at {address} is gone") from None
            raise

    # --- answering

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers.add(writer)
        try:
            async with asyncio.timeout(_GREETING_S):
                head, _ = await _read(reader, max_head=_MAX_GREETING, max_body=0)
            if hmac.compare_digest(str(head.get("secret", "")).encode(), self._secret.encode()):
                await self._answer(str(head.get("node", "")), reader, writer)
        except (OSError, EOFError, ValueError, TimeoutError):
            pass  # the other end went, or was no node
        finally:
            self._callers.discard(writer)
            self._is_left.set()
            writer.close()

    async def _answer(self, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def work(number: int, head: Head, body: bytes) -> None:
            try:
                answer, data = await self._serve(node, head, body)
            except Exception:  # noqa: BLE001 - a fault of ours must not leave the other node waiting
                _log.exception("a request of the node %s failed", node)
                answer, data = {"failed": True}, b""
            _write(writer, {**answer, "number": number}, data)

        tasks: set[asyncio.Task[None]] = set()
        while True:
            try:
                head, body = await _read(reader)
            except EOFError:
                if tasks:  # who has heard that this node ends still waits for these
                    await asyncio.wait(tasks)
                raise
            # What has begun goes on when the asker is gone: cut in the middle, a move of time would lose callbacks.
            task = asyncio.create_task(work(int(head["number"]), head, body))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
            tasks.add(task)
            task.add_done_callback(tasks.discard)


class _Line:
    """One connection to another node, by which many requests go at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._count = 0
        self.is_closed = False
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(cls, address: str, node: str, secret: str) -> _Line:
        host, _, port = address.rpartition(":")
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=1024 * 1024)
        _write(writer, {"secret": secret, "node": node}, b"")
        return cls(reader, writer)

    async def ask(self, head: Head, body: bytes) -> Frame:
        """Ask; the other node goes on with it when the asker is cancelled. Raises OSError."""
        if self.is_closed:
            raise ConnectionResetError("the connection was closed")
        self._count += 1
        number = self._count
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        _write(self._writer, {**head, "number": number}, body)
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head, body = await _read(reader)
                if "bye" in head:
                    self.is_closed = True
                    self._writer.write_eof()
                    continue
                future = self._asked.get(int(head["number"]))
                if future is not None and not future.done():
                    future.set_result((head, body))
        except (OSError, EOFError, ValueError) as error:
            self._end(error)
        finally:
            self._end(ConnectionResetError("the connection was closed"))
            self._writer.close()

    def close(self) -> None:
        """Ask nothing any more; who still waits gets an error."""
        self._writer.close()

    def _end(self, error: Exception) -> None:
        self.is_closed = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionResetError(str(error)))


def _write(writer: asyncio.StreamWriter, head: Head, body: bytes) -> None:
    if writer.is_closing():
        return  # the reading side notices
    with contextlib.suppress(RuntimeError):  # closed meanwhile
        text = orjson.dumps(head)
        writer.write(b"".join((_LENGTHS.pack(len(text), len(body)), text, body)))


async def _read(reader: asyncio.StreamReader, *, max_head: int = _MAX_HEAD, max_body: int = _MAX_BODY) -> Frame:
    """Read a frame. Raises EOFError at the end, ValueError for what is none."""
    try:
        head_size, body_size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if head_size > max_head or body_size > max_body:
            raise ValueError("a frame is too long")
        text = await reader.readexactly(head_size)
        head = orjson.loads(text)
        if not isinstance(head, dict):
            raise ValueError("a frame has no head")  # noqa: TRY004 - it is what came that is wrong
        return head, await reader.readexactly(body_size) if body_size else b""
    except asyncio.IncompleteReadError:
        raise EOFError from None
