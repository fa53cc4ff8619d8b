"""What falls due, in order: by moment, and within one moment in the order it was entered."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Agenda"]

T = TypeVar("T")


class Agenda(Generic[T]):
    """A queue of (moment, item). Entries are never removed: whoever takes one checks that it still holds."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def enter(self, moment: int, item: T) -> None:
        self._serial += 1
        heappush(self._heap, (moment, self._serial, item))

    def next_due(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def take(self, until: int) -> tuple[int, T] | None:
        """Take the first entry that is due at `until`, or None."""
        if not self._heap or self._heap[0][0] > until:
            return None
        moment, _, item = heappop(self._heap)
        return moment, item
