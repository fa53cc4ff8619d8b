"""The emulator in the calling thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fauxvider import LocalServer, UsageError, WorldHandle
from fauxvider.local import Answer, Callback

KEY = {"Authorization": "Bearer k", "API-KEY": "k", "Content-Type": "application/json"}
FLUX = "/v2/black-forest-labs-flux-1-dev"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(clock="manual") as server:
        yield server


def _submit(server: LocalServer, world: WorldHandle, **extra: Any) -> Answer:
    body = json.dumps({"input": {"prompt": "a lighthouse"}, **extra}).encode()
    return server.request("POST", world.base_url("runpod") + FLUX + "/run", headers=KEY, body=body)


def _status(server: LocalServer, world: WorldHandle, job: str) -> Any:
    return server.request("GET", f"{world.base_url('runpod')}{FLUX}/status/{job}", headers=KEY).json()


def test_a_job_runs_its_course_without_a_socket(server: LocalServer) -> None:
    with server.world() as world:
        job = _submit(server, world).json()["id"]
        assert _status(server, world, job)["status"] == "IN_QUEUE"
        world.advance("1m")
        done = _status(server, world, job)
        assert done["status"] == "COMPLETED"
        picture = server.request("GET", done["output"]["image_url"])
        assert picture.status == 200
        assert picture.header("content-TYPE") == "image/jpeg"
        assert picture.body.startswith(b"\xff\xd8")


def test_a_real_host_is_answered_by_the_world_that_is_named(server: LocalServer) -> None:
    with server.world() as world:
        job = _submit(server, world).json()["id"]
        url = f"https://api.runpod.ai{FLUX}/status/{job}"
        assert server.request("GET", url, headers=KEY, world=world.name).json()["id"] == job
        assert server.request("GET", url, headers=KEY).status == 404
        world.advance("1m")
        done = server.request("GET", url, headers=KEY, world=world.name).json()
        host = done["output"]["image_url"]
        assert host.startswith("https://")
        assert server.request("GET", host, world=world.name).status == 200


def test_callbacks_go_to_a_function_that_may_call_back() -> None:
    seen: list[tuple[Callback, str]] = []
    answers = iter([503, "reset", "timeout", 200])

    def deliver(callback: Callback) -> Any:
        word = _status(server, world, callback.json()["id"])["status"]
        seen.append((callback, word))
        return next(answers)

    with LocalServer(deliver=deliver, clock="manual") as server, server.world() as world:
        _submit(server, world, webhook="http://client.test/hook?x=1")
        world.advance("10m")
        assert [word for _, word in seen] == ["COMPLETED"] * len(seen)
        outcomes = [attempt for one in world.deliveries() for attempt in one["attempts"]]
        assert len(outcomes) == len(seen) == 3
        assert len({callback.body for callback, _ in seen}) == 1
        assert seen[0][0].url == "http://client.test/hook?x=1"
        assert seen[0][0].header("CONTENT-type") == "application/json"


def test_what_a_receiver_raises_is_raised_and_the_world_goes_on() -> None:
    def deliver(callback: Callback) -> Any:
        raise LookupError(callback.url)

    with LocalServer(deliver=deliver, clock="manual") as server, server.world() as world:
        _submit(server, world, webhook="http://client.test/hook")
        with pytest.raises(LookupError, match=r"client\.test"):
            world.advance("1m")
        server.deliver = lambda _callback: 200
        world.advance("1m")
        assert world.jobs()[0]["status"] == "COMPLETED"


@pytest.mark.parametrize("answer", [None, True, 99, 600, "nonsense"])
def test_an_answer_that_is_none(answer: Any) -> None:
    with LocalServer(deliver=lambda _callback: answer, clock="manual") as server, server.world() as world:
        _submit(server, world, webhook="http://client.test/hook")
        with pytest.raises(UsageError, match="'reset' or 'timeout'"):
            world.advance("1m")


FAULTS = [
    ({"lose": "reset"}, "reset", 0),
    ({"lose": "close"}, "close", 0),
    ({"lose": "hang"}, "hang", 0),
    ({"lose": "truncate"}, "truncate", 200),
    ({"garble": "length"}, "length", 200),
    ({"drip": "5s"}, "drip", 200),
    ({"garbage": True}, "garbage", 0),
    ({"half_close": True}, "half_close", 200),
]


@pytest.mark.parametrize(("fault", "name", "status"), FAULTS, ids=[name for _, name, _ in FAULTS])
def test_what_would_happen_on_a_wire_is_named(server: LocalServer, fault: Any, name: str, status: int) -> None:
    rule = {"on": "request", "when": {"does": "submit"}, "do": fault}
    with server.world(scenario={"scenario": 1, "name": "cut", "rules": [rule]}) as world:
        answer = _submit(server, world)
        assert (answer.fault, answer.status) == (name, status)
        length = int(answer.header("content-length") or 0)
        assert (len(answer.body) < length) == (name in ("truncate", "length", "half_close"))
        assert len(world.jobs()) == 1


def test_inside_a_running_loop(server: LocalServer) -> None:
    async def client() -> str:
        with server.world() as world:
            return str(_submit(server, world).json()["status"])

    assert asyncio.run(client()) == "IN_QUEUE"


def test_after_its_end_it_says_so() -> None:
    server = LocalServer()
    server.close()
    server.close()
    with pytest.raises(UsageError, match="closed"):
        server.request("GET", "http://fauxvider.local/")


def test_a_key_in_the_path_of_a_callback_address_is_not_shown() -> None:
    key = "sk-canary-0123456789"
    with LocalServer(deliver=lambda _callback: 200, clock="manual") as server, server.world() as world:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        body = json.dumps({"input": {"prompt": "x"}, "webhook": f"http://client.test/hook/{key}/1"}).encode()
        server.request("POST", world.base_url("runpod") + FLUX + "/run", headers=headers, body=body)
        world.advance("1m")
        report = world.report()
        assert [entry["address"] for entry in report.entries if "address" in entry] == [
            "http://client.test/(the API key)"
        ] * 2
        assert "leaked-key-to-callback" in {finding.rule for finding in report.verdict().findings}
        assert "canary" not in "\n".join([*report.story(), report.page(), str(report.entries)])
