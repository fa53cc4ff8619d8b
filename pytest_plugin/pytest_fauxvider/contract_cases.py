"""`fauxvider_contract_cases`: a test of a client's parser, over every exchange that a provider documents.

    @fauxvider_contract_cases("acme", operation="status")
    def test_every_status_is_understood(case):
        parse_status(case.status, case.body)

The exchanges are made when this is called, by the emulator in this process: no server, no network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import UsageError
from fauxvider.toolkit.exchanges import ContractCase, contract_cases

__all__ = ["ContractCase", "ContractCases", "contract_of", "fauxvider_contract_cases"]

Wanted = str | int | Collection[str | int] | None
F = TypeVar("F", bound=Callable[..., object])


class ContractCases(list[Any]):
    """A list of `pytest.param`; called on a test, it parametrises it."""

    def __init__(self, cases: Collection[ContractCase], argument: str) -> None:
        super().__init__(pytest.param(case, id=case.id) for case in cases)
        self._argument = argument

    def __call__(self, test: F) -> F:
        marked: F = pytest.mark.parametrize(self._argument, self)(test)
        return marked

    @property
    def cases(self) -> list[ContractCase]:
        """The cases themselves."""
        return [param.values[0] for param in self]


def fauxvider_contract_cases(
    provider: str | Path,
    *,
    operation: Wanted = None,
    kind: Wanted = None,
    model: Wanted = None,
    state: Wanted = None,
    cause: Wanted = None,
    status: Wanted = None,
    documented: bool | None = None,
    readings: Mapping[str, str] | str | None = None,
    argument: str = "case",
) -> ContractCases:
    """Give every exchange that a provider documents, as a decorator and as a list of `pytest.param`.

    `provider`: a bundled name or a contract file. The others leave out what does not fit; each takes one value or
    several. `operation`, `model`, `cause`: names of the contract; `kind`: the operation's (`submit read cancel ...`;
    `file` for downloads, `unknown`, and `callback`, which come only when asked for); `state`: the provider's word or
    the canonical one; `status`: a number, or a class such as "4xx"; `documented`: True for documented cases alone,
    False for those made from the contract's rules alone. `readings` are chosen over the defaults; "every" adds the
    documented cases of all others.

    Raises UsageError for a name that there is not and when no exchange is left, ContractError for a bad contract.
    """
    wanted = {"operation": operation, "kind": kind, "model": model, "state": state, "cause": cause, "status": status}
    every = _made(*_given(provider, readings))
    fits = {name: _values(value) for name, value in wanted.items() if value is not None}
    for name, values in fits.items():
        _check(name, values, every)
    found = [case for case in every if all(_fits(case, name, values) for name, values in fits.items())]
    if kind is None:
        found = [case for case in found if case.kind != "callback"]
    if documented is not None:
        found = [case for case in found if bool(case.source) is documented]
    if not found:
        raise UsageError(f"fauxvider_contract_cases: no exchange of {provider} is all of {_told(fits, documented)}")
    return ContractCases(found, argument)


def _given(
    provider: str | Path, readings: Mapping[str, str] | str | None
) -> tuple[str, tuple[tuple[str, str], ...], bool]:
    if isinstance(readings, str) and readings != "every":
        raise UsageError(f'fauxvider_contract_cases: readings={readings!r}: give {{reading: case}} or "every"')
    chosen = readings if isinstance(readings, Mapping) else {}
    return str(provider), tuple(sorted(chosen.items())), readings == "every"


@lru_cache(maxsize=32)
def _made(provider: str, readings: tuple[tuple[str, str], ...], every: bool) -> tuple[ContractCase, ...]:
    return tuple(contract_cases(contract_of(provider), dict(readings), every_reading=every))


def contract_of(provider: str | Path) -> ContractFile:
    """Read a contract by its provider's bundled name or its path, once in this process."""
    path = Path(provider)
    return _read(str(provider), path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=16)
def _read(provider: str, changed: int) -> ContractFile:
    del changed
    return open_contract(provider)


def _values(wanted: Wanted) -> frozenset[str]:
    if isinstance(wanted, str | int):
        return frozenset([str(wanted)])
    return frozenset(map(str, wanted or ()))


def _names(case: ContractCase, name: str) -> Iterator[str]:
    """Give the values by which a case is asked for."""
    if name == "status":
        yield from (str(case.status), f"{case.status // 100}xx") if case.status else ()
    elif name == "state":
        yield from (one for one in (case.state, case.word) if one)
    elif value := getattr(case, name):
        yield str(value)


def _fits(case: ContractCase, name: str, values: frozenset[str]) -> bool:
    return not values.isdisjoint(_names(case, name))


def _check(name: str, values: frozenset[str], every: Collection[ContractCase]) -> None:
    known = dict.fromkeys(one for case in every for one in _names(case, name))
    if wrong := sorted(values - known.keys()):
        there = ", ".join(sorted(known))
        raise UsageError(f"fauxvider_contract_cases: no exchange has {name}={wrong[0]!r} (there are: {there})")


def _told(fits: Mapping[str, frozenset[str]], documented: bool | None) -> str:
    parts = [f"{name}={' or '.join(sorted(values))}" for name, values in fits.items()]
    return ", ".join([*parts, *([f"documented={documented}"] if documented is not None else [])])
