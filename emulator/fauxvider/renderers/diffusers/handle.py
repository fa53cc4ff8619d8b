"""The real pipelines as the server uses them: a queue before one worker process.

Everything that can become of a job arrives as an event: `Started`, `Progress`, then exactly one of
`Rendered` and `Failed`. Nothing here imports torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

from fauxvider.engine.recipe import Recipe
from fauxvider.errors import RenderError
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers import parameters
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.process import WorkerProcess, WorkerStartError
from fauxvider.renderers.diffusers.protocol import (
    Cancel,
    Done,
    Ended,
    Failed,
    FailureKind,
    Fault,
    Message,
    Progress,
    Ready,
    Render,
    Rendered,
    Report,
    RunEvent,
    Started,
    Step,
    Taken,
)
from fauxvider.renderers.diffusers.results import Results
from fauxvider.renderers.metadata import stamp
from fauxvider.renderers.synthetic import file_metadata

__all__ = ["DiffusersRenderer"]


@dataclass(slots=True)
class _Job:
    job_id: str
    recipe: Recipe
    on_event: OnEvent
    fault: Fault | None
    submitted: float
    wire_id: str  # ids of jobs may come again (a retry); a late cancellation must not
    sent: bool = False
    started: float | None = None
    step: int = 0
    over: bool = field(default=False)
    is_cancelled: bool = False
    patience: asyncio.Timeout | None = None  # how long its worker may take


class DiffusersRenderer:
    """Renders with real diffusers pipelines, one job at a time, in the order of submission.

    Lives in one event loop: `start` it there, and call every other method but `render` from there.
    """

    name = "diffusers"

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.spawned = 0
        self._jobs: dict[str, _Job] = {}
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._worker: WorkerProcess | None = None
        self._starting: asyncio.Task[WorkerProcess] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._results = Results(self.options.results) if self.options.results is not None else None
        self._numbers = itertools.count(1)
        self._is_checked = False

    # --- life ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise RenderError, in one line, for what can be seen to be wrong before a worker is started."""
        if self._is_checked:
            return
        if self.options.replay:
            if self._results is None:
                raise RenderError("only kept pictures can be replayed: say which folder they are in")
            self._results.check()
        else:
            self.options.check()
        self._is_checked = True

    async def start(self, *, warm: bool = True) -> None:
        """Check the options and take jobs; with ``warm``, wait until the worker can render.

        Without it the first job pays for the cold start, as a provider's does. Raises RenderError, in
        one line, for a folder, a device or an extra that is missing.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.check)
        if self._results is not None and not self.options.replay:
            self._results.claim(self.options.about())
        self._serving = asyncio.create_task(self._serve())
        if warm and not self.options.replay:
            try:
                await self._ready_worker()
            except WorkerStartError:
                await self.close()
                raise

    async def close(self) -> None:
        """End the worker. Jobs that are not over end as cancelled."""
        for task in (self._serving, self._starting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, RenderError):
                    await task
        self._serving = None
        for job in list(self._jobs.values()):
            self._fail(job, "cancelled", "the renderer was closed")
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    @property
    def ready(self) -> Ready | None:
        """What the worker said when it was ready; None while there is none."""
        return self._worker.ready if self._worker is not None else None

    # --- jobs ------------------------------------------------------------------------------------

    def problem(self, recipe: Recipe) -> str:
        """Say why a recipe cannot be rendered, before it is queued; "" when nothing is wrong."""
        return parameters.problem(recipe)

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent, *, fault: Fault | None = None) -> None:
        """Queue a job; events follow. A recipe that cannot be rendered fails as ``invalid`` at once.

        ``fault`` orders an accident. Raises RenderError for an id in use or a renderer not started.
        """
        if self._serving is None:
            raise RenderError("the renderer has not been started")
        if job_id in self._jobs:
            raise RenderError(f"a job {job_id!r} is being rendered")
        job = _Job(job_id, recipe, on_event, fault, self._now(), str(next(self._numbers)))
        waiting = len(self._jobs)
        self._jobs[job_id] = job
        if detail := self.problem(recipe):
            self._fail(job, "invalid", detail)
        elif waiting >= self.options.max_queue:
            self._fail(job, "queue_full", f"{waiting} jobs wait already")
        else:
            self._queue.put_nowait(job)

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once while it waits, within a step while it runs. False when it is over."""
        job = self._jobs.get(job_id)
        if job is None:
            return False
        if not job.sent:
            self._fail(job, "cancelled", f"cancelled while {'queued' if job.started is None else 'running'}")
        elif self._worker is not None:
            job.is_cancelled = True
            self._worker.send(Cancel(job.wire_id))
            self._hurry(job)
        return True

    def _hurry(self, job: _Job) -> None:
        """Give a worker that hangs, and so hears nothing, a last time to stop at a step."""
        until = self._now() + self.options.cancel_s
        patience = job.patience
        if patience is not None and not patience.expired() and (patience.when() or until) > until:
            patience.reschedule(until)

    async def run(self, recipe: Recipe, *, fault: Fault | None = None) -> Rendered | Failed:
        """Render one picture and wait for its end."""
        end: asyncio.Future[Rendered | Failed] = asyncio.get_running_loop().create_future()

        def on_event(event: RunEvent) -> None:
            if isinstance(event, Rendered | Failed) and not end.done():
                end.set_result(event)

        job_id = f"local-{next(self._numbers)}"
        await self.submit(job_id, recipe, on_event, fault=fault)
        try:
            return await end
        except asyncio.CancelledError:
            self.cancel(job_id)
            raise

    def render(self, recipe: Recipe) -> bytes:
        """Give the finished file; for worker threads (it blocks). Raises RenderError naming the failure."""
        if self._loop is None:
            raise RenderError("the renderer has not been started")
        end = asyncio.run_coroutine_threadsafe(self.run(recipe), self._loop).result()
        if isinstance(end, Failed):
            raise RenderError(f"{end.kind}: {end.detail}")
        return end.data

    # --- the one task that talks to the worker -----------------------------------------------------

    async def _serve(self) -> None:
        while True:
            job = await self._queue.get()
            if job.over:
                continue
            if self.options.replay:
                await self._replay(job)
                continue
            # A worker can die idle, unseen: a job that it never took is given to its successor, once.
            for _ in range(2):
                await self._attempt(job)
                if job.over:
                    break
            else:
                self._fail(job, "killed", "the rendering worker died")

    async def _attempt(self, job: _Job) -> None:
        try:
            worker = await self._ready_worker()
        except WorkerStartError as error:
            self._fail(job, "unavailable", str(error))
            return
        if not job.over:  # it may have been cancelled during the cold start
            await self._render(job, worker)

    async def _render(self, job: _Job, worker: WorkerProcess) -> None:
        job.sent = True
        worker.send(_request(job))
        try:
            async with asyncio.timeout(self.options.deadline_s) as job.patience:
                while (message := await worker.read()) is not None:
                    if await self._hear(job, message, worker):
                        return
            kind: FailureKind = "killed"
            detail = "the rendering worker died"
        except TimeoutError:
            kind, detail = "deadline", f"it took longer than {self.options.deadline_s:g} s"
            if job.is_cancelled:
                kind, detail = "cancelled", "cancelled; its worker did not stop and was ended"
        except asyncio.CancelledError:
            await worker.kill()
            self._worker = None
            raise
        self._worker = None
        await (worker.bury() if kind == "killed" else worker.kill())
        # The next job shall not wait for a cold start that can happen now.
        self._start_worker()
        if job.started is None and kind == "killed":
            job.sent = False
        else:
            self._fail(job, kind, detail)

    async def _hear(self, job: _Job, message: Message, worker: WorkerProcess) -> bool:
        """Take one message; True when the job is over."""
        if isinstance(message, Taken):
            job.started = self._now()
            self._tell(job, Started(job.job_id, self._queued_ms(job)))
            return False
        if isinstance(message, Step):
            job.step = message.step
            self._tell(job, Progress(job.job_id, message.step, message.total))
            return False
        if isinstance(message, Ended):
            self._fail(job, message.kind, message.detail, message.execution_ms)
            return True
        if isinstance(message, Done):
            await self._succeed(job, message, worker)
            return True
        return False

    async def _succeed(self, job: _Job, done: Done, worker: WorkerProcess) -> None:
        ready = worker.ready
        report = Report(
            pipeline=job.recipe.pipeline,
            model=done.model,
            device=ready.device if ready else "",
            dtype=ready.dtype if ready else "",
            seed=job.recipe.seed,
            steps=done.steps,
            size=(job.recipe.width, job.recipe.height),
            rendered=done.rendered,
            queued_ms=self._queued_ms(job),
            execution_ms=done.execution_ms,
            encode_ms=done.encode_ms,
            unapplied=done.unapplied,
            versions=ready.versions if ready else {},
        )
        if self._results is not None:
            await asyncio.to_thread(self._results.put, job.recipe.key(), done.blobs[0], report)
        self._finish(job, Rendered(job.job_id, _finished(job.recipe, done.blobs[0], report), report))

    async def _replay(self, job: _Job) -> None:
        """Hand out a kept picture, in the time that it took to make it."""
        kept = self._results
        found = await asyncio.to_thread(kept.get, job.recipe.key()) if kept is not None else None
        if job.over:
            return
        if found is None:
            self._fail(job, "not_cached", "this picture was never kept")
            return
        data, report = found
        job.started = self._now()
        self._tell(job, Started(job.job_id, self._queued_ms(job)))
        for step in range(1, max(1, report.steps) + 1):
            await asyncio.sleep(report.execution_ms / 1000 / max(1, report.steps))
            if job.over:
                return
            job.step = min(step, report.steps)
            if report.steps:
                self._tell(job, Progress(job.job_id, step, report.steps))
        self._finish(job, Rendered(job.job_id, _finished(job.recipe, data, report), report.as_replayed()))

    # --- the worker ------------------------------------------------------------------------------

    async def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None and self._worker.is_alive:
            return self._worker
        if self._worker is not None:  # it died between two jobs
            worker, self._worker = self._worker, None
            await worker.bury()
        return await asyncio.shield(self._start_worker())

    def _start_worker(self) -> asyncio.Task[WorkerProcess]:
        if self._starting is None:
            self._starting = asyncio.create_task(self._spawn())
            self._starting.add_done_callback(_heard)
        return self._starting

    async def _spawn(self) -> WorkerProcess:
        self.spawned += 1
        try:
            worker = await WorkerProcess.start(self.options.configure(), timeout_s=self.options.start_timeout_s)
            self._worker = worker
        finally:
            self._starting = None
        return worker

    # --- small things ----------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _queued_ms(self, job: _Job) -> float:
        return ((job.started if job.started is not None else self._now()) - job.submitted) * 1000

    def _tell(self, job: _Job, event: RunEvent) -> None:
        # Through the loop: what a listener raises must not end the task that serves all jobs.
        asyncio.get_running_loop().call_soon(job.on_event, event)

    def _finish(self, job: _Job, event: Rendered | Failed) -> None:
        if job.over:
            return
        job.over = True
        self._jobs.pop(job.job_id, None)
        self._tell(job, event)

    def _fail(self, job: _Job, kind: FailureKind, detail: str, execution_ms: float | None = None) -> None:
        if execution_ms is None:
            execution_ms = 0.0 if job.started is None else (self._now() - job.started) * 1000
        self._finish(job, Failed(job.job_id, kind, detail, self._queued_ms(job), execution_ms, job.step))


def _heard(task: asyncio.Task[WorkerProcess]) -> None:
    # A start that nobody waits for may fail: the next job starts again and reports it.
    if not task.cancelled():
        task.exception()


def _request(job: _Job) -> Render:
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


def _finished(recipe: Recipe, data: bytes, report: Report) -> bytes:
    if not recipe.metadata:
        return data
    width, height = report.rendered
    more = {"steps": report.steps, "rendered": f"{width}x{height}", "weights": report.model, "device": report.device}
    return stamp(data, {**file_metadata(recipe, report.renderer), **more})
