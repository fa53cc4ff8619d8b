"""The SQLite file itself: making it, refusing what is not ours or not whole, reading all of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.stores.codec import FactError, load_fact
from fauxvider.stores.kept import Facts, Of

__all__ = ["APPLICATION_ID", "VERSION", "Contents", "open_file", "read_all"]

APPLICATION_ID = 0x46585644  # "FXVD": file(1) and every reader can tell whose file it is
VERSION = 2  # 1 had the ends of jobs in their rows
_PATIENCE_S = 0.5  # for another process that is about to end

_SCHEMA = """
CREATE TABLE worlds (name TEXT PRIMARY KEY, made TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE numbers (world TEXT, provider TEXT, kind TEXT, value INTEGER NOT NULL,
  PRIMARY KEY (world, provider, kind)) WITHOUT ROWID;
CREATE TABLE jobs (world TEXT, provider TEXT, number INTEGER, id TEXT NOT NULL, fact TEXT NOT NULL,
  PRIMARY KEY (world, provider, number)) WITHOUT ROWID;
CREATE TABLE ended (world TEXT, provider TEXT, number INTEGER, run INTEGER NOT NULL,
  PRIMARY KEY (world, provider, number)) WITHOUT ROWID;
CREATE TABLE events (serial INTEGER PRIMARY KEY, world TEXT, provider TEXT, job TEXT, fact TEXT NOT NULL);
CREATE INDEX events_of ON events (world, provider, job);
CREATE TABLE deliveries (world TEXT, provider TEXT, number INTEGER, job TEXT, fact TEXT NOT NULL,
  PRIMARY KEY (world, provider, number)) WITHOUT ROWID;
CREATE TABLE charges (serial INTEGER PRIMARY KEY, world TEXT, provider TEXT, fact TEXT NOT NULL);
CREATE TABLE assets (world TEXT, provider TEXT, id TEXT, fact TEXT NOT NULL,
  PRIMARY KEY (world, provider, id)) WITHOUT ROWID;
CREATE TABLE secrets (world TEXT, provider TEXT, id TEXT, fact TEXT NOT NULL,
  PRIMARY KEY (world, provider, id)) WITHOUT ROWID;
CREATE TABLE journal (world TEXT, number INTEGER, entry TEXT NOT NULL, PRIMARY KEY (world, number)) WITHOUT ROWID;
"""
_FROM_1 = """
CREATE TABLE ended (world TEXT, provider TEXT, number INTEGER, run INTEGER NOT NULL,
  PRIMARY KEY (world, provider, number)) WITHOUT ROWID;
INSERT INTO ended SELECT world, provider, number, ended FROM jobs WHERE ended IS NOT NULL;
PRAGMA user_version = 2;
"""


@dataclass
class Contents:
    """All that a file holds."""

    worlds: list[tuple[str, str, str]] = field(default_factory=list)  # name, made, state
    stores: defaultdict[Of, Facts] = field(default_factory=lambda: defaultdict(Facts))
    journals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


def open_file(path: Path, *, power_loss: bool) -> sqlite3.Connection:
    """Open a file for this process alone, or make it. Raises StoreError; a file that is refused stays as it is."""
    is_new = not path.exists() or path.stat().st_size == 0
    if not is_new:
        _look(path)
    rows: sqlite3.Connection | None = None
    try:
        rows = sqlite3.connect(path, timeout=_PATIENCE_S, check_same_thread=False)
        rows.execute("PRAGMA locking_mode = EXCLUSIVE")
        if is_new:
            rows.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            rows.execute(f"PRAGMA user_version = {VERSION}")
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute(f"PRAGMA synchronous = {'FULL' if power_loss else 'NORMAL'}")
        if is_new:
            rows.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        else:
            rows.execute("BEGIN IMMEDIATE")  # nobody else has it, and it can be written
            is_older = rows.execute("PRAGMA user_version").fetchone()[0] < VERSION
            rows.execute("COMMIT")
            if is_older:
                rows.executescript(f"BEGIN IMMEDIATE; {_FROM_1} COMMIT;")
    except (sqlite3.Error, OSError) as error:
        if rows is not None:
            rows.close()
        raise StoreError(f"{path}: {_plain(error)}") from None
    return rows


def _look(path: Path) -> None:
    """Refuse a file that is not ours, too new, or damaged, without changing it."""
    try:
        doubt = _doubt(path)
    except (sqlite3.Error, OSError) as error:
        doubt = _plain(error)
    if doubt:
        raise StoreError(f"{path}: {doubt}")


def _doubt(path: Path) -> str:
    """Say what is wrong with a file; "" for one of ours."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return "this is no SQLite file, so it is left alone; name another one"
    place = f"file:{quote(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True, timeout=_PATIENCE_S)) as rows:
        if rows.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            return "this is another program's database, so it is left alone; name another file"
        version = rows.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            which = f"file version {version}; this one reads {VERSION}"
            return f"made by a newer fauxvider ({which}): use that one, or another file"
        found = rows.execute("PRAGMA quick_check(1)").fetchone()[0]
        return "" if found == "ok" else _plain(ValueError(found))


def _plain(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "locked" in text:
        return "another process uses this file; one at a time can"
    if "readonly" in text or "read-only" in text or isinstance(error, PermissionError):
        return "the file cannot be written"
    if "unable to open" in text or isinstance(error, OSError):
        return "the file cannot be opened or made there"
    return f"the file is damaged ({text}); it is left as it is"


def read_all(path: Path, rows: sqlite3.Connection) -> Contents:
    """Read a file into memory. Raises StoreError when a fact in it cannot be read."""
    facts = Contents()
    try:
        facts.worlds = list(rows.execute("SELECT name, made, state FROM worlds ORDER BY name"))
        for world, provider, kind, value in rows.execute("SELECT world, provider, kind, value FROM numbers"):
            facts.stores[world, provider].numbers[kind] = value
        for world, provider, fact in rows.execute("SELECT world, provider, fact FROM charges ORDER BY serial"):
            facts.stores[world, provider].charges.append(load_fact(Charge, fact))
        _read_records(facts, rows)
        for world, provider, fact in rows.execute("SELECT world, provider, fact FROM assets"):
            facts.stores[world, provider].assets.append(load_fact(Asset, fact))
        for world, provider, fact in rows.execute("SELECT world, provider, fact FROM secrets"):
            facts.stores[world, provider].secrets.append(load_fact(Secret, fact))
        for saved in facts.stores.values():
            saved.put_in_order()
        for world, number, entry in rows.execute("SELECT world, number, entry FROM journal ORDER BY world, number"):
            facts.journals.setdefault(world, []).append((number, entry))
    except FactError as error:
        raise StoreError(f"{path}: {error}; the file is left as it is") from None
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {_plain(error)}") from None
    return facts


def _read_records(facts: Contents, rows: sqlite3.Connection) -> None:
    jobs: dict[tuple[str, str, str], Record] = {}
    query = (
        "SELECT world, provider, id, run, jobs.fact FROM jobs LEFT JOIN ended USING (world, provider, number) "
        "ORDER BY world, provider, number"
    )
    for world, provider, job, ended, fact in rows.execute(query):
        record = jobs[world, provider, job] = Record(load_fact(Job, fact), ended=ended)
        facts.stores[world, provider].records.append(record)
    for world, provider, job, fact in rows.execute("SELECT world, provider, job, fact FROM events ORDER BY serial"):
        if known := jobs.get((world, provider, job)):
            known.events = (*known.events, load_fact(Event, fact))
    query = "SELECT world, provider, job, fact FROM deliveries ORDER BY world, provider, number"
    for world, provider, job, fact in rows.execute(query):
        if known := jobs.get((world, provider, job)):
            known.deliveries = (*known.deliveries, load_fact(Delivery, fact))
