"""Receivers that do what no receiver should, on raw asyncio streams; each is a coroutine over one connection."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

__all__ = ["GOOD", "HOSTILE", "Handler", "answering", "receiver", "silent_listener"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read a request with a Content-Length, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head


def answering(*chunks: bytes) -> Handler:
    """Read the request, write this and close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"".join(chunks))
        await writer.drain()

    return handler


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def _drained(writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    # drain() alone does not give the loop away while the buffer has room; the sender lives on the same loop here.
    await asyncio.sleep(0)


async def sleeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until_gone(reader)


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in OK:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"a" * 1000 + b"\r\n")
        await _drained(writer)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"a" * 10_000)
        await _drained(writer)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(30_000_000))


async def gzip_bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    bomb = _bomb()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    await writer.drain()


async def informational_flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
        await _drained(writer)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 4)
    await writer.drain()


async def reset_in_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nConte")
    await writer.drain()
    _reset(writer)


async def reset_after_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
    await writer.drain()
    _reset(writer)


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def tls_junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"\x16\x03\x03\x40\x00" + b"\xff" * 512)
    await writer.drain()


async def long_status_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 " + b"O" * 10_000_000 + b"\r\n\r\n")
    await writer.drain()


async def replies_before_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


GOOD = answering(OK)
# kind -> (handler, None for a listener that never accepts; what an attempt must come to: kind, status)
HOSTILE: dict[str, tuple[Handler | None, str, int | None]] = {
    "never_accepts": (None, "timeout", None),
    "accepts_and_sleeps": (sleeps, "timeout", None),
    "one_byte_at_a_time": (drips, "timeout", None),
    "endless_headers": (endless_headers, "network", None),
    "endless_body": (endless_body, "http", 200),
    "gzip_bomb": (gzip_bomb, "http", 200),
    "informational_flood": (informational_flood, "network", None),
    "garbage": (garbage, "network", None),
    "reset_in_headers": (reset_in_headers, "network", None),
    "reset_after_status": (reset_after_status, "http", 200),
    "closes_without_reply": (closes, "network", None),
    "tls_junk": (tls_junk, "network", None),
    "long_status_line": (long_status_line, "network", None),
    "replies_before_reading": (replies_before_reading, "http", 200),
}


@asynccontextmanager
async def receiver(handler: Handler, *, ssl: object = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve a handler on a free port; what it raises because its peer left is nobody's concern."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(connected, host, 0, ssl=ssl)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        await server.wait_closed()


@asynccontextmanager
async def silent_listener() -> AsyncIterator[int]:
    """Listen and never accept: the kernel shakes hands, nobody reads."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        yield sock.getsockname()[1]
