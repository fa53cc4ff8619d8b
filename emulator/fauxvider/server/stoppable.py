"""uvicorn's server, stopped by an event; what a stop waits for, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import uvicorn

from fauxvider.errors import FauxviderError

__all__ = ["StoppableServer", "serve_one", "settled", "signals_to"]

_CANCEL_S = 1.0  # for a request that has been cancelled to end


class StoppableServer(uvicorn.Server):
    """uvicorn's server that is stopped by an event instead of a poll, and that leaves signals alone."""

    def __init__(self, config: uvicorn.Config, grace_s: float) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()
        self._grace_s = grace_s
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self, within_s: float | None = None) -> None:
        """Begin the end. `within_s`: what is left of the grace period, where some of it is gone."""
        if within_s is not None:
            self._grace_s = max(0.0, within_s)
        self.should_exit = True
        self._stopping.set()

    def hurry(self) -> None:
        """Wait for no request any longer."""
        self._hurried.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            self.started = False
        if not self.started:
            raise FauxviderError("the application did not start; the log says why")
        self.is_ready.set()

    async def main_loop(self) -> None:
        # A tick renews the Date header; uvicorn's own loop would hold up a stop for a tenth of a second.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await settled(state.tasks, grace_s=self._grace_s, hurried=self._hurried)
        for connection in list(state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        # The connections learn of their end, and the applications behind them, in the loop's next turns.
        for _ in range(5):
            await asyncio.sleep(0)
        with _quiet_cancellations():
            for task in list(state.tasks):
                task.cancel()
            await settled(state.tasks, grace_s=min(self._grace_s, _CANCEL_S), hurried=self._hurried)
        await self.lifespan.shutdown()


async def settled(tasks: Iterable[asyncio.Future[Any]], *, grace_s: float, hurried: asyncio.Event) -> None:
    """Wait until the tasks are done, the time is over, or `hurried` is set."""
    left = {task for task in tasks if not task.done()}
    if not left:
        return
    hurry = asyncio.ensure_future(hurried.wait())
    until = asyncio.get_running_loop().time() + grace_s
    while left and not hurry.done() and (span := until - asyncio.get_running_loop().time()) > 0:
        done, _ = await asyncio.wait({*left, hurry}, timeout=span, return_when=asyncio.FIRST_COMPLETED)
        left -= done
    hurry.cancel()


@contextlib.contextmanager
def _quiet_cancellations() -> Iterator[None]:
    """Keep uvicorn from reporting, with a traceback, each request that a stop has cut."""

    def is_news(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


@contextlib.contextmanager
def signals_to(stop: Callable[[int], None]) -> Iterator[None]:
    """Have SIGINT and SIGTERM call `stop` in the running loop, for the length of a block in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, count = asyncio.get_running_loop(), 0

    def handle(number: int, _: object) -> None:
        nonlocal count
        count += 1
        loop.call_soon_threadsafe(stop, number)
        if count > 1:  # a third one ends a process that is stuck
            signal.signal(number, before[number])

    # signal.signal rather than the loop's own: it can be put back as it was, and exists on Windows.
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def serve_one(server: StoppableServer, sock: socket.socket) -> None:
    """Serve until stopped; what is cancelled stops as well."""
    try:
        await server.serve(sockets=[sock])
    except asyncio.CancelledError:
        if server.started:
            await server.shutdown(sockets=[sock])
        raise
