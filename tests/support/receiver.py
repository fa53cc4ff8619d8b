"""A programmable callback receiver, in threads of its own."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from support.patience import PATIENCE_S

__all__ = ["Hit", "Receiver"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One request as it came: ``raw`` is every byte of it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class Receiver:
    """Answers by list: a status, or ``reset``, ``close``, ``hang``; the last one repeats.

    It serves from the moment it is made. ``received`` is in the order in which requests were complete.
    """

    answers: Sequence[int | str] = (200,)
    received: list[Hit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"
        self._arrived = threading.Condition()
        self._is_closing = False
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="receiver", daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, count: int, *, timeout_s: float = PATIENCE_S) -> list[Hit]:
        """Wait until this many requests have come; raises AssertionError when they do not."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.received) >= count, timeout_s):
                raise AssertionError(f"{len(self.received)} requests came in {timeout_s} s, expected {count}")
            return list(self.received)

    def close(self) -> None:
        """Close every connection, the hanging ones too. May be called more than once."""
        with self._arrived:
            if self._is_closing:
                return
            self._is_closing = True
        # Closing a listening socket does not wake accept() everywhere; a last connection does.
        with socket.create_connection(self._socket.getsockname()):
            self._threads[0].join(60)
        self._socket.close()
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(60)
        for peer in self._peers:
            peer.close()

    def _accept(self) -> None:
        while True:
            peer, _ = self._socket.accept()
            with self._arrived:
                if self._is_closing:
                    peer.close()
                    return
                self._peers.append(peer)
                thread = threading.Thread(target=self._serve, args=(peer,), name="receiver", daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            hit = _read(peer)
            if hit is not None:
                self._answer(peer, hit)
        except OSError:
            peer.close()

    def _answer(self, peer: socket.socket, hit: Hit) -> None:
        with self._arrived:
            answer = self.answers[min(len(self.received), len(self.answers) - 1)]
            self.received.append(hit)
            self._arrived.notify_all()
        if answer == "hang":
            return
        if answer == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer != "close":
            peer.sendall(f"HTTP/1.1 {answer} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        peer.close()


def _read(peer: socket.socket) -> Hit | None:
    """Read one request; None when the client leaves before its end."""
    with peer.makefile("rb") as stream:
        lines = []
        while (line := stream.readline()) not in (b"", b"\r\n"):
            lines.append(line)
        first = lines[0].decode("latin-1").split() if lines else []
        if line == b"" or len(first) < 2:
            return None
        headers = []
        for text in (line.decode("latin-1") for line in lines[1:]):
            name, _, value = text.partition(":")
            headers.append((name, value.strip()))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        body = stream.read(length)
    if len(body) < length:
        return None
    return Hit(first[0], first[1], headers, body, b"".join(lines) + b"\r\n" + body)
