"""Worlds: one server, many tests; each world has its own clock, keys, balances, readings and seed."""

from __future__ import annotations

import httpx

from fauxvider import Server

MODEL = "/v2/black-forest-labs-flux-1-kontext-dev"
RUN = {"input": {"prompt": "the bluebird, now on a cloud", "image": "https://example.com/bluebird.png"}}


def cost(reading: str) -> str:
    """Give what an edit costs: the provider's page contradicts itself, and a world takes its pick."""
    with server.world(clock="stepping:10s", readings={"kontext.cost": reading}) as world:
        api = world.base_url("runpod") + MODEL
        job = client.post(f"{api}/run", json=RUN).json()
        return str(client.get(f"{api}/status/{job['id']}").json()["output"]["cost"])


with Server() as server, httpx.Client(headers={"Authorization": "Bearer any"}) as client:
    for name in ("flat", "legacy_per_mp_03"):
        print(f"{name:<16} {cost(name)}")
    with server.world(keys=["the-only-key"]) as strict:
        refused = client.post(strict.base_url("runpod") + MODEL + "/run", json=RUN)
        print(f"{'an unlisted key':<16} HTTP {refused.status_code}")
