"""One command: what keeping worlds in a store costs, against memory, in one run on the same core.

    python benchmarks/stores.py [--rounds 5] [--seconds 1.0] [--jobs 100000]

Prints submits per second by store (median of the rounds) with their ratio to memory, and the cost of a submit
as jobs pile up.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from run import BODY, Served, cost, free_port, http, load

STORES = {"memory": [], "sqlite": ["sqlite"], "sqlite --durable": ["sqlite", "--durable"]}
PATH = "/runpod/v2/black-forest-labs-flux-1-dev"


def served(options: list[str], folder: Path) -> Served:
    port = free_port()
    command = [
        sys.executable, "-m", "fauxvider", "serve", "--json", "--port", str(port), "--control-port", str(free_port()),
        "--clock", "manual", "--limits", "off",
    ]  # fmt: skip
    if options:
        command += ["--store", f"sqlite:///{folder}/{port}.db", *options[1:]]
    return Served(command, port, "/runpod/v2/my-endpoint/health")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=100_000)
    given = parser.parse_args()
    request = http("POST", f"{PATH}/run", BODY)
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: served(options, Path(folder)) for name, options in STORES.items()}
        rates: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        try:
            for _ in range(given.rounds):
                for name, server in servers.items():
                    rates[name].append(cost(server, request, given.seconds))
            print(f"{'store':<18}{'submits/s':>11}{'of memory':>11}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}")
            base = [one["rate"] for one in rates["memory"]]
            for name, found in rates.items():
                ratio = statistics.median(one["rate"] / other for one, other in zip(found, base, strict=True))
                middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
                print(
                    f"{name:<18}{middle['rate']:>11,.0f}{ratio:>11.2f}{middle['cpu_us']:>9.0f}"
                    f"{middle['p50_ms']:>9.2f}{middle['p99_ms']:>9.2f}"
                )
            print(f"\n{'jobs':<18}{'CPU us a submit':>17}{'kB of memory':>14}   (sqlite)")
            server, done, goal = servers["sqlite"], 0, 1000
            while goal <= given.jobs:
                load(server.port, [request], count=goal - done)
                done = goal
                found_now = cost(server, request, given.seconds)
                done += int(found_now["done"])
                print(f"{done:<18,}{found_now['cpu_us']:>17.0f}{server.rss_kb():>14,}")
                goal = max(goal * 10, done)
        finally:
            for server in servers.values():
                server.stop()


if __name__ == "__main__":
    main()
