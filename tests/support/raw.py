"""A client that sends exact bytes and reads one answer at a time."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from support.patience import PATIENCE_S

__all__ = ["Answer", "RawClient", "is_refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class RawClient:
    """One TCP connection to a URL of `Urls`."""

    def __init__(self, url: str, *, timeout_s: float = PATIENCE_S) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, *, head: bool = False) -> Answer | None:
        """Read one answer with a Content-Length; None when the connection is closed instead."""
        while b"\r\n\r\n" not in self._held:
            if not self._more():
                return None
        text, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *rest = text.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        made = Answer(int(first.split(" ")[1]), headers, b"")
        length = 0 if head or made.status == 100 else int(made.header("content-length") or 0)
        while len(self._held) < length:
            if not self._more(1 << 20):
                raise ConnectionError(f"closed after {len(self._held)} of {length} bytes")
        body, self._held = self._held[:length], self._held[length:]
        return Answer(made.status, headers, body)

    def rest(self) -> bytes:
        """Read until the server closes."""
        while self._more():
            pass
        held, self._held = self._held, b""
        return held

    def _more(self, size: int = 65_536) -> bool:
        data = self.sock.recv(size)
        self._held += data
        return bool(data)


def is_refused(url: str) -> bool:
    """Tell whether nobody listens there any more; who connects while a listener closes may still get in, or be reset."""
    try:
        with RawClient(url):
            return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False
