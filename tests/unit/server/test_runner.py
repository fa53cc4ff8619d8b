from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fauxvider.errors import FauxviderError, PortTakenError, UsageError
from fauxvider.server.runner import RunSettings, ServerThread, Urls, running, serve
from fauxvider.sockets import listen
from support.patience import PATIENCE_S, until
from support.raw import RawClient, is_refused

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Loop = Literal["asyncio", "uvloop"]
Parser = Literal["httptools", "h11"]


def telling(text: bytes) -> Any:
    """An application that answers in two writes, as most do."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return app


def ask(url: str, request: bytes = GET) -> bytes:
    with RawClient(url) as client:
        client.send(request)
        got = client.answer()
        assert got is not None
        return got.body


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def server_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fauxvider-server"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def test_two_applications_on_two_ports() -> None:
    with running(telling(b"provider"), telling(b"control")) as urls:
        assert ask(urls.provider) == b"provider"
        assert ask(urls.control) == b"control"
        assert urls.provider != urls.control
    assert server_threads() == []
    with pytest.raises(ConnectionRefusedError):
        RawClient(urls.provider)


def test_without_a_control_application() -> None:
    with running(telling(b"x")) as urls:
        assert urls.control == ""


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_hosts(host: str) -> None:
    try:
        with running(telling(b"x"), host=host) as urls:
            port = port_of(urls.provider)
            assert urls.provider in (f"http://127.0.0.1:{port}", f"http://[::1]:{port}")
            with socket.create_connection((host if host != "0.0.0.0" else "127.0.0.1", port)):
                pass
    except UsageError as error:
        pytest.skip(f"no such address here: {error}")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_no_answer_waits_for_nagle(loop: Loop, parser: Parser) -> None:
    """Nagle's algorithm is off on an accepted socket; on, it would hold back the second write of an answer for 40 ms."""
    server = ServerThread(telling(b"x"), settings=RunSettings(loop=loop, parser=parser))
    server.start()
    with RawClient(server.urls.provider) as client:
        client.send(GET)
        assert client.answer() is not None
        assert server.call(nodelay(server)) == [True]
        server.stop()


async def nodelay(server: ServerThread) -> list[bool]:
    """Say of each connection of a server, on its loop, whether what is written goes out at once."""
    found = []
    for connection in server._site._servers[0].server_state.connections:
        number = connection.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as sock:
            found.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
    return found


def test_fifty_starts_and_stops() -> None:
    """A connection that only idles is not waited for, however long requests may go on."""
    with running(telling(b"x")):
        pass  # what is imported once
    fds = open_files()
    for _ in range(50):
        server = ServerThread(telling(b"x"), telling(b"y"), settings=RunSettings(grace_s=3600))
        server.start()
        with RawClient(server.urls.provider) as client:  # a keep-alive connection that is open at the stop
            client.send(GET)
            assert client.answer() is not None
            server.stop()
            assert client.rest() == b""
        for url in (server.urls.provider, server.urls.control):
            listen("127.0.0.1", port_of(url)).close()  # at once: what is free is soon somebody else's
    assert server_threads() == []
    assert open_files() == fds


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            ServerThread(telling(b"x"), port=port)
        assert str(caught.value) == f"port {port} on 127.0.0.1 is taken: choose another one, or 0 for a free one"
        with pytest.raises(PortTakenError), running(telling(b"x"), telling(b"y"), control_port=port):
            pass
        with pytest.raises(PortTakenError):
            asyncio.run(serve(telling(b"x"), port=port))
    assert server_threads() == []


@pytest.mark.parametrize(("host", "port"), [("no such host", 0), ("127.0.0.1", 70_000), ("203.0.113.1", 0)])
def test_bad_addresses(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="cannot listen"):
        listen(host, port)


def test_headers_are_the_applications_own() -> None:
    for is_dated in (True, False):
        with running(telling(b"x"), settings=RunSettings(date_header=is_dated)) as urls, RawClient(urls.provider) as it:
            it.send(GET)
            got = it.answer()
            assert got is not None
            assert [name for name, _ in got.headers] == ["date"] * is_dated + ["content-length"]


def test_forwarded_headers_change_nothing() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await telling(b"x")(scope, receive, send)

    with running(app) as urls:
        ask(urls.provider, b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n")
    assert seen == [("127.0.0.1", "http")]


def test_a_failing_application_is_a_500_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/bad":
            raise RuntimeError("a bug")
        await telling(b"x")(scope, receive, send)

    with running(app) as urls:
        assert ask(urls.provider, GET.replace(b"/ ", b"/bad ")) == b"Internal Server Error"
        assert ask(urls.provider) == b"x"
    assert "a bug" in caplog.text


def test_requests_in_flight_do_not_hold_up_a_stop(caplog: pytest.LogCaptureFixture) -> None:
    entered, ended = threading.Semaphore(0), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.release()
        try:
            if scope["path"] == "/":
                await asyncio.Event().wait()
            while (await receive())["type"] != "http.disconnect":
                pass
            ended.append("told")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    server = ServerThread(app, settings=RunSettings(grace_s=0.05))
    server.start()
    with RawClient(server.urls.provider) as stuck, RawClient(server.urls.provider) as waiting:
        stuck.send(GET)
        waiting.send(GET.replace(b"/ ", b"/wait "))
        assert entered.acquire(timeout=PATIENCE_S)
        assert entered.acquire(timeout=PATIENCE_S)
        server.stop()  # one of them never ends by itself
    assert sorted(ended) == ["cancelled", "told"]
    assert caplog.text == ""


def test_requests_nearly_done_are_finished() -> None:
    entered, release = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await asyncio.to_thread(release.wait, PATIENCE_S)
        await telling(b"done")(scope, receive, send)

    server = ServerThread(app, settings=RunSettings(grace_s=PATIENCE_S))
    server.start()
    with RawClient(server.urls.provider) as client:
        client.send(GET)
        assert entered.wait(PATIENCE_S)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        until(lambda: is_refused(server.urls.provider))
        release.set()
        stopping.join()
        got = client.answer()
        assert got is not None
        assert got.body == b"done"


def test_stopping_twice_or_unstarted() -> None:
    server = ServerThread(telling(b"x"))
    server.stop()
    with pytest.raises(UsageError):
        server.call(asyncio.sleep(0))
    server = ServerThread(telling(b"x"))
    server.start()
    assert server.call(asyncio.sleep(0, "given")) == "given"
    server.stop()
    server.stop()


def test_lifespan_runs_for_applications_that_have_one() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        told.append("up")
        yield {"word": "kept"}
        told.append("down")

    async def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.state.word)

    with running(telling(b"x"), Starlette(routes=[Route("/", home)], lifespan=lifespan)) as urls:
        assert ask(urls.control) == b"kept"
    assert told == ["up", "down"]


def test_an_application_that_does_not_start() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no disk")
        yield

    for apps in ((Starlette(lifespan=lifespan),), (telling(b"x"), Starlette(lifespan=lifespan))):
        with pytest.raises(FauxviderError, match="did not start"), running(*apps):
            pass
    assert server_threads() == []


def test_the_users_loggers_are_left_alone() -> None:
    logger, handler = logging.getLogger("uvicorn.access"), logging.NullHandler()
    logger.addHandler(handler)
    before = logger.level, logger.propagate, logging.getLogger("uvicorn.error").level
    try:
        with running(telling(b"x")) as urls:
            assert ask(urls.provider) == b"x"
        assert logger.handlers == [handler]
        assert (logger.level, logger.propagate, logging.getLogger("uvicorn.error").level) == before
        assert logging.getLogger("uvicorn.error").filters == []
    finally:
        logger.removeHandler(handler)


def test_serving_in_a_task_that_is_cancelled() -> None:
    async def main() -> Urls:
        ready: asyncio.Future[Urls] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(telling(b"x"), telling(b"y"), ready=ready.set_result))
        urls = await ready
        assert await asyncio.to_thread(ask, urls.control) == b"y"
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return urls

    urls = asyncio.run(main())
    with pytest.raises(ConnectionRefusedError):
        RawClient(urls.provider)


SCRIPT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from unit.server.test_runner import telling
from fauxvider.server.runner import serve

async def stuck(scope, receive, send):
    await asyncio.Event().wait()

print(asyncio.run(serve(stuck, telling(b"y"), ready=lambda urls: print(urls.provider, urls.control, flush=True))))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_foreground_and_a_request_that_never_ends(number: signal.Signals) -> None:
    script = SCRIPT.format(tests=str(Path(__file__).parents[2]))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        provider, control = process.stdout.readline().decode().split()
        assert ask(control) == b"y"
        with RawClient(provider) as client:
            client.send(GET)
            process.send_signal(number)
            assert process.wait(PATIENCE_S) == 0
        assert process.stdout.read().decode().strip() == str(int(number))
        assert process.stderr.read() == b""
