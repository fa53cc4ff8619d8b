"""The five documented models over HTTP: one way to submit, poll and download that fits all three providers."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from fauxvider.embedded import WorldHandle
from fauxvider_contracts import tour_text

__all__ = ["DOCUMENTED", "Client", "Endpoint", "Run", "data_uri"]

PATIENCE_S = 240.0  # a run may wait for a process to start, and for torch to load there


@dataclass(frozen=True)
class Endpoint:
    """Where things stand in one provider's requests and answers."""

    name: str
    provider: str
    stop: dict[str, Any]
    input: str
    steps: str
    source: str | None = None
    strength: str | None = None
    guidance: str | None = "guidance"
    callback: str | None = None
    cancel: str | None = None
    error: str = ""
    queued: tuple[str, ...] = ()
    running: str = ""
    ends: tuple[str, str] = ("", "")  # done, failed
    cancelled: str = ""
    small: dict[str, Any] = field(default_factory=dict)  # a request for a small picture


_STOPS = {stop["model"]: stop for stop in json.loads(tour_text())["stops"]}
_RUNFLOW: dict[str, Any] = {
    "input": "input", "steps": "steps", "callback": "callback_url", "cancel": "/v1/admin/runs/${id}/cancellation",
    "error": "/failure_code", "queued": ("queued",), "running": "running", "ends": ("succeeded", "failed"),
    "cancelled": "cancelled",
}  # fmt: skip
_RUNPOD: dict[str, Any] = {
    "input": "input", "steps": "num_inference_steps", "callback": "webhook", "error": "/error",
    "queued": ("IN_QUEUE",), "running": "IN_PROGRESS", "ends": ("COMPLETED", "FAILED"), "cancelled": "CANCELLED",
}  # fmt: skip

DOCUMENTED = {
    one.name: one
    for one in (
        Endpoint(
            "flux-1-dev-edit", "runflow", _STOPS["flux-1-dev-edit"], source="image_b64", strength="strength", **_RUNFLOW
        ),
        Endpoint(
            "flux-2-klein-4b-edit", "runflow", _STOPS["flux-2-klein-4b-edit"], source="image_urls", guidance=None,
            small={"image_size": "square"}, **_RUNFLOW,
        ),
        Endpoint(
            "flux-dev", "runpod", _STOPS["flux-dev"], cancel="/v2/black-forest-labs-flux-1-dev/cancel/${id}",
            small={"width": 256, "height": 256}, **_RUNPOD,
        ),
        Endpoint(
            "kontext", "runpod", _STOPS["kontext"], source="image", small={"size": "256*256"},
            cancel="/v2/black-forest-labs-flux-1-kontext-dev/cancel/${id}", **_RUNPOD,
        ),
        Endpoint(
            "flux-2-dev-editor", "onemin", _STOPS["flux-2-dev-editor"], input="promptObject",
            steps="num_inference_steps", error="/aiRecord/aiRecordDetail/errorMessage", running="PROCESSING",
            ends=("SUCCESS", "FAILURE"), small={"megapixels": "0.25", "output_format": "png"},
        ),
    )
}  # fmt: skip


def data_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


@dataclass
class Run:
    """What a client has seen of one job."""

    id: str
    began: float
    seen: list[str] = field(default_factory=list)
    last: Any = None
    wall_ms: float = 0.0

    @property
    def status(self) -> str:
        return self.seen[-1]


class Client:
    """A client of one world that polls."""

    def __init__(self, world: WorldHandle) -> None:
        self.world = world

    def submit(self, endpoint: Endpoint, *, outside: dict[str, Any] | None = None, **changes: Any) -> Run:
        """Send the document's own request, with changes to the model's input; None removes a field."""
        submit = endpoint.stop["submit"]
        body = {**deepcopy(submit["json"]), **(outside or {})}
        body[endpoint.input] = {**body[endpoint.input], **changes}
        body[endpoint.input] = {key: value for key, value in body[endpoint.input].items() if value is not None}
        began = time.perf_counter()
        answer = self.ask(endpoint, "POST", submit["path"], body)
        run = Run(str(at(answer, submit["id"])), began)
        run.seen.append(str(at(answer, endpoint.stop["poll"]["status"])))
        return run

    def look(self, endpoint: Endpoint, run: Run) -> Any:
        run.last = self.ask(endpoint, "GET", endpoint.stop["poll"]["path"].replace("${id}", run.id))
        status = str(at(run.last, endpoint.stop["poll"]["status"]))
        if status != run.seen[-1]:
            run.seen.append(status)
        return run.last

    def follow(
        self, endpoint: Endpoint, run: Run, until: Callable[[str], bool] | None = None, every_s: float = 0.004
    ) -> Run:
        """Poll until the job is over (or the status is wanted)."""
        over = (*endpoint.ends, endpoint.cancelled, "TIMED_OUT")
        while time.perf_counter() - run.began < PATIENCE_S:
            self.look(endpoint, run)
            if (until or over.__contains__)(run.status) or run.status in over:
                run.wall_ms = (time.perf_counter() - run.began) * 1000
                return run
            time.sleep(every_s)
        raise AssertionError(f"{endpoint.name} is {run.status} after {PATIENCE_S} s")

    def finish(self, endpoint: Endpoint, **changes: Any) -> Run:
        """Submit and wait for success."""
        run = self.follow(endpoint, self.submit(endpoint, **changes))
        assert run.status == endpoint.ends[0], run.last
        return run

    def cancel(self, endpoint: Endpoint, run: Run) -> Any:
        assert endpoint.cancel
        return self.ask(endpoint, "POST", endpoint.cancel.replace("${id}", run.id))

    def picture(self, endpoint: Endpoint, run: Run) -> bytes:
        with urllib.request.urlopen(at(run.last, endpoint.stop["picture"]), timeout=PATIENCE_S) as answer:
            return bytes(answer.read())

    def made(self, run: Run) -> dict[str, Any]:
        """Give the journal's entry of how the job's picture was made."""
        entries = [one for one in self.world.journal()["entries"] if one["kind"] == "rendered" and one["job"] == run.id]
        assert len(entries) == 1, entries
        return dict(entries[0])

    def upload(self, endpoint: Endpoint, data: bytes) -> str:
        """Upload a picture as a multipart form; give its path."""
        rim = "rim-of-a-part"
        named = 'form-data; name="asset"; filename="a.png"'
        head = f"--{rim}\r\nContent-Disposition: {named}\r\nContent-Type: image/png\r\n\r\n"
        answer = self._send(
            endpoint, "POST", "/api/assets", head.encode() + data + f"\r\n--{rim}--\r\n".encode(),
            f"multipart/form-data; boundary={rim}",
        )  # fmt: skip
        return str(answer["fileContent"]["path"])

    def ask(self, endpoint: Endpoint, method: str, path: str, body: Any = None) -> Any:
        return self._send(
            endpoint, method, path, None if body is None else json.dumps(body).encode(), "application/json"
        )

    def refusal(self, endpoint: Endpoint, **changes: Any) -> tuple[int, str]:
        """Submit what is refused; give the status and the answer's text."""
        try:
            run = self.submit(endpoint, **changes)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        raise AssertionError(f"{run.id} was accepted")

    def _send(self, endpoint: Endpoint, method: str, path: str, data: bytes | None, kind: str) -> Any:
        headers = {**endpoint.stop["submit"]["headers"], "Content-Type": kind}
        url = self.world.base_url(endpoint.provider) + path
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())


def at(tree: Any, pointer: str) -> Any:
    for name in pointer.split("/")[1:]:
        if isinstance(tree, list):
            tree = tree[int(name)] if int(name) < len(tree) else None
        else:
            tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
