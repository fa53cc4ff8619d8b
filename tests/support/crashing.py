"""A server that kills or stops itself, as `kill -9` would, at a chosen place of a chosen occasion.

    FAUXVIDER_ORDERS=FILE python -m support.crashing serve --store sqlite:///x.db ...

MARKS names the places. FILE holds the order that is in force (`support.crashes.Orders` writes it): its number, a
mark, an occasion from 1 on, and who is the victim. With `--workers` each of them reads it, and the first that comes
to the occasion carries it out, once. Claims of worlds and commits of a shared store are written down in FILE.log,
for the checker. Beside this it is the command line's own server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fauxvider.cli import main as command
from fauxvider.server import app
from fauxvider.server.sender import Sender
from fauxvider.service import deliveries
from fauxvider.service.world import World
from fauxvider.stores.kept import KeptStore
from fauxvider.stores.redis import RedisFile
from fauxvider.stores.sqlite import SqliteFile

__all__ = ["MARKS", "ORDERS"]

ORDERS = "FAUXVIDER_ORDERS"
Hook = Callable[[], None]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class _Orders:
    """What is to happen in this process, as the file says."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._number, self._count = 0, 0

    def come_to(self, mark: str) -> None:
        """Do what is ordered for this place, if it is, and this is the occasion."""
        with contextlib.suppress(OSError, ValueError):
            order = json.loads(Path(self._path).read_bytes() or b"{}")
            if order.get("mark") != mark:
                return
            if order["number"] != self._number:
                self._number, self._count = order["number"], 0
            self._count += 1
            if self._count >= order["occasion"] and self._is_first():
                _carry_out(order["victim"])

    def _is_first(self) -> bool:
        try:
            with Path(f"{self._path}.{self._number}").open("x", encoding="ascii") as token:
                token.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True


def _carry_out(victim: str) -> None:
    me, parent = os.getpid(), os.getppid()
    if victim == "stopped":
        os.kill(me, signal.SIGSTOP)
        return
    doomed = {"parent": [parent], "all": [parent, *(one for one in _children(parent) if one != me), me]}
    for pid in doomed.get(victim, [me]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def _before_insert(hook: Hook) -> None:
    _wrap(KeptStore, "add_job", before=hook)


def _before_commit(hook: Hook) -> None:
    _hook_commit(SqliteFile, lambda write: "INTO jobs" in write[1], hook)
    _hook_commit(RedisFile, lambda write: any("/job/" in part for part in write[1] if isinstance(part, str)), hook)


def _hook_commit(kind: Any, has_job: Callable[[Any], bool], hook: Hook) -> None:
    inner = kind.commit

    def commit(self: Any, turns: list[Iterable[Any]]) -> None:
        if any(has_job(write) for writes in turns for write in writes):
            hook()
        inner(self, turns)

    kind.commit = commit


def _after_commit(hook: Hook) -> None:
    _wrap(World, "keep", after=hook)


def _after_reply(hook: Hook) -> None:
    reply = app._send

    async def send(scope: Any, sender: Any, answer: Any) -> None:
        await reply(scope, sender, answer)
        if answer.job:
            asyncio.get_running_loop().call_later(0.001, hook)

    app._send = send


def _before_sending(hook: Hook) -> None:
    _wrap(deliveries, "attempt", before=hook)


def _after_sending(hook: Hook) -> None:
    _wrap(Sender, "send", before=hook)


def _after_response(hook: Hook) -> None:
    _wrap(Sender, "send", after=hook)


def _mid_body(hook: Hook) -> None:
    inner = Sender.write

    async def write(self: Sender, transport: Any, head: bytes, body: bytes) -> None:
        await inner(self, transport, head, body[: len(body) // 2])
        await asyncio.sleep(0.01)  # the half goes out
        hook()
        transport.write(body[len(body) // 2 :])

    Sender.write = write  # type: ignore[method-assign]


def _after_result(hook: Hook) -> None:
    inner = deliveries._post

    async def post(*args: Any, **kwargs: Any) -> Any:
        made = await inner(*args, **kwargs)
        asyncio.get_running_loop().call_later(0.02, hook)
        return made

    deliveries._post = post


MARKS: dict[str, Callable[[Hook], None]] = {
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


def _log_writes(path: str) -> None:
    """Have it written down which commits the store took, under which claim, and when."""
    log, inner = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), RedisFile.commit

    def commit(self: RedisFile, turns: list[list[Any]]) -> None:
        before, began = {place: place.commits for writes in turns for place, _ in writes}, time.monotonic_ns()
        inner(self, turns)
        taken = {place.name: place.fence for place, commits in before.items() if place.commits > commits}
        line = {"node": self.node, "fences": taken, "began": began, "ended": time.monotonic_ns()}
        os.write(log, json.dumps(line).encode() + b"\n")

    RedisFile.commit = commit  # type: ignore[method-assign]


def _prepare() -> None:
    path = os.environ[ORDERS]
    orders = _Orders(path)
    for mark, put in MARKS.items():
        put(lambda mark=mark: orders.come_to(mark))  # type: ignore[misc]
    _log_writes(f"{path}.log")


if __name__ in ("__main__", "__mp_main__"):  # the server, or one of its workers
    _prepare()

if __name__ == "__main__":
    sys.argv[0] = "fauxvider"
    command()
