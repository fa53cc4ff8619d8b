"""One job from its submission to its end, and what is told of it on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fauxvider.engine.recipe import Recipe
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers.protocol import (
    Done,
    Failed,
    FailureKind,
    Fault,
    Progress,
    Ready,
    Render,
    Rendered,
    Report,
    RunEvent,
    Started,
)
from fauxvider.renderers.metadata import stamp
from fauxvider.renderers.synthetic import file_metadata

__all__ = ["Job", "finished", "report_of", "request_of"]


@dataclass(slots=True, eq=False)
class Job:
    """A job in its line. Moments are the event loop's, in seconds."""

    job_id: str
    recipe: Recipe
    on_event: OnEvent
    fault: Fault | None
    wire_id: str  # ids of jobs may come again (a retry); a late cancellation must not
    submitted: float
    on_over: Callable[[Job], None]
    sent: bool = False
    started: float | None = None
    step: int = 0
    over: bool = False
    is_cancelled: bool = False
    patience: asyncio.Timeout | None = None  # how long its worker may take

    @property
    def queued_ms(self) -> float:
        """The wait so far: for other jobs, for a place, for a cold start."""
        return ((self.started if self.started is not None else _now()) - self.submitted) * 1000

    def start(self) -> None:
        """Note that the model has taken the job."""
        self.started = _now()
        self._tell(Started(self.job_id, self.queued_ms))

    def advance(self, step: int, total: int) -> None:
        """Note that a step is done."""
        self.step = step
        self._tell(Progress(self.job_id, step, total))

    def end(self, event: Rendered | Failed) -> None:
        """Tell of the end; a second one is not told."""
        if not self.over:
            self.over = True
            self.on_over(self)
            self._tell(event)

    def fail(self, kind: FailureKind, detail: str, execution_ms: float | None = None) -> None:
        """End the job without a picture."""
        if execution_ms is None:
            execution_ms = 0.0 if self.started is None else (_now() - self.started) * 1000
        self.end(Failed(self.job_id, kind, detail, self.queued_ms, execution_ms, self.step))

    def _tell(self, event: RunEvent) -> None:
        # Through the loop: what a listener raises must not end the task that serves all jobs.
        asyncio.get_running_loop().call_soon(self.on_event, event)


def _now() -> float:
    return asyncio.get_running_loop().time()


def request_of(job: Job) -> Render:
    """Give the job as its worker takes it."""
    recipe = job.recipe
    return Render(
        job_id=job.wire_id,
        pipeline=recipe.pipeline,
        width=recipe.width,
        height=recipe.height,
        format=recipe.format,
        quality=recipe.quality,
        prompt=recipe.prompt,
        negative=recipe.negative,
        seed=(recipe.seed + recipe.number - 1) % 2**64,
        steps=recipe.steps,
        guidance=recipe.guidance,
        strength=recipe.strength,
        sources=tuple((source.kind, source.label) for source in recipe.sources),
        fault=job.fault,
        blobs=tuple(source.data for source in recipe.sources),
    )


def report_of(job: Job, done: Done, ready: Ready) -> Report:
    """Say how a picture was made."""
    recipe = job.recipe
    return Report(
        pipeline=recipe.pipeline,
        model=done.model,
        device=ready.device,
        dtype=ready.dtype,
        seed=recipe.seed,
        steps=done.steps,
        size=(recipe.width, recipe.height),
        rendered=done.rendered,
        queued_ms=job.queued_ms,
        execution_ms=done.execution_ms,
        encode_ms=done.encode_ms,
        unapplied=done.unapplied,
        versions=ready.versions,
    )


def finished(recipe: Recipe, data: bytes, report: Report) -> bytes:
    """Give the file as it is handed out: with this run's metadata, where that is wanted."""
    if not recipe.metadata:
        return data
    width, height = report.rendered
    more = {"steps": report.steps, "rendered": f"{width}x{height}", "weights": report.model, "device": report.device}
    return stamp(data, {**file_metadata(recipe, report.renderer), **more})
