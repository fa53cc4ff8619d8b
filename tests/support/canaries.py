"""A server that is kept busy by a client with secrets in every place that takes some."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from support.process import Process, fetch

__all__ = ["RUN", "SECRETS", "busy"]

RUN = "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"
SECRETS = {
    "key": "canary-key-0123456789abcdefghijklmnopqrst",
    "user": "canary-user-0123456789abcdefghijklmnopqr",
    "query": "canary-query-0123456789abcdefghijklmnopq",
    "prompt": "canary-prompt-0123456789abcdefghijklmnop",
    "intent": "canary-intent-0123456789abcdefghijklmnop",
    "cookie": "canary-cookie-0123456789abcdefghijklmnop",
}


def send(server: Process, url: str, body: Any = None, **more: str) -> tuple[int, Any]:
    headers = {
        "Authorization": f"Bearer {SECRETS['key']}",
        "Content-Type": "application/json",
        "Cookie": f"id={SECRETS['cookie']}",
        "Idempotency-Key": SECRETS["intent"],
        **more,
    }
    data = None if body is None else json.dumps(body).encode()
    return fetch(urllib.request.Request(url, data, headers))


def busy(server: Process, hook: str) -> str:
    """Do everything that is logged, with secrets in every place that takes some; give the job's id."""
    base = server.base("runflow")
    query = f"?token={SECRETS['query']}#{SECRETS['query']}"
    body = {"input": {"prompt": SECRETS["prompt"]}, "metadata": {"note": SECRETS["prompt"]}}
    status, said = send(server, base + RUN, {**body, "callback_url": hook + query})
    assert status == 201
    port = hook.rpartition(":")[2]
    send(server, base + RUN, {**body, "callback_url": f"http://{SECRETS['user']}:x@127.0.0.1:{port}{query}"})
    send(server, f"{base}/v1/runs/{said['id']}{query}")
    send(server, f"{base}/v1/runs/{SECRETS['key']}")  # a key where no key belongs
    send(server, f"{server.root}/v1/{SECRETS['key']}{query}")  # to no provider at all
    send(server, base + RUN, "not an object")
    send(server, f"{base}/v1/credits", Authorization=SECRETS["key"])
    assert server.ask("/worlds/default/clock/advance", {"by": "10m"})[0] == 200
    assert server.ask(f"/worlds/default/jobs?{query}")[0] == 200
    assert server.ask("/worlds", {"name": "mine", "keys": [SECRETS["key"]]})[0] == 201
    assert server.ask("/worlds/mine", method="DELETE")[0] == 204
    return str(said["id"])
