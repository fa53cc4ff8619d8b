"""An emulator in the calling thread: no socket, no thread, no network. What a thousand examples a second need.

`answer_of` is the primitive below it, and below every door that answers in process: one request in, one
`Answer` out, with what would have gone wrong on a wire named in ``fault``.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast
from urllib.parse import unquote, urlsplit

from fauxvider.embedded import BaseServer
from fauxvider.errors import UsageError
from fauxvider.messages import HttpMessage
from fauxvider.ports import SendOutcome
from fauxvider.server.app import WORLD, ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.spoil import IN_PROCESS, WireCutError
from fauxvider.service.emulator import DEFAULT_WORLD

__all__ = ["Answer", "Callback", "CallbackAnswer", "Deliver", "LocalServer", "answer_of"]

T = TypeVar("T")
_BASE = "http://fauxvider.local"


@dataclass(frozen=True, slots=True)
class Answer(HttpMessage):
    """What a client would get. Header names as the provider writes them.

    ``fault`` names what a scenario did to the connection: "" (nothing); ``reset``, ``close``, ``hang`` (no
    answer for as long as one waits) and ``garbage``, without a status (0); ``truncate`` and ``length`` (less
    than the content-length came), ``half_close`` (the head alone), ``drip`` (all of it, in small pieces).
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Callback(HttpMessage):
    """One attempt at a callback, as a receiver would get it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_s: float


CallbackAnswer: TypeAlias = int | Literal["reset", "timeout"]
Deliver: TypeAlias = Callable[[Callback], CallbackAnswer]


async def answer_of(
    app: ProviderApp,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    world: str = DEFAULT_WORLD,
) -> Answer:
    """Answer one request in the loop that owns the emulator.

    ``url`` is an address of the emulator, or one at a provider's own host: that is answered by ``world``.
    """
    parts = urlsplit(url)
    sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in sent):
        sent.insert(0, (b"host", parts.netloc.encode("latin-1")))
    path = parts.path or "/"
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": parts.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "query_string": parts.query.encode("ascii", "replace"),
        "headers": sent,
        WORLD: world,
        IN_PROCESS: True,
    }
    exchange = _Exchange(body)
    try:
        await app(scope, exchange.receive, exchange.send)
    except WireCutError as cut:
        return Answer(cut.status, _texts(cut.headers), cut.body, cut.kind)
    return Answer(exchange.status, _texts(exchange.headers), b"".join(exchange.parts))


@dataclass(slots=True)
class _Exchange:
    """The ASGI side of one request."""

    body: bytes
    status: int = 0
    headers: Iterable[tuple[bytes, bytes]] = ()
    parts: list[bytes] = field(default_factory=list)
    is_read: bool = False

    async def receive(self) -> dict[str, Any]:
        if not self.is_read:
            self.is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        # Nobody disconnects here: who holds an answer back waits for its moment, not for this.
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.parts.append(message.get("body", b""))


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


class _Outbox:
    """The sender of a `LocalServer` that delivers to a function: attempts wait here for `LocalServer.call`."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callback, asyncio.Future[SendOutcome]]] = deque()
        self.wake: asyncio.Future[None] | None = None

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        outcome: asyncio.Future[SendOutcome] = asyncio.get_running_loop().create_future()
        self.waiting.append((Callback(method, url, tuple(headers), body, timeout_s), outcome))
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)
        return await outcome


def _outcome(answer: CallbackAnswer) -> SendOutcome:
    if answer == "reset":
        return SendOutcome("network", error="connection reset")
    if answer == "timeout":
        return SendOutcome("timeout", error="no answer in time")
    if isinstance(answer, int) and not isinstance(answer, bool) and 100 <= answer < 600:
        return SendOutcome("http", answer)
    raise UsageError(f"a callback is answered with a status, 'reset' or 'timeout'; not {answer!r}")


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class LocalServer(BaseServer):
    """All bundled providers (or those named), answering calls instead of connections.

        with LocalServer(clock="manual") as server, server.world() as world:
            answer = server.request("POST", world.base_url("acme") + "/run", headers=..., body=..., world=world.name)
            world.advance("10s")

    ``deliver`` gets every callback attempt instead of a socket and says how it was answered: a status,
    "reset" or "timeout". It runs in the calling thread and may itself call `request`. Without it callbacks
    go out over HTTP, as a `Server` sends them. What it raises is raised by the call that was under way.
    """

    def __init__(
        self,
        *,
        providers: Iterable[str] = (),
        contracts: Iterable[str | Path] = (),
        deliver: Deliver | None = None,
        metadata: bool = True,
        **defaults: Any,
    ) -> None:
        self._helper: ThreadPoolExecutor | None = None
        self._turn = threading.RLock()  # one thread after the other; a callback may call back in
        self._outbox = _Outbox()
        self.deliver = deliver
        super().__init__(
            build_emulator(
                providers=providers,
                files=contracts,
                base_url=_BASE,
                sender=None if deliver is None else self._outbox,
                metadata=metadata,
            ),
            defaults,
        )
        if deliver is not None:
            self.emulator.settings.dripping = None  # there is no wire to drip on
        # Last, since a loop has to be closed, and what stands above refuses what it cannot read.
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way. May be called more than once."""
        if not self._loop.is_closed():
            self.emulator.close()
            self.call(asyncio.sleep(0))
            self._runner.close()
        if self._helper is not None:
            self._helper.shutdown()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        world: str = DEFAULT_WORLD,
    ) -> Answer:
        """Answer one request; `world` answers what goes to a provider's own host."""
        pairs = cast("Iterable[tuple[str, str]]", headers.items() if isinstance(headers, Mapping) else headers)
        return self.call(answer_of(self.app, method, url, pairs, body, world=world))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the emulator's loop, and deliver the callbacks that come up meanwhile.

        In a thread whose own event loop is running this goes through a second thread.
        """
        if self._loop.is_closed():
            work.close()
            raise UsageError("the server has been closed")
        if not _is_in_a_loop():
            return self._call(work)
        return self._second().submit(self._call, work).result()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine; in a thread whose own event loop is running it goes on in a second thread."""
        if _is_in_a_loop():
            return self._second().submit(self._call, work)
        done: Future[T] = Future()
        try:
            done.set_result(self.call(work))
        except Exception as error:  # noqa: BLE001 - handed to who asks for the result
            done.set_exception(error)
        return done

    def _second(self) -> ThreadPoolExecutor:
        if self._helper is None:
            self._helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fauxvider-local")
        return self._helper

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        with self._turn:
            return self._call_now(work)

    def _call_now(self, work: Coroutine[Any, Any, T]) -> T:
        if self.deliver is None:
            return self._loop.run_until_complete(work)
        task = self._loop.create_task(work)
        try:
            self._deliver_all()
            while not task.done():
                self._run(task)
                self._deliver_all()
        except BaseException:
            task.cancel()
            raise
        return task.result()

    def _run(self, task: asyncio.Task[Any]) -> None:
        """Run the loop until the task is done or a callback waits."""
        wake = self._loop.create_future()

        def rouse(_done: object) -> None:
            if not wake.done():
                wake.set_result(None)

        task.add_done_callback(rouse)
        self._outbox.wake = wake
        self._loop.run_until_complete(wake)

    def _deliver_all(self) -> None:
        """Hand over what waits. It happens between two runs of the loop, so that it may call back in."""
        deliver = self.deliver
        while self._outbox.waiting and deliver is not None:
            callback, outcome = self._outbox.waiting.popleft()
            answered = _outcome(deliver(callback))
            if not outcome.done():
                outcome.set_result(answered)
