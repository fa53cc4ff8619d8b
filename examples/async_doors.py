"""Ten jobs at once by aiohttp, each with its own poll: they sleep together, so they take as long as one of them."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp

from fauxvider import Server
from pytest_fauxvider.doors import aiohttp_door, no_egress
from pytest_fauxvider.sleeping import virtual_sleep

API = "https://api.runpod.ai/v2/black-forest-labs-flux-1-dev"


async def run(session: aiohttp.ClientSession, number: int) -> str:
    async with session.post(f"{API}/run", json={"input": {"prompt": f"lighthouse {number}"}}) as answer:
        job = await answer.json()
    async with asyncio.timeout(60):
        while job["status"] not in ("COMPLETED", "FAILED"):
            await asyncio.sleep(2)
            async with session.get(f"{API}/status/{job['id']}") as answer:
                job = await answer.json()
    return str(job["status"])


async def main() -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as session:
        ended = await asyncio.gather(*(run(session, number) for number in range(10)))
        print(dict(Counter(ended)))
        try:
            await session.get("https://example.com/")
        except aiohttp.ClientConnectorError:
            print("example.com was not reached")


with (
    Server() as server,
    server.world(clock="manual", seed=7) as world,
    aiohttp_door(world),
    virtual_sleep(world),
    no_egress(block="all"),
):
    began = world.now()
    asyncio.run(main())
    print("the world moved by", (world.now() - began) / 1000, "s")
