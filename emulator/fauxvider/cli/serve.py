"""`fauxvider serve`: the providers on one port, the control plane on another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fauxvider.cli.files import written
from fauxvider.cli.nodes import SHARING_OPTIONS, SharingOptions
from fauxvider.cli.operating import OPERATING_OPTIONS, OperatingOptions
from fauxvider.cli.rendering import RENDER_OPTIONS, RenderOptions, with_options
from fauxvider.cli.serving import ServeOptions, Tell, serve_one
from fauxvider.cli.tls import TLS_OPTIONS, TlsOptions, announce_tls
from fauxvider.cli.workers import serve_workers
from fauxvider.errors import UsageError
from fauxvider.server.control import new_token

if TYPE_CHECKING:
    from fauxvider.server.tls_front import TlsFront

__all__ = ["serve"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


_OPTIONS = (
    click.option(
        "--provider",
        "providers",
        multiple=True,
        metavar="NAME",
        help="Serve this bundled provider (all of them without --provider and --contract).",
    ),
    click.option(
        "--contract",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Serve this contract file; bundled providers beside it are named by --provider.",
    ),
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Listen here; beyond loopback only with --expose."
    ),
    click.option("--port", default=8900, show_default=True, help="The providers' port; 0 takes a free one."),
    click.option(
        "--control-port",
        default=8901,
        show_default=True,
        help="The control plane's port; on loopback, but for --control-host.",
    ),
    click.option(
        "--clock", default="real", show_default=True, help="real, scaled:N, manual, stepping or stepping:SPAN."
    ),
    click.option("--seed", default=0, show_default=True, help="Seed of everything drawn in the default world."),
    click.option(
        "--scenario",
        metavar="NAME|FILE",
        help="What goes wrong in the default world: a bundled scenario, or a file (docs/scenarios.md).",
    ),
    click.option("--reading", "readings", multiple=True, metavar="NAME=CASE", help="Choose a documented reading."),
    click.option(
        "--limits",
        default="on",
        type=click.Choice(["on", "off"]),
        show_default=True,
        help="Whether rate limits refuse.",
    ),
    click.option(
        "--allow",
        "allowed",
        multiple=True,
        metavar="HOST[:PORT]|CIDR",
        help="Let callbacks and input pictures go there too.",
    ),
    click.option(
        "--expose", is_flag=True, help="Allow a --host beyond loopback: the providers' port asks for no secret."
    ),
    click.option(
        "--parser",
        default="auto",
        type=click.Choice(["auto", "httptools", "h11"]),
        show_default=True,
        help="HTTP parser.",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the control token there (mode 0600).",
    ),
    click.option(
        "--store",
        default="memory:",
        show_default=True,
        metavar="URL",
        help="Where worlds are kept: memory:; sqlite:///PATH to have them back after a restart; redis://HOST/0 to "
        "share them among processes (docs/stores.md).",
    ),
    click.option("--durable", is_flag=True, help="Keep what was acknowledged through a power cut, too (slower)."),
    *SHARING_OPTIONS,
    click.option("--no-metadata", is_flag=True, help="Leave run, seed and prompt digest out of the pictures."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON line with all addresses instead of text."),
)


@click.command()
@with_options(_OPTIONS)
@with_options(OPERATING_OPTIONS)
@with_options(TLS_OPTIONS)
@with_options(RENDER_OPTIONS)
def serve(**given: Any) -> None:
    """Serve the providers until interrupted (Ctrl-C; a second one waits for nothing)."""
    parts: dict[str, Any] = {
        "render": RenderOptions.taken(given),
        "tls": TlsOptions.taken(given),
        "operating": OperatingOptions.taken(given),
        "sharing": SharingOptions.taken(given),
    }
    options = ServeOptions(**parts, **given)
    for option, host in (("--host", options.host), ("--control-host", options.operating.control_host)):
        if host not in _LOOPBACK and not options.expose:
            raise UsageError(f"{option} {host} is reachable from other machines: add --expose if that is wanted")
    token = options.operating.token() or new_token()
    if options.token_file is not None:
        written(options.token_file, token + "\n", mode=0o600)
    if options.sharing.workers > 1:
        with options.operating.shared():
            serve_workers(options, token, tell=_tell(options))
    else:
        serve_one(options, token, tell=_tell(options))
    if not options.as_json:
        click.echo("stopped")


def _tell(options: ServeOptions) -> Tell:
    """Give what says that the server is ready, and where it is."""

    def tell(places: dict[str, Any], front: TlsFront | None) -> None:
        if options.as_json:
            click.echo(json.dumps(places))
            return
        _announce(places, exposed=options.host not in _LOOPBACK)
        if options.operating.control_host not in _LOOPBACK:
            click.secho(
                "warning  the control plane is open to other machines: its token is all that guards it", fg="yellow"
            )
        if front is not None:
            announce_tls(front)
        click.echo("Ctrl-C stops.")

    return tell


def _announce(places: dict[str, Any], *, exposed: bool) -> None:
    """Say for people where everything is."""
    width = max(len(name) for name in places["providers"])
    click.echo("fauxvider serves")
    for name, place in places["providers"].items():
        click.echo(f"  {name:<{width}}  {place['base_url']}")
    click.echo(f"clock    {places['clock']}")
    click.echo(f"pictures {places['renderer']}")
    if places["workers"] > 1:
        click.echo(f"workers  {places['workers']}")
    token = places["control"].get("token", "<as given>")
    click.echo(f"control  {places['control']['url']}  (Authorization: Bearer {token})")
    if exposed:
        click.secho("warning  the providers' port is open to other machines and asks for no secret", fg="yellow")
