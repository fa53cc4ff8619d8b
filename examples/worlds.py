"""Worlds: one server, many tests; each world has its own clock, keys, balances, readings and seed."""

from __future__ import annotations

import httpx

from fauxvider import Server

RUN = {"input": {"prompt": "a lighthouse at dusk", "width": 1024, "height": 1024}}


def price(cost: str) -> str:
    """Give what a run costs under one of the documented readings of a contradictory rule."""
    with server.world(clock="stepping:10s", readings={"cost.rounding": cost}) as world:
        api = world.base_url("runpod") + "/v2/black-forest-labs-flux-1-dev"
        job = client.post(f"{api}/run", json=RUN).json()
        return str(client.get(f"{api}/status/{job['id']}").json()["output"]["cost"])


with Server() as server, httpx.Client(headers={"Authorization": "Bearer any"}) as client:
    for reading in ("exact", "trunc8", "trunc6"):
        print(f"{reading:<7} {price(reading)}")
    with server.world(keys=["good"], balances={"runpod": "0.01"}) as world:
        refused = client.post(world.base_url("runpod") + "/v2/black-forest-labs-flux-1-dev/run", json=RUN)
        print("an unlisted key:", refused.status_code)
