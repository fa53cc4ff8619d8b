"""The door for other processes and languages: HTTPS at the providers' own host names, through a proxy on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fauxvider.embedded import Server
from fauxvider.errors import UsageError
from fauxvider.server.tls_front import TlsFront

if TYPE_CHECKING:
    from pathlib import Path

    from fauxvider import WorldHandle

__all__ = ["HttpsFront", "https_front"]


class HttpsFront:
    """``env``: what a client's process is to have in its environment. ``proxy`` and ``ca_file`` are in it too."""

    def __init__(self, front: TlsFront, world: str) -> None:
        self.env: Mapping[str, str] = front.env(world)
        self.proxy = front.proxy(world)
        self.ca_file: Path = front.ca_file
        self.hosts = front.hosts


@contextlib.contextmanager
def https_front(world: WorldHandle) -> Iterator[HttpsFront]:
    """Answer the providers' own hosts in `world`, for processes that are started with the front's ``env``.

    Raises UsageError without trustme, or when the server has no thread of its own.
    """
    server = world._server
    if not isinstance(server, Server):
        raise UsageError("an HTTPS front needs a fauxvider.Server, which runs in a thread of its own")
    front = TlsFront(server.app, server.emulator.hosts)
    try:
        server.call(front.start())
        yield HttpsFront(front, world.name)
    finally:
        server.call(front.stop())
