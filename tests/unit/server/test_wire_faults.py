from __future__ import annotations

from typing import Any

import pytest

from fauxvider.server.wire import EXTENSION, Wire
from support.raw import RawClient
from support.serving import GET, QUICK, Parser, answer, body_of, serving


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> Parser:
    choice: Parser = request.param
    return choice


def wire_app(act: Any, *, begun: bool = False) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        if begun:
            headers = [(b"content-length", b"10")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        wire = scope["extensions"][EXTENSION]
        assert isinstance(wire, Wire)
        act(wire)
        assert (await receive())["type"] == "http.disconnect"
        await answer(send, 500, b"never seen")

    return app


def test_reset(parser: Parser) -> None:
    for loop in ("asyncio", "uvloop"):
        with serving(wire_app(lambda wire: wire.reset()), parser, loop=loop) as url, RawClient(url) as client:
            client.send(GET)
            with pytest.raises(ConnectionResetError):
                client.rest()
            with RawClient(url) as client:
                client.send(GET)
                with pytest.raises(ConnectionResetError):
                    client.rest()


def test_reset_in_the_middle_of_an_answer(parser: Parser) -> None:
    for loop in ("asyncio", "uvloop"):
        app = wire_app(lambda wire: wire.reset(), begun=True)
        with serving(app, parser, loop=loop) as url, RawClient(url) as client:
            client.send(GET)
            with pytest.raises(ConnectionResetError):
                client.rest()
            assert client._held.endswith(b"\r\n\r\nhalf")


def test_close_in_the_middle_of_an_answer(parser: Parser) -> None:
    with serving(wire_app(lambda wire: wire.close(), begun=True), parser) as url, RawClient(url) as client:
        client.send(GET)
        assert client.rest().endswith(b"\r\n\r\nhalf")


def test_close_without_an_answer(parser: Parser) -> None:
    with serving(wire_app(lambda wire: wire.close()), parser) as url, RawClient(url) as client:
        client.send(GET)
        assert client.rest() == b""


def test_half_close_keeps_reading(parser: Parser) -> None:
    seen: list[bool] = []

    def act(wire: Wire) -> None:
        wire.half_close()
        seen.append(wire.is_closed)

    with serving(wire_app(act), parser) as url, RawClient(url) as client:
        client.send(GET)
        assert client.rest() == b""
        client.send(b"still taken")
    assert seen == [False]


def test_raw_bytes(parser: Parser) -> None:
    def act(wire: Wire) -> None:
        wire.write_raw(b"HTTP/9.9 banana\r\n")
        wire.write_raw(b"\r\n\x00")
        wire.close()

    with serving(wire_app(act), parser) as url, RawClient(url) as client:
        client.send(GET)
        assert client.rest() == b"HTTP/9.9 banana\r\n\r\n\x00"


def test_a_connection_taken_over_and_forgotten_is_closed(parser: Parser) -> None:
    with serving(wire_app(lambda wire: wire.write_raw(b"x")), parser, QUICK) as url, RawClient(url) as client:
        client.send(GET)
        assert client.rest() == b"x"
