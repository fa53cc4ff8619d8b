"""The figures of contract coverage: what there is, what was faced, how runs add up. Pure; the standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["WHAT", "Item", "Part", "ProviderTally", "Tally"]

# The kinds of things that a contract has, and what it means that a client faced one.
WHAT: Mapping[str, str] = {
    "operations": "it was called",
    "states": "an answer or a callback showed it",
    "errors": "a request was refused so",
    "outcomes": "a job ended so, and the client could see it",
    "deliveries": "a callback went so",
    "expiries": "it ran out, and the client came after that",
    "readings": "it, and not the default, was in force",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a client can face. `times`: how often it did."""

    provider: str
    what: str
    name: str
    about: str
    times: int

    @property
    def path(self) -> str:
        return f"{self.provider}/{self.what}/{self.name}"


@dataclass(frozen=True, slots=True)
class Part:
    """The items of one kind, or all of them, in the contract's order."""

    what: str
    items: tuple[Item, ...]

    @property
    def faced(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.times)

    @property
    def never(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if not item.times)

    @property
    def percent(self) -> float:
        """The share that was faced, in percent; 100 of nothing."""
        return 100 * len(self.faced) / len(self.items) if self.items else 100.0


@dataclass(slots=True)
class ProviderTally:
    """`there`: kind -> name -> about; `faced`: kind -> name -> times; `digests`: of the contracts that were used."""

    there: dict[str, dict[str, str]] = field(default_factory=dict)
    faced: dict[str, dict[str, int]] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)

    def add(self, other: ProviderTally) -> None:
        for what, names in other.there.items():
            self.there.setdefault(what, {}).update(names)
        for what, counts in other.faced.items():
            mine = self.faced.setdefault(what, {})
            for name, times in counts.items():
                mine[name] = mine.get(name, 0) + times
        self.digests.extend(digest for digest in other.digests if digest not in self.digests)


@dataclass(slots=True)
class Tally:
    """What was counted, by provider: of one world, of a process, or of all workers of a run."""

    providers: dict[str, ProviderTally] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what another one counted. The order in which tallies come does not matter."""
        for name, tally in other.providers.items():
            self.providers.setdefault(name, ProviderTally()).add(tally)

    def parts(self, provider: str, *, omit: Iterable[str] = ()) -> list[Part]:
        """Give a provider's items by kind, without those whose path fits a pattern of `omit`."""
        tally, patterns = self.providers[provider], tuple(omit)
        found = []
        for what in WHAT:
            counts = tally.faced.get(what, {})
            items = [
                Item(provider, what, name, about, counts.get(name, 0))
                for name, about in tally.there.get(what, {}).items()
            ]
            kept = tuple(one for one in items if not any(fnmatchcase(one.path, pattern) for pattern in patterns))
            if kept:
                found.append(Part(what, kept))
        return found

    def whole(self, *, omit: Iterable[str] = ()) -> Part:
        """Give all items of all providers."""
        patterns = tuple(omit)
        return Part("all", tuple(item for part in self._parts(patterns) for item in part.items))

    def _parts(self, omit: tuple[str, ...]) -> Iterator[Part]:
        for provider in sorted(self.providers):
            yield from self.parts(provider, omit=omit)

    def to_json(self) -> dict[str, Any]:
        return {
            name: {"digests": tally.digests, "there": tally.there, "faced": tally.faced}
            for name, tally in self.providers.items()
        }

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Tally:
        """Read what `to_json` gave, in this process or another."""
        return cls({
            name: ProviderTally(there=dict(one["there"]), faced=dict(one["faced"]), digests=list(one["digests"]))
            for name, one in tree.items()
        })  # fmt: skip
