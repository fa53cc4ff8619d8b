"""A cursor over a scenario: typed reading of what stands there, with the place of each error."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.contract.strict import Items, Map, place_of, pointer_parts, pointer_text
from fauxvider.errors import ContractError, UsageError
from fauxvider.scenario.known import known_names
from fauxvider.values import parse_money, parse_span

__all__ = ["Part", "plain"]

_MAX_SPAN = 3650 * 86_400_000
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_MONEY = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a scenario and its path. `contracts` are those that the rule at hand can apply to; None: not known."""

    value: Any
    path: tuple[str | int, ...]
    tree: Any
    file: str
    contracts: Mapping[str, Contract] | None = None

    def at(self, key: str | int) -> Part:
        return replace(self, value=self.value[key], path=(*self.path, key))

    def of(self, provider: str | None) -> Part:
        """Narrow to one provider, if one is given and contracts are known."""
        if provider is None or self.contracts is None:
            return self
        return replace(self, contracts={provider: self.contracts[provider]})

    def wrong(self, problem: str, *, allowed: Collection[str] = (), key: str | None = None) -> ContractError:
        """Make the error about this value, or about one of its keys."""
        pointer = pointer_text(self.path if key is None else (*self.path, key))
        place = place_of(self.tree, pointer, file=self.file, of_key=key is not None)
        return ContractError(problem, place=place, allowed=", ".join(allowed))

    def is_not(self, what: str, *, allowed: Collection[str] = ()) -> ContractError:
        return self.wrong(f"{_shown(self.value)} is not {what}", allowed=allowed)

    # --- containers

    def mapping(self, required: Collection[str], optional: Collection[str] = ()) -> Part:
        """Require a mapping with these keys. A slip in a key is told before what is missing for it."""
        self.entries()
        known = (*required, *optional)
        for key in self.value:
            if key not in known:
                raise self.wrong(f"the key {key!r} is unknown here", allowed=known, key=key)
        for key in required:
            if key not in self.value:
                raise self.wrong(f"the key {key!r} is missing")
        return self

    def entries(self, *, empty: bool = True) -> Iterator[tuple[str, Part]]:
        if not isinstance(self.value, Map):
            raise self.is_not("a mapping")
        if not self.value and not empty:
            raise self.wrong("something is needed here")
        return ((key, self.at(key)) for key in self.value)

    def elements(self, *, empty: bool = True) -> Iterator[Part]:
        if not isinstance(self.value, Items):
            raise self.is_not("a list")
        if not self.value and not empty:
            raise self.wrong("something is needed here")
        return (self.at(index) for index in range(len(self.value)))

    def one_or_more(self) -> Iterator[Part]:
        """Walk a list; a single value counts as a list of one."""
        return self.elements(empty=False) if isinstance(self.value, Items) else iter((self,))

    # --- scalars

    def text(self, *, empty: bool = False) -> str:
        if not isinstance(self.value, str):
            raise self.is_not("text")
        if not self.value and not empty:
            raise self.wrong("something is needed here")
        return self.value

    def word(self, *allowed: str) -> str:
        if not isinstance(self.value, str) or self.value not in allowed:
            raise self.is_not("one of the known words", allowed=allowed)
        return self.value

    def name(self, what: str) -> str:
        """Read a name that the contracts must know, if there are any: a model, a failure, ..."""
        return self._checked(self.text(), what)

    def key_name(self, key: str, what: str) -> str:
        """Read one of the keys as such a name."""
        return self._checked(key, what, key=key)

    def case(self, key: str) -> str:
        """Read a case of the reading that a key names."""
        self.key_name(key, "reading")
        case = self.at(key).text()
        tables = [one.readings[key].cases for one in (self.contracts or {}).values() if key in one.readings]
        allowed = tuple(dict.fromkeys(name for table in tables for name in table))
        if self.contracts is not None and case not in allowed:
            raise self.at(key).wrong(f"the reading {key!r} has no case {case!r}", allowed=allowed)
        return case

    def _checked(self, name: str, what: str, *, key: str | None = None) -> str:
        allowed = known_names(self.contracts, what)
        if allowed is not None and name not in allowed:
            raise self.wrong(f"there is no {what} {name!r}", allowed=allowed, key=key)
        return name

    def yes(self) -> bool:
        if self.value is not True:
            raise self.is_not("true", allowed=("true",))
        return True

    def whole(self, low: int, high: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.is_not("a whole number in range", allowed=(f"{low} to {high}",))
        return self.value

    @property
    def is_number(self) -> bool:
        return isinstance(self.value, int | Decimal) and not isinstance(self.value, bool)

    def share(self) -> Decimal:
        """Read a part of a whole, at least nothing and less than everything."""
        if not self.is_number or not 0 <= self.value < 1:
            raise self.is_not("a share", allowed=("0 to 0.999",))
        return Decimal(self.value)

    def factor(self) -> Decimal:
        if not self.is_number or not 0 < self.value <= 1_000_000:
            raise self.is_not("a factor", allowed=("above 0, up to 1000000",))
        return Decimal(self.value)

    def span(self) -> int:
        try:
            span = parse_span(self.value)
        except UsageError:
            span = -1
        if span < 0 or (isinstance(self.value, str) and not self.value.isascii()):
            raise self.is_not("a span", allowed=("such as 250ms", "10s", "5m", "2h", "7d", "7d 1s"))
        if span > _MAX_SPAN:
            raise self.is_not("a span that ends in time", allowed=("up to 3650d",))
        return span

    def money(self) -> Decimal:
        if self.is_number or (isinstance(self.value, str) and _MONEY.fullmatch(self.value)):
            return parse_money(self.value)
        raise self.is_not("an amount of money", allowed=("such as 0.025", "4"))

    def pointer(self, key: str) -> tuple[str, ...]:
        """Read one of the keys as a JSON pointer."""
        if not _POINTER.fullmatch(key):
            raise self.wrong(f"{_shown(key)} is not a JSON pointer", allowed=("such as /input/prompt",), key=key)
        return pointer_parts(key)


def plain(value: Any, *, floats: bool = False) -> Any:
    """Give a tree without its marks; with `floats`, numbers are what a parsed JSON body holds."""
    if isinstance(value, dict):
        return {key: plain(child, floats=floats) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child, floats=floats) for child in value]
    return float(value) if floats and isinstance(value, Decimal) else value


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
