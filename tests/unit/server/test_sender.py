from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import respx

from fauxvider.errors import BlockedAddressError
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender, SenderLimits, SendOutcome, dial_tcp
from support.audit import audit
from support.hostile import GOOD, HOSTILE, answering, read_request, receiver, silent_listener
from support.patience import PATIENCE_S

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
TLS = Path(__file__).parents[2] / "data" / "tls"
REPLY = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def runner(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(main)

    return runner


class Recorder:
    """A good receiver that keeps the raw bytes of every request."""

    def __init__(self, reply: bytes = REPLY % 200) -> None:
        self.received: list[bytes] = []
        self.reply = reply

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(await read_request(reader))
        writer.write(self.reply)


async def post(port: int, **options: Any) -> SendOutcome:
    sender = Sender(options.pop("policy", EgressPolicy()))
    options = {"headers": [], "body": b"{}", "timeout_s": PATIENCE_S, **options}
    return await sender.send("POST", options.pop("url", f"http://127.0.0.1:{port}/hook"), **options)


def exchange(run: Run[Any], reply: bytes, **options: Any) -> tuple[SendOutcome, list[bytes]]:
    async def main() -> tuple[SendOutcome, list[bytes]]:
        recorder = Recorder(reply)
        async with receiver(recorder) as port:
            return await post(port, **options), recorder.received

    return run(main())


def test_exact_bytes(run: Run[Any]) -> None:
    headers = [("X-b", "1"), ("content-type", "application/json"), ("x-B", "ü"), ("Empty", "")]
    outcome, received = exchange(run, REPLY % 200, headers=headers, body=b'{"a":1}')
    assert outcome == SendOutcome("http", 200, b"ok")
    request = received[0]
    host = request.split(b"\r\n")[1]
    assert host.startswith(b"Host: 127.0.0.1:")
    assert request == (
        b"POST /hook HTTP/1.1\r\n" + host + b"\r\nX-b: 1\r\ncontent-type: application/json\r\nx-B: \xc3\xbc\r\n"
        b"Empty: \r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
    )


def test_no_user_agent_of_its_own(run: Run[Any]) -> None:
    assert b"user-agent" not in exchange(run, REPLY % 200)[1][0].lower()
    assert b"\r\nUser-Agent: Acme\r\n" in exchange(run, REPLY % 200, headers=[("User-Agent", "Acme")])[1][0]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", SendOutcome("http", 204)),
        (b"HTTP/1.0 500 Oops\r\n\r\nfailed", SendOutcome("http", 500, b"failed")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", SendOutcome("http", 410)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", SendOutcome("http", 200, b"ok")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", SendOutcome("http", 200, b"ok", "broken body")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", SendOutcome("http", 200, b"", "broken body")),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", SendOutcome("network", None, b"", "not HTTP")),
        (b"HTTP/1.1 20", SendOutcome("network", None, b"", "closed without a whole answer")),
    ],
)
def test_answers(run: Run[Any], reply: bytes, outcome: SendOutcome) -> None:
    got, _ = exchange(run, reply)
    assert got.error.startswith(outcome.error)
    assert (got.kind, got.status, got.body) == (outcome.kind, outcome.status, outcome.body)


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_receivers(run: Run[Any], kind: str) -> None:
    """Five hostile deliveries with five good ones among them: each outcome as the table says, nothing held up."""
    handler, expected, status = HOSTILE[kind]
    limit_s = 0.25 if expected == "timeout" else PATIENCE_S

    async def main() -> tuple[list[SendOutcome], list[SendOutcome]]:
        async with AsyncExitStack() as stack:
            bad = await stack.enter_async_context(receiver(handler) if handler else silent_listener())
            good = await stack.enter_async_context(receiver(GOOD))
            scheme = "https" if kind == "tls_junk" else "http"
            body = b"x" * (3_000_000 if kind == "replies_before_reading" else 2)
            sender = Sender(EgressPolicy())
            made = await asyncio.gather(
                *(
                    sender.send("POST", url, [("x", "y")], body, timeout_s=timeout_s)
                    for _ in range(5)
                    for url, timeout_s in (
                        (f"{scheme}://127.0.0.1:{bad}/", limit_s),
                        (f"http://127.0.0.1:{good}/", PATIENCE_S),
                    )
                )
            )
            return made[::2], made[1::2]

    bad, good = run(main())
    assert good == [SendOutcome("http", 200, b"ok")] * 5
    assert [(outcome.kind, outcome.status) for outcome in bad] == [(expected, status)] * 5
    assert all(outcome.error or status for outcome in bad)
    assert all(outcome.error.isprintable() and len(outcome.error) <= 200 for outcome in bad)
    assert all(len(outcome.body) <= 65_536 for outcome in bad)
    if kind == "endless_body":
        assert bad[0].body == b"a" * 65_536
    if kind == "gzip_bomb":
        assert bad[0].body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("kind", sorted(kind for kind, (_, expected, _) in HOSTILE.items() if expected == "timeout"))
def test_who_never_ends_holds_up_nobody(run: Run[Any], kind: str) -> None:
    async def main() -> list[SendOutcome]:
        async with AsyncExitStack() as stack:
            handler = HOSTILE[kind][0]
            bad = await stack.enter_async_context(receiver(handler) if handler else silent_listener())
            good = await stack.enter_async_context(receiver(GOOD))
            sender = Sender(EgressPolicy())

            def started(port: int) -> asyncio.Task[SendOutcome]:
                return asyncio.create_task(sender.send("POST", f"http://127.0.0.1:{port}/", [], b"", timeout_s=3600))

            stuck, fine = [started(bad) for _ in range(5)], [started(good) for _ in range(5)]
            done = await asyncio.gather(*fine)
            assert not any(task.done() for task in stuck)
            for task in stuck:
                task.cancel()
            await asyncio.wait(stuck)
            return done

    assert run(main()) == [SendOutcome("http", 200, b"ok")] * 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(run: Run[Any], status: int) -> None:
    async def main() -> tuple[SendOutcome, list[bytes]]:
        canary = Recorder()
        async with receiver(canary) as there:
            reply = b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % (status, there)
            async with receiver(answering(reply)) as port:
                return await post(port), canary.received

    outcome, canary = run(main())
    assert outcome == SendOutcome("http", status)
    assert canary == []


def test_proxies_are_ignored(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[SendOutcome, list[bytes], int]:
        canary, recorder = Recorder(), Recorder()
        async with receiver(canary) as proxy, receiver(recorder) as port:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            return await post(port), canary.received, len(recorder.received)

    outcome, canary, direct = run(main())
    assert (outcome.status, canary, direct) == (200, [], 1)


def test_the_receiver_is_reached_while_client_libraries_are_patched(run: Run[Any]) -> None:
    with respx.mock(assert_all_called=False) as router:
        route = router.route().mock(return_value=httpx.Response(418))
        outcome, received = exchange(run, REPLY % 200)
        assert httpx.get("http://127.0.0.1:1/").status_code == 418
    assert outcome.status == 200
    assert len(received) == 1
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ([("X", "a\r\nInjected: b")], None),
        ([("X", "a\nb")], None),
        ([("X", "a\x00b")], None),
        ([("X", "\x1b[31m")], None),
        ([("X: a\r\nY", "b")], None),
        ([("X ", "b")], None),
        ([("", "b")], None),
        ([("X\u00fc", "b")], None),
        ([("X", "\ud800")], None),
        ([("Host", "elsewhere")], None),
        ([("content-length", "1")], None),
        ([("Transfer-Encoding", "chunked")], None),
        ([], "http://10.0.0.1/"),
        ([], "http://user:secret@127.0.0.1/"),
        ([], "http://127.0.0.1/\r\nX: y"),
        ([], "ftp://127.0.0.1/"),
    ],
)
def test_nothing_is_sent_when_blocked(run: Run[Any], headers: list[tuple[str, str]], url: str | None) -> None:
    with audit() as heard:
        outcome = run(post(9, headers=headers, **({"url": url} if url else {})))
    assert outcome.kind == "blocked"
    assert outcome.error.isprintable()
    assert "secret" not in outcome.error
    assert heard == []


def test_a_method_is_a_token(run: Run[Any]) -> None:
    outcome = run(
        Sender(EgressPolicy()).send("GET / HTTP/1.1\r\nX:", "http://127.0.0.1:9/", [], b"", timeout_s=PATIENCE_S)
    )
    assert outcome.kind == "blocked"


def test_rebinding_makes_no_connection(run: Run[Any]) -> None:
    asked: list[str] = []
    dialled: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) % 2 else ["127.0.0.1"]

    async def dial(address: Any, port: int) -> Any:
        dialled.append(str(address))
        raise ConnectionRefusedError

    async def main() -> list[str]:
        sender = Sender(EgressPolicy("public"), resolver=resolver, dial=dial)
        outcomes = [await sender.send("POST", "http://a.example/", [], b"", timeout_s=PATIENCE_S) for _ in range(1000)]
        return [outcome.kind for outcome in outcomes]

    with audit() as heard:
        assert run(main()) == ["network", "blocked"] * 500
    assert len(asked) == 1000
    assert set(dialled) == {"93.184.215.14"}
    assert heard == []


def test_the_peer_must_be_the_checked_address(run: Run[Any]) -> None:
    async def main() -> tuple[SendOutcome, list[bytes]]:
        recorder = Recorder()
        async with receiver(recorder) as port:
            sender = Sender(EgressPolicy(), dial=lambda address, _: dial_tcp(address, port))
            return await sender.send("POST", "http://127.0.0.1:9/", [], b"", timeout_s=PATIENCE_S), recorder.received

    outcome, received = run(main())
    assert outcome.kind == "blocked"
    assert received == []


def test_the_next_address_is_tried(run: Run[Any]) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def main() -> SendOutcome:
        async with receiver(GOOD) as port:
            sender = Sender(EgressPolicy(), resolver=resolver)
            return await sender.send("POST", f"http://localhost:{port}/", [], b"", timeout_s=PATIENCE_S)

    assert run(main()).status == 200


def failing(error: BaseException) -> Callable[..., Awaitable[Any]]:
    async def fail(*_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("options", "kind", "error"),
    [
        ({"dial": failing(ConnectionRefusedError())}, "network", "connection refused"),
        ({"dial": failing(ConnectionResetError())}, "network", "connection reset"),
        ({"dial": failing(OSError(113, "No route to host"))}, "network", "No route to host"),
        ({"dial": failing(BlockedAddressError("no"))}, "blocked", "no"),
        ({"dial": lambda *_: asyncio.Event().wait(), "limits": SenderLimits(connect_s=0.05)}, "timeout", "no conn"),
        ({"resolver": failing(OSError("no address for localhost"))}, "network", "no address for localhost"),
        ({"resolver": lambda *_: asyncio.Event().wait()}, "timeout", "no answer within 0.1 s"),
    ],
)
def test_failures_to_connect(run: Run[Any], options: dict[str, Any], kind: str, error: str) -> None:
    async def main() -> SendOutcome:
        limit_s = 0.1 if "within" in error else PATIENCE_S
        return await Sender(EgressPolicy(), **options).send("POST", "http://localhost:9/", [], b"", timeout_s=limit_s)

    outcome = run(main())
    assert (outcome.kind, outcome.status) == (kind, None)
    assert outcome.error.startswith(error)


def test_connections_at_once(run: Run[Any]) -> None:
    """Four per destination; a destination that is full does not hold up another one."""
    most: dict[str, int] = {"one": 0, "two": 0}

    async def main() -> list[str]:
        gate, now = asyncio.Event(), {"one": 0, "two": 0}
        order: list[str] = []

        def counted(name: str) -> Any:
            async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                now[name] += 1
                most[name] = max(most[name], now[name])
                await read_request(reader)
                if name == "one":
                    await gate.wait()
                now[name] -= 1
                writer.write(REPLY % 200)

            return handler

        async with receiver(counted("one")) as one, receiver(counted("two")) as two:
            sender = Sender(EgressPolicy())

            async def send(name: str, port: int) -> None:
                outcome = await sender.send("POST", f"http://127.0.0.1:{port}/", [], b"", timeout_s=PATIENCE_S)
                assert outcome.status == 200
                order.append(name)

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(send("one", one))
                twos = [group.create_task(send("two", two)) for _ in range(20)]
                await asyncio.wait(twos)
                gate.set()
            assert not sender._lanes
        return order

    assert run(main())[:20] == ["two"] * 20
    assert most["one"] == 4
    assert most["two"] <= 4


def test_the_limit_of_all_connections(run: Run[Any]) -> None:
    async def main() -> int:
        most = now = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await read_request(reader)
            now -= 1
            writer.write(REPLY % 200)

        async with receiver(handler) as one, receiver(handler) as two:
            sender = Sender(EgressPolicy(), limits=SenderLimits(total=3))
            urls = [f"http://127.0.0.1:{port}/" for port in (one, two)] * 10
            await asyncio.gather(*(sender.send("POST", url, [], b"", timeout_s=PATIENCE_S) for url in urls))
        return most

    assert run(main()) <= 3


def test_the_writing_can_be_overridden(run: Run[Any]) -> None:
    class Halving(Sender):
        async def write(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
            transport.write(head + body[: len(body) // 2])
            transport.write_eof()

    async def main() -> tuple[SendOutcome, bytes]:
        got = bytearray()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.extend(await reader.read())
            writer.write(REPLY % 400)

        async with receiver(handler) as port:
            outcome = await Halving(EgressPolicy()).send(
                "POST", f"http://127.0.0.1:{port}/", [], b"abcd", timeout_s=PATIENCE_S
            )
            return outcome, bytes(got)

    outcome, got = run(main())
    assert outcome.status == 400
    assert got.endswith(b"Content-Length: 4\r\n\r\nab")


def test_a_cancelled_attempt_leaves_nothing_behind(run: Run[Any]) -> None:
    async def main() -> None:
        started = asyncio.Event()

        class Telling(Sender):
            async def write(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
                await super().write(transport, head, body)
                started.set()

        async with silent_listener() as port:
            sender = Telling(EgressPolicy())
            task = asyncio.create_task(sender.send("POST", f"http://127.0.0.1:{port}/", [], b"", timeout_s=PATIENCE_S))
            await started.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert not sender._lanes

    run(main())
