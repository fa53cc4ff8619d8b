"""HTTPS for the providers' own host names, for clients in any language: a front with certificates, and a proxy to it.

The proxy takes CONNECT for those hosts alone and refuses every other one by name, so that a client that is
started with its settings can reach nothing else. The user name in the proxy's address chooses the world.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import uvicorn

from fauxvider.errors import UsageError
from fauxvider.server.app import WORLD
from fauxvider.server.runner import RunSettings, Site
from fauxvider.sockets import listen

__all__ = ["TlsFront"]

_HEAD_LIMIT = 16_384
_HEAD_S = 20.0
_PIECE = 65_536
_HERE = "localhost,127.0.0.1,::1"


class _World:
    """The application behind the front, told which world the proxy was asked for."""

    wants_lifespan = False

    def __init__(self, app: Any) -> None:
        self._app = app
        self.by_port: dict[int, str] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = scope.get("client")
        if client is not None and (world := self.by_port.get(client[1])):
            scope[WORLD] = world
        await self._app(scope, receive, send)


class _TlsSite(Site):
    """A site that speaks TLS."""

    def __init__(self, app: Any, sock: socket.socket, settings: RunSettings, context: ssl.SSLContext) -> None:
        super().__init__([(app, sock)], settings)
        self._context = context

    def _config(self, app: Any) -> uvicorn.Config:
        config = super()._config(app)
        config.load()
        config.ssl = self._context
        return config


class TlsFront:
    """The front and its proxy, in the event loop of the emulator. Needs the extra ``tls``.

    ``ca_file``: the certificate that clients must trust; it is made anew each time, and its key is never
    written. Raises UsageError (no trustme) and PortTakenError.
    """

    def __init__(
        self,
        app: Any,
        hosts: Iterable[str],
        *,
        port: int = 0,
        proxy_port: int = 0,
        folder: Path | None = None,
        settings: RunSettings | None = None,
    ) -> None:
        self.hosts = tuple(sorted({urlsplit(f"//{host}").hostname or host for host in hosts}))
        self._app = _World(app)
        self._made_folder = folder is None
        sock = listen("127.0.0.1", port)
        try:
            self._proxy_sock = listen("127.0.0.1", proxy_port)
        except BaseException:
            sock.close()
            raise
        try:
            context, self.ca_file = _certificates(self.hosts, folder)
        except BaseException:
            sock.close()
            self._proxy_sock.close()
            raise
        self.port: int = sock.getsockname()[1]
        self.proxy_port: int = self._proxy_sock.getsockname()[1]
        self._site = _TlsSite(self._app, sock, settings or RunSettings(), context)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._proxy: asyncio.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def proxy(self, world: str = "") -> str:
        """Give the proxy's address, for the default world or another one."""
        # Some clients send a user only where there is a password too.
        user = f"{quote(world, safe='')}:world@" if world else ""
        return f"http://{user}127.0.0.1:{self.proxy_port}"

    def env(self, world: str = "") -> dict[str, str]:
        """Give what a client's process needs in its environment, whatever its language."""
        ca, proxy = str(self.ca_file), self.proxy(world)
        return {
            "SSL_CERT_FILE": ca,
            "REQUESTS_CA_BUNDLE": ca,
            "CURL_CA_BUNDLE": ca,
            "NODE_EXTRA_CA_CERTS": ca,
            "NODE_USE_ENV_PROXY": "1",
            "HTTPS_PROXY": proxy,
            "ALL_PROXY": proxy,
            "NO_PROXY": _HERE,
        }

    async def start(self) -> None:
        """Serve, until `stop`, in the running loop."""
        ready = asyncio.Event()
        self._serving = asyncio.create_task(self._site.serve(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._serving.done():
            self._serving.result()
        self._proxy = await asyncio.start_server(self._serve, sock=self._proxy_sock, limit=_HEAD_LIMIT)

    def drain(self) -> None:
        """Take nothing new; what is under way goes on (`finished`)."""
        if self._proxy is not None:
            self._proxy.close()
        self._site.stop()

    async def finished(self) -> None:
        """Return when no request is under way any longer, or the grace period is over."""
        if self._serving is not None:
            await asyncio.wait([self._serving])

    async def stop(self) -> None:
        """End every connection; what was written is removed, unless a folder was given."""
        if self._proxy is not None:
            self._proxy.close()
        for task in list(self._tasks):
            task.cancel()
        if self._serving is not None:
            self._site.stop()
            self._site.hurry()
            await self._serving
        self.close()

    def close(self) -> None:
        """Give back what was taken, also when nothing was ever served."""
        self._proxy_sock.close()
        self._site.close()
        if self._made_folder:
            shutil.rmtree(self.ca_file.parent, ignore_errors=True)

    # --- the proxy

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                async with asyncio.timeout(_HEAD_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._connect(head.decode("latin-1"), reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _connect(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = head.split("\r\n")
        method, _, rest = line.partition(" ")
        target = rest.partition(" ")[0]
        host, _, port = target.rpartition(":") if method == "CONNECT" else (urlsplit(target).hostname or "", "", "")
        if host.strip("[]").lower() not in self.hosts:
            await _refuse(writer, f"{host or target} is none of the providers' hosts: {', '.join(self.hosts)}")
        elif method != "CONNECT" or port != "443":
            await _refuse(writer, f"{host} is served by HTTPS on port 443 alone")
        else:
            upstream = await asyncio.open_connection("127.0.0.1", self.port)
            own_port = upstream[1].get_extra_info("sockname")[1]
            self._app.by_port[own_port] = _world_of(fields)
            try:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _join((reader, writer), upstream)
            finally:
                del self._app.by_port[own_port]


def _world_of(fields: list[str]) -> str:
    """Give the user name that the proxy was asked by: the world's."""
    for field in fields:
        name, _, value = field.partition(":")
        if name.strip().lower() == "proxy-authorization" and value.strip().lower().startswith("basic "):
            with contextlib.suppress(binascii.Error, ValueError):
                said = base64.b64decode(value.strip()[6:], validate=True).decode("utf-8", "replace")
                return unquote(said.partition(":")[0])
    return ""


async def _refuse(writer: asyncio.StreamWriter, why: str) -> None:
    # Most clients show of a proxy's refusal its first line alone.
    body, first = f"fauxvider: {why}\n".encode(), f"fauxvider: {why}".encode("latin-1", "replace")
    writer.write(
        b"HTTP/1.1 403 " + first + b"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await writer.drain()


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(one: _End, other: _End) -> None:
    """Pass bytes both ways until both ends are done; a reset is passed on as a reset."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(one[0], other[1]))
            group.create_task(_pass_on(other[0], one[1]))
    except BaseExceptionGroup as errors:
        if errors.subgroup(OSError) is None:
            raise
    finally:
        other[1].close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    except ConnectionResetError:
        sock = writer.get_extra_info("socket")
        if sock is not None and not writer.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()


def _certificates(hosts: tuple[str, ...], folder: Path | None) -> tuple[ssl.SSLContext, Path]:
    try:
        import trustme
    except ImportError:
        raise UsageError("HTTPS needs trustme: pip install 'fauxvider[tls]'") from None
    authority = trustme.CA(organization_name="fauxvider", organization_unit_name="made for one run")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    authority.issue_cert(*hosts, "localhost", "127.0.0.1").configure_cert(context)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="fauxvider-"))
    else:
        folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, path
