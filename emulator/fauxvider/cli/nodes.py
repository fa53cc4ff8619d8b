"""The options of `fauxvider serve` for worlds that several processes share (docs/stores.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from fauxvider.errors import UsageError
from fauxvider.ports import SharedFile
from fauxvider.server.app import Pages, ProviderApp
from fauxvider.service.emulator import Emulator

if TYPE_CHECKING:
    from fauxvider.server.shared import Node

__all__ = ["SHARING_OPTIONS", "SharingOptions", "faces", "open_node"]

MAX_WORKERS = 256

SHARING_OPTIONS = (
    click.option(
        "--workers",
        default=1,
        type=click.IntRange(1, MAX_WORKERS),
        show_default=True,
        help="Serve from that many processes; needs a store that they share (--store redis://HOST/0).",
    ),
    click.option(
        "--node-address",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        show_default=True,
        help="Where other processes on the store call this one; 0 takes a free port. Across machines: an address "
        "of this machine that the others reach, in a network that you trust.",
    ),
    click.option(
        "--base-url",
        default="",
        metavar="URL",
        help="What clients call, where that is not this server but a proxy before it: file URLs begin with it.",
    ),
)


@dataclass(frozen=True, slots=True)
class SharingOptions:
    """The options of this module by their names."""

    workers: int
    node_address: str
    base_url: str

    @classmethod
    def taken(cls, given: dict[str, Any]) -> SharingOptions:
        """Take what is ours out of a command's options. Raises UsageError."""
        options = cls(**{name: given.pop(name) for name in ("workers", "node_address", "base_url")})
        _, port = options.node
        if options.workers > 1 and port:
            raise UsageError("--node-address with --workers: each worker takes a port of its own, so write HOST:0")
        parts = urlsplit(options.base_url)
        if options.base_url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
            raise UsageError(f"--base-url {options.base_url}: write http://HOST[:PORT][/PATH]")
        return cls(options.workers, options.node_address, options.base_url.rstrip("/"))

    @property
    def node(self) -> tuple[str, int]:
        """Host and port of `--node-address`. Raises UsageError."""
        host, colon, port = self.node_address.rpartition(":")
        if not colon or not host or not port.isdecimal() or host in ("0.0.0.0", "::", "[::]"):  # noqa: S104 - refused
            raise UsageError(f"--node-address {self.node_address}: write HOST:PORT, an address that others can call")
        return host.strip("[]"), int(port)


def open_node(emulator: Emulator, options: SharingOptions) -> Node | None:
    """Make this process one of several, if its store is shared. Raises UsageError."""
    file = emulator.file
    if not isinstance(file, SharedFile):
        return None
    from fauxvider.server.shared import Node

    host, port = options.node
    return Node(emulator, file, lets_go=True, host=host, port=port)


def faces(emulator: Emulator, pages: Pages, node: Node | None) -> tuple[ProviderApp, Callable[[Any], Any] | None]:
    """Give the providers' application, and what stands before the routes of the control plane."""
    if node is None:
        return ProviderApp(emulator, pages), None
    from fauxvider.server.shared import SharedApp
    from fauxvider.server.shared_control import SharedControl

    return SharedApp(emulator, pages, node), lambda app: SharedControl(app, node)
