"""A bounded cache of finished files: a rendered picture can be made again, so any may go."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["ByteCache"]


class ByteCache:
    """Least recently used bytes go first once `capacity` bytes are passed. For any number of threads."""

    def __init__(self, capacity: int = 64 * 1024 * 1024) -> None:
        self._capacity = capacity
        self._held: OrderedDict[object, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> bytes | None:
        with self._lock:
            data = self._held.get(key)
            if data is not None:
                self._held.move_to_end(key)
            return data

    def put(self, key: object, data: bytes) -> None:
        if len(data) > self._capacity:
            return
        with self._lock:
            old = self._held.pop(key, b"")
            self._held[key] = data
            self._size += len(data) - len(old)
            while self._size > self._capacity:
                _, gone = self._held.popitem(last=False)
                self._size -= len(gone)
