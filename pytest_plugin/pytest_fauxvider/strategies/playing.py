"""An emulator for the strategies that show what a provider sends: the real one, in the calling thread."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fauxvider import LocalServer, WorldHandle
from fauxvider.local import Answer, Callback, CallbackAnswer
from fauxvider.service.provider import Provider
from pytest_fauxvider.strategies.provider import Source
from pytest_fauxvider.strategies.values import Submission

__all__ = ["HOOK", "Play", "playing"]

HOOK = "https://client.test/hook"


class _Servers(threading.local):
    """One emulator for each contract file and thread, made when it is first needed."""

    def __init__(self) -> None:
        self.known: dict[str, LocalServer] = {}

    def of(self, source: Source) -> LocalServer:
        file = source.needed_file().file
        server = self.known.get(file)
        if server is None:
            server = LocalServer(contracts=[file], deliver=lambda _callback: 200, clock="manual", record=False)
            server.emulator.settings.dripping = None  # a slow body is no matter of real time here
            self.known[file] = server
            atexit.register(server.close)
        return server


_SERVERS = _Servers()


class Play:
    """One world of a provider, and what it has sent to the callback address."""

    def __init__(self, source: Source, server: LocalServer, world: WorldHandle) -> None:
        self.name = source.name
        self.server = server
        self.world = world
        self.came: list[Callback] = []
        self.answers: Iterator[CallbackAnswer] = iter(())
        self.provider: Provider = server.emulator.world(world.name).provider(source.name)

    def take(self, callback: Callback) -> CallbackAnswer:
        self.came.append(callback)
        return next(self.answers, 200)

    def ask(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"", origin: str = "") -> Answer:
        base = self.world.base_url(self.name, origin)
        return self.server.request(method, base + path, headers=headers, body=body, world=self.world.name)

    def submit(self, submission: Submission) -> Answer:
        sent = submission
        return self.ask(sent.method, sent.path, headers=sent.headers, body=sent.content)

    def last(self, kind: str) -> Mapping[str, Any]:
        """Give the latest entry of a kind in the journal; empty if there is none."""
        entries = self.world.journal()["entries"]
        return next((entry for entry in reversed(entries) if entry["kind"] == kind), {})


@contextmanager
def playing(source: Source, **options: Any) -> Iterator[Play]:
    """Make a world in the emulator of a contract, and drop it at the end. Held calls jump to their end."""
    server = _SERVERS.of(source)
    with server.world(**{"clock": "stepping:1ms", "limits": "off", "seed": 0, **options}) as world:
        play = Play(source, server, world)
        outer, server.deliver = server.deliver, play.take
        try:
            yield play
        finally:
            server.deliver = outer
