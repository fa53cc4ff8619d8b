"""A receiver that is down for a while: what the provider's retries look like, and what a handler gets."""

from __future__ import annotations

import httpx

from fauxvider import Receiver, Server

with Server() as server, server.world(clock="manual") as world, Receiver([503, "reset", 200], clock=world.now) as hook:
    run = {
        "input": {"prompt": "an engineer as a samurai", "image_b64": "https://example.com/engineer.png"},
        "callback_url": f"{hook.url}/hook",
    }
    runs = world.base_url("runflow") + "/v1/models/black-forest-labs/flux-1-dev/edit/runs"
    httpx.post(runs, json=run, headers={"Authorization": "Bearer any"}).raise_for_status()
    world.advance("1m")
    (delivery,) = world.deliveries()
    for attempt in delivery["attempts"]:
        after = (attempt["at"] - delivery["created"]) / 1000
        print(f"attempt {attempt['number']}  +{after:g}s  {attempt['status'] or attempt['error']}")
    print(f"{delivery['status']}; the same bytes each time: {len({one.body for one in hook.received}) == 1}")
