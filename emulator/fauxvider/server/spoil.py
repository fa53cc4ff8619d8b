"""Sending an answer that a scenario has spoiled: on the wire, under any HTTP parser.

Without a wire of ours below (an application called in process) a cut connection is a `WireCutError`, as
it is an error for the client of a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from fauxvider.server.wire import Wire
from fauxvider.service.wire import Reply, WireFault

__all__ = ["IN_PROCESS", "WireCutError", "send_spoiled"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# In an ASGI scope: the caller is in this process and knows `WireCutError`, so that nothing waits for real.
IN_PROCESS = "fauxvider.in_process"

_GARBAGE = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 this is not HTTP \x00\xff\r\n\r\n"
_PIECES = 8
_TOO_LONG = 100  # bytes that are announced and never come


class WireCutError(ConnectionResetError):
    """The connection that a scenario cut, where there is none: what came before that, and how it ended."""

    def __init__(self, kind: str, status: int = 0, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b""):
        super().__init__(f"the scenario cut the connection ({kind})")
        self.kind = kind
        self.status = status
        self.headers = headers or []
        self.body = body


async def send_spoiled(scope: Message, receive: Receive, send: Send, reply: Reply, fault: WireFault) -> None:
    """Send `reply` with its fault."""
    if fault.kind in _IN_HTTP:
        await _send(send, _IN_HTTP[fault.kind](reply))
        return
    if IN_PROCESS in scope:
        raise _cut(reply, fault)
    if fault.kind == "drip":
        await _drip(send, reply, fault.span / 1000)
        return
    if fault.kind == "hang":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    wire = scope.get("extensions", {}).get("fauxvider.wire")
    if wire is None:
        raise _cut(reply, fault)
    _ON_THE_WIRE[fault.kind](wire, reply, fault)


def _cut(reply: Reply, fault: WireFault) -> WireCutError:
    length = _length(reply) + (_TOO_LONG if fault.kind == "length" else 0)
    headers = [*reply.headers, (b"content-length", b"%d" % length)]
    if fault.kind == "truncate":
        return WireCutError("truncate", reply.status, headers, reply.body[: int(len(reply.body) * fault.share)])
    if fault.kind in ("drip", "length"):
        return WireCutError(fault.kind, reply.status, headers, reply.body)
    if fault.kind == "half_close":
        return WireCutError("half_close", reply.status, headers)
    return WireCutError(fault.kind)


def _length(reply: Reply) -> int:
    return len(reply.body) if reply.length is None else reply.length


async def _send(send: Send, reply: Reply) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % _length(reply))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _drip(send: Send, reply: Reply, seconds: float) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % _length(reply))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    size = max(1, -(-len(reply.body) // _PIECES))
    for at in range(0, len(reply.body), size):
        await asyncio.sleep(seconds / _PIECES)
        await send({"type": "http.response.body", "body": reply.body[at : at + size], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _cut_json(reply: Reply) -> Reply:
    return Reply(reply.status, reply.headers, reply.body[: max(1, len(reply.body) // 2)])


def _bad_encoding(reply: Reply) -> Reply:
    middle = len(reply.body) // 2
    return Reply(reply.status, reply.headers, reply.body[:middle] + b"\xff\xfe\x80" + reply.body[middle:])


_IN_HTTP: dict[str, Callable[[Reply], Reply]] = {"json": _cut_json, "encoding": _bad_encoding}


def _head(reply: Reply, *, length: int) -> bytes:
    phrase = HTTPStatus(reply.status).phrase if reply.status in HTTPStatus._value2member_map_ else ""
    lines = [f"HTTP/1.1 {reply.status} {phrase}".encode()]
    lines += [name + b": " + value for name, value in reply.headers]
    lines.append(b"content-length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _reset(wire: Wire, _reply: Reply, _fault: WireFault) -> None:
    wire.reset()


def _close(wire: Wire, _reply: Reply, _fault: WireFault) -> None:
    wire.close()


def _truncate(wire: Wire, reply: Reply, fault: WireFault) -> None:
    wire.write_raw(_head(reply, length=_length(reply)) + reply.body[: int(len(reply.body) * fault.share)])
    wire.reset()


def _wrong_length(wire: Wire, reply: Reply, _fault: WireFault) -> None:
    wire.write_raw(_head(reply, length=_length(reply) + _TOO_LONG) + reply.body)
    wire.close()


def _garbage(wire: Wire, _reply: Reply, _fault: WireFault) -> None:
    wire.write_raw(_GARBAGE)
    wire.close()


def _half_close(wire: Wire, reply: Reply, _fault: WireFault) -> None:
    wire.write_raw(_head(reply, length=_length(reply)))
    wire.half_close()


_ON_THE_WIRE: dict[str, Callable[[Wire, Reply, WireFault], None]] = {
    "reset": _reset,
    "close": _close,
    "truncate": _truncate,
    "length": _wrong_length,
    "garbage": _garbage,
    "half_close": _half_close,
}
