"""Facts in one SQLite file: what was acknowledged is there after a restart.

Reads come from memory. Writes are collected for a turn of the event loop and committed by one thread,
many turns at once when they come fast; whoever acknowledges something waits for `SqliteFile.flush` first.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import SavedWorld
from fauxvider.stores.codec import dump_fact
from fauxvider.stores.memory import MAX_RECORDS, MemoryStore
from fauxvider.stores.sqlite_file import Saved, open_file, read_all

__all__ = ["SqliteFile", "SqliteStore"]

KEPT_ENTRIES = 10_000  # of a world's journal

_Write: TypeAlias = tuple[str, tuple[Any, ...]]
_Batch: TypeAlias = tuple[list[_Write], "Future[None] | None"]

_TABLES = ("numbers", "jobs", "events", "deliveries", "charges", "assets", "secrets", "journal")


class SqliteFile:
    """The file: worlds, their stores, their journals. One process has it at a time.

    Raises StoreError, in one line, when it cannot be used; a file that is refused is left as it is.
    """

    def __init__(self, path: str | Path, *, power_loss: bool = False) -> None:
        """Open or make the file. `power_loss`: a commit is on the disk when it returns (slower)."""
        self.path = Path(path)
        self._rows = open_file(self.path, power_loss=power_loss)
        self.written = 0
        self._pending: list[_Write] = []
        self._asked: Future[None] | None = None
        self._is_handed = False
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._failed: StoreError | None = None
        self._facts = read_all(self.path, self._rows)
        self._thread = threading.Thread(target=self._work, name="fauxvider-sqlite", daemon=True)
        self._thread.start()

    # --- worlds

    def worlds(self) -> list[SavedWorld]:
        """Give what was saved; asked once, at the start."""
        found = []
        for name, made, state in self._facts.worlds:
            kept = self._facts.journals.pop(name, [])
            total = kept[-1][0] if kept else 0
            entries = tuple(orjson.loads(entry) for _, entry in kept)
            providers = tuple(sorted({provider for world, provider in self._facts.stores if world == name}))
            found.append(SavedWorld(name, _tree(made), _tree(state), entries, total, providers))
        self._facts.worlds.clear()
        return found

    def keep_world(self, name: str, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write a world down as it was made, and how far it is."""
        self.write(
            "INSERT INTO worlds VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET made = excluded.made, "
            "state = excluded.state",
            (name, _text(made), _text(state)),
        )

    def note_state(self, name: str, state: Mapping[str, Any]) -> None:
        self.write("UPDATE worlds SET state = ? WHERE name = ?", (_text(state), name))

    def drop_world(self, name: str) -> None:
        """Forget a world with all its facts."""
        self.write("DELETE FROM worlds WHERE name = ?", (name,))
        for table in _TABLES:
            self.write(f"DELETE FROM {table} WHERE world = ?", (name,))  # noqa: S608 - the names stand above
        for key in [key for key in self._facts.stores if key[0] == name]:
            del self._facts.stores[key]

    def has(self, world: str, provider: str) -> bool:
        return (world, provider) in self._facts.stores

    def store(self, world: str, provider: str) -> SqliteStore:
        """Give the facts of a provider in a world: those that were saved, or none."""
        store = SqliteStore(self, world, provider)
        saved = self._facts.stores.pop((world, provider), None)
        if saved is not None:
            store.load(saved)
        return store

    def add_entry(self, world: str, number: int, entry: Mapping[str, Any]) -> None:
        """Write a journal entry down; of old ones the last `KEPT_ENTRIES` or so are kept."""
        self._add("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)", (world, number, _text(entry)))
        if number % 1000 == 0:
            self._add("DELETE FROM journal WHERE world = ? AND number <= ?", (world, number - KEPT_ENTRIES))

    # --- writing

    def write(self, sql: str, values: tuple[Any, ...]) -> None:
        """Add to what is committed next. What is written in one turn of the loop is committed whole or not at all."""
        self.written += 1
        self._add(sql, values)

    def _add(self, sql: str, values: tuple[Any, ...]) -> None:
        self._pending.append((sql, values))
        if not self._is_handed:
            self._is_handed = True
            try:
                asyncio.get_running_loop().call_soon(self._hand_over)
            except RuntimeError:
                self._hand_over()  # no loop: the server is being put together

    def _hand_over(self) -> None:
        self._is_handed = False
        pending, self._pending = self._pending, []
        asked, self._asked = self._asked, None
        if pending or asked is not None:
            self._batches.put((pending, asked))

    async def flush(self) -> None:
        """Return when all that was written so far is committed. Raises StoreError when it cannot be."""
        if self._failed is not None:
            raise self._failed
        if self._asked is None:
            self._asked = Future()
            if not self._is_handed:
                self._is_handed = True
                asyncio.get_running_loop().call_soon(self._hand_over)
        await asyncio.shield(asyncio.wrap_future(self._asked))

    def close(self) -> None:
        """Commit what is left and close the file. May be called more than once."""
        if self._thread.is_alive():
            self._hand_over()
            self._batches.put(None)
            self._thread.join()
            self._rows.close()

    def _work(self) -> None:
        """Commit batches: all that wait, in one transaction."""
        is_over = False
        while not is_over:
            batches = [self._batches.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    batches.append(self._batches.get_nowait())
            is_over = None in batches
            self._commit([batch for batch in batches if batch is not None])

    def _commit(self, batches: list[_Batch]) -> None:
        try:
            if self._failed is None:
                with self._rows:
                    for writes, _ in batches:
                        for sql, values in writes:
                            self._rows.execute(sql, values)
        except sqlite3.Error as error:
            self._failed = StoreError(f"{self.path}: nothing more can be stored: {error}")
        for _, asked in batches:
            if asked is not None:
                if self._failed is None:
                    asked.set_result(None)
                else:
                    asked.set_exception(self._failed)


class SqliteStore(MemoryStore):
    """A `fauxvider.ports.Store`: reads as the memory store does, and writes down what changes it."""

    def __init__(self, file: SqliteFile, world: str, provider: str, *, max_records: int = MAX_RECORDS) -> None:
        super().__init__(max_records=max_records)
        self._file = file
        self._of = (world, provider)

    def load(self, saved: Saved) -> None:
        """Take over what was saved."""
        self._numbers.update(saved.numbers)
        for record in saved.records:
            self.put_record(record)
        self._charges.extend(saved.charges)
        for asset in saved.assets:
            self.put_loaded_asset(asset)
        self._secrets.update({secret.id: secret for secret in saved.secrets})

    async def next_number(self, kind: str) -> int:
        number = await super().next_number(kind)
        self._file.write("INSERT OR REPLACE INTO numbers VALUES (?, ?, ?, ?)", (*self._of, kind, number))
        return number

    async def add_job(self, job: Job) -> None:
        await super().add_job(job)
        self._file.write(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, NULL, ?)", (*self._of, job.number, job.id, _fact(job))
        )

    def _drop_oldest(self) -> Record:
        record = super()._drop_oldest()
        self._file.write(
            "DELETE FROM jobs WHERE world = ? AND provider = ? AND number = ?", (*self._of, record.job.number)
        )
        for table in ("events", "deliveries"):
            sql = f"DELETE FROM {table} WHERE world = ? AND provider = ? AND job = ?"  # noqa: S608 - named above
            self._file.write(sql, (*self._of, record.job.id))
        return record

    async def add_event(self, job_id: str, event: Event) -> None:
        await super().add_event(job_id, event)
        self._file.write(
            "INSERT INTO events (world, provider, job, fact) VALUES (?, ?, ?, ?)", (*self._of, job_id, _fact(event))
        )

    async def note_ended(self, job_id: str, run: int) -> None:
        await super().note_ended(job_id, run)
        if record := self._records.get(job_id):
            self._file.write(
                "UPDATE jobs SET ended = ? WHERE world = ? AND provider = ? AND number = ?",
                (run, *self._of, record.job.number),
            )

    async def put_delivery(self, delivery: Delivery) -> None:
        await super().put_delivery(delivery)
        self._file.write(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)",
            (*self._of, delivery.number, delivery.job_id, _fact(delivery)),
        )

    async def add_charge(self, charge: Charge) -> None:
        await super().add_charge(charge)
        self._file.write("INSERT INTO charges (world, provider, fact) VALUES (?, ?, ?)", (*self._of, _fact(charge)))

    async def put_asset(self, asset: Asset) -> None:
        await super().put_asset(asset)
        self._file.write("INSERT OR REPLACE INTO assets VALUES (?, ?, ?, ?)", (*self._of, asset.id, _fact(asset)))

    async def put_secret(self, secret: Secret) -> None:
        await super().put_secret(secret)
        self._file.write("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?)", (*self._of, secret.id, _fact(secret)))

    async def drop_secret(self, secret_id: str) -> None:
        await super().drop_secret(secret_id)
        self._file.write("DELETE FROM secrets WHERE world = ? AND provider = ? AND id = ?", (*self._of, secret_id))


def _fact(fact: Any) -> str:
    return dump_fact(fact).decode()


def _text(tree: Mapping[str, Any]) -> str:
    return orjson.dumps(tree).decode()


def _tree(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = orjson.loads(text)
    return tree
