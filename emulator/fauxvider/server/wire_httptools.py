"""The guarded protocol over httptools."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from fauxvider.server.wire import RESPOND, Guard

__all__ = ["GuardedHttpTools"]

_JOINED = 16_384  # bytes of a body that are cheaper to copy than to write by themselves
_MAX_HEADS = 1024
_MAX_HEAD = 2048  # bytes of one that is remembered
_OF_THE_HEAD = ("method", "path", "raw_path", "query_string")


class _Head(NamedTuple):
    """What uvicorn made of a request's head."""

    scope: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...]
    end: int  # bytes


class GuardedHttpTools(Guard, HttpToolsProtocol):
    """uvicorn's httptools protocol behind the guard.

    Clients repeat their heads. Of a request that is there whole, a head that the parser has read before is not read
    again: it is remembered what uvicorn made of it. That is a quarter of what a poll costs.
    """

    heads: ClassVar[dict[bytes, _Head]]  # of one server

    def __init_subclass__(cls) -> None:
        cls.heads = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        whole: Any = respond
        self._extensions[RESPOND] = whole

    def pass_on(self, data: bytes) -> None:
        """Have a request read, or recognise one whose head has been read before."""
        whole, before = self._framing.whole, self.cycle
        if whole is None or (before is not None and not before.response_complete):
            super().pass_on(data)
        elif (known := self.heads.get(whole)) is not None:
            self._begin(known, data)
        else:
            super().pass_on(data)
            if self.cycle is not before and len(whole) <= _MAX_HEAD:
                self._remember(whole)

    def _remember(self, whole: bytes) -> None:
        if not self.cycle.keep_alive or self.expect_100_continue or self.limit_concurrency is not None:
            return
        if len(self.heads) >= _MAX_HEADS:
            self.heads.clear()
        scope: Any = self.scope
        self.heads[whole] = _Head({name: scope[name] for name in _OF_THE_HEAD}, tuple(self.headers), len(whole))

    def _begin(self, known: _Head, data: bytes) -> None:
        """Do with a whole request what uvicorn does between its first byte and its last."""
        self.on_message_begin()
        self.headers.extend(known.headers)
        scope: Any = self.scope
        scope.update(known.scope)
        cycle = self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        cycle.body += data[known.end :]
        cycle.more_body = False
        cycle.message_event.set()
        self._start_asgi_task(cycle, self.app)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_response_complete(self) -> None:
        self.note_answer()
        if self.pipeline:
            super().on_response_complete()
        else:
            # As uvicorn's, without a keep-alive timer per request.
            self.server_state.total_requests += 1
            if not self.transport.is_closing():
                self.flow.resume_reading()
        self.end_if_refused()


def respond(send: Any, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a whole answer at once: one message and one write where ASGI has two of each.

    `send` is the ASGI callable of the request; `headers` hold the content-length; `body` is empty where none
    is sent. False where the ordinary way must be taken, which refuses an odd header, too.
    """
    # Its owner is asked for, not kept: something of ours in the request's scope would make a cycle of each request.
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    if cycle.transport.is_closing():  # the client left behind a request that waited for others
        cycle.disconnected = True
        return True
    added, own = _lines(tuple(cycle.default_headers)), _lines(tuple(headers))
    if added is None or own is None:
        return False
    first = STATUS_LINE[status] if status in STATUS_LINE else b"HTTP/1.1 %d \r\n" % status
    head = b"%b%b%b\r\n" % (first, added, own)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if len(body) <= _JOINED:
        cycle.transport.write(head + body)
    else:
        cycle.transport.writelines([head, body])
    cycle.message_event.set()
    cycle.on_response()
    return True


@lru_cache(maxsize=1024)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes | None:
    """Write headers down, a line each; None where one is odd, or says something about the connection."""
    text = b"\r\n".join([b"", *[b"%b: %b" % pair for pair in headers], b""])
    # Anything but one line a header came in with a value.
    ends = len(headers) + 1
    is_odd = text.count(b"\n") != ends or text.count(b"\r") != ends or b"\0" in text
    return None if is_odd or b"\r\nconnection:" in text else text[2:]
