"""What stands in a store after crashes, read by eye as it were: rows and hashes, without the emulator's own reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from fauxvider.stores.codec import load_entry
from support.crash_checker import Attempt, Write
from support.valkey import Valkey

__all__ = ["Found", "Kept", "SqliteKept", "ValkeyKept", "opened"]

_PREFIX = "fauxvider:"


@dataclass
class Found:
    """Jobs that asked for a callback, by "world/id", and what was tried for them."""

    jobs: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)  # by which they were submitted
    ended: list[str] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    clocks: dict[str, int] = field(default_factory=dict)  # how far each world is, ms

    def add_job(self, world: str, fact: Any, *, ended: bool) -> None:
        if fact.get("address"):
            self.jobs.append(f"{world}/{fact['id']}")
            self.bodies.append(fact["body"])
            if ended:
                self.ended.append(f"{world}/{fact['id']}")

    def add_delivery(self, world: str, fact: Any) -> None:
        self.attempts += [
            Attempt(
                f"{world}/{fact['job_id']}", made["number"], made["at"], made["ended"], fact["due"], made["kind"],
                made.get("status"),
            )
            for made in fact.get("attempts", [])
        ]  # fmt: skip

    def add_entry(self, world: str, entry: Any) -> None:
        if entry["kind"] == "attempt" and entry["outcome"] == "interrupted":
            at = entry["at"]
            self.attempts.append(Attempt(f"{world}/{entry['job']}", entry["number"], at, at, 0, "interrupted"))


class Kept(Protocol):
    """A store under test: where it is, what stands in it, and what can befall it."""

    url: str

    def read(self) -> Found: ...
    def writes(self, log: Path) -> list[Write]:
        """Give the commits that it took, from the log that servers wrote; none where only one process has it."""
        ...

    def befall(self, kind: str) -> None:
        """Do to the store what a fault `kind` says."""
        ...


class SqliteKept:
    """A file; to be read when no server has it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "worlds.db"
        self.url = f"sqlite:///{self._path}"

    def read(self) -> Found:
        found = Found()
        with closing(sqlite3.connect(self._path)) as rows:
            jobs = "SELECT world, run, fact FROM jobs LEFT JOIN ended USING (world, provider, number)"
            for world, ended, fact in rows.execute(jobs):
                found.add_job(world, json.loads(fact), ended=ended is not None)
            for world, fact in rows.execute("SELECT world, fact FROM deliveries"):
                found.add_delivery(world, json.loads(fact))
            for world, fact in rows.execute("SELECT world, fact FROM charges"):
                found.charged.append(f"{world}/{json.loads(fact)['job_id']}")
            for world, entry in rows.execute("SELECT world, entry FROM journal"):
                found.add_entry(world, load_entry(entry))
            for world, state in rows.execute("SELECT name, state FROM worlds"):
                found.clocks[world] = json.loads(state).get("now", 0)
        return found

    def writes(self, log: Path) -> list[Write]:
        del log
        return []

    def befall(self, kind: str) -> None:
        raise ValueError(f"a file has no fault {kind!r}")


class ValkeyKept:
    """A server, which is read while others use it."""

    def __init__(self, server: Valkey) -> None:
        self._server = server
        self.url = server.url

    def read(self) -> Found:
        found, client = Found(), self._server.client
        with closing(client):
            for name in sorted(one.decode() for one in client.smembers(f"{_PREFIX}worlds")):
                facts = {key.decode(): value for key, value in client.hgetall(f"{_PREFIX}facts:{name}").items()}
                for key, value in facts.items():
                    provider, kind, number = key.split("/", 2)
                    if kind == "job":
                        found.add_job(name, json.loads(value), ended=f"{provider}/ended/{number}" in facts)
                    elif kind == "delivery":
                        found.add_delivery(name, json.loads(value))
                    elif kind == "charge":
                        found.charged.append(f"{name}/{json.loads(value)['job_id']}")
                for entry in client.hvals(f"{_PREFIX}journal:{name}"):
                    found.add_entry(name, load_entry(entry))
                found.clocks[name] = json.loads(client.hget(f"{_PREFIX}world:{name}", "state")).get("now", 0)
        return found

    def writes(self, log: Path) -> list[Write]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [
            Write(world, one["node"], int(fence), one["began"], one["ended"])
            for one in lines
            for world, fence in one["fences"].items()
        ]

    def befall(self, kind: str) -> None:
        if kind == "store killed":
            self._server.kill()
            Event().wait(0.3)  # for requests to meet nobody
            self._server.start()
        elif kind == "store stalled":
            with closing(self._server.client) as client:
                client.execute_command("CLIENT", "PAUSE", 1500, "ALL")
        else:
            raise ValueError(f"a server has no fault {kind!r}")


@contextmanager
def opened(kind: str, folder: Path, lease_s: float) -> Iterator[Kept]:
    """Give a new store: sqlite or valkey."""
    if kind == "sqlite":
        yield SqliteKept(folder)
        return
    with Valkey(folder, "--appendonly", "yes", "--appendfsync", "always", lease_s=lease_s) as server:
        yield ValkeyKept(server)
