"""A client as it is often written. It works, as long as the network does."""

from __future__ import annotations

import time

import httpx

MODEL = "/v2/black-forest-labs-flux-1-dev"


def generate(base_url: str, prompt: str) -> bytes:
    with httpx.Client(base_url=base_url, headers={"Authorization": "Bearer my-key"}) as api:
        job = submit(api, prompt)
        while True:
            job = api.get(f"{MODEL}/status/{job['id']}").json()
            if job["status"] == "COMPLETED":
                return httpx.get(job["output"]["image_url"]).content
            if job["status"] == "FAILED":
                raise RuntimeError(job["error"])
            time.sleep(2)


def submit(api: httpx.Client, prompt: str) -> dict[str, str]:
    while True:
        try:
            return dict(api.post(f"{MODEL}/run", json={"input": {"prompt": prompt}}).json())
        except httpx.TransportError:
            time.sleep(1)  # the network hiccups: try again
