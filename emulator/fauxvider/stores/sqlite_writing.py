"""What is written to a SQLite file, as few statements over many rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

from fauxvider.stores.codec import Entry, dump_entry
from fauxvider.stores.entries import KEPT_ENTRIES, joined

__all__ = ["ADD_ENTRIES", "Write", "write_down"]

_SWEEP = 1000  # journal entries after which old ones are removed
_WIDE = 100  # rows of one statement: what a statement costs beside its rows is as much as two of them

Row: TypeAlias = tuple[Any, ...]
Write: TypeAlias = tuple[str, str, Row]  # table, statement, values
ADD_ENTRIES = "INSERT OR REPLACE INTO journal VALUES (?, ?, ?)"  # its values: world, number of the first, entries
_DROP_ENTRIES = "DELETE FROM journal WHERE world = ? AND number <= ?"


def write_down(connection: sqlite3.Connection, turns: Iterable[Iterable[Write]]) -> None:
    """Carry writes out, table after table: no table knows of another, so only the order within one counts."""
    tables: dict[str, list[tuple[str, list[Row]]]] = {}
    for writes in turns:
        for table, sql, values in writes:
            runs = tables.get(table)
            if runs is None:
                runs = tables[table] = []
            if not runs or runs[-1][0] != sql:
                runs.append((sql, []))
            runs[-1][1].append(values)
    for runs in tables.values():
        for sql, rows in runs:
            if sql == ADD_ENTRIES:
                _write_entries(connection, rows)
            else:
                _write_rows(connection, sql, rows)


def _write_entries(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write the last entries of each world, and remove old ones now and then."""
    written: list[tuple[str, int, list[Entry]]] = joined(rows)
    for world, first, entries in written:
        last = first + len(entries) - 1
        if last // _SWEEP > (first - 1) // _SWEEP:
            connection.execute(_DROP_ENTRIES, (world, last - KEPT_ENTRIES))
        latest = entries[-KEPT_ENTRIES:]
        lines = [(world, last - ago, dump_entry(entry).decode()) for ago, entry in enumerate(reversed(latest))]
        _write_rows(connection, ADD_ENTRIES, lines[::-1])


def _write_rows(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    is_plain = sql.startswith("INSERT") and sql.endswith("?)")
    whole = len(rows) // _WIDE * _WIDE if is_plain else 0
    for start in range(0, whole, _WIDE):
        connection.execute(_wide(sql), tuple(chain.from_iterable(rows[start : start + _WIDE])))
    connection.executemany(sql, rows[whole:])


@cache
def _wide(sql: str) -> str:
    """Give a statement that inserts many rows."""
    head, _, row = sql.partition(" VALUES ")
    return f"{head} VALUES {', '.join([row] * _WIDE)}"
