"""What real pipelines make of the documents' requests: the five models, an edit at rising strengths, seeds."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageChops, ImageStat

from fauxvider.demo.calls import ask, at, fetch, upload
from fauxvider.demo.scene import scene
from fauxvider.embedded import WorldHandle
from fauxvider_contracts import tour_text

__all__ = ["Gallery", "Row", "Tile", "take_pictures"]

_SIDE = 1024
_PATIENCE_MS = 600_000


@dataclass(slots=True)
class Tile:
    """One picture, what it is, and what was measured."""

    title: str
    data: bytes
    lines: tuple[str, ...] = ()
    away: str = ""


@dataclass(slots=True)
class Row:
    title: str
    tiles: list[Tile] = field(default_factory=list)


@dataclass(slots=True)
class Gallery:
    machine: str
    rows: list[Row]


def take_pictures(world: WorldHandle, *, say: Callable[[str], None]) -> Gallery:
    """Have everything rendered in a world on real time."""
    tour = json.loads(tour_text())
    source, stops = scene(_SIDE), tour["stops"]
    models = Row("The five documented models, their documents' own parameters")
    for stop in stops:
        say(f"     {stop['title']}")
        models.tiles.append(_tile(world, stop, stop["title"], _with_source(world, stop, source)))
    rows = [models]
    for series in tour["series"]:
        say(f"     {series['title']}")
        stop = stops[series["stop"]]
        row = Row(series["title"], [Tile("the source", source)] if series["source"] else [])
        body = _with_source(world, stop, source)
        for picture in series["pictures"]:
            row.tiles.append(_tile(world, stop, picture["title"], _changed(body, picture["set"])))
        for tile in row.tiles[1:]:
            tile.away = _away(row.tiles[0], tile)
        rows.append(row)
    return Gallery(_machine(world), rows)


def _with_source(world: WorldHandle, stop: Mapping[str, Any], source: bytes) -> Any:
    """Put the source picture where this model's request has one, in the way that its provider takes pictures."""
    body, place = stop["submit"]["json"], stop.get("source")
    if place is None:
        return body
    rules = place.get("upload")
    if rules is not None:
        url = world.base_url(stop["provider"]) + rules["path"]
        given = at(upload(url, stop["submit"]["headers"], rules["part"], "boat.png", source), rules["name"])
    else:
        given = f"data:image/png;base64,{base64.b64encode(source).decode()}"
    return _changed(body, {place["at"]: [given] if isinstance(at(body, place["at"]), list) else given})


def _changed(body: Any, changes: Mapping[str, Any]) -> Any:
    made = json.loads(json.dumps(body))
    for pointer, value in changes.items():
        above, _, name = pointer.rpartition("/")
        at(made, above)[name] = value
    return made


def _tile(world: WorldHandle, stop: Mapping[str, Any], title: str, body: Any) -> Tile:
    base, submit = world.base_url(stop["provider"]), stop["submit"]
    answer = ask("POST", base + submit["path"], submit["headers"], body)
    job, began = str(at(answer, submit["id"])), world.now()
    while True:
        answer = ask("GET", base + stop["poll"]["path"].replace("${id}", job), submit["headers"])
        if url := at(answer, stop["picture"]):
            break
        known = next(one for one in world.jobs() if one["id"] == job)
        if known["failure"] or world.now() - began > _PATIENCE_MS:
            raise RuntimeError(f"{title}: {known['failure'] or 'no end in sight'}")
        time.sleep(0.02)
    made = next(one for one in world.journal()["entries"] if one["kind"] == "rendered" and one["job"] == job)
    return Tile(title, fetch(str(url))[1], _told(made))


def _told(made: Mapping[str, Any]) -> tuple[str, ...]:
    width, height = made.get("rendered", (0, 0))
    lines = [
        f"{made.get('pipeline', '')}, {made.get('steps', 0)} steps at {width} x {height}",
        f"waited {made.get('queued_ms', 0):.0f} ms, ran {made.get('execution_ms', 0):.0f} ms",
    ]
    if made.get("unapplied"):
        lines.append(f"cannot apply: {', '.join(made['unapplied'])}")
    return tuple(lines)


def _away(one: Tile, other: Tile) -> str:
    """Say how far a picture is from the first of its row."""
    with Image.open(io.BytesIO(one.data)) as first, Image.open(io.BytesIO(other.data)) as second:
        there = second.convert("RGB")
        here = first.convert("RGB").resize(there.size)
        means = ImageStat.Stat(ImageChops.difference(here, there)).mean
    away = sum(means) / len(means)
    return f"{away:.1f} of 255 from {one.title}" if away else f"pixel for pixel {one.title}"


def _machine(world: WorldHandle) -> str:
    made = next(one for one in world.journal()["entries"] if one["kind"] == "rendered" and one.get("device"))
    return f"{made['model']} on {made['device']} ({made['dtype']})"
