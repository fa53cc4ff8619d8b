"""The door for requests, urllib3, urllib and http.client: their connections to the providers' hosts stay in memory.

Everything above the connection is the library's own, retries and redirects included.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_fauxvider.doors.base import Door, EndlessWaitError
from pytest_fauxvider.doors.memory import Incoming, wire_bytes

if TYPE_CHECKING:
    from fauxvider import WorldHandle

__all__ = ["requests_door"]


class _Flow(io.RawIOBase):
    """What a client reads: the answers so far, then what became of the connection."""

    def __init__(self, sock: _MemorySocket) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Pipes:
    """Two file descriptors to be polled: of a connection on which nothing comes, and of one that has ended."""

    def __init__(self) -> None:
        self.quiet, self._writer = os.pipe()
        self.ended, writer = os.pipe()
        os.close(writer)


_open: list[Door] = []
_pipes: list[_Pipes] = []


class _MemorySocket:
    """As much of a socket as http.client and urllib3 use."""

    def __init__(self, door: Door, scheme: str, host: str) -> None:
        self._door, self._scheme, self._host = door, scheme, host
        if not _pipes:
            _pipes.append(_Pipes())
        self._incoming = Incoming()
        self._buffer = b""
        self._end = ""
        self._timeout: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def sendall(self, data: Any, flags: int = 0) -> None:
        del flags
        if self._end or _open[-1:] != [self._door]:
            raise BrokenPipeError(32, "Broken pipe")
        for asked in self._incoming.take(bytes(data)):
            url = asked.url(self._scheme, self._host)
            answer = self._door.exchange(asked.method, url, asked.headers, asked.body, timeout_s=self._timeout)
            sent, ending = wire_bytes(answer, asked.method)
            self._buffer += sent
            self._end = ending.kind

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data, flags)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        del flags
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        if self._end == "reset":
            raise ConnectionResetError(104, "Connection reset by peer")
        if self._end == "silence":
            raise TimeoutError("timed out")
        if self._end == "eof":
            return b""
        raise EndlessWaitError("this client waits for more than the provider has to say")

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: Any) -> Any:
        del buffering
        return io.BufferedReader(_Flow(self)) if "r" in mode else io.BytesIO()

    def close(self) -> None:
        self._end = self._end or "eof"

    def shutdown(self, how: int) -> None:
        del how

    def setsockopt(self, *_: Any) -> None:
        pass

    def fileno(self) -> int:
        """Give what tells a pool whether this connection is still good: not so when its door has closed."""
        is_good = not self._end and _open[-1:] == [self._door]
        return _pipes[0].quiet if is_good else _pipes[0].ended

    def version(self) -> str:
        return "TLSv1.3"

    def selected_alpn_protocol(self) -> str | None:
        return None

    def getpeercert(self, binary_form: bool = False) -> Any:
        return b"" if binary_form else {}


def _connecting(door: Door, scheme: str, real: Callable[[Any], None]) -> Callable[[Any], None]:
    def connect(self: Any) -> None:
        tunnel = getattr(self, "_tunnel_host", None)
        host = tunnel or self.host
        if not door.knows(host):
            real(self)
            return
        sock = _MemorySocket(door, scheme, host)
        timeout = self.timeout
        sock.settimeout(timeout if isinstance(timeout, int | float) else None)
        self.sock = sock
        # What urllib3 asks of a connection that it has made; http.client knows none of it.
        self.is_verified = True
        self.proxy_is_verified = None
        self._has_connected_to_proxy = bool(tunnel)

    return connect


def _classes() -> Iterator[tuple[Any, str]]:
    yield http.client.HTTPConnection, "http"
    yield http.client.HTTPSConnection, "https"
    if "urllib3" in sys.modules or find_spec("urllib3") is not None:
        import urllib3.connection

        yield urllib3.connection.HTTPConnection, "http"
        yield urllib3.connection.HTTPSConnection, "https"


@contextlib.contextmanager
def requests_door(world: WorldHandle) -> Iterator[Door]:
    """Answer the providers' own hosts in `world`, for requests, urllib3, urllib and http.client."""
    door = Door(world)
    with contextlib.ExitStack() as stack:
        for owner, scheme in _classes():
            real = owner.connect
            owner.connect = _connecting(door, scheme, real)
            stack.callback(setattr, owner, "connect", real)
        _open.append(door)
        stack.callback(_open.remove, door)
        yield door
