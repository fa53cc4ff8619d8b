"""What a scenario costs a request that it does not touch: with and without ten rules that never fit, in process.

    python benchmarks/scenario.py [--rounds 9] [--requests 3000] [--json FILE] [--gate]

Rounds with and without take turns; the best round of each counts, in processor time. The bound is 20 us a request.
The rows at the end are for the table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.service.emulator import Emulator
from fauxvider.service.options import read_options

BOUND_US = 20.0
PATH = "/v2/black-forest-labs-flux-1-dev"
BODY = json.dumps(
    {"input": {"prompt": "A serene mountain landscape at sunset", "width": 1024, "height": 1024, "seed": 42}}
).encode()


def _rule(on: str, do: dict[str, Any], **when: Any) -> dict[str, Any]:
    return {"on": on, "do": do, "when": when}


# Ten rules that are all asked about a poll, ten that a submit meets on its way, ten that look into its body.
REQUESTS = [_rule("request", {"refuse": "rate"}, does="cancel", nth=number) for number in range(1, 11)]
MIXED = [
    _rule("request", {"refuse": "rate"}, does="cancel"),
    _rule("request", {"lose": "reset"}, does="submit", model="kontext"),
    _rule("request", {"slow": "1s"}, does="submit", since="1d"),
    _rule("job", {"fail": "handler_error"}, model="kontext"),
    _rule("job", {"slow": 10}, job="1000000-"),
    _rule("output", {"black": True}, model="kontext"),
    _rule("delivery", {"lose": True}, model="kontext"),
    _rule("attempt", {"tamper": "body"}, model="kontext"),
    _rule("account", {"balance": "0"}, since="1d"),
    _rule("account", {"quota": {"limit": "run", "count": 1}}, since="1d"),
]
INPUTS = [
    _rule(on, do, input={"/input/prompt": {"matches": f"never {number}"}})
    for number, (on, do) in enumerate(
        [("request", {"lose": "reset"}), ("job", {"slow": 10}), ("output", {"black": True})] * 3
        + [("request", {"slow": "1s"})]
    )
]


class Bench:
    """One world, called as ASGI."""

    def __init__(
        self, emulator: Emulator, contracts: dict[str, Contract], name: str, rules: list[dict[str, Any]]
    ) -> None:
        given: dict[str, Any] = {"clock": "manual", "seed": 1, "limits": "off", "record": False}
        if rules:
            given["scenario"] = {"scenario": 1, "name": name, "provider": "runpod", "rules": rules}
        emulator.make_world(name, read_options(given, contracts, defaults=emulator.defaults))
        self.app = ProviderApp(emulator)
        self.base = f"/w/{name}/runpod{PATH}"

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        path = self.base + path
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1"), (b"authorization", b"Bearer k"), (b"content-type", b"application/json"),
            ],
        }  # fmt: skip
        out: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            out.append(message)

        await self.app(scope, receive, send)
        if out[0]["status"] >= 300:
            raise SystemExit(f"{method} {path}: {out[0]['status']} {out[1]['body'][:200]!r}")
        return bytes(out[1]["body"])

    async def round(self, kind: str, requests: int) -> float:
        """Give microseconds a request."""
        job = json.loads(await self.ask("POST", "/run", BODY))["id"]
        gc.collect()
        gc.disable()
        began = time.process_time()
        if kind == "poll":
            for _ in range(requests):
                await self.ask("GET", f"/status/{job}")
        else:
            for _ in range(requests):
                await self.ask("POST", "/run", BODY)
        took = time.process_time() - began
        gc.enable()
        return took / requests * 1e6


async def measure(rounds: int, requests: int) -> dict[str, dict[str, float]]:
    """Give, by what is asked and which rules stand by, the best round without and with them, in microseconds."""
    emulator = build_emulator(providers=["runpod"])
    contracts = {name: file.resolve({}) for name, file in emulator.contracts.items()}
    found = {}
    cases = {
        "poll, ten rules for requests": ("poll", REQUESTS),
        "submit, ten rules for requests": ("submit", REQUESTS),
        "submit, ten rules of every stage": ("submit", MIXED),
        "submit, ten rules about its body": ("submit", INPUTS),
    }
    for name, (kind, rules) in cases.items():
        without, beside = [], []
        for number in range(rounds):
            plain = Bench(emulator, contracts, "plain", [])
            ruled = Bench(emulator, contracts, "ruled", rules)
            for bench, times in (
                ((plain, without), (ruled, beside)) if number % 2 else ((ruled, beside), (plain, without))
            ):
                times.append(await bench.round(kind, requests))
        found[name] = {"without_us": min(without), "with_us": min(beside), "adds_us": min(beside) - min(without)}
    emulator.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gate", action="store_true", help="exit 1 when the bound is passed")
    given = parser.parse_args()
    found = asyncio.run(measure(given.rounds, given.requests))
    print(f"us a request, best of {given.rounds} rounds; a scenario may add {BOUND_US:g}")
    print(f"{'':<36}{'without':>10}{'with':>10}{'adds':>10}")
    for name, row in found.items():
        print(f"{name:<36}{row['without_us']:>10.1f}{row['with_us']:>10.1f}{row['adds_us']:>10.1f}")
    print("\n| figure | goal | measured |\n|---|---|---|")
    for name, row in found.items():
        print(f"| what a scenario adds to a {name} | under {BOUND_US:g} us | {row['adds_us']:.1f} us |")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(1 if given.gate and any(row["adds_us"] >= BOUND_US for row in found.values()) else 0)


if __name__ == "__main__":
    main()
