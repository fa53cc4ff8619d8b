"""Capsules: a run is saved without a secret, and repeats byte for byte, here and in another process."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import fauxvider_contracts
from fauxvider import Server, UsageError, WorldHandle
from fauxvider.capsule import Capsule, Rerun, read_capsule, replay, reproduce_text, save_capsule
from fauxvider.gate import dump_json
from fauxvider.scenario.parse import read_scenario
from fauxvider.service import recorder
from fauxvider.service.saving import capsule_bytes, journal_lines
from support.clients import Client as PatientClient
from support.fixtures import Case, fixture_files
from support.inprocess import InProcess
from support.patience import PATIENCE_S, until
from support.playing import Field
from support.receiver import Receiver

ACME = Path(__file__).parent.parent / "data" / "acme.yaml"
SCENARIOS = Path(fauxvider_contracts.__file__).parent / "scenarios"
KEY = "canary-key-5b0f3a7c91d24e68a0b7"
RULES: list[dict[str, Any]] = [
    {"on": "request", "when": {"does": "submit", "nth": 2}, "do": {"lose": "reset"}},
    {"on": "request", "when": {"does": "file"}, "do": {"slow": "2s"}},
    {"on": "job", "when": {"job": 3}, "do": {"stuck": "IN_PROGRESS"}},
    {"on": "delivery", "when": {"nth": {"every": 2}}, "do": {"duplicate": 2}},
    {"on": "delivery", "when": {"nth": 4}, "do": {"hold": 1}},
    {"on": "delivery", "when": {"nth": 5}, "do": {"replay": "3s"}},
    {"on": "delivery", "when": {"nth": 6}, "do": {"early": True}},
    {"on": "attempt", "when": {"nth": {"every": 3}}, "do": {"sign": "wrong"}},
]
SCENARIO = {"scenario": 1, "name": "much goes wrong", "rules": RULES}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(providers=["runpod"], contracts=[ACME]) as one:
        yield one


class Client:
    def __init__(self, world: WorldHandle, *, key: str = KEY) -> None:
        self.world = world
        self.key = key
        self.base = world.base_url("acme")
        self.jobs: list[str] = []

    def call(self, method: str, url: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", "authorization": f"Bearer {self.key}", **headers}
        url = url if "://" in url else self.base + url
        try:
            with urlopen(Request(url, data=data, headers=sent, method=method), timeout=PATIENCE_S) as answer:
                found = answer.read()
        except HTTPError as error:
            found = error.read()
        except OSError:
            return None
        return json.loads(found) if found.startswith((b"{", b"[")) else found

    def submit(self, *, hook: str = "", intent: str = "", **given: Any) -> Any:
        body: dict[str, Any] = {"input": {"prompt": "a fox", "width": 256, "height": 256, **given}}
        body |= {"webhook": hook} if hook else {}
        made = self.call("POST", "/v2/acme-dev/run", body, **({"Idempotency-Key": intent} if intent else {}))
        if isinstance(made, dict) and "id" in made:
            self.jobs.append(made["id"])
        return made

    def status(self, job: str) -> Any:
        return self.call("GET", f"/v2/acme-dev/status/{job}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have a request wait while the block runs."""
        before = len(self.world.jobs())
        body = {"input": {"prompt": "held", "width": 256, "height": 256}}
        thread = threading.Thread(target=self.call, args=("POST", "/v2/acme-dev/runsync", body))
        thread.start()
        until(lambda: len(self.world.jobs()) > before)
        yield
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def _story(client: Client, hook: str) -> None:
    """Do a bit of everything on a clock that is moved by hand."""
    world = client.world
    for number in range(4):
        client.submit(hook=f"{hook}?token=canary-token-{number}", intent=f"canary-intent-{number // 2}")
    client.submit(width=1000)
    client.call("POST", "/v2/acme-dev/run", b"{]")
    world.advance("2s")
    with client.held():
        client.status(client.jobs[0])
        world.advance("30s")
        world.advance("1m")
    done = client.status(client.jobs[0])
    picture = threading.Thread(target=client.call, args=("GET", done["output"]["image_url"]))
    picture.start()
    inside = world._server.emulator.world(world.name)
    until(lambda: inside.held or not picture.is_alive())  # where it is slow, it waits for time to go on
    world.advance("5s")
    picture.join(PATIENCE_S)
    assert not picture.is_alive()
    world.force(client.jobs[-1], failure="handler_error")
    client.call("POST", f"/v2/acme-dev/retry/{client.jobs[-1]}")
    client.submit(hook=hook)
    client.call("POST", f"/v2/acme-dev/cancel/{client.jobs[-1]}")
    world.ledger()
    world.note("processed", job=client.jobs[0], text="once")
    world.advance("20s")


def _saved(world: WorldHandle) -> tuple[Capsule, bytes]:
    return read_capsule(save_capsule(world)), journal_lines(world.journal()["entries"])


@pytest.mark.parametrize("clock", ["manual", "stepping:1s"])
@pytest.mark.parametrize("scenario", [None, SCENARIO], ids=["nothing goes wrong", "much goes wrong"])
def test_a_run_repeats_byte_for_byte(server: Server, clock: str, scenario: dict[str, Any] | None) -> None:
    given = {"scenario": scenario} if scenario else {}
    with Receiver(answers=[500, "close", 200, 302, 200]) as hook, server.world(clock=clock, **given) as world:
        _story(Client(world), hook.url)
        capsule, journal = _saved(world)
    first, second = (replay(capsule, contracts=[ACME]) for _ in range(2))
    assert first.first_difference == ""
    assert first.matches
    assert first.journal == second.journal == journal
    assert any(step.held for step in capsule.steps)


@pytest.mark.parametrize("clock", ["real", "scaled:400"])
def test_a_run_of_a_running_clock_repeats_to_the_millisecond(server: Server, clock: str) -> None:
    with Receiver(answers=[500, "close", 200]) as hook, server.world(clock=clock, scenario=SCENARIO) as world:
        client = Client(world)
        steps = {"num_inference_steps": 1}
        for number in range(4):
            client.submit(hook=hook.url, intent=f"i{number // 2}", **steps)
        client.call("POST", "/v2/acme-dev/runsync?wait=1000", {"input": {"prompt": "held", **steps}})
        hook.wait(2, timeout_s=PATIENCE_S)
        client.status(client.jobs[0])
        world.ledger()
        world.force(client.jobs[-1])
        capsule, journal = _saved(world)
    result = replay(capsule, contracts=[ACME])
    assert result.first_difference == ""
    assert journal.startswith(result.journal)  # something may have fallen due since it was saved


@pytest.mark.parametrize("clock", ["manual", "stepping:1s", "real", "scaled:400"])
def test_what_five_clients_did_at_once_repeats(server: Server, clock: str) -> None:
    """The order in which the world came to things is part of the record."""
    with Receiver(answers=[500, "close", 200, 200, 503]) as hook, server.world(clock=clock, scenario=SCENARIO) as world:
        client = Client(world)

        def work(seed: int) -> None:
            drawn = random.Random(seed)
            for _ in range(8):
                what = drawn.randrange(5)
                if what < 2 or not client.jobs:
                    client.submit(hook=hook.url, intent=str(drawn.randrange(3)), num_inference_steps=1)
                elif what == 2:
                    client.call("POST", "/v2/acme-dev/runsync?wait=1000", {"input": {"prompt": "held"}})
                elif what == 3:
                    found = client.status(drawn.choice(client.jobs))
                    if isinstance(found, dict) and found.get("output"):
                        client.call("GET", found["output"]["image_url"])
                else:
                    client.call("POST", f"/v2/acme-dev/cancel/{drawn.choice(client.jobs)}")

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(5)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if clock in ("manual", "stepping:1s"):
                world.advance("700ms")
            world.ledger()
        capsule, journal = _saved(world)
    result = replay(capsule, contracts=[ACME])
    assert result.first_difference == ""
    assert journal.startswith(result.journal)  # something may have fallen due since it was saved


def _fauxvider(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fauxvider", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def _pytest(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(path.parent), str(path)]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def saved(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("capsule") / "run.capsule.json.gz"
    with Receiver(answers=[500, 200]) as hook, server.world(clock="manual", scenario=SCENARIO) as world:
        _story(Client(world), hook.url)
        world.save(path)
        return path, journal_lines(world.journal()["entries"])


def test_another_process_gives_the_same_bytes(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    path, journal = saved
    done = _fauxvider("replay", path, "--contract", ACME, "--journal", "out.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.jsonl").read_bytes() == journal
    assert done.stdout.splitlines()[-1].startswith("identical: ")
    assert "rule 1 took effect" in done.stdout


def test_a_replay_tells_what_the_client_did_wrong(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    path, _ = saved
    done = _fauxvider("replay", path, "--contract", ACME, "--verdict", "--timeline", "out.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The client's faults: " in done.stdout
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    rules = re.findall(r"^(?:harm|risk)  ([a-z-]+)", done.stdout, re.MULTILINE)
    assert rules
    assert all(f">{rule}<" in page for rule in rules)


def test_an_edited_capsule_tells_its_first_difference(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    tree = json.loads(gzip.decompress(saved[0].read_bytes()))
    number = next(at for at, step in enumerate(tree["steps"]) if step["do"] == "sent" and step.get("status") == 500)
    tree["steps"][number]["status"] = 418
    edited = tmp_path / "edited.json"
    edited.write_bytes(dump_json(tree))
    done = _fauxvider("replay", edited, "--contract", ACME, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("different: entry ")
    assert '"status":418' in last


def test_a_bad_capsule_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"capsule": 1, "steps": []}')
    for command in (("replay", "bad.json"), ("reproduce", "bad.json", "--out", "test_x.py"), ("replay", "none.json")):
        done = _fauxvider(*command, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("fauxvider: ")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "test_x.py").exists()


def test_the_reproduced_test_passes_and_fails_once_it_is_edited(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    done = _fauxvider("reproduce", saved[0], "--out", "test_x.py", "--contract", ACME, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "test_x.py"
    command = [sys.executable, "-m", "ruff", "check", "--isolated", str(path)]
    ruff = subprocess.run(command, check=False, capture_output=True)
    assert b"No module named ruff" in ruff.stderr or ruff.returncode == 0, ruff.stdout
    passed = _pytest(path)
    assert passed.returncode == 0, passed.stdout
    text = path.read_text()
    assert KEY not in text
    assert 'said="processed"' in text
    path.write_text(text.replace('said="processed"', 'said="saved"'))
    failed = _pytest(path)
    assert failed.returncode == 1
    assert "entry " in failed.stdout


def test_of_an_edited_capsule_the_reproduced_test_fails(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    tree = json.loads(gzip.decompress(saved[0].read_bytes()))
    tree["world"]["seed"] += 1
    path = tmp_path / "test_edited.py"
    path.write_text(reproduce_text(read_capsule(dump_json(tree)), contracts=[ACME]))
    assert _pytest(path).returncode == 1


def test_a_capsule_played_with_a_changed_contract(saved: tuple[Path, bytes], tmp_path: Path) -> None:
    other = tmp_path / "acme.yaml"
    other.write_text(ACME.read_text() + "# changed\n")
    refused = _fauxvider("replay", saved[0], "--contract", other, cwd=tmp_path)
    assert refused.returncode == 2
    assert "/contracts/acme" in refused.stderr
    played = _fauxvider("replay", saved[0], "--contract", other, "--any-contract", cwd=tmp_path)
    assert played.returncode == 0


# --- secrets


def test_no_secret_is_in_a_capsule(server: Server) -> None:
    canaries = {name: f"canary-{name}-{'0123456789abcdef' * 2}" for name in (
        "key", "api", "basic", "intent", "user", "password", "query", "mark", "escaped", "wrongfield", "broken",
        "cookie", "inbody", "other",
    )}  # fmt: skip
    with Receiver(answers=[500, 200]) as hook, server.world(
        clock="manual", keys=[canaries["key"], {"key": canaries["api"], "state": "unfunded", "name": "poor"}]
    ) as world:  # fmt: skip
        client = Client(world, key=canaries["key"])
        place = hook.url.removeprefix("http://")
        who = f"{canaries['user']}:{canaries['password']}"
        client.submit(hook=f"http://{who}@{place}?t={canaries['query']}#{canaries['mark']}")
        client.submit(hook=f"{hook.url}?t={canaries['query']}", intent=canaries["intent"])
        client.submit(hook=f"{hook.url}?token={canaries['key']}&x=1")
        client.submit(hook=f"http://me:{canaries['key']}@{place}")
        client.submit(prompt=f"my key is {canaries['key']}")
        headers = {"API-KEY": canaries["api"], "Cookie": canaries["cookie"], "X-Own": canaries["other"]}
        client.call("POST", "/v2/acme-dev/run", {"input": {"prompt": "x"}}, authorization="", **headers)
        client.call("GET", "/v2/me", authorization=f"Basic {canaries['basic']}")
        escaped = f'{{"input": {{"prompt": "x"}}, "webhook": "http:\\/\\/u:{canaries["escaped"]}@{place}"}}'
        client.call("POST", "/v2/acme-dev/run", escaped.encode())
        wrong = {"input": {"prompt": 3}, "callback": f"{hook.url}?{canaries['wrongfield']}"}
        client.call("POST", "/v2/acme-dev/run", wrong)
        client.call("POST", "/v2/acme-dev/run", f'{{"webhook": "{hook.url}?{canaries["broken"]}"'.encode())
        world.advance("1m")
        data, journal = save_capsule(world), journal_lines(world.journal()["entries"])
    assert b"canary" not in data
    assert journal.count(b'"leaks":"key"') == 2  # the rule about keys in addresses sees them in the repeated run, too
    result = replay(read_capsule(data), contracts=[ACME])
    assert result.first_difference == ""
    assert result.journal == journal
    assert "canary" not in reproduce_text(read_capsule(data))
    states = {key["key"]: key["state"] for key in read_capsule(data).world["keys"]}
    assert states == {"key-1": "active", "key-2": "unfunded"}


def test_what_cannot_be_taken_out_is_not_saved(server: Server) -> None:
    with server.world(clock="manual") as world:
        Client(world).call("GET", f"/v2/acme-dev/status/{KEY}")
        with pytest.raises(UsageError, match="an API key stands in"):
            save_capsule(world)


# --- what is recorded


def test_only_what_is_recorded_is_saved(server: Server) -> None:
    with server.world(record=False) as world, pytest.raises(UsageError, match="record: true"):
        save_capsule(world)
    with pytest.raises(UsageError, match="record"):
        server.world(record="yes")
    with Server(providers=["runpod"], record=False) as other, other.world() as world, pytest.raises(UsageError):
        world.save("never.json")


def test_a_run_that_is_too_long_is_dropped_whole_and_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_REQUESTS", 3)
    with server.world(clock="manual") as world:
        for _ in range(5):
            Client(world).call("GET", "/v2/me")
        with pytest.raises(
            UsageError, match=r"5 steps of its run were dropped \(a capsule holds 5000 requests"
        ) as caught:
            save_capsule(world)
    assert "\n" not in str(caught.value)


def test_bodies_are_bounded_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_BYTES", 1000)
    with server.world(clock="manual") as world:
        Client(world).submit(prompt="x" * 1500)
        with pytest.raises(UsageError, match="16 MB"):
            save_capsule(world)


@pytest.fixture(scope="module")
def recorded() -> Iterator[InProcess]:
    with InProcess() as host:
        host.emulator.defaults = replace(host.emulator.defaults, record=True)
        yield host


@pytest.mark.parametrize("path", fixture_files()[::4], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_documented_case_repeats(path: Path, recorded: InProcess) -> None:
    case = Case(path, recorded)
    case.run()
    try:
        capsule = read_capsule(capsule_bytes(recorded.emulator, case.world.name))
    except UsageError as too_much:
        assert "a capsule holds 5000 requests and 16 MB" in str(too_much)  # noqa: PT017 - few cases send as much
        return
    result = replay(capsule)
    assert result.first_difference == ""
    assert result.journal == journal_lines(case.world.journal.entries())


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    made = Field()
    yield made
    made.close()


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_of_the_library_repeats(path: Path, field: Field) -> None:
    scenario = read_scenario(path)
    at = field.play(scenario.provider or "", name="library", scenario=scenario.source, record=True)
    try:
        at.perform(at.client(PatientClient, "hybrid"), ["a fox", "an owl"], after=7200)
        capsule = read_capsule(capsule_bytes(at.host.emulator, at.world.name))
        journal = journal_lines(at.entries())
    finally:
        at.close()
    result = replay(capsule)
    assert result.first_difference == ""
    assert result.journal == journal


def test_the_control_plane_gives_capsules(server: Server) -> None:
    from httpx import ASGITransport, AsyncClient

    from fauxvider.server.control import control_app

    async def ask(name: str) -> Any:
        app = control_app(server.emulator, token="t", hosts=frozenset({"control"}))
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://control") as client:
            return await client.get(f"/worlds/{name}/capsule", headers={"authorization": "Bearer t"})

    with server.world(clock="manual") as world:
        Client(world).call("GET", "/v2/me")
        answer = asyncio.run(ask(world.name))
        assert answer.content == save_capsule(world)
        assert answer.headers["content-type"] == "application/json"
    with server.world(record=False) as world:
        assert asyncio.run(ask(world.name)).status_code == 422


def test_a_rerun_can_be_asked_and_gone_on_with(server: Server) -> None:
    with server.world(clock="manual") as world:
        client = Client(world)
        client.submit()
        capsule, _ = _saved(world)
    answers = []
    replay(capsule, contracts=[ACME], on_step=lambda _number, _step, answer: answers.append(answer))
    assert [answer.status for answer in answers if answer] == [201]
    with Rerun(capsule.world, contracts=capsule.contracts, prints=capsule.prints, files=[ACME]) as run:
        (made,) = [run.play(step) for step in capsule.steps]
        assert made is not None
        run.advance(60_000)
        seen = run.request("GET", "acme", f"/v2/acme-dev/status/{made.json()['id']}", headers={"API-KEY": "key-1"})
        assert seen.json()["status"] == "COMPLETED"
        assert seen.json()["id"] == client.jobs[0]
