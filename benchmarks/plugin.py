"""One command: what the pytest plugin costs, and what a world costs.

    python benchmarks/plugin.py [--rounds 15] [--json FILE]

`pytest` over one empty test, with and without the plugin, taking turns in processes of their own (processor time);
then the time from a test's start to its own world and back. Absolute figures drift from machine to machine: the
first is a difference within one run, the second is given beside one request over the same server's socket.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# goals of the project, in ms
GOALS = {"plugin": 30.0, "world": 1.0}
_EMPTY = "def test_nothing():\n    pass\n"
_WORLDS = 500


def run_pytest(folder: Path, *args: str) -> float:
    """Give how much of the processor a run took, in ms: that of a busy machine is the same as that of an idle one.

    No other plugin is loaded, so that theirs do not blur the difference.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    began = _used()
    subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)
    return (_used() - began) * 1000


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plugin_cost(rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text(_EMPTY, encoding="utf-8")
        both: dict[str, list[float]] = {"without": [], "with": []}
        for turn in range(rounds + 1):
            without = run_pytest(folder)
            loaded = run_pytest(folder, "-p", "pytest_fauxvider.plugin")
            if turn:  # the first one warms the caches
                both["without"].append(without)
                both["with"].append(loaded)
    return {name: min(times) for name, times in both.items()}  # what others do on the machine only adds


_TEST = f"""
import statistics
import time
import urllib.request


def test_worlds(fauxvider_server):
    name = next(iter(fauxvider_server.emulator.contracts))
    times = []
    for _ in range({_WORLDS}):
        began = time.perf_counter_ns()
        with fauxvider_server.world(name) as world:
            pass
        times.append(time.perf_counter_ns() - began)
    asked = []
    with fauxvider_server.world(name, sleep="real", strict=False) as world:
        url = world.base_url() + "/"
        for _ in range({_WORLDS}):
            began = time.perf_counter_ns()
            try:
                urllib.request.urlopen(url)
            except OSError:
                pass
            asked.append(time.perf_counter_ns() - began)
    print("\\nfigures", statistics.median(times) / 1e6, statistics.median(asked) / 1e6)
"""


def world_cost() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_worlds.py").write_text(_TEST, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "pytest_fauxvider.plugin"]
        env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("figures"))
    _, world, request = line.split()
    return {"world": float(world), "request": float(request)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs, worlds = plugin_cost(given.rounds), world_cost()
    figures: dict[str, Any] = {"pytest_ms": runs, "plugin_ms": runs["with"] - runs["without"], **worlds}
    print(f"pytest, one empty test        {runs['without']:7.0f} ms")
    print(f"with the plugin               {runs['with']:7.0f} ms")
    print(f"the plugin                    {figures['plugin_ms']:7.1f} ms   goal: under {GOALS['plugin']:g}")
    print(f"a world, made and dropped     {worlds['world']:7.2f} ms   goal: under {GOALS['world']:g}")
    print(f"one request over the socket   {worlds['request']:7.2f} ms")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
