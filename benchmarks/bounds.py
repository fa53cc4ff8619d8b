"""Bounds that are in seconds, of single things: loading, reading, starting, stopping, days that pass.

    python benchmarks/bounds.py [--rounds 9] [--json FILE] [--gate]

Tests assert none of these, since a busy machine would fail them. The least disturbed of the rounds counts, or the
median where each round is a thing of its own. The rows are for the table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

import fauxvider_contracts
from fauxvider.clock import ManualClock
from fauxvider.contract.expressions import compile_formula
from fauxvider.contract.parse import open_contract
from fauxvider.gate import MultipartRefusedError, parse_json, parse_multipart
from fauxvider.local import LocalServer
from fauxvider.server.runner import ServerThread
from fauxvider.service.recorder import Recorder
from fauxvider.service.wire import Request

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n"
MODEL = "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"


@dataclass(frozen=True)
class Row:
    """A figure, the most that it may be, and what it is counted in."""

    name: str
    value: float
    goal: float
    unit: str

    @property
    def is_kept(self) -> bool:
        return self.value <= self.goal

    def text(self) -> str:
        missed = "" if self.is_kept else ": **missed**"
        return f"| {self.name} | at most {self.goal:g} {self.unit} | {self.value:.2g} {self.unit}{missed} |"


def best(rounds: int, work: Callable[[], object], times: int = 1) -> float:
    """Give how long the quickest of some rounds took, each of so many times, in ms a time."""
    spans = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        spans.append((time.perf_counter() - began) / times * 1000)
    return min(spans)


# --- reading


def contracts(rounds: int) -> list[Row]:
    def load(name: str) -> Callable[[], object]:
        return lambda: open_contract(name).resolve()

    slowest = max(best(min(rounds, 3), load(name)) for name in fauxvider_contracts.provider_names())
    names = {name: Decimal(29) for name in ("width", "height", "count", "steps", "seconds")}
    formula = compile_formula("+".join(["steps/7"] * 50), tuple(names))
    return [
        Row("the largest bundled contract is read, checked and compiled", slowest, 1000, "ms"),
        Row("the costliest formula that is allowed", best(rounds, lambda: formula(names), 20), 1, "ms"),
    ]


def bodies(rounds: int) -> list[Row]:
    picture = b'{"im\\u0061ge":"%s"}' % base64.b64encode(bytes(range(256)) * 60_000)
    ratio = best(rounds, lambda: parse_json(picture)) / best(rounds, lambda: orjson.loads(picture))
    form = b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"\r\n--frontie" * 1_000_000
    bare = b"\r\n" + b"-\r\n" * 3_000_000

    def read() -> None:
        for body in (form, bare):
            try:
                parse_multipart("multipart/form-data; boundary=frontier", body, max_parts=16, max_part=20_000_000)
            except MultipartRefusedError:
                continue

    return [
        Row("20 MB of base64 in escaped JSON, of reading it with orjson alone", ratio, 10, "x"),
        Row("two hostile forms of 10 MB", best(rounds, read), 200, "ms"),
    ]


# --- days and records


def seven_days(rounds: int) -> list[Row]:
    """Ten jobs whose receiver never takes a callback, the whole ladder of each, and a week."""
    spans = []
    for _ in range(rounds):
        with LocalServer(providers=["runflow"], deliver=lambda _: 503) as server, server.world(clock="manual") as world:
            for _ in range(10):
                body = json.dumps({"input": {"prompt": "a fox"}, "callback_url": "http://hook.test/"}).encode()
                head = {"Authorization": "Bearer k", "Content-Type": "application/json"}
                url = world.base_url("runflow") + MODEL
                answer = server.request("POST", url, headers=head, body=body, world=world.name)
                assert answer.status == 201, answer.body
            began = time.perf_counter()
            happened = world.advance("7d")
            spans.append((time.perf_counter() - began) * 1000)
            tried = sum(one["kind"] == "attempt" for one in happened)
            assert tried > 10, "some of them are repeats"
    kept, asked = Recorder(ManualClock()), Request("GET", "/v2/me", b"", [(b"host", b"x")] * 8, b"{}" * 50)
    record = best(rounds, lambda: kept.turn(kept.request("acme", asked)), 200) * 1000
    return [
        Row(f"seven virtual days, ten jobs and {tried} attempts at their callbacks included", min(spans), 50, "ms"),
        Row("what recording adds to a request", record, 5, "us"),
    ]


# --- servers


async def app(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"300")]})
    await send({"type": "http.response.body", "body": b"x" * 300})


def asked(client: socket.socket, *pieces: bytes) -> None:
    for piece in pieces:
        client.sendall(piece)
    got = b""
    while not got.endswith(b"x" * 300):
        got += client.recv(65_536)


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def servers(rounds: int) -> list[Row]:
    starts, stops, answers = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        server = ServerThread(app, app)
        server.start()
        starts.append((time.perf_counter() - began) * 1000)
        with connected(server.urls.provider) as client:
            for _ in range(20):
                began = time.perf_counter()
                asked(client, POST, b"x" * 400)
                answers.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            server.stop()
            stops.append((time.perf_counter() - began) * 1000)
    return [
        Row("a request in two segments, its answer in two writes, where Nagle's trap costs 40 ms (median)",
            statistics.median(answers), 5, "ms"),
        Row("a server with a control plane, from nothing to serving (median)", statistics.median(starts), 50, "ms"),
        Row("its stop beside an open connection (median)", statistics.median(stops), 200, "ms"),
    ]  # fmt: skip


def interrupted(rounds: int) -> list[Row]:
    """Ctrl-C, with a call held that never ends by itself."""
    spans = []
    for _ in range(min(rounds, 5)):
        with tempfile.TemporaryDirectory() as folder:
            spans.append(_interrupted(Path(folder) / "token"))
    return [Row("Ctrl-C to the end of `fauxvider serve`, a call held (median)", statistics.median(spans), 1000, "ms")]


def _interrupted(token: Path) -> float:
    command = [sys.executable, "-m", "fauxvider", "serve", "--json", "--clock", "manual", "--token-file", str(token)]
    ports = ["--port", "0", "--control-port", "0"]
    with subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        places = json.loads(process.stdout.readline())
        base, control = places["providers"]["runpod"]["base_url"], places["control"]["url"]
        root, _, path = base.removeprefix("http://").partition("/")
        body = b'{"input": {"prompt": "a"}}'
        with connected(f"http://{root}") as client:
            first = f"POST /{path}/v2/black-forest-labs-flux-1-dev/runsync HTTP/1.1"
            head = f"{first}\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            known = {"Authorization": f"Bearer {token.read_text().strip()}"}
            jobs = urllib.request.Request(f"{control}/worlds/default/jobs", headers=known)
            while not json.load(urllib.request.urlopen(jobs))["jobs"]:
                pass
            began = time.perf_counter()
            process.send_signal(signal.SIGINT)
            process.wait(60)
            return (time.perf_counter() - began) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gate", action="store_true", help="exit 1 when a goal is missed")
    given = parser.parse_args()
    rows: list[Row] = []
    print("| figure | goal | measured |\n|---|---|---|")
    for part in (contracts, bodies, seven_days, servers, interrupted):
        for row in part(given.rounds):
            rows.append(row)
            print(row.text(), flush=True)
    if given.json:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return int(given.gate and not all(row.is_kept for row in rows))


if __name__ == "__main__":
    sys.exit(main())
