"""Lines of jobs before worker processes, with workers of paper: the test says what each answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.errors import RenderError
from fauxvider.ports import Failed, Progress, Rendered, RunEvent, Started
from fauxvider.renderers.diffusers import line as line_module
from fauxvider.renderers.diffusers import options as options_module
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.process import WorkerProcess, WorkerStartError
from fauxvider.renderers.diffusers.protocol import Cancel, Configure, Done, Ended, Message, Ready, Render, Step, Taken
from fauxvider.renderers.diffusers.results import Results

RECIPE = Recipe(
    provider="acme", model="some-model", pipeline="flux", width=64, height=48, format="png", quality=None,
    prompt="a red fox", negative="", seed=42, steps=3, guidance=None, strength=None, sources=(), number=1,
    run_id="run-1", metadata=False,
)  # fmt: skip
SOURCE = SourceImage("stand_in", label="x")


class Paper:
    """A worker that renders as soon as it is let."""

    def __init__(self, family: str, number: int) -> None:
        self.family = family
        self.ready = Ready(number, "cpu", "float32", {}, 0, 0, 0)
        self.is_alive = True
        self.jobs: list[Render] = []
        self.cancelled: list[str] = []
        self._said: asyncio.Queue[Message | Exception | None] = asyncio.Queue()

    def send(self, message: Message) -> None:
        if isinstance(message, Render):
            self.jobs.append(message)
        elif isinstance(message, Cancel):
            self.cancelled.append(message.job_id)

    async def read(self) -> Message | None:
        said = await self._said.get()
        if isinstance(said, Exception):
            raise said
        return said

    async def kill(self) -> None:
        self.is_alive = False

    bury = close = kill

    # --- what a test makes it say

    def say(self, *messages: Message | Exception | None) -> None:
        for message in messages:
            self._said.put_nowait(message)

    def take(self) -> str:
        job = self.jobs[-1].job_id
        self.say(Taken(job))
        return job

    def finish(self) -> None:
        job = self.take()
        self.say(Step(job, 1, 1), Done(job, 12.0, 1.0, 1, (64, 64), (), "paper", (b"picture",)))


class Yard:
    """A renderer, and every worker that it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workers: list[Paper] = []
        self.refuses = ""
        self.slow: asyncio.Event | None = None
        yard = self

        class Process:
            @staticmethod
            async def start(configure: Configure, *, timeout_s: float) -> Paper:
                worker = Paper(configure.family, len(yard.workers))
                yard.workers.append(worker)
                try:
                    await yard.gate()
                except BaseException:
                    await worker.kill()
                    raise
                return worker

        monkeypatch.setattr(line_module, "WorkerProcess", Process)
        monkeypatch.setattr(options_module, "find_spec", lambda name: name)
        self.renderer = DiffusersRenderer()

    async def gate(self) -> None:
        if self.slow is not None:
            await self.slow.wait()
        if self.refuses:
            raise WorkerStartError(self.refuses)

    async def open(self, *, warm: bool = False, **options: Any) -> None:
        self.renderer = DiffusersRenderer(Options(**options))
        await self.renderer.start(warm=warm)

    async def submit(self, name: str, pipeline: str = "flux", **changes: Any) -> list[RunEvent]:
        events: list[RunEvent] = []
        sources = (SOURCE,) if pipeline == "flux-img2img" else ()
        await self.renderer.submit(name, replace(RECIPE, pipeline=pipeline, sources=sources, **changes), events.append)
        await self.rest()
        return events

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def alive(self) -> list[str]:
        return [worker.family for worker in self.workers if worker.is_alive]


Test = Callable[[Yard], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Test], None]:
    def run(test: Test) -> None:
        async def whole() -> None:
            yard = Yard(monkeypatch)
            try:
                await test(yard)
            finally:
                await yard.renderer.close()
            assert yard.alive == []

        asyncio.run(whole())

    return run


def kinds(events: list[RunEvent]) -> list[Any]:
    return [event.kind if isinstance(event, Failed) else type(event) for event in events]


GOOD = [Started, Progress, Rendered]


def test_each_folder_has_a_worker_and_only_its_own_jobs_wait_for_each_other(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        assert yard.workers == []
        first, second = await yard.submit("1", "flux"), await yard.submit("2", "flux-img2img")
        other = await yard.submit("3", "flux2")
        assert yard.alive == ["flux", "flux2"]
        yard.workers[1].finish()
        await yard.rest()
        assert (kinds(first), kinds(second), kinds(other)) == ([], [], GOOD)
        yard.workers[0].finish()
        await yard.rest()
        assert (kinds(first), [job.pipeline for job in yard.workers[0].jobs]) == (GOOD, ["flux", "flux-img2img"])
        yard.workers[0].finish()
        await yard.rest()
        assert kinds(second) == GOOD
        assert yard.renderer.spawned == len(yard.renderer.workers) == 2

    run(test)


def test_warm_is_what_was_named_or_as_much_as_may_live(run: Any, tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "x.safetensors").write_bytes(b"")
    (tmp_path / "model_index.json").write_text('{"_class_name": "Flux2Pipeline"}')

    async def test(yard: Yard) -> None:
        for options, wanted in (
            ({}, ["flux", "flux2", "flux2-klein"]),
            ({"max_workers": 2}, ["flux", "flux2"]),
            ({"models": (tmp_path,)}, ["flux2"]),
        ):
            await yard.open(warm=True, **options)  # type: ignore[arg-type]
            assert sorted(yard.renderer.workers) == wanted
            await yard.renderer.close()

    run(test)


def test_a_warm_start_that_fails_leaves_nothing(run: Any) -> None:
    async def test(yard: Yard) -> None:
        yard.refuses = "no room"
        with pytest.raises(WorkerStartError, match="no room"):
            await yard.open(warm=True)
        assert len(yard.workers) == 3
        with pytest.raises(RenderError, match="not been started"):
            await yard.submit("1")

    run(test)


def test_one_place_is_handed_on_and_never_are_two_alive(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open(max_workers=1)
        jobs = [await yard.submit(str(number), name) for number, name in enumerate(("flux", "flux2", "flux"))]
        for family in ("flux", "flux2", "flux"):
            assert yard.alive == [family]
            yard.workers[-1].finish()
            await yard.rest()
        assert [kinds(events) for events in jobs] == [GOOD] * 3

    run(test)


def test_a_job_whose_worker_died_unseen_goes_to_the_next_one_once(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        spared = await yard.submit("1")
        yard.workers[0].say(None)
        await yard.rest()
        yard.workers[1].finish()
        await yard.rest()
        assert kinds(spared) == GOOD
        lost = await yard.submit("2")
        for worker in (1, 2):
            yard.workers[worker].say(None)
            await yard.rest()
        assert kinds(lost) == ["killed"]
        begun = await yard.submit("3")
        yard.workers[-1].take()
        yard.workers[-1].say(None)
        await yard.rest()
        assert kinds(begun) == [Started, "killed"]
        assert yard.alive == ["flux"]  # the next job finds one

    run(test)


def test_a_worker_that_cannot_start_fails_its_job_and_is_tried_again(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        yard.refuses = "no room"
        refused = await yard.submit("1")
        assert kinds(refused) == ["unavailable"]
        yard.refuses = ""
        served = await yard.submit("2")
        yard.workers[-1].finish()
        await yard.rest()
        assert kinds(served) == GOOD

    run(test)


def test_a_worker_that_talks_nonsense_is_ended(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        bad, good = await yard.submit("1"), await yard.submit("2")
        yard.workers[0].say(ValueError("no JSON"))
        await yard.rest()
        assert kinds(bad) == ["error"]
        assert not yard.workers[0].is_alive
        yard.workers[1].finish()
        await yard.rest()
        assert kinds(good) == GOOD

    run(test)


def test_a_picture_that_cannot_be_kept_is_an_error_and_the_next_is_served(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def test(yard: Yard) -> None:
        await yard.open(results=tmp_path / "kept")
        monkeypatch.setattr(Results, "put", full)
        lost = await yard.submit("1")
        yard.workers[0].finish()
        while len(lost) < 3:
            await yard.rest()
        assert isinstance(end := lost[-1], Failed)
        assert (end.kind, end.detail) == ("error", "the picture could not be kept: No space left on device")
        monkeypatch.undo()

    run(test)


def test_cancelling_reaches_a_job_wherever_it_is(run: Any) -> None:
    async def test(yard: Yard) -> None:
        yard.slow = asyncio.Event()
        await yard.open(max_workers=1)
        starting, waiting, placeless = [
            await yard.submit(str(number), name) for number, name in enumerate(("flux", "flux", "flux2"))
        ]
        for number in range(3):
            assert yard.renderer.cancel(str(number))
        await yard.rest()
        assert kinds(starting) == kinds(waiting) == kinds(placeless) == ["cancelled"]
        yard.slow.set()
        running = await yard.submit("3")
        worker = next(one for one in yard.workers if one.is_alive and one.jobs)
        job = worker.take()
        await yard.rest()
        assert yard.renderer.cancel("3")
        assert worker.cancelled == [job]
        worker.say(Ended(job, "cancelled", "", 1.0, 1))
        await yard.rest()
        assert kinds(running) == [Started, "cancelled"]
        assert not yard.renderer.cancel("3")
        assert "flux2" not in [one.family for one in yard.workers]  # nothing is started for a job that is over

    run(test)


def test_a_job_that_waits_for_its_second_worker_is_cancelled_at_once(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        job = await yard.submit("1")
        yard.slow = asyncio.Event()
        yard.workers[0].say(None)
        await yard.rest()
        assert yard.renderer.cancel("1")
        await yard.rest()
        assert kinds(job) == ["cancelled"]

    run(test)


def test_closing_ends_workers_that_start_render_and_rest(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open()
        resting = await yard.submit("1", "flux")
        yard.workers[0].finish()
        await yard.rest()
        running = await yard.submit("2", "flux2")
        yard.workers[1].take()
        yard.slow = asyncio.Event()
        starting = await yard.submit("3", "flux2-klein")
        assert len(yard.alive) == 3
        await yard.renderer.close()
        await yard.rest()
        assert yard.alive == []
        assert (kinds(resting), kinds(running), kinds(starting)) == (GOOD, [Started, "cancelled"], ["cancelled"])

    run(test)


def test_a_queue_is_full_for_its_own_folder_alone(run: Any) -> None:
    async def test(yard: Yard) -> None:
        await yard.open(max_queue=1)
        await yard.submit("1", "flux")
        full, other = await yard.submit("2", "flux-kontext"), await yard.submit("3", "flux2")
        assert (kinds(full), kinds(other)) == (["queue_full"], [])

    run(test)


def test_a_process_that_cannot_be_spawned_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    with pytest.raises(WorkerStartError, match="spawned: Resource temporarily unavailable"):
        asyncio.run(WorkerProcess.start(Options().configure("flux"), timeout_s=1))
