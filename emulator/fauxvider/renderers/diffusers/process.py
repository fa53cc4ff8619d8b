"""One worker process as the server sees it: start it, talk to it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.protocol import (
    HEAD,
    Close,
    Configure,
    Message,
    Ready,
    StartFailed,
    head_lengths,
    pack,
    unpack,
)

__all__ = ["WorkerProcess", "WorkerStartError"]

# A fresh interpreter, not multiprocessing's spawn: that would import the user's main module again.
_BOOT = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from fauxvider.renderers.diffusers.worker import main; main()"
)
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    # Must be there before CUDA starts, or its matrix products need not repeat.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
_CLOSE_S = 5.0


class WorkerStartError(RenderError):
    """A worker could not be started; the text is one line for the person who asked for it."""


class WorkerProcess:
    """A started worker. Make one with `start`; `read` gives None when the process is gone."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._noise: deque[bytes] = deque(maxlen=20)
        self._drain = asyncio.create_task(self._read_noise())
        self.ready: Ready | None = None

    @classmethod
    async def start(cls, configure: Configure, *, timeout_s: float) -> WorkerProcess:
        """Spawn a worker and wait until it can render. Raises WorkerStartError."""
        worker = cls(await _spawned())
        try:
            worker.send(configure)
            async with asyncio.timeout(timeout_s):
                answer = await worker.read()
        except TimeoutError:
            await worker.kill()
            raise WorkerStartError(f"the rendering worker was not ready after {timeout_s:g} s") from None
        except BaseException:
            await worker.kill()
            raise
        if isinstance(answer, Ready):
            worker.ready = answer
            return worker
        await worker.bury()
        if isinstance(answer, StartFailed):
            raise WorkerStartError(answer.detail)
        raise WorkerStartError(f"the rendering worker ended while starting: {worker.last_words}")

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not been seen to end."""
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The last line that the worker wrote to its standard error."""
        text = b"".join(self._noise).decode(errors="replace").strip()
        return text.rsplit("\n", 1)[-1][:300] or "no message"

    def send(self, message: Message) -> None:
        """Queue a message for the worker; a dead one shows when it is read from."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(pack(message))

    async def read(self) -> Message | None:
        """Wait for the worker's next message; None when it is gone."""
        stream = self._process.stdout
        if stream is None:
            return None
        try:
            header, body = head_lengths(await stream.readexactly(HEAD.size))
            return unpack(await stream.readexactly(header), await stream.readexactly(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def kill(self) -> None:
        """End the process at once, and wait until it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._gone()

    async def close(self) -> None:
        """Ask the worker to leave; kill it when it does not."""
        self.send(Close())
        await self.bury()

    async def bury(self) -> None:
        """Wait for a process that is ending by itself; kill it when it does not.

        A signal to one that has just died would make asyncio's reaper lose its exit status, and say so.
        """
        try:
            await asyncio.wait_for(self._process.wait(), _CLOSE_S)
        except TimeoutError:
            await self.kill()
        else:
            await self._gone()

    async def _gone(self) -> None:
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(OSError):
                await self._process.stdin.wait_closed()
        await self._drain

    async def _read_noise(self) -> None:
        # A pipe that nobody empties would stop the worker once it is full.
        stream = self._process.stderr
        while stream is not None and (chunk := await stream.read(4096)):
            self._noise.append(chunk)


async def _spawned() -> Process:
    command = (sys.executable, "-c", _BOOT, json.dumps([path for path in sys.path if path]))
    environment = {**os.environ, **_ENVIRONMENT}
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    except OSError as error:
        raise WorkerStartError(f"no rendering worker could be spawned: {error.strerror or error}") from error
