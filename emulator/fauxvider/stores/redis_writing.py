"""What one world has to be told in one commit: the last word on each field, as arguments of the commit script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from fauxvider.stores.codec import Entry, dump_entry
from fauxvider.stores.entries import KEPT_ENTRIES, joined

__all__ = ["FACTS", "WORLD", "Arg", "Operation", "Part"]

Arg: TypeAlias = str | bytes | int
# ("S", key, field, value), ("D", key, field), ("T", due), ("J", number of the first, entries), ("X",): see `Part.add`.
Operation: TypeAlias = tuple[Any, ...]

# Keys, by their places among the script's.
WORLD, FACTS, _JOURNAL = 1, 2, 3
_WIDE = 1000  # fields of one command: Lua hands a few thousand arguments on
_LONGEST = 100_000  # arguments of one call, about: a server takes a million, and its core serves nobody meanwhile


class Part:
    """A world's part of a commit."""

    def __init__(self) -> None:
        self._begin(is_dropped=False)

    def _begin(self, *, is_dropped: bool) -> None:
        self._is_dropped = is_dropped
        self._fields: dict[int, dict[str, Arg | None]] = {WORLD: {}, FACTS: {}}
        self._entries: list[tuple[None, int, list[Entry]]] = []
        self._due: Arg | None = None

    def add(self, operation: Operation) -> None:
        """Set a field, drop one, say when something is due, write journal entries, or forget the world."""
        what = operation[0]
        if what == "S":
            self._fields[operation[1]][operation[2]] = operation[3]
        elif what == "D":
            self._fields[operation[1]][operation[2]] = None
        elif what == "T":
            self._due = operation[1]
        elif what == "J":
            self._entries.append((None, operation[1], operation[2]))
        else:
            self._begin(is_dropped=True)

    def pieces(self) -> list[list[Arg]]:
        """Give all of it as the script takes it, in lists of which none is too long for one call."""
        pieces: list[list[Arg]] = [[]]
        for operation in self._operations():
            if len(pieces[-1]) >= _LONGEST:
                pieces.append([])
            pieces[-1] += operation
        return pieces

    def _operations(self) -> Iterator[list[Arg]]:
        if self._is_dropped:
            yield ["X"]
        for key, fields in self._fields.items():
            if None in fields.values():
                yield from _dropped(key, [field for field, value in fields.items() if value is None])
                fields = {field: value for field, value in fields.items() if value is not None}  # noqa: PLW2901
            if fields:
                yield from _set(key, fields)
        for _, first, entries in joined(self._entries):
            yield from _journal(first, entries)
        if self._due is not None:
            yield ["T", self._due]


def _set(key: int, fields: Mapping[Any, Arg | None]) -> Iterator[list[Arg]]:
    pairs: list[Any] = list(chain.from_iterable(fields.items()))
    for start in range(0, len(pairs), 2 * _WIDE):
        some = pairs[start : start + 2 * _WIDE]
        yield ["S", key, len(some), *some]


def _dropped(key: int, fields: Sequence[str]) -> Iterator[list[Arg]]:
    for start in range(0, len(fields), _WIDE):
        some = fields[start : start + _WIDE]
        yield ["D", key, len(some), *some]


def _journal(first: int, entries: Sequence[Entry]) -> Iterator[list[Arg]]:
    """Write entries and remove old ones; what newer ones push out at once is not even encoded."""
    last = first + len(entries) - 1
    oldest, newest = max(1, first - KEPT_ENTRIES), min(first - 1, last - KEPT_ENTRIES)
    if oldest <= newest:
        yield ["R", _JOURNAL, oldest, newest]
    latest = entries[-KEPT_ENTRIES:]
    numbers = range(last + 1 - len(latest), last + 1)
    yield from _set(_JOURNAL, dict(zip(numbers, map(dump_entry, latest), strict=True)))
