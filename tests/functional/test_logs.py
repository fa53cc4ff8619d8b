"""Logs: one line for each request, callback and event, in JSON or text; nothing secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
from typing import Any

import pytest

from fauxvider.server.logs import logging_to
from support.canaries import RUN, SECRETS, busy
from support.process import serving_process
from support.receiver import Receiver


def lines_of(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


@pytest.fixture(scope="module")
def told() -> tuple[list[dict[str, Any]], str, str]:
    """Give the lines of one run at the lowest level, its job, and all that the process wrote."""
    with (
        Receiver([503, 200]) as receiver,
        serving_process("--clock", "manual", "--log", "json", "--log-level", "debug") as server,
    ):
        job = busy(server, receiver.url)
        token = server.places["control"]["token"]
        server.popen.send_signal(signal.SIGTERM)
        code, out, err = server.ended()
        assert (code, out) == (0, "")
        assert token not in err
    return lines_of(err), job, err


def test_every_line_has_time_level_event_and_process(told: tuple[list[dict[str, Any]], str, str]) -> None:
    lines, _, _ = told
    assert len({line["pid"] for line in lines}) == 1
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("debug", "info", "warning")
        assert line["event"]
    events = [line["event"] for line in lines]
    assert events[0] == "ready"
    assert events[-2:] == ["draining", "stopped"]
    assert [line["world"] for line in lines if line["event"].startswith("world ")] == ["mine", "mine"]


def test_requests(told: tuple[list[dict[str, Any]], str, str]) -> None:
    lines, job, _ = told
    requests = [line for line in lines if line["event"] == "request"]
    first = requests[0]
    wanted = {"world": "default", "provider": "runflow", "method": "POST", "status": 201, "job": job, "level": "info"}
    assert {name: first[name] for name in wanted} == wanted
    assert first["path"] == RUN
    assert first["operation"]
    assert 0 < first["ms"] < 60_000
    assert [line["status"] for line in requests[2:5]] == [200, 404, 400]
    assert requests[3]["path"] == "/v1/runs/***"
    assert requests[4]["cause"]
    (stray,) = [line for line in lines if line["event"] == "stray"]
    assert (stray["status"], stray["path"]) == (404, "***")
    control = [(line["method"], line["path"], line["status"]) for line in lines if line["event"] == "control"]
    assert control == [
        ("POST", "/worlds/default/clock/advance", 200),
        ("GET", "/worlds/default/jobs", 200),
        ("POST", "/worlds", 201),
        ("DELETE", "/worlds/mine", 204),
    ]


def test_callbacks_and_ends(told: tuple[list[dict[str, Any]], str, str]) -> None:
    lines, job, _ = told
    attempts = [line for line in lines if line["event"] == "attempt" and line["job"] == job]
    assert [(line["number"], line["status"], line["level"]) for line in attempts] == [
        (1, 503, "warning"),
        (2, 200, "info"),
    ]
    for line in attempts:
        assert line["ms"] > 0
        assert line["address"].startswith("http://127.0.0.1:")
        assert "?" not in line["address"]
    assert job in [line["job"] for line in lines if line["event"] == "ended"]
    assert {line["level"] for line in lines if line["event"] in ("charged", "world made")} == {"debug"}


def test_nothing_secret_is_written(told: tuple[list[dict[str, Any]], str, str]) -> None:
    _, _, err = told
    assert [name for name, secret in SECRETS.items() if secret in err] == []


@pytest.mark.parametrize("style", ["text", "json"])
def test_levels_and_text(style: str) -> None:
    with (
        serving_process("--clock", "manual", "--log", style, "--log-level", "warning") as server,
        Receiver([503]) as hook,
    ):
        busy(server, hook.url)
        server.popen.send_signal(signal.SIGTERM)
        code, out, err = server.ended()
        assert (code, out) == (0, "")
    assert [name for name, secret in SECRETS.items() if secret in err] == []
    lines = err.splitlines()
    assert lines
    assert all("attempt" in line and "warning" in line for line in lines)
    if style == "text":
        assert {line.index("default") for line in lines} == {len("07:26:25.123 warning attempt   ")}
        assert {line.index("runflow") for line in lines} == {len("07:26:25.123 warning attempt   default      ")}


def test_nothing_is_written_unless_asked_for() -> None:
    with serving_process("--clock", "manual") as server, Receiver([503]) as hook:
        busy(server, hook.url)
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "", "")


# --- what others log


def logged(style: Any, write: Any) -> str:
    stream = io.StringIO()
    with logging_to(style, "info", stream):
        write(logging.getLogger("fauxvider.service.some"), logging.getLogger("uvicorn.error"))
    return stream.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
def test_messages_of_others_are_lines_too(style: str) -> None:
    def write(ours: logging.Logger, theirs: logging.Logger) -> None:
        ours.warning("no answer from %s", "redis://user:pass-word@host:6379/0?x=secret")
        theirs.info("Started server process")
        ours.debug("too quiet")
        try:
            int("the key canary")
        except ValueError:
            theirs.exception("Exception in ASGI application")

    text = logged(style, write)
    first, second = text.splitlines()
    assert "redis://xxxx:xxxxxxxxx@host:6379/0?xxxxxxxx" in first or "host:6379/0" in first
    assert "pass-word" not in text
    assert "secret" not in text
    assert "ValueError" in second
    assert "test_logs.py" in second
    assert "canary" not in text


def test_a_text_line_cannot_be_forged() -> None:
    odd = "a\nb\rc\x1b[31md\x00e\x85f\u2028g\u202eh\U0001f600é"
    for style in ("json", "text"):
        text = logged(style, lambda ours, _theirs: ours.warning("%s", odd))
        assert text.count("\n") == 1
        assert "\x1b" not in text
        assert "\r" not in text
        if style == "text":
            assert r"a\nb\rc\x1b[31md\x00e\x85f\u2028g\u202eh\U0001f600é" in text


def test_loggers_are_left_as_they_were() -> None:
    names = ("fauxvider", "uvicorn.error")
    before = [(one.level, one.propagate, list(one.handlers)) for one in map(logging.getLogger, names)]
    logged("json", lambda _ours, _theirs: None)
    assert [(one.level, one.propagate, list(one.handlers)) for one in map(logging.getLogger, names)] == before
