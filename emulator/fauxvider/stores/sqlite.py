"""Facts in one SQLite file: what was acknowledged is there after a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import SavedWorld
from fauxvider.stores.codec import dump_fact
from fauxvider.stores.commits import GroupCommit
from fauxvider.stores.kept import KeptStore, Of, Taken
from fauxvider.stores.sqlite_file import open_file, read_all

__all__ = ["SqliteFile"]

KEPT_ENTRIES = 10_000  # of a world's journal

_Write: TypeAlias = tuple[str, tuple[Any, ...]]

_TABLES = ("numbers", "jobs", "events", "deliveries", "charges", "assets", "secrets", "journal")


class SqliteFile:
    """The file: worlds, their stores, their journals. One process has it at a time.

    Raises StoreError, in one line, when it cannot be used; a file that is refused is left as it is.
    """

    def __init__(self, path: str | Path, *, power_loss: bool = False) -> None:
        """Open or make the file. `power_loss`: a commit is on the disk when it returns (slower)."""
        self.path = Path(path)
        self._connection = open_file(self.path, power_loss=power_loss)
        self.written = 0
        self._failed: StoreError | None = None
        self._contents = read_all(self.path, self._connection)
        self._commits: GroupCommit[_Write] = GroupCommit(self.commit, name="fauxvider-sqlite")

    # --- worlds

    def worlds(self) -> list[SavedWorld]:
        """Give what was saved; asked once, at the start."""
        found = []
        for name, made, state in self._contents.worlds:
            kept = self._contents.journals.pop(name, [])
            total = kept[-1][0] if kept else 0
            entries = tuple(orjson.loads(entry) for _, entry in kept)
            providers = tuple(sorted({provider for world, provider in self._contents.stores if world == name}))
            found.append(SavedWorld(name, _tree(made), _tree(state), entries, total, providers))
        self._contents.worlds.clear()
        return found

    def keep_world(self, name: str, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write a world down as it was made, and how far it is."""
        self._write(
            "INSERT INTO worlds VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET made = excluded.made, "
            "state = excluded.state",
            (name, _text(made), _text(state)),
        )

    def note_state(self, name: str, state: Mapping[str, Any]) -> None:
        self._write("UPDATE worlds SET state = ? WHERE name = ?", (_text(state), name))

    def drop_world(self, name: str) -> None:
        """Forget a world with all its facts."""
        self._write("DELETE FROM worlds WHERE name = ?", (name,))
        for table in _TABLES:
            self._write(f"DELETE FROM {table} WHERE world = ?", (name,))  # noqa: S608 - the names stand above
        for key in [key for key in self._contents.stores if key[0] == name]:
            del self._contents.stores[key]

    def has(self, world: str, provider: str) -> bool:
        return (world, provider) in self._contents.stores

    def store(self, world: str, provider: str) -> KeptStore:
        """Give the facts of a provider in a world: those that were saved, or none."""
        store = KeptStore(self, (world, provider))
        facts = self._contents.stores.pop((world, provider), None)
        if facts is not None:
            store.load(facts)
        return store

    def add_entry(self, world: str, number: int, entry: Mapping[str, Any]) -> None:
        """Write a journal entry down; of old ones the last `KEPT_ENTRIES` or so are kept."""
        self._commits.add(("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)", (world, number, _text(entry))))
        if number % 1000 == 0:
            oldest = number - KEPT_ENTRIES
            self._commits.add(("DELETE FROM journal WHERE world = ? AND number <= ?", (world, oldest)))

    # --- facts, as `fauxvider.stores.kept.Rows` has them

    def put_number(self, of: Of, kind: str, number: int) -> None:
        self._write("INSERT OR REPLACE INTO numbers VALUES (?, ?, ?, ?)", (*of, kind, number))

    def put_job(self, of: Of, job: Job) -> None:
        self._write("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, NULL, ?)", (*of, job.number, job.id, _fact(job)))

    def drop_job(self, of: Of, record: Record) -> None:
        self._write("DELETE FROM jobs WHERE world = ? AND provider = ? AND number = ?", (*of, record.job.number))
        for table in ("events", "deliveries"):
            sql = f"DELETE FROM {table} WHERE world = ? AND provider = ? AND job = ?"  # noqa: S608 - named above
            self._write(sql, (*of, record.job.id))

    def put_ended(self, of: Of, job: Job, run: int) -> None:
        sql = "UPDATE jobs SET ended = ? WHERE world = ? AND provider = ? AND number = ?"
        self._write(sql, (run, *of, job.number))

    def put_event(self, of: Of, job_id: str, index: int, event: Event) -> None:  # noqa: ARG002 - the table counts
        sql = "INSERT INTO events (world, provider, job, fact) VALUES (?, ?, ?, ?)"
        self._write(sql, (*of, job_id, _fact(event)))

    def put_delivery(self, of: Of, delivery: Delivery) -> None:
        sql = "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)"
        self._write(sql, (*of, delivery.number, delivery.job_id, _fact(delivery)))

    def put_charge(self, of: Of, index: int, charge: Charge) -> None:  # noqa: ARG002 - the table counts
        self._write("INSERT INTO charges (world, provider, fact) VALUES (?, ?, ?)", (*of, _fact(charge)))

    def put_asset(self, of: Of, asset: Asset) -> None:
        self._write("INSERT OR REPLACE INTO assets VALUES (?, ?, ?, ?)", (*of, asset.id, _fact(asset)))

    def put_secret(self, of: Of, secret: Secret) -> None:
        self._write("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?)", (*of, secret.id, _fact(secret)))

    def drop_secret(self, of: Of, secret_id: str) -> None:
        self._write("DELETE FROM secrets WHERE world = ? AND provider = ? AND id = ?", (*of, secret_id))

    def put_taken(self, of: Of, limit: str, caller: str, slot: int, taken: Taken) -> None:
        """Limits start anew with the one process that has the file."""

    # --- writing

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        self.written += 1
        self._commits.add((sql, values))

    async def flush(self, world: str = "") -> None:  # noqa: ARG002 - all worlds are committed together
        """Return when all that was written so far is committed. Raises StoreError when it cannot be."""
        if self._failed is not None:
            raise self._failed
        await self._commits.flush()

    def around_commits(self, around: Callable[[], AbstractContextManager[object]]) -> None:
        self._commits.around = around

    def close(self) -> None:
        """Commit what is left and close the file. May be called more than once."""
        self._commits.close()
        self._connection.close()

    def commit(self, turns: list[list[_Write]]) -> None:
        """Commit turns of the event loop, all of them in one transaction. Raises StoreError, from then on always."""
        if self._failed is not None:
            raise self._failed
        try:
            with self._connection:
                for writes in turns:
                    for sql, values in writes:
                        self._connection.execute(sql, values)
        except sqlite3.Error as error:
            self._failed = StoreError(f"{self.path}: nothing more can be stored: {error}")
            raise self._failed from None


def _fact(fact: Any) -> str:
    return dump_fact(fact).decode()


def _text(tree: Mapping[str, Any]) -> str:
    return orjson.dumps(tree).decode()


def _tree(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = orjson.loads(text)
    return tree
