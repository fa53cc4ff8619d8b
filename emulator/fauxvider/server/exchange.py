"""One HTTP/1.1 exchange of a callback: an asyncio protocol that reads the answer with h11.

A protocol, not a stream pair: what arrived before a reset must still count, and a StreamReader
forgets it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import h11

__all__ = ["Exchange", "Reply"]

_MAX_INTERIM = 16  # answers such as 102 before the real one; each costs the loop as much as a whole answer
_END = h11.EndOfMessage()


@lru_cache(maxsize=16)
def _request(method: str) -> h11.Request:
    return h11.Request(method=method, target="/", headers=[("host", "x")])


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; ``status`` is None when no whole response head did."""

    status: int | None
    body: bytes = b""
    error: str = ""


class Exchange(asyncio.Protocol):
    """Reads one response; the future ``reply`` is done with the first decisive thing that happens.

    The head decides: once it is in, a body that is cut off, or that never ends, changes only ``error``.
    """

    def __init__(self, method: str, *, max_head: int, max_body: int) -> None:
        loop = asyncio.get_running_loop()
        self.reply: asyncio.Future[Reply] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._head_left = max_head
        self._max_head = max_head
        self._max_body = max_body
        self._status: int | None = None
        self._interim = 0
        self._body = bytearray()
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head)
        # h11 reads a response by the request before it; the bytes that are sent are the sender's own.
        self._h11.send(_request(method))
        self._h11.send(_END)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.reply.done():
            return
        if self._status is None:
            head, data = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            self._read(head)
            if self._status is None and not self._head_left:
                self._end(error=f"response head over {self._max_head} bytes")
        if data:
            self._read(data)

    def eof_received(self) -> None:
        if self._status is None:
            self._end(error="closed without a whole answer")
            return
        self._read(b"")
        self._end(error="closed in the middle of the body")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(error="connection reset" if exc else "connection closed")
        if not self.lost.done():
            self.lost.set_result(None)

    def cut(self, error: str) -> Reply | None:
        """Give what there is when the deadline comes: a reply if its head is in, else None."""
        return None if self._status is None else Reply(self._status, bytes(self._body), error)

    def _read(self, data: bytes) -> None:
        if self.reply.done():
            return
        try:
            self._h11.receive_data(data)
            while not self.reply.done():
                event = self._h11.next_event()
                if isinstance(event, h11.Response):
                    self._status = event.status_code
                elif isinstance(event, h11.Data):
                    self._keep(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._end()
                elif isinstance(event, h11.InformationalResponse):
                    self._count_interim()
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._end(error=f"not HTTP: {error}" if self._status is None else f"broken body: {error}")

    def _count_interim(self) -> None:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            self._end(error=f"more than {_MAX_INTERIM} interim answers")

    def _keep(self, data: bytes) -> None:
        self._body += data[: self._max_body - len(self._body)]
        if len(self._body) >= self._max_body:
            self._end(error=f"body over {self._max_body} bytes; the rest was dropped")

    def _end(self, *, error: str = "") -> None:
        if not self.reply.done():
            self.reply.set_result(Reply(self._status, bytes(self._body), error))
