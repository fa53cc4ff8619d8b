"""`fauxvider serve`: the providers on one port, the control plane on another."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import click

from fauxvider.cli.operating import OPERATING_OPTIONS, OperatingOptions
from fauxvider.cli.rendering import RENDER_OPTIONS, RenderOptions, open_renderer, with_options
from fauxvider.cli.running import Run
from fauxvider.cli.tls import TLS_OPTIONS, TlsOptions, announce_tls, open_tls, tls_places
from fauxvider.errors import UsageError
from fauxvider.scenario.parse import read_scenario
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app, new_token
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.health import Health, Probed
from fauxvider.server.runner import RunSettings, Urls, bind_both
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.options import read_options
from fauxvider.service.world import WorldOptions
from fauxvider.stores.opening import open_store
from fauxvider.toolkit.openapi.serving import OpenApiPages

__all__ = ["serve"]

_UNSAID = {"clock": "real", "seed": 0, "limits": "on"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


_OPTIONS = (
    click.option(
        "--provider", "providers", multiple=True, metavar="NAME", help="Serve this bundled provider (all by default)."
    ),
    click.option(
        "--contract",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Serve this contract file too.",
    ),
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Listen here; beyond loopback only with --expose."
    ),
    click.option("--port", default=8900, show_default=True, help="The providers' port; 0 takes a free one."),
    click.option("--control-port", default=8901, show_default=True, help="The control plane's port, always loopback."),
    click.option(
        "--clock", default="real", show_default=True, help="real, scaled:N, manual, stepping or stepping:SPAN."
    ),
    click.option("--seed", default=0, show_default=True, help="Seed of everything drawn in the default world."),
    click.option(
        "--scenario",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="What goes wrong in the default world (docs/scenarios.md).",
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
        help="Where worlds are kept: memory:, or sqlite:///PATH to have them back after a restart.",
    ),
    click.option("--durable", is_flag=True, help="Keep what was acknowledged through a power cut, too (slower)."),
    click.option("--no-metadata", is_flag=True, help="Leave run, seed and prompt digest out of the pictures."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON line with all addresses instead of text."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of the command, by their names."""

    providers: tuple[str, ...]
    files: tuple[Path, ...]
    host: str
    port: int
    control_port: int
    clock: str
    seed: int
    readings: tuple[str, ...]
    scenario: Path | None
    limits: str
    allowed: tuple[str, ...]
    expose: bool
    parser: Literal["auto", "httptools", "h11"]
    token_file: Path | None
    store: str
    durable: bool
    no_metadata: bool
    as_json: bool
    render: RenderOptions
    tls: TlsOptions
    operating: OperatingOptions


@click.command()
@with_options(_OPTIONS)
@with_options(OPERATING_OPTIONS)
@with_options(TLS_OPTIONS)
@with_options(RENDER_OPTIONS)
def serve(**given: Any) -> None:
    """Serve the providers until interrupted (Ctrl-C ends within a second)."""
    parts: dict[str, Any] = {
        "render": RenderOptions.taken(given),
        "tls": TlsOptions.taken(given),
        "operating": OperatingOptions.taken(given),
    }
    options = ServeOptions(**parts, **given)
    if options.host not in _LOOPBACK and not options.expose:
        raise UsageError(f"--host {options.host} is reachable from other machines: add --expose if that is wanted")
    emulator = _emulator(options)
    token = new_token()
    if options.token_file is not None:
        _write_token(options.token_file, token)
    guard = control_app(emulator, token=token, hosts=frozenset())
    settings = RunSettings(parser=options.parser, grace_s=options.operating.grace)
    app = ProviderApp(emulator, OpenApiPages(emulator))
    health = Health(emulator)
    app.probe = health.answer
    site = bind_both(app, Probed(guard, health), options.host, options.port, options.control_port, settings)
    front = open_tls(options.tls, app, emulator, settings)
    emulator.settings.base_url = site.urls.provider
    guard.hosts = _own_hosts(site.urls)

    def ready() -> None:
        places = _places(emulator, site.urls, token)
        if front is not None:
            places["tls"] = tls_places(front)
        if options.as_json:
            click.echo(json.dumps(places))
        else:
            _announce(emulator, places, exposed=options.host not in _LOOPBACK)
            if front is not None:
                announce_tls(front)
            click.echo("Ctrl-C stops.")

    # Facts pile up and never form cycles: looking through all of them again and again would halve the speed.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    run = Run(
        site=site,
        emulator=emulator,
        health=health,
        front=front,
        warm=options.render.warm,
        ready=ready,
        tell=(lambda _: None) if options.as_json else click.echo,
    )
    with asyncio.Runner(loop_factory=site.loop_factory) as runner:
        runner.run(run.serve())
    if not options.as_json:
        click.echo("stopped")


def _emulator(options: ServeOptions) -> Emulator:
    emulator = build_emulator(
        providers=options.providers,
        files=options.files,
        egress=EgressPolicy("allow", allow=options.allowed) if options.allowed else EgressPolicy(),
        metadata=not options.no_metadata,
        pipeline=open_renderer(options.render),
        file=open_store(options.store, power_loss=options.durable),
    )
    emulator.defaults = _defaults(emulator, options)
    if emulator.file is None:
        emulator.begin(emulator.defaults)
    return emulator


def _defaults(emulator: Emulator, options: ServeOptions) -> WorldOptions:
    chosen: dict[str, str] = {}
    for text in options.readings:
        name, equals, case = text.partition("=")
        if not equals:
            raise UsageError(f"--reading {text}: write NAME=CASE")
        chosen[name] = case
    given: dict[str, Any] = {"clock": options.clock, "seed": options.seed, "limits": options.limits}
    if options.scenario is not None:
        scenario = read_scenario(options.scenario, contracts=emulator.default_contracts)
        # What the scenario wants of its world stands, unless the command line says otherwise.
        wanted = {name: value for name, value in given.items() if value != _UNSAID[name] or name not in scenario.world}
        given = {**wanted, "scenario": scenario}
    if chosen:
        given["readings"] = chosen
    return read_options(given, emulator.default_contracts, defaults=WorldOptions())


def _write_token(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")


def _own_hosts(urls: Urls) -> frozenset[str]:
    port = urlsplit(urls.control).port
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})


def _places(emulator: Emulator, urls: Urls, token: str) -> dict[str, Any]:
    return {
        "providers": emulator.addresses(DEFAULT_WORLD),
        "control": {"url": urls.control, "token": token},
        "renderer": "synthetic" if emulator.settings.live is None else emulator.settings.live.pipeline.name,
    }


def _announce(emulator: Emulator, places: dict[str, Any], *, exposed: bool) -> None:
    world = emulator.world(DEFAULT_WORLD)
    width = max(len(name) for name in places["providers"])
    click.echo("fauxvider serves")
    for name, place in places["providers"].items():
        click.echo(f"  {name:<{width}}  {place['base_url']}")
    click.echo(f"clock    {world.clock.spec}")
    click.echo(f"pictures {places['renderer']}")
    click.echo(f"control  {places['control']['url']}  (Authorization: Bearer {places['control']['token']})")
    if exposed:
        click.secho("warning  the providers' port is open to other machines and asks for no secret", fg="yellow")
