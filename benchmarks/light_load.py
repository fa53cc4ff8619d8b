"""A load generator that costs little: requests go out in batches, and of answers only the status lines are counted.

Run as a program it reads one JSON task (a line) from standard input and writes one JSON result. With `warm` it
first sends so many requests, says so, and goes on, on the same connections, when it gets a further line. Beside the
servers on the same cores a closed loop that reads each answer (`load.py`) would take half of what it measures.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

_LINE, _GOOD = b"HTTP/1.1 ", b"HTTP/1.1 2"


@dataclass
class Task:
    port: int
    requests: list[list[str]]  # for each connection, those that it sends in turn
    seconds: float = 1.0
    count: int = 0  # stop after so many answers instead
    depth: int = 8  # written at once on a connection
    warm: int = 0


@dataclass
class Wire:
    """One connection."""

    sock: socket.socket
    batches: list[bytes]
    left: int = 0  # answers that are still to come
    turn: int = 0
    tail: bytes = b""
    done: int = 0
    bad: int = 0
    waits: list[float] = field(default_factory=list)
    sent_at: float = 0.0

    def send(self, depth: int) -> None:
        self.sock.sendall(self.batches[self.turn % len(self.batches)])
        self.turn += 1
        self.left = depth
        self.sent_at = time.perf_counter()

    def take(self) -> bool:
        """Read what is there; say whether the batch is answered."""
        data = self.sock.recv(1 << 18)
        if not data:
            raise SystemExit("the server closed a connection")
        text = self.tail + data
        found = text.count(_LINE)
        if found:
            self.left -= found
            self.done += found
            self.bad += found - text.count(_GOOD)
            text = text[text.rindex(_LINE) + len(_GOOD) :]
        # A status line that is cut is counted when its rest has come.
        self.tail = text[-len(_GOOD) + 1 :]
        if self.left <= 0:
            self.waits.append(time.perf_counter() - self.sent_at)
            return True
        return False


def _batches(requests: list[str], depth: int) -> list[bytes]:
    turns = [request.encode("latin-1") for request in requests]
    whole = turns * depth  # so that each batch begins where the last one ended
    return [b"".join(whole[start : start + depth]) for start in range(0, len(whole), depth)]


def _rounds(selector: selectors.BaseSelector, wires: list[Wire], task: Task, *, count: int) -> float:
    """Keep each connection busy until the end; give the seconds that it took."""
    began, sent, is_open = time.perf_counter(), 0, len(wires)
    for wire in wires:
        selector.register(wire.sock, selectors.EVENT_READ, wire)
        wire.send(task.depth)
        sent += task.depth
    while is_open:
        for key, _ in selector.select():
            wire = key.data
            if not wire.take():
                continue
            if sent < count if count else time.perf_counter() - began < task.seconds:
                wire.send(task.depth)
                sent += task.depth
            else:
                selector.unregister(wire.sock)
                is_open -= 1
    return time.perf_counter() - began


def drive(task: Task) -> dict[str, float]:
    selector, wires = selectors.DefaultSelector(), []
    for requests in task.requests:
        sock = socket.create_connection(("127.0.0.1", task.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, _batches(requests, task.depth))
        wires.append(wire)
    if task.warm:
        _rounds(selector, wires, task, count=task.warm)
        print("warm", flush=True)
        sys.stdin.readline()
    spent = time.process_time()
    for wire in wires:
        wire.done = wire.bad = 0
        wire.waits.clear()
    took = _rounds(selector, wires, task, count=task.count)
    waits = sorted(wait for wire in wires for wait in wire.waits)
    done = sum(wire.done for wire in wires)
    return {
        "rate": done / took,
        "done": done,
        "bad": sum(wire.bad for wire in wires),
        "took_s": took,
        "cpu_us": (time.process_time() - spent) / max(1, done) * 1e6,
        "batch_p50_ms": waits[len(waits) // 2] * 1000,
        "batch_p99_ms": waits[int(len(waits) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(drive(Task(**json.loads(sys.stdin.readline())))))
