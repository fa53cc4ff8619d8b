"""Why a provider did not take a request's key, in the contract's terms; the key itself is never here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fauxvider.analysis.contract_places import Places
from fauxvider.analysis.entries import shown
from fauxvider.analysis.near_miss import NearMiss
from fauxvider.contract.parse import ContractFile

__all__ = ["CAUSES", "Denied", "KnownKey", "Presented", "near_credentials"]

CAUSES = frozenset({"auth_missing", "auth_unknown", "auth_inactive", "auth_deleted", "scope_missing", "owner_only"})
_STATES = {"auth_inactive": "inactive", "auth_deleted": "deleted"}
_LONGEST = 40  # characters of a name


@dataclass(frozen=True, slots=True)
class Presented:
    """A place of a request where a key may stand: what stands around the key, and its fingerprint ("" without one).

    `name` in lower case. `scheme`: the word before the key, if it is one that stands before keys; `is_double`: it
    stands there again.
    """

    place: Literal["header", "query"]
    name: str
    scheme: str = ""
    print: str = ""
    is_double: bool = False
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """A request that was denied. `is_scripted`: by a scenario, whatever key it had."""

    cause: str
    operation: str
    presented: tuple[Presented, ...] = ()
    is_scripted: bool = False


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What is known of a key, by its fingerprint. `state` is "" where this world does not know it."""

    state: str = ""
    name: str = ""
    scopes: frozenset[str] | None = None
    worlds: tuple[str, ...] = ()  # others that know it


def near_credentials(
    denied: Denied,
    file: ContractFile,
    choice: Mapping[str, str],
    *,
    keys: Mapping[str, KnownKey],
    others: Mapping[str, ContractFile] | None = None,
) -> NearMiss:
    """Say why a request was denied.

    `keys`: those that are known, by fingerprint; `others`: contracts, to tell whose way of sending a key it was.
    """
    contract = file.resolve(choice)
    places = Places(file, contract)
    operation = contract.operations.get(denied.operation)
    rule = places.of_auth()
    if denied.cause == "owner_only" and operation is not None and not denied.is_scripted:
        problem = f"is only for models that the account owns ({operation.name})"
        rule = places.of_operation(operation)
        return NearMiss("owner", "the request", problem, (), operation.name, rule.pointer, rule.line, rule.source)
    teller = _Teller(denied, file, choice, keys, others or {})
    scope = operation.scope if operation is not None else ""
    problem, is_place = teller.told(scope)
    nearest = tuple(dict.fromkeys(_place_text(*one, key="<key>") for one in teller.wanted)) if is_place else ()
    if denied.cause == "scope_missing" and operation is not None:
        rule = places.of_operation(operation)
    elif not is_place:  # which keys there are is the world's own doing, and nobody's statement
        rule = replace(rule, source="", level="")
    subject, name = f"the request to {contract.provider}", denied.operation
    return NearMiss("credential", subject, problem, nearest, name, rule.pointer, rule.line, rule.source, rule.level)


class _Teller:
    """Finds the words for one request that was denied."""

    def __init__(
        self,
        denied: Denied,
        file: ContractFile,
        choice: Mapping[str, str],
        keys: Mapping[str, KnownKey],
        others: Mapping[str, ContractFile],
    ) -> None:
        self._denied = denied
        self._file = file
        self._choice = choice
        self._keys = keys
        self._others = others
        self.wanted = _wanted(file, choice)
        self._headers = {header.lower(): header for header, _ in self.wanted}

    def told(self, scope: str) -> tuple[str, bool]:
        """Give what is wrong, and whether it is where or how the key stands."""
        if self._denied.is_scripted:
            return "is denied by the scenario, whatever its key", False
        found = self._best()
        known = self._keys.get(found.print, KnownKey()) if found else KnownKey()
        named = f" {shown(known.name, _LONGEST)!r}" if known.name else ""
        if self._denied.cause == "scope_missing":
            has = ", ".join(sorted(known.scopes or ())) or "none"
            return f"has a key{named} without the scope {scope} (its scopes: {shown(has)})", False
        if self._denied.cause in _STATES:
            return f"has a key{named} that is {_STATES[self._denied.cause]} in this world", False
        if found is None:
            return "has no API key", True
        wrong = self._misplaced(found)
        if not wrong:
            return f"has a key{named} that {self._strange(known)}", False
        if not found.print:
            return wrong, True
        return f"{wrong}{self._would_do(found)}{self._further(known)}", True

    def _best(self) -> Presented | None:
        """Choose what was probably meant: what stands where keys are read, then what holds a key that is known."""

        def rank(one: Presented) -> tuple[bool, bool, bool]:
            is_read = one.place == "header" and one.name in self._headers
            return not (is_read and one.print), not self._keys.get(one.print, KnownKey()).state, not is_read

        return min(self._denied.presented, key=rank, default=None)

    def _misplaced(self, one: Presented) -> str:
        """Say what is wrong with where a key stands, or with what stands around it; "" for nothing."""
        as_others = self._as_others(one)
        if one.place == "query":
            return f"has its key in the query, as {shown(one.name, _LONGEST)}, where it is not looked for"
        if one.name not in self._headers:
            if not one.print:
                return "has no API key"
            return f"has its key in the header {self._spelled(one.name)}, where it is not looked for{as_others}"
        header = self._headers[one.name]
        schemes = {scheme.lower() for name, scheme in self.wanted if name == header}
        if not one.print:
            return f"has no key in {_place_text(header, self._word(one.scheme)).rstrip(': ')}"
        if one.is_double:
            return f"has the word {self._word(one.scheme)} twice before its key in {header}"
        if one.scheme not in schemes:
            before = f"after the word {self._word(one.scheme)}" if one.scheme else "without a word before it"
            return f"has its key in {header} {before}{as_others}"
        return f"has its key in {header} in quotation marks" if one.is_quoted else ""

    def _strange(self, known: KnownKey) -> str:
        count = sum(1 for one in self._keys.values() if one.state)
        said = f"this world does not know (it knows {count} other{'s' * (count != 1)})"
        return f"{said}: it is one of {_worlds(known.worlds)}" if known.worlds else said

    def _further(self, known: KnownKey) -> str:
        """Say what would be wrong with the key at the right place."""
        if known.state in ("active", "unfunded") or not any(one.state for one in self._keys.values()):
            return ""
        return f"; and the key is {known.state}" if known.state else f"; and the key is one that {self._strange(known)}"

    def _as_others(self, one: Presented) -> str:
        """Name the providers that read a key where and as this one stands."""
        names = [
            name
            for name, file in self._others.items()
            if name != self._file.provider and _takes(_wanted(file, file.default_choice), one)
        ]
        return f", as {' and '.join(names)} would have it" if names else ""

    def _would_do(self, one: Presented) -> str:
        """Name the reading under which the contract takes what was sent."""
        for picked in self._file.choices()[1:]:
            name = next(key for key, case in picked.items() if self._file.default_choice[key] != case)
            if not _takes(_wanted(self._file, {**self._choice, name: picked[name]}), one):
                continue
            return f" (the reading {name}={picked[name]} takes it)"
        return ""

    def _spelled(self, name: str) -> str:
        every = (place for file in self._others.values() for place in _wanted(file, file.default_choice))
        return next((header for header, _ in every if header.lower() == name), shown(name, _LONGEST))

    def _word(self, scheme: str) -> str:
        files = (self._file, *self._others.values())
        every = (word for file in files for _, word in _wanted(file, file.default_choice))
        return next((word for word in every if word.lower() == scheme), scheme.title())


def _wanted(file: ContractFile, choice: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give where a contract has its keys, as it writes them: (header, scheme)."""
    accepted = file.resolved(choice)["auth"]["accept"]
    return [(str(one["header"]), str(one.get("scheme", ""))) for one in accepted]


def _takes(wanted: Sequence[tuple[str, str]], one: Presented) -> bool:
    is_plain = one.place == "header" and bool(one.print) and not (one.is_double or one.is_quoted)
    return is_plain and any((header.lower(), scheme.lower()) == (one.name, one.scheme) for header, scheme in wanted)


def _place_text(header: str, scheme: str, *, key: str = "") -> str:
    return f"{header}: {' '.join(_words(scheme, key))}"


def _words(*words: str) -> Iterator[str]:
    return (word for word in words if word)


def _worlds(names: Sequence[str]) -> str:
    some = ", ".join(repr(shown(name, _LONGEST)) for name in names[:3])
    return f"the world {some}" if len(names) == 1 else f"the worlds {some}{' and others' if len(names) > 3 else ''}"
