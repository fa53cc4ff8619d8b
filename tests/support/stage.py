"""A world under a scenario, a recording hook for its callbacks, and each provider's plain requests. No sockets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from fauxvider.ports import SendOutcome
from fauxvider.service.world import World
from fauxvider.values import parse_span
from support.inprocess import Answer, InProcess

__all__ = ["HOOK", "SITES", "Hit", "Hook", "Site", "Stage", "picture", "stage"]

HOOK = "http://client.test/hook"


@dataclass(frozen=True, slots=True)
class Hit:
    """A callback as it came, at a virtual moment."""

    at: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """A sender that keeps what it is given, and answers by list; the last answer repeats."""

    answers: Sequence[int | str] = (200,)
    hits: list[Hit] = field(default_factory=list)
    now: Callable[[], int] = lambda: 0
    on_hit: Callable[[Hit], None] | None = None

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        answer = self.answers[min(len(self.hits), len(self.answers) - 1)]
        hit = Hit(self.now(), {name.lower(): value for name, value in headers}, body)
        self.hits.append(hit)
        if self.on_hit is not None:
            self.on_hit(hit)
        if isinstance(answer, int):
            return SendOutcome("http", answer)
        return SendOutcome("timeout") if answer == "timeout" else SendOutcome("network", error=answer)


@dataclass(frozen=True)
class Site:
    """How a provider is asked: paths, keys, and where the answers hold what."""

    name: str
    key: Mapping[str, str]
    submits: str
    reads: str
    body: Mapping[str, Any]
    hook: str | None  # the field of the callback address
    job: Callable[[Any], str]
    word: Callable[[Any], str]
    url: Callable[[Any], str | None]
    done: str
    failed: str


def _runflow_url(record: Any) -> str | None:
    outputs = (record.get("output") or {}).get("outputs") or []
    return outputs[0]["url"] if outputs else None


SITES: dict[str, Site] = {
    "runpod": Site(
        name="runpod",
        key={"Authorization": "Bearer rp_key"},
        submits="/v2/black-forest-labs-flux-1-dev/run",
        reads="/v2/black-forest-labs-flux-1-dev/status/{job}",
        body={"input": {"prompt": "a red fox", "width": 256, "height": 256, "seed": 7}},
        hook="webhook",
        job=lambda tree: tree["id"],
        word=lambda tree: tree["status"],
        url=lambda tree: (tree.get("output") or {}).get("image_url"),
        done="COMPLETED",
        failed="FAILED",
    ),
    "runflow": Site(
        name="runflow",
        key={"Authorization": "Bearer rf_live_test"},
        submits="/v1/models/black-forest-labs/flux-1-dev/edit/runs",
        reads="/v1/runs/{job}",
        body={
            "input": {"prompt": "a red fox", "image_b64": "https://example.org/a.png", "steps": 28, "strength": 0.85}
        },
        hook="callback_url",
        job=lambda tree: tree["id"],
        word=lambda tree: tree["status_code"],
        url=_runflow_url,
        done="succeeded",
        failed="failed",
    ),
    "onemin": Site(
        name="onemin",
        key={"API-KEY": "k"},
        submits="/api/features",
        reads="/api/results/{job}",
        body={
            "type": "IMAGE_GENERATOR",
            "model": "black-forest-labs/flux-2-dev",
            "promptObject": {"prompt": "a red fox", "num_outputs": 1, "aspect_ratio": "1:1", "output_format": "png"},
            "async": True,
        },
        hook=None,
        job=lambda tree: tree["aiRecord"]["uuid"],
        word=lambda tree: tree["aiRecord"]["status"],
        url=lambda tree: tree["aiRecord"]["temporaryUrl"] or None,
        done="SUCCESS",
        failed="FAILURE",
    ),
}


class Stage:
    """One world of one provider, with a hook of its own."""

    def __init__(
        self, host: InProcess, hook: Hook, provider: str, rules: Sequence[Mapping[str, Any]], **world: Any
    ) -> None:
        self.host = host
        self.hook = hook
        self.site = SITES[provider]
        if "scenario" not in world:
            world["scenario"] = {"scenario": 1, "name": "on the stage", "provider": provider, "rules": list(rules)}
        world.setdefault("seed", 1)
        self.world: World = host.world(**world)
        hook.hits.clear()
        hook.answers = (200,)
        hook.on_hit = None
        hook.now = self.world.clock.now
        self.base = host.base(self.world, provider)

    # --- asking

    def ask(self, method: str, path: str, *, json_body: Any = None, **headers: str) -> Answer:
        url = path if "://" in path else self.base + path
        sent = {} if "://" in path else dict(self.site.key)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.host.request(method, url, headers=sent, json_body=json_body)

    def begin(self, method: str, path: str, *, json_body: Any = None) -> asyncio.Task[Answer]:
        """Ask for what may be held; `finish` gives the answer."""
        return self.host.start(method, self.base + path, headers=self.site.key, json_body=json_body)

    def body(self, *, hook: bool = True, **changes: Any) -> dict[str, Any]:
        body = json.loads(json.dumps(dict(self.site.body)))
        if hook and self.site.hook:
            body[self.site.hook] = HOOK
        return body | changes

    def submit(self, *, hook: bool = True, **headers: str) -> Answer:
        return self.ask("POST", self.site.submits, json_body=self.body(hook=hook), **headers)

    def job(self, *, hook: bool = True) -> str:
        """Submit; give the job's id."""
        answer = self.submit(hook=hook)
        assert answer.status < 300, answer.text
        return self.site.job(answer.json())

    def read(self, job: str) -> Answer:
        return self.ask("GET", self.site.reads.format(job=job))

    def word(self, job: str) -> str:
        answer = self.read(job)
        assert answer.status == 200, answer.text
        return self.site.word(answer.json())

    def url(self, job: str) -> str:
        found = self.site.url(self.read(job).json())
        assert found, "no URL"
        return found

    def done(self, *, after: str = "1m") -> str:
        """Submit, wait, and give the finished job's id."""
        job = self.job()
        self.advance(after)
        return job

    def secret(self, *, current: bool = False) -> str:
        """Make a signing secret (Runflow); give its value."""
        made = self.ask("POST", "/v1/callback-secrets", json_body={"label": "s"}).json()
        if current:
            self.ask("PATCH", f"/v1/callback-secrets/{made['id']}", json_body={"is_current": True})
        return made["plain_secret"]

    # --- time and what is known

    def advance(self, by: str) -> list[dict[str, Any]]:
        return self.host.run(self.world.advance(parse_span(by)))

    @property
    def now(self) -> int:
        return self.world.clock.now()

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        return [entry for entry in self.world.journal.entries() if not kinds or entry["kind"] in kinds]

    def report(self) -> dict[str, Any]:
        return self.host.emulator.scenario(self.world.name)

    def charges(self) -> list[dict[str, Any]]:
        ledger = self.host.run(self.host.emulator.ledger(self.world.name))["providers"]
        return ledger[self.site.name]["charges"]


@contextmanager
def stage() -> Iterator[Callable[..., Stage]]:
    """Give a maker of stages that share one emulator; the last one made owns the hook."""
    hook = Hook()
    with InProcess(sender=hook) as host:
        host.emulator.settings.dripping = lambda _seconds: hook
        yield lambda provider, *rules, **world: Stage(host, hook, provider, rules, **world)


def picture(data: bytes) -> Image.Image:
    """Open a picture; raises where it is damaged."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.copy()
