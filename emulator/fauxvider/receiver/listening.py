"""A socket to listen on, what accepts connections from it, and a thread to do so in."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from fauxvider.errors import PortTakenError, UsageError

__all__ = ["Acceptor", "LoopThread", "listen", "url_of"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to call, not what to listen on
_BACKLOG = 2048
_EXHAUSTED_S = 0.1
_WAKE_S = 1.0


def listen(host: str, port: int) -> socket.socket:
    """Listen on host and port (0: a free one); raises PortTakenError, or UsageError for a bad address."""
    if not 0 <= port < 65536:
        raise UsageError(f"cannot listen on {host}:{port}: a port is a number from 0 to 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # Without the protocol's number asyncio leaves Nagle's algorithm on.
        sock = socket.socket(family, kind, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"port {port} on {host} is taken: choose another one, or 0 for a free one") from None
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
    return sock


def url_of(sock: socket.socket) -> str:
    bound, port = sock.getsockname()[:2]
    host = _ANYWHERE.get(bound) or str(bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
            last.connect_ex((_ANYWHERE.get(host, host), *rest))
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
