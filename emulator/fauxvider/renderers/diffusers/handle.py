"""The real pipelines as the server uses them: a line of jobs, and a worker process, for each model folder.

Everything that can become of a job arrives as an event: `Started`, `Progress`, then exactly one of
`Rendered` and `Failed`. Nothing here imports torch.
"""

from __future__ import annotations

import asyncio
import itertools

from fauxvider.engine.recipe import Recipe
from fauxvider.errors import RenderError
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers import parameters
from fauxvider.renderers.diffusers.jobs import Job
from fauxvider.renderers.diffusers.line import Line, Replay, Work
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.parameters import FAMILIES, PIPELINES
from fauxvider.renderers.diffusers.places import Places
from fauxvider.renderers.diffusers.protocol import Failed, Fault, Ready, Rendered, RunEvent
from fauxvider.renderers.diffusers.results import Results

__all__ = ["DiffusersRenderer"]


class DiffusersRenderer:
    """Renders with real diffusers pipelines: jobs of one model folder in the order of submission.

    Folders do not wait for each other, but where ``max_workers`` is less than there are folders.
    Lives in one event loop: `start` it there, and call every other method but `render` from there.
    """

    name = "diffusers"

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._jobs: dict[str, tuple[Job, Work]] = {}
        self._lines: dict[str, Work] = {}  # by family; empty until started
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
        """Check the options and take jobs; with ``warm``, wait until the workers can render.

        Those of the folders that were named, or else of the tiny ones, as many as may live at a time.
        Without it the first job of a folder pays for the cold start, as a provider's does. Raises
        RenderError, in one line, for a folder, a device or an extra that is missing.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.check)
        lines = await asyncio.to_thread(self._made_lines)
        if warm:
            named = self.options.served_by_models()
            wanted = [lines[family] for family in FAMILIES if family in (named or FAMILIES)]
            starts = [line.warm_up() for line in wanted[: self.options.max_workers]]
            ends = await asyncio.gather(*starts, return_exceptions=True)
            if errors := [end for end in ends if isinstance(end, BaseException)]:
                await asyncio.gather(*(line.close() for line in lines.values()))
                raise errors[0]
        self._lines = lines
        for line in lines.values():
            line.open()

    def _made_lines(self) -> dict[str, Work]:
        if self.options.replay and self._results is not None:
            return {family: Replay(self._results) for family in FAMILIES}
        if self._results is not None:
            self._results.claim(self.options.about())
        places = Places(self.options.max_workers)
        configured = {family: self.options.configure(family) for family in FAMILIES}
        return {name: Line(one, self.options, places, self._results) for name, one in configured.items()}

    async def close(self) -> None:
        """End the workers. Jobs that are not over end as cancelled."""
        lines, self._lines = self._lines, {}
        for job, _ in list(self._jobs.values()):
            job.fail("cancelled", "the renderer was closed")
        await asyncio.gather(*(line.close() for line in lines.values()))

    @property
    def workers(self) -> dict[str, Ready]:
        """What each worker that is there said when it was ready, by the family of its pipelines."""
        found = {family: line.ready for family, line in self._lines.items() if isinstance(line, Line)}
        return {family: ready for family, ready in found.items() if ready is not None}

    @property
    def spawned(self) -> int:
        """How many worker processes were started so far."""
        return sum(line.spawned for line in self._lines.values() if isinstance(line, Line))

    # --- jobs ------------------------------------------------------------------------------------

    def problem(self, recipe: Recipe) -> str:
        """Say why a recipe cannot be rendered, before it is queued; "" when nothing is wrong."""
        return parameters.problem(recipe)

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent, *, fault: Fault | None = None) -> None:
        """Queue a job; events follow. A recipe that cannot be rendered fails as ``invalid`` at once.

        ``fault`` orders an accident. Raises RenderError for an id in use or a renderer not started.
        """
        if not self._lines:
            raise RenderError("the renderer has not been started")
        if job_id in self._jobs:
            raise RenderError(f"a job {job_id!r} is being rendered")
        now = asyncio.get_running_loop().time()
        job = Job(job_id, recipe, on_event, fault, str(next(self._numbers)), now, self._forget)
        if detail := self.problem(recipe):
            job.fail("invalid", detail)
            return
        line = self._lines[PIPELINES[recipe.pipeline].family]
        waiting = sum(other is line for _, other in self._jobs.values())
        if waiting >= self.options.max_queue:
            job.fail("queue_full", f"{waiting} jobs wait already")
            return
        self._jobs[job_id] = (job, line)
        line.put(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.job_id, None)

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once while it waits, within a step while it runs. False when it is over."""
        if job_id not in self._jobs:
            return False
        job, line = self._jobs[job_id]
        line.cancel(job)
        return True

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
