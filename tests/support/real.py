"""A server with real pipelines behind it, in this process or as a command, and a client of its world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from fauxvider.embedded import Server
from fauxvider.engine.recipe import Recipe
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.protocol import Fault
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
    """The real renderer, to whose next jobs something happens."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.orders: deque[Fault] = deque()

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent, *, fault: Fault | None = None) -> None:
        if self.orders:
            fault = self.orders.popleft()
        await super().submit(job_id, recipe, on_event, fault=fault)


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
