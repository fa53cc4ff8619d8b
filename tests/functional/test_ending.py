"""A server that is told to end: what is under way finishes, and what cannot is written down and repeated."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fauxvider.stores.codec import load_entry
from support.holding import BODY, RUN, SOON, Held
from support.patience import until
from support.process import Process, serving_process
from support.raw import RawClient, is_refused

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@pytest.fixture
def receiver() -> Iterator[Held]:
    made = Held()
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "worlds.db"


@contextmanager
def served(tmp_path: Path, store: Path | None, *arguments: str) -> Iterator[Process]:
    scenario = tmp_path / "soon.json"
    scenario.write_text(json.dumps(SOON), encoding="utf-8")
    kept = ["--store", f"sqlite:///{store}"] if store else []
    with serving_process("--provider", "runflow", "--scenario", str(scenario), *kept, *arguments) as process:
        yield process


def kept(store: Path) -> tuple[dict[str, Any], list[Any]]:
    """Give the one delivery of a file, and the attempts that its journal tells of, as (number, outcome)."""
    with closing(sqlite3.connect(store)) as rows:
        assert rows.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        ((fact,),) = rows.execute("SELECT fact FROM deliveries").fetchall()
        entries = [load_entry(entry) for (entry,) in rows.execute("SELECT entry FROM journal ORDER BY number")]
    attempts = [(entry["number"], entry["outcome"]) for entry in entries if entry["kind"] == "attempt"]
    return json.loads(fact), attempts


def test_a_request_under_way_is_finished(tmp_path: Path) -> None:
    body = json.dumps(BODY).encode()
    with served(tmp_path, None, "--grace", "60") as server, RawClient(server.root, timeout_s=60) as client:
        path = (server.base("runflow") + RUN).removeprefix(server.root)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send(head.encode() + body[:5])
        with RawClient(server.root, timeout_s=60) as idle:
            idle.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.answer() is not None  # both have come: what was sent first is read first
            server.popen.send_signal(signal.SIGTERM)
            server.wait_for_draining()
            assert idle.rest() == b""  # an idle connection is closed at once
        assert is_refused(server.root)
        assert server.popen.poll() is None
        client.send(body[5:])
        got = client.answer()
        assert got is not None
        assert (got.status, json.loads(got.body)["status_code"]) == (201, "queued")
        assert client.rest() == b""
        assert server.ended() == (0, "", "")


def test_a_callback_under_way_is_finished_and_written_down(tmp_path: Path, store: Path, receiver: Held) -> None:
    with served(tmp_path, store, "--grace", "60") as server:
        job = receiver.submitted(server)
        server.popen.send_signal(signal.SIGTERM)
        server.wait_for_draining()
        receiver.answer()
        assert server.ended() == (0, "", "")
    delivery, attempts = kept(store)
    assert attempts == [(1, "http")]
    assert (delivery["job_id"], delivery["attempts"][0]["status"], delivery.get("sending")) == (job, 200, None)


@pytest.mark.parametrize("how", ["the period is over", "a second signal", "Ctrl-C twice"])
def test_a_callback_that_is_cut_is_written_down_and_repeated(
    tmp_path: Path, store: Path, receiver: Held, how: str
) -> None:
    number = signal.SIGINT if "Ctrl" in how else signal.SIGTERM
    with served(tmp_path, store, "--grace", "0.05" if "period" in how else "3600") as server:
        receiver.submitted(server)
        server.popen.send_signal(number)
        if "period" not in how:
            server.wait_for_draining()
            server.popen.send_signal(number)
        assert server.ended() == (0, "", "")
    delivery, attempts = kept(store)
    assert attempts == [(1, "interrupted")]
    assert (delivery.get("attempts", []), delivery.get("sending")) == ([], None)
    with served(tmp_path, store, "--grace", "60") as server:
        receiver.accept()
        receiver.answer()
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "", "")
    delivery, attempts = kept(store)
    assert attempts == [(1, "interrupted"), (1, "http")]  # no rung of the ladder was used up
    assert [one["status"] for one in delivery["attempts"]] == [200]
    assert receiver.bodies[0] == receiver.bodies[1]


def test_a_held_call_is_answered_as_things_stand() -> None:
    with serving_process("--clock", "manual", "--provider", "runpod", "--grace", "60") as server:
        answers: list[Any] = []
        url = server.base("runpod") + "/v2/black-forest-labs-flux-1-dev/runsync"
        thread = threading.Thread(target=lambda: answers.append(server.ask(url, BODY)))
        thread.start()
        while not server.ask("/worlds/default/jobs")[1]["jobs"]:
            pass
        server.popen.send_signal(signal.SIGINT)
        assert server.ended() == (0, "", "")
        thread.join(60)
    ((status, said),) = answers
    assert (status, said["status"]) == (200, "IN_QUEUE")


def test_a_person_is_told_what_the_server_waits_for(receiver: Held, tmp_path: Path) -> None:
    scenario = tmp_path / "soon.json"
    scenario.write_text(json.dumps(SOON), encoding="utf-8")
    command = [sys.executable, "-m", "fauxvider", "serve", "--provider", "runflow", "--scenario", str(scenario)]
    options = ["--port", "0", "--control-port", "0", "--grace", "60", "--limits", "off"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stdout is not None
            base = ""
            while "Ctrl-C stops." not in (line := popen.stdout.readline()):
                assert line
                base = line.split()[1] if "/runflow" in line else base
            server = Process(popen, {"providers": {"runflow": {"base_url": base}}, "control": {"url": ""}})
            receiver.submitted(server)
            popen.send_signal(signal.SIGINT)
            assert popen.stdout.readline() == "finishing what is under way; Ctrl-C again ends at once\n"
            receiver.answer()
            assert popen.communicate(timeout=60)[0] == "stopped\n"
        finally:
            popen.kill()
    assert popen.returncode == 0


def test_a_request_by_https_is_finished_too(tmp_path: Path) -> None:
    body = json.dumps(BODY).encode()
    options = ["--tls", "--tls-dir", str(tmp_path), "--proxy-port", "0"]
    with served(tmp_path, None, "--grace", "60", *options) as server:
        place = server.places["tls"]
        port = int(place["url"].rpartition(":")[2])
        context = ssl.create_default_context(cafile=place["ca"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        with context.wrap_socket(plain, server_hostname="api.runflow.io") as client:
            head = f"POST {RUN} HTTP/1.1\r\nHost: api.runflow.io\r\nAuthorization: Bearer k\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # its head has come
            server.popen.send_signal(signal.SIGTERM)
            server.wait_for_draining()
            until(lambda: is_refused(place["url"].replace("https", "http")))
            client.sendall(body)
            answer = b""
            while part := client.recv(65_536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 201")
        assert server.ended() == (0, "", "")


def test_a_control_request_does_not_get_the_period_twice(tmp_path: Path) -> None:
    """A call of the control plane that never comes to its end is cut when the period is over."""
    with served(tmp_path, None, "--grace", "0.05") as server, RawClient(server.control, timeout_s=60) as client:
        token = server.places["control"]["token"]
        host = server.control.removeprefix("http://")
        client.send(
            f"POST /worlds HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n"
            "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert client.answer() is not None
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "", "")


# The emulator on a disk that hangs from when the file named first is there.
HANGING = """
import sys, threading
from pathlib import Path
from fauxvider.cli import main
from fauxvider.stores.sqlite import SqliteFile
marker, commit = Path(sys.argv.pop(1)), SqliteFile.commit
def hang(file, turns):
    if turns and marker.exists():
        threading.Event().wait()
    commit(file, turns)
SqliteFile.commit = hang
main()
"""


@pytest.mark.parametrize("is_hurried", [False, True])
def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path, store: Path, is_hurried: bool) -> None:
    marker = tmp_path / "hang"
    options = ["--provider", "runflow", "--store", f"sqlite:///{store}", "--grace", "3600" if is_hurried else "0.05"]
    with serving_process(*options, program=("-c", HANGING, str(marker))) as server:
        url = server.base("runflow") + RUN
        _, kept_job = server.ask(url, BODY)
        marker.touch()
        body = json.dumps(BODY).encode()
        with RawClient(server.root, timeout_s=60) as client:
            path = url.removeprefix(server.root)
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
            client.send(head.encode() + body)
            while len(server.ask("/worlds/default/jobs")[1]["jobs"]) < 2:
                pass
            server.popen.send_signal(signal.SIGTERM)
            if is_hurried:
                server.wait_for_draining()
                server.popen.send_signal(signal.SIGTERM)
            code, out, err = server.ended()
            assert client.rest() == b""  # what is not kept is not acknowledged
    assert (code, out) == (4, "")
    assert err.startswith(f"fauxvider: {store}: at the end the file did not take it in time: ")
    assert err.endswith(" writes are not known to be kept\n")
    assert err.count("\n") == 1
    with serving_process(*options) as server:
        assert [job["id"] for job in server.ask("/worlds/default/jobs")[1]["jobs"]] == [kept_job["id"]]


@pytest.mark.parametrize("grace", ["-1", "nan", "soon", "1e9"])
def test_a_wrong_grace_is_one_clear_line(grace: str) -> None:
    with pytest.raises(AssertionError, match="--grace"), serving_process("--grace", grace):
        pass
