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
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from socket import socket
from typing import Any

import click

from fauxvider.cli.serving import ServeOptions, Tell, serve_one
from fauxvider.clock import monotonic_ms
from fauxvider.errors import FauxviderError, UsageError
from fauxvider.sockets import listen
from fauxvider.stores.opening import disown, is_shared

__all__ = ["serve_workers"]

_IS_DEALT = sys.platform == "linux"  # elsewhere one of several listeners gets all that comes, or it depends
_START_MS = 60_000
_SOON_MS = 5_000  # a worker that ends so soon after its start
_PATIENCE = 5  # and so many times in a row is not started again


@dataclass
class _Worker:
    """A process that serves."""

    number: int
    node: str
    process: BaseProcess
    began: int
    early_ends: int = 0


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
                starting = [self._start(number) for number in range(1, self._options.sharing.workers + 1)]
                self._workers = [worker for worker, _ in starting]
                places = [self._place(worker, line) for worker, line in starting]
                if not self._is_ending:
                    tell(places[0], None)
                while not self._is_ending:
                    self._look_after(wait([woken, *(worker.process.sentinel for worker in self._workers)]))
            finally:
                self._end()

    def _start(self, number: int) -> tuple[_Worker, Connection]:
        ours, theirs = self._context.Pipe(duplex=False)
        node = secrets.token_hex(8)
        process = self._context.Process(
            target=_work,
            args=(self._options, self._token, self._sockets[number - 1], node, theirs),
            name=f"fauxvider-worker-{number}",
        )
        process.start()
        theirs.close()
        return _Worker(number, node, process, monotonic_ms()), ours

    def _place(self, worker: _Worker, line: Connection) -> dict[str, Any]:
        """Wait until a worker serves. Raises FauxviderError with what kept it from that."""
        with line:
            try:
                while not self._is_ending:
                    if line.poll(0.2):
                        found: dict[str, Any] = line.recv()
                        if "problem" in found:
                            raise _FailedError(found["problem"], found["exit_code"])
                        return found
                    if monotonic_ms() - worker.began > _START_MS:
                        raise FauxviderError(f"worker {worker.number} did not start within {_START_MS // 1000} s")
            except EOFError:
                raise FauxviderError(f"worker {worker.number} ended while it started") from None
        return {}

    def _look_after(self, ready: list[Any]) -> None:
        """Start those again that have ended by themselves."""
        for worker in [one for one in self._workers if one.process.sentinel in ready and not self._is_ending]:
            worker.process.join()
            early = worker.early_ends + 1 if monotonic_ms() - worker.began < _SOON_MS else 0
            code = worker.process.exitcode
            with contextlib.suppress(FauxviderError):  # its lease runs out by itself
                disown(self._options.store, worker.node)
            if early >= _PATIENCE:
                why = f"worker {worker.number} ended {early} times as soon as it had started ({_ended(code)})"
                raise _FailedError(why, code if code is not None and code > 0 else FauxviderError.exit_code)
            click.echo(f"fauxvider: worker {worker.number} ended ({_ended(code)}), and is started again", err=True)
            fresh, line = self._start(worker.number)
            line.close()
            fresh.early_ends = early
            self._workers[self._workers.index(worker)] = fresh

    def _end(self) -> None:
        self._is_ending = True
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        deadline = monotonic_ms() + round(1000 * self._options.operating.grace) + 5000
        for worker in self._workers:
            worker.process.join(max(0, deadline - monotonic_ms()) / 1000)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

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


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(options: ServeOptions, token: str, sockets: tuple[socket, socket], node: str, line: Connection) -> None:
    """Serve, as a worker: the parent hears when it is ready, or what kept it from that."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the parent alone, who passes it on: a second signal would mean hurry
    threading.Thread(target=_end_with_parent, name="fauxvider-parent", daemon=True).start()

    def tell(places: dict[str, Any], _front: object) -> None:
        with contextlib.suppress(OSError):  # a worker that was started again: nobody listens
            line.send(places)
        line.close()

    try:
        serve_one(options, token, tell=tell, sockets=sockets, node_name=node)
    except FauxviderError as error:
        try:
            line.send({"problem": str(error), "exit_code": error.exit_code})
        except OSError:  # a worker that was started again, as above
            click.echo(f"fauxvider: {error}", err=True)
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    """End when the parent does, however it ends: nobody would look after a worker that is left."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
