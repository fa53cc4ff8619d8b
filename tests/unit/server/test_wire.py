from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from typing import Any

import pytest

from fauxvider.errors import UsageError
from fauxvider.server.framing import HeadLimits
from fauxvider.server.wire import WireSettings, protocol_class
from support.patience import PATIENCE_S
from support.raw import RawClient
from support.raw_requests import raw_requests
from support.serving import GET, HEAD, LAST, QUICK, READING, Parser, answer, body_of, conversation, echo, serving


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> Parser:
    choice: Parser = request.param
    return choice


def view_of(data: bytes, parser: Parser) -> tuple[int, dict[str, Any]]:
    with serving(echo, parser) as url, RawClient(url) as client:
        client.send(data)
        got = client.answer()
        assert got is not None
        return got.status, json.loads(got.body) if got.status == 200 else {}


# --- one reading -----------------------------------------------------------------------------------------------------


def test_both_parsers_read_alike() -> None:
    """Same statuses and same application view; nothing but 200, or a refusal that names the fault."""
    cases = list(raw_requests())
    assert len(cases) >= 700
    with (
        serving(echo, "httptools", READING) as one,
        serving(echo, "h11", READING) as other,
        ThreadPoolExecutor(64) as pool,
    ):
        firsts = pool.map(conversation, repeat(one), cases)
        seconds = pool.map(conversation, repeat(other), cases)
        for data, first, second in zip(cases, firsts, seconds, strict=True):
            assert first == second, data[:200]
            assert all(status in {100, 200, 400, 408, 414, 417, 431, 501, 505} for status, _ in first), data[:200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"A: b\r\n c\r\n\r\n", 400),
        (HEAD + b"A: \x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (HEAD + b"A: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (HEAD + b"A: b\r\n" * 101 + b"\r\n", 431),
        (HEAD + b"A: " + b"a" * 1_000_000, 431),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        (HEAD + b"Expect: miracles\r\n\r\n", 417),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_refusals(parser: Parser, data: bytes, status: int) -> None:
    with serving(echo, parser) as url, RawClient(url) as client:
        client.send(data)
        got = client.answer()
        assert got is not None
        assert got.status == status
        assert got.header("connection") == "close"
        assert client.rest() == b""
        assert conversation(url, LAST)[0][0] == 200


def test_an_absolute_target_becomes_its_path(parser: Parser) -> None:
    status, view = view_of(b"GET http://evil.test/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", parser)
    assert (status, view["path"], view["raw_path"], view["query_string"]) == (200, "/a", "/a", "b=c")
    assert "evil" not in json.dumps(view)


def test_an_upgrade_is_not_shown_and_stops_nothing(parser: Parser) -> None:
    data = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    with serving(echo, parser) as url, RawClient(url) as client:
        for _ in range(3):
            client.send(data)
            got = client.answer()
            assert got is not None
            assert json.loads(got.body)["body"] == "abc"


def test_trailers_are_not_headers(parser: Parser) -> None:
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    _, view = view_of(data, parser)
    assert view["body"] == "abc"
    assert [name for name, _ in view["headers"]] == ["host", "transfer-encoding"]


def test_continue(parser: Parser) -> None:
    with serving(echo, parser) as url, RawClient(url) as client:
        client.send(HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        first = client.answer()
        client.send(b"abc")
        second = client.answer()
    assert first is not None
    assert first.status == 100
    assert second is not None
    assert json.loads(second.body)["body"] == "abc"


def test_pipelined_answers_come_in_order_before_a_refusal(parser: Parser) -> None:
    with serving(echo, parser) as url:
        got = conversation(url, b"".join(GET.replace(b"/ ", b"/%d " % n) for n in range(5)) + b"GET / HTTP/1.1\r\n\r\n")
    assert [json.loads(body)["path"] for status, body in got if status == 200] == ["/0", "/1", "/2", "/3", "/4"]
    assert [status for status, _ in got] == [200] * 5 + [400]


def test_a_broken_body_reaches_the_waiting_application(parser: Parser) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await body_of(receive))

    with serving(app, parser) as url, RawClient(url) as client:
        client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab")
        client.send(b"cd\r\n")
        got = client.answer()
        assert got is not None
        assert got.status == 400
        assert client.rest() == b""
    assert seen == [None]


# --- deadlines -------------------------------------------------------------------------------------------------------


# What a client sends before it falls silent, and the first answer that it gets.
SLOW: dict[str, tuple[bytes, list[int]]] = {
    "silent": (b"", []),
    "half a head": (GET[:-5], [408]),
    "half a body": (HEAD + b"Content-Length: 10\r\n\r\nabc", [408]),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc", [408]),
    "idle": (GET, [200]),
    "half of the next": (GET + GET[:10], [200]),
}


def test_slow_clients_are_closed(parser: Parser) -> None:
    """Twenty slow sockets of each kind go by their deadline; an honest client is served meanwhile."""
    with serving(echo, parser, QUICK) as url, ExitStack() as stack:
        slow = []
        for kind in [kind for kind in SLOW for _ in range(20)]:
            slow.append((kind, stack.enter_context(RawClient(url))))
            slow[-1][1].send(SLOW[kind][0])
        assert conversation(url, LAST)[0][0] == 200
        for kind, client in slow:
            answers = []
            while (got := client.answer()) is not None:
                answers.append(got.status)
            assert (kind, answers[:1]) == (kind, SLOW[kind][1])
            assert client.rest() == b""


def test_a_long_body_may_come_slowly_but_steadily(parser: Parser) -> None:
    wire = WireSettings(body_s=0.1, body_rate=100)
    with serving(echo, parser, wire) as url, RawClient(url) as client:
        client.send(HEAD + b"Content-Length: 33000\r\n\r\n" + b"a" * 3000)
        release = socket.socketpair()
        release[0].settimeout(0.04)
        for _ in range(10):
            client.send(b"a" * 3000)
            with pytest.raises(TimeoutError):
                release[0].recv(1)  # the wait of a slow client
        got = client.answer()
        for end in release:
            end.close()
    assert got is not None
    assert got.status == 200


def test_one_timer_serves_many_requests(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []
    before = asyncio.BaseEventLoop.call_at

    def call_at(self: Any, when: float, callback: Any, *args: Any, **options: Any) -> Any:
        if getattr(callback, "__name__", "") in ("_tick", "timeout_keep_alive_handler"):
            armed.append(when)
        return before(self, when, callback, *args, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_at", call_at)
    with serving(echo, parser, loop="asyncio") as url, RawClient(url) as client:
        for _ in range(50):
            client.send(GET)
            assert client.answer() is not None
    assert len(armed) == 1


def test_a_client_that_does_not_read_is_cut_off(parser: Parser) -> None:
    gone = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20000000")]})
        await send({"type": "http.response.body", "body": bytes(20_000_000), "more_body": scope["path"] == "/"})
        if scope["path"] == "/":
            await receive()
            gone.set()

    with serving(app, parser, QUICK) as url, RawClient(url) as stalled, RawClient(url) as reading:
        stalled.send(GET)
        reading.send(GET.replace(b"/ ", b"/all "))
        got = reading.answer()
        assert got is not None
        assert len(got.body) == 20_000_000
        assert gone.wait(PATIENCE_S)


def test_an_early_answer_does_not_wait_for_the_body(parser: Parser) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 413, b"too large")

    def refused(client: RawClient, data: bytes) -> None:
        client.send(data)
        got = client.answer()
        assert got is not None
        assert got.status == 413

    with serving(app, parser) as url, RawClient(url) as client:
        refused(client, HEAD + b"Content-Length: 100000\r\n\r\nabc")
        refused(client, b"a" * 99_997 + GET)  # the rest of the body, and the next request behind it
    with serving(app, parser, QUICK) as url, RawClient(url) as idler:
        refused(idler, HEAD + b"Content-Length: 100000\r\n\r\nabc")
        assert idler.answer() is None


# --- limits ----------------------------------------------------------------------------------------------------------


class Holding:
    """Answers at once, but for `/held`: that one waits for its client to leave."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/held":
            self.entered.release()
            while (await receive())["type"] != "http.disconnect":
                pass
        await echo(scope, receive, send)

    def hold(self, client: RawClient) -> None:
        """Have a request of the client's under way."""
        client.send(GET.replace(b"/ ", b"/held "))
        assert self.entered.acquire(timeout=PATIENCE_S)


def test_connections_over_the_limit_get_503_when_all_others_wait_for_the_server(parser: Parser) -> None:
    app = Holding()
    with serving(app, parser, WireSettings(max_connections=3, linger_s=1)) as url, ExitStack() as stack:
        clients = [stack.enter_context(RawClient(url)) for _ in range(3)]
        for client in clients:
            app.hold(client)
        assert [status for status, _ in conversation(url, LAST)] == [503]
        silent = stack.enter_context(RawClient(url))
        assert silent.rest() == b""
        clients[0].sock.close()
        while [status for status, _ in conversation(url, LAST)] != [200]:
            pass  # until the server has noticed that the client is gone


def test_who_kept_the_server_waiting_longest_makes_room(parser: Parser) -> None:
    """First those that never had an answer; then the eldest of the others."""
    sent = [GET, b"", GET[:-5], HEAD + b"Content-Length: 9\r\n\r\nabc"]
    with serving(echo, parser, WireSettings(max_connections=4)) as url, ExitStack() as stack:
        old, silent, head, body = clients = [stack.enter_context(RawClient(url)) for _ in sent]
        for client, data in zip(clients, sent, strict=True):
            client.send(data)
            assert client is not old or client.answer() is not None
        for _ in range(3):  # by then all of it has been read
            old.send(GET)
            assert old.answer() is not None
        for _ in range(3):
            newcomer = stack.enter_context(RawClient(url))
            newcomer.send(GET)
            got = newcomer.answer()
            assert got is not None
            assert got.status == 200
        assert silent.rest() == b""
        for client in (head, body):
            refused = client.answer()
            assert refused is not None
            assert (refused.status, refused.header("connection"), client.rest()) == (503, "close", b"")
        old.send(GET)  # a client that has been served before is still there
        assert old.answer() is not None
        third = stack.enter_context(RawClient(url))
        third.send(GET)
        assert third.answer() is not None
        assert [status for status, _ in conversation(url, LAST)] == [200]


def test_an_application_that_reads_a_body_is_told_when_its_client_makes_room(parser: Parser) -> None:
    seen: list[Any] = []
    entered = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        seen.append(await body_of(receive))
        await answer(send, 200, b"late")

    with serving(app, parser, WireSettings(max_connections=1)) as url, RawClient(url) as client:
        client.send(HEAD + b"Content-Length: 9\r\n\r\nabc")
        assert entered.wait(PATIENCE_S)
        with RawClient(url) as newcomer:
            newcomer.send(GET)
            assert newcomer.answer() is not None
        got = client.answer()
        assert got is not None
        assert got.status == 503
        assert client.rest() == b""
    assert seen == [None, b""]


def test_a_flood_of_silent_ones_does_not_keep_an_honest_one_out(parser: Parser) -> None:
    with serving(echo, parser, WireSettings(max_connections=8)) as url, ExitStack() as stack:
        honest = stack.enter_context(RawClient(url))
        for _ in range(60):
            stack.enter_context(RawClient(url))
            honest.send(GET)
            got = honest.answer()
            assert got is not None
            assert got.status == 200


def test_far_over_the_limit_nobody_is_answered(parser: Parser) -> None:
    app = Holding()
    with serving(app, parser, WireSettings(max_connections=1, linger_s=30)) as url, ExitStack() as stack:
        app.hold(stack.enter_context(RawClient(url)))
        _, *others = [stack.enter_context(RawClient(url)) for _ in range(4)]
        for client in others:
            try:
                assert client.rest() == b""
            except ConnectionResetError:
                continue


def test_limits_are_settings(parser: Parser) -> None:
    with serving(echo, parser, WireSettings(head=HeadLimits(target=10, count=2))) as url:
        assert conversation(url, b"GET /01234567890 HTTP/1.1\r\nHost: x\r\n\r\n")[0][0] == 414
        assert conversation(url, HEAD + b"A: b\r\nC: d\r\n\r\n")[0][0] == 431


def test_the_parser_is_a_choice() -> None:
    assert protocol_class("h11").__name__ == "GuardedH11"
    assert protocol_class("auto").__name__ in ("GuardedHttpTools", "GuardedH11")
    with pytest.raises(UsageError):
        protocol_class("zttp")  # type: ignore[arg-type]
