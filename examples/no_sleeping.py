"""A client that has its provider's host written into it, and sleeps: nothing of it is changed, no time passes."""

from __future__ import annotations

import time

import httpx

from fauxvider import Server
from pytest_fauxvider.doors import httpx_door
from pytest_fauxvider.sleeping import virtual_sleep

API = "https://api.runpod.ai/v2/black-forest-labs-flux-1-dev"


def picture(prompt: str) -> bytes:
    """The client under test. It has never heard of fauxvider."""
    with httpx.Client(headers={"Authorization": "Bearer any"}) as client:
        job = client.post(f"{API}/run", json={"input": {"prompt": prompt}}).json()
        while job["status"] not in ("COMPLETED", "FAILED"):
            time.sleep(2)
            job = client.get(f"{API}/status/{job['id']}").json()
        return client.get(job["output"]["image_url"]).content


with (
    Server() as server,
    server.world(clock="manual", seed=7) as world,
    httpx_door(world),
    virtual_sleep(world) as slept,
):
    began = world.now()
    data = picture("a lighthouse at dusk")
    print("slept", slept.spans, "and the world moved by", (world.now() - began) / 1000, "s")
    print("a JPEG came:", data.startswith(b"\xff\xd8"))
