"""Jobs that really run: a pipeline takes them, and what it measures becomes the facts of their lives.

Only where time runs by itself. On a clock that is moved by hand the contract's timing stays, and the
pipeline makes the pictures when they are fetched.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import LiveFailure, Model, Scope
from fauxvider.engine.facts import Event, Record, Shape
from fauxvider.engine.recipe import Recipe
from fauxvider.errors import FauxviderError
from fauxvider.ports import Failed, Pipeline, Progress, Rendered, Report, RunEvent, Started
from fauxvider.service import pictures

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["LiveRuns"]

_ENDING = frozenset({"cancelled", "purged", "forced", "retried", "requeued"})
_TROUBLE = (FauxviderError, ValueError, ArithmeticError, LookupError, OSError)


@dataclass(slots=True, eq=False)
class _Run:
    """One run of one job: each of its pictures is a job of the pipeline."""

    provider: Provider
    record: Record
    number: int  # how often the client had the job run again before
    events: asyncio.Queue[tuple[int, RunEvent]] = field(default_factory=asyncio.Queue)
    names: list[str] = field(default_factory=list)
    submitted: int = 0  # moments, ms
    started: int | None = None  # of the picture at work
    is_shown: bool = False  # as running
    done: float = 0.0  # pictures, in parts
    left: int = 0
    is_stopped: bool = False

    @property
    def key(self) -> Hashable:
        return _key(self.provider, self.record.job.id)

    def start_of(self, queued_ms: float) -> int:
        return min(self.submitted + round(queued_ms), self.provider.clock.now())

    def end_of(self, execution_ms: float) -> int:
        """Give the measured end: never after this moment, and never as early as the start."""
        now = self.provider.clock.now()
        if self.started is None:
            return now
        return max(self.started + 1, min(self.started + round(execution_ms), now))


def _key(provider: Provider, job_id: str) -> Hashable:
    return (provider.world, provider.name, job_id)


class LiveRuns:
    """The jobs at work in a pipeline, of all worlds. Lives in one event loop."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._runs: dict[Hashable, _Run] = {}
        self._serials = itertools.count(1)

    async def start(self, *, warm: bool = False) -> None:
        """Take jobs from now on; with `warm`, wait until the model is loaded. Raises RenderError."""
        await self.pipeline.start(warm=warm)

    async def close(self) -> None:
        """Stop every run."""
        for run in list(self._runs.values()):
            run.is_stopped = True
        await self.pipeline.close()

    # --- before a job exists ----------------------------------------------------------------------

    def takes(self, provider: Provider, model: Model, shape: Shape) -> bool:
        """Tell whether a job of that model really runs in this world."""
        return not provider.clock.is_virtual and bool(model.picture.pipeline) and shape.count > 0

    async def problem(self, provider: Provider, model: Model, scope: Scope) -> str:
        """Say what is wrong with a request, as far as that can be seen without fetching its pictures."""
        if not model.picture.pipeline:
            return ""
        values = pictures.source_values(model, scope)
        sources = [await pictures.source_of(provider, value, fetch=False) for value in values]
        return self.pipeline.problem(
            Recipe(
                provider=provider.name, model=model.name, pipeline=model.picture.pipeline, width=64, height=64,
                format="png", quality=None, prompt="", negative="", seed=0, steps=None, guidance=None, strength=None,
                sources=tuple(sources), number=1, run_id="",
            )
        )  # fmt: skip

    # --- a job's run ------------------------------------------------------------------------------

    def begin(self, provider: Provider, record: Record) -> None:
        """Put a job's pictures into the pipeline's queue."""
        run = _Run(provider, record, provider.life(record).runs)
        self._runs[run.key] = run
        provider.world.spawn(self._follow(run))

    def heard(self, provider: Provider, record: Record, event: Event) -> None:
        """Take note of something that happened to a job: its run may be over, or begin again."""
        if event.kind in _ENDING:
            self.stop(provider, record.job.id)
        if event.plan is not None and event.plan.live:
            self.begin(provider, record)

    def stop(self, provider: Provider, job_id: str) -> None:
        """End a job's run, if there is one; what it still makes is thrown away."""
        run = self._runs.get(_key(provider, job_id))
        if run is not None:
            run.is_stopped = True
            for name in run.names:
                self.pipeline.cancel(name)

    def progress(self, provider: Provider, job_id: str) -> float:
        """Give how much of a job is done, from 0 to 1, by its steps."""
        run = self._runs.get(_key(provider, job_id))
        return 0.0 if run is None else min(1.0, run.done / max(1, run.record.job.shape.count))

    async def _follow(self, run: _Run) -> None:
        try:
            await self._submit(run)
            while run.left:
                await self._hear(run, *await run.events.get())
        except asyncio.CancelledError:  # its world is gone
            self.stop(run.provider, run.record.job.id)
            raise
        finally:
            if self._runs.get(run.key) is run:
                del self._runs[run.key]

    async def _submit(self, run: _Run) -> None:
        provider, record, life = run.provider, run.record, run.provider.life(run.record)
        serial = next(self._serials)
        try:
            numbers = range(1, record.job.shape.count + 1)
            recipes = [await pictures.recipe_of(provider, record, life, number) for number in numbers]
            run.submitted = provider.clock.now()
            for number, recipe in zip(numbers, recipes, strict=True):
                if run.is_stopped:
                    return
                name = f"{record.job.id}#{serial}.{number}"
                run.names.append(name)
                await self.pipeline.submit(name, recipe, partial(_put, run, number))
                run.left += 1
        except _TROUBLE as error:
            await self._end(run, provider.clock.now(), "unavailable", " ".join(str(error).split())[:300])

    async def _hear(self, run: _Run, number: int, event: RunEvent) -> None:
        if isinstance(event, Started):
            run.started = run.start_of(event.queued_ms)
            if not run.is_shown and not run.is_stopped:
                run.is_shown = True
                await self._add(run, Event(run.started, "started"))
        if isinstance(event, Started | Progress):
            if isinstance(event, Progress):
                run.done = number - 1 + event.step / max(1, event.total)
            await self._check_gone(run)
            return
        run.left -= 1
        if run.is_stopped:
            return
        if isinstance(event, Rendered):
            await self._rendered(run, number, event)
        elif event.kind != "cancelled":
            moment = run.end_of(event.execution_ms)
            _write_down(run.provider, run.record.job.id, number, moment, failed=event)
            await self._end(run, moment, event.kind, event.detail)

    async def _rendered(self, run: _Run, number: int, event: Rendered) -> None:
        provider, job = run.provider, run.record.job
        provider.settings.cache.put(pictures.picture_key(provider, job, run.number, number), event.data)
        moment = run.end_of(event.report.execution_ms)
        _write_down(provider, job.id, number, moment, report=event.report)
        run.done = float(number)
        if not run.left:
            await self._add(run, Event(moment, "forced"))

    async def _end(self, run: _Run, moment: int, kind: LiveFailure, detail: str) -> None:
        failure = run.provider.contract.live[kind]
        await self._add(run, Event(moment, "forced", name=failure, detail=detail))

    async def _add(self, run: _Run, event: Event) -> None:
        record = await run.provider.store.record(run.record.job.id)
        if record is None:  # pushed out by the cap on kept jobs
            self.stop(run.provider, run.record.job.id)
        else:
            await run.provider.add_event(record, event)

    async def _check_gone(self, run: _Run) -> None:
        """Stop working for a job that its provider has removed."""
        record = await run.provider.store.record(run.record.job.id)
        gone = None if record is None else run.provider.life(record).gone
        if record is None or (gone is not None and gone <= run.provider.clock.now()):
            self.stop(run.provider, run.record.job.id)

    # --- pictures made when they are asked for ---------------------------------------------------------

    async def make(self, provider: Provider, job_id: str, recipe: Recipe) -> bytes:
        """Render one picture now; what the pipeline cannot make comes from the ordinary renderer."""
        failed: Failed | None = None
        if recipe.pipeline:
            end = await self._run_alone(f"{job_id}#{next(self._serials)}", recipe)
            if isinstance(end, Rendered):
                _write_down(provider, job_id, recipe.number, provider.clock.now(), report=end.report)
                return end.data
            failed = end
        settings = provider.settings
        data = await asyncio.get_running_loop().run_in_executor(settings.executor, settings.renderer.render, recipe)
        now = provider.clock.now()
        _write_down(provider, job_id, recipe.number, now, failed=failed, renderer=settings.renderer.name)
        return data

    async def _run_alone(self, name: str, recipe: Recipe) -> Rendered | Failed:
        end: asyncio.Future[Rendered | Failed] = asyncio.get_running_loop().create_future()

        def hear(event: RunEvent) -> None:
            if isinstance(event, Rendered | Failed) and not end.done():
                end.set_result(event)

        try:
            await self.pipeline.submit(name, recipe, hear)
        except FauxviderError as error:
            return Failed(name, "unavailable", str(error), 0.0, 0.0, 0)
        return await end


def _put(run: _Run, number: int, event: RunEvent) -> None:
    run.events.put_nowait((number, event))


def _write_down(
    provider: Provider,
    job_id: str,
    number: int,
    moment: int,
    *,
    report: Report | None = None,
    failed: Failed | None = None,
    renderer: str = "",
) -> None:
    """Note in the journal how a picture was made, or why it was not."""
    facts: dict[str, Any] = {"provider": provider.name, "job": job_id, "number": number, "renderer": renderer}
    if report is not None:
        facts |= {
            "renderer": report.renderer,
            "pipeline": report.pipeline,
            "model": report.model,
            "device": report.device,
            "dtype": report.dtype,
            "seed": report.seed,
            "steps": report.steps,
            "size": list(report.size),
            "rendered": list(report.rendered),
            "encode_ms": round(report.encode_ms, 1),
            "unapplied": list(report.unapplied) or None,
            "replayed": report.replayed or None,
        }
    if failed is not None:
        facts |= {"failed": failed.kind, "why": failed.detail, "steps": failed.steps}
    if (end := report or failed) is not None:
        facts |= {"queued_ms": round(end.queued_ms, 1), "execution_ms": round(end.execution_ms, 1)}
    provider.world.journal.add(moment, "rendered", tuple(facts), tuple(facts.values()))
