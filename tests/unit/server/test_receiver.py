from __future__ import annotations

import asyncio
import threading

import pytest

from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender, SendOutcome
from support.patience import PATIENCE_S
from support.raw import RawClient
from support.receiver import Receiver


def deliver(url: str, count: int, hangs_at: int | None = None) -> list[SendOutcome]:
    """Send so many, one after the other, with patience for all but one."""

    async def main() -> list[SendOutcome]:
        sender = Sender(EgressPolicy())
        return [
            await sender.send("POST", url, [("X-N", str(n))], b"{}", timeout_s=1 if n == hangs_at else PATIENCE_S)
            for n in range(count)
        ]

    return asyncio.run(main())


def test_answers_by_list() -> None:
    with Receiver([503, "reset", "close", "hang", 200]) as receiver:
        got = deliver(receiver.url, 6, hangs_at=3)
        hits = receiver.wait(6)
    assert [(one.kind, one.status) for one in got] == [
        ("http", 503), ("network", None), ("network", None), ("timeout", None), ("http", 200), ("http", 200),
    ]  # fmt: skip
    assert [hit.header("x-n") for hit in hits] == ["0", "1", "2", "3", "4", "5"]
    assert (hits[0].method, hits[0].path, hits[0].body) == ("POST", "/hook", b"{}")
    assert hits[0].raw.startswith(b"POST /hook HTTP/1.1\r\nHost: ")
    assert hits[0].raw.endswith(b"\r\n\r\n{}")
    assert not [thread for thread in threading.enumerate() if thread.name == "receiver"]


def test_a_half_request_is_no_hit() -> None:
    with Receiver() as receiver:
        with RawClient(receiver.url.removesuffix("/hook")) as client:
            client.send(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc")
        assert deliver(receiver.url, 1)[0].status == 200
        with pytest.raises(AssertionError, match="1 requests came"):
            receiver.wait(2, timeout_s=0.01)
