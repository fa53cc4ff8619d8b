"""Clients that keep the server waiting are cut, and what they half asked for is neither stored nor charged."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any, Literal

import pytest

from fauxvider import Server, WorldHandle
from fauxvider.server.runner import RunSettings
from fauxvider.server.wire import WireSettings
from support.raw import RawClient
from support.serving import QUICK

RUN = "/v2/black-forest-labs-flux-1-dev/run"
BODY = json.dumps({"input": {"prompt": "a lighthouse"}}).encode()
OVERVIEW = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def _head(path: str, length: int) -> bytes:
    text = f"POST {path}{RUN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {length}\r\n\r\n"
    return text.encode()


def _slow(path: str) -> list[bytes]:
    chunked = _head(path, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    return [
        b"",
        _head(path, len(BODY))[:-9],
        _head(path, len(BODY)) + BODY[:-1],
        _head(path, len(BODY) + 1) + BODY,  # all that matters is there, and the client has not said that it is done
        chunked + b"%x\r\n%s\r\n" % (len(BODY), BODY),
    ]


def _facts(world: WorldHandle) -> tuple[Any, ...]:
    """Everything that a request could have changed."""
    world.advance("1h")
    requests = [one for one in world.journal()["entries"] if one["kind"] == "request"]
    return world.jobs(), world.ledger()["providers"]["runpod"]["charges"], requests


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("why", ["a deadline", "others need the room", "they leave"])
def test_slow_clients_leave_nothing(parser: Literal["httptools", "h11"], why: str) -> None:
    wire = QUICK if why == "a deadline" else WireSettings(max_connections=6)
    with (
        Server(providers=["runpod"], settings=RunSettings(parser=parser, wire=wire)) as server,
        server.world(clock="manual") as world,
        RawClient(server.url) as known,
        ExitStack() as stack,
    ):
        path = world.base_url("runpod").removeprefix(server.url)
        clients = [stack.enter_context(RawClient(server.url)) for _ in _slow(path)]
        for client, data in zip(clients, _slow(path), strict=True):
            client.send(data)
        for _ in range(3):  # by then all of it has been read
            known.send(OVERVIEW)
            assert known.answer() is not None
        if why == "others need the room":
            for _ in clients:
                newcomer = stack.enter_context(RawClient(server.url))
                newcomer.send(OVERVIEW)
                assert newcomer.answer() is not None
        for client in clients:
            if why == "they leave":
                client.sock.close()
                continue
            refusal = client.answer()
            assert client.rest() == b""
            wanted = {"a deadline": 408, "others need the room": 503}[why]
            assert (refusal.status if refusal else None) == (None if client is clients[0] else wanted)
        assert _facts(world) == ([], [], [])
        with RawClient(server.url) as honest:
            honest.send(_head(path, len(BODY)) + BODY)
            assert honest.answer() is not None
        jobs, charges, requests = _facts(world)
        assert (len(jobs), len(charges), len(requests)) == (1, 1, 1)
