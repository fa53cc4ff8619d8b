"""A receiver that holds a callback until it is told to answer, and a world whose jobs end at once."""

from __future__ import annotations

import json
import socket
from typing import Any

from support.process import Process

__all__ = ["BODY", "RUN", "SOON", "Held"]

RUN = "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"
# A job ends 50 ms after it was accepted, and its end is told.
SOON = {
    "scenario": 1,
    "name": "soon",
    "provider": "runflow",
    "rules": [{"on": "job", "do": {"stuck": "queued"}}, {"on": "job", "do": {"cancel": "50ms"}}],
}
BODY = {"input": {"prompt": "a fox"}}


class Held:
    """A receiver that holds what it gets until it is told to answer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        self._peers: list[socket.socket] = []
        self.bodies: list[Any] = []

    def accept(self) -> None:
        """Wait for the next callback, and read all of it."""
        peer, _ = self._listener.accept()
        peer.settimeout(60)
        self._peers.append(peer)
        data = b""
        while b"\r\n\r\n" not in data:
            data += peer.recv(65_536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")
        )
        while len(body) < length:
            body += peer.recv(65_536)
        self.bodies.append(json.loads(body))

    def submitted(self, server: Process) -> str:
        """Submit a job whose callback is now being held; give its id."""
        status, said = server.ask(server.base("runflow") + RUN, {**BODY, "callback_url": self.url})
        assert status == 201
        self.accept()
        return str(said["id"])

    def answer(self) -> None:
        self._peers[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        for sock in (*self._peers, self._listener):
            sock.close()
