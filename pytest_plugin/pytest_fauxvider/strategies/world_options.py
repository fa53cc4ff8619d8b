"""Worlds of a provider: every reading, seed, start of the clock, balance and scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import event
from hypothesis import strategies as st

from fauxvider.contract.model import Contract
from fauxvider.values import decimal_text
from pytest_fauxvider.strategies.provider import ProviderLike, source_of
from pytest_fauxvider.strategies.scenario_rules import scenarios
from pytest_fauxvider.strategies.values import World

__all__ = ["readings_of", "worlds"]

# The start of a year, ends of a year, a leap day, a clock change, the end of 32 bits; and moments of no note.
_STARTS: Final = (
    "2026-01-01T00:00:00Z", "2026-12-31T23:59:59.999Z", "2028-02-29T12:00:00Z", "2026-03-29T00:59:59.500Z",
    "2038-01-19T03:14:07.999Z",
)  # fmt: skip
_FIRST, _LAST = 1_735_689_600_000, 4_102_444_800_000  # ms: 2025 to 2100


def worlds(
    provider: ProviderLike,
    *,
    legal: bool = True,
    scenario: bool = True,
    readings: int = 1,
    clock: str = "manual",
) -> st.SearchStrategy[World]:
    """Give what worlds are made from: ``with server.world(**drawn) as world``.

    Every reading of the contract is drawn, up to `readings` of them at once other than by default (each choice
    is a contract to compile, which takes about 30 ms the first time). Without a `scenario` nothing goes wrong.
    """
    contract = source_of(provider).contract
    options: dict[str, st.SearchStrategy[Any]] = {
        "now": st.sampled_from(_STARTS) | st.integers(_FIRST, _LAST),
        "balances": _balances(contract),
    }
    if contract.readings and readings:
        options["readings"] = readings_of(contract, readings)
    if contract.limits:
        options["limits"] = st.sampled_from(("off", "on"))
    if scenario:
        options["scenario"] = scenarios(provider, legal=legal).map(lambda drawn: drawn.source)
    fixed = {"seed": st.integers(0, 2**63 - 1), "clock": st.just(clock)}
    return st.fixed_dictionaries(fixed, optional=options).map(_made)


def _made(options: Mapping[str, Any]) -> World:
    for choice in options.get("readings", {}).values():
        for name, case in choice.items():
            event(f"reading: {name} = {case}")
    return World(options)


def readings_of(contract: Contract, most: int) -> st.SearchStrategy[dict[str, dict[str, str]]]:
    """Give choices of one to `most` readings that are not the default, as a world takes them."""
    others = [
        (name, case)
        for name, reading in contract.readings.items()
        for case in reading.cases
        if case != contract.choice.get(name, reading.default)
    ]
    if not others:
        return st.just({})
    picked = st.lists(st.sampled_from(others), min_size=1, max_size=most, unique_by=lambda pair: pair[0])
    return picked.map(lambda pairs: {contract.provider: {**_own(contract), **dict(pairs)}})


def _own(contract: Contract) -> dict[str, str]:
    """Give the readings that a given contract already has other than by default."""
    return {name: case for name, case in contract.choice.items() if case != contract.readings[name].default}


def _balances(contract: Contract) -> st.SearchStrategy[dict[str, str]]:
    prices = {model.cost.price for model in contract.models.values() if model.cost.price}
    amounts = {decimal_text(price + step) for price in prices for step in (0, contract.account.balance)}
    return st.sampled_from(["0", *sorted(amounts)]).map(lambda amount: {contract.provider: amount})
