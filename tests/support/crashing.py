"""A server that kills itself, as `kill -9` would, at a chosen place of a chosen occasion.

    python -m support.crashing MARK NUMBER serve --store sqlite:///x.db ...

MARKS names the places; NUMBER is the occasion, from 1. Beside the arguments it is the command line's own server.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from fauxvider.cli import main as command
from fauxvider.server import app
from fauxvider.server.sender import Sender
from fauxvider.service import deliveries
from fauxvider.service.world import World
from fauxvider.stores.kept import KeptStore
from fauxvider.stores.sqlite import SqliteFile

__all__ = ["MARKS"]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Fuse:
    """Burns down once for each occasion."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            _die()


Hook = Callable[[], None]


def _wrap(owner: Any, name: str, *, before: Hook | None = None, after: Hook | None = None) -> None:
    inner = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        result = await inner(*args, **kwargs)
        if after is not None:
            after()
        return result

    setattr(owner, name, wrapped)


def _before_insert(fuse: _Fuse) -> None:
    _wrap(KeptStore, "add_job", before=fuse)


def _before_commit(fuse: _Fuse) -> None:
    inner = SqliteFile.commit

    def commit(self: SqliteFile, turns: Any) -> None:
        if any("INTO jobs" in sql for writes in turns for sql, _ in writes):
            fuse()
        inner(self, turns)

    SqliteFile.commit = commit  # type: ignore[method-assign]


def _after_commit(fuse: _Fuse) -> None:
    _wrap(World, "keep", after=fuse)


def _after_reply(fuse: _Fuse) -> None:
    reply = app._send

    async def send(scope: Any, sender: Any, answer: Any) -> None:
        await reply(scope, sender, answer)
        if answer.job:
            asyncio.get_running_loop().call_later(0.001, fuse)

    app._send = send


def _before_sending(fuse: _Fuse) -> None:
    _wrap(deliveries, "attempt", before=fuse)


def _after_sending(fuse: _Fuse) -> None:
    _wrap(Sender, "send", before=fuse)


def _after_response(fuse: _Fuse) -> None:
    _wrap(Sender, "send", after=fuse)


def _mid_body(fuse: _Fuse) -> None:
    inner = Sender.write

    async def write(self: Sender, transport: Any, head: bytes, body: bytes) -> None:
        await inner(self, transport, head, body[: len(body) // 2])
        await asyncio.sleep(0.01)  # the half goes out
        fuse()
        transport.write(body[len(body) // 2 :])

    Sender.write = write  # type: ignore[method-assign]


def _after_result(fuse: _Fuse) -> None:
    inner = deliveries._post

    async def post(*args: Any, **kwargs: Any) -> Any:
        made = await inner(*args, **kwargs)
        asyncio.get_running_loop().call_later(0.02, fuse)
        return made

    deliveries._post = post


MARKS: dict[str, Callable[[_Fuse], None]] = {
    "before the job is written": _before_insert,
    "before the commit": _before_commit,
    "after the commit": _after_commit,
    "after the reply": _after_reply,
    "before the attempt is written": _before_sending,
    "before the first byte": _after_sending,
    "in the middle of the body": _mid_body,
    "after the receiver's answer": _after_response,
    "after the result is written": _after_result,
}


def main() -> None:
    mark, number = sys.argv[1], int(sys.argv[2])
    if mark != "never":
        MARKS[mark](_Fuse(number))
    sys.argv = ["fauxvider", *sys.argv[3:]]
    command()


if __name__ == "__main__":
    main()
