"""What is remembered of a head says what the parser said when it read it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any, cast

from fauxvider.server import wire_httptools
from fauxvider.server.wire import protocol_class
from fauxvider.server.wire_httptools import GuardedHttpTools
from support.raw import RawClient
from support.raw_requests import raw_requests
from support.serving import HEAD, LAST, READING, body_of, conversation, echo, serving


def read(client: RawClient, data: bytes) -> Any:
    client.send(data)
    got = client.answer()
    assert got is not None
    return json.loads(got.body)


def test_the_second_reading_is_the_first() -> None:
    cases = list(raw_requests())
    with serving(echo, "httptools", READING) as url, ThreadPoolExecutor(64) as pool:
        firsts = list(pool.map(conversation, repeat(url), cases))
        seconds = list(pool.map(conversation, repeat(url), cases))
    for data, first, second in zip(cases, firsts, seconds, strict=True):
        assert first == second, data[:200]


def test_bodies_are_read_anew() -> None:
    with serving(echo, "httptools") as url, RawClient(url) as client:
        head = HEAD + b"Content-Length: 3\r\n\r\n"
        assert [read(client, head + body)["body"] for body in (b"abc", b"def", b"ghi")] == ["abc", "def", "ghi"]
        client.send(head)  # known, but without its body
        assert read(client, b"jkl")["body"] == "jkl"
        assert read(client, head + b"mno")["body"] == "mno"


def test_what_an_application_does_to_a_request_is_forgotten() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], [*scope["headers"]], await body_of(receive)))
        scope["path"] = "/elsewhere"
        scope["headers"].append((b"a", b"b"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with serving(app, "httptools") as url, RawClient(url) as client:
        for _ in range(3):
            client.send(HEAD + b"Content-Length: 1\r\n\r\nx")
            assert client.answer() is not None
    assert seen[0] == seen[1] == seen[2]


def test_several_at_once_on_one_connection() -> None:
    requests = [HEAD.replace(b"/ ", b"/%d " % number) + b"Content-Length: 1\r\n\r\n%d" % number for number in range(5)]
    with serving(echo, "httptools") as url:
        for _ in range(2):
            got = conversation(url, b"".join(requests) + LAST)
            views = [json.loads(body) for _, body in got[:-1]]
            assert [(view["path"], view["body"]) for view in views] == [(f"/{n}", f"{n}") for n in range(5)]
            with RawClient(url) as client:  # each by itself is known from here on
                assert [read(client, one)["path"] for one in requests] == [f"/{n}" for n in range(5)]


def test_they_are_bounded_and_each_servers_own(monkeypatch: Any) -> None:
    monkeypatch.setattr(wire_httptools, "_MAX_HEADS", 4)
    one, other = (cast("type[GuardedHttpTools]", protocol_class("httptools")) for _ in range(2))
    assert one.heads is not other.heads
    with serving(echo, "httptools") as url, RawClient(url) as client:
        for number in range(20):
            assert read(client, HEAD.replace(b"/ ", b"/%d " % (number % 7)) + b"\r\n")["path"] == f"/{number % 7}"
