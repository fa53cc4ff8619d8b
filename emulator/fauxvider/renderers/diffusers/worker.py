"""The worker process: reads jobs from its standard input, renders one at a time, answers on its output.

Started by ``fauxvider.renderers.diffusers.process`` alone. A reader thread takes messages while the
main thread renders, so a cancellation is seen at the next step; when the server's process is gone
the pipe ends and so does this one.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, NoReturn

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.protocol import (
    HEAD,
    Cancel,
    Close,
    Configure,
    Done,
    Ended,
    FailureKind,
    Message,
    Ready,
    Render,
    StartFailed,
    Step,
    Taken,
    head_lengths,
    pack,
    unpack,
)

__all__ = ["main"]


class Channel:
    """The two pipes. Only this object writes to the output pipe, one whole message at a time."""

    def __init__(self) -> None:
        # Libraries print: what they print must not land between two messages.
        self._in: BufferedIOBase = os.fdopen(os.dup(0), "rb")
        self._out: BufferedIOBase = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def read(self) -> Message | None:
        """Wait for a message; None when the other side is gone."""
        head = self._in.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        header, body = head_lengths(head)
        return unpack(self._in.read(header), self._in.read(body))

    def send(self, message: Message) -> None:
        """Write a message; leave quietly when nobody reads any more."""
        try:
            with self._lock:
                self._out.write(pack(message))
                self._out.flush()
        except OSError:
            leave()


def leave() -> NoReturn:
    """End at once: threads and libraries hold nothing worth waiting for."""
    os._exit(0)


@dataclass(slots=True)
class Inbox:
    """Jobs in order, and the ids whose jobs shall stop."""

    jobs: queue.SimpleQueue[Render | None]
    cancelled: set[str]

    def fill(self, channel: Channel) -> None:
        """Take messages until the pipe ends (the reader thread)."""
        while (message := channel.read()) is not None:
            if isinstance(message, Render):
                self.jobs.put(message)
            elif isinstance(message, Cancel):
                self.cancelled.add(message.job_id)
            elif isinstance(message, Close):
                self.jobs.put(None)
        leave()


def main() -> None:
    """Run until told to close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    sys.addaudithook(_refuse_network)
    channel = Channel()
    configure = channel.read()
    if not isinstance(configure, Configure):
        leave()
    inbox = Inbox(queue.SimpleQueue(), set())
    threading.Thread(target=inbox.fill, args=(channel,), daemon=True).start()
    try:
        studio, ready = _open_studio(configure)
    except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear of it
        channel.send(StartFailed(_one_line(error)))
        leave()
    channel.send(ready)
    while (job := inbox.jobs.get()) is not None:
        channel.send(_answer(job, studio, channel, inbox.cancelled))
        inbox.cancelled.discard(job.job_id)
    leave()


def _refuse_network(event: str, _arguments: tuple[Any, ...]) -> None:
    # Model folders are local. A library that reaches for the network would be a mistake or worse.
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise PermissionError("the rendering worker has no business on the network")


def _open_studio(configure: Configure) -> tuple[Any, Ready]:
    begin = time.perf_counter()
    from fauxvider.renderers.diffusers.studio import Studio, versions

    imported = time.perf_counter()
    studio = Studio(configure)
    loaded = time.perf_counter()
    studio.warm_up()
    warmed = time.perf_counter()
    ready = Ready(
        pid=os.getpid(),
        device=studio.device,
        dtype=studio.dtype_name,
        versions=versions(),
        import_s=imported - begin,
        load_s=loaded - imported,
        warm_s=warmed - loaded,
    )
    return studio, ready


class CancelledError(Exception):
    """Raised inside a step callback: the one way out of a pipeline that leaves it usable."""


@dataclass(slots=True)
class Watch:
    """What happens at each step of one job."""

    job: Render
    channel: Channel
    cancelled: set[str]
    begin: float
    step: int = 0

    def __call__(self, step: int, total: int) -> None:
        """Note that a step is done; raise when the job shall stop or an accident is ordered."""
        self.step = step
        self.channel.send(Step(self.job.job_id, step, total))
        if self.is_cancelled:
            raise CancelledError
        if step == min(2, total) and self.job.fault in ("crash", "hang"):
            self._fail()

    @property
    def is_cancelled(self) -> bool:
        return self.job.job_id in self.cancelled

    def _fail(self) -> None:
        if self.job.fault == "crash":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        threading.Event().wait()

    def ended(self, kind: FailureKind, detail: str) -> Ended:
        """Give the message for a job without a picture."""
        return Ended(self.job.job_id, kind, detail, (time.perf_counter() - self.begin) * 1000, self.step)


def _answer(job: Render, studio: Any, channel: Channel, cancelled: set[str]) -> Message:
    """Render one job; whatever goes wrong is an answer too."""
    channel.send(Taken(job.job_id))
    watch = Watch(job, channel, cancelled, time.perf_counter())
    try:
        return _picture(job, studio, watch)
    except CancelledError:
        studio.free_hooks()
        return watch.ended("cancelled", "cancelled while running")
    except RenderError as error:
        kind: FailureKind = getattr(error, "kind", "invalid")
        ended = watch.ended(kind, _one_line(error))
    except Exception as error:  # noqa: BLE001 - a job's failure never ends the worker
        memory = studio.is_out_of_memory(error)
        # A library's message may quote the prompt; its class does not.
        ended = watch.ended("oom", "out of memory") if memory else watch.ended("error", type(error).__name__)
    # Only here, past the except blocks, have the traceback and the tensors in its frames gone.
    studio.recover()
    return ended


def _picture(job: Render, studio: Any, watch: Watch) -> Message:
    if watch.is_cancelled:
        raise CancelledError
    call, pictures = studio.prepare(job)
    watch.begin = time.perf_counter()
    image = studio.run(job, call, pictures, watch)
    execution = time.perf_counter() - watch.begin
    if watch.is_cancelled:  # the decoder has no place to stop at
        raise CancelledError
    begin = time.perf_counter()
    data = studio.finish(job, call, image)
    return Done(
        job_id=job.job_id,
        execution_ms=execution * 1000,
        encode_ms=(time.perf_counter() - begin) * 1000,
        steps=watch.step,
        rendered=call.rendered,
        unapplied=call.unapplied,
        model=studio.model_name,
        blobs=(data,),
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
