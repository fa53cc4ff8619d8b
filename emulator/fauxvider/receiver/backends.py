"""What may stand behind a receiver: the user's own ASGI application, or a URL of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

import h11

from fauxvider.errors import UsageError
from fauxvider.receiver.peer import MAX_BODY, Request
from fauxvider.receiver.script import FRAMING, Answer

__all__ = ["App", "AppBackend", "Backend", "UrlBackend"]

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_GRACE_S = 1.0
_LIFESPAN_S = 10.0
_FORWARD_S = 60.0
_LOG = logging.getLogger("fauxvider.receiver")


class Backend(Protocol):
    """Answers requests that the script passes on."""

    async def start(self, own_port: int) -> None: ...
    async def ask(self, request: Request) -> Answer:
        """Give an answer, whatever happens: what went wrong is in its ``note``."""
        ...

    async def stop(self) -> None: ...


def _failed(status: int, why: str) -> Answer:
    headers = (("Content-Type", "text/plain; charset=utf-8"),)
    return Answer(status=status, headers=headers, body=why.encode("utf-8", "replace"), note=why)


def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, or_else: int) -> Answer:
    """Make an answer of another server's; its framing is ours."""
    pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    answer = Answer(status=status, headers=tuple(pair for pair in pairs if pair[0].lower() not in FRAMING), body=body)
    try:
        answer.response()
    except h11.LocalProtocolError as error:
        return _failed(or_else, f"the answer is no HTTP: {error}")
    return answer


class AppBackend:
    """An ASGI application, called in the receiver's loop; it is started and stopped as a server would."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._state: dict[str, Any] = {}
        self._inbox: asyncio.Queue[Message]
        self._lifespan: asyncio.Task[None] | None = None
        self._is_started: asyncio.Future[str]
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self, own_port: int) -> None:
        """Run the application's start-up; raises UsageError when that fails."""
        del own_port
        self._state, self._inbox = {}, asyncio.Queue()
        self._is_started = asyncio.get_running_loop().create_future()
        self._lifespan = asyncio.create_task(self._live())
        self._inbox.put_nowait({"type": "lifespan.startup"})
        try:
            async with asyncio.timeout(_LIFESPAN_S):
                failure = await asyncio.shield(self._is_started)
        except TimeoutError:
            failure = f"its start-up took over {_LIFESPAN_S:g} s"
        if failure:
            await self._end_lifespan()
            raise UsageError(f"the application behind the receiver did not start: {failure}")

    async def stop(self) -> None:
        """Let calls that go on after their answer end, briefly; then run the application's shutdown."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=_GRACE_S)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._end_lifespan()

    async def _end_lifespan(self) -> None:
        if self._lifespan is None:
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([self._lifespan], timeout=_LIFESPAN_S if self._is_started.done() else 0)
        self._lifespan.cancel()
        await asyncio.gather(self._lifespan, return_exceptions=True)
        self._lifespan = None

    async def _live(self) -> None:
        async def send(message: Message) -> None:
            if message["type"].startswith("lifespan.startup.") and not self._is_started.done():
                failed = message["type"] == "lifespan.startup.failed"
                self._is_started.set_result((message.get("message") or "it does not say why") if failed else "")

        try:
            await self._app({"type": "lifespan", "asgi": _ASGI, "state": self._state}, self._inbox.get, send)
        except Exception:  # noqa: BLE001 - of the user's code
            # Before start-up is complete this is how an application says that it knows no lifespan.
            if self._is_started.done():
                _LOG.exception("the application's lifespan failed")
        finally:
            if not self._is_started.done():
                self._is_started.set_result("")

    async def ask(self, request: Request) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        call = asyncio.create_task(self._call(request, answered))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        # An application may work on after its answer; the sender does not wait for that.
        return await answered

    async def _call(self, request: Request, answered: asyncio.Future[Answer]) -> None:
        exchange = _Exchange(request, answered)
        try:
            await self._app(_scope(request, dict(self._state)), exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - of the user's code
            _LOG.exception("the application behind the receiver failed")
            exchange.finish(_failed(500, f"the application raised {type(error).__name__}"))
        finally:
            exchange.finish(_failed(500, "the application ended without an answer"))


class _Exchange:
    """One request's `receive` and `send`."""

    def __init__(self, request: Request, answered: asyncio.Future[Answer]) -> None:
        self._request = request
        self._answered = answered
        self._is_read = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def receive(self) -> Message:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await self._request.is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif message["type"] == "http.response.body" and self._status:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self.finish(_answer(self._status, self._headers, bytes(self._body), or_else=500))

    def finish(self, answer: Answer) -> None:
        self._request.is_over.set()
        if not self._answered.done():
            self._answered.set_result(answer)


def _scope(request: Request, state: dict[str, Any]) -> Message:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": request.version.decode("ascii"),
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers],
        "client": request.client,
        "server": request.server,
        "state": state,
    }


class UrlBackend:
    """An HTTP server of this machine, which gets every byte of the request as it came.

    A URL with a path gets everything at that path; one without gets it at the path that it came with.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self._port = parts.port or 80
        except ValueError as error:
            raise UsageError(f"{url!r} is not a URL: {error}") from None
        host = parts.hostname or ""
        if parts.scheme != "http" or parts.username is not None or parts.fragment or not _is_loopback(host):
            raise UsageError(f"cannot forward to {url!r}: write http://127.0.0.1:PORT, with or without a path")
        self._name = f"{parts.netloc}{parts.path}"  # a query may hold a secret
        self._hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
        self._target = (parts.path + (f"?{parts.query}" if parts.query else "")).encode("ascii", "replace")

    async def start(self, own_port: int) -> None:
        """Refuse to forward to the receiver itself: that would never end."""
        if self._port == own_port:
            raise UsageError(f"cannot forward to {self._name}: the receiver itself listens on this port")

    async def stop(self) -> None:
        """There is nothing to stop: each request has a connection of its own."""

    async def ask(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(_FORWARD_S):
                return await self._exchange(request)
        except TimeoutError:
            return _failed(504, f"{self._name} did not answer within {_FORWARD_S:g} s")
        except OSError as error:
            return _failed(502, f"{self._name} cannot be reached: {error.strerror or error}")
        except h11.RemoteProtocolError as error:
            return _failed(502, f"{self._name} gave no whole answer: {error}")

    async def _exchange(self, request: Request) -> Answer:
        reader, writer = await self._connect()
        try:
            writer.write(self._bytes_for(request))
            return await _read_answer(reader, request.method)
        finally:
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for host in self._hosts[:-1]:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection(host, self._port)
        return await asyncio.open_connection(self._hosts[-1], self._port)

    def _bytes_for(self, request: Request) -> bytes:
        if self._target in (b"", b"/"):
            return request.wire
        method, _, rest = request.wire.partition(b" ")
        return method + b" " + self._target + rest[len(request.target) :]


async def _read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    # h11 reads a response by the request before it; the bytes that are sent are the sender's own.
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                return _failed(502, f"the answer is over {MAX_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _answer(head.status_code, head.headers.raw_items(), bytes(body), or_else=502)
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("it closed the connection")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
