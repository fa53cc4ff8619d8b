"""A small closed-loop load generator: N keep-alive connections, one request each at a time.

Run as a program it reads one JSON task from standard input and writes one JSON result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Task:
    port: int
    requests: list[bytes]  # sent in turn
    seconds: float = 1.0
    count: int = 0  # stop after this many instead
    connections: int = 16


@dataclass
class State:
    task: Task
    until: float
    done: int = 0
    bad: int = 0
    sent: int = 0
    waits: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    def __init__(self, state: State, over: asyncio.Future[None]) -> None:
        self.state, self.over = state, over
        self.need = -1
        self.head = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        state = self.state
        is_over = state.sent >= state.task.count if state.task.count else time.perf_counter() >= state.until
        if is_over:
            self.transport.close()
            return
        self.at = time.perf_counter()
        requests = state.task.requests
        self.transport.write(requests[state.sent % len(requests)])
        state.sent += 1

    def data_received(self, data: bytes) -> None:
        if self.need < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.head[:end].lower()
            at = head.index(b"content-length:") + 15
            stop = head.find(b"\r", at)
            length = int(head[at : stop if stop > 0 else len(head)])
            self.need = length - (len(self.head) - end - 4)
            if not self.head.startswith(b"HTTP/1.1 20"):
                self.state.bad += 1
            self.head = b""
        else:
            self.need -= len(data)
        if self.need <= 0:
            self.need = -1
            self.state.done += 1
            self.state.waits.append(time.perf_counter() - self.at)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def drive(task: Task) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    state = State(task, began + task.seconds)
    overs = []
    for _ in range(task.connections):
        over: asyncio.Future[None] = loop.create_future()
        overs.append(over)
        await loop.create_connection(lambda over=over: Connection(state, over), "127.0.0.1", task.port)
    await asyncio.gather(*overs)
    took = time.perf_counter() - began
    waits = sorted(state.waits)
    return {
        "rate": state.done / took,
        "done": state.done,
        "bad": state.bad,
        "p50_ms": waits[len(waits) // 2] * 1000 if waits else 0,
        "p99_ms": waits[int(len(waits) * 0.99)] * 1000 if waits else 0,
    }


def main() -> None:
    given = json.loads(sys.stdin.read())
    given["requests"] = [request.encode("latin-1") for request in given["requests"]]
    task = Task(**given)
    try:
        import uvloop
    except ImportError:
        result = asyncio.run(drive(task))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(drive(task))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
