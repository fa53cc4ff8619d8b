"""Jobs that really run: a pipeline that only says what it is told to stands for the real one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from fauxvider import clock
from fauxvider.contract.model import LiveFailure
from fauxvider.engine.recipe import Recipe
from fauxvider.errors import RenderError, UsageError
from fauxvider.ports import Failed, OnEvent, Progress, Rendered, Report, Started
from support.acme import ACME_TEXT
from support.inprocess import Answer, InProcess
from support.machine import Machine
from support.receiver import Receiver

LIVE = """  default_failure: handler_error
  live: {oom: moderation, killed: execution_timeout, evidence: assumed - for these tests}
"""
REPORT = Report(
    pipeline="flux", model="paper", device="cpu", dtype="float32", seed=1, steps=28, size=(64, 64), rendered=(64, 64),
    queued_ms=0, execution_ms=0, encode_ms=3.14159, unapplied=("negative",),
)  # fmt: skip


@dataclass
class Paper:
    """A pipeline made of paper: the test says what becomes of each job."""

    name: str = "paper"
    jobs: dict[str, tuple[Recipe, OnEvent]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    says: str = ""  # of every recipe
    refuses: str = ""
    is_open: bool = False

    async def start(self, *, warm: bool = True) -> None:
        self.is_open = True

    def problem(self, recipe: Recipe) -> str:
        return self.says

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent) -> None:
        if self.refuses:
            raise RenderError(self.refuses)
        self.jobs[job_id] = (recipe, on_event)

    def cancel(self, job_id: str) -> bool:
        if job_id not in self.jobs:
            return False
        self.cancelled.append(job_id)
        self.fail(job_id, "cancelled")
        return True

    async def close(self) -> None:
        self.is_open = False

    # --- what a test makes it say

    def start_job(self, name: str, queued_ms: float = 0) -> None:
        self.jobs[name][1](Started(name, queued_ms))

    def step(self, name: str, step: int, total: int) -> None:
        self.jobs[name][1](Progress(name, step, total))

    def finish(self, name: str, execution_ms: float = 10, data: bytes = b"a picture") -> None:
        _, tell = self.jobs.pop(name)
        tell(Rendered(name, data, replace(REPORT, execution_ms=execution_ms)))

    def fail(self, name: str, kind: Any, execution_ms: float = 10) -> None:
        _, tell = self.jobs.pop(name)
        tell(Failed(name, kind, f"it was {kind}", 0, execution_ms, 1))


class Bench:
    """An emulator with the made-up contract, one world on a machine's time, and the paper pipeline behind it."""

    def __init__(self, contract: Path, machine: Machine, clock: str = "real") -> None:
        self.machine = machine
        self.paper = Paper()
        self.site = InProcess(files=[contract], pipeline=self.paper)
        self.world = self.site.world(clock=clock)
        self.base = self.site.base(self.world, "acme")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given = {"authorization": "Bearer key", **headers}
        return self.site.request(method, self.base + path, headers=given, json_body=body)

    def submit(self, *, model: str = "acme-dev", more: dict[str, Any] | None = None, **given: Any) -> str:
        shown = {"prompt": "a fox", "width": 256, "height": 256, "image_format": "png", **given}
        answer = self.ask("POST", f"/v2/{model}/run", {"input": shown, **(more or {})})
        assert answer.status == 201, answer.text
        self.rest()
        return str(answer.json()["id"])

    def view(self, job: str) -> dict[str, Any]:
        return self.ask("GET", f"/v2/acme-dev/status/{job}").json()

    def rest(self, seconds: float = 0.0) -> None:
        """Let the machine run on, and all happen that is due then."""
        self.machine.run(seconds)

        async def turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        async def wait() -> None:
            await turns()
            await self.world.settle()
            await turns()
            while self.world.attempting:
                await turns()

        self.site.run(wait())

    @property
    def at_work(self) -> list[str]:
        return list(self.paper.jobs)

    def complete(self, seconds: float = 0.03, execution_ms: float = 10) -> None:
        """Take every job from its start to its end."""
        for name in self.at_work:
            self.paper.start_job(name)
            self.rest(seconds)
            self.paper.finish(name, execution_ms)
            self.rest()

    def journal(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.world.journal.entries() if entry["kind"] == kind]

    def charges(self) -> list[Any]:
        return self.site.run(self.site.emulator.ledger(self.world.name))["providers"]["acme"]["charges"]


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contract") / "acme.yaml"
    assert "  default_failure: handler_error\n" in ACME_TEXT
    path.write_text(ACME_TEXT.replace("  default_failure: handler_error\n", LIVE))
    return path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(clock, "time", made)
    return made


@pytest.fixture
def bench(contract: Path, machine: Machine) -> Iterator[Bench]:
    made = Bench(contract, machine)
    with made.site:
        yield made


@pytest.fixture
def still(contract: Path, machine: Machine) -> Iterator[Bench]:
    made = Bench(contract, machine, clock="manual")
    with made.site:
        yield made


# --- a run that goes well


def test_times_are_the_measured_ones(bench: Bench) -> None:
    job = bench.submit()
    assert bench.view(job)["status"] == "IN_QUEUE"
    (name,) = bench.at_work
    bench.rest(0.05)
    bench.paper.start_job(name, queued_ms=30)
    bench.rest(0.05)
    view = bench.view(job)
    assert view["status"] == "IN_PROGRESS"
    assert view["delayTime"] == 30
    bench.paper.finish(name, execution_ms=41)
    bench.rest()
    view = bench.view(job)
    assert (view["status"], view["executionTime"]) == ("COMPLETED", 41)
    assert bench.charges()[0]["amount"] == "0.001311"


def test_no_moment_is_told_before_it_has_come(bench: Bench) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    bench.paper.start_job(name, queued_ms=60_000)
    bench.rest()
    view = bench.view(job)
    assert view["status"] == "IN_PROGRESS"
    assert view["delayTime"] == 0
    bench.rest(0.02)
    bench.paper.finish(name, execution_ms=60_000)
    bench.rest()
    view = bench.view(job)
    assert view["status"] == "COMPLETED"
    assert view["executionTime"] == 20


def test_a_run_of_no_time_takes_a_millisecond(bench: Bench) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    bench.paper.start_job(name)
    bench.paper.finish(name, execution_ms=0.01)
    bench.rest(0.01)
    assert bench.view(job)["executionTime"] == 1


def test_the_picture_is_the_pipelines_and_made_once(bench: Bench) -> None:
    job = bench.submit()
    bench.complete()
    url = bench.view(job)["output"]["image_url"]
    for _ in range(2):
        assert bench.site.request("GET", url).body == b"a picture"
    assert bench.at_work == []


def test_a_picture_that_was_pushed_out_is_made_again(bench: Bench) -> None:
    job = bench.submit()
    bench.complete()
    bench.site.emulator.settings.cache.put("something large", b"x" * 512 * 1024 * 1024)
    asked = bench.site.start("GET", bench.view(job)["output"]["image_url"])
    bench.rest()
    (name,) = bench.at_work
    bench.paper.finish(name, data=b"the same again")
    assert bench.site.finish(asked).body == b"the same again"


def test_several_pictures_are_several_runs_and_one_job(bench: Bench) -> None:
    job = bench.submit(num_outputs=3)
    assert [recipe.number for recipe, _ in bench.paper.jobs.values()] == [1, 2, 3]
    for number, name in enumerate(bench.at_work, 1):
        assert bench.view(job)["status"] == ("IN_QUEUE" if number == 1 else "IN_PROGRESS")
        bench.paper.start_job(name)
        bench.rest(0.02)
        bench.paper.finish(name, data=b"picture %d" % number)
        bench.rest()
    output = bench.view(job)["output"]
    assert [bench.site.request("GET", url).body for url in output["images"]] == [b"picture %d" % n for n in (1, 2, 3)]


def test_progress_is_counted_in_steps(bench: Bench) -> None:
    job = bench.submit(num_outputs=2)
    live = bench.site.emulator.settings.live
    provider = bench.world.provider("acme")
    shown = bench.site.run(bench.site.emulator.job(bench.world.name, job))
    assert (shown["progress"], shown["ends"]) == (0.0, None)  # nobody knows
    first, second = bench.at_work
    bench.paper.start_job(first)
    bench.paper.step(first, 7, 28)
    bench.rest()
    assert live.progress(provider, job) == 0.125
    bench.paper.finish(first)
    bench.paper.step(second, 28, 28)
    bench.rest()
    assert live.progress(provider, job) == 1.0
    shown = bench.site.run(bench.site.emulator.job(bench.world.name, job))
    assert (shown["progress"], shown["ends"], shown["failure"]) == (1.0, None, "")


def test_the_journal_says_how_a_picture_was_made(bench: Bench) -> None:
    bench.submit()
    bench.complete(execution_ms=12.3456)
    (entry,) = bench.journal("rendered")
    assert entry["renderer"] == "diffusers"
    assert (entry["model"], entry["steps"], entry["size"], entry["rendered"]) == ("paper", 28, [64, 64], [64, 64])
    assert (entry["execution_ms"], entry["encode_ms"], entry["unapplied"]) == (12.3, 3.1, ["negative"])
    assert bench.journal("ended")[0]["at"] == entry["at"]


def test_a_held_answer_comes_with_the_end(bench: Bench) -> None:
    body = {"input": {"prompt": "a fox"}}
    url = bench.base + "/v2/acme-dev/runsync"
    held = bench.site.start("POST", url, headers={"authorization": "Bearer key"}, json_body=body)
    bench.rest()
    bench.complete()
    assert bench.site.finish(held).json()["status"] == "COMPLETED"


# --- a run that does not


@pytest.mark.parametrize("kind", get_args(LiveFailure))
def test_each_accident_is_the_contracts_own_failure_and_called_back(bench: Bench, kind: str) -> None:
    with Receiver() as receiver:
        job = bench.submit(more={"webhook": receiver.url})
        (name,) = bench.at_work
        bench.paper.start_job(name)
        bench.rest(0.03)
        bench.paper.fail(name, kind, execution_ms=20)
        bench.rest(0.1)
        (hit,) = receiver.wait(1)
    view = bench.view(job)
    error, status = {"oom": ("flagged", "FAILED"), "killed": ("job timed out", "TIMED_OUT")}.get(
        kind, ("upstream returned 500", "FAILED")
    )
    assert (view["error"], view["status"], view["executionTime"]) == (error, status, 20)
    assert b'"run.failed"' in hit.body
    (entry,) = bench.journal("rendered")
    assert (entry["failed"], entry["why"]) == (kind, f"it was {kind}")
    assert bench.charges() == []


def test_a_run_that_never_starts_fails_at_once(bench: Bench) -> None:
    bench.paper.refuses = "no more room"
    job = bench.submit()
    view = bench.view(job)
    assert (view["status"], view["error"]) == ("FAILED", "upstream returned 500")
    assert "executionTime" not in view


def test_one_failed_picture_ends_the_job_and_the_others(bench: Bench) -> None:
    job = bench.submit(num_outputs=3)
    first, second, third = bench.at_work
    bench.paper.start_job(first)
    bench.paper.fail(first, "nan")
    bench.rest(0.01)
    assert bench.view(job)["status"] == "FAILED"
    assert bench.paper.cancelled == [second, third]
    assert bench.at_work == []


@pytest.mark.parametrize("started", [False, True])
def test_a_cancelled_job_is_cancelled_in_the_pipeline(bench: Bench, started: bool) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    if started:
        bench.paper.start_job(name)
        bench.rest()
    assert bench.ask("POST", f"/v2/acme-dev/cancel/{job}").json()["status"] == "CANCELLED"
    bench.rest()
    assert bench.paper.cancelled == [name]
    assert bench.view(job)["status"] == "CANCELLED"
    assert bench.journal("rendered") == bench.charges() == []


def test_a_picture_that_comes_after_the_cancellation_is_thrown_away(bench: Bench) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    tell = bench.paper.jobs[name][1]
    bench.paper.cancel = lambda job_id: True  # type: ignore[method-assign] # too late: the model has finished
    bench.ask("POST", f"/v2/acme-dev/cancel/{job}")
    tell(Rendered(name, b"a picture", REPORT))
    bench.rest()
    assert bench.view(job)["status"] == "CANCELLED"
    assert bench.journal("rendered") == []


def test_purging_stops_what_waits(bench: Bench) -> None:
    jobs = [bench.submit() for _ in range(2)]
    names = bench.at_work
    bench.paper.start_job(names[0])
    bench.rest()
    assert bench.ask("POST", "/v2/acme-dev/purge-queue").json()["removed"] == 1
    bench.rest()
    assert bench.paper.cancelled == names[1:]
    assert [bench.view(job)["status"] for job in jobs] == ["IN_PROGRESS", "CANCELLED"]


def test_the_providers_deadline_ends_a_run_that_has_started(bench: Bench) -> None:
    job = bench.submit(more={"policy": {"executionTimeout": 60}})
    (name,) = bench.at_work
    bench.rest(0.1)
    assert bench.view(job)["status"] == "IN_QUEUE"  # the wait does not count
    bench.paper.start_job(name)
    bench.rest(0.1)
    view = bench.view(job)
    assert (view["status"], view["executionTime"]) == ("TIMED_OUT", 60)
    assert bench.paper.cancelled == [name]


def test_a_job_that_is_removed_is_not_worked_for(bench: Bench) -> None:
    job = bench.submit(more={"policy": {"ttl": 30}})
    (name,) = bench.at_work
    bench.rest(0.05)
    assert bench.ask("GET", f"/v2/acme-dev/status/{job}").status == 404
    bench.paper.start_job(name, queued_ms=50)
    bench.rest()
    assert bench.paper.cancelled == [name]


def test_a_retry_is_a_run_of_its_own(bench: Bench) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    bench.paper.fail(name, "killed")
    bench.rest()
    assert bench.view(job)["status"] == "TIMED_OUT"
    assert bench.ask("POST", f"/v2/acme-dev/retry/{job}").json()["status"] == "IN_QUEUE"
    bench.rest()
    (again,) = bench.at_work
    assert again != name
    bench.complete()
    view = bench.view(job)
    assert view["status"] == "COMPLETED"
    assert bench.site.request("GET", view["output"]["image_url"]).body == b"a picture"


def test_forcing_an_end_stops_the_run(bench: Bench) -> None:
    job = bench.submit()
    (name,) = bench.at_work
    bench.paper.start_job(name)
    bench.rest()
    bench.site.run(bench.site.emulator.force(bench.world.name, job, failure="moderation"))
    bench.rest()
    assert bench.paper.cancelled == [name]
    assert bench.view(job)["error"] == "flagged"


def test_a_dropped_world_takes_its_runs_along(bench: Bench) -> None:
    bench.submit()
    (name,) = bench.at_work
    bench.site.emulator.drop_world(bench.world.name)
    bench.rest()
    assert bench.paper.cancelled == [name]


# --- what does not really run


def test_what_cannot_be_rendered_is_refused_before_it_is_a_job(bench: Bench) -> None:
    bench.paper.says = "a source picture of 9x9 is under 64 pixels a side"
    answer = bench.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "a fox"}})
    assert answer.status == 422
    assert bench.paper.says in answer.text
    assert bench.site.run(bench.site.emulator.jobs(bench.world.name)) == []


def test_a_job_that_is_to_fail_does_not_run(bench: Bench) -> None:
    answer = bench.ask("POST", "/v2/acme-dev/run", {"input": {}})
    assert answer.status == 201
    bench.rest()
    assert bench.at_work == []


def test_a_model_without_a_pipeline_keeps_formula_and_timing(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    plain = ACME_TEXT.replace('guidance: "{param.guidance}", pipeline: flux}', 'guidance: "{param.guidance}"}')
    path.write_text(plain.replace("base: 300ms, per_step: 130ms", "base: 30ms, per_step: 0ms"))
    other = Bench(path, bench.machine)
    with other.site:
        job = other.submit()
        assert other.at_work == []
        other.rest(0.1)
        data = other.site.request("GET", other.view(job)["output"]["image_url"]).body
        assert data.startswith(b"\x89PNG")
        assert other.journal("rendered")[0]["renderer"] == "synthetic"


def test_on_a_virtual_clock_the_contract_keeps_time_and_the_pipeline_makes_the_pictures(still: Bench) -> None:
    job = still.submit()
    assert still.at_work == []
    still.site.advance(still.world, "10s")
    view = still.view(job)
    assert view["status"] == "COMPLETED"
    asked = still.site.start("GET", view["output"]["image_url"])
    still.rest()
    (name,) = still.at_work
    still.paper.finish(name)
    assert still.site.finish(asked).body == b"a picture"
    assert still.journal("rendered")[0]["renderer"] == "diffusers"


def test_a_picture_that_fails_on_a_virtual_clock_comes_from_the_formula(still: Bench) -> None:
    job = still.submit()
    still.site.advance(still.world, "10s")
    asked = still.site.start("GET", still.view(job)["output"]["image_url"])
    still.rest()
    still.paper.fail(still.at_work[0], "oom")
    assert still.site.finish(asked).body.startswith(b"\x89PNG")
    (entry,) = still.journal("rendered")
    assert (entry["renderer"], entry["failed"], entry["why"]) == ("synthetic", "oom", "it was oom")


def test_a_clock_that_runs_faster_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"not the clock scaled:60"):
        bench.site.world(clock="scaled:60")


def test_a_scenarios_job_goes_as_the_scenario_says(bench: Bench) -> None:
    rules = [{"on": "job", "do": {"stuck": "IN_QUEUE"}, "times": 1}]
    bench.world = bench.site.world(clock="real", scenario={"scenario": 1, "name": "stuck", "rules": rules})
    bench.base = bench.site.base(bench.world, "acme")
    bench.submit()
    assert bench.at_work == []
    bench.submit()
    assert len(bench.at_work) == 1


def test_serving_loads_neither_torch_nor_diffusers() -> None:
    modules = "fauxvider.cli.serve, fauxvider.cli.rendering, fauxvider.cli.calibrate, fauxvider.cli.demo, "
    modules += (
        "fauxvider.service.live, fauxvider.embedded, fauxvider.server.build, fauxvider.renderers.diffusers.handle"
    )
    code = f"import sys, {modules}; print([n for n in ('torch', 'diffusers', 'transformers') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"[]"
