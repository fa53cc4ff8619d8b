"""No egress: what would leave this machine is stopped by name, whichever way it takes."""

from __future__ import annotations

import asyncio
import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import uvloop

from fauxvider import Server, UsageError
from pytest_fauxvider.doors import EgressError, all_doors, no_egress
from pytest_fauxvider.doors.egress_guard import provider_hosts
from support.acme import ACME
from support.receiver import Receiver

HOST = "api.acme.test"
URL = f"https://{HOST}/v2/acme-dev/run"
SAID = (
    rf"test_egress\.py::\S+ connects to {HOST}:443, a provider's real host, and no_egress is on: it is answered here by"
)


async def _aiohttp() -> None:
    async with aiohttp.ClientSession() as session, session.get(URL):
        raise AssertionError


async def _async_httpx() -> None:
    async with httpx.AsyncClient() as client:
        await client.get(URL)


async def _asyncio() -> None:
    await asyncio.open_connection(HOST, 443)


async def _lookup() -> None:
    await asyncio.get_running_loop().getaddrinfo(HOST, 443)


WAYS: dict[str, tuple[Callable[[], Any], type[BaseException], str]] = {
    "httpx": (lambda: httpx.get(URL), httpx.ConnectError, "fauxvider_httpx"),
    "httpx2": (lambda: httpx2.get(URL), httpx2.ConnectError, "fauxvider_httpx"),
    "httpx-async": (lambda: asyncio.run(_async_httpx()), httpx.ConnectError, "fauxvider_httpx"),
    "requests": (lambda: requests.get(URL, timeout=5), requests.ConnectionError, "fauxvider_requests"),
    "urllib": (lambda: urllib.request.urlopen(URL), urllib.error.URLError, "fauxvider_requests"),
    "http.client": (lambda: http.client.HTTPSConnection(HOST).connect(), EgressError, "fauxvider_requests"),
    "aiohttp": (lambda: asyncio.run(_aiohttp()), aiohttp.ClientConnectorError, "fauxvider_aiohttp"),
    "aiohttp-uvloop": (lambda: uvloop.run(_aiohttp()), aiohttp.ClientConnectorError, "fauxvider_aiohttp"),
    "asyncio": (lambda: asyncio.run(_asyncio()), EgressError, "fauxvider_hosts"),
    "uvloop": (lambda: uvloop.run(_asyncio()), EgressError, "fauxvider_hosts"),
    "asyncio-dns": (lambda: asyncio.run(_lookup()), EgressError, "fauxvider_hosts"),
    "uvloop-dns": (lambda: uvloop.run(_lookup()), EgressError, "fauxvider_hosts"),
    "dns": (lambda: socket.getaddrinfo(HOST, 443), EgressError, "fauxvider_hosts"),
    "create_connection": (lambda: socket.create_connection((HOST, 443), 1), EgressError, "fauxvider_hosts"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_out_is_closed(way: str) -> None:
    go, error, door = WAYS[way]
    with no_egress([HOST]) as guard, pytest.raises(error, match=SAID) as caught:
        go()
    assert door in str(caught.value)
    assert guard.attempts
    assert {attempt.host for attempt in guard.attempts} == {HOST}


def test_addresses_are_stopped_too() -> None:
    with no_egress(block="all") as guard:
        for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80, 0, 0))):
            with socket.socket(family) as sock:
                with pytest.raises(EgressError, match="an address outside of this machine"):
                    sock.connect(address)
                with pytest.raises(EgressError):
                    sock.connect_ex(address)
        with pytest.raises(EgressError, match=r"other\.example:0"):
            socket.gethostbyname("other.example")
    assert [attempt.port for attempt in guard.attempts] == [80, 80, 80, 80, 0]


def test_this_machine_is_free() -> None:
    with Receiver([200]) as receiver, no_egress(block="all", allow=["192.0.2.7"]) as guard:
        assert httpx.get(receiver.url).status_code == 200
        assert socket.getaddrinfo("localhost", 80)
        for host in ("127.0.0.1", "::1", "0.0.0.0", "some.localhost", "192.0.2.7", "", None, b"localhost", "::1%lo"):
            guard.check(host, 80)
        left, right = socket.socketpair()
        left.close()
        right.close()
    assert guard.attempts == []


def test_only_the_providers_hosts_unless_all_are_blocked() -> None:
    with no_egress([HOST]) as guard:
        guard.check("other.example", 443)
        with pytest.raises(EgressError):
            guard.check("API.acme.TEST.", "443")
        with pytest.raises(EgressError):
            guard.check(HOST.encode(), None)
    with pytest.raises(UsageError, match="'some' is not 'providers' or 'all'"), no_egress(block="some"):  # type: ignore[arg-type]
        pass


def test_the_bundled_providers_hosts() -> None:
    bundled = provider_hosts()
    assert {"api.runpod.ai", "api.runflow.io", "api.1min.ai"} <= bundled
    assert provider_hosts([ACME]) - bundled == {HOST, "image.acme.test"}
    with no_egress() as guard, pytest.raises(EgressError, match=r"api\.runpod\.ai"):
        socket.getaddrinfo("api.runpod.ai", 443)
    assert len(guard.attempts) == 1


def test_everything_is_put_back() -> None:
    before = [getattr(owner, name) for owner, name in PLACES]
    with no_egress([HOST]), no_egress([HOST], block="all"):
        assert all(getattr(owner, name) is not was for (owner, name), was in zip(PLACES, before, strict=True))
    assert [getattr(owner, name) for owner, name in PLACES] == before
    assert "connect" not in vars(socket.socket)


PLACES: list[tuple[Any, str]] = [
    (socket.socket, "connect"),
    (socket, "getaddrinfo"),
    (asyncio.BaseEventLoop, "create_connection"),
    (uvloop.Loop, "create_connection"),
]


def test_a_door_is_no_way_out() -> None:
    with Server(contracts=[ACME]) as server, server.world() as world, no_egress([HOST], block="all") as guard:
        with all_doors(world):
            headers = {"Authorization": "Bearer key"}
            assert httpx.post(URL, json={"input": {"prompt": "x"}}, headers=headers).status_code == 201
            assert requests.post(URL, json={"input": {"prompt": "x"}}, headers=headers, timeout=5).status_code == 201
        assert guard.attempts == []
        with pytest.raises(httpx.ConnectError):
            httpx.get(URL)


# --- in a run of pytest -------------------------------------------------------------------------------

TESTS = """
import socket


@acme
def test_loud(fauxvider_no_egress):
    socket.getaddrinfo("api.acme.test", 443)


def test_swallowed(fauxvider_no_egress):
    try:
        socket.getaddrinfo("api.acme.test", 443)
    except OSError:
        pass


def test_quiet(fauxvider_no_egress):
    pass
"""


def test_the_fixture(suite: Any) -> None:
    result = suite.run(text=TESTS)
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*EgressError: *fauxvider: test_the_fixture.py::test_loud connects to api.acme.test:443*"]
    )
    result.stdout.fnmatch_lines(
        ["fauxvider: test_the_fixture.py::test_swallowed connects to api.acme.test:443, a provider*"]
    )


@pytest.mark.parametrize(("said", "stopped"), [("off", []), ("providers", ["acme"]), ("all", ["acme", "other"])])
def test_the_option(suite: Any, said: str, stopped: list[str]) -> None:
    text = f"""
import socket


@pytest.mark.parametrize("name, host", [("acme", "api.acme.test"), ("other", "192.0.2.1")])
def test_it(name, host):
    from pytest_fauxvider.doors import EgressError

    sock = socket.socket()
    sock.setblocking(False)
    try:
        sock.connect((host, 9))
        reached = False
    except EgressError:
        reached = True
    except OSError:
        reached = False
    finally:
        sock.close()
    assert reached == (name in {stopped!r})
"""
    # What is stopped is swallowed by these tests, and so fails them afterwards.
    result = suite.run(f"--fauxvider-no-egress={said}", text=text)
    result.assert_outcomes(failed=len(stopped), passed=2 - len(stopped))
    assert str(result.stdout).count("AssertionError") == 0


def test_the_ini_key_and_a_wrong_word(suite: Any) -> None:
    suite.ini("fauxvider_no_egress = providers")
    suite.run(text=TESTS.replace("(fauxvider_no_egress)", "()")).assert_outcomes(failed=2, passed=1)
    result = suite.run("--fauxvider-no-egress=some")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--fauxvider-no-egress 'some' is not known (allowed: off, providers, all)"])
