"""Runs ASGI applications on uvicorn: in the foreground for the command line, in a thread for tests.

The sockets are ours from the start (`fauxvider.sockets`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import uvicorn

from fauxvider.errors import UsageError
from fauxvider.server.stoppable import StoppableServer, serve_one, settled, signals_to
from fauxvider.server.wire import WireSettings, protocol_class
from fauxvider.sockets import BACKLOG, listen, url_of

__all__ = ["RunSettings", "ServerThread", "Site", "Urls", "bind_both", "running", "serve", "serve_bound"]

T = TypeVar("T")
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_Parts: TypeAlias = list[tuple[App, socket.socket]]
_START_S = 60.0  # only what hangs takes as long
_LAST_S = 0.1  # for what the last requests need to be answered


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the servers run. ``grace_s``: how long requests in flight may go on after a stop."""

    parser: Literal["auto", "httptools", "h11"] = "auto"
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    lifespan: Literal["auto", "on", "off"] = "auto"
    date_header: bool = True
    grace_s: float = 0.1
    wire: WireSettings = field(default_factory=WireSettings)


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the applications are served; ``control`` is empty without a control application."""

    provider: str
    control: str = ""


def _bind_both(  # noqa: PLR0917 - the addresses of two servers
    app: App, control_app: App | None, host: str, port: int, control_port: int, control_host: str = "127.0.0.1"
) -> _Parts:
    parts = [(app, listen(host, port))]
    if control_app is not None:
        try:
            parts.append((control_app, listen(control_host, control_port)))
        except BaseException:
            parts[0][1].close()
            raise
    return parts


def _wants_lifespan(app: object) -> bool:
    """Say whether an application asks for start-up and shutdown: Starlette's do, or an attribute says so."""
    return bool(getattr(app, "wants_lifespan", hasattr(app, "router")))


class Site:
    """The servers over sockets that listen already."""

    def __init__(self, parts: _Parts, settings: RunSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._servers: list[StoppableServer] = []
        self._preparing: asyncio.Future[None] | None = None
        self._stopped: float | None = None
        self.hurried = asyncio.Event()  # set by a second signal
        self.urls = Urls(*(url_of(sock) for _, sock in parts))

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        return self._config(self._parts[0][0]).get_loop_factory()

    @property
    def busy(self) -> int:
        """How many requests to the first application are under way."""
        return sum(len(server.server_state.tasks) for server in self._servers[:1])

    def close(self) -> None:
        for _, sock in self._parts:
            sock.close()

    def stop(self) -> None:
        """Begin the end: take nothing new, and finish what is under way within the grace period."""
        if self._stopped is None:
            self._stopped = asyncio.get_running_loop().time()
        if self._preparing is not None:
            self._preparing.cancel()
        for server in self._servers[:1]:
            server.stop()

    def hurry(self) -> None:
        """Have the end wait for nothing any longer."""
        self.hurried.set()
        for server in self._servers:
            server.hurry()

    async def serve(
        self,
        ready: Callable[[], None],
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Serve until stopped; raises FauxviderError when an application does not start.

        The first application is served when `prepare` is done; the others are from before that until after
        `settle`, which gets what the first one left of the grace period.
        """
        self.hurried = asyncio.Event()
        self._servers = [StoppableServer(self._config(app), self._settings.grace_s) for app, _ in self._parts]
        try:
            async with asyncio.TaskGroup() as group:
                for server, (_, sock) in list(zip(self._servers, self._parts, strict=True))[1:]:
                    group.create_task(serve_one(server, sock))
                    await server.is_ready.wait()
                if await self._prepared(prepare):
                    main = group.create_task(serve_one(self._servers[0], self._parts[0][1]))
                    await self._servers[0].is_ready.wait()
                    ready()
                    await asyncio.wait([main])
                    await self._settled(settle)
                for server in self._servers[1:]:
                    server.stop(max(_LAST_S, self.left_s) if self._stopped is not None else None)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self.close()

    async def _prepared(self, prepare: Callable[[], Awaitable[None]] | None) -> bool:
        """Do what comes before the first application; False when the end came first."""
        if prepare is not None and self._stopped is None:
            self._preparing = asyncio.ensure_future(prepare())
            try:
                await self._preparing
            except asyncio.CancelledError:
                if self._stopped is None:
                    raise
            finally:
                self._preparing = None
        return self._stopped is None

    @property
    def left_s(self) -> float:
        """What is left of the grace period; less than nothing when it is over."""
        if self._stopped is None:
            return self._settings.grace_s
        return self._stopped + self._settings.grace_s - asyncio.get_running_loop().time()

    async def _settled(self, settle: Callable[[], Awaitable[None]] | None) -> None:
        if settle is None or self._stopped is None:
            return
        task = asyncio.ensure_future(settle())
        await settled([task], grace_s=self.left_s, hurried=self.hurried)
        if not task.cancel():
            task.result()

    def _config(self, app: App) -> uvicorn.Config:
        settings = self._settings
        lifespan = settings.lifespan
        if lifespan == "auto":
            lifespan = "on" if _wants_lifespan(app) else "off"
        return uvicorn.Config(
            app,
            http=protocol_class(settings.parser, settings.wire),
            ws="none",
            loop=settings.loop,
            lifespan=lifespan,
            interface="asgi3",
            # No logging set-up and no access_log=False: both would change the loggers of the user's process.
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=settings.date_header,
            backlog=BACKLOG,
        )


async def serve(
    app: App,
    control_app: App | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    control_port: int = 0,
    settings: RunSettings | None = None,
    ready: Callable[[Urls], None] | None = None,
) -> int:
    """Serve in the running loop until SIGINT or SIGTERM; give the signal's number.

    ``ready`` is called with the addresses once both applications answer. Signals are caught only in
    the main thread; elsewhere cancel the task. Raises PortTakenError, UsageError, FauxviderError.
    """
    site = bind_both(app, control_app, host, port, control_port, settings)
    return await serve_bound(site, ready=lambda: ready(site.urls) if ready else None)


def bind_both(  # noqa: PLR0917 - the addresses of two servers
    app: App,
    control_app: App | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    control_port: int = 0,
    settings: RunSettings | None = None,
    control_host: str = "127.0.0.1",
) -> Site:
    """Take the ports, so that the addresses are known before anything is served."""
    return Site(_bind_both(app, control_app, host, port, control_port, control_host), settings or RunSettings())


async def serve_bound(
    site: Site,
    *,
    ready: Callable[[], None],
    prepare: Callable[[], Awaitable[None]] | None = None,
    stopping: Callable[[], None] | None = None,
    settle: Callable[[], Awaitable[None]] | None = None,
    close: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Serve what `bind_both` has bound until SIGINT or SIGTERM; give the signal's number.

    A second signal waits for nothing. `prepare` and `settle` as in `Site.serve`; `stopping` is called with the
    first signal, `close` last, however it ends.
    """
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        if len(caught) > 1:
            site.hurry()
            return
        if stopping is not None:
            stopping()
        site.stop()

    with signals_to(stop):
        try:
            await site.serve(ready, prepare=prepare, settle=settle)
        finally:
            if close is not None:
                await close()
    return caught[0] if caught else 0


class ServerThread:
    """Applications served from a background thread with its own loop.

    The ports are taken when the object is made; ``start`` returns once the applications answer.
    """

    def __init__(
        self,
        app: App,
        control_app: App | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        settings: RunSettings | None = None,
    ) -> None:
        self._site = Site(_bind_both(app, control_app, host, port, control_port), settings or RunSettings())
        self._started: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="fauxvider-server", daemon=True)

    @property
    def urls(self) -> Urls:
        return self._site.urls

    def start(self) -> Urls:
        """Start serving; raises FauxviderError (or what an application raised) when that fails."""
        self._thread.start()
        try:
            self._started.result(_START_S)
        except BaseException:
            self._halt()
            raise
        return self.urls

    def call(self, coroutine: Coroutine[Any, Any, T], *, timeout_s: float | None = None) -> T:
        """Run a coroutine on the server's loop and wait for what it gives; `begin` does not wait."""
        return self.begin(coroutine).result(timeout_s)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        if self._task is None:
            coroutine.close()
            raise UsageError("the server has not been started")
        return asyncio.run_coroutine_threadsafe(coroutine, self._task.get_loop())

    def stop(self) -> None:
        """End it all, freeing the ports; raises what ended the server too early. May be called more than once."""
        self._halt()
        if self._started.done() and self._ended.done():
            self._ended.result()

    def _halt(self) -> None:
        if self._thread.is_alive() and self._task is not None:
            is_serving = self._started.done()
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._task.get_loop().call_soon_threadsafe(self._site.stop if is_serving else self._task.cancel)
        if self._thread.ident is not None:
            self._thread.join()
        self._site.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._site.loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            (self._ended if self._started.done() else self._started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        await self._site.serve(lambda: self._started.set_result(None))


@contextlib.contextmanager
def running(
    app: App,
    control_app: App | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    control_port: int = 0,
    settings: RunSettings | None = None,
) -> Iterator[Urls]:
    """Serve in a background thread for the length of a ``with`` block."""
    server = ServerThread(app, control_app, host=host, port=port, control_port=control_port, settings=settings)
    server.start()
    try:
        yield server.urls
    finally:
        server.stop()
