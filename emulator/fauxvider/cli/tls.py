"""The options of `fauxvider serve` for HTTPS at the providers' own host names, and what is printed of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fauxvider.errors import UsageError
from fauxvider.server.app import ProviderApp
from fauxvider.server.runner import RunSettings

if TYPE_CHECKING:
    from fauxvider.server.tls_front import TlsFront
    from fauxvider.service.emulator import Emulator

__all__ = ["TLS_OPTIONS", "TlsOptions", "announce_tls", "open_tls", "tls_places"]

TLS_OPTIONS = (
    click.option(
        "--tls",
        is_flag=True,
        help="Answer the providers' own host names by HTTPS too, through a proxy (docs/doors.md).",
    ),
    click.option("--tls-port", default=0, show_default=True, help="The HTTPS front's port, always loopback; 0: free."),
    click.option("--proxy-port", default=8903, show_default=True, help="The proxy's port, always loopback; 0: free."),
    click.option(
        "--tls-dir",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Write the certificate to trust there, as ca.pem (default: a folder that goes with the command).",
    ),
)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The options of this module by their names."""

    tls: bool
    tls_port: int
    proxy_port: int
    tls_dir: Path | None

    @classmethod
    def taken(cls, given: dict[str, Any]) -> TlsOptions:
        """Take what is ours out of a command's options. Raises UsageError."""
        options = cls(**{name: given.pop(name) for name in ("tls", "tls_port", "proxy_port", "tls_dir")})
        if options.tls_dir is not None and not options.tls:
            raise UsageError("--tls-dir says where to write the certificate of --tls: add --tls")
        return options


def open_tls(options: TlsOptions, app: ProviderApp, emulator: Emulator, settings: RunSettings) -> TlsFront | None:
    """Take the ports and make the certificates; None without ``--tls``."""
    if not options.tls:
        return None
    from fauxvider.server.tls_front import TlsFront

    return TlsFront(
        app,
        emulator.hosts,
        port=options.tls_port,
        proxy_port=options.proxy_port,
        folder=options.tls_dir,
        settings=settings,
    )


def tls_places(front: TlsFront) -> dict[str, Any]:
    return {
        "url": front.url,
        "proxy": front.proxy(),
        "ca": str(front.ca_file),
        "hosts": list(front.hosts),
        "env": front.env(),
    }


def announce_tls(front: TlsFront) -> None:
    """Print what a client's shell needs, ready to paste."""
    click.echo(f"https    {', '.join(front.hosts)}")
    click.echo("         for clients that are started with this (another world: http://WORLD:world@127.0.0.1:...):")
    for name, value in front.env().items():
        click.echo(f"export {name}={shlex.quote(value)}")
