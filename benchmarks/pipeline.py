"""The real pipelines with tiny models, against the bounds that they are to keep; one command, needs the gpu extra.

    python benchmarks/pipeline.py [--device auto|cpu|cuda] [--rounds 5] [--json FILE] [--gate]

A server with one worker process for each of the three model folders, driven over HTTP. Runs are timed by the worker
around the model's call, everything else by this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fauxvider.renderers.diffusers.options import Options
from support.documented import DOCUMENTED, Endpoint
from support.real import Site, memory

FLUX, KLEIN, EDITOR = (DOCUMENTED[name] for name in ("flux-dev", "flux-2-klein-4b-edit", "flux-2-dev-editor"))
MIB = 1024 * 1024
TICK_S = 0.005
BUILD = (
    "import pathlib, sys, time; from fauxvider.renderers.diffusers import tiny\n"
    "for name in 'abc':\n"
    "    began = time.perf_counter(); tiny.build(pathlib.Path(sys.argv[1]) / name); print(time.perf_counter() - began)"
)


@dataclass(frozen=True)
class Row:
    """A figure, and the most that it may be."""

    name: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def is_kept(self) -> bool:
        return self.bound is None or self.value < self.bound

    def text(self) -> str:
        bound = "" if self.bound is None else f"under {self.bound:g} {self.unit}"
        verdict = "" if self.bound is None else "kept" if self.is_kept else "MISSED"
        return f"{self.name:<58}{f'{self.value:.4g} {self.unit}':>12}   {bound:<18}{verdict}"


def build(folder: Path) -> list[Row]:
    done = subprocess.run([sys.executable, "-c", BUILD, str(folder)], check=True, capture_output=True, text=True)
    size = sum(file.stat().st_size for file in (folder / "a").rglob("*") if file.is_file())
    return [
        Row("build and save the three tiny models", min(map(float, done.stdout.split())), "s", 2),
        Row("their files", size / 1e6, "MB", 2),
    ]


def cold(options: Options) -> list[Row]:
    """Start one worker for a first job, and ask the server for other things meanwhile."""
    site = Site(options, warm=False)
    try:
        run, spans = site.client.submit(FLUX, num_inference_steps=1, **FLUX.small), []
        while site.client.look(FLUX, run)["status"] == "IN_QUEUE":
            began = time.perf_counter()
            urllib.request.urlopen(site.server.url + "/").read()
            spans.append(time.perf_counter() - began)
            time.sleep(0.02)
        wait = site.client.follow(FLUX, run).last["delayTime"] / 1000
    finally:
        site.close()
    return [
        Row("spawn to ready, one worker (the first job's delayTime)", wait, "s", 30),
        Row("another request meanwhile, p95", percentile(spans) * 1000, "ms", 50),
    ]


def all_at_once(options: Options) -> tuple[Site, list[Row]]:
    began = time.perf_counter()
    site = Site(options)
    return site, [Row("spawn to ready, all three at once", time.perf_counter() - began, "s", 30)]


def lag(site: Site, work: Callable[[], object]) -> float:
    """Give the 95th percentile of how late a timer of the server's loop is while the work goes on, in ms."""
    lags: list[float] = []
    over = False

    async def tick() -> None:
        while not over:
            due = time.perf_counter() + TICK_S  # the loop's own clock counts whole milliseconds
            await asyncio.sleep(TICK_S)
            lags.append(max(0.0, time.perf_counter() - due))

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(tick())

    ticking = site.server.call(begin())
    work()
    over = True

    async def end() -> None:
        await ticking

    site.server.call(end())
    return percentile(lags) * 1000


def lags(site: Site, rounds: int) -> list[Row]:
    def one() -> None:
        for seed in range(1, 11):
            site.client.finish(FLUX, seed=seed, **FLUX.small)

    def three() -> None:
        for seed in range(1, 5):
            jobs = [(to, site.client.submit(to, seed=seed, **to.small)) for to in (FLUX, KLEIN, EDITOR)]
            for to, run in jobs:
                site.client.follow(to, run)

    works = {
        "idle": lambda: time.sleep(1),
        "one worker renders 10 x 28 steps": one,
        "three workers render at once": three,
    }
    return [
        Row(f"event-loop lag p95, {name}", min(lag(site, work) for _ in range(min(rounds, 3))), "ms", 20)
        for name, work in works.items()
    ]


def spans(site: Site, rounds: int) -> list[Row]:
    def best(to: Endpoint, **changes: Any) -> float:
        runs = [site.client.finish(to, seed=seed, **changes) for seed in range(1, rounds + 1)]
        return min(float(site.client.made(run)["execution_ms"]) for run in runs) / 1000

    rows = []
    for to in DOCUMENTED.values():
        # The largest picture asked for is rendered at 256 x 256, as is a small one.
        changes = {to.steps: 28, **({to.strength: 1.0} if to.strength else {})}
        rows.append(Row(f"256 x 256 x 28 steps, {to.provider} {to.name}", best(to, **changes), "s", 1))
    few, many = best(FLUX, num_inference_steps=4, **FLUX.small), best(FLUX, num_inference_steps=50, **FLUX.small)
    return [*rows, Row("50 steps to 4 steps", many / few, "x")]


def memories(site: Site) -> list[Row]:
    pid = site.renderer.workers["flux"].pid

    def render(count: int) -> None:
        for seed in range(1, count + 1):
            site.client.finish(FLUX, seed=seed, num_inference_steps=4, **FLUX.small)

    render(10)
    before = memory(pid)
    render(100)
    rows = [
        Row(f"memory of the {name} worker", memory(one.pid) / MIB, "MiB") for name, one in site.renderer.workers.items()
    ]
    return [*rows, Row("growth over 100 pictures", (memory(pid) - before) / MIB, "MiB", 50e6 / MIB)]


def accidents(site: Site) -> list[Row]:
    site.renderer.orders.append("crash")
    site.client.follow(FLUX, site.client.submit(FLUX, **FLUX.small))
    began = time.perf_counter()
    site.client.finish(FLUX, num_inference_steps=1, **FLUX.small)
    again = time.perf_counter() - began
    run = site.client.submit(FLUX, num_inference_steps=50)
    site.client.follow(FLUX, run, lambda status: status == "IN_PROGRESS")
    began = time.perf_counter()
    site.client.cancel(FLUX, run)
    site.client.follow(FLUX, run)
    stopped = time.perf_counter() - began
    site.client.finish(FLUX, num_inference_steps=1, **FLUX.small)
    freed = time.perf_counter() - began
    site.renderer.orders.append("hang")
    site.client.follow(FLUX, site.client.submit(FLUX, **FLUX.small), lambda status: status == "IN_PROGRESS")
    began = time.perf_counter()
    site.close()
    return [
        Row("a worker was killed: the next picture after", again, "s", 30),
        Row("cancelled in mid-run: the answer after", stopped, "s", 1),
        Row("cancelled in mid-run: another picture after", freed, "s"),
        Row("server and three workers end, one of them hanging", time.perf_counter() - began, "s", 1),
    ]


def large(options: Options) -> list[Row]:
    site = Site(options, warm=False)
    try:
        run = site.client.finish(FLUX, num_inference_steps=4)
        assert site.client.made(run)["rendered"] == [1024, 1024]
        pid = site.renderer.workers["flux"].pid
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
        return [
            Row("1024 x 1024 truly, 4 steps", run.last["executionTime"] / 1000, "s", 20),
            Row("the worker's peak memory then", peak / MIB, "MiB", 1.2e9 / MIB),
        ]
    finally:
        site.close()


def percentile(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def machine(site: Site) -> str:
    ready = site.renderer.workers["flux"]
    libraries = ", ".join(f"{name} {version}" for name, version in ready.versions.items())
    system = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{system}, {ready.device} {ready.dtype}, {libraries}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gate", action="store_true", help="exit 1 when a bound is missed")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fauxvider-pipeline-"))
    rows: list[Row] = []

    def show(found: list[Row]) -> None:
        rows.extend(found)
        for row in found:
            print(row.text(), flush=True)

    options: dict[str, Any] = {"device": given.device, "tiny_cache": folder / "cache", "cancel_s": 0.5}
    try:
        show(build(folder / "built"))
        show(cold(Options(**options)))
        site, found = all_at_once(Options(**options))
        on = machine(site)
        try:
            show(found)
            for part in (lambda: lags(site, given.rounds), lambda: spans(site, given.rounds), lambda: memories(site)):
                show(part())
        finally:
            show(accidents(site))
        show(large(Options(**options, render_max_side=1024)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(on)
    if given.json:
        given.json.write_text(json.dumps({"machine": on, "rows": [vars(row) for row in rows]}, indent=1))
    return int(given.gate and not all(row.is_kept for row in rows))


if __name__ == "__main__":
    sys.exit(main())
