"""A receiver that is down for a while: what the provider's retries look like, and what your handler gets."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx

from fauxvider import Server

ANSWERS = [503, 503, 200]


class Receiver(BaseHTTPRequestHandler):
    """Answers with each of ANSWERS in turn."""

    bodies: list[bytes] = []  # noqa: RUF012 - one receiver, one list

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(ANSWERS[len(self.bodies) - 1])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet: the deliveries are printed below."""


with HTTPServer(("127.0.0.1", 0), Receiver) as receiver, Server() as server, server.world(clock="manual") as world:
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    run = {
        "input": {"prompt": "an engineer as a samurai", "image_b64": "https://example.com/engineer.png"},
        "callback_url": f"http://127.0.0.1:{receiver.server_port}/hook",
    }
    url = world.base_url("runflow") + "/v1/models/black-forest-labs/flux-1-dev/edit/runs"
    httpx.post(url, json=run, headers={"Authorization": "Bearer any"}).raise_for_status()
    world.advance("1m")
    (delivery,) = world.deliveries()
    for attempt in delivery["attempts"]:
        after = (attempt["at"] - delivery["created"]) / 1000
        print(f"attempt {attempt['number']}  +{after:g}s  HTTP {attempt['status']}")
    print(f"{delivery['status']}; the same bytes each time: {len(set(Receiver.bodies)) == 1}")
    receiver.shutdown()
