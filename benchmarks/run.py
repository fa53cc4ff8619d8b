"""One command: the emulator against a bare Starlette application, in one run, on the same core.

    python benchmarks/run.py [--rounds 5] [--seconds 1.0] [--json FILE]

Prints ratios (median of the rounds). The whole contract is applied: checks, limits counted, plan drawn,
ledger kept. Absolute figures drift from machine to machine; the ratios are what to compare. The ratio of
processor time a request is what one busy core would give, and the one to trust where other work is going on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BODY = json.dumps(
    {
        "input": {
            "prompt": "A serene mountain landscape at sunset, golden light filtering through clouds, photorealistic",
            "negative_prompt": "blurry, low quality",
            "width": 1024,
            "height": 1024,
            "num_inference_steps": 28,
            "guidance": 7.5,
            "seed": 42,
            "image_format": "png",
        }
    }
)
GOALS = {"submit": 0.5, "poll": 0.7, "download": 0.9}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(cores: set[int]) -> Any:
    """Give what sets a child's cores; a machine without that, or with one core, is left alone."""
    if not hasattr(os, "sched_setaffinity") or not cores <= os.sched_getaffinity(0):
        return None
    return lambda: os.sched_setaffinity(0, cores)


class Served:
    """A server in its own process on core 0."""

    def __init__(self, command: list[str], port: int, probe: str) -> None:
        self.port = port
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=pinned({0})
        )
        while True:
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(f"http://127.0.0.1:{port}{probe}", headers={"Authorization": "Bearer k"}),
                    timeout=2,
                ) as answer:
                    answer.read()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if time.perf_counter() - began > 20:
                    raise SystemExit(f"{command} does not start") from None
                time.sleep(0.005)
        self.start_s = time.perf_counter() - began

    def rss_kb(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return int(found[1]) if found else 0

    def cpu_s(self) -> float:
        """Give the processor time that the server has used: what a busy machine does not change."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


def load(port: int, requests: list[str], **options: Any) -> dict[str, float]:
    task = json.dumps({"port": port, "requests": requests, **options})
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")],
        input=task,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=pinned({1}),
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def cost(server: Served, request: str, seconds: float) -> dict[str, float]:
    """Load a server; add what a request cost it in processor time, us."""
    before = server.cpu_s()
    found = load(server.port, [request], seconds=seconds)
    found["cpu_us"] = (server.cpu_s() - before) / max(1, found["done"]) * 1e6
    return found


def http(method: str, path: str, body: str = "") -> str:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}"


class Emulated:
    """The emulator with a manual clock, driven through its control plane."""

    def __init__(self) -> None:
        port, control = free_port(), free_port()
        self._token_file = Path(tempfile.mkdtemp()) / "token"
        command = [
            sys.executable, "-m", "fauxvider", "serve", "--json", "--port", str(port), "--control-port", str(control),
            "--token-file", str(self._token_file),
        ]  # fmt: skip
        self.served = Served(command, port, "/runpod/v2/my-endpoint/health")
        self.control = f"http://127.0.0.1:{control}"
        world = self.ask(
            "POST", "/worlds", {"name": "bench", "clock": "manual", "seed": 1, "limits": {"factor": 1000000000}}
        )
        self.base = (
            world["providers"]["runpod"]["base_url"].partition(str(port))[2] + "/v2/black-forest-labs-flux-1-dev"
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(self.control + path, method=method)
        request.add_header("Authorization", f"Bearer {self._token_file.read_text().strip()}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def submit_one(self, body: str = BODY) -> str:
        url = f"http://127.0.0.1:{self.served.port}{self.base}/run"
        request = urllib.request.Request(
            url, body.encode(), {"Authorization": "Bearer k", "Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return str(json.loads(answer.read())["id"])

    def poll_one(self, job: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.served.port}{self.base}/status/{job}", headers={"Authorization": "Bearer k"}
        )
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found


Pair = tuple[dict[str, float], dict[str, float]]


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    bare_port = free_port()
    emulated = Emulated()
    job, jpeg = emulated.submit_one(), emulated.submit_one(BODY.replace('"png"', '"jpeg"').replace("1024", "1408"))
    emulated.ask("POST", "/worlds/bench/clock/advance", {"by": "10s"})
    address = emulated.poll_one(jpeg)["output"]["image_url"]
    with urllib.request.urlopen(address) as answer:
        size = len(answer.read())  # about 100 kB; the bare application sends as much
    bare = Served([sys.executable, str(HERE / "bare.py"), str(bare_port), str(size)], bare_port, "/v2/x/status/y")
    try:
        picture = "/" + address.split("/", 3)[3]
        pairs = {
            "submit": (http("POST", "/v2/x/run", BODY), http("POST", f"{emulated.base}/run", BODY)),
            "poll": (http("GET", "/v2/x/status/y"), http("GET", f"{emulated.base}/status/{job}")),
            "download": (http("GET", "/images/a/output.jpeg"), http("GET", picture)),
        }
        rates: dict[str, list[Pair]] = {name: [] for name in pairs}
        for number in range(rounds):
            for name, (one, other) in pairs.items():
                print(f"\rround {number + 1}/{rounds} {name:<9}", end="", file=sys.stderr, flush=True)
                first = cost(bare, one, seconds)
                second = cost(emulated.served, other, seconds)
                if first["bad"] or second["bad"]:
                    raise SystemExit(f"{name}: answers other than 2xx: {first} {second}")
                rates[name].append((first, second))
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
        result = {name: _ratio(found) for name, found in rates.items()}
        result["download"]["bytes"] = size
        result["memory"] = _memory(emulated)
        result["polls"] = _polls(emulated, job)
        result["start"] = {
            "bare_s": bare.start_s,
            "emulator_s": emulated.served.start_s,
            "ratio": emulated.served.start_s / bare.start_s,
        }
        return result
    finally:
        emulated.served.stop()
        bare.stop()


def _ratio(found: list[Pair]) -> dict[str, float]:
    return {
        "bare_per_s": statistics.median(one["rate"] for one, _ in found),
        "emulator_per_s": statistics.median(other["rate"] for _, other in found),
        "ratio": statistics.median(other["rate"] / one["rate"] for one, other in found),
        "bare_cpu_us": statistics.median(one["cpu_us"] for one, _ in found),
        "emulator_cpu_us": statistics.median(other["cpu_us"] for _, other in found),
        "cpu_ratio": statistics.median(one["cpu_us"] / other["cpu_us"] for one, other in found),
    }


def _memory(emulated: Emulated, jobs: int = 20_000) -> dict[str, float]:
    emulated.ask("POST", "/worlds", {"name": "memory", "clock": "manual", "limits": "off"})
    request = http("POST", emulated.base.replace("/w/bench/", "/w/memory/") + "/run", BODY)
    load(emulated.served.port, [request], count=2000)
    before = emulated.served.rss_kb()
    load(emulated.served.port, [request], count=jobs)
    emulated.ask("POST", "/worlds/memory/clock/advance", {"by": "10s"})
    grown = (emulated.served.rss_kb() - before) * 1024 / jobs
    return {"jobs": jobs, "bytes_per_job": grown, "beyond_body": grown - len(BODY)}


def _polls(emulated: Emulated, job: str, polls: int = 100_000) -> dict[str, float]:
    request = http("GET", f"{emulated.base}/status/{job}")
    load(emulated.served.port, [request], count=20_000)
    before = emulated.served.rss_kb()
    load(emulated.served.port, [request], count=polls)
    return {"polls": polls, "grown_kb": emulated.served.rss_kb() - before}


def show(result: dict[str, Any]) -> None:
    cores = os.cpu_count()
    print(f"machine  {platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}")
    print(f"{'':<10}{'bare req/s':>12}{'emulator req/s':>16}{'ratio':>8}{'goal':>8}{'CPU us/request':>19}{'ratio':>8}")
    for name, goal in GOALS.items():
        row = result[name]
        spent = f"{row['bare_cpu_us']:.0f} / {row['emulator_cpu_us']:.0f}"
        rates = f"{row['bare_per_s']:>12,.0f}{row['emulator_per_s']:>16,.0f}"
        print(f"{name:<10}{rates}{row['ratio']:>8.2f}{goal:>8.1f}{spent:>19}{row['cpu_ratio']:>8.2f}")
    print(f"download  of {result['download']['bytes']:,} bytes")
    start, memory, polls = result["start"], result["memory"], result["polls"]
    print(
        f"start     bare {start['bare_s']:.2f} s, emulator {start['emulator_s']:.2f} s, "
        f"ratio {start['ratio']:.2f} (goal 3 at most)"
    )
    print(
        f"memory    {memory['beyond_body']:,.0f} bytes per finished job beyond its body "
        f"(goal 1,500 at most), over {memory['jobs']:,} jobs"
    )
    print(f"polls     {polls['polls']:,} polls grew the process by {polls['grown_kb']:,} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gate", action="store_true", help="exit 1 when a goal is missed")
    given = parser.parse_args()
    result = measure(given.rounds, given.seconds)
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    missed = [name for name, goal in GOALS.items() if result[name]["ratio"] < goal]
    missed += ["start"] * (result["start"]["ratio"] > 3) + ["memory"] * (result["memory"]["beyond_body"] > 1500)
    if missed:
        print(f"missed: {', '.join(missed)}")
    sys.exit(1 if given.gate and missed else 0)


if __name__ == "__main__":
    main()
