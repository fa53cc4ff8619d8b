from __future__ import annotations

import asyncio
import gc
import http.client
import random
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fauxvider import Receiver, Server
from fauxvider.errors import PortTakenError, UsageError
from fauxvider.receiver import Answered, NotReceivedError, Received
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender, SendOutcome
from support.acme import ACME
from support.patience import PATIENCE_S
from support.raw import Answer, RawClient
from support.receiver import Receiver as RawReceiver

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
POST = b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def runner(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(main)

    return runner


async def post(
    receiver: Receiver, path: str = "/hook", body: bytes = b"{}", timeout_s: float = PATIENCE_S
) -> SendOutcome:
    return await Sender(EgressPolicy()).send("POST", receiver.url + path, [], body, timeout_s=timeout_s)


def posts(run: Run[Any], receiver: Receiver, count: int, **options: Any) -> list[SendOutcome]:
    async def main() -> list[SendOutcome]:
        async with receiver:
            return [await post(receiver, **options) for _ in range(count)]

    got: list[SendOutcome] = run(main())
    return got


def brief(outcomes: list[SendOutcome]) -> list[int | str]:
    return [one.kind if one.status is None else one.status for one in outcomes]


def talk(receiver: Receiver, data: bytes, count: int = 1) -> list[Answer | None]:
    with RawClient(receiver.url) as client:
        client.send(data)
        return [client.answer() for _ in range(count)]


def everything(receiver: Receiver, data: bytes) -> bytes:
    """Send, say that no more comes, and read until the receiver closes; ``reset`` when it resets instead."""
    try:
        with RawClient(receiver.url) as client:
            client.send(data)
            client.sock.shutdown(socket.SHUT_WR)
            return client.rest()
    except TimeoutError:
        raise
    except OSError:  # depending on when it comes, a reset has many names
        return b"reset"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


# --- scripts ------------------------------------------------------------------------------------------


def test_a_list_in_turn_and_its_last_answer_again(run: Run[Any]) -> None:
    receiver = Receiver([503, "reset", "close", "garbage", {"status": 410}, 200])
    got = posts(run, receiver, 7)
    assert brief(got) == [503, "network", "network", "network", 410, 200, 200]
    assert got[1].error == "connection reset"
    assert got[3].error.startswith("not HTTP")
    assert [one.number for one in receiver.received] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.answer for one in receiver.received] == [503, "reset", "close", "garbage", {"status": 410}, 200, 200]


def test_in_a_thread() -> None:
    open_before = open_files()
    with Receiver([503, "reset", 200]) as receiver:
        assert talk(receiver, POST)[0] == Answer(503, [("Content-Length", "0")], b"")
        assert everything(receiver, POST) == b"reset"
        assert talk(receiver, POST)[0] is not None
        assert [one.answer for one in receiver.wait(3, PATIENCE_S)] == [503, "reset", 200]
        with pytest.raises(NotReceivedError, match=r"^3 of 4 requests came within 0\.01 s$"):
            receiver.wait(4, timeout_s=0.01)
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "fauxvider-receiver"]
    assert open_files() == open_before


def test_hang_until_the_sender_or_the_receiver_closes(run: Run[Any]) -> None:
    async def main() -> None:
        async with Receiver("hang") as receiver:
            _, leaving = await asyncio.open_connection("127.0.0.1", int(receiver.url.rpartition(":")[2]))
            leaving.write(POST)
            await receiver.arrived(1, PATIENCE_S)
            leaving.close()
            await leaving.wait_closed()
            task = asyncio.create_task(post(receiver))
            await receiver.arrived(2, PATIENCE_S)
        assert (await task).kind == "network"

    run(main())


def test_an_answer_in_full(run: Run[Any]) -> None:
    answers: list[Any] = [
        {"status": 503, "body": "später", "headers": {"Retry-After": "5"}},
        {"body": {"ok": True, "n": [1]}},
        {"body": b"\0\1", "headers": [("X-A", "1"), ("x-a", "2")]},
        {"body": "<p>", "headers": {"content-TYPE": "text/html"}},
        {"status": 599},
    ]

    async def main() -> list[tuple[int, list[tuple[str, str]], bytes]]:
        async with Receiver(answers) as receiver:
            return await asyncio.to_thread(lambda: [read(receiver) for _ in answers])

    def read(receiver: Receiver) -> tuple[int, list[tuple[str, str]], bytes]:
        (got,) = talk(receiver, POST)
        assert got is not None
        return got.status, got.headers, got.body

    assert run(main()) == [
        (
            503,
            [("Retry-After", "5"), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "7")],
            "später".encode(),
        ),
        (200, [("Content-Type", "application/json"), ("Content-Length", "19")], b'{"ok":true,"n":[1]}'),
        (
            200,
            [("X-A", "1"), ("x-a", "2"), ("Content-Type", "application/octet-stream"), ("Content-Length", "2")],
            b"\0\1",
        ),
        (200, [("content-TYPE", "text/html"), ("Content-Length", "3")], b"<p>"),
        (599, [("Content-Length", "0")], b""),
    ]


@pytest.mark.parametrize(
    ("answer", "status", "location"),
    [
        ("redirect:http://elsewhere.test/hook?a=b:c", 302, "http://elsewhere.test/hook?a=b:c"),
        ({"redirect": "/other"}, 302, "/other"),
        ({"redirect": "/other", "status": 307}, 307, "/other"),
    ],
)
def test_redirects(answer: Any, status: int, location: str) -> None:
    with Receiver(answer) as receiver:
        (got,) = talk(receiver, POST)
        assert got is not None
        assert (got.status, got.header("location")) == (status, location)


def test_redirects_are_what_a_sender_says_they_are(run: Run[Any]) -> None:
    (outcome,) = posts(run, Receiver("redirect:/x"), 1)
    assert outcome.status == 302


def test_no_body_where_none_may_be() -> None:
    with Receiver([{"status": 204, "body": "x"}, {"status": 304}, {"status": 200, "body": "x"}]) as receiver:
        with RawClient(receiver.url) as client:
            for status in (204, 304):
                client.send(POST)
                got = client.answer()
                assert got is not None
                assert (got.status, [name for name, _ in got.headers if name == "Content-Length"]) == (status, [])
            client.send(POST.replace(b"POST", b"HEAD"))
            assert client.answer(head=True) is not None
            client.sock.shutdown(socket.SHUT_WR)
            assert client.rest() == b""
        assert [one.method for one in receiver.received] == ["POST", "POST", "HEAD"]


def test_after(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Answered] = []

    async def main() -> None:
        answers = [{"after": "12s"}, {"after": "20ms", "status": 201}, {"after": "20ms", "reset": True}, "after:20ms"]
        async with Receiver(answers, on_answer=told.append) as receiver:
            assert (await post(receiver, timeout_s=1)).kind == "timeout"
            assert brief([await post(receiver) for _ in range(3)]) == [201, "network", 200]

    spans: list[float | None] = []
    timeout = asyncio.timeout

    def counted(seconds: float | None) -> asyncio.Timeout:
        spans.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr("fauxvider.receiver.peer.asyncio.timeout", counted)
    run(main())
    assert [seconds for seconds in spans if seconds in (12, 0.02)] == [12, 0.02, 0.02, 0.02]
    assert [(one.status, one.note) for one in told] == [(None, "gone"), (201, ""), (None, "reset"), (200, "")]


def test_drip(run: Run[Any]) -> None:
    async def main() -> list[bytes]:
        async with Receiver([{"drip": "60ms", "body": "x" * 100}]) as receiver:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(receiver.url.rpartition(":")[2]))
            writer.write(POST)
            pieces = []
            while not b"".join(pieces).endswith(b"x" * 100):
                pieces.append(await reader.read(1000))
            writer.close()
            await writer.wait_closed()
            return pieces

    assert len(run(main())) >= 5


def test_down_by_a_virtual_clock(run: Run[Any]) -> None:
    now = 1_000

    async def main() -> None:
        nonlocal now
        async with Receiver([{"down": "10s"}, 200], clock=lambda: now) as receiver:
            assert brief([await post(receiver) for _ in range(3)]) == ["network"] * 3
            now += 9_999
            assert (await post(receiver)).error == "connection reset"
            now += 1
            assert (await post(receiver)).status == 200
            assert [(one.at, one.answer) for one in receiver.received] == [(1_000, {"down": "10s"}), (11_000, 200)]
            assert receiver.refused == {"down": 3}

    run(main())


def test_down_in_real_time_for_connections_that_stood_too() -> None:
    with Receiver(["down:1h", 200]) as receiver, RawClient(receiver.url) as waiting:
        assert everything(receiver, POST) == b"reset"
        waiting.send(POST)
        with pytest.raises(ConnectionResetError):
            waiting.answer()
        assert everything(receiver, POST) == b"reset"
        assert receiver.count == 1
        assert receiver.refused["down"] >= 1
    with Receiver(["down:40ms", 200]) as receiver:  # and not for ever
        assert everything(receiver, POST) == b"reset"
        while everything(receiver, POST) == b"reset":
            pass
        assert receiver.count == 2


def test_by_path() -> None:
    script = {"/a": [500, 200], "/b": lambda received: {"body": received.path}, "*": 410}
    with Receiver(script) as receiver:
        got = []
        for path in (b"/a", b"/b?q=1", b"/c", b"/a?x", b"/a"):
            (answer,) = talk(receiver, POST.replace(b"/hook", path))
            assert answer is not None
            got.append((answer.status, answer.body))
    assert got == [(500, b""), (200, b"/b?q=1"), (410, b""), (200, b""), (200, b"")]
    assert [one.path for one in receiver.received] == ["/a", "/b?q=1", "/c", "/a?x", "/a"]


def test_a_path_that_no_script_names(run: Run[Any]) -> None:
    assert brief(posts(run, Receiver({"/other": 200}), 1)) == [404]


def test_a_function_decides_and_its_errors_are_raised_at_the_end(run: Run[Any]) -> None:
    def choose(received: Received) -> Any:
        assert received.answer is None
        return {b"a": 201, b"b": "reset", b"c": "nonsense"}[received.body]

    async def main() -> None:
        async with Receiver(choose) as receiver:
            outcomes = [await post(receiver, body=body) for body in (b"a", b"b", b"c", b"d", b"a")]
            assert brief(outcomes) == [201, "network", 500, 500, 201]
            assert outcomes[2].body == b"the receiver's script failed: UsageError"
            assert [one.answer for one in receiver.received] == [201, "reset", 500, 500, 201]
            assert [type(error) for error in receiver.errors] == [UsageError, KeyError]

    with pytest.raises(UsageError, match="'nonsense' is not an answer"):
        run(main())


def test_a_failing_block_keeps_its_own_error() -> None:
    def fail(_: Received) -> Any:
        raise KeyError

    with pytest.raises(ZeroDivisionError), Receiver(fail) as receiver:
        assert 1 // len(talk(receiver, POST)[1:])
    with pytest.raises(KeyError), Receiver(200, on_answer=lambda told: {}[told.note]) as receiver:
        assert talk(receiver, POST)[0] is not None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([], "a script needs an answer"),
        ({}, "is not an answer"),
        (b"x", "is not a script"),
        (1.5, "is not a script"),
        ([None], "None is not a status"),
        ([True], "True is not a status"),
        (100, "100 is not a status"),
        (1000, "1000 is not a status"),
        ("503", "'503' is not an answer"),
        ("down", "'down' is not an answer"),
        ("reset:x", "'reset:x' is not an answer"),
        ("pass", "there is nothing behind"),
        ({"/a": ["pass"]}, "there is nothing behind"),
        ({"/a": 200, "b": 200}, "'b' is not a path"),
        ({"sta": 200}, "is not an answer"),
        ({"status": 200, "reset": True}, "contradicts itself"),
        ({"reset": True, "hang": True}, "contradicts itself"),
        ({"reset": 1}, "write {'reset': true}"),
        ({"reset": True, "drip": "1s"}, "reset gives no answer that could drip"),
        ({"after": "soon"}, "is not a span"),
        ({"down": -1}, "out of range"),
        ({"headers": {"Content-Length": "3"}}, "is the receiver's own"),
        ({"headers": {"X": "a\r\nb"}}, "cannot be sent"),
        ({"headers": {"X": "\u2603"}}, "cannot be sent"),
        ({"headers": 7}, "are not headers"),
        ({"redirect": "/a\r\nX: y"}, "cannot be sent"),
        ({"body": {1, 2}}, "a body is bytes, text or JSON"),
    ],
)
def test_bad_scripts_are_refused_before_anything_starts(script: Any, why: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Receiver(script)
    assert why in str(refusal.value)


# --- what is recorded ---------------------------------------------------------------------------------


def test_requests_are_kept_as_they_came() -> None:
    request = (
        b"PUT /a%20b/../c?x=1&y=%ff HTTP/1.1\r\nhOST: x\r\nX-b: 1\r\nx-B:  \xc3\xbc \r\nContent-TYPE: a/b\r\nEmpty:\r\n"
        b"content-length: 5\r\n\r\n\x00\xff{}\n"
    )
    with Receiver(clock=iter([7, 8]).__next__) as receiver:
        assert talk(receiver, request)[0] is not None
        assert talk(receiver, POST)[0] is not None
        first, second = receiver.wait(2, PATIENCE_S)
    assert first == Received(
        number=1,
        method="PUT",
        path="/a%20b/../c?x=1&y=%ff",
        headers=[
            ("hOST", "x"), ("X-b", "1"), ("x-B", "Ã¼"), ("Content-TYPE", "a/b"), ("Empty", ""), ("content-length", "5"),
        ],
        body=b"\x00\xff{}\n",
        at=7,
        answer=200,
    )  # fmt: skip
    assert first.header("x-b") == "1"
    assert first.header("nope") is None
    assert second.at == 8


def test_chunked_pipelined_and_expecting() -> None:
    head = b"POST /1 HTTP/1.1\r\nHost: x\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n"
    expecting = b"POST /3 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with Receiver([201, {"status": 202, "after": "10ms"}, 203]) as receiver, RawClient(receiver.url) as client:
        client.send(chunked + POST + expecting)
        statuses = []
        for _ in range(3):
            got = client.answer()
            assert got is not None
            statuses.append(got.status)
        client.send(b"ok")
        last = client.answer()
        assert last is not None
    assert [*statuses, last.status] == [201, 202, 100, 203]
    assert [one.body for one in receiver.received] == [b"abcde", b"{}", b"ok"]


def test_a_sender_that_says_no_more_comes_still_gets_its_answer(run: Run[Any]) -> None:
    async def main() -> list[bytes]:
        answers = [{"body": "a"}, {"body": "b" * 3_000_000}, {"body": "c"}]
        async with Receiver(answers) as receiver:
            requests = [POST + POST, POST.replace(b"1.1", b"1.0")]
            return [await asyncio.to_thread(everything, receiver, request) for request in requests]

    first, second = run(main())
    assert first.count(b"HTTP/1.1 200 OK") == 2
    assert first.endswith(b"b" * 3_000_000)
    assert second.endswith(b"\r\n\r\nc")


def test_only_the_last_are_kept() -> None:
    for keep, left in ((2, [4, 5]), (0, [])):
        with Receiver(keep=keep) as receiver:
            for _ in range(5):
                talk(receiver, POST)
            assert [one.number for one in receiver.wait(5, PATIENCE_S)] == left


def test_virtual_time_of_a_world() -> None:
    """The attempts of a callback, on the clock of the world that made them."""
    with Server(providers=["runpod"], contracts=[ACME]) as server, server.world(clock="manual") as world:
        answers = [503, "reset", {"redirect": "/elsewhere"}, 200]
        with Receiver(answers, clock=world.now) as receiver:
            run_job(world.base_url("acme") + "/v2/acme-dev/run", receiver.url + "/hook")
            world.advance("1m")
            received = receiver.wait(3, PATIENCE_S)
            delivery = world.deliveries()[0]
    assert [one.at for one in received] == [attempt["at"] for attempt in delivery["attempts"]]
    assert [one.at - (received[0].at or 0) for one in received if one.at] == [0, 1000, 3000]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, None, 302]
    assert len({one.body for one in received}) == 1


def run_job(url: str, hook: str) -> None:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host)
    body = f'{{"input": {{"prompt": "a cat"}}, "webhook": "{hook}"}}'
    headers = {"Authorization": "Bearer test-key", "Content-Type": "application/json"}
    connection.request("POST", f"/{path}", body, headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


# --- in front of an application -----------------------------------------------------------------------


class Shop:
    """A Starlette application with a lifespan, a slow path, a background task and a broken path."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.words: list[str] = []
        routes = [
            Route("/hook", self.hook, methods=["POST"]),
            Route("/slow", self.slow, methods=["POST"]),
            Route("/later", self.later, methods=["POST"]),
            Route("/broken", self.broken, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes, lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[dict[str, str]]:
        self.words.append("up")
        yield {"shop": "open"}
        self.words.append("down")

    async def hook(self, request: Request) -> Response:
        assert request.state.shop == "open"
        self.seen.append(await request.body())
        return JSONResponse({"saw": request.headers["x-a"], "raw": request.scope["raw_path"].decode()}, status_code=202)

    async def slow(self, request: Request) -> Response:
        self.seen.append(await request.body())
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.words.append("finished")
        return PlainTextResponse("too late")

    async def later(self, request: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(self.work))

    async def work(self) -> None:
        await asyncio.sleep(0.01)
        self.words.append("worked")

    async def broken(self, request: Request) -> Response:
        raise LookupError


def test_in_front_of_an_application(run: Run[Any]) -> None:
    shop = Shop()
    told: list[Answered] = []

    async def main() -> None:
        answers = ["pass", 503, {"pass": "reset"}, {"pass": 500}, {"pass": True, "after": "10ms"}]
        async with Receiver(answers, app=shop.app, on_answer=told.append) as receiver:
            outcomes = [
                await Sender(EgressPolicy()).send(
                    "POST", receiver.url + "/hook?q=%20", [("X-A", "1")], b"%d" % number, timeout_s=PATIENCE_S
                )
                for number in range(5)
            ]
            assert brief(outcomes) == [202, 503, "network", 500, 202]
            assert outcomes[0].body == b'{"saw":"1","raw":"/hook"}'

    run(main())
    assert shop.seen == [b"0", b"2", b"3", b"4"]  # 503 was answered in its place
    assert [one.status for one in told] == [202, 503, None, 500, 202]
    assert shop.words == ["up", "down"]


def test_an_application_that_is_slow_fails_or_works_on(run: Run[Any], caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    told: list[Answered] = []

    async def main() -> None:
        async with Receiver(app=shop.app, on_answer=told.append) as receiver:
            assert (await post(receiver, "/slow", timeout_s=1)).kind == "timeout"
            assert brief([await post(receiver, path) for path in ("/broken", "/later", "/nothing")]) == [500, 200, 404]

    run(main())
    assert [(one.status, one.note) for one in told if one.note != "gone"] == [
        (500, ""), (200, ""), (404, ""),
    ]  # fmt: skip
    assert [one.note for one in told].count("gone") == 1
    assert sorted(shop.words) == ["down", "finished", "up", "worked"]
    assert "the application behind the receiver failed" in caplog.text


@pytest.mark.parametrize(
    ("messages", "status", "note"),
    [
        ([], 500, "the application ended without an answer"),
        ([{"type": "http.response.start", "status": 200}], 500, "the application ended without an answer"),
        ([{"type": "http.response.body", "body": b"x"}], 500, "the application ended without an answer"),
        (LookupError(), 500, "the application raised LookupError"),
        ([("start", 99)], 500, "the answer is no HTTP"),
        ([("start", 200, [(b"x", b"a\nb")])], 500, "the answer is no HTTP"),
        ([("start", 200, [(b"content-length", b"77"), (b"connection", b"close")])], 200, ""),
    ],
)
def test_odd_applications(run: Run[Any], messages: Any, status: int, note: str) -> None:
    told: list[Answered] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"  # this is how one says that it knows no lifespan
        if isinstance(messages, Exception):
            raise messages
        for message in messages:
            if isinstance(message, tuple):
                _, code, *headers = message
                await send({"type": "http.response.start", "status": code, "headers": headers[0] if headers else []})
                await send({"type": "http.response.body", "body": b"y", "more_body": True})
                await send({"type": "http.response.body"})
            else:
                await send(message)

    (outcome,) = posts(run, Receiver(app=app, on_answer=told.append), 1)
    assert outcome.status == status
    assert told[0].note.startswith(note)
    if not note:
        assert outcome.body == b"y"


def test_an_application_that_does_not_start() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    for _ in range(2):
        with (
            pytest.raises(UsageError, match=r"did not start: (?s:.*)no database"),
            Receiver(app=Starlette(lifespan=lifespan)),
        ):
            pass


# --- in front of a URL --------------------------------------------------------------------------------


def test_a_url_gets_every_byte(run: Run[Any]) -> None:
    request = b"POST /a?b HTTP/1.1\r\nhost:x\r\nX-b:  1\r\nTRANSFER-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    plain = POST.replace(b"Host", b"hOST")
    with RawReceiver([201, 503]) as behind:
        base = behind.url.removesuffix("/hook")
        with Receiver(["pass"], forward=base) as receiver:
            (got,) = talk(receiver, plain)
            assert got == Answer(201, [("Content-Length", "2")], b"ok")
        with Receiver(forward=base.replace("127.0.0.1", "localhost") + "/own?k=1") as receiver:
            (got,) = talk(receiver, plain)
            assert got == Answer(503, [("Content-Length", "2")], b"ok")
        assert [hit.raw for hit in behind.received] == [plain, plain.replace(b"/hook", b"/own?k=1")]

    async def main() -> bytes:
        seen = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(await reader.readuntil(b"0\r\n\r\n"))
            writer.write(b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 204 No\r\nX: y\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with Receiver(forward=url) as receiver:
                got = await asyncio.to_thread(talk, receiver, request)
                assert got == [Answer(204, [("X", "y")], b"")]
        raw: bytes = await seen
        return raw

    assert run(main()) == request


@pytest.mark.parametrize(
    ("answer", "status", "note"),
    [
        ("reset", 502, "cannot be reached: Connection reset by peer"),
        ("close", 502, "gave no whole answer"),
        ("garbage", 502, "gave no whole answer"),
        (404, 404, ""),
    ],
)
def test_a_url_that_fails(answer: Any, status: int, note: str) -> None:
    told: list[Answered] = []
    with Receiver(answer) as behind, Receiver(forward=behind.url + "/?token=s3cret", on_answer=told.append) as receiver:
        (got,) = talk(receiver, POST)
        assert got is not None
        assert got.status == status
    assert note in told[0].note
    assert "s3cret" not in told[0].note


def test_a_url_that_nobody_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        with Receiver(["pass", {"pass": 200}], forward=f"http://{host}:{port}/x") as receiver:
            got = [talk(receiver, POST)[0] for _ in range(2)]
        assert got[0] is not None
        assert got[1] is not None
        assert (got[0].status, got[1].status) == (502, 200)
        assert b"/x cannot be reached: " in got[0].body


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1", "http://example.com", "http://10.0.0.1:80/", "127.0.0.1:80", "", "http://", "ftp://127.0.0.1",
        "http://me:x@127.0.0.1:80", "http://127.0.0.1:99999", "http://127.0.0.1.example.com", "http://[::1", "http://127.0.0.1/#x",
    ],
)  # fmt: skip
def test_urls_of_other_machines_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Receiver(forward=url)


def test_not_to_itself_and_not_to_two() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        pytest.raises(UsageError, match="the receiver itself"),
        Receiver(port=port, forward=f"http://127.0.0.1:{port}"),
    ):
        pass
    with pytest.raises(UsageError, match="not of both"):
        Receiver(app=Shop().app, forward="http://127.0.0.1:1")


# --- many, and hostile --------------------------------------------------------------------------------


def test_many_at_once_in_the_order_of_their_ends(run: Run[Any]) -> None:
    async def main() -> None:
        script = {"/hang": "hang", "/slow": {"after": "20ms", "drip": "20ms", "status": 201}, "*": 200}
        async with Receiver(script) as receiver:
            hanging = [asyncio.create_task(post(receiver, "/hang")) for _ in range(50)]
            await receiver.arrived(50, PATIENCE_S)
            slow = [asyncio.create_task(post(receiver, "/slow")) for _ in range(50)]
            quick = await asyncio.gather(*(post(receiver, body=b"%d" % number) for number in range(200)))
            assert brief(quick) == [200] * 200
            assert brief(await asyncio.gather(*slow)) == [201] * 50
            received = await receiver.arrived(300, PATIENCE_S)
            assert [one.number for one in received] == list(range(1, 301))
            assert {one.body for one in received if one.path == "/hook"} == {b"%d" % number for number in range(200)}
        assert brief(await asyncio.gather(*hanging)) == ["network"] * 50

    run(main())


def test_one_after_the_other_none_lost() -> None:
    with Receiver() as receiver, RawClient(receiver.url) as client:
        for number in range(1000):
            client.send(POST.replace(b"{}", b"%02d" % (number % 100)))
            assert client.answer() is not None
        assert [int(one.body) for one in receiver.wait(1000, PATIENCE_S)] == [number % 100 for number in range(1000)]


HOSTILE = {
    "binary": (b"\x16\x03\x01\x02\x00" + bytes(range(256)), b"400", "no HTTP"),
    "no version": (b"GET /\r\n\r\n", b"400", "no HTTP"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", b"400", "no HTTP"),
    "two lengths": (POST.replace(b"Host: x", b"Host: x\r\nContent-Length: 3"), b"400", "no HTTP"),
    "bad length": (POST.replace(b"2\r\n", b"-2\r\n"), b"400", "no HTTP"),
    "bad chunk": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400", "no HTTP"),
    "other coding": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"501", "no HTTP"),
    "folded": (b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", b"400", "no HTTP"),
    "nul": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", b"400", "no HTTP"),
    "half a head": (b"POST / HTTP/1.1\r\nHost:", b"", "incomplete"),
    "half a body": (POST[:-1], b"", "incomplete"),
    "long line": (b"GET /" + b"a" * 100_000, b"431", "head too large"),
    "long head": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", b"431", "head too large"),
    "nothing": (b"", b"", ""),
    "blank lines": (b"\r\n\r\n", b"400", "no HTTP"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_garbage_is_refused_and_never_recorded(run: Run[Any], kind: str) -> None:
    data, status, why = HOSTILE[kind]

    async def main() -> None:
        async with Receiver() as receiver:
            answer = await asyncio.to_thread(everything, receiver, data)
            assert answer[9:12] == status or answer == b"reset"
            assert (await post(receiver)).status == 200
            assert receiver.count == 1
            assert receiver.refused == ({why: 1} if why else {})

    run(main())


def test_random_bytes(run: Run[Any]) -> None:
    chance = random.Random(3)

    async def main() -> None:
        async with Receiver() as receiver:
            for _ in range(200):
                data = bytearray(POST)
                for _ in range(chance.randrange(1, 8)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                await asyncio.to_thread(everything, receiver, bytes(data))
            assert (await post(receiver)).status == 200
            assert receiver.count + receiver.refused.total() >= 201

    run(main())


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_bodies_up_to_a_cap(framing: str) -> None:
    cap = 16 * 1024 * 1024
    with Receiver() as receiver:
        for size, status in ((cap, 200), (cap + 1, 413)):
            if framing == "length":
                data = POST.replace(b"2\r\n", b"%d\r\n" % size).removesuffix(b"{}") + b"x" * size
            else:
                head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                data = head + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
            (got,) = talk(receiver, data)
            assert got is not None
            assert got.status == status
        assert [len(one.body) for one in receiver.received] == [cap]
        assert receiver.refused == {"body over 16777216 bytes": 1}


# --- starting and stopping ----------------------------------------------------------------------------


def test_starting_and_stopping(run: Run[Any]) -> None:
    receiver = Receiver()
    with pytest.raises(UsageError, match="has not been started"):
        _ = receiver.url

    async def main() -> None:
        assert await receiver.start() == receiver.url
        with pytest.raises(UsageError, match="runs already"):
            await receiver.start()
        with pytest.raises(UsageError, match=r"await receiver\.arrived"):
            receiver.wait(0)
        assert await asyncio.to_thread(receiver.wait, 0) == []
        with pytest.raises(NotReceivedError, match=r"0 of 1 requests came within 0\.01 s"):
            await receiver.arrived(1, timeout_s=0.01)
        await receiver.stop()
        await receiver.stop()
        async with receiver:
            assert (await post(receiver)).status == 200
        assert receiver.count == 1

    run(main())
    assert len(receiver.wait(1, PATIENCE_S)) == 1
    with receiver:
        assert talk(receiver, POST)[0] is not None
    assert receiver.count == 2


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_hosts(host: str) -> None:
    try:
        with Receiver(host=host) as receiver:
            connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"))
            connection.request("POST", "/", b"{}")
            assert connection.getresponse().status == 200
            connection.close()
    except UsageError as error:
        pytest.skip(f"no such address here: {error}")


def test_places_that_cannot_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} on 127.0.0.1 is taken"), Receiver(port=port):
            pass
    for host, number in (("no.such.host.invalid", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1)):
        with pytest.raises(UsageError, match="cannot listen on"), Receiver(host=host, port=number):
            pass


def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    with Receiver() as receiver:
        client = RawClient(receiver.url)
        client.send(POST)
        assert client.answer() is not None
        half = RawClient(receiver.url)
        half.send(POST[:30])
    with client, half:
        assert client.rest() == b""


@pytest.mark.parametrize("data", [b"", POST[:30], POST])
def test_senders_that_stand_still_are_cut_off(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("fauxvider.receiver.peer._IDLE_S", 1.0)
    with Receiver() as receiver, RawClient(receiver.url) as client:
        client.send(data)
        assert client.rest() == (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if data == POST else b"")


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", POST.replace(b"1.1", b"1.0")])
def test_senders_that_talk_on_after_the_end_are_cut_off(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("fauxvider.receiver.peer._LINGER_S", 0.02)
    with Receiver() as receiver, RawClient(receiver.url) as client:
        client.send(data)
        assert client.rest().startswith(b"HTTP/1.1 ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            talk_on(client)


def talk_on(client: RawClient) -> None:
    for _ in range(1_000_000):
        client.send(b"more")
