"""Reading regular expressions: the part of ECMA-262 that a contract's patterns may use.

Contracts admit linear patterns alone (no look-around, no back-references), so that every pattern is an
automaton, and texts that match it can be built instead of being guessed and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fauxvider.errors import UsageError

__all__ = ["Anchor", "Cat", "Chars", "Expr", "Or", "Repeat", "parse", "ranges_in"]

Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character: in one of the ranges of code points, or (negated) in none."""

    ranges: tuple[Range, ...]
    is_negated: bool = False

    def has(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges) is not self.is_negated


@dataclass(frozen=True, slots=True)
class Cat:
    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    branches: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    inner: Expr
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    at: Literal["start", "end"]


Expr: TypeAlias = Chars | Cat | Or | Repeat | Anchor

_DIGIT: Final = ((48, 57),)
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final = ((9, 13), (32, 32))
_SHORT: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_PLAIN: Final = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
# What a dot leaves out differs between engines, so texts are made without any of these.
_LINE_ENDS: Final = ((10, 10), (13, 13), (0x2028, 0x2029))
_MAX_REPEAT: Final = 1000
_COUNTS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse(pattern: str) -> Expr:
    """Read a pattern. Raises UsageError for what the strategies cannot make texts of."""
    reader = _Reader(pattern)
    made = reader.alternatives()
    if reader.at < len(pattern):
        raise reader.wrong("a single )")
    return made


def ranges_in(expr: Expr) -> Iterator[Range]:
    """Walk the ranges that an expression names."""
    if isinstance(expr, Chars):
        yield from expr.ranges
    elif isinstance(expr, Repeat):
        yield from ranges_in(expr.inner)
    elif isinstance(expr, Cat | Or):
        for part in expr.parts if isinstance(expr, Cat) else expr.branches:
            yield from ranges_in(part)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, problem: str) -> UsageError:
        return UsageError(f"no text can be made for the pattern {self.text!r}: {problem} at {self.at}")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        found = self.peek()
        if not found:
            raise self.wrong("it ends too early")
        self.at += 1
        return found

    def skip(self, text: str) -> bool:
        is_here = self.text.startswith(text, self.at)
        self.at += len(text) if is_here else 0
        return is_here

    def alternatives(self) -> Expr:
        branches = [self._sequence()]
        while self.skip("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Or(tuple(branches))

    def _sequence(self) -> Expr:
        parts: list[Expr] = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def _atom(self) -> Expr:
        found = self.take()
        if found == "^":
            return Anchor("start")
        if found == "$":
            return Anchor("end")
        if found == ".":
            return Chars(_LINE_ENDS, is_negated=True)
        if found == "(":
            return self._group()
        if found == "[":
            return self._class()
        if found == "\\":
            return self._escape()
        if found in "*+?":
            raise self.wrong(f"nothing stands before the {found!r}")
        return Chars(((ord(found), ord(found)),))

    def _group(self) -> Expr:
        if self.skip("?:"):
            pass
        elif self.skip("?<") or self.skip("?P<"):
            if self.peek() in ("=", "!"):
                raise self.wrong("look-behind")
            while self.take() != ">":
                pass
        elif self.peek() == "?":
            raise self.wrong("a group of this kind")
        inner = self.alternatives()
        if not self.skip(")"):
            raise self.wrong("a group that is not closed")
        return inner

    def _escape(self) -> Chars:
        found = self.take()
        if found.lower() in _SHORT:
            return Chars(_SHORT[found.lower()], is_negated=found.isupper())
        if found in "bBpPkG123456789":
            raise self.wrong(f"the escape \\{found}")
        code = self._code(found)
        return Chars(((code, code),))

    def _code(self, found: str) -> int:
        if found in ("x", "u"):
            if found == "u" and self.skip("{"):
                end = self.text.find("}", self.at)
                digits, self.at = self.text[self.at : end], end + 1
            else:
                size = 2 if found == "x" else 4
                digits, self.at = self.text[self.at : self.at + size], self.at + size
            try:
                return int(digits, 16)
            except ValueError:
                raise self.wrong(f"{digits!r} is no code point") from None
        return _PLAIN.get(found, ord(found))

    def _class(self) -> Chars:
        is_negated, ranges = self.skip("^"), list[Range]()
        is_first = True
        while is_first or self.peek() != "]":
            low = self._member()
            is_first = False
            if isinstance(low, Chars):
                ranges.extend(low.ranges)
                continue
            high = low
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.take()
                end = self._member()
                if isinstance(end, Chars) or end < low:
                    raise self.wrong("a range that ends before it begins")
                high = end
            ranges.append((low, high))
        self.take()
        return Chars(tuple(ranges), is_negated=is_negated)

    def _member(self) -> int | Chars:
        found = self.take()
        if found == "[" and self.peek() in (":", "["):
            raise self.wrong("a class inside a class")
        if found != "\\":
            return ord(found)
        found = self.take()
        if found in _SHORT:
            return Chars(_SHORT[found])
        if found in "DWSpPB":
            raise self.wrong(f"the escape \\{found} inside a class")
        return 8 if found == "b" else self._code(found)

    def _repeated(self, inner: Expr) -> Expr:
        counts = _COUNTS.get(self.peek())
        if counts is None and self.peek() != "{":
            return inner
        self.take()
        low, high = counts or self._counts()
        self.skip("?")  # lazy or greedy: the same texts
        if isinstance(inner, Anchor):
            raise self.wrong("an anchor that repeats")
        return Repeat(inner, low, high)

    def _counts(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        first, comma, last = self.text[self.at : max(end, self.at)].partition(",")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise self.wrong("{ without a count")
        self.at = end + 1
        low, high = int(first), int(last) if last else None if comma else int(first)
        if max(low, high or 0) > _MAX_REPEAT:
            raise self.wrong(f"more than {_MAX_REPEAT} repetitions")
        return low, high
