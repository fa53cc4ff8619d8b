"""No egress: what would leave this machine fails by name instead, at the lookup of the host or at the connection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from fauxvider.errors import UsageError
from fauxvider.server.build import load_contracts
from fauxvider_contracts import provider_names
from pytest_fauxvider.sleeping_clocks import is_real_thread

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attempt", "EgressError", "Guard", "no_egress", "provider_hosts"]

# A module that is seen on the way to the socket -> the door that would have answered.
_DOORS = {
    "httpcore": "httpx_door (fixture fauxvider_httpx)",
    "httpcore2": "httpx_door (fixture fauxvider_httpx)",
    "aiohttp": "aiohttp_door (fixture fauxvider_aiohttp)",
    "urllib3": "requests_door (fixture fauxvider_requests)",
    "http": "requests_door (fixture fauxvider_requests)",
}
_ANY = "all_doors (fixture fauxvider_hosts); for other processes: fauxvider serve --tls"


class EgressError(ConnectionError):
    """A connection that would have left this machine. An OSError, as an unreachable network is."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection that was stopped. ``test`` is the test's node id, or ""."""

    host: str
    port: int
    test: str
    door: str
    is_provider: bool

    def __str__(self) -> str:
        who = self.test or "this process"
        what = "a provider's real host" if self.is_provider else "an address outside of this machine"
        advice = f": it is answered here by {self.door}" if self.is_provider else ""
        return f"fauxvider: {who} connects to {self.host}:{self.port}, {what}, and no_egress is on{advice}"


class Guard:
    """What is stopped, and what has been so far (``attempts``)."""

    def __init__(self, hosts: Iterable[str], *, block: Literal["providers", "all"], allow: Iterable[str]) -> None:
        self.hosts = frozenset(hosts)
        self.attempts: list[Attempt] = []
        self._all = block == "all"
        self._allowed = frozenset(name.lower() for name in allow)

    def check(self, host: object, port: object) -> None:
        """Raise EgressError when this host (a name or an address) is not to be reached."""
        name = host.decode("latin-1") if isinstance(host, bytes) else str(host or "")
        name = name.lower().rstrip(".")
        is_provider = name in self.hosts
        if name in self._allowed or not (is_provider or (self._all and not _is_here(name))) or is_real_thread():
            return
        number = int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdigit()) else 0
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        attempt = Attempt(name, number, test, _door_of_caller(), is_provider)
        self.attempts.append(attempt)
        raise EgressError(errno.ECONNREFUSED, str(attempt))


def _is_here(name: str) -> bool:
    if name in ("", "localhost") or name.endswith(".localhost") or name.startswith("/"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _door_of_caller() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None:
        root = (frame.f_globals.get("__name__") or "").partition(".")[0]
        if root in _DOORS:
            return _DOORS[root]
        frame = frame.f_back
    return _ANY


def _guarded_connect(guard: Guard, real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            guard.check(address[0], address[1])
        return real(self, address)

    return connect


def _guarded_lookup(guard: Guard, real: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        guard.check(host, port)
        return real(host, port, *args, **kwargs)

    return getaddrinfo


def _guarded_name(guard: Guard, real: Callable[..., Any]) -> Callable[..., Any]:
    def gethostbyname(host: Any) -> Any:
        guard.check(host, 0)
        return real(host)

    return gethostbyname


def _guarded_loop(guard: Guard, real: Callable[..., Any]) -> Callable[..., Any]:
    async def getaddrinfo(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        guard.check(host, port)
        return await real(self, host, port, **kwargs)

    return getaddrinfo


def _guarded_dial(guard: Guard, real: Callable[..., Any]) -> Callable[..., Any]:
    # uvloop looks names up and connects below Python.
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any
    ) -> Any:
        if host is not None:
            guard.check(host, port)
        return await real(self, protocol_factory, host, port, **kwargs)

    return create_connection


def _places(guard: Guard) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    for name in ("connect", "connect_ex"):
        yield socket.socket, name, _guarded_connect(guard, getattr(socket.socket, name))
    yield socket, "getaddrinfo", _guarded_lookup(guard, socket.getaddrinfo)
    for name in ("gethostbyname", "gethostbyname_ex"):
        yield socket, name, _guarded_name(guard, getattr(socket, name))
    classes: list[Any] = [asyncio.BaseEventLoop]
    if (uvloop := sys.modules.get("uvloop")) is not None:
        classes.append(uvloop.Loop)
    for loop_class in classes:
        yield loop_class, "getaddrinfo", _guarded_loop(guard, loop_class.getaddrinfo)
        yield loop_class, "create_connection", _guarded_dial(guard, loop_class.create_connection)


def provider_hosts(contracts: Iterable[str | Path] = ()) -> frozenset[str]:
    """Give the host names of the bundled providers and of those in contract files. Raises ContractError."""
    files = load_contracts(provider_names(), contracts)
    return frozenset(urlsplit(url).hostname or url for file in files.values() for url in file.origin_urls.values())


@contextlib.contextmanager
def no_egress(
    hosts: Iterable[str] | None = None,
    *,
    block: Literal["providers", "all"] = "providers",
    allow: Iterable[str] = (),
) -> Iterator[Guard]:
    """Stop connections to the providers' own `hosts` (of the bundled ones, if not given), or to ``all`` that is not
    this machine, but for `allow`.

    A stopped connection raises EgressError, which says which test, which host and which door. What a client
    swallows stands in the guard's ``attempts`` all the same. Processes that a test starts are not watched,
    nor are the emulator's own threads, which have a policy of their own.
    """
    if block not in ("providers", "all"):
        raise UsageError(f"block {block!r} is not 'providers' or 'all'")
    guard = Guard(provider_hosts() if hosts is None else hosts, block=block, allow=allow)
    before: list[tuple[Any, str, bool, Any]] = []
    try:
        for owner, name, replacement in list(_places(guard)):
            is_own = name in vars(owner)
            before.append((owner, name, is_own, getattr(owner, name)))
            setattr(owner, name, replacement)
        yield guard
    finally:
        for owner, name, is_own, real in reversed(before):
            if is_own:
                setattr(owner, name, real)
            else:
                delattr(owner, name)
