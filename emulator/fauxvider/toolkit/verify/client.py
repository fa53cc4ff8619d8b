"""The HTTP client of `verify`: one exchange a connection, with a deadline for the whole of it.

The other side may be anything: it may hang, drip, send too much, or speak no HTTP at all. Whatever it does, a
call returns by its deadline with an `Answer`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from fauxvider.clock import monotonic_ms
from fauxvider.errors import FauxviderError, UsageError
from fauxvider.messages import HttpMessage

__all__ = ["Answer", "Client", "UnreachableError"]

_CHUNK = 65_536
_MAX_HEAD = 65_536


class UnreachableError(FauxviderError, ConnectionError):
    """Nothing answers at the address that was given. Exit code 4."""

    fault = "the environment"
    exit_code = 4


@dataclass(frozen=True, slots=True)
class Answer(HttpMessage):
    """What came back. `status` is 0 when no whole head came; `problem` says what went wrong on the way."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case
    body: bytes = b""
    problem: str = ""


@dataclass(slots=True)
class Client:
    """Sends requests. `timeout_s` bounds each exchange, `max_body` the bytes that are kept of an answer."""

    timeout_s: float = 30.0
    max_body: int = 64 * 1024 * 1024
    sent: int = 0
    _tls: ssl.SSLContext | None = field(default=None, repr=False)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> Answer:
        """Make one exchange. Raises UnreachableError when no connection can be made, UsageError for a wrong address."""
        ends = monotonic_ms() + int(1000 * (timeout_s or self.timeout_s))
        place = _split(url)
        self.sent += 1
        try:
            sock = self._connect(place, ends)
        except OSError as problem:
            raise UnreachableError(f"nothing answers at {place.shown}: {problem}") from None
        with sock:
            exchange = _Exchange(sock, ends, self.max_body)
            return exchange.run(method, place, dict(headers or {}), body)

    def _connect(self, place: _Place, ends: int) -> socket.socket:
        sock = socket.create_connection((place.host, place.port), timeout=_left(ends))
        if not place.is_tls:
            return sock
        self._tls = self._tls or ssl.create_default_context()
        try:
            return self._tls.wrap_socket(sock, server_hostname=place.host)
        except OSError:
            sock.close()
            raise


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    is_tls: bool
    target: str

    @property
    def shown(self) -> str:
        return f"{self.host}:{self.port}"


def _split(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise UsageError(f"this is no address: {problem}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or set(url) & set(" \r\n\t"):
        raise UsageError("an address starts with http:// or https:// and has a host")
    is_tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(parts.hostname, port or (443 if is_tls else 80), is_tls, target)


def _left(ends: int) -> float:
    left = ends - monotonic_ms()
    if left <= 0:
        raise TimeoutError("no whole answer in time")
    return left / 1000


class _Exchange:
    """One request and its answer on a connected socket."""

    def __init__(self, sock: socket.socket, ends: int, max_body: int) -> None:
        self._sock = sock
        self._ends = ends
        self._max_body = max_body
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._status = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = bytearray()

    def run(self, method: str, place: _Place, headers: dict[str, str], body: bytes) -> Answer:
        host = place.host if place.port == (443 if place.is_tls else 80) else place.shown
        lines = [("host", host), ("connection", "close"), ("accept", "*/*"), ("user-agent", "fauxvider-verify")]
        lines += list(headers.items())
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(("content-length", str(len(body))))
        try:
            data = self._h11.send(h11.Request(method=method, target=place.target, headers=lines)) or b""
            data += self._h11.send(h11.Data(data=body)) or b""
            self._h11.send(h11.EndOfMessage())
        except h11.LocalProtocolError as wrong:
            raise UsageError(f"this cannot be sent: {wrong}") from None
        return self._read(self._write(data))

    def _write(self, data: bytes) -> str:
        """Send; a server that refuses early stops reading, and its answer still counts."""
        try:
            view = memoryview(data)
            while view:
                self._sock.settimeout(_left(self._ends))
                view = view[self._sock.send(view[:_CHUNK]) :]
        except OSError as problem:
            return f"the request was not taken: {problem}"
        return ""

    def _read(self, problem: str) -> Answer:
        try:
            while self._take():
                self._sock.settimeout(_left(self._ends))
                self._h11.receive_data(self._sock.recv(_CHUNK))
        except h11.RemoteProtocolError as broken:
            problem = f"broken HTTP: {broken}"
        except OSError as broken:
            problem = problem or str(broken) or type(broken).__name__
        else:
            problem = ""
        return Answer(self._status, self._headers, bytes(self._body), problem)

    def _take(self) -> bool:
        """Take the events that are there; give whether more must be read."""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return True
            if isinstance(event, h11.Response):
                self._status = event.status_code
                self._headers = tuple(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
                )
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._max_body:
                    raise OSError(f"an answer of more than {self._max_body} bytes")
            elif not isinstance(event, h11.InformationalResponse):
                return False
