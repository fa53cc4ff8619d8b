"""One command: how the cost of work changes with workers, jobs, stores and timers; a table and a picture.

    python benchmarks/load_shape.py [--jobs 100000] [--rounds 3] [--seconds 2.0] [--svg FILE] [--json FILE]

Load generator, servers and Valkey share the machine's cores, and whatever else runs there takes its part. So beside
requests a second the processor time of each is shown: what it would be worth on cores of its own. The store is a
`valkey-server` or `redis-server` started here on a socket, with its append-only file on (everysec).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from load_plot import picture
from run import BODY, http

HERE = Path(__file__).parent
FLUX = "runpod/v2/black-forest-labs-flux-1-dev"
WORKERS = (1, 2, 4)
CONNECTIONS = 16  # for each worker
WORLDS = 10  # that jobs pile up in: one world keeps 200,000
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Give the processor time of a process, to the nanosecond: /proc/PID/stat counts hundredths."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


class Store:
    """A Valkey or Redis server of this run."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("valkey-server") or shutil.which("redis-server")
        if binary is None:
            raise SystemExit("neither valkey-server nor redis-server is installed")
        self.socket = folder / "store.sock"
        options = ["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self.process = subprocess.Popen(
            [binary, *options, "--unixsocket", str(self.socket), "--dir", str(folder)], stdout=subprocess.DEVNULL
        )
        self.url = f"unix://{self.socket}"
        while not self.socket.exists():
            time.sleep(0.01)

    def used_bytes(self) -> int:
        import redis

        with contextlib.closing(redis.Redis(unix_socket_path=str(self.socket))) as client:
            return int(client.info("memory")["used_memory"])


class Served:
    """`fauxvider serve`, with all its processes."""

    def __init__(self, url: str, workers: int = 1, store: Store | None = None) -> None:
        command = [
            sys.executable, "-m", "fauxvider", "serve", "--provider", "runpod", "--json", "--port", "0",
            "--control-port", "0", "--store", url, "--workers", str(workers), "--limits", "off", "--clock", "manual",
        ]  # fmt: skip
        self.store = store
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.places: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.port = int(str(self.places["providers"]["runpod"]["base_url"]).split("/")[2].rpartition(":")[2])
        self.pids = [self.process.pid, *self._children()]

    def _children(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in found.split()]

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in self.pids)

    def store_cpu_s(self) -> float:
        return cpu_s(self.store.process.pid) if self.store else 0.0

    def rss(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in self.pids) * _PAGE

    def control(self, path: str, body: Any) -> Any:
        place = self.places["control"]
        headers = {"Authorization": f"Bearer {place['token']}", "Content-Type": "application/json"}
        request = urllib.request.Request(place["url"] + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def make(self, names: list[str]) -> dict[str, str]:
        """Make worlds; give a job of each."""
        jobs = {}
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        for seed, name in enumerate(names):
            self.control("/worlds", {"name": name, "clock": "manual", "seed": seed, "limits": "off"})
            url = f"http://127.0.0.1:{self.port}/w/{name}/{FLUX}/run"
            with urllib.request.urlopen(urllib.request.Request(url, BODY.encode(), headers)) as answer:
                jobs[name] = json.loads(answer.read())["id"]
        return jobs

    def load(self, requests: list[list[str]], **options: Any) -> dict[str, float]:
        """Put load on it; add what a request cost all its processes, in us of processor time."""
        task = json.dumps({"port": self.port, "requests": requests, **options})
        command = [sys.executable, str(HERE / "light_load.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(task + "\n")
            client.stdin.flush()
            if options.get("warm"):
                client.stdout.readline()
            before = self.cpu_s(), self.store_cpu_s()
            client.stdin.write("go\n")
            client.stdin.flush()
            found: dict[str, float] = json.loads(client.stdout.readline())
        if found["bad"]:
            raise SystemExit(f"{found['bad']:.0f} answers other than 2xx")
        found["server_us"] = (self.cpu_s() - before[0]) / found["done"] * 1e6
        found["store_us"] = (self.store_cpu_s() - before[1]) / found["done"] * 1e6
        return found

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:  # a million jobs take their time to be forgotten
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def submit(world: str) -> str:
    return http("POST", f"/w/{world}/{FLUX}/run", BODY)


def poll(world: str, job: str) -> str:
    return http("GET", f"/w/{world}/{FLUX}/status/{job}")


# --- workers


def shapes(jobs: dict[str, str]) -> dict[str, list[list[str]]]:
    """Give requests by connection, submits and polls in turn.

    own: each connection has its world, as a CI runner has; any: each goes through all of them.
    """
    own = [[submit(name), poll(name, job)] for name, job in jobs.items()]
    return {
        "own": own,
        "any": [[request for lines in [*own[at:], *own[:at]] for request in lines] for at in range(len(own))],
    }


def of_workers(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Measure the same load on 1, 2 and 4 workers, in turns of one run."""
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        sites = {}
        for workers in WORKERS:
            store = stack.enter_context(stored())
            sites[workers] = stack.enter_context(serving(store.url, workers, store))
        for number in range(rounds):
            for kind in ("own", "any"):
                for workers, served in sites.items():
                    say(f"round {number + 1}/{rounds}: {workers} workers, {kind} worlds")
                    names = [f"{kind}{number}-{one}" for one in range(CONNECTIONS * workers)]
                    requests = shapes(served.make(names))[kind]
                    # Before it counts, worlds have gone where they are asked for.
                    seen = served.load(requests, seconds=seconds, warm=len(names) * 64)
                    found.setdefault((workers, kind), []).append(seen)
    return [
        {"workers": workers, "kind": kind, **{key: statistics.median(one[key] for one in some) for key in some[0]}}
        for (workers, kind), some in found.items()
    ]


# --- jobs, memory, timers


def of_jobs(kind: str, most: int) -> dict[str, Any]:
    """Let jobs pile up in a store, and then a week go by. Costs are in us of processor time a submit."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(stored()) if kind == "valkey" else None
        url = store.url if store else {"memory": "memory:", "sqlite": f"sqlite:///{folder}/worlds.db"}[kind]
        served = stack.enter_context(serving(url, 1, store))
        names = [f"w{number}" for number in range(WORLDS)]
        served.make(names)
        requests = [[submit(name)] for name in names]
        served.load(requests, count=200)
        before = served.rss(), kept_bytes(store, folder)
        points, done, goal = [], 0, 1000
        while goal <= most:
            say(f"{kind}: {goal:,} jobs")
            window = max(goal // 10, 800)
            if goal - window > done:
                served.load(requests, count=goal - window - done)
            seen = served.load(requests, count=window)
            points.append({"jobs": goal, "us": seen["server_us"], "store_us": seen["store_us"]})
            done, goal = goal, goal * 10
        memory = (served.rss() - before[0]) / done, (kept_bytes(store, folder) - before[1]) / done
        say(f"{kind}: a week goes by")
        spent = served.cpu_s(), served.store_cpu_s()
        for name in names:
            served.control(f"/worlds/{name}/clock/advance", {"by": "7d"})
        return {
            "store": kind,
            "points": points,
            "memory": memory[0],
            "kept": memory[1],
            "timers": done,
            "advance_s": served.cpu_s() - spent[0],
            "advance_store_s": served.store_cpu_s() - spent[1],
        }


def kept_bytes(store: Store | None, folder: Path) -> int:
    return store.used_bytes() if store else sum(path.stat().st_size for path in folder.iterdir())


# --- the rest


@contextlib.contextmanager
def stored() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        try:
            yield store
        finally:
            store.process.terminate()
            store.process.wait(60)


@contextlib.contextmanager
def serving(url: str, workers: int, store: Store | None) -> Iterator[Served]:
    served = Served(url, workers, store)
    try:
        yield served
    finally:
        served.stop()


def say(text: str) -> None:
    print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


def show(result: dict[str, Any]) -> None:
    print(f"machine  {result['machine']}\n")
    one = {row["kind"]: row for row in result["workers"] if row["workers"] == 1}
    columns = ("workers", "worlds", "req/s", "of one", "worker us", "store us", "client us", "on own cores")
    print("".join(f"{name:>13}" for name in columns))
    for row in result["workers"]:
        base = one[row["kind"]]
        alone = row["workers"] * base["server_us"] / row["server_us"]
        rate = row["rate"]
        cells = (
            f"{row['workers']:.0f}", row["kind"], f"{rate:,.0f}", f"{rate / base['rate']:.2f}",
            f"{row['server_us']:.0f}", f"{row['store_us']:.0f}", f"{row['cpu_us']:.0f}", f"{alone:.2f}",
        )  # fmt: skip
        print("".join(f"{cell:>13}" for cell in cells))
    print("(of one: by requests a second here; on own cores: by processor time, as if each worker had a core)\n")
    print(f"{'store':<10}{'jobs':>12}{'worker us':>12}{'store us':>12}   a submit")
    for row in result["stores"]:
        for point in row["points"]:
            print(f"{row['store']:<10}{point['jobs']:>12,}{point['us']:>12.0f}{point['store_us']:>12.0f}")
    print(f"\n{'store':<10}{'B a job':>12}{'B kept':>12}{'timers':>12}{'7 days, s':>12}{'store s':>12}")
    for row in result["stores"]:
        spent = f"{row['timers']:>12,}{row['advance_s']:>12.1f}{row['advance_store_s']:>12.1f}"
        print(f"{row['store']:<10}{row['memory']:>12,.0f}{row['kept']:>12,.0f}{spent}")
    print("(B a job: memory of the process; B kept: of the file, or of Valkey's memory)")


def machine() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = found[1] if found else platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000, help="how many jobs pile up (10^6: some minutes a store)")
    parser.add_argument("--rounds", type=int, default=3, help="of the workers' part; 0 leaves it out, and the picture")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    result["workers"] = of_workers(given.rounds, given.seconds) if given.rounds else []
    result["stores"] = [of_jobs(kind, given.jobs) for kind in ("memory", "sqlite", "valkey")]
    say("")
    print("\r", end="", file=sys.stderr)
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if given.svg and given.rounds:
        given.svg.write_text(picture(result), encoding="utf-8")


if __name__ == "__main__":
    main()
