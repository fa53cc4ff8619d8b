"""What accepts connections from a socket, and a thread to do so in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from fauxvider.sockets import callable_host

__all__ = ["Acceptor", "LoopThread"]

_EXHAUSTED_S = 0.1
_WAKE_S = 1.0


class Acceptor:
    """Makes a protocol of each connection.

    Not asyncio's own server: one that is closed while a connection is being accepted loses that socket
    without closing it, as a cancelled `sock_accept` does. This one is woken by a last connection instead.
    """

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._sock = sock
        self._protocol = protocol
        self._is_stopping = False
        self._task = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Accept no more, and stop listening."""
        self._is_stopping = True
        host, *rest = self._sock.getsockname()
        with self._sock, socket.socket(self._sock.family, socket.SOCK_STREAM) as last:
            last.setblocking(False)
            last.connect_ex((callable_host(host), *rest))
            await asyncio.wait([self._task], timeout=_WAKE_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except OSError:  # a connection that was lost again, or no descriptors left
                await asyncio.sleep(_EXHAUSTED_S)
                continue
            if self._is_stopping:
                sock.close()
                return
            try:
                await loop.connect_accepted_socket(self._protocol, sock)
            except OSError:
                sock.close()


class LoopThread:
    """Runs something between its start and its stop in a thread with a loop of its own."""

    def __init__(self, start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]) -> None:
        self._parts = start, stop
        self._started: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="fauxvider-receiver", daemon=True)

    def start(self) -> None:
        """Start it and wait until it has; raises what it raises."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Stop it and wait until it has; raises what it raises."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._ended.result()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            (self._ended if self._started.done() else self._started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        start, stop = self._parts
        await start()
        self._started.set_result(None)
        await self._stopping.wait()
        await stop()
