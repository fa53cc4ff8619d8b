"""verify holds the emulator to the two contracts that are data alone, under every case of every reading."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fauxvider.contract.parse import open_contract
from fauxvider.server.runner import Urls
from support.verifying import served, told, verified

# What a reading can change; the models' own bounds are the same under all of them.
_ABOUT = ("/errors*", "/operations*", "/callbacks*", "/lifecycle*", "/limits*")


def _choices() -> Iterator[tuple[str, dict[str, str]]]:
    for provider in ("replicate", "fal"):
        file = open_contract(provider)
        for choice in file.choices():
            yield provider, {name: case for name, case in choice.items() if case != file.default_choice[name]}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Urls]:
    with served() as urls:
        yield urls


@pytest.mark.parametrize(("provider", "readings"), list(_choices()), ids=lambda one: str(one or "default"))
def test_the_emulator_keeps_its_contract(emulator: Urls, provider: str, readings: dict[str, str]) -> None:
    limits = not readings or any(name.startswith("rate") for name in readings)
    results = verified(emulator, provider, *(_ABOUT if readings else ()), readings=readings, limits=limits)
    assert told(results) == []
    assert sum(one.outcome == "passed" for one in results) > (40 if readings else 55)
    assert all(one.reason for one in results if one.outcome == "not checked")
    assert sum(one.outcome == "not checked" for one in results) < 6
