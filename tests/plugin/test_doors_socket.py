"""The door of a real socket: no answer waits for a delayed acknowledgement (40 ms each, when Nagle's algorithm is on)."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fauxvider import Server
from fauxvider.server.runner import RunSettings
from fauxvider.server.wire import Guard
from fauxvider.sockets import listen
from pytest_fauxvider.doors.https import https_front
from support.acme import ACME

BODY = json.dumps({"input": {"prompt": "a lighthouse"}})
HEADERS = {"Authorization": "Bearer key", "Content-Type": "application/json"}


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every connection that a server of ours accepts, as its protocol sees it."""
    found: list[socket.socket] = []
    made = Guard.connection_made

    def connection_made(self: Guard, transport: Any) -> None:
        found.append(transport.get_extra_info("socket"))
        made(self, transport)

    monkeypatch.setattr(Guard, "connection_made", connection_made)
    return found


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(contracts=[ACME], settings=RunSettings(loop=request.param)) as made:
        yield made


def test_fifty_posts_on_one_connection(server: Server, accepted: list[socket.socket]) -> None:
    parts = urlsplit(server.base_url("acme"))
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    for _ in range(50):
        connection.request("POST", f"{parts.path}/v2/acme-dev/run", BODY, HEADERS)
        with connection.getresponse() as answer:
            assert answer.status == 201
            answer.read()
    (sock,) = accepted  # one connection carried them all
    # This is what the trap is about, and no clock is needed to see it.
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    connection.close()


def test_the_listening_socket_has_its_protocol_s_number() -> None:
    with listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP  # without it asyncio leaves Nagle's algorithm on


def test_the_https_front_too(server: Server, accepted: list[socket.socket]) -> None:
    with https_front(server.default) as front:
        port = int(front.proxy.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=_trusting(front.ca_file))
        connection.set_tunnel("api.acme.test", 443)
        for _ in range(3):
            connection.request("POST", "/v2/acme-dev/run", BODY, HEADERS)
            with connection.getresponse() as answer:
                assert answer.status == 201
                answer.read()
        assert [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in accepted] == [1]
        connection.close()


def _trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def test_the_fixture_s_socket(suite: Any) -> None:
    result = suite.run(
        text="""
import http.client
import socket
from urllib.parse import urlsplit

from fauxvider.server.wire import Guard


@acme
def test_it(fauxvider, client, monkeypatch):
    seen, made = [], Guard.connection_made

    def connection_made(self, transport):
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(Guard, "connection_made", connection_made)
    client.submit()
    assert seen == [1]
"""
    )
    result.assert_outcomes(passed=1)
