"""`fauxvider serve --workers`: processes on the same ports, and one command to look after them."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.valkey import Valkey

FLUX = "/runpod/v2/black-forest-labs-flux-1-dev"
KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}
PATIENCE_S = 60


@dataclass
class Served:
    """A server with its workers, as a client sees it."""

    process: subprocess.Popen[str]
    places: dict[str, Any]
    lines: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def host(self) -> str:
        return urlsplit(self.places["providers"]["runpod"]["base_url"]).netloc

    def connection(self) -> http.client.HTTPConnection:
        """One connection: one of the workers has it for as long as it lasts, which is five seconds without a request."""
        line = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        self.lines.append(line)
        return line

    def call(self, path: str, body: Any = None) -> Any:
        """Ask on a connection of its own, which any of the workers gets."""
        line = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        try:
            return call(line, path, body)
        finally:
            line.close()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control plane; a worker that has just been started says that it is starting."""
        status, data = 503, b"is starting"
        while status == 503 and b"is starting" in data:
            status, data = self._controlled(method, path, body)
        assert status < 300, (status, data)
        return json.loads(data) if data else None

    def _controlled(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        line = http.client.HTTPConnection(urlsplit(self.places["control"]["url"]).netloc, timeout=PATIENCE_S)
        headers = {**KEY, "Authorization": f"Bearer {self.places['control']['token']}"}
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        data = answer.read()
        line.close()
        return answer.status, data

    def workers(self) -> list[int]:
        """Give the processes that listen, but for the parent."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def served(valkey: Valkey, workers: int = 2, *options: str) -> Iterator[Served]:
    command = [
        sys.executable, "-m", "fauxvider", "serve", "--provider", "runpod", "--json", "--port", "0", "--control-port", "0",
        "--store", valkey.url, "--workers", str(workers), *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, process.communicate(timeout=PATIENCE_S)
            server = Served(process, json.loads(first))
            try:
                yield server
            finally:
                for line in server.lines:
                    line.close()
        finally:
            process.terminate()
            try:
                process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()


def call(line: http.client.HTTPConnection, path: str, body: Any = None) -> Any:
    line.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), KEY)
    answer = line.getresponse()
    data = answer.read()
    assert answer.status == 200, (answer.status, data)
    return json.loads(data)


def submit(line: http.client.HTTPConnection | Served, world: str) -> str:
    path, body = f"/w/{world}{FLUX}/run", {"input": {"prompt": "x"}}
    return str((line.call(path, body) if isinstance(line, Served) else call(line, path, body))["id"])


def test_all_workers_serve_all_worlds(valkey: Valkey) -> None:
    with served(valkey, 3) as server:
        assert len(server.workers()) == 3
        names = [f"w{number}" for number in range(6)]
        for name in names:
            server.control("POST", "/worlds", {"name": name, "clock": "manual"})
        jobs = {name: [submit(server, name) for _ in range(8)] for name in names}
        for name in names:
            assert len(set(jobs[name])) == 8
            happened = server.control("POST", f"/worlds/{name}/clock/advance", {"by": "1m"})["happened"]
            assert happened
            for _ in range(8):
                line = server.connection()
                shown = [call(line, f"/w/{name}{FLUX}/status/{job}")["status"] for job in jobs[name]]
                assert shown == ["COMPLETED"] * 8
            assert len(server.control("GET", f"/worlds/{name}/jobs")["jobs"]) == 8
        assert server.control("GET", "/worlds")["worlds"] == ["default", *names]
        server.control("DELETE", "/worlds/w0")
        assert "w0" not in server.control("GET", "/worlds")["worlds"]


def test_documents_of_a_world_come_from_any_worker(valkey: Valkey) -> None:
    with served(valkey) as server:
        server.control("POST", "/worlds", {"name": "mine", "readings": {"runpod": {}}})
        for path in ("/openapi/runpod.json", "/w/mine/openapi/runpod.json"):
            pages = [server.call(path) for _ in range(8)]
            assert pages[0]["openapi"] == "3.1.0"
            assert all(page == pages[0] for page in pages)


def test_a_world_goes_to_the_worker_that_is_asked_for_it(valkey: Valkey) -> None:
    def owner(name: str) -> str:
        return str(valkey.client.hget(f"fauxvider:world:{name}", "owner").decode())

    with served(valkey) as server:
        server.control("POST", "/worlds", {"name": "mine", "clock": "manual"})
        owners = set()
        for _ in range(24):
            line = server.connection()
            for _ in range(40):
                submit(line, "mine")
            owners.add(owner("mine"))
        assert len(owners) == 2  # the kernel gave each worker some of the connections
        assert len(server.control("GET", "/worlds/mine/jobs")["jobs"]) == 24 * 40


def test_a_worker_that_dies_is_replaced_and_loses_nothing(valkey: Valkey) -> None:
    with served(valkey) as server:
        server.control("POST", "/worlds", {"name": "mine", "clock": "manual"})
        line = server.connection()
        jobs = [submit(line, "mine") for _ in range(5)]
        before = server.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert server.process.stderr is not None
        for _ in before:
            assert "ended (by SIGKILL), and is started again" in server.process.stderr.readline()
        line = server.connection()
        assert [call(line, f"/w/mine{FLUX}/status/{job}")["status"] for job in jobs] == ["IN_QUEUE"] * 5
        submit(line, "mine")
        assert len(server.control("GET", "/worlds/mine/jobs")["jobs"]) == 6
        assert not set(before) & set(server.workers())


def test_why_a_worker_does_not_start_again_is_said(valkey: Valkey) -> None:
    with served(valkey) as server:
        valkey.client.set("fauxvider:format", "99")
        os.kill(server.workers()[0], signal.SIGKILL)
        out, err = server.process.communicate(timeout=PATIENCE_S)
        assert (server.process.returncode, out) == (4, "")
    first, last = err.splitlines()
    assert "ended (by SIGKILL), and is started again" in first
    assert "worker 1 cannot start again: " in last or "worker 2 cannot start again: " in last
    assert "used by a newer fauxvider (format 99" in last


def test_workers_that_die_while_the_store_is_out_come_back_with_it(valkey: Valkey) -> None:
    """Each change of state is one line."""
    with served(valkey, 2) as server:
        said = server.process.stderr
        assert said is not None
        before = server.workers()
        valkey.kill()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        lines = [said.readline() for _ in range(4)]
        ended = [line for line in lines if "ended (by SIGKILL), and is started again" in line]
        out = [line for line in lines if "cannot reach the store, and is started again until it can: unix:" in line]
        assert len(ended) == len(out) == 2
        line = server.connection()
        line.request("GET", "/")  # it waits where the parent listens
        valkey.start()
        assert {said.readline(), said.readline()} == {f"fauxvider: worker {n} serves again\n" for n in (1, 2)}
        assert line.getresponse().status == 200
        server.control("POST", "/worlds", {"name": "mine", "clock": "manual"})
        submit(server.connection(), "mine")
        server.process.send_signal(signal.SIGTERM)
        out_text, err = server.process.communicate(timeout=PATIENCE_S)
        assert (server.process.returncode, out_text, err) == (0, "", "")


def test_workers_end_with_the_grace_period_though_the_store_hangs(valkey: Valkey) -> None:
    with served(valkey, 2, "--grace", "0.05") as server:
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            server.process.send_signal(signal.SIGTERM)
            out, err = server.process.communicate(timeout=PATIENCE_S)
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
    assert (server.process.returncode, out) == (4, "")
    *own, last = err.splitlines()
    assert len(own) == 2
    assert all("at the end the server did not answer: " in line for line in own)
    assert "these did not end as they should: worker 1 (exit code 4), worker 2 (exit code 4)" in last


def test_the_workers_end_with_the_parent(valkey: Valkey) -> None:
    with served(valkey) as server:
        workers = server.workers()
        pidfds = [os.pidfd_open(pid) for pid in workers]
        server.process.kill()
        for fd in pidfds:
            assert select.select([fd], [], [], PATIENCE_S)[0], "a worker went on without its parent"
            os.close(fd)


def test_a_stop_is_clean(valkey: Valkey) -> None:
    with served(valkey) as server:
        server.process.send_signal(signal.SIGTERM)
        out, err = server.process.communicate(timeout=PATIENCE_S)
        assert (server.process.returncode, out, err) == (0, "", "")
    assert valkey.client.keys("fauxvider:node:*") == []


@pytest.mark.parametrize(
    ("options", "problem", "code"),
    [
        (["--store", "memory:"], "--workers needs a store that processes share", 2),
        (["--store", "sqlite:///x.db"], "--workers needs a store that processes share", 2),
        (["--store", "redis://127.0.0.1:1/0"], "redis://127.0.0.1:1/0: ", 4),
        (["--node-address", "nowhere"], "write HOST:PORT", 2),
        (["--node-address", "127.0.0.1:77"], "each worker takes a port of its own", 2),
        (["--tls"], "--workers and --tls", 2),
        (["--base-url", "example.com"], "write http://HOST", 2),
    ],
)
def test_what_does_not_go_with_workers(
    valkey: Valkey, tmp_path: Path, options: list[str], problem: str, code: int
) -> None:
    command = [sys.executable, "-m", "fauxvider", "serve", "--workers", "2", "--port", "0", "--control-port", "0"]
    store = [] if "--store" in options else ["--store", valkey.url]
    done = subprocess.run(
        [*command, *store, *options], capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path, check=False
    )
    assert done.returncode == code
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
