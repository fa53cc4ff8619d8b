"""Applications and a server around them, for tests of the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from fauxvider.server.runner import RunSettings, running
from fauxvider.server.wire import WireSettings
from support.patience import PATIENCE_S
from support.raw import RawClient

__all__ = [
    "GET", "HEAD", "LAST", "PATIENT", "QUICK", "READING", "Parser", "answer", "body_of", "conversation", "echo", "serving",
]  # fmt: skip

Parser = Literal["httptools", "h11"]
# The deadlines of tests that are about something else, and of those about deadlines: what is on its way, with the whole
# machine busy, has come by the second ones too.
PATIENT = WireSettings(head_s=PATIENCE_S, body_s=PATIENCE_S, idle_s=PATIENCE_S, linger_s=PATIENCE_S)
QUICK = WireSettings(head_s=2, body_s=2, idle_s=2, linger_s=1)
# Those of hundreds of conversations that a server ends: most by the last, after an answer to all that was sent at once.
READING = WireSettings(head_s=5, body_s=5, idle_s=1, linger_s=1)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = GET.replace(b"Host", b"Connection: close\r\nHost")
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def serving(app: Any, parser: Parser, wire: WireSettings = PATIENT, **options: Any) -> Iterator[str]:
    settings = RunSettings(parser=parser, wire=wire, date_header=False, **options)
    with running(app, settings=settings) as urls:
        yield urls.provider


async def body_of(receive: Any) -> bytes | None:
    """Read the whole body; None when the client has gone."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message["body"])
        more = message["more_body"]
    return b"".join(parts)


async def answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with everything that an application can see of a request."""
    body = await body_of(receive)
    view = {key: scope[key] for key in ("method", "path", "http_version", "scheme", "root_path")}
    view |= {key: scope[key].decode("latin-1") for key in ("raw_path", "query_string")}
    view["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    view["body"] = None if body is None else body.decode("latin-1")
    await answer(send, 200, json.dumps(view).encode())


def conversation(url: str, data: bytes) -> list[tuple[int, bytes]]:
    """Send it all and read every answer until the server closes."""
    got = []
    with RawClient(url) as client:
        try:
            client.send(data)
            while (one := client.answer(head=data.startswith(b"HEAD"))) is not None:
                got.append((one.status, one.body))
        except ConnectionResetError:
            got.append((0, b"reset"))
    return got
