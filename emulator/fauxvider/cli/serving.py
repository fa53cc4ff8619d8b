"""One process that serves: an emulator put together from the options of `fauxvider serve`."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import click

from fauxvider.cli.nodes import SharingOptions, faces, open_node
from fauxvider.cli.operating import OperatingOptions, connections_allowed
from fauxvider.cli.rendering import RenderOptions, open_renderer
from fauxvider.cli.running import Run
from fauxvider.cli.tls import TlsOptions, open_tls, tls_places
from fauxvider.errors import UsageError
from fauxvider.scenario.library import scenario_place
from fauxvider.scenario.parse import read_scenario
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.ending import StoreHangsError
from fauxvider.server.health import Health, Probed
from fauxvider.server.runner import RunSettings, Site, Urls, bind_both
from fauxvider.server.watched import WatchedControl
from fauxvider.server.wire import WireSettings
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.options import read_options
from fauxvider.service.world import WorldOptions
from fauxvider.stores.opening import open_store
from fauxvider.toolkit.openapi.serving import OpenApiPages

if TYPE_CHECKING:
    from fauxvider.server.tls_front import TlsFront

__all__ = ["ServeOptions", "Tell", "serve_one"]

# Says that the server is ready: gets its addresses, and the HTTPS front if there is one.
Tell: TypeAlias = "Callable[[dict[str, Any], TlsFront | None], None]"

_UNSAID = {"clock": "real", "seed": 0, "limits": "on"}


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
    scenario: str | None
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
    sharing: SharingOptions


def serve_one(
    options: ServeOptions,
    token: str,
    *,
    tell: Tell,
    sockets: Sequence[socket] = (),
    node_name: str = "",
) -> None:
    """Serve in this process, on ports of its own or on `sockets` that others listen on too."""
    emulator = _emulator(options, node_name)
    metrics = options.operating.watch(emulator)
    if emulator.file is None:
        emulator.begin(emulator.defaults)
    node = open_node(emulator, options.sharing)
    health = Health(emulator)
    app, around = faces(emulator, OpenApiPages(emulator), node)
    app.probe = health.answer
    routes = () if metrics is None else metrics.routes()
    guard = control_app(emulator, token=token, hosts=frozenset(), around=around, routes=routes)
    watch = emulator.settings.watch
    control = Probed(guard if watch is None else WatchedControl(guard, watch), health)
    wire = WireSettings(max_connections=connections_allowed())
    settings = RunSettings(parser=options.parser, grace_s=options.operating.grace, wire=wire)
    if sockets:
        site = Site(list(zip((app, control), sockets, strict=True)), settings)
    else:
        where = options.host, options.port, options.control_port, settings, options.operating.control_host
        site = bind_both(app, control, *where)
    front = open_tls(options.tls, app, emulator, settings)
    emulator.settings.base_url = options.sharing.base_url or site.urls.provider
    guard.hosts = _own_hosts(site.urls) | options.operating.control_names

    def ready() -> None:
        places = _places(emulator, site.urls, token, options)
        tell(places if front is None else {**places, "tls": tls_places(front)}, front)

    # Facts pile up and never form cycles: looking through all of them again and again would halve the speed.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    run = Run(
        site=site,
        emulator=emulator,
        health=health,
        front=front,
        node=node,
        metrics=metrics,
        warm=options.render.warm,
        ready=ready,
        tell=(lambda _: None) if options.as_json else click.echo,
    )
    _to_its_end(run, options)


def _to_its_end(run: Run, options: ServeOptions) -> None:
    """Serve until a signal comes; where a store hangs, end this process as it stands."""
    try:
        with asyncio.Runner(loop_factory=run.site.loop_factory) as runner, options.operating.logging():
            runner.run(run.serve())
    except StoreHangsError as error:
        click.echo(f"fauxvider: {error}", err=True)
        sys.stdout.flush()
        os._exit(error.exit_code)  # the interpreter's own end would wait for the thread that hangs


def _emulator(options: ServeOptions, node_name: str) -> Emulator:
    emulator = build_emulator(
        providers=options.providers,
        files=options.files,
        egress=EgressPolicy("allow", allow=options.allowed) if options.allowed else EgressPolicy(),
        metadata=not options.no_metadata,
        pipeline=open_renderer(options.render),
        file=open_store(options.store, power_loss=options.durable, node=node_name),
    )
    emulator.defaults = _defaults(emulator, options)
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
        scenario = read_scenario(scenario_place(options.scenario), contracts=emulator.default_contracts)
        # What the scenario wants of its world stands, unless the command line says otherwise.
        wanted = {name: value for name, value in given.items() if value != _UNSAID[name] or name not in scenario.world}
        given = {**wanted, "scenario": scenario}
    if chosen:
        given["readings"] = chosen
    return read_options(given, emulator.default_contracts, defaults=WorldOptions())


def _own_hosts(urls: Urls) -> frozenset[str]:
    port = urlsplit(urls.control).port
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})


def _places(emulator: Emulator, urls: Urls, token: str, options: ServeOptions) -> dict[str, Any]:
    world = emulator.find_world(DEFAULT_WORLD)  # another process may have it
    return {
        "providers": emulator.addresses(DEFAULT_WORLD),
        # A token that came from outside is known there, and need not stand in a log.
        "control": {"url": urls.control} | ({} if options.operating.has_token else {"token": token}),
        "clock": options.clock if world is None else world.clock.spec,
        "renderer": "synthetic" if emulator.settings.live is None else emulator.settings.live.pipeline.name,
        "workers": options.sharing.workers,
    }
