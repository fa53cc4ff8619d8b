"""One connection to a receiver: reads requests with h11, and breaks the connection when it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast

import h11

from fauxvider.receiver.script import Answer

__all__ = ["MAX_BODY", "Owner", "Peer", "Request"]

MAX_BODY = 16 * 1024 * 1024
_MAX_HEAD = 65_536
_MAX_AHEAD = 65_536  # what a sender may pipeline while it waits for an answer
_IDLE_S = 30.0
_LINGER_S = 5.0
_PIECES = 20
_GARBAGE = b"\x00\x16\x03\xff fauxvider: this is no HTTP \xfe\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request. ``wire`` is every byte of it as it came, framing included.

    ``is_over`` is set when nobody waits for the answer any more.
    """

    method: str
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    wire: bytes
    client: tuple[str, int]
    server: tuple[str, int]
    is_over: asyncio.Event


class Owner(Protocol):
    """What a connection needs of its receiver."""

    @property
    def is_down(self) -> bool: ...
    def join(self, peer: Peer) -> None: ...
    def leave(self, peer: Peer) -> None: ...
    def refuse(self, why: str) -> None: ...
    def handle(self, peer: Peer, request: Request) -> Coroutine[Any, Any, None]: ...


class Peer(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._wire = bytearray()
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._is_busy = False  # with a request that is being answered
        self._is_ending = False  # what still comes is thrown away
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._silent = asyncio.Event()  # the sender says no more
        self._was_silent = False  # already with the request that is being answered
        self._is_over = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    # --- what the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._owner.join(self)
        if self._owner.is_down:
            self._owner.refuse("down")
            self._loop.call_soon(self.reset)
        else:
            self._alarm(_IDLE_S)

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._wire += data
        self._h11.receive_data(data)
        if not self._is_busy:
            self._alarm(_IDLE_S)
            self._read()
        elif len(self._wire) > _MAX_AHEAD:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # A sender that only half-closes looks like one that has given up: an answer still goes out when it is
        # ready, but no delay is waited for.
        self._silent.set()
        self._is_over.set()
        if self._is_ending:
            return False
        self._h11.receive_data(b"")
        if not self._is_busy:
            self._read()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._is_ending = True
        self._alarm(0)
        self._silent.set()
        self._is_over.set()
        self._owner.leave(self)
        if not self.lost.done():
            self.lost.set_result(None)

    # --- reading ---

    def _read(self) -> None:
        try:
            while not (self._is_busy or self._is_ending):
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._complete()
                elif isinstance(event, h11.ConnectionClosed):
                    self._transport.close()
                    return
                else:
                    break
            # The chunks' own framing is bounded, too.
            if not self._is_ending and max(len(self._body), len(self._wire) // 2) > MAX_BODY:
                self._refuse(413, f"body over {MAX_BODY} bytes")
        except h11.RemoteProtocolError as error:
            if self._silent.is_set():
                self._owner.refuse("incomplete")
                self.end()
            else:
                self._refuse(error.error_status_hint, "head too large" if error.error_status_hint == 431 else "no HTTP")

    def _begin(self, event: h11.Request) -> None:
        self._head = event
        # h11 bounds a head that is incomplete; one that came whole in a single read is ours to measure.
        if len(self._wire) - len(self._h11.trailing_data[0]) > _MAX_HEAD:
            self._refuse(431, "head too large")
        elif self._h11.they_are_waiting_for_100_continue:
            go_on = self._h11.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            self._transport.write(go_on or b"")

    def _complete(self) -> None:
        head, rest = self._head, self._h11.trailing_data[0]
        if head is None or len(self._body) > MAX_BODY:
            self._refuse(413, f"body over {MAX_BODY} bytes")
            return
        self._is_over, self._was_silent = asyncio.Event(), self._silent.is_set()
        request = Request(
            method=head.method.decode("ascii"),
            target=head.target,
            version=head.http_version,
            headers=head.headers.raw_items(),
            body=bytes(self._body),
            wire=bytes(self._wire[: len(self._wire) - len(rest)]).lstrip(b"\r\n"),
            client=self._address("peername"),
            server=self._address("sockname"),
            is_over=self._is_over,
        )
        self._head, self._body, self._wire = None, bytearray(), bytearray(rest)
        self._is_busy = True
        self._alarm(0)
        self.task = self._loop.create_task(self._owner.handle(self, request))

    def _address(self, name: str) -> tuple[str, int]:
        found = self._transport.get_extra_info(name) or ("", 0)
        return str(found[0]), int(found[1])

    def _refuse(self, status: int, why: str) -> None:
        self._owner.refuse(why)
        text = why.encode()
        answer = b"HTTP/1.1 %d Refused\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(text), text)
        self._transport.write(answer)
        self.end()

    def _alarm(self, delay: float) -> None:
        """End the connection after so long, in place of whatever was to end it before; 0: never."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._transport.abort) if delay else None

    # --- answering ---

    @property
    def is_gone(self) -> bool:
        return self.lost.done() or self._transport.is_closing()

    @property
    def has_left(self) -> bool:
        """Whether the sender gave up while it was to wait for its answer."""
        return self.is_gone or (self._silent.is_set() and not self._was_silent)

    async def pause(self, ms: int) -> bool:
        """Wait so long in real time; say whether the sender has waited, too."""
        try:
            async with asyncio.timeout(ms / 1000):
                await self._silent.wait()
        except TimeoutError:
            return True
        self.end()
        return False

    async def until_silent(self) -> None:
        """Wait until the sender closes its side, or the receiver stops."""
        await self._silent.wait()
        self.end()

    async def send(self, answer: Answer, request: Request) -> bool:
        """Put an HTTP answer on the wire, then turn to the next request; say whether the sender waited for it."""
        has_left = self.has_left
        data = self._answer_bytes(answer, has_body=request.method != "HEAD" and answer.status not in (204, 304))
        if answer.drip_ms:
            size = max(1, -(-len(data) // _PIECES))
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            for piece in pieces[:-1]:
                self._write(piece)
                if not await self.pause(answer.drip_ms // len(pieces)):
                    return False
            data = pieces[-1]
        is_sent = self._write(data)
        self._go_on()
        return is_sent and not has_left

    def _answer_bytes(self, answer: Answer, *, has_body: bool) -> bytes:
        head = answer.response()
        if has_body:
            head = h11.Response(
                status_code=head.status_code,
                headers=[*head.headers.raw_items(), (b"Content-Length", b"%d" % len(answer.body))],
                reason=head.reason,
            )
        parts = [self._h11.send(head), self._h11.send(h11.Data(data=answer.body)) if has_body else b""]
        return b"".join(part or b"" for part in [*parts, self._h11.send(h11.EndOfMessage())])

    def _write(self, data: bytes) -> bool:
        if self.is_gone:
            return False
        self._transport.write(data)
        return True

    def _go_on(self) -> None:
        if self.is_gone:
            return
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self.end()
            return
        self._h11.start_next_cycle()
        self._is_busy = False
        self._alarm(_IDLE_S)
        self._transport.resume_reading()
        self._read()

    def send_garbage(self) -> None:
        self._write(_GARBAGE)
        self.end()

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self.is_gone:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def stop(self) -> None:
        """End the connection at once, but for what has not been written yet."""
        if self._transport.get_write_buffer_size():
            self.end()
        else:
            self.abort()

    def abort(self) -> None:
        self._is_ending = True
        self._transport.abort()

    def end(self) -> None:
        """Say that no more comes, and leave when the sender does, or soon after.

        Not a plain close: unread bytes would make a reset of it, which takes the last answer along.
        """
        if self.is_gone:
            return
        self._is_ending = True
        if self._silent.is_set():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._alarm(_LINGER_S)
