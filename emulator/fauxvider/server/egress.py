"""Where callbacks may go: loopback unless the user says otherwise.

The policy is the reverse of a webhook vendor's. A vendor must refuse private addresses; a stand-in
must refuse everything but the user's own machine, because the harm is a test job that posts to
production. Cloud metadata is refused under every policy.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias
from urllib.parse import quote

from fauxvider.errors import BlockedAddressError, UsageError

__all__ = ["Address", "EgressPolicy", "Resolver", "Target", "system_resolver"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the IP addresses of a host, as text; raises OSError when it has none."""

_MAX_URL = 8192
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[/?][^#]*|)(?P<mark>#.*|)")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
# Everything that some URL reader strips, turns or stops at: two readers would see two hosts.
_TREACHEROUS = re.compile(r"[\x00-\x20\x7f\\]")


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# 169.254/16 and fe80::/10 hold the metadata services of nearly every cloud; the others are the
# addresses outside them: Azure, Oracle, Alibaba, EC2, Scaleway, Google.
_METADATA = _networks(
    "169.254.0.0/16", "168.63.129.16/32", "192.0.0.192/32", "100.100.100.200/32", "fe80::/10", "fec0::/10",
    "fd00:ec2::/32", "fd00:42::42/128", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128",
)  # fmt: skip
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# Nobody's address: "this host", multicast, reserved, discard-only. 0.0.0.0 reaches the loopback on Linux.
_NOWHERE = _networks("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8", "100::/64")
_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
# The IANA special-purpose registries, written out: `is_global` differs between Python versions.
_NOT_PUBLIC = _networks(
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "2001::/23", "2001:db8::/32", "3fff::/20",
)  # fmt: skip
_PUBLIC_6 = _networks("2000::/3", "64:ff9b::/96")
_MAPPED, _NAT64 = ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")
_SIX_TO_FOUR, _TEREDO, _COMPATIBLE = ip_network("2002::/16"), ip_network("2001::/32"), ip_network("::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was read once; ``host`` is lower-case ASCII, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of an allow list; port 0 stands for any."""

    name: str
    network: Network | None
    port: int

    def fits(self, port: int) -> bool:
        return self.port in (0, port)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Says which addresses callbacks may be sent to.

    ``loopback``: this machine alone, by literal address or ``localhost``; no other name is even
    looked up. ``allow``: exactly the hosts and networks of ``allow``, each ``host``, ``host:port``,
    ``CIDR`` or ``CIDR:port`` (IPv6 with a port in brackets). ``public``: the global Internet, and
    ``allow`` besides.
    """

    mode: Literal["loopback", "allow", "public"] = "loopback"
    allow: tuple[str, ...] = ()
    _entries: tuple[_Entry, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mode not in ("loopback", "allow", "public"):
            raise UsageError(f"{self.mode!r} is not an egress policy: write loopback, allow or public")
        if self.mode == "loopback" and self.allow:
            raise UsageError("the loopback policy takes no list: choose the policy 'allow' (and list 127.0.0.0/8)")
        object.__setattr__(self, "_entries", tuple(_entry(text) for text in self.allow))

    def check_url(self, url: str) -> Target:
        """Read a callback URL and refuse what can be refused without a look-up; raises BlockedAddressError."""
        target = _read_url(url)
        literal = _literal(target.host)
        if literal is not None:
            self._require(literal, target, named=False)
        elif target.host in _METADATA_NAMES:
            raise BlockedAddressError(f"{target.host} is a cloud's metadata service")
        elif not self._may_look_up(target):
            where, how = f"{target.host}:{target.port}", f"fauxvider serve --allow {target.host}, or an EgressPolicy"
            raise BlockedAddressError(f"the egress policy {self.mode!r} does not allow {where} ({how})")
        return target

    def check_address(self, address: str | Address, *, port: int = 0, named: bool = False) -> bool:
        """Say whether a connection to this address is allowed.

        ``port`` 0 asks for every port; ``named`` says that the allow list holds the host by name.
        """
        try:
            views = _views(ip_address(address))
        except ValueError:
            return False
        return all(self._allows(view, port, named=named) for view in views)

    async def resolve(self, target: Target, resolver: Resolver) -> list[Address]:
        """Look the host up once; every answer must pass.

        Raises BlockedAddressError when one does not, OSError when there is none.
        """
        literal = _literal(target.host)
        if literal is not None:
            self._require(literal, target, named=False)
            return [literal]
        answers = await resolver(target.host, target.port)
        if not answers:
            raise OSError(f"no address for {target.host}")
        named = self._is_named(target)
        found: dict[Address, None] = {}
        for answer in answers:
            try:
                address = ip_address(answer)
            except ValueError:
                raise BlockedAddressError(f"{target.host} resolves to something that is no address") from None
            self._require(address, target, named=named)
            found[address] = None
        return list(found)

    def _require(self, address: Address, target: Target, *, named: bool) -> None:
        if not self.check_address(address, port=target.port, named=named):
            via = "" if str(address) == target.host else f" ({target.host})"
            raise BlockedAddressError(f"the egress policy {self.mode!r} does not allow {address}{via}:{target.port}")

    def _is_named(self, target: Target) -> bool:
        return any(entry.name == target.host and entry.fits(target.port) for entry in self._entries)

    def _may_look_up(self, target: Target) -> bool:
        if self._is_named(target):
            return True
        if target.host == "localhost" or target.host.endswith(".localhost"):
            return any(self.check_address(address, port=target.port) for address in ("127.0.0.1", "::1"))
        if self.mode != "allow":
            return self.mode == "public"
        return any(entry.network is not None and entry.fits(target.port) for entry in self._entries)

    def _allows(self, address: Address, port: int, *, named: bool) -> bool:
        if _within(address, _METADATA) or _within(address, _NOWHERE):
            return False
        if self.mode == "loopback":
            return _within(address, _LOOPBACK)
        if named or any(entry.network is not None and entry.fits(port) and address in entry.network
                        for entry in self._entries):  # fmt: skip
            return True
        return self.mode == "public" and _is_public(address)


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the machine's own resolver, in the running loop's way."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(row[4][0]) for row in rows]


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    if _within(address, _NOT_PUBLIC):
        return False
    return address.version == 4 or _within(address, _PUBLIC_6)


def _views(address: Address) -> tuple[Address, ...]:
    """Give every address that a packet to this one may end at; each must pass."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.scope_id is not None:
        raise ValueError("a zone id names an interface of this machine")
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED:
        return (low,)
    if address in _NAT64 or (address in _COMPATIBLE and number > 1):
        return (address, low)
    if address in _SIX_TO_FOUR:
        return (address, IPv4Address(number >> 80 & 0xFFFFFFFF))
    if address in _TEREDO:
        return (address, IPv4Address(number >> 64 & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF))
    return (address,)


def _literal(host: str) -> Address | None:
    """Read a literal address; refuse the spellings that only some readers take for one."""
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise BlockedAddressError("the host is not an IPv6 address") from None
    if not _NUMERIC_END.fullmatch(host):
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise BlockedAddressError(f"{host} is an odd spelling of an address") from None


def _read_url(url: str) -> Target:
    if len(url) > _MAX_URL:
        raise BlockedAddressError(f"the URL is longer than {_MAX_URL} characters")
    if _TREACHEROUS.search(url):
        raise BlockedAddressError("the URL holds a backslash, a blank or a control character")
    found = _URL.fullmatch(url)
    if found is None or found["scheme"].lower() not in _PORTS:
        raise BlockedAddressError("only http:// and https:// URLs are sent to")
    scheme = found["scheme"].lower()
    if found["mark"] and not found["rest"]:
        raise BlockedAddressError("a fragment straight after the host is ambiguous")
    host, port = _read_authority(found["authority"], _PORTS[scheme])
    rest = found["rest"]
    if not rest.startswith("/"):
        rest = f"/{rest}"
    if not rest.isascii():
        try:
            rest = quote(rest, safe="!\"#$%&'()*+,/:;<=>?@[]^_`{|}~-.")
        except UnicodeEncodeError:
            raise BlockedAddressError("the URL holds a lone surrogate") from None
    return Target(scheme, host, port, rest)


def _read_authority(text: str, default: int) -> tuple[str, int]:
    if "@" in text:
        raise BlockedAddressError("the URL holds a user name or password")
    if not text.isascii():
        raise BlockedAddressError("the host is not ASCII: write its xn-- form")
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise BlockedAddressError("the host or port cannot be read")
    port = default if found["port"] is None else int(found["port"])
    if not 0 < port < 65536:
        raise BlockedAddressError(f"{port} is not a port")
    host = found["host"].lower()
    if host.startswith("["):
        host = host[1:-1]
        if "%" in host:
            raise BlockedAddressError("a zone id names an interface of this machine")
        if ":" not in host:
            raise BlockedAddressError("the host is not an IPv6 address")
    elif not _NAME.fullmatch(host):
        raise BlockedAddressError("the host is not a name or address")
    return host, port


def _entry(text: str) -> _Entry:
    """Read one line of an allow list; raises UsageError."""
    try:
        return _Entry("", ip_network(text.strip("[]") if text.startswith("[") and text.endswith("]") else text), 0)
    except ValueError:
        pass
    head, colon, tail = text.rpartition(":")
    port = int(tail) if colon and tail.isascii() and tail.isdigit() and len(tail) < 6 else 0
    host = (head if port else text).lower()
    if colon and not 0 < port < 65536:
        raise UsageError(f"{text!r} is not an allowed address: write host, host:port, CIDR or CIDR:port")
    try:
        return _Entry("", ip_network(host[1:-1] if host.startswith("[") and host.endswith("]") else host), port)
    except ValueError:
        pass
    if not _NAME.fullmatch(host) or _NUMERIC_END.fullmatch(host):
        raise UsageError(f"{text!r} is not an allowed address: write host, host:port, CIDR or CIDR:port")
    return _Entry(host, None, port)
