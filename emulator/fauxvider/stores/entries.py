"""Journal entries on their way to a store: those of one turn of the loop are one write, of which the last are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from fauxvider.stores.codec import Entry

__all__ = ["KEPT_ENTRIES", "EntryWriter", "joined"]

K = TypeVar("K", bound=Hashable)
KEPT_ENTRIES = 10_000  # of a world's journal


class EntryWriter:
    """Gathers the entries of a world's journal that are added in one turn of the loop.

    An advance adds them by the hundred thousand, and few of those outlive it.
    """

    def __init__(self, turn: Callable[[], int], write: Callable[[int, list[Entry]], None]) -> None:
        """`turn` gives the number of the present one; `write` gets the first entry's number, and a list that grows."""
        self._now = turn
        self._write = write
        self._turn = -1
        self._entries: list[Entry] = []

    def add(self, number: int, entry: Entry) -> None:
        turn = self._now()
        if turn == self._turn:
            self._entries.append(entry)
            return
        self._turn, self._entries = turn, [entry]  # first: outside of a loop it is written at once
        self._write(number, self._entries)


def joined(writes: Iterable[tuple[K, int, list[Entry]]]) -> list[tuple[K, int, list[Entry]]]:
    """Join what follows one upon the other in one journal: (whose, number of the first, entries)."""
    writes = list(writes)
    if len(writes) < 2:
        return writes
    found: list[tuple[K, int, list[Entry]]] = []
    latest: dict[K, tuple[int, list[Entry]]] = {}  # number of the next, entries
    for key, number, entries in writes:
        known = latest.get(key)
        if known is not None and known[0] == number:
            known[1].extend(entries)
        else:
            known = number, list(entries)
            found.append((key, *known))
        latest[key] = number + len(entries), known[1]
    return found
