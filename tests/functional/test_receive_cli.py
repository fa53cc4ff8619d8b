"""`fauxvider receive` as a process: what it prints, what it answers, how it ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from fauxvider.receiver import Receiver
from support.raw import RawClient

SECRET = "whsec_do-not-print-me"
LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} POST    (\S+) +(\S+) +(\d+ k?B)(?:  (.*))?$")


class Process:
    """A running command, its printed lines, and its end."""

    def __init__(self, arguments: tuple[str, ...], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-X", "dev", "-m", "fauxvider", "receive", "--port", "0", *arguments],
            env={**os.environ, "TZ": "UTC", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        self.seen: list[str] = []
        self.url = ""

    def line(self) -> str:
        self.seen.append(self.lines.readline())
        return self.seen[-1].rstrip("\n")

    def ready(self) -> None:
        first = self.line()
        assert first, self.process.communicate()[1]
        self.url = json.loads(first)["url"] if first.startswith("{") else first.rpartition(" ")[2]
        while not first.startswith(("{", "time ")):
            first = self.line()

    def post(self, body: bytes, path: str = "/hook", headers: Mapping[str, str] | None = None) -> int | None:
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        with RawClient(self.url) as client:
            try:
                client.send("\r\n".join([*lines, "", ""]).encode() + body)
                got = client.answer()
            except ConnectionResetError:
                return None
            return got.status if got else None

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """Interrupt it; give everything that it has printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, "")
        return "".join(self.seen) + out


@contextmanager
def receiving(*arguments: str, **env: str) -> Iterator[Process]:
    running = Process(arguments, env)
    try:
        running.ready()
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def refused(*arguments: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "fauxvider", "receive", "--port", "0", *arguments],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_lines_for_people() -> None:
    with receiving("--answer", "503", "--answer", "reset", "--answer", '{"status": 202, "body": {"a": 1}}') as running:
        hostile = b'{"a": "\x1b[31mred\x07\r\n\xe2\x80\xaetxt\xff", "long": "' + b"y" * 12_000 + b'"}'
        assert running.post(b'{"id": "run_1"}', "/hook/a") == 503
        assert running.post(hostile) is None
        assert running.post(b"", "/" + "p" * 60) == 202
        lines = [running.line() for _ in range(3)]
        out = running.end()
    shown = [LINE.match(line) for line in lines]
    assert all(shown), lines
    got = [one.groups() for one in shown if one]
    assert got[0] == ("/hook/a", "503", "15 B", '{"id": "run_1"}')
    assert got[1][:3] == ("/hook", "reset", "12 kB")
    assert got[1][3].startswith('{"a": "\\x1b[31mred\\x07\\r\\n\\u202etxt\ufffd", "long": "yyy')
    assert (got[2][0], got[2][1], got[2][2]) == ("/" + "p" * 26 + "...", "202", "0 B")
    assert len({one.end(3) for one in shown if one}) == 1  # the sizes end in one column
    assert "\x1b" not in out
    assert out.startswith("fauxvider receives callbacks at http://127.0.0.1:")
    assert out.endswith("\nstopped: 3 callbacks, 503 x1, reset x1, 202 x1\n")


def test_a_script_can_end_what_it_started_in_the_background() -> None:
    """Shells have a background command of a script ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = Process((), {})
    finally:
        signal.signal(signal.SIGINT, before)
    with running.process:
        try:
            running.ready()
            assert "callbacks" in running.end(signal.SIGTERM)
        finally:
            running.process.kill()


def test_lines_for_programs() -> None:
    with receiving("--json", "--answer", "201", "--answer", "hang") as running:
        body = b'{"a": "\x1b"}\xff'
        assert running.post(body, "/a?b=c", {"X-One": "1"}) == 201
        got: dict[str, Any] = json.loads(running.line())
        with RawClient(running.url) as client:
            client.send(b"POST /h HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ntext")
            hanging = json.loads(running.line())
        with RawClient(running.url) as client:
            client.send(b"nonsense\r\n\r\n")
            client.answer()
        out = running.end(signal.SIGTERM)
    assert got.pop("at") > 1_700_000_000_000
    assert got == {
        "number": 1, "method": "POST", "path": "/a?b=c", "status": 201, "note": "", "size": len(body), "text": None,
        "headers": [["Host", "x"], ["Content-Length", str(len(body))], ["X-One", "1"]],
        "body": base64.b64encode(body).decode(),
    }  # fmt: skip
    assert (hanging["status"], hanging["note"], hanging["text"]) == (None, "hang", "text")
    summary = {"callbacks": 2, "answers": {"201": 1, "hang": 1}, "refused": {"no HTTP": 1}}
    assert json.loads(out.splitlines()[-1]) == {"summary": summary}


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["people", "programs"])
def test_signatures_are_checked_and_the_secret_never_shown(encoding: str, form: tuple[str, ...]) -> None:
    options = ("--verify-secret-env", "HOOK_SECRET", "--signature-header", "X-Signature", "--encoding", encoding, *form)
    digest = hmac.new(SECRET.encode(), b'{"a":1}', hashlib.sha256).digest()
    good = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    with receiving(*options, HOOK_SECRET=SECRET) as running:
        leak = {"X-Signature": good, "X-Leak": SECRET}
        for body, headers in ((b'{"a":1}', {"x-signature": good}), (b'{"a": 1}', leak), (SECRET.encode(), {})):
            assert running.post(body, f"/{SECRET}", headers) == 200
        lines = [running.line() for _ in range(3)]
        out = running.end()
    if form:
        assert [json.loads(line)["signature"] for line in lines] == ["good", "bad", "missing"]
        assert json.loads(out.splitlines()[-1])["summary"]["bad_signatures"] == 2
        assert base64.b64decode(json.loads(lines[2])["body"]) == b"***"
    else:
        verdicts = [re.split(r"  +", line)[-2] for line in lines]
        assert [verdicts[0], verdicts[1], lines[2].split(" B  ")[1]] == ["ok", "BAD", "BAD (none) ***"]
        assert out.endswith("\nstopped: 3 callbacks, 200 x3, 2 bad signatures\n")
    assert SECRET not in out
    assert good not in out or form  # JSON lines show the headers, signatures too


def test_forward() -> None:
    with Receiver([201, "close"]) as behind, receiving("--forward", behind.url + "/own") as running:
        assert running.post(b"one") == 201
        assert running.post(b"two") == 502
        lines = [running.line() for _ in range(3)]
        assert [(one.path, one.body) for one in behind.wait(2)] == [("/own", b"one"), ("/own", b"two")]
        running.end()
    assert re.search(r"/hook +201 +3 B  one$", lines[0])
    assert re.search(r"/hook +502 +3 B  two$", lines[1])
    assert "/own gave no whole answer" in lines[2]


def test_a_terminal_that_cannot_show_everything() -> None:
    with receiving(PYTHONIOENCODING="ascii") as running:
        assert running.post("žluť".encode()) == 200
        assert running.line().endswith("\\u017elu\\u0165")
        running.end()


def test_a_reader_that_leaves() -> None:
    with receiving("--json") as running:
        running.lines.close()
        running.post(b"x")
        assert running.process.wait(60) == 0
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--answer", "nonsense"), "'nonsense' is not an answer"),
        (("--answer", "{"), "--answer {: "),
        (("--answer", "99"), "99 is not a status"),
        (("--answer", "pass"), "there is nothing behind this receiver"),
        (("--forward", "http://example.com/"), "cannot forward to"),
        (("--host", "0.0.0.0"), "add --expose"),
        (("--port", "70000"), "a port is a number from 0 to 65535"),
        (("--signature-header", "X"), "--verify-secret-env and --signature-header together"),
        (("--verify-secret-env", "X"), "--verify-secret-env and --signature-header together"),
        (("--verify-secret-env", "NOT_SET", "--signature-header", "X"), "NOT_SET: this variable is not set"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], why: str) -> None:
    code, err = refused(*arguments)
    assert (code, why in err, err.count("\n")) == (2, True, 1), err


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, err = refused("--port", str(taken.getsockname()[1]))
    assert code == 3
    assert "is taken" in err
