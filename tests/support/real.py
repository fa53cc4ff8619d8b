"""A server with real pipelines behind it, in this process or as a command, and a client of its world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from fauxvider.embedded import Server
from fauxvider.engine.recipe import Recipe
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.protocol import Fault, RunEvent
from support.documented import DOCUMENTED, Client, Endpoint, Run

__all__ = ["Cli", "Site", "memory", "opened"]


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def memory(pid: int) -> int:
    """Give the resident memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


class Accidents(DiffusersRenderer):
    """The real renderer, to whose next jobs something happens, and who tells of its jobs when it may.

    So that a test sees every state of a job however fast a worker and however slow the test is: what is told of jobs
    waits from the first event on that `holds_back` finds.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.orders: deque[Fault] = deque()
        self.told: list[tuple[str, type[RunEvent]]] = []  # of all jobs, in the order in which it came about
        self.holds_back: Callable[[RunEvent], bool] | None = None
        self._held: list[tuple[OnEvent, RunEvent]] = []

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent, *, fault: Fault | None = None) -> None:
        if self.orders:
            fault = self.orders.popleft()

        def hear(event: RunEvent) -> None:
            self.told.append((event.job_id, type(event)))
            self._tell(on_event, event)

        await super().submit(job_id, recipe, hear, fault=fault)

    def _tell(self, on_event: OnEvent, event: RunEvent) -> None:
        if self._held or (self.holds_back is not None and self.holds_back(event)):
            self._held.append((on_event, event))
        else:
            on_event(event)

    async def hold_back(self, what: Callable[[RunEvent], bool] | None) -> None:
        """Tell what has been held back, up to the first event that `what` finds."""
        self.holds_back, held, self._held = what, self._held, []
        for one in held:
            self._tell(*one)


class Site:
    """A server with real pipelines behind it, and a client of its default world."""

    def __init__(self, options: Options, *, warm: bool = True) -> None:
        self.renderer = Accidents(options)
        self.server = Server(pipeline=self.renderer, warm=warm, seed=7, limits="off")
        self.server.start()
        self.world = self.server.default
        self.client = Client(self.world)

    def close(self) -> None:
        self.server.stop()

    def hold_back(self, what: Callable[[RunEvent], bool] | None) -> None:
        """Tell of jobs no more than what comes before the first event that `what` finds."""
        self.server.call(self.renderer.hold_back(what))

    @contextmanager
    def holding_back(self, what: Callable[[RunEvent], bool]) -> Iterator[None]:
        """Hold back for the length of a block; at its end everything is told."""
        self.hold_back(what)
        try:
            yield
        finally:
            self.hold_back(None)

    def progress(self, run: Run) -> float:
        return next(float(job["progress"]) for job in self.world.jobs() if job["id"] == run.id)

    def pixels(self, endpoint: Endpoint, **changes: Any) -> bytes:
        return opened(self.client.picture(endpoint, self.client.finish(endpoint, **changes))).tobytes()

    @property
    def resting_pixels(self) -> bytes:
        """Render a known picture: that it comes out as always says that nothing is broken."""
        return self.pixels(DOCUMENTED["flux-dev"], num_inference_steps=4, **DOCUMENTED["flux-dev"].small)


class Cli:
    """`fauxvider serve` as a process; it looks like a world to a client."""

    def __init__(self, *options: str, renderer: str = "diffusers", **environment: str) -> None:
        command = [sys.executable, "-m", "fauxvider", "serve", "--json", "--port", "0", "--control-port", "0", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
        assert self._process.stdout is not None
        self._places = json.loads(self._process.stdout.readline())
        assert self._places["renderer"] == renderer
        self.client = Client(self)  # type: ignore[arg-type]

    def base_url(self, provider: str) -> str:
        return str(self._places["providers"][provider]["base_url"])

    def __enter__(self) -> Cli:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
