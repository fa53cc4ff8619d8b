"""verify, against emulators in a thread: unchanged, under other readings, with planted drifts, and worse servers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fauxvider.cli import verify as verify_command
from fauxvider.cli.verify import verify as command
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import FauxviderError
from fauxvider.server.runner import Urls
from fauxvider.toolkit.verify.case import Case, Result
from fauxvider.toolkit.verify.client import Client, UnreachableError
from fauxvider.toolkit.verify.propose import propose
from fauxvider.toolkit.verify.run import Settings, estimate, plan, verify
from fauxvider.toolkit.verify.session import Purse
from fauxvider_contracts import provider_text
from support.patience import PATIENCE_S
from support.verifying import TOKEN, benchmark, control_of, served, told, verified

# Of the model pages with many parameters, one stands for all: the others' rules have the same shapes.
ACME = Path(__file__).parents[1] / "data" / "acme.yaml"
_RUNPOD = ("/errors*", "/operations*", "/lifecycle*", "/urls*", "/callbacks*", "/models/flux-*", "/models/kontext*")
_ONEMIN = ("/errors*", "/operations*", "/lifecycle*", "/urls*", "/assets*", "/models/flux-2-dev-editor*")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Urls]:
    with served() as urls:
        yield urls


# --- a server that keeps its contract


@pytest.mark.parametrize(("provider", "only"), [("runpod", _RUNPOD), ("runflow", ()), ("onemin", _ONEMIN)])
def test_the_emulator_keeps_its_contract(emulator: Urls, provider: str, only: tuple[str, ...]) -> None:
    results = verified(emulator, provider, *only)
    assert told(results) == []
    assert sum(one.outcome == "passed" for one in results) > 45
    open_ones = [one for one in results if one.outcome == "not checked"]
    assert all(one.reason for one in open_ones)
    assert len(open_ones) < 12


@pytest.mark.parametrize(
    ("provider", "reading", "case", "only"),
    [
        ("runflow", "output.shape", "image_urls", ("/models*",)),
        ("runflow", "callback.schedule", "five", ("/callbacks*",)),
        ("runflow", "rate_limit", "headers_old", ("/limits*",)),
        ("runpod", "submit.propagation", "two_seconds", ("/lifecycle*", "/callbacks*", "/operations*")),
        ("runpod", "running.name", "running", ("/lifecycle*",)),
        ("onemin", "flux-redux.fields", "beside", ("/models/flux-redux*",)),
    ],
)
def test_and_under_another_reading(
    emulator: Urls, provider: str, reading: str, case: str, only: tuple[str, ...]
) -> None:
    results = verified(emulator, provider, *only, readings={reading: case}, limits=True)
    assert told(results) == []
    assert any(one.outcome == "passed" for one in results)


def test_limits_are_tried_when_asked_for(emulator: Urls) -> None:
    unasked = verified(emulator, "runpod", "/limits/cancel")
    assert [one.outcome for one in unasked] == ["not checked"]
    assert "--limits" in unasked[0].reason
    assert [one.outcome for one in verified(emulator, "runpod", "/limits/cancel", limits=True)] == ["passed"]


@pytest.mark.parametrize(
    "reading", [{}, {"callback.retry": "one"}, {"edit.cost": "per_mp"}, {"edit.strength": "without"}]
)
def test_so_does_one_of_a_provider_that_nobody_has_heard_of(reading: dict[str, str]) -> None:
    with served(ACME) as urls:
        results = verified(urls, ContractFile.read(ACME), readings=reading)
    assert told(results) == []
    assert sum(one.outcome == "passed" for one in results) > 150


@pytest.mark.parametrize(("provider", "left"), [("runpod", []), ("onemin", []), ("runflow", ["its whole patience"])])
def test_all_documented_cases_are_asked_but_for_those_that_cannot_be(
    emulator: Urls, provider: str, left: list[str]
) -> None:
    results = verified(emulator, provider, "documented*")
    assert told(results) == []
    open_ones = [one.reason for one in results if one.outcome == "not checked"]
    assert len(open_ones) == len(left)
    assert all(why in one for why, one in zip(left, open_ones, strict=True))
    assert len(results) > 50


def test_a_held_call_is_judged_by_the_moment_at_which_it_is_answered(tmp_path: Path) -> None:
    """A case that holds a call while time is moved finds what is wrong with its answer."""
    file = open_contract("runpod")
    planted = tmp_path / "planted.json"
    drift = next(one for one in benchmark().drifts() if one.name == "a finished job is called SUCCEEDED")
    planted.write_text(benchmark().planted(drift), encoding="utf-8")
    with benchmark().served("runpod", planted) as control:
        settings = Settings(
            control=benchmark()._WithoutReadings(control), only=("documented*runsync*",), receiver_host="127.0.0.1"
        )
        results = verify(file, settings, plan(file, settings))
    assert any("(answer)" in miss.place for one in results for miss in one.mismatches)


# --- a server that has drifted

_SAMPLE = (
    "a field is added to a finished job",
    "a finished job is called SUCCEEDED",
    "pictures live for a day",
    "errors are problem+json",
    "width ends at 1024",
    "a run takes twice as long",
    "the signature is base64",
    "the signature's header has another name",
    "client errors are tried again",
)


def test_the_benchmark_plants_enough() -> None:
    planted = benchmark().drifts()
    assert len(planted) >= 30
    assert len({one.name for one in planted}) == len(planted)
    assert set(_SAMPLE) <= {one.name for one in planted}


@pytest.mark.parametrize("name", _SAMPLE)
def test_a_planted_drift_is_found_where_it_was_planted(name: str, tmp_path: Path) -> None:
    drift = next(one for one in benchmark().drifts() if one.name == name)
    found = benchmark().measure(drift, tmp_path)
    assert found.is_caught
    assert found.is_located, found.rule


@pytest.mark.parametrize(
    "name",
    [
        "a field of the queued answer is renamed",
        "a megapixel is 1048576 pixels",
        "only server errors are tried again",
        "callbacks are tried five times",
        "results are kept for ten minutes",
        "a run takes twice as long",
        "the queue is slow",
        "the signature is base64",
        "the signature covers the event's id too",
        "the signature's header has another name",
        "files are signed for another region",
        "a success is called COMPLETED",
        "a run is dispatched before it is queued",
    ],
)
def test_what_is_proposed_holds(name: str, tmp_path: Path) -> None:
    drift = next(one for one in benchmark().drifts() if one.name == name)
    file = open_contract(drift.provider)
    planted = tmp_path / "planted.json"
    planted.write_text(benchmark().planted(drift), encoding="utf-8")
    with benchmark().served(drift.provider, planted) as control:
        found = propose(file, drift.readings, benchmark().asked(file, drift, control), date="2026-11-21")
        again = benchmark().asked(ContractFile(found.text, file="proposed.yaml"), drift, control)
    assert found.changes
    assert "verify-2026-11-21 @2026-11-21" in found.text
    assert not any("check" in one for one in found.left)
    assert told(again) == []


# --- a server that belongs to somebody else


def test_without_a_control_plane_time_travel_is_not_checked() -> None:
    file = open_contract("runpod")
    with served(clock="stepping:5s") as urls:  # a look is enough for a run to be over
        base = f"{urls.provider}/runpod"
        settings = Settings(base_url=base, only=("/errors/job*", "/urls*", "/lifecycle*"), patience_ms=2_000)
        results = verify(file, settings, plan(file, settings))
    assert told(results) == []
    assert not any(one.outcome == "passed" and "control" in one.case.needs for one in results)
    assert any("--control" in one.reason for one in results)
    assert any(one.outcome == "passed" for one in results)


@pytest.mark.parametrize(
    ("served_as", "outcome", "told_of"),
    [
        ("[200ms, 1h]", "not checked", "of 2 pauses 1 hold; the others take 1h (--patience)"),
        ("[1ms, 1h]", "failed", "200 ms after the one before"),
    ],
)
def test_a_schedule_that_takes_longer_than_one_waits_is_looked_at_as_far_as_that(
    tmp_path: Path, served_as: str, outcome: str, told_of: str
) -> None:
    text = ACME.read_text(encoding="utf-8")
    assert text.count("delays: [1s, 2s]") == 1

    def contract(delays: str) -> Path:
        path = tmp_path / delays / ACME.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("delays: [1s, 2s]", f"delays: {delays}"), encoding="utf-8")
        return path

    file = ContractFile.read(contract("[200ms, 1h]"))
    patience: Any = {"receiver_host": "127.0.0.1", "patience_ms": 60_000}
    with served(contract(served_as), clock="real") as urls:
        settings = Settings(base_url=f"{urls.provider}/acme", only=("/callbacks/retry/delays",), **patience)
        (result,) = verify(file, settings, plan(file, settings))
    assert result.outcome == outcome
    assert told_of in result.reason + " ".join(map(str, result.mismatches))


@pytest.mark.parametrize("window", ["300ms", "1h"])
def test_a_limit_in_the_way_is_waited_for_and_is_no_failure(tmp_path: Path, window: str) -> None:
    name = "onemin"
    text, documented = provider_text(name), "    window: 60s\n    count: 180\n"
    assert text.count(documented) == 1
    path = tmp_path / f"{name}.yaml"
    changed = text.replace(documented, f"    window: {window}\n    count: 5\n").replace(
        "window: 60s", f"window: {window}"
    )
    path.write_text(changed, encoding="utf-8")
    file = ContractFile.read(path)
    with served(path, clock="real") as urls:
        only = [f"features of flux-canny-dev: *{rule}" for rule in ("minimum", "maximum", "type", "enum")]
        settings = Settings(base_url=f"{urls.provider}/{name}", only=only, patience_ms=60_000)
        results = verify(file, settings, plan(file, settings))
    assert told(results) == []
    assert len(results) > 12
    held_back = "a limit of the server holds it back for 1h (--patience)"
    assert {one.reason for one in results} == ({"", held_back} if window == "1h" else {""})


def test_the_budget_is_never_passed(emulator: Urls) -> None:
    file, purse = open_contract("runpod"), Purse(Decimal("0.03"))
    settings = Settings(control=control_of(emulator), only=("*at the * bounds", "*to its end"), purse=purse)
    cases = plan(file, settings)
    assert estimate(cases, settings) > Decimal("0.03")
    results = verify(file, settings, cases)
    assert purse.spent <= Decimal("0.03")
    dear = [one for one in results if "budget" in one.reason]
    assert dear
    assert all(one.outcome == "not checked" for one in dear)
    assert any(one.outcome == "passed" for one in results)


def _hang(peer: socket.socket, stopped: threading.Event) -> None:
    del peer
    stopped.wait(20)


def _drip(peer: socket.socket, stopped: threading.Event) -> None:
    while not stopped.wait(0.02):
        peer.send(b"H")


def _flood(peer: socket.socket, _stopped: threading.Event) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + b"x" * 70_000)


def _speak_no_http(peer: socket.socket, _stopped: threading.Event) -> None:
    peer.sendall(b"220 mail.example ESMTP\r\n")


def _promise_more(peer: socket.socket, _stopped: threading.Event) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}")


@pytest.mark.parametrize("behave", [_hang, _drip, _flood, _speak_no_http, _promise_more])
def test_a_hostile_server_cannot_hold_the_client(behave: Callable[[socket.socket, threading.Event], None]) -> None:
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer, contextlib.suppress(OSError):
                behave(peer, stopped)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        answer = Client(timeout_s=0.3, max_body=65_536).send("GET", url)
        stopped.set()
        thread.join()
    assert answer.problem


def test_nothing_there_is_an_error_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError):
        Client(timeout_s=PATIENCE_S).send("GET", f"http://127.0.0.1:{port}/")


# --- the command


def _run(*given: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(given), env={"FAUXVIDER_CONTROL_TOKEN": TOKEN, **(env or {})})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_the_command_says_what_failed_and_exits_with_one(tmp_path: Path) -> None:
    drift = next(one for one in benchmark().drifts() if one.name == "an unknown job answers 410")
    path = tmp_path / "planted.json"
    path.write_text(benchmark().planted(drift), encoding="utf-8")
    patched = tmp_path / "patched.yaml"
    asked = (
        "runpod",
        "--only",
        "status of a job that does not exist",
        "--propose",
        str(patched),
        "--date",
        "2026-11-21",
    )
    with served(path) as urls:
        code, text = _run(*asked, "--control", urls.control)
        assert code == 1
        assert "/errors/job_unknown/status" in text
        assert "runpod.yaml:" in text
        assert "1 changes are proposed" in text
        assert _run(str(patched), *asked[1:3], "--control", urls.control)[0] == 0


def test_reports_are_well_formed(emulator: Urls, tmp_path: Path) -> None:
    out = tmp_path / "report"
    asked = ("runflow", "--control", emulator.control, "--only", "/errors/*", "--out", str(out), "--report")
    assert _run(*asked, "junit")[0] == 0
    suite = ET.parse(out).getroot()[0]
    assert int(suite.attrib["tests"]) == len(suite) > 10
    assert _run(*asked, "json")[0] == 0
    tree = json.loads(out.read_text(encoding="utf-8"))
    assert tree["counts"]["failed"] == 0
    assert len(tree["cases"]) == len(suite)
    assert _run(*asked, "html")[0] == 0
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_no_key_reaches_a_report(emulator: Urls) -> None:
    key = "sk-this-is-nobodys-business"
    drifted = (
        "runpod",
        "--base-url",
        f"{emulator.provider}/nowhere",
        "--key-env",
        "MY_KEY",
        "--only",
        "*does not exist*",
    )
    code, text = _run(*drifted, "--yes", env={"MY_KEY": key})
    assert code == 1
    assert key not in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("runpod",), "--base-url"),
        (("nobody", "--base-url", "http://127.0.0.1:1"), "no provider"),
        (("runpod", "--base-url", "ftp://example.com"), "http://"),
        (("runpod", "--base-url", "http://127.0.0.1:1", "--only", "nothing like it"), "no case"),
        (("runpod", "--base-url", "http://127.0.0.1:1", "--key-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE"),
        (("runpod", "--base-url", "http://127.0.0.1:1", "--reading", "x"), "NAME=CASE"),
        (("runpod", "--base-url", "http://127.0.0.1:1", "--budget", "much"), "much"),
    ],
)
def test_wrong_usage_is_told(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(FauxviderError) as caught:
        _run(*given)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


# --- progress


class _Ticking:
    """A clock whose every reading is some seconds later."""

    def __init__(self, step_ms: int) -> None:
        self._now, self._step = 0, step_ms

    def __call__(self) -> int:
        self._now += self._step
        return self._now


def _result(outcome: str) -> Result:
    return Result(Case("a case", "/x", lambda _session: None), outcome)  # type: ignore[arg-type]


def test_off_a_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_command, "monotonic_ms", _Ticking(1_000))
    progress = verify_command._Progress(3, is_terminal=False)
    for number in (1, 2):
        progress.heard("asks: a run to its end")
        for left in range(30, 0, -1):
            progress.heard(f"for the end of job x, {left} s at most")
        progress.told(number, _result("failed"))
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= 8  # not sixty
    assert lines[0].startswith("[0/3] after ")
    assert lines[-1].startswith("[1/3] after ")
    assert "1 failed: a run to its end, waiting for the end of job x, " in lines[-1]
    assert lines[-1].endswith(" s at most")


def test_on_a_terminal_every_case_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    progress = verify_command._Progress(2, is_terminal=True)
    progress.heard("asks: a case")
    progress.heard("for one callback, 120 s at most")
    progress.told(1, _result("passed"))
    progress.told(2, _result("not checked"))
    text = capsys.readouterr().err
    assert "[0/2] a case, waiting for one callback, 120 s at most" in text
    assert "[1/2] ok a case" in text
    assert text.endswith("[2/2] - a case\n")


def test_a_server_whose_time_stands_still_is_waited_for_and_that_is_said() -> None:
    file, heard = open_contract("runpod"), list[str]()
    with served(clock="manual") as urls:  # without its control plane no job there ever ends
        only = ("run of flux-dev: to its end",)
        settings = Settings(base_url=f"{urls.provider}/runpod", only=only, patience_ms=900, heard=heard.append)
        (result,) = verify(file, settings, plan(file, settings))
    assert result.outcome == "not checked"
    assert "did not end within" in result.reason
    assert heard[0] == "asks: run of flux-dev: to its end"
    waits = [one for one in heard if one.startswith("for the end of job ")]
    assert len(waits) >= 2
    assert all(one.endswith(("1 s at most", "0 s at most")) for one in waits)
