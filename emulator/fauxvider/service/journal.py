"""What happened in a world, in order: a ring that counts what it drops.

Secrets never enter it: API keys come as salted fingerprints, callback addresses without userinfo
and query.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from fauxvider.values import decimal_text

__all__ = ["Journal", "address_shown", "fingerprint", "holds_key"]

_LONG = 8  # a shorter key is found in every second word
_STAND_IN = re.compile(r"key-\d+")  # of a recorded run that is played again

CAPACITY = 10_000
_Entry: TypeAlias = tuple[int, str, tuple[str, ...], tuple[Any, ...]]
Sink: TypeAlias = Callable[[int, _Entry], None]


class Journal:
    """Entries are (moment, kind, names, values) tuples; `entries` shows them as mappings."""

    __slots__ = ("_entries", "_sink", "total")

    def __init__(self, capacity: int = CAPACITY, *, sink: Sink | None = None) -> None:
        """Make an empty journal; `sink` gets each entry, as (moment, kind, names, values), with its number from 1."""
        self._entries: deque[_Entry] = deque(maxlen=capacity)
        self._sink = sink
        self.total = 0

    def add(self, moment: int, kind: str, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        self.total += 1
        self._entries.append((moment, kind, names, values))
        if self._sink is not None:
            self._sink(self.total, (moment, kind, names, values))

    def also(self, sink: Callable[[int, Mapping[str, Any]], None]) -> None:
        """Have one more be given each entry as it is added, as a mapping."""
        first = self._sink

        def both(number: int, entry: _Entry) -> None:
            if first is not None:
                first(number, entry)
            sink(number, next(_mappings((entry,))))

        self._sink = both

    def load(self, entries: Sequence[Mapping[str, Any]], total: int) -> None:
        """Take over the last entries of a journal that had `total` of them."""
        for entry in entries:
            names = tuple(name for name in entry if name not in ("at", "kind"))
            self._entries.append((entry["at"], entry["kind"], names, tuple(entry[name] for name in names)))
        self.total = total

    @property
    def dropped(self) -> int:
        return self.total - len(self._entries)

    def entries(self) -> Iterator[dict[str, Any]]:
        return _mappings(self._entries)

    def latest(self, count: int) -> list[dict[str, Any]]:
        """Give the last `count` entries, or all that are kept; it costs nothing for those before them."""
        return list(_mappings(reversed(list(islice(reversed(self._entries), count)))))


def _mappings(entries: Iterable[_Entry]) -> Iterator[dict[str, Any]]:
    for moment, kind, names, values in entries:
        facts = {name: _shown(value) for name, value in zip(names, values, strict=True) if value not in ("", None)}
        yield {"at": moment, "kind": kind, **facts}


def _shown(value: Any) -> Any:
    return decimal_text(value) if isinstance(value, Decimal) else value


def fingerprint(secret: str, salt: bytes) -> str:
    """Give 16 hex digits that tell secrets apart without telling them: two in a world are never alike by chance."""
    return blake2b(secret.encode(), key=salt, digest_size=8).hexdigest() if secret else ""


def address_shown(url: str) -> str:
    """Show a callback address without userinfo, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable)"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"


def holds_key(address: str, key: str) -> bool:
    """Tell whether an API key stands in an address, as it is or escaped."""
    if _STAND_IN.fullmatch(key):
        return key in re.split(r"[/?#&=:@]", address)
    return len(key) >= _LONG and (key in address or key in unquote(address))
