"""One model folder: its jobs, one after the other, and the worker process that does them."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod

from fauxvider.errors import RenderError
from fauxvider.ports import FailureKind
from fauxvider.renderers.diffusers.jobs import Job, finished, report_of, request_of
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.places import Places
from fauxvider.renderers.diffusers.process import WorkerProcess, WorkerStartError
from fauxvider.renderers.diffusers.protocol import (
    Cancel,
    Configure,
    Done,
    Ended,
    Message,
    Ready,
    Rendered,
    Step,
    Taken,
)
from fauxvider.renderers.diffusers.results import Results

__all__ = ["Line", "Replay", "Work"]


class Work(ABC):
    """A queue, and the one task that empties it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Take jobs from now on."""
        self._serving = asyncio.create_task(self._serve())

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.put_nowait(job)

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits, within a step while it runs."""
        job.fail("cancelled", f"cancelled while {'queued' if job.started is None else 'running'}")

    async def warm_up(self) -> None:  # noqa: B027 - most have nothing to get ready
        """Get ready to render. Raises RenderError."""

    async def close(self) -> None:
        """Stop serving."""
        await _ended(self._serving)

    async def _serve(self) -> None:
        while True:
            job = await self._queue.get()
            if job.over:
                continue
            try:
                await self._do(job)
            except Exception as error:  # noqa: BLE001 - one job's trouble must not leave all others waiting for ever
                job.fail("error", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")

    @abstractmethod
    async def _do(self, job: Job) -> None:
        """Bring one job to its end."""


class Replay(Work):
    """Hands out kept pictures, in the time that it took to make them."""

    def __init__(self, kept: Results) -> None:
        super().__init__()
        self._kept = kept

    async def _do(self, job: Job) -> None:
        found = await asyncio.to_thread(lambda: self._kept.get(job.recipe.key()))
        if job.over:
            return
        if found is None:
            job.fail("not_cached", "this picture was never kept")
            return
        data, report = found
        job.start()
        for step in range(1, max(1, report.steps) + 1):
            await asyncio.sleep(report.execution_ms / 1000 / max(1, report.steps))
            if job.over:
                return
            if report.steps:
                job.advance(step, report.steps)
        job.end(Rendered(job.job_id, finished(job.recipe, data, report), report.as_replayed()))


class Line(Work):
    """Renders with a worker of its own, which is spawned when it is first needed and after it died."""

    def __init__(self, configure: Configure, options: Options, places: Places, kept: Results | None) -> None:
        super().__init__()
        self.spawned = 0
        self._configure, self._options, self._places, self._kept = configure, options, places, kept
        self._worker: WorkerProcess | None = None
        self._starting: asyncio.Task[WorkerProcess] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> Ready | None:
        """What the worker said when it was ready; None while there is none."""
        return self._worker.ready if self._worker is not None else None

    async def warm_up(self) -> None:
        """Start the worker. Raises WorkerStartError."""
        await self._places.take(self, asyncio.get_running_loop().time())
        try:
            await self._ready_worker()
        finally:
            self._places.leave(self)

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits, within a step while it runs."""
        if not job.sent:
            super().cancel(job)
        elif self._worker is not None:
            job.is_cancelled = True
            self._worker.send(Cancel(job.wire_id))
            self._hurry(job)

    def _hurry(self, job: Job) -> None:
        """Give a worker that hangs, and so hears nothing, a last time to stop at a step."""
        until = asyncio.get_running_loop().time() + self._options.cancel_s
        patience = job.patience
        if patience is not None and not patience.expired() and (patience.when() or until) > until:
            patience.reschedule(until)

    async def close(self) -> None:
        """Stop serving and end the worker."""
        await super().close()
        self.dismiss()
        await asyncio.gather(*self._leaving)

    def dismiss(self) -> asyncio.Task[None]:
        """Give the worker up, if there is one; the task is done when its process has ended."""
        worker, self._worker = self._worker, None
        starting, self._starting = self._starting, None
        task = asyncio.create_task(_end(worker, starting))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    # --- one job -----------------------------------------------------------------------------------

    async def _do(self, job: Job) -> None:
        await self._places.take(self, job.submitted)
        try:
            # A worker can die idle, unseen: a job that it never took is given to its successor, once.
            for _ in range(2):
                if not job.over:  # it may have been cancelled while it waited
                    await self._attempt(job)
            job.fail("killed", "the rendering worker died")
        finally:
            self._places.leave(self)

    async def _attempt(self, job: Job) -> None:
        try:
            worker = await self._ready_worker()
        except WorkerStartError as error:
            job.fail("unavailable", str(error))
            return
        if not job.over:  # it may have been cancelled during the cold start
            await self._render(job, worker)

    async def _render(self, job: Job, worker: WorkerProcess) -> None:
        job.sent = True
        worker.send(request_of(job))
        try:
            async with asyncio.timeout(self._options.deadline_s) as job.patience:
                while (message := await worker.read()) is not None:
                    if await self._hear(job, message, worker):
                        return
            kind: FailureKind = "killed"
            detail = "the rendering worker died"
        except TimeoutError:
            kind, detail = "deadline", f"it took longer than {self._options.deadline_s:g} s"
            if job.is_cancelled:
                kind, detail = "cancelled", "cancelled; its worker did not stop and was ended"
        except BaseException:
            self._worker = None
            await worker.kill()
            raise
        self._worker = None
        await (worker.bury() if kind == "killed" else worker.kill())
        # The next job shall not wait for a cold start that can happen now.
        self._start_worker()
        if job.started is None and kind == "killed":
            job.sent = False
        else:
            job.fail(kind, detail)

    async def _hear(self, job: Job, message: Message, worker: WorkerProcess) -> bool:
        """Take one message; True when the job is over."""
        if isinstance(message, Taken):
            job.start()
        elif isinstance(message, Step):
            job.advance(message.step, message.total)
        elif isinstance(message, Ended):
            job.fail(message.kind, message.detail, message.execution_ms)
        elif isinstance(message, Done) and worker.ready is not None:
            report, data = report_of(job, message, worker.ready), message.blobs[0]
            if (kept := self._kept) is not None:
                try:
                    await asyncio.to_thread(lambda: kept.put(job.recipe.key(), data, report))
                except OSError as error:
                    job.fail("error", f"the picture could not be kept: {error.strerror}", message.execution_ms)
            job.end(Rendered(job.job_id, finished(job.recipe, data, report), report))
        return job.over

    # --- the worker --------------------------------------------------------------------------------

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
        own = asyncio.current_task()
        try:
            worker = await WorkerProcess.start(self._configure, timeout_s=self._options.start_timeout_s)
        except BaseException:
            if self._starting is own:
                self._starting = None
            raise
        if self._starting is not own:  # dismissed at the very moment when it was ready
            await worker.close()
            raise WorkerStartError("the worker was dismissed while it started")
        self._worker, self._starting = worker, None
        return worker


async def _end(worker: WorkerProcess | None, starting: asyncio.Task[WorkerProcess] | None) -> None:
    await _ended(starting)
    if worker is not None:
        await worker.close()


async def _ended(task: asyncio.Task[WorkerProcess] | asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RenderError):
            await task


def _heard(task: asyncio.Task[WorkerProcess]) -> None:
    # A start that nobody waits for may fail: the next job starts again and reports it.
    if not task.cancelled():
        task.exception()
