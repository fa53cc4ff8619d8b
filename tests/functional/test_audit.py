"""audit: what a client really did with an emulator, written down as HAR and judged afterwards."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fauxvider import Server
from fauxvider.cli.audit import audit as command
from fauxvider.embedded import WorldHandle
from fauxvider.errors import FauxviderError
from fauxvider.toolkit.verify.client import Client

KEY = "sk-this-is-nobodys-business"
FLUX = "/v2/black-forest-labs-flux-1-dev"
INPUT = {"input": {"prompt": "a lighthouse"}}


class Tape:
    """A client that writes down what it does."""

    def __init__(self, world: WorldHandle) -> None:
        self.world = world
        self.entries: list[dict[str, Any]] = []

    def ask(self, method: str, url: str, body: Any = None, *, key: str | None = KEY, **changed: Any) -> Any:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        data = b"" if body is None else json.dumps(body).encode()
        if data:
            headers["content-type"] = "application/json"
        at = datetime.fromtimestamp(self.world.now() / 1000, UTC).isoformat(timespec="milliseconds")
        answer = Client().send(method, url, headers=headers, body=data)
        response: dict[str, Any] = {
            "status": answer.status,
            "headers": [{"name": name, "value": value} for name, value in answer.headers],
            "content": {"text": b64encode(answer.body).decode(), "encoding": "base64"},
        }
        if "shown" in changed:
            response["content"] = {"text": json.dumps(changed["shown"](json.loads(answer.body)))}
        response["status"] = changed.get("status", answer.status)
        request = {"method": method, "url": url, "headers": [{"name": k, "value": v} for k, v in headers.items()]}
        if data:
            request["postData"] = {"text": data.decode()}
        self.entries.append({"startedDateTime": at, "time": 1, "request": request, "response": response})
        return json.loads(answer.body) if answer.body[:1] in (b"{", b"[") else answer

    def finish(self, api: str, **changed: Any) -> dict[str, Any]:
        """Run a job to its end, and look at it once."""
        job = self.ask("POST", f"{api}/run", INPUT)
        self.world.advance("10s")
        found: dict[str, Any] = self.ask("GET", f"{api}/status/{job['id']}", **changed)
        return found

    def save(self, folder: Path) -> str:
        path = folder / "traffic.har"
        path.write_text(json.dumps({"log": {"version": "1.2", "entries": self.entries}}), encoding="utf-8")
        return str(path)


@pytest.fixture
def tape() -> Iterator[Tape]:
    with Server() as server, server.world(clock="manual") as world:
        yield Tape(world)


def judged(*given: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(command, [*given, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert KEY not in done.output
    return done.exit_code, json.loads(done.output)


def api_of(tape: Tape) -> str:
    return tape.world.base_url("runpod") + FLUX


def test_a_client_that_does_well_is_left_in_peace(tape: Tape, tmp_path: Path) -> None:
    done = tape.finish(api_of(tape))
    tape.ask("GET", done["output"]["image_url"], key=None)
    code, found = judged(tape.save(tmp_path))
    assert code == 0
    assert found["clean"]
    assert found["providers"] == ["runpod"]
    assert found["bill"] == {"USD": "0.02097152"}


def test_a_forbidden_request_is_explained(tape: Tape, tmp_path: Path) -> None:
    tape.ask("POST", f"{api_of(tape)}/runsync", {"input": {"prompt": "x", "width": 1000}})
    code, found = judged(tape.save(tmp_path))
    assert code == 1
    assert "/input/width 1000 is not divisible by 64" in found["forbidden"][0]["text"]
    assert found["violations"] == []


def test_an_answer_that_the_contract_does_not_allow(tape: Tape, tmp_path: Path) -> None:
    tape.finish(api_of(tape), shown=lambda tree: {**tree, "region": "eu", "output": {**tree["output"], "cost": 1}})
    code, found = judged(tape.save(tmp_path))
    assert code == 1
    rules = {one["rule"]: one for one in found["violations"]}
    assert rules["/models/flux-dev/cost"]["wanted"] == "0.02097152"
    assert "/views/job/$of/succeeded" in rules
    assert all(one["line"] for one in found["violations"])


def test_an_error_that_nobody_documented(tape: Tape, tmp_path: Path) -> None:
    tape.ask("GET", f"{api_of(tape)}/status/nothing", status=418)
    code, found = judged(tape.save(tmp_path))
    assert code == 1
    assert found["violations"][0]["got"] == "418"


def test_paying_twice_and_looking_for_ever(tape: Tape, tmp_path: Path) -> None:
    first = tape.finish(api_of(tape))
    tape.finish(api_of(tape))
    for _ in range(5):
        tape.ask("GET", f"{api_of(tape)}/status/{first['id']}")
    code, found = judged(tape.save(tmp_path))
    assert code == 1
    assert len(found["paid_twice"]) == 1
    assert "polled-finished-job" in {one["rule"] for one in found["verdict"]}


def test_a_download_that_comes_too_late(tape: Tape, tmp_path: Path) -> None:
    done = tape.finish(api_of(tape))
    tape.world.advance("8d")
    tape.ask("GET", done["output"]["image_url"], key=None)
    found = judged(tape.save(tmp_path))[1]
    assert "used-expired-url" in {one["rule"] for one in found["verdict"]}


def test_a_key_that_is_sent_to_a_file_host(tape: Tape, tmp_path: Path) -> None:
    done = tape.finish(api_of(tape))
    tape.ask("GET", done["output"]["image_url"])
    found = judged(tape.save(tmp_path))[1]
    assert "leaked-key-to-file-host" in {one["rule"] for one in found["verdict"]}


def test_traffic_of_somebody_else_is_passed_over(tape: Tape, tmp_path: Path) -> None:
    tape.finish(api_of(tape))
    entry = json.loads(json.dumps(tape.entries[0]))
    entry["request"]["url"] = "https://example.com/v1/thing?token=secret"
    tape.entries.append(entry)
    code, found = judged(tape.save(tmp_path))
    assert code == 0
    assert found["exchanges"] == {"all": 3, "passed_over": 1}


def test_an_unknown_provider_and_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "x.har"
    path.write_text("{}", encoding="utf-8")
    for given in ((str(path),), (str(path), "--provider", "nobody"), (str(path), "--base-url", "x")):
        with pytest.raises(FauxviderError) as caught:
            judged(*given)
        assert caught.value.exit_code == 2
