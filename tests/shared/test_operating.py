"""Running servers on a shared store: readiness follows the store, workers count together, callbacks survive an end."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.holding import SOON, Held
from support.patience import until
from support.process import Process, fetch, serving_process
from support.raw import RawClient
from support.valkey import Valkey


def test_who_cannot_reach_the_store_is_not_ready(valkey: Valkey) -> None:
    with serving_process("--store", valkey.url) as server:
        assert server.readiness() == (200, {"status": "ready"})
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            status, said = server.readiness()
            assert (status, said["status"]) == (503, "not ready")
            assert "the store" in said["reasons"][0]
            assert fetch(urllib.request.Request(f"{server.control}/-/live")) == (200, {"status": "live"})
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        while server.readiness()[0] != 200:  # as soon as it answers again
            pass


def _counted(server: Process, name: str) -> float:
    status, text = server.ask("/metrics")
    assert status == 200
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sum(one.value for one in samples if one.name == f"fauxvider_{name}")


def test_every_worker_shows_what_all_have_counted(valkey: Valkey) -> None:
    with serving_process("--store", valkey.url, "--workers", "2", "--metrics") as server:
        for number in range(24):
            assert fetch(urllib.request.Request(f"{server.root}/none/{number}"))[0] == 404
        # A connection each, so that both workers are asked.
        assert {_counted(server, "strays_total") for _ in range(12)} == {24.0}
        until(lambda: _counted(server, "store_commit_seconds_count"))
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended()[0] == 0


@pytest.mark.parametrize("is_in_time", [True, False])
def test_a_callback_under_way_at_the_end(valkey: Valkey, tmp_path: Path, is_in_time: bool) -> None:
    """In time it is finished; else another start repeats it, and it has used up no rung."""
    scenario = tmp_path / "soon.json"
    scenario.write_text(json.dumps(SOON), encoding="utf-8")
    options = ["--store", valkey.url, "--scenario", str(scenario), "--grace"]
    held = Held()
    try:
        with serving_process(*options, "60" if is_in_time else "0.05") as server:
            held.submitted(server)
            server.popen.send_signal(signal.SIGTERM)
            if is_in_time:
                server.wait_for_draining()
                held.answer()
            assert server.ended()[0] == 0
        with serving_process(*options, "60") as server:
            if not is_in_time:
                assert server.ask("/worlds/default/jobs")[0] == 200  # who asks for a world takes it over
                held.accept()
                held.answer()
            entries: list[Any] = []
            while not entries or entries[-1]["outcome"] != "http":
                journal = server.ask("/worlds/default/journal")[1]["entries"]
                entries = [entry for entry in journal if entry["kind"] == "attempt"]
    finally:
        held.close()
    told = [(entry["number"], entry["outcome"]) for entry in entries]
    assert told == ([(1, "http")] if is_in_time else [(1, "interrupted"), (1, "http")])


def test_a_call_through_another_node_is_answered_when_its_owner_ends(valkey: Valkey) -> None:
    token = {"Authorization": f"Bearer {'x' * 30}"}
    options = ["--store", valkey.url, "--provider", "runpod", "--grace", "60"]
    env = {"FAUXVIDER_CONTROL_TOKEN": "x" * 30}
    with serving_process(*options, env=env) as owner, serving_process(*options, env=env) as other:
        assert owner.ask("/worlds", {"name": "w", "clock": "manual"}, **token)[0] == 201
        run = f"{other.root}/w/w/runpod/v2/black-forest-labs-flux-1-dev/runsync"
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(other.ask, run, {"input": {"prompt": "a fox"}})
            while not owner.ask("/worlds/w", **token)[1]["held"]:
                pass
            owner.popen.send_signal(signal.SIGTERM)
            status, said = answer.result(timeout=60)
        assert (status, said["status"]) == (200, "IN_QUEUE")
        assert owner.ended() == (0, "", "")
        jobs = other.ask("/worlds/w/jobs", **token)[1]["jobs"]
        assert [job["id"] for job in jobs] == [said["id"]]


def test_nobody_who_asks_through_another_node_notices_a_clean_end(valkey: Valkey) -> None:
    token = {"Authorization": f"Bearer {'x' * 30}"}
    options, env = ["--store", valkey.url, "--provider", "runpod"], {"FAUXVIDER_CONTROL_TOKEN": "x" * 30}
    with serving_process(*options, env=env) as owner, serving_process(*options, env=env) as other:
        names = [f"w{number}" for number in range(3)]
        for name in names:
            assert owner.ask("/worlds", {"name": name, "clock": "manual"}, **token)[0] == 201
        begun, is_over = Barrier(1 + len(names)), Event()

        def ask(name: str) -> list[int]:
            run, codes = f"{other.root}/w/{name}/runpod/v2/black-forest-labs-flux-1-dev/run", []
            for number in range(10_000):
                if number == 5:
                    begun.wait(timeout=60)
                if is_over.is_set():
                    break
                codes.append(other.ask(run, {"input": {"prompt": "a fox"}})[0])
            return [*codes, other.ask(run, {"input": {"prompt": "a fox"}})[0]]

        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(ask, name) for name in names]
            begun.wait(timeout=60)
            owner.popen.send_signal(signal.SIGTERM)
            assert owner.ended() == (0, "", "")
            is_over.set()
            codes = [answer.result(timeout=60) for answer in answers]
        assert {code for each in codes for code in each} == {200}
        for name, each in zip(names, codes, strict=True):
            assert len(other.ask(f"/worlds/{name}/jobs", **token)[1]["jobs"]) == len(each)


@pytest.mark.parametrize("how", ["paused", "gone"])
def test_a_store_that_does_not_answer_does_not_hold_up_the_end(valkey: Valkey, how: str) -> None:
    shown = valkey.url.partition("?")[0]
    with serving_process("--store", f"{shown}?lease=60", "--provider", "runpod", "--grace", "0.05") as server:
        if how == "paused":
            os.kill(valkey.pid, signal.SIGSTOP)
        else:
            valkey.kill()
        try:
            with RawClient(server.root, timeout_s=60) as client:
                body = b'{"input": {"prompt": "a fox"}}'
                head = "POST /runpod/v2/black-forest-labs-flux-1-dev/run HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
                client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                while not server.ask("/worlds/default/jobs")[1].get("jobs"):
                    pass
                server.popen.send_signal(signal.SIGTERM)
                code, out, err = server.ended()
        finally:
            if how == "paused":
                os.kill(valkey.pid, signal.SIGCONT)
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert err.startswith(f"fauxvider: {shown}: at the end the server did not answer: ")
    assert err.endswith("its worlds (default) are released when this node's lease of 60 s is over\n")
    if how == "paused":  # else the job may have been refused before the end
        assert " writes are not known to be kept; " in err


def test_a_second_signal_is_heard_while_the_store_is_waited_for(valkey: Valkey) -> None:
    def is_closed() -> bool:
        try:
            server.readiness()
        except OSError:
            return True
        return False

    with serving_process("--store", valkey.url, "--provider", "runpod", "--grace", "3600") as server:
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            server.popen.send_signal(signal.SIGINT)
            until(is_closed)  # all that is left is the store, which has the rest of the hour
            server.popen.send_signal(signal.SIGINT)
            code, out, err = server.ended()
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert "at the end the server did not answer: " in err


def test_what_is_refused_leaves_nothing_in_the_store(valkey: Valkey) -> None:
    with serving_process("--store", valkey.url, "--provider", "runpod") as server:
        for given in (
            {"name": "bad", "nonsense": 1},
            {"name": "a b/c"},
            {"name": "bad", "clock": "slow"},
            {"name": 1},
            [],
        ):
            assert server.ask("/worlds", given)[0] == 422
    assert valkey.client.keys("fauxvider:world:*") == [b"fauxvider:world:default"]


def test_a_control_request_whose_client_left_makes_nothing(valkey: Valkey) -> None:
    with serving_process("--store", valkey.url) as server:
        host, token = server.control.removeprefix("http://"), server.places["control"]["token"]
        head = (
            f"POST /worlds HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n"
        )
        with RawClient(server.control, timeout_s=60) as client:
            client.send(head.encode())
            assert client.answer() is not None  # somebody reads its body
        for _ in range(20):
            assert server.ask("/worlds") == (200, {"worlds": ["default"]})
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "", "")
