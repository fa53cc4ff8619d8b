"""Every exchange that a contract's documents describe, as whole bytes: for tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from fauxvider.contract.parse import ContractFile
from fauxvider.local import LocalServer
from fauxvider.toolkit.exchanges.case import ContractCase, Sent
from fauxvider.toolkit.exchanges.documented import documented_exchanges
from fauxvider.toolkit.exchanges.stage import Ground, Hooks
from fauxvider.toolkit.exchanges.toured import file_exchanges, refused_exchanges, state_exchanges, toured_exchanges

__all__ = ["ContractCase", "Sent", "contract_cases"]


def contract_cases(
    file: ContractFile, readings: Mapping[str, str] | None = None, *, every_reading: bool = False
) -> list[ContractCase]:
    """List a contract's exchanges: those of its documented cases, and what the contract alone says beside them.

    `readings` are chosen over the defaults; with `every_reading` documented cases of other readings are played too,
    each under its own. All is made by the emulator in this process, from fixed seeds: the same bytes each time.
    Raises ContractError or UsageError for readings that there are not.
    """
    choice = file.choice(readings)
    hooks = Hooks()
    with LocalServer(contracts=[file.file], deliver=hooks.deliver) as server:
        ground = Ground(file, server, hooks, choice)
        found = list(documented_exchanges(ground, every_reading=every_reading))
        found += _new(found, toured_exchanges(ground))
        seen = {one.rule.removeprefix("/errors/") for one in found if one.cause}
        found += _new(found, file_exchanges(ground, seen))
        found += refused_exchanges(ground, seen)
        found += state_exchanges(ground, {one.word for one in found})
    return list(_apart(found))


def _new(known: Iterable[ContractCase], more: Iterable[ContractCase]) -> Iterator[ContractCase]:
    """Pass on what shows something new: another state, refusal, or shape of a body."""
    seen = {_looks(one) for one in known}
    for one in more:
        if one.kind != "callback" and (looks := _looks(one)) not in seen:
            seen.add(looks)
            yield one


def _looks(one: ContractCase) -> tuple[Any, ...]:
    try:
        shape: Any = _shape(one.json()) if one.kind != "file" else ""
    except ValueError:
        shape = ""
    return one.operation, one.status, one.word, one.rule, shape


def _shape(tree: Any) -> Any:
    """Give the fields and the kinds of their values."""
    if isinstance(tree, dict):
        return tuple((name, _shape(value)) for name, value in tree.items())
    if isinstance(tree, list):
        return (list, *dict.fromkeys(_shape(one) for one in tree))
    return type(tree)


def _apart(found: Iterable[ContractCase]) -> Iterator[ContractCase]:
    """Give each an id of its own."""
    seen: set[str] = set()
    for one in found:
        name = next(name for number in count(1) if (name := f"{one.id}-{number}" if number > 1 else one.id) not in seen)
        seen.add(name)
        yield replace(one, id=name)
