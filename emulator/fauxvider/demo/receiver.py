"""A callback receiver for the tour: answers by script, and keeps what it got."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h11

__all__ = ["Hit", "TourReceiver"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One callback as it came, and what it was answered with."""

    headers: list[tuple[str, str]]
    body: bytes
    answer: int | str


class TourReceiver:
    """Answers with each of `answers` in turn (a status, or "reset"); the last one repeats."""

    def __init__(self, answers: Sequence[int | str]) -> None:
        self._answers = answers
        self._server: asyncio.Server | None = None
        self.hits: list[Hit] = []

    async def start(self) -> str:
        """Listen on a free loopback port; give the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/hook"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers, body = await _read(reader)
        answer = self._answers[min(len(self.hits), len(self._answers) - 1)]
        self.hits.append(Hit(headers, body, answer))
        if answer == "reset":
            _linger_zero(writer.get_extra_info("socket"))
            writer.transport.abort()
            return
        writer.write(f"HTTP/1.1 {answer} \r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[list[tuple[str, str]], bytes]:
    connection = h11.Connection(h11.SERVER)
    headers: list[tuple[str, str]] = []
    body = b""
    while True:
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            return headers, body


def _linger_zero(sock: Any) -> None:
    """Make the coming close a reset instead of an orderly end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
