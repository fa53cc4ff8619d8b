"""Facts in one SQLite file: what was acknowledged is there after a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import orjson

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import SavedWorld
from fauxvider.stores.codec import Entry, FactError, dump_fact, load_entry
from fauxvider.stores.commits import GroupCommit
from fauxvider.stores.entries import EntryWriter
from fauxvider.stores.kept import Facts, KeptStore, Of, Taken
from fauxvider.stores.sqlite_file import open_file, read_all
from fauxvider.stores.sqlite_writing import ADD_ENTRIES, Write, write_down

__all__ = ["SqliteFile"]

_TABLES = ("numbers", "jobs", "ended", "events", "deliveries", "charges", "assets", "secrets", "journal")


class SqliteFile:
    """The file: worlds, their stores, their journals. One process has it at a time.

    Raises StoreError, in one line, when it cannot be used; a file that is refused is left as it is.
    """

    def __init__(self, path: str | Path, *, power_loss: bool = False) -> None:
        """Open or make the file. `power_loss`: a commit is on the disk when it returns (slower)."""
        self.path = Path(path)
        self._connection = open_file(self.path, power_loss=power_loss)
        self.problem = ""  # why nothing more can be stored
        self._is_closed = False
        self._contents = read_all(self.path, self._connection)
        self._commits: GroupCommit[Write] = GroupCommit(self.commit, name="fauxvider-sqlite")

    # --- worlds

    def worlds(self) -> list[SavedWorld]:
        """Give what was saved; asked once, at the start."""
        found = []
        for name, made, state in self._contents.worlds:
            kept = self._contents.journals.pop(name, [])
            total = kept[-1][0] if kept else 0
            entries = self._entries(kept)
            providers = tuple(sorted({provider for world, provider in self._contents.stores if world == name}))
            found.append(SavedWorld(name, _tree(made), _tree(state), entries, total, providers))
        self._contents.worlds.clear()
        return found

    def _entries(self, kept: list[tuple[int, str]]) -> tuple[dict[str, Any], ...]:
        try:
            return tuple(load_entry(entry) for _, entry in kept)
        except FactError as error:
            raise StoreError(f"{self.path}: {error}; the file is left as it is") from None

    def world(self, name: str) -> SqliteWorld:
        """Give a world's place."""
        return SqliteWorld(self, name)

    def take(self, world: str, provider: str) -> Facts | None:
        """Give the facts that were saved, once."""
        return self._contents.stores.pop((world, provider), None)

    def has(self, world: str, provider: str) -> bool:
        return (world, provider) in self._contents.stores

    def forget(self, world: str) -> None:
        """Forget the facts of a world that were saved, and not asked for yet."""
        for key in [key for key in self._contents.stores if key[0] == world]:
            del self._contents.stores[key]

    # --- writing

    def add(self, write: Write) -> None:
        """Add to what is committed next."""
        self._commits.add(write)

    def turn(self) -> int:
        """Give the number of the turn in which what is added now is committed."""
        return self._commits.turn

    async def flush(self) -> None:
        """Return when all that was written so far is committed. Raises StoreError when it cannot be."""
        if self.problem:
            raise StoreError(self.problem)
        await self._commits.flush()

    def around_commits(self, around: Callable[[], AbstractContextManager[object]]) -> None:
        self._commits.around = around

    def close(self) -> None:
        """Commit what is left and close the file. May be called more than once."""
        self._commits.close()
        self._connection.close()
        self._is_closed = True

    def left(self) -> str:
        if self.problem:
            return self.problem
        if unkept := self._commits.unkept:
            return f"{self.path}: at the end the file did not take it in time: {unkept} writes are not known to be kept"
        return "" if self._is_closed else f"{self.path}: at the end the file was not closed in time; it has all facts"

    def commit(self, turns: list[list[Write]]) -> None:
        """Commit turns of the event loop, all of them in one transaction. Raises StoreError, from then on always."""
        if self.problem:
            raise StoreError(self.problem)
        try:
            with self._connection:
                write_down(self._connection, turns)
        except sqlite3.Error as error:
            self.problem = f"{self.path}: nothing more can be stored: {error}"
            raise StoreError(self.problem) from None


class SqliteWorld:
    """A world's place in the file: a `KeptWorld`, and the `Rows` of its stores."""

    def __init__(self, file: SqliteFile, name: str) -> None:
        self._file = file
        self._name = name
        self._entries = EntryWriter(file.turn, self._write_entries)
        self.written = 0

    @property
    def lost(self) -> str:
        return self._file.problem

    def has(self, provider: str) -> bool:
        return self._file.has(self._name, provider)

    def store(self, provider: str) -> KeptStore:
        """Give the facts of a provider: those that were saved, or none."""
        store = KeptStore(self, (self._name, provider))
        facts = self._file.take(self._name, provider)
        if facts is not None:
            store.load(facts)
        return store

    def keep(self, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write down how the world was made, and how far it is."""
        sql = (
            "INSERT INTO worlds VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET made = excluded.made, "
            "state = excluded.state"
        )
        self._write("worlds", sql, (self._name, _text(made), _text(state)))

    def note_state(self, state: Mapping[str, Any]) -> None:
        self._write("worlds", "UPDATE worlds SET state = ? WHERE name = ?", (_text(state), self._name))

    def note_due(self, moment: int | None) -> None:
        """Nobody else looks after the worlds of a file."""

    def add_entry(self, number: int, entry: Entry) -> None:
        """Write a journal entry down; of old ones the last `KEPT_ENTRIES` or so are kept."""
        self._entries.add(number, entry)

    def _write_entries(self, first: int, entries: list[Entry]) -> None:
        self._file.add(("journal", ADD_ENTRIES, (self._name, first, entries)))

    def drop(self) -> None:
        """Forget the world with all its facts."""
        self._write("worlds", "DELETE FROM worlds WHERE name = ?", (self._name,))
        for table in _TABLES:
            sql = f"DELETE FROM {table} WHERE world = ?"  # noqa: S608 - the names stand above
            self._write(table, sql, (self._name,))
        self._file.forget(self._name)

    async def flush(self) -> None:
        """Return when all that was written so far is committed. Raises StoreError when it cannot be."""
        await self._file.flush()

    # --- facts, as `fauxvider.stores.kept.Rows` has them

    def put_number(self, of: Of, kind: str, number: int) -> None:
        self._write("numbers", "INSERT OR REPLACE INTO numbers VALUES (?, ?, ?, ?)", (*of, kind, number))

    def put_job(self, of: Of, job: Job) -> None:
        sql = "INSERT OR REPLACE INTO jobs (world, provider, number, id, fact) VALUES (?, ?, ?, ?, ?)"
        self._write("jobs", sql, (*of, job.number, job.id, _fact(job)))

    def drop_job(self, of: Of, record: Record) -> None:
        for table in ("jobs", "ended"):
            sql = f"DELETE FROM {table} WHERE world = ? AND provider = ? AND number = ?"  # noqa: S608 - named above
            self._write(table, sql, (*of, record.job.number))
        for table in ("events", "deliveries"):
            sql = f"DELETE FROM {table} WHERE world = ? AND provider = ? AND job = ?"  # noqa: S608 - named above
            self._write(table, sql, (*of, record.job.id))

    def put_ended(self, of: Of, job: Job, run: int) -> None:
        self._write("ended", "INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)", (*of, job.number, run))

    def put_event(self, of: Of, job_id: str, index: int, event: Event) -> None:  # noqa: ARG002 - the table counts
        sql = "INSERT INTO events (world, provider, job, fact) VALUES (?, ?, ?, ?)"
        self._write("events", sql, (*of, job_id, _fact(event)))

    def put_delivery(self, of: Of, delivery: Delivery) -> None:
        sql = "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)"
        self._write("deliveries", sql, (*of, delivery.number, delivery.job_id, _fact(delivery)))

    def put_charge(self, of: Of, index: int, charge: Charge) -> None:  # noqa: ARG002 - the table counts
        sql = "INSERT INTO charges (world, provider, fact) VALUES (?, ?, ?)"
        self._write("charges", sql, (*of, _fact(charge)))

    def put_asset(self, of: Of, asset: Asset) -> None:
        self._write("assets", "INSERT OR REPLACE INTO assets VALUES (?, ?, ?, ?)", (*of, asset.id, _fact(asset)))

    def put_secret(self, of: Of, secret: Secret) -> None:
        self._write("secrets", "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?)", (*of, secret.id, _fact(secret)))

    def drop_secret(self, of: Of, secret_id: str) -> None:
        self._write("secrets", "DELETE FROM secrets WHERE world = ? AND provider = ? AND id = ?", (*of, secret_id))

    def put_taken(self, of: Of, limit: str, caller: str, slot: int, taken: Taken) -> None:
        """Limits start anew with the one process that has the file."""

    def _write(self, table: str, sql: str, values: tuple[Any, ...]) -> None:
        self.written += 1
        self._file.add((table, sql, values))


def _fact(fact: Any) -> str:
    return dump_fact(fact).decode()


def _text(tree: Mapping[str, Any]) -> str:
    return orjson.dumps(tree).decode()


def _tree(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = orjson.loads(text)
    return tree
