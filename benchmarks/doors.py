"""What a door costs: each client library through its door, against a static route (of respx), in one run.

    python benchmarks/doors.py [--calls 300] [--rounds 5] [--json FILE]

A call is one poll of a finished job. Figures are medians of the rounds; the ratios are what to compare. The last
lines are a keep-alive POST through the server's own socket, which a forgotten TCP_NODELAY would make 40 ms
long, and a virtual sleep.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
import respx

from fauxvider import LocalServer, Server, WorldHandle
from pytest_fauxvider.doors import aiohttp_door, httpx_door, requests_door
from pytest_fauxvider.sleeping import virtual_sleep
from pytest_fauxvider.sleeping_clocks import REAL

ACME = Path(__file__).parents[1] / "tests" / "data" / "acme.yaml"
API = "https://api.acme.test/v2/acme-dev"
KEY = {"Authorization": "Bearer key"}
GOAL = 3.0


def now() -> float:
    """Read the real clock; a name for it in this module would become virtual too."""
    return float(REAL["perf_counter"]())


def per_call(call: Callable[[], Any], calls: int) -> float:
    """Give microseconds per call."""
    call()
    began = now()
    for _ in range(calls):
        call()
    return (now() - began) / calls * 1e6


async def per_call_async(call: Callable[[], Awaitable[Any]], calls: int) -> float:
    await call()
    began = now()
    for _ in range(calls):
        await call()
    return (now() - began) / calls * 1e6


def finished(world: WorldHandle) -> tuple[str, dict[str, Any]]:
    with httpx_door(world):
        job = httpx.post(f"{API}/run", json={"input": {"prompt": "a lighthouse"}}, headers=KEY).json()
        world.advance("10s")
        url = f"{API}/status/{job['id']}"
        return url, httpx.get(url, headers=KEY).json()


def static(url: str, answer: dict[str, Any], calls: int) -> dict[str, float]:
    """A static respx route: the same answer, from a constant."""
    with respx.mock() as router, httpx.Client(headers=KEY) as client:
        router.get(url).respond(200, json=answer)
        return {"static respx route": per_call(lambda: client.get(url), calls)}


async def static_async(url: str, answer: dict[str, Any], calls: int) -> dict[str, float]:
    with respx.mock() as router:
        router.get(url).respond(200, json=answer)
        async with httpx.AsyncClient(headers=KEY) as client:
            return {"static respx route, async": await per_call_async(lambda: client.get(url), calls)}


def through_doors(world: WorldHandle, url: str, calls: int, where: str) -> dict[str, float]:
    found: dict[str, float] = {}
    with httpx_door(world):
        for library in (httpx, httpx2):
            with library.Client(headers=KEY) as client:
                found[f"{library.__name__}, {where}"] = per_call(lambda client=client: client.get(url), calls)
    with requests_door(world) as door, requests.Session() as session:
        found[f"requests, {where}"] = per_call(lambda: session.get(url, headers=KEY, timeout=5), calls)
        # requests alone costs as much as two respx routes, so it is compared with itself: the same, with a constant.
        constant = door.exchange("GET", url, KEY.items(), b"")
        door.exchange = lambda *_, **__: constant
        found[f"static requests, {where}"] = per_call(lambda: session.get(url, headers=KEY, timeout=5), calls)
    return found


async def through_doors_async(world: WorldHandle, url: str, calls: int, where: str) -> dict[str, float]:
    found: dict[str, float] = {}
    with httpx_door(world):
        for library in (httpx, httpx2):
            async with library.AsyncClient(headers=KEY) as client:
                name = f"{library.__name__} async, {where}"
                found[name] = await per_call_async(lambda client=client: client.get(url), calls)
    with aiohttp_door(world):
        async with aiohttp.ClientSession(headers=KEY) as session:

            async def read() -> bytes:
                async with session.get(url) as answer:
                    return await answer.read()

            found[f"aiohttp, {where}"] = await per_call_async(read, calls)
    return found


def socket_and_sleep(server: Server, calls: int) -> dict[str, float]:
    body = {"input": {"prompt": "a lighthouse"}}
    with server.world(clock="manual") as world, httpx.Client(headers=KEY) as client:
        url = f"{world.base_url('acme')}/v2/acme-dev/run"
        found = {"POST, keep-alive socket": per_call(lambda: client.post(url, json=body), calls)}
        with virtual_sleep(world, most=10**6):
            found["time.sleep(2), virtual"] = per_call(lambda: time.sleep(2), calls)

            async def main() -> float:
                return await per_call_async(lambda: asyncio.sleep(2), calls)

            found["asyncio.sleep(2), virtual"] = asyncio.run(main())
    return found


def one_round(calls: int) -> dict[str, float]:
    with Server(contracts=[ACME]) as server, LocalServer(contracts=[ACME]) as local:
        found: dict[str, float] = {}
        with server.world(clock="manual", record=False) as one, local.world(clock="manual", record=False) as other:
            url, answer = finished(one)
            found |= static(url, answer, calls)
            found |= asyncio.run(static_async(url, answer, calls))
            found |= through_doors(one, url, calls, "Server")
            found |= asyncio.run(through_doors_async(one, url, calls, "Server"))
            url, _ = finished(other)
            found |= through_doors(other, url, calls, "LocalServer")
        return found | socket_and_sleep(server, calls)


def _twin(name: str) -> str:
    if name.startswith("requests"):
        return f"static {name}"
    return "static respx route, async" if "async," in name or name.startswith("aiohttp") else "static respx route"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds = [one_round(options.calls) for _ in range(options.rounds)]
    report: dict[str, dict[str, float]] = {}
    print(f"{'a call through':32} {'us':>7}  {'x a static route':>22}")
    for name in rounds[0]:
        twin = _twin(name)
        cost = statistics.median(found[name] for found in rounds)
        ratio = statistics.median(found[name] / found[twin] for found in rounds)
        is_door = "Server" in name and not name.startswith("static")
        report[name] = {"us": round(cost, 1), "ratio": round(ratio, 2)}
        verdict = f"{ratio:.2f}  {'ok' if ratio < GOAL else 'over'} (goal < {GOAL:g})" if is_door else ""
        print(f"{name:32} {cost:7.0f}  {verdict:>22}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
