"""The tour: submits the documents' own requests, follows each job, and notes what it saw."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image

from fauxvider.demo.calls import ask, at, fetch
from fauxvider.demo.gallery import Gallery, take_pictures
from fauxvider.embedded import Server, WorldHandle
from fauxvider.ports import Pipeline
from fauxvider.receiver import Receiver
from fauxvider.values import parse_span, span_text
from fauxvider_contracts import tour_text

__all__ = ["Attempt", "Stop", "Tour", "take_tour"]

ANSWERS: tuple[int | str, ...] = (503, "reset", 200)
_STEP_MS = 50
_MAX_STEPS = 1200


@dataclass(slots=True)
class Attempt:
    """One callback attempt, ms after the job's end."""

    after: int
    outcome: str


@dataclass(slots=True)
class Stop:
    """What was seen of one model."""

    title: str
    provider: str
    document: str
    job: str = ""
    statuses: list[tuple[int, str]] = field(default_factory=list)  # ms since submit, the provider's word
    url: str = ""
    picture: str = ""  # file name in the report's folder
    picture_note: str = ""
    cost_shown: str = ""
    cost_says: str = ""
    cost_agrees: bool | None = None
    charged: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    signed: str = ""
    url_life: list[tuple[str, int]] = field(default_factory=list)  # (when, HTTP status)


@dataclass(slots=True)
class Tour:
    stops: list[Stop]
    virtual_ms: int
    balances: Mapping[str, str]
    gallery: Gallery | None = None


def take_tour(folder: Path, *, say: Callable[[str], None], pipeline: Pipeline | None = None) -> Tour:
    """Run the whole tour; pictures go to `folder`, progress to `say`. A `pipeline` makes real ones."""
    stops = json.loads(tour_text())["stops"]
    providers = dict.fromkeys(stop["provider"] for stop in stops)
    with (
        Server(providers=providers, pipeline=pipeline, warm=True) as server,
        server.world(name="demo", clock="manual", seed=7) as world,
    ):
        began = world.now()
        seen = []
        for number, stop in enumerate(stops, 1):
            say(f"{number}/{len(stops)}  {stop['title']}")
            seen.append(_visit(server, world, stop))
            _picture(seen[-1], folder, number)
        for stop, one in zip(stops, seen, strict=True):
            if stop.get("lives"):
                _outlive(world, one, stop["lives"], say)
        ledger = world.ledger()["providers"]
        for one in seen:
            one.charged = _charged(ledger, one)
        balances = {name: f"{account['balance']} {account['unit']}" for name, account in ledger.items()}
        tour = Tour(seen, world.now() - began, balances)
        if pipeline is not None:
            say("     real pipelines, on real time")
            with server.world(name="gallery", clock="real", seed=7, limits="off") as real:
                tour.gallery = take_pictures(real, say=say)
        return tour


def _visit(server: Server, world: WorldHandle, stop: Mapping[str, Any]) -> Stop:
    one = Stop(stop["title"], stop["provider"], stop["document"])
    base, submit = world.base_url(one.provider), stop["submit"]
    body, receiver = dict(submit["json"]), Receiver(ANSWERS)
    if "callback" in submit:
        body[submit["callback"]] = server.call(receiver.start()) + "/hook"
    answer = ask("POST", base + submit["path"], submit["headers"], body)
    one.job = str(at(answer, submit["id"]))
    one.statuses.append((0, str(at(answer, stop["poll"]["status"]))))
    final = _follow(world, base, stop, one, submit["headers"])
    one.url = str(at(final, stop["picture"]))
    _note_cost(one, stop["cost"], final)
    if "callback" in submit:
        world.advance("1m")
        _note_attempts(server, world, one, receiver)
    return one


def _note_cost(one: Stop, cost: Mapping[str, str], final: Any) -> None:
    shown = at(final, cost["shown"]) if cost["shown"] else None
    one.cost_shown = "" if shown is None else str(shown)
    one.cost_says = cost["says"]
    one.cost_agrees = None if not cost["documented"] else Decimal(one.cost_shown) == Decimal(cost["documented"])


def _follow(world: WorldHandle, base: str, stop: Mapping[str, Any], one: Stop, headers: Mapping[str, str]) -> Any:
    began, path = world.now(), stop["poll"]["path"].replace("${id}", one.job)
    for _ in range(_MAX_STEPS):
        world.advance(_STEP_MS / 1000)
        answer = ask("GET", base + path, headers)
        status = str(at(answer, stop["poll"]["status"]))
        if status != one.statuses[-1][1]:
            one.statuses.append((world.now() - began, status))
        if at(answer, stop["picture"]):
            return answer
    raise RuntimeError(f"{one.title} did not finish within {span_text(_STEP_MS * _MAX_STEPS)}")


def _picture(one: Stop, folder: Path, number: int) -> None:
    status, data = fetch(one.url)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        kind = (image.format or "").lower()
        one.picture = f"{number}-{one.provider}.{kind.replace('jpeg', 'jpg')}"
        one.picture_note = f"HTTP {status}, {kind} {image.width} x {image.height}, {len(data) / 1000:.0f} kB"
    (folder / one.picture).write_bytes(data)


def _note_attempts(server: Server, world: WorldHandle, one: Stop, receiver: Receiver) -> None:
    delivery = next(found for found in world.deliveries() if found["job_id"] == one.job)
    for made in delivery["attempts"]:
        outcome = made["error"] if made["status"] is None else f"HTTP {made['status']}"
        one.attempts.append(Attempt(made["at"] - delivery["created"], outcome))
    same = len({hit.body for hit in receiver.received}) == 1
    one.signed = (
        f"{delivery['state']}; {len(receiver.received)} POSTs, {'the same bytes each time' if same else 'bytes differ'}"
    )
    server.call(receiver.stop())


def _outlive(world: WorldHandle, one: Stop, lives: str, say: Callable[[str], None]) -> None:
    """Ask for a picture just before and just after its URL's life, counted from the job's end."""
    say(f"     {one.title}: the picture's URL lives {lives}")
    ends = next(job["ends"] for job in world.jobs() if job["id"] == one.job)
    death = ends + parse_span(lives)
    for name, moment in ((f"{lives} - 1s", death - 1000), (f"{lives} + 1s", death + 1000)):
        world.advance((moment - world.now()) / 1000)
        one.url_life.append((name, fetch(one.url)[0]))


def _charged(ledger: Mapping[str, Any], one: Stop) -> str:
    account = ledger[one.provider]
    amounts = [charge["amount"] for charge in account["charges"] if charge["job"] == one.job]
    return f"{' + '.join(amounts)} {account['unit']}" if amounts else "nothing"
