"""The doors in process: clients with a provider's host name written into them, one library after the other."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import respx
import urllib3
import uvloop

from fauxvider import LocalServer, Server, WorldHandle
from pytest_fauxvider.doors import (
    EndlessWaitError,
    aiohttp_door,
    all_doors,
    httpx_door,
    no_egress,
    requests_door,
)
from pytest_fauxvider.sleeping import virtual_sleep
from support.acme import ACME

API = "https://api.acme.test/v2/acme-dev"
KEY = {"Authorization": "Bearer key"}
INPUT = {"input": {"prompt": "a lighthouse"}}


def on_reads(do: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A scenario of one rule, on the reads of a job."""
    return {"scenario": 1, "name": "reads", "rules": [{"on": "request", "when": {"does": "read"}, "do": do, **more}]}


@pytest.fixture(scope="module", params=["threaded", "local"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | LocalServer]:
    make: Any = Server if request.param == "threaded" else LocalServer
    with make(contracts=[ACME]) as made:
        yield made


@pytest.fixture
def world(server: Server) -> Iterator[WorldHandle]:
    with server.world(clock="stepping:1ms") as made, virtual_sleep(made), no_egress(["api.acme.test"], block="all"):
        yield made


@pytest.fixture
def doors(world: WorldHandle) -> Iterator[WorldHandle]:
    with all_doors(world):
        yield world


# --- a naive client in every library: submit, poll with sleeps, download --------------------------------


def with_httpx(library: Any) -> tuple[str, bytes]:
    with library.Client(headers=KEY) as client:
        job = client.post(f"{API}/run", json=INPUT).raise_for_status().json()
        while (seen := client.get(f"{API}/status/{job['id']}").json())["status"] != "COMPLETED":
            time.sleep(2)
        url = seen["output"]["image_url"]
        return url, client.get(url).raise_for_status().content


async def with_async_httpx(library: Any) -> tuple[str, bytes]:
    async with library.AsyncClient(headers=KEY) as client:
        job = (await client.post(f"{API}/run", json=INPUT)).raise_for_status().json()
        while (seen := (await client.get(f"{API}/status/{job['id']}")).json())["status"] != "COMPLETED":  # noqa: ASYNC110 - it polls
            await asyncio.sleep(2)
        url = seen["output"]["image_url"]
        picture = b""
        async with client.stream("GET", url) as answer:
            async for piece in answer.aiter_bytes(1000):
                picture += piece
        return url, picture


def with_requests() -> tuple[str, bytes]:
    with requests.Session() as session:
        session.headers.update(KEY)
        job = session.post(f"{API}/run", json=INPUT, timeout=5).json()
        while (seen := session.get(f"{API}/status/{job['id']}", timeout=5).json())["status"] != "COMPLETED":
            time.sleep(2)
        url = seen["output"]["image_url"]
        with session.get(url, stream=True, timeout=5) as answer:
            answer.raise_for_status()
            return url, b"".join(answer.iter_content(1000))


def with_urllib3() -> tuple[str, bytes]:
    with urllib3.PoolManager(headers=KEY) as pool:
        job = pool.request("POST", f"{API}/run", json=INPUT, headers=KEY).json()
        while (seen := pool.request("GET", f"{API}/status/{job['id']}").json())["status"] != "COMPLETED":
            time.sleep(2)
        url = seen["output"]["image_url"]
        return url, pool.request("GET", url).data


def with_urllib() -> tuple[str, bytes]:
    def ask(path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {**KEY, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(API + path, data, headers), timeout=5) as answer:
            return json.loads(answer.read())

    job = ask("/run", INPUT)
    while (seen := ask(f"/status/{job['id']}"))["status"] != "COMPLETED":
        time.sleep(2)
    url = seen["output"]["image_url"]
    with urllib.request.urlopen(url, timeout=5) as answer:
        return url, answer.read()


async def with_aiohttp() -> tuple[str, bytes]:
    async with aiohttp.ClientSession(headers=KEY) as session:
        async with session.post(f"{API}/run", json=INPUT) as answer:
            job = await answer.json()
        while True:
            async with session.get(f"{API}/status/{job['id']}") as answer:
                seen = await answer.json()
            if seen["status"] == "COMPLETED":
                break
            await asyncio.sleep(2)
        url = seen["output"]["image_url"]
        async with session.get(url) as answer:
            return url, b"".join([piece async for piece in answer.content.iter_chunked(1000)])


CLIENTS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "httpx": lambda: with_httpx(httpx),
    "httpx2": lambda: with_httpx(httpx2),
    "httpx-async": lambda: asyncio.run(with_async_httpx(httpx)),
    "httpx2-async": lambda: asyncio.run(with_async_httpx(httpx2)),
    "httpx-uvloop": lambda: uvloop.run(with_async_httpx(httpx)),
    "requests": with_requests,
    "urllib3": with_urllib3,
    "urllib": with_urllib,
    "aiohttp": lambda: asyncio.run(with_aiohttp()),
    "aiohttp-uvloop": lambda: uvloop.run(with_aiohttp()),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_knows_only_the_real_host(name: str, doors: WorldHandle) -> None:
    url, picture = CLIENTS[name]()
    assert url.startswith("https://image.acme.test/")  # as the provider writes it, and answered here too
    assert picture[:2] == b"\xff\xd8"
    assert len(picture) > 1000
    (job,) = doors.jobs()
    assert job["status"] == "COMPLETED"
    doors.advance("8d")
    with requests.get(url, timeout=5) as gone:
        assert gone.status_code in (403, 404)


# --- what goes wrong on a wire, in each library's own words -------------------------------------------

FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"lose": "reset"},
    "close": {"lose": "close"},
    "hang": {"lose": "hang"},
    "truncate": {"lose": "truncate"},
    "length": {"garble": "length"},
    "garbage": {"garbage": True},
    "half_close": {"half_close": True},
}
HTTPX = {
    "reset": "ReadError",
    "close": "RemoteProtocolError",
    "hang": "ReadTimeout",
    "truncate": "ReadError",
    "length": "RemoteProtocolError",
    "garbage": "RemoteProtocolError",
    "half_close": "RemoteProtocolError",
}
REQUESTS: dict[str, type[Exception]] = {
    "reset": requests.ConnectionError,
    "close": requests.ConnectionError,
    "hang": requests.ReadTimeout,
    "truncate": requests.exceptions.ChunkedEncodingError,
    "length": requests.exceptions.ChunkedEncodingError,
    "garbage": requests.ConnectionError,
    "half_close": requests.exceptions.ChunkedEncodingError,
}
AIOHTTP: dict[str, type[BaseException]] = {
    "reset": aiohttp.ClientOSError,
    "close": aiohttp.ServerDisconnectedError,
    "hang": aiohttp.ServerTimeoutError,
    "truncate": aiohttp.ClientPayloadError,
    "length": aiohttp.ClientPayloadError,
    "garbage": aiohttp.ClientResponseError,
    "half_close": aiohttp.ClientPayloadError,
}


@pytest.fixture(params=FAULTS)
def cut(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[str, WorldHandle]]:
    scenario = on_reads(FAULTS[request.param])
    with server.world(clock="manual", scenario=scenario) as world, virtual_sleep(world), all_doors(world):
        yield request.param, world


def submitted() -> str:
    with requests.post(f"{API}/run", json=INPUT, headers=KEY, timeout=5) as answer:
        return f"{API}/status/{answer.json()['id']}"


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_cut_for_httpx(library: Any, cut: tuple[str, WorldHandle]) -> None:
    fault, world = cut
    url, began = submitted(), world.now()
    error = getattr(library, HTTPX[fault])
    with library.Client(headers=KEY, timeout=7) as client, pytest.raises(error):
        client.get(url)

    async def main() -> None:
        async with library.AsyncClient(headers=KEY, timeout=7) as client:
            with pytest.raises(error):
                await client.get(url)

    asyncio.run(main())
    assert world.now() - began == (14_000 if fault == "hang" else 0)


def test_cut_for_requests(cut: tuple[str, WorldHandle]) -> None:
    fault, world = cut
    url, began = submitted(), world.now()
    with pytest.raises(REQUESTS[fault]):
        requests.get(url, headers=KEY, timeout=7)
    assert world.now() - began == (7000 if fault == "hang" else 0)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_cut_for_aiohttp(run: Any, cut: tuple[str, WorldHandle]) -> None:
    fault, world = cut
    url, began = submitted(), world.now()

    async def main() -> None:
        timeout = aiohttp.ClientTimeout(sock_read=7)
        async with aiohttp.ClientSession(headers=KEY, timeout=timeout) as session:
            with pytest.raises(AIOHTTP[fault]):
                async with session.get(url) as answer:
                    await answer.read()

    run(main())
    assert world.now() - began == (7000 if fault == "hang" else 0)


def test_who_has_no_timeout_would_wait_for_ever(server: Server) -> None:
    scenario = on_reads({"lose": "hang"})
    with server.world(clock="manual", scenario=scenario) as world, virtual_sleep(world), all_doors(world):
        url = submitted()
        with httpx.Client(timeout=None) as client, pytest.raises(EndlessWaitError, match="no timeout"):
            client.get(url, headers=KEY)
        with pytest.raises(EndlessWaitError, match="no timeout"):
            requests.get(url, headers=KEY)

        async def main() -> None:
            timeout = aiohttp.ClientTimeout(total=None)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                with pytest.raises(aiohttp.ClientOSError, match="no timeout"):
                    await session.get(url, headers=KEY)

        asyncio.run(main())


def test_retries_of_the_library_s_own(server: Server) -> None:
    scenario = on_reads({"answer": {"status": 503, "text": "busy"}}, times=3)
    with server.world(clock="manual", scenario=scenario) as world, virtual_sleep(world) as slept, all_doors(world):
        url = submitted()
        retry = urllib3.Retry(total=5, backoff_factor=2, status_forcelist=[503])
        with requests.Session() as session:
            session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retry))
            assert session.get(url, headers=KEY, timeout=5).status_code == 200
        assert slept.spans == [4, 8]


# --- time while a call is held ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["httpx", "requests", "httpx-async", "aiohttp"])
def test_a_held_call_passes_its_time(name: str, server: Server) -> None:
    with server.world(clock="manual") as world, virtual_sleep(world), all_doors(world):
        began = world.now()

        async def later() -> Any:
            async with httpx.AsyncClient(timeout=100) as client:
                return (await client.post(f"{API}/runsync", json=INPUT, headers=KEY)).json()

        async def aio() -> Any:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{API}/runsync", json=INPUT, headers=KEY) as got,
            ):
                return await got.json()

        asks: dict[str, Callable[[], Any]] = {
            "httpx": lambda: httpx.post(f"{API}/runsync", json=INPUT, headers=KEY, timeout=100).json(),
            "requests": lambda: requests.post(f"{API}/runsync", json=INPUT, headers=KEY, timeout=100).json(),
            "httpx-async": lambda: asyncio.run(later()),
            "aiohttp": lambda: asyncio.run(aio()),
        }
        assert asks[name]()["status"] == "COMPLETED"
        assert 3000 <= world.now() - began <= 5000


def test_a_held_call_ends_with_the_client_s_patience(server: Server) -> None:
    with server.world(clock="manual") as world, virtual_sleep(world), all_doors(world):
        began = world.now()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{API}/runsync", json=INPUT, headers=KEY, timeout=2)
        assert world.now() - began == 2000
        with pytest.raises(requests.ReadTimeout):
            requests.post(f"{API}/runsync", json=INPUT, headers=KEY, timeout=1.5)
        assert world.now() - began == 3500


# --- doors and everything else ------------------------------------------------------------------------


def test_other_hosts_are_left_alone(doors: WorldHandle) -> None:
    with pytest.raises(httpx.ConnectError, match=r"other\.example"):
        httpx.get("https://other.example/")  # stopped by the guard, so not answered by the door
    with pytest.raises(requests.ConnectionError, match=r"other\.example"):
        requests.get("https://other.example/", timeout=5)

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError, match=r"other\.example"):
                await session.get("https://other.example/")

    asyncio.run(main())


def test_the_emulator_s_own_address_is_left_alone() -> None:
    with Server(contracts=[ACME]) as server, server.world() as world, all_doors(world):
        base = world.base_url("acme")
        assert httpx.post(f"{base}/v2/acme-dev/run", json=INPUT, headers=KEY).status_code == 201
        assert requests.post(f"{base}/v2/acme-dev/run", json=INPUT, headers=KEY, timeout=5).status_code == 201


def test_beside_a_test_s_own_respx(doors: WorldHandle) -> None:
    with respx.mock() as router:
        router.get("https://other.example/").respond(418)
        assert httpx.get("https://other.example/").status_code == 418
        assert httpx.post(f"{API}/run", json=INPUT, headers=KEY).status_code == 201
        with pytest.raises(respx.models.AllMockedAssertionError):
            httpx.get("https://third.example/")


def test_the_router_tells_what_was_sent(world: WorldHandle) -> None:
    with httpx_door(world) as router:
        httpx.post(f"{API}/run", json=INPUT, headers=KEY)
        (call,) = router.calls
        assert json.loads(call.request.content) == INPUT
        assert call.response.status_code == 201


def test_each_door_closes() -> None:
    connects = http.client.HTTPSConnection.connect, urllib3.connection.HTTPSConnection.connect
    creates = aiohttp.TCPConnector._create_connection
    with LocalServer(contracts=[ACME]) as server, server.world() as world:
        with requests_door(world), aiohttp_door(world):
            assert http.client.HTTPSConnection.connect is not connects[0]
            assert aiohttp.TCPConnector._create_connection is not creates
        assert (http.client.HTTPSConnection.connect, urllib3.connection.HTTPSConnection.connect) == connects
        assert aiohttp.TCPConnector._create_connection is creates


def test_a_session_outlives_its_world(server: Server) -> None:
    """Connections that a pool keeps lead to the world of the test that runs, not to the one before."""
    with requests.Session() as session, asyncio.Runner() as runner:

        async def make() -> aiohttp.ClientSession:
            return aiohttp.ClientSession()

        async def ask(client: aiohttp.ClientSession) -> int:
            async with client.post(f"{API}/run", json=INPUT, headers=KEY) as answer:
                await answer.read()
                return answer.status

        client = runner.run(make())
        for _ in range(3):
            with server.world() as world, all_doors(world):
                for number in (1, 2):
                    assert session.post(f"{API}/run", json=INPUT, headers=KEY, timeout=5).status_code == 201
                    assert runner.run(ask(client)) == 201
                    assert len(world.jobs()) == 2 * number
        runner.run(client.close())


def test_uploads_streams_and_odd_requests(doors: WorldHandle) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"input": '
        yield b'{"prompt": "a lighthouse"}}'

    headers = {**KEY, "Content-Type": "application/json"}
    with requests.post(f"{API}/run", data=pieces(), headers=headers, timeout=5) as answer:
        assert answer.status_code == 201
    assert httpx.post(f"{API}/run", content=pieces(), headers=headers).status_code == 201
    with requests.post(f"{API}/run", data=io.BytesIO(b"{"), headers=headers, timeout=5) as answer:
        assert answer.status_code in (400, 422)
    assert requests.head(f"{API}/status/nothing", headers=KEY, timeout=5).status_code >= 400
    assert httpx.get("https://API.acme.test./v2/acme-dev/status/nothing", headers=KEY).status_code == 404
    assert requests.get("https://api.acme.test/none?x=1&x=2", headers=KEY, timeout=5).status_code == 404

    async def main() -> None:
        async def more() -> Any:
            for piece in pieces():
                yield piece

        async with aiohttp.ClientSession() as session, session.post(f"{API}/run", data=more(), headers=headers) as got:
            assert got.status == 201
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{API}/run", content=more(), headers=headers)).status_code == 201

    asyncio.run(main())
    assert len(doors.jobs()) == 4


def test_callbacks_come_to_a_handler_in_the_client_s_loop() -> None:
    """An async door does not block the loop, so a callback that a request sets off is answered."""
    got: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append((await reader.readuntil(b"\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main(ask: Callable[[Any], Awaitable[None]]) -> None:
        receiver = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = receiver.sockets[0].getsockname()[1]
        await ask({**INPUT, "webhook": f"http://127.0.0.1:{port}/hook"})
        receiver.close()

    async def by_httpx(body: Any) -> None:
        async with httpx.AsyncClient(headers=KEY) as client:
            await client.post(f"{API}/run", json=body)
            await client.get(f"{API}/status/any")  # on this clock an hour later: the callback comes first

    async def by_aiohttp(body: Any) -> None:
        async with aiohttp.ClientSession(headers=KEY) as session:
            await session.post(f"{API}/run", json=body)
            await session.get(f"{API}/status/any")

    with Server(contracts=[ACME]) as server:
        for ask in (by_httpx, by_aiohttp):
            with server.world(clock="stepping:1h") as world, all_doors(world):
                asyncio.run(main(ask))
    assert got == ["POST /hook HTTP/1.1\r\n"] * 2


# --- the fixtures -------------------------------------------------------------------------------------

FIXTURES = """
import urllib.request

import aiohttp
import asyncio
import httpx
import requests

URL = "https://api.acme.test/v2/acme-dev/run"
ASKED = dict(json={"input": {"prompt": "a lighthouse"}}, headers={"Authorization": "Bearer key"})


async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.post(URL, **ASKED) as answer:
        return answer.status


@acme
def test_all(fauxvider, fauxvider_hosts, fauxvider_no_egress):
    assert fauxvider_hosts is fauxvider
    assert httpx.post(URL, **ASKED).status_code == 201
    assert requests.post(URL, timeout=5, **ASKED).status_code == 201
    assert asyncio.run(by_aiohttp()) == 201
    assert len(fauxvider.jobs()) == 3


@acme
def test_httpx(fauxvider, fauxvider_httpx):
    assert httpx.post(URL, **ASKED).status_code == 201
    assert fauxvider_httpx.calls.call_count == len(fauxvider.jobs()) == 1


@acme
def test_requests(fauxvider, fauxvider_requests):
    assert requests.post(URL, timeout=5, **ASKED).status_code == 201
    assert fauxvider_requests.knows("image.acme.test")


@acme
def test_aiohttp(fauxvider, fauxvider_aiohttp):
    assert asyncio.run(by_aiohttp()) == 201
    assert len(fauxvider.jobs()) == 1
"""


def test_each_door_is_a_fixture(suite: Any) -> None:
    suite.run(text=FIXTURES).assert_outcomes(passed=4)


@pytest.mark.parametrize(("name", "library"), [("fauxvider_httpx", "respx"), ("fauxvider_aiohttp", "aiohttp")])
def test_a_door_without_its_library(suite: Any, name: str, library: str) -> None:
    text = f"""
import sys

sys.modules[{library!r}] = None


@acme
def test_it({name}):
    pass


@acme
def test_the_others(fauxvider_hosts):
    pass
"""
    result = suite.run(text=text)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*{name} needs {library}: pip install *"])
