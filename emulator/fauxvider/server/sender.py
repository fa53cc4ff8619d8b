"""Sends callbacks: HTTP/1.1 on fresh connections to addresses that the egress policy has checked.

Written on sockets, not on a client library: users patch those in their tests, and a callback must
reach the receiver all the same. Proxies are ignored, redirects never followed, bodies not
decompressed, connections not used twice.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

from fauxvider.errors import BlockedAddressError
from fauxvider.ports import SendOutcome
from fauxvider.server.egress import Address, EgressPolicy, Resolver, Target, system_resolver
from fauxvider.server.exchange import Exchange, Reply

__all__ = ["Dial", "SendOutcome", "Sender", "SenderLimits", "dial_tcp"]

Dial: TypeAlias = Callable[[Address, int], Awaitable[socket.socket]]
"""Connects to an address and port and gives the connected, non-blocking socket."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# CR, LF and NUL split or cut a request; the other control characters confuse logs and proxies.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding"})
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_CLOSING_S = 0.25
_RECEIVE_BUFFER = 65_536  # bytes that wait to be read: unasked, a system lets a receiver fill megabytes
_MAX_ERROR = 200


@dataclass(frozen=True, slots=True)
class SenderLimits:
    """Bounds on what a receiver may do to us; seconds, bytes and connections."""

    connect_s: float = 2.0
    max_head: int = 16_384
    max_body: int = 65_536
    per_destination: int = 4
    total: int = 64


async def dial_tcp(address: Address, port: int) -> socket.socket:
    """Connect by TCP."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # The protocol is named so that asyncio turns Nagle's algorithm off.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        await _connected(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(sock: socket.socket, place: tuple[str, int]) -> None:
    """Connect a non-blocking socket to a literal address.

    uvloop's own `sock_connect` asks a thread to look the address up first: a wait for a processor that others use.
    """
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # whose loop watches no sockets
        await loop.sock_connect(sock, place)
        return
    try:
        sock.connect(place)
    except BlockingIOError:
        made: asyncio.Future[None] = loop.create_future()
        loop.add_writer(sock, _wake, made)
        try:
            await made
        finally:
            loop.remove_writer(sock)
        if problem := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem)) from None


def _wake(made: asyncio.Future[None]) -> None:
    if not made.done():
        made.set_result(None)


class Sender:
    """Sends requests, each on its own connection. Belongs to one event loop."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        limits: SenderLimits | None = None,
        dial: Dial = dial_tcp,
    ) -> None:
        self._policy = policy
        self._resolver = resolver or system_resolver
        self._ssl_context = ssl_context
        self._limits = limits or SenderLimits()
        self._dial = dial
        self._total = asyncio.Semaphore(self._limits.total)
        self._lanes: dict[tuple[str, int], tuple[asyncio.Semaphore, list[int]]] = {}

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        """Make one attempt; never raises for what the receiver, the network or the client's URL does.

        ``timeout_s`` counts from the moment that a connection slot is free. Host and Content-Length
        are the sender's; all other headers, a user-agent included, are exactly those given.
        """
        try:
            target = self._policy.check_url(url)
            head = request_head(method, target, headers, len(body))
        except BlockedAddressError as error:
            return SendOutcome("blocked", error=str(error))
        async with self._slot((target.host, target.port)):
            exchange: list[Exchange] = []
            try:
                async with asyncio.timeout(timeout_s):
                    reply = await self._attempt(method, target, head, body, exchange)
            except BlockedAddressError as error:
                return SendOutcome("blocked", error=str(error))
            except TimeoutError as error:
                late = exchange[0].cut("the body did not end in time") if exchange else None
                return _outcome(late) if late else SendOutcome("timeout", error=str(error) or _late(timeout_s))
            except (OSError, UnicodeError) as error:
                return SendOutcome("network", error=_reason(error))
            finally:
                await _hang_up(exchange)
            return _outcome(reply)

    async def write(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        """Put the request on the wire; faults override this to send less, later or otherwise."""
        transport.write(head + body)

    async def _attempt(self, method: str, target: Target, head: bytes, body: bytes, exchange: list[Exchange]) -> Reply:
        try:
            async with asyncio.timeout(self._limits.connect_s):
                made = await self._connect(method, target)
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {self._limits.connect_s:g} s") from error
        exchange.append(made)
        if made.transport is not None and not made.reply.done():
            await self.write(made.transport, head, body)
        return await made.reply

    async def _connect(self, method: str, target: Target) -> Exchange:
        addresses = await self._policy.resolve(target, self._resolver)
        sock = await self._reach(addresses, target.port)
        try:
            self._require_peer(sock, addresses, target)
            secure = target.scheme == "https"
            _, made = await asyncio.get_running_loop().create_connection(
                lambda: Exchange(method, max_head=self._limits.max_head, max_body=self._limits.max_body),
                sock=sock,
                ssl=self._context() if secure else None,
                server_hostname=target.host if secure else None,
                ssl_shutdown_timeout=_CLOSING_S if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return made

    async def _reach(self, addresses: list[Address], port: int) -> socket.socket:
        for address in addresses[:-1]:
            try:
                return await self._dial(address, port)
            except OSError:
                continue
        return await self._dial(addresses[-1], port)

    def _require_peer(self, sock: socket.socket, addresses: list[Address], target: Target) -> None:
        # Between the check and the connection something may have turned the address (a NAT rule, a patched socket).
        peer = sock.getpeername()
        if ip_address(peer[0]) not in addresses or peer[1] != target.port:
            raise BlockedAddressError(f"{target.host} was reached at {peer[0]}:{peer[1]}, which nobody checked")

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context

    @asynccontextmanager
    async def _slot(self, destination: tuple[str, int]) -> AsyncIterator[None]:
        """Wait for a connection to this destination, then for one at all: a slow receiver holds up only itself."""
        lane, users = self._lanes.setdefault(destination, (asyncio.Semaphore(self._limits.per_destination), [0]))
        users[0] += 1
        try:
            async with lane, self._total:
                yield
        finally:
            users[0] -= 1
            if not users[0]:
                del self._lanes[destination]


def request_head(method: str, target: Target, headers: list[tuple[str, str]], length: int) -> bytes:
    """Give the bytes before the body, names and order as given; raises BlockedAddressError on an injection."""
    if not _TOKEN.fullmatch(method):
        raise BlockedAddressError(f"{method!r} is not a method")
    lines = [f"{method} {target.path_and_query} HTTP/1.1", f"Host: {target.authority}"]
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise BlockedAddressError(f"{name!r} is not a header name")
        if name.lower() in _FRAMING:
            raise BlockedAddressError(f"the header {name} is the sender's own")
        if _CONTROL.search(value):
            raise BlockedAddressError(f"the header {name} holds a control character")
        lines.append(f"{name}: {value}")
    if length or method not in _BODYLESS:
        lines.append(f"Content-Length: {length}")
    try:
        return "\r\n".join([*lines, "", ""]).encode()
    except UnicodeEncodeError:
        raise BlockedAddressError("a header holds a lone surrogate") from None


def _outcome(reply: Reply) -> SendOutcome:
    if reply.status is None:
        return SendOutcome("network", error=reply.error[:_MAX_ERROR])
    return SendOutcome("http", reply.status, reply.body, reply.error[:_MAX_ERROR])


def _late(timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} s"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'handshake failed'}"
    if isinstance(error, socket.gaierror):
        return "the host name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


async def _hang_up(exchange: list[Exchange]) -> None:
    """Close at once and wait until the socket is gone, so that no attempt leaves one behind."""
    for made in exchange:
        if made.transport is None or made.lost.done():
            continue
        if made.transport.get_write_buffer_size():
            made.transport.abort()
        made.transport.close()
        if not await _is_lost(made):
            made.transport.abort()
            await _is_lost(made)


async def _is_lost(made: Exchange) -> bool:
    done, _ = await asyncio.wait([made.lost], timeout=_CLOSING_S)
    return bool(done)
