"""Several processes that serve the same ports and the same store, and who looks after them.

The parent listens for its workers and never accepts: each has sockets of its own where the kernel deals connections
out evenly, else all have the same. So what waits for a worker that dies waits for the one that is started in its
place; its worlds are free for the others at once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from socket import socket
from typing import Any

import click

from fauxvider.cli.restarts import Kind, kind_of, pause_ms
from fauxvider.cli.serving import ServeOptions, Tell, serve_one
from fauxvider.clock import monotonic_ms
from fauxvider.errors import FauxviderError, UsageError
from fauxvider.sockets import listen
from fauxvider.stores.opening import disown, is_shared

__all__ = ["serve_workers"]

_IS_DEALT = sys.platform == "linux"  # elsewhere one of several listeners gets all that comes, or it depends
_START_MS = 60_000
_END_MS = 10_000  # beyond the grace period, before a worker is taken to hang
_SOON_MS = 5_000  # who ends so soon after its start might have something that is wrong for good


@dataclass
class _Worker:
    """A process that serves, or the last one of its number until it is started again."""

    number: int
    node: str
    process: BaseProcess
    began: int
    line: Connection  # by which it says that it is ready, or what kept it from that
    ends: int = 0  # in a row, each as soon as it had started or before
    due: int | None = None  # when it is to be started again
    said: dict[str, Any] = field(default_factory=dict)  # by the line
    is_out: bool = False  # it was said that it cannot start


def serve_workers(options: ServeOptions, token: str, *, tell: Tell) -> None:
    """Serve from several processes until a signal comes. Raises FauxviderError when one of them cannot start."""
    _check(options)
    count = options.sharing.workers
    with contextlib.ExitStack() as open_sockets:
        main = _listening(open_sockets, options.host, options.port, count)
        control = _listening(open_sockets, options.operating.control_host, options.control_port, count)
        _Workers(options, token, list(zip(main, control, strict=True))).run(tell)


def _listening(open_sockets: contextlib.ExitStack, host: str, port: int, count: int) -> list[socket]:
    """Listen on a port, once for each worker. Raises PortTakenError, UsageError."""
    first = open_sockets.enter_context(listen(host, port))
    if not _IS_DEALT:
        return [first] * count
    port = first.getsockname()[1]
    first.close()  # nobody had the port: others of this user on it would let us join them
    return [open_sockets.enter_context(listen(host, port, with_others=True)) for _ in range(count)]


def _check(options: ServeOptions) -> None:
    if not is_shared(options.store):
        raise UsageError("--workers needs a store that processes share: --store redis://HOST/0")
    if options.render.renderer != "synthetic":
        raise UsageError("--workers and --renderer diffusers: what really runs belongs to one process")
    if options.tls.tls:
        raise UsageError("--workers and --tls: the HTTPS front is one process; start it as a server of its own")


class _FailedError(FauxviderError):
    """What kept a worker from starting, in its own words."""

    def __init__(self, problem: str, exit_code: int) -> None:
        super().__init__(problem)
        self.exit_code = exit_code


class _Workers:
    def __init__(self, options: ServeOptions, token: str, sockets: list[tuple[socket, socket]]) -> None:
        self._options = options
        self._token = token
        self._sockets = sockets
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._is_ending = False

    def run(self, tell: Tell) -> None:
        with self._signals() as woken:
            try:
                self._workers = [self._start(number) for number in range(1, self._options.sharing.workers + 1)]
                places = [self._place(worker) for worker in self._workers]
                if not self._is_ending:
                    tell(places[0], None)
                while not self._is_ending:
                    self._look_after(woken)
            except BaseException:
                self._end()
                raise
            self._check_end(self._end())

    def _start(self, number: int) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=False)
        node = secrets.token_hex(8)
        process = self._context.Process(
            target=_work,
            args=(self._options, self._token, self._sockets[number - 1], node, theirs),
            name=f"fauxvider-worker-{number}",
        )
        process.start()
        theirs.close()
        return _Worker(number, node, process, monotonic_ms(), ours)

    def _place(self, worker: _Worker) -> dict[str, Any]:
        """Wait until a worker serves. Raises FauxviderError with what kept it from that."""
        with worker.line:
            try:
                while not self._is_ending:
                    if worker.line.poll(0.2):
                        found: dict[str, Any] = worker.line.recv()
                        if "problem" in found:
                            raise _FailedError(found["problem"], found["exit_code"])
                        return found
                    if monotonic_ms() - worker.began > _START_MS:
                        raise FauxviderError(f"worker {worker.number} did not start within {_START_MS // 1000} s")
            except EOFError:
                raise FauxviderError(f"worker {worker.number} ended while it started") from None
        return {}

    def _look_after(self, woken: Connection) -> None:
        """Wait for what comes next, and start those again that have ended by themselves."""
        lines = [worker.line for worker in self._workers if not worker.line.closed]
        alive = [worker.process.sentinel for worker in self._workers if worker.due is None]
        dues = [worker.due for worker in self._workers if worker.due is not None]
        pause_s = max(0, min(dues) - monotonic_ms()) / 1000 if dues else None
        ready = wait([woken, *lines, *alive], pause_s)
        for worker in [] if self._is_ending else list(self._workers):
            if worker.due is None and worker.process.sentinel in ready:
                self._ended(worker)
            elif worker.line in ready:
                self._heard(worker)
            elif worker.due is not None and worker.due <= monotonic_ms():
                self._again(worker)

    def _heard(self, worker: _Worker) -> None:
        """Take what a worker says that was started again: where it serves, or what keeps it from that."""
        with worker.line, contextlib.suppress(EOFError, OSError):
            worker.said = worker.line.recv() if worker.line.poll() else {}
        if worker.said and "problem" not in worker.said and worker.is_out:
            worker.is_out = False
            _say(f"worker {worker.number} serves again")

    def _ended(self, worker: _Worker) -> None:
        """Say what has ended, and when it is started again. Raises FauxviderError when it is not."""
        worker.process.join()
        if not worker.line.closed:
            self._heard(worker)
        kind: Kind = worker.said.get("kind", "other")
        problem = worker.said.get("problem", "")
        is_soon = kind != "other" or monotonic_ms() - worker.began < _SOON_MS
        worker.ends = worker.ends + 1 if is_soon else 0
        code = worker.process.exitcode
        threading.Thread(target=self._disown, args=(worker.node,), daemon=True).start()
        pause = pause_ms(kind, worker.ends)
        if pause is None:
            problem = problem or f"it ended {worker.ends} times as soon as it had started ({_shown(code)})"
            exit_code = code if code is not None and code > 0 else FauxviderError.exit_code
            raise _FailedError(f"worker {worker.number} cannot start again: {problem}", exit_code)
        worker.due = monotonic_ms() + pause
        if kind == "other":
            why = f": {problem}" if problem else ""
            _say(f"worker {worker.number} ended ({_shown(code)}), and is started again{why}")
        elif not worker.is_out:
            _say(f"worker {worker.number} cannot reach the store, and is started again until it can: {problem}")
            worker.is_out = True

    def _disown(self, node: str) -> None:
        """Have nobody wait for the lease of a process that is gone; where the store is away it runs out by itself."""
        with contextlib.suppress(FauxviderError):
            disown(self._options.store, node)

    def _again(self, worker: _Worker) -> None:
        fresh = self._start(worker.number)
        fresh.ends, fresh.is_out = worker.ends, worker.is_out
        self._workers[self._workers.index(worker)] = fresh

    def _end(self) -> list[_Worker]:
        """End the workers; give those that had to be killed."""
        self._is_ending = True
        killed = []
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        deadline = monotonic_ms() + round(1000 * self._options.operating.grace) + _END_MS
        for worker in self._workers:
            worker.process.join(max(0, deadline - monotonic_ms()) / 1000)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
                killed.append(worker)
        return killed

    def _check_end(self, killed: list[_Worker]) -> None:
        """Raise what the end of the workers comes to, where that is not all they should do: they have said what."""
        if killed:
            which = ", ".join(str(worker.number) for worker in killed)
            raise FauxviderError(f"killed what did not end within the grace period and some seconds: worker {which}")
        ended = [(worker.number, worker.process.exitcode or 0) for worker in self._workers if worker.due is None]
        if codes := {number: code for number, code in ended if code > 0}:
            which = ", ".join(f"worker {number} ({_shown(code)})" for number, code in codes.items())
            raise _FailedError(f"these did not end as they should: {which}", max(codes.values()))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[Connection]:
        """Have a signal end it all: the connection that is given can be read then. A second one is passed on."""
        woken, wake = self._context.Pipe(duplex=False)

        def end(_number: int, _frame: object) -> None:
            if self._is_ending:
                for worker in self._workers:
                    if worker.process.is_alive():
                        worker.process.terminate()
                return
            self._is_ending = True
            wake.send_bytes(b"!")

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield woken
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            woken.close()
            wake.close()


def _say(line: str) -> None:
    click.echo(f"fauxvider: {line}", err=True)


def _shown(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(options: ServeOptions, token: str, sockets: tuple[socket, socket], node: str, line: Connection) -> None:
    """Serve, as a worker: the parent hears when it is ready, or what kept it from that."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the parent alone, who passes it on: a second signal would mean hurry
    threading.Thread(target=_end_with_parent, name="fauxvider-parent", daemon=True).start()

    def tell(places: dict[str, Any], _front: object) -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            line.send(places)
        line.close()

    try:
        serve_one(options, token, tell=tell, sockets=sockets, node_name=node)
    except FauxviderError as error:
        try:
            line.send({"problem": str(error), "exit_code": error.exit_code, "kind": kind_of(error)})
        except OSError:  # it served already, or the parent is gone
            click.echo(f"fauxvider: {error}", err=True)
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    """End when the parent does, however it ends: nobody would look after a worker that is left."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
