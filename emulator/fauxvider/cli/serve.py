"""`fauxvider serve`: the providers on one port, the control plane on another."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from fauxvider.errors import UsageError
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app, new_token
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.runner import RunSettings, Urls, bind_both, serve_bound
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.options import read_options
from fauxvider.service.world import WorldOptions

__all__ = ["serve"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="Serve this bundled provider (repeatable; all by default).")
@click.option("--contract", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="Serve this contract file too (repeatable).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen here; anything but loopback needs --expose.")
@click.option("--port", default=8900, show_default=True, help="The providers' port; 0 takes a free one.")
@click.option("--control-port", default=8901, show_default=True, help="The control plane's port (always loopback); 0 takes a free one.")
@click.option("--clock", default="real", show_default=True, metavar="CLOCK", help="real, scaled:N, manual, stepping or stepping:SPAN (of the default world).")
@click.option("--seed", default=0, show_default=True, help="Seed of everything drawn in the default world.")
@click.option("--reading", "readings", multiple=True, metavar="NAME=CASE", help="Choose a documented reading (repeatable).")
@click.option("--limits", default="on", type=click.Choice(["on", "off"]), show_default=True, help="Whether rate limits refuse.")
@click.option("--allow", "allowed", multiple=True, metavar="HOST[:PORT]|CIDR", help="Let callbacks and input pictures go there too (repeatable).")
@click.option("--expose", is_flag=True, help="Allow --host beyond loopback. There is no protection on the providers' port.")
@click.option("--parser", default="auto", type=click.Choice(["auto", "httptools", "h11"]), show_default=True, help="HTTP parser.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="Write the control token there (mode 0600).")
@click.option("--no-metadata", is_flag=True, help="Leave run, seed and prompt digest out of the pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line with all addresses instead of text.")
def serve(
    providers: tuple[str, ...],
    files: tuple[Path, ...],
    host: str,
    port: int,
    control_port: int,
    clock: str,
    seed: int,
    readings: tuple[str, ...],
    limits: str,
    allowed: tuple[str, ...],
    expose: bool,
    parser: Any,
    token_file: Path | None,
    no_metadata: bool,
    as_json: bool,
) -> None:
    """Serve the providers until interrupted (Ctrl-C ends within a second)."""
    if host not in _LOOPBACK and not expose:
        raise UsageError(f"--host {host} is reachable from other machines: add --expose if that is wanted")
    emulator = build_emulator(
        providers=providers,
        files=files,
        egress=EgressPolicy("allow", allow=allowed) if allowed else EgressPolicy(),
        metadata=not no_metadata,
    )
    emulator.defaults = _defaults(emulator, clock=clock, seed=seed, readings=readings, limits=limits)
    emulator.make_world(DEFAULT_WORLD, emulator.defaults)
    token = new_token()
    if token_file is not None:
        _write_token(token_file, token)
    guard = control_app(emulator, token=token, hosts=frozenset())
    site = bind_both(ProviderApp(emulator), guard, host, port, control_port, RunSettings(parser=parser))
    emulator.settings.base_url = site.urls.provider
    guard.hosts = _own_hosts(site.urls)

    def ready() -> None:
        if as_json:
            click.echo(json.dumps(_places(emulator, site.urls, token)))
        else:
            _announce(emulator, site.urls, token, exposed=host not in _LOOPBACK)

    # Facts pile up and never form cycles: looking through all of them again and again would halve the speed.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    with asyncio.Runner(loop_factory=site.loop_factory) as runner:
        runner.run(serve_bound(site, ready=ready))
    emulator.close()
    if not as_json:
        click.echo("stopped")


def _defaults(
    emulator: Emulator, *, clock: str, seed: int, readings: tuple[str, ...], limits: str
) -> WorldOptions:
    chosen: dict[str, str] = {}
    for text in readings:
        name, equals, case = text.partition("=")
        if not equals:
            raise UsageError(f"--reading {text}: write NAME=CASE")
        chosen[name] = case
    contracts = {name: file.resolve({}) for name, file in emulator.contracts.items()}
    given: Mapping[str, Any] = {"clock": clock, "seed": seed, "readings": chosen, "limits": limits}
    return read_options(given, contracts, defaults=WorldOptions())


def _write_token(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")


def _own_hosts(urls: Urls) -> frozenset[str]:
    port = urlsplit(urls.control).port
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})


def _places(emulator: Emulator, urls: Urls, token: str) -> dict[str, Any]:
    described = emulator.describe(DEFAULT_WORLD)["providers"]
    return {
        "providers": {name: {"base_url": one["base_url"], "origins": one["origins"]} for name, one in described.items()},
        "control": {"url": urls.control, "token": token},
    }


def _announce(emulator: Emulator, urls: Urls, token: str, *, exposed: bool) -> None:
    places = _places(emulator, urls, token)
    world = emulator.world(DEFAULT_WORLD)
    width = max(len(name) for name in places["providers"])
    click.echo("fauxvider serves")
    for name, place in places["providers"].items():
        click.echo(f"  {name:<{width}}  {place['base_url']}")
    click.echo(f"clock    {world.clock.spec}")
    click.echo(f"control  {urls.control}  (Authorization: Bearer {token})")
    if exposed:
        click.secho("warning  the providers' port is open to other machines and asks for no secret", fg="yellow")
    click.echo("Ctrl-C stops.")
