"""Texts that match some patterns and not others, within a length: built character by character, none thrown away.

Each pattern becomes a deterministic automaton over a small alphabet. Their product knows, for every
state, how many further characters can lead to an accepted text (one bit a length), so that whoever walks
it never comes to a dead end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from fauxvider.errors import UsageError
from pytest_fauxvider.strategies.regex import Anchor, Cat, Chars, Expr, Or, Range, Repeat, parse, ranges_in

__all__ = ["Texts", "texts"]

_START, _END = -1, -2  # edges that only the start or the end of a text lets through
_EMPTY = -3
_MATCHED: Final[frozenset[int]] = frozenset({-1})
_MAX_STATES: Final = 20_000
_MANY = 64  # characters of one range
_FIRST_CAP, _LAST_CAP = 64, 8192

State: TypeAlias = frozenset[int]
Joint: TypeAlias = tuple[State, ...]


class _Machine:
    """One pattern: a text matches when any part of it does, as JSON Schema has it."""

    def __init__(self, expr: Expr) -> None:
        self.edges: list[list[tuple[int | Chars, int]]] = []
        self._start = self._node()
        self._accept = self._add(expr, self._start)
        self.first = self._closure({self._start}, {_EMPTY, _START})
        self._again = self._closure({self._start}, {_EMPTY})

    def _node(self) -> int:
        if len(self.edges) >= _MAX_STATES:
            raise UsageError("no text can be made for a pattern of this size")
        self.edges.append([])
        return len(self.edges) - 1

    def _add(self, expr: Expr, begin: int) -> int:
        """Add an expression behind a node; give the node behind it."""
        if isinstance(expr, Cat):
            for part in expr.parts:
                begin = self._add(part, begin)
            return begin
        if isinstance(expr, Repeat):
            return self._repeat(expr, begin)
        end = self._node()
        if isinstance(expr, Or):
            for branch in expr.branches:
                first = self._node()
                self.edges[begin].append((_EMPTY, first))
                self.edges[self._add(branch, first)].append((_EMPTY, end))
        else:
            label = expr if isinstance(expr, Chars) else _START if expr == Anchor("start") else _END
            self.edges[begin].append((label, end))
        return end

    def _repeat(self, expr: Repeat, begin: int) -> int:
        for _ in range(expr.low):
            begin = self._add(expr.inner, begin)
        end = self._node()
        self.edges[begin].append((_EMPTY, end))
        if expr.high is None:
            self.edges[self._add(expr.inner, end)].append((_EMPTY, end))
            return end
        for _ in range(expr.high - expr.low):
            begin = self._add(expr.inner, begin)
            self.edges[begin].append((_EMPTY, end))
        return end

    def _closure(self, nodes: Iterable[int], through: set[int]) -> State:
        found, waiting = set(nodes), list(nodes)
        while waiting:
            for label, target in self.edges[waiting.pop()]:
                if isinstance(label, int) and label in through and target not in found:
                    found.add(target)
                    waiting.append(target)
        return _MATCHED if self._accept in found else frozenset(found)

    def step(self, state: State, char: str) -> State:
        if state == _MATCHED:
            return state
        code = ord(char)
        moved = {
            target
            for node in state
            for label, target in self.edges[node]
            if isinstance(label, Chars) and label.has(code)
        }
        after = self._closure(moved, {_EMPTY})
        return _MATCHED if _MATCHED in (after, self._again) else after | self._again

    def accepts(self, state: State) -> bool:
        return state == _MATCHED or self._closure(state, {_EMPTY, _END}) == _MATCHED


class Texts:
    """The texts that match every one of `patterns` and none of `excluded`, with a length in [low, high].

    `lengths` are those that there are texts of, shortest first (at most some 60 of them); `choices` gives
    the characters that may come next. Raises UsageError for patterns that cannot be read.
    """

    def __init__(self, patterns: Sequence[str], excluded: Sequence[str], *, low: int, high: int | None) -> None:
        named = [parse(pattern) for pattern in (*patterns, *excluded)]
        self._machines = [_Machine(expr) for expr in named]
        self._wanted = [True] * len(patterns) + [False] * len(excluded)
        self._groups = _groups([one for expr in named for one in ranges_in(expr)], self._machines)
        self.first: Joint = tuple(machine.first for machine in self._machines)
        self._steps: dict[Joint, list[tuple[str, Joint]]] = {}
        self._explore()
        self._masks, self.lengths = self._measured(low, high)

    def choices(self, state: Joint, left: int) -> list[tuple[str, Joint]]:
        """Give the groups of next characters, with where they lead, that leave a text possible in `left` more."""
        return [(chars, after) for chars, after in self._steps[state] if self._masks[after] >> (left - 1) & 1]

    def _explore(self) -> None:
        waiting = [self.first]
        while waiting:
            state = waiting.pop()
            if state in self._steps:
                continue
            if len(self._steps) > _MAX_STATES:
                raise UsageError("no text can be made for patterns that are as involved together")
            merged: dict[Joint, str] = {}
            for chars in self._groups:
                after = tuple(one.step(at, chars[0]) for one, at in zip(self._machines, state, strict=True))
                merged[after] = merged.get(after, "") + chars
            self._steps[state] = [(chars, after) for after, chars in merged.items()]
            waiting.extend(after for after in merged if after not in self._steps)

    def _measured(self, low: int, high: int | None) -> tuple[dict[Joint, int], list[int]]:
        """Give a bit for every number of characters that can follow a state; and the lengths to choose from."""
        room = _FIRST_CAP
        while True:
            cap = min(low + room, high if high is not None else low + room)
            masks = self._counted(cap)
            lengths = [length for length in range(low, cap + 1) if masks[self.first] >> length & 1]
            if lengths or cap == high or cap >= _LAST_CAP:
                return masks, lengths
            room *= 8

    def _counted(self, cap: int) -> dict[Joint, int]:
        limit = (1 << cap + 1) - 1
        masks = {
            state: int(
                all(
                    machine.accepts(at) is wanted
                    for machine, at, wanted in zip(self._machines, state, self._wanted, strict=True)
                )
            )
            for state in self._steps
        }
        before: dict[Joint, set[Joint]] = {state: set() for state in self._steps}
        for state, steps in self._steps.items():
            for _, after in steps:
                before[after].add(state)
        waiting = [state for state, mask in masks.items() if mask]
        while waiting:
            state = waiting.pop(0)
            for earlier in before[state]:
                mask = masks[earlier] | (masks[state] << 1 & limit)
                if mask != masks[earlier]:
                    masks[earlier] = mask
                    waiting.append(earlier)
        return masks


# The printable characters that all engines read alike, those that shrink best first.
_ALPHABET = "".join(sorted(map(chr, range(32, 127)), key=lambda one: (not one.isdigit(), not one.isalpha(), one)))


def _groups(ranges: Sequence[Range], machines: Sequence[_Machine]) -> list[str]:
    """Give the alphabet in groups that no machine tells apart."""
    named = [chr(code) for low, high in ranges for code in range(low, min(high, low + _MANY) + 1) if code > 126]
    short = [chr(code) for low, high in ranges for code in range(low, high + 1) if low == high and code < 32]
    alphabet = dict.fromkeys((*_ALPHABET, *named, *short))
    chars = list(
        dict.fromkeys(label for one in machines for at in one.edges for label, _ in at if not isinstance(label, int))
    )
    groups: dict[tuple[bool, ...], str] = {}
    for one in alphabet:
        if not 0xD800 <= ord(one) <= 0xDFFF:
            key = tuple(each.has(ord(one)) for each in chars)
            groups[key] = groups.get(key, "") + one
    return list(groups.values())


@lru_cache(maxsize=512)
def texts(patterns: tuple[str, ...], excluded: tuple[str, ...], low: int, high: int | None) -> Texts:
    """Give the texts of a set of patterns, worked out once."""
    return Texts(patterns, excluded, low=low, high=high)
