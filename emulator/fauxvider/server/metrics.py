"""Metrics of a server, for Prometheus: a watch that counts, and a page of the control plane (extra ``metrics``).

Labels are providers, their operations, classes of statuses and words of ours: never a world, a key or an address.
Several workers count into files of one folder (`SHARED`), so that each of them can show what all have counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from fauxvider.clock import precise_s
from fauxvider.errors import UsageError
from fauxvider.server.watched import took_ms
from fauxvider.service.journal import CAPACITY

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from fauxvider.service.emulator import Emulator
    from fauxvider.service.provider import Provider
    from fauxvider.service.wire import Reply, Request
    from fauxvider.service.world import World

__all__ = ["SHARED", "Metrics", "check_metrics", "shared_metrics"]

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable, read when it is imported
_SPANS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_EACH_S = 1.0  # how often a worker notes what cannot be counted


def check_metrics() -> None:
    """Raise UsageError where the extra is missing."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise UsageError("--metrics needs prometheus-client: pip install 'fauxvider[metrics]'")


@contextlib.contextmanager
def shared_metrics() -> Iterator[None]:
    """Have the processes that are started in a block count together."""
    if SHARED in os.environ:
        yield
        return
    os.environ[SHARED] = tempfile.mkdtemp(prefix="fauxvider-metrics-")
    try:
        yield
    finally:
        shutil.rmtree(os.environ.pop(SHARED), ignore_errors=True)


class Metrics:
    """Counts what happens in an emulator; `refresh` notes what cannot be counted."""

    def __init__(self, emulator: Emulator) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._emulator = emulator
        self._is_shared = SHARED in os.environ
        self._task: asyncio.Task[None] | None = None
        self.registry = own = CollectorRegistry()
        if not self._is_shared:
            ProcessCollector(registry=own)
        by = ("provider", "operation")
        self._requests = Counter("fauxvider_requests", "Requests answered.", (*by, "status"), registry=own)
        self._seconds = Histogram(
            "fauxvider_request_seconds", "From a request to its answer.", by, registry=own, buckets=_SPANS
        )
        self._strays = Counter("fauxvider_strays", "Requests that reached no provider.", registry=own)
        self._jobs = Counter("fauxvider_jobs", "Jobs by what became of them.", ("provider", "state"), registry=own)
        self._attempts = Counter(
            "fauxvider_callback_attempts", "Attempts at callbacks.", ("provider", "outcome"), registry=own
        )
        self._attempt_seconds = Histogram(
            "fauxvider_callback_seconds", "How long attempts took.", ("provider",), registry=own, buckets=_SPANS
        )
        self._dropped = Counter(
            "fauxvider_journal_dropped", "Journal entries that gave way to newer ones.", registry=own
        )
        self._commits = Histogram(
            "fauxvider_store_commit_seconds", "How long commits of the store took.", registry=own, buckets=_SPANS
        )
        self._worlds = Gauge("fauxvider_worlds", "Worlds at hand.", registry=own, multiprocess_mode="livesum")
        self._in_flight = Gauge(
            "fauxvider_callbacks_in_flight", "Callbacks on their way.", registry=own, multiprocess_mode="livesum"
        )
        self._late = Gauge(
            "fauxvider_due_late_seconds",
            "How long the most overdue thing on a clock that runs by itself has waited.",
            registry=own,
            multiprocess_mode="livemax",
        )
        build = Gauge("fauxvider_build_info", "The version.", ("version",), registry=own, multiprocess_mode="max")
        build.labels(metadata.version("fauxvider")).set(1)
        if emulator.file is not None:
            emulator.file.around_commits(self._commits.time)

    # --- what is heard

    def request(self, provider: Provider, request: Request, reply: Reply, *, does: str, began: float) -> None:
        del request
        operation = reply.operation or does
        self._requests.labels(provider.name, operation, f"{reply.status // 100}xx").inc()
        self._seconds.labels(provider.name, operation).observe(precise_s() - began)

    def entry(self, world: World, number: int, entry: Mapping[str, Any]) -> None:
        del world
        if number > CAPACITY:
            self._dropped.inc()
        kind = entry["kind"]
        if kind == "accepted":
            self._jobs.labels(entry["provider"], "accepted").inc()
        elif kind == "ended":
            self._jobs.labels(entry["provider"], entry["state"]).inc()
        elif kind == "attempt":
            self._attempt(entry)

    def _attempt(self, entry: Mapping[str, Any]) -> None:
        provider, outcome = entry["provider"], entry["outcome"]
        if outcome == "http":
            outcome = f"{int(entry['status']) // 100}xx"
        self._attempts.labels(provider, outcome).inc()
        took = took_ms.get()
        if took is not None and outcome != "interrupted":
            self._attempt_seconds.labels(provider).observe(took / 1000)

    def event(self, name: str, **facts: Any) -> None:
        del facts
        if name == "stray":
            self._strays.inc()

    # --- what is asked for

    def refresh(self) -> None:
        """Note how things stand."""
        worlds = [self._emulator.world(name) for name in self._emulator.world_names()]
        self._worlds.set(len(worlds))
        self._in_flight.set(sum(world.attempting for world in worlds))
        self._late.set(max((_late(world) for world in worlds), default=0.0))

    def start(self) -> None:
        """Note how things stand from time to time, where another process may be asked for it."""
        self.refresh()
        if self._is_shared:
            self._task = asyncio.create_task(self._go_on())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        took = 0.0
        while True:
            await asyncio.sleep(max(_EACH_S, 50 * took))  # a look at very many worlds takes its time
            began = precise_s()
            self.refresh()
            took = precise_s() - began

    async def show(self, request: HttpRequest) -> Response:
        """Answer `GET /metrics`."""
        from prometheus_client import CollectorRegistry, multiprocess
        from prometheus_client.exposition import choose_encoder

        self.refresh()
        registry = self.registry
        if self._is_shared:
            _forget_dead(Path(os.environ[SHARED]))
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=kind)

    def routes(self) -> list[Route]:
        return [Route("/metrics", self.show, methods=["GET"])]


def _late(world: World) -> float:
    due = world.next_due()
    if due is None or world.clock.is_virtual or world.closed:
        return 0.0
    return max(0.0, world.clock.real_seconds(world.present() - due))


def _forget_dead(folder: Path) -> None:
    """Take away what workers that are gone said of how things stood; what they counted stays."""
    from prometheus_client import multiprocess

    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
