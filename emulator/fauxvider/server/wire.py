"""The wire of the server: uvicorn's protocols with deadlines, limits and faults.

uvicorn holds idle, half-sent and stalled connections for as long as their clients like, and its two
parsers read some requests differently. `Guard`, in front of either, closes what does not move,
refuses what is too large or disputed, and hands the application a `Wire` to break the connection with.
"""

from __future__ import annotations

import asyncio
import heapq
import importlib.util
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

from fauxvider.errors import UsageError
from fauxvider.server.framing import Framing, HeadLimits, Refusal

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.server import ServerState

__all__ = ["EXTENSION", "RESPOND", "Guard", "Wire", "WireSettings", "protocol_class"]

EXTENSION = "fauxvider.wire"
# Under this, where the protocol has one: a callable (status, headers, body) that writes a whole answer.
RESPOND = "fauxvider.respond"


@dataclass(frozen=True, slots=True)
class WireSettings:
    """Deadlines in seconds and limits of one server's connections.

    A body may take ``body_s``, or longer as long as it brings ``body_rate`` bytes a second. ``linger_s``
    is how long a refused client may go on talking before it is cut off. Over ``max_connections`` those that
    have kept the server waiting longest are cut to make room; a newcomer is refused where nobody does.
    """

    head_s: float = 10.0
    body_s: float = 30.0
    body_rate: int = 1000
    idle_s: float = 5.0
    linger_s: float = 1.0
    max_connections: int = 512
    head: HeadLimits = field(default_factory=HeadLimits)


class _Cycle(Protocol):
    disconnected: bool
    response_started: bool
    response_complete: bool
    message_event: asyncio.Event


class Wire:
    """The connection under a request, in ``scope["extensions"]["fauxvider.wire"]``.

    After any of these the ordinary answer is off: what the application still sends is dropped, and
    what it awaits is a disconnect. A connection left open is closed ``body_s`` after the last of them.
    """

    __slots__ = ("_guard",)

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    @property
    def is_closed(self) -> bool:
        return self._guard.transport.is_closing()

    def reset(self) -> None:
        """End the connection by a TCP reset; what was written before it goes out first."""
        transport = self._guard.take_over()
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # uvloop writes at the end of the turn; an abort in this turn would throw that away.
        self._guard.loop.call_soon(transport.abort)

    def close(self) -> None:
        """End the connection in order, whatever of the answer is missing."""
        self._guard.take_over().close()

    def half_close(self) -> None:
        """Say that no more comes, and go on reading; on TLS, where that cannot be said, close."""
        transport = self._guard.take_over()
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def write_raw(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self._guard.take_over().write(data)


class Guard(asyncio.Protocol):
    """What both protocols share: one framing, one timer, one answer to a refusal.

    The single timer is not moved when something happens; it looks, when it fires, at how long the
    present state has lasted, and sleeps for the rest. A request costs one reading of the loop's clock.
    """

    settings: ClassVar[WireSettings] = WireSettings()
    if TYPE_CHECKING:
        loop: asyncio.AbstractEventLoop
        transport: asyncio.Transport
        flow: FlowControl
        cycle: Any
        app: Any
        access_log: bool
        connections: set[Any]
        server_state: ServerState

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn's own switch for this would take the handlers off a logger that the user may use, too.
        self.access_log = False
        self._framing = Framing(self.settings.head)
        self._extensions: dict[str, dict[Any, Any]] = {EXTENSION: cast("dict[Any, Any]", Wire(self))}
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0  # of the connection, the last answer, or the beginning of the end
        self._answered = 0
        self._stage_since = 0.0
        self._stage = 0
        self._unsent = 0
        self._unsent_since = 0.0
        self._is_ending = False
        self._is_surplus = False
        self._is_taken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.connections) > 2 * self.settings.max_connections:
            self.transport.abort()
            return
        self._since = self.loop.time()
        self._is_surplus = len(self.connections) > self.settings.max_connections and not self._makes_room()
        self._rearm(self.settings.linger_s if self._is_surplus else self._longest_sleep)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        if self._is_surplus:
            self._end(Refusal(503, "too many connections"))
            return
        framing = self._framing
        ready = framing.take(data)
        if framing.open and framing.stage != self._stage:
            self._stage, self._stage_since = framing.stage, self.loop.time()
        if ready:
            self.pass_on(ready)
        if framing.refusal is not None:
            self.end_if_refused()

    def pass_on(self, data: bytes) -> None:
        """Have uvicorn's protocol read what the framing has let through."""
        super().data_received(data)

    def note_answer(self) -> None:
        """Note the end of an answer."""
        self._answered += 1
        self._since = self.loop.time()

    def end_if_refused(self) -> None:
        """Answer a bad request, once the good ones that came before it have been answered."""
        framing = self._framing
        if framing.refusal is not None and self._answered >= framing.heads - framing.in_body:
            self._end(framing.refusal)

    def take_over(self) -> asyncio.Transport:
        """Put the connection into a fault's hands."""
        self._is_taken = True
        self._since = self.loop.time()
        self._disconnect()
        return self.transport

    def _makes_room(self) -> bool:
        """Cut some of those that have kept the server waiting longest; False where nobody does.

        Those that never got an answer go first, and those that do not read last. Some at once, so that a
        flood of newcomers does not cost a search each.
        """
        waiting = [(wait, guard) for guard in self.connections if guard is not self and (wait := guard.waits())]
        for _, guard in heapq.nsmallest(max(1, self.settings.max_connections // 16), waiting, key=itemgetter(0)):
            guard.give_way()
        return bool(waiting)

    def waits(self) -> tuple[int, float] | None:
        """Give rank and beginning of a wait for the client, None while the client waits for us."""
        framing = self._framing
        if self._is_ending:
            return 0, self._since
        if self._is_surplus or self._is_taken:
            return None
        if self.transport.get_write_buffer_size():
            return 2, self._since
        rank = 1 if self._answered else 0
        if framing.in_body and self._is_busy:
            return None if self.flow.read_paused else (rank, self._stage_since)
        if self._is_busy:
            return None
        return rank, max(self._since, self._stage_since) if framing.open else self._since

    def give_way(self) -> None:
        """Be cut at once, for others' sake."""
        self.connections.discard(self)
        self._disconnect()
        if self._is_ending or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        self._is_ending = True
        self._since = self.loop.time()
        framing = self._framing
        if framing.open and (not framing.in_body or (self._is_busy and not self.cycle.response_started)):
            self.transport.write(self._answer(Refusal(503, "too many connections, and this one was slow")))
        self.transport.close()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _longest_sleep(self) -> float:
        settings = self.settings
        return min(settings.head_s, settings.body_s, settings.idle_s)

    def _rearm(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self.loop.time()
        deadline, act = self._due(now)
        if deadline <= now:
            act()
        if self._timer is None:
            self._rearm(min(max(deadline - now, 0.001), self._longest_sleep) if deadline > now else self._longest_sleep)

    def _due(self, now: float) -> tuple[float, Callable[[], None]]:
        """Give the deadline of the present state, and what happens at it."""
        settings, framing, transport = self.settings, self._framing, self.transport
        never = now + self._longest_sleep, transport.close
        if self._is_ending or self._is_surplus:
            return self._since + settings.linger_s, transport.abort
        if transport.get_write_buffer_size():
            return self._unsent_deadline(now), transport.abort
        if self._is_taken:
            return self._since + settings.body_s, transport.close
        if framing.in_body:
            if not self._is_busy:
                return max(self._since, self._stage_since) + settings.idle_s, transport.close
            if self.flow.read_paused:
                # The application does not read; that is not the client's fault.
                self._stage_since = now
            allowed = max(settings.body_s, framing.received / settings.body_rate)
            return self._stage_since + allowed, lambda: self._end(Refusal(408, "the body did not come in time"))
        if self._is_busy:
            return never
        if framing.open:
            since = max(self._since, self._stage_since)
            return since + settings.head_s, lambda: self._end(Refusal(408, "the headers did not come in time"))
        return self._since + (settings.head_s if self.cycle is None else settings.idle_s), transport.close

    def _unsent_deadline(self, now: float) -> float:
        """Give a client that does not read as long as one that does not write."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return self._unsent_since + self.settings.body_s

    def _end(self, refusal: Refusal) -> None:
        """Answer with the refusal, if an answer can still be begun, and end the connection.

        It is not closed at once: a reset, which is what closing with unread bytes amounts to, would
        take the answer with it.
        """
        if self._is_ending or self.transport.is_closing():
            return
        self._is_ending = True
        self._since = self.loop.time()
        cycle = self.cycle
        self._disconnect()
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        self.transport.write(self._answer(refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._rearm(self.settings.linger_s)
        else:
            self.transport.close()

    def _disconnect(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _answer(self, refusal: Refusal) -> bytes:
        text = refusal.why.encode()
        lines = [b"HTTP/1.1 %d %s" % (refusal.status, HTTPStatus(refusal.status).phrase.encode())]
        lines += [b"%s: %s" % header for header in self.server_state.default_headers]
        lines += [b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text), b"connection: close"]
        return b"\r\n".join([*lines, b"", text])


def protocol_class(
    parser: Literal["auto", "httptools", "h11"] = "auto", settings: WireSettings | None = None
) -> type[asyncio.Protocol]:
    """Give the protocol class for uvicorn's ``http`` setting; ``auto`` is httptools where it is installed."""
    base: type[Guard]
    if parser == "auto":
        parser = "httptools" if importlib.util.find_spec("httptools") else "h11"
    if parser == "httptools":
        from fauxvider.server.wire_httptools import GuardedHttpTools

        base = GuardedHttpTools
    elif parser == "h11":
        from fauxvider.server.wire_h11 import GuardedH11

        base = GuardedH11
    else:
        raise UsageError(f"{parser!r} is no parser: choose auto, httptools or h11")
    made = type(base.__name__, (base,), {"settings": settings or WireSettings()})
    return cast("type[asyncio.Protocol]", made)
