"""The exported OpenAPI documents: what every documented case gets as an answer is what the document says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.parse import open_contract
from fauxvider.toolkit.openapi.document import openapi_document
from support.described import Described, Watched, path_below
from support.fixtures import Case, fixture_files


@pytest.fixture(scope="module")
def emulator_of() -> Iterator[Callable[[str], Watched]]:
    running: dict[str, Watched] = {}

    def of(provider: str) -> Watched:
        if provider not in running:
            running[provider] = Watched(providers=[provider])
        return running[provider]

    yield of
    for one in running.values():
        one.close()


_DOCUMENTS: dict[tuple[str, ...], Described] = {}


def _described(provider: str, choice: dict[str, str]) -> Described:
    key = (provider, *choice.values())
    if key not in _DOCUMENTS:
        _DOCUMENTS[key] = Described(openapi_document(open_contract(provider), choice, base_url="http://x"))
    return _DOCUMENTS[key]


def _below(base: str, url: str) -> str | None:
    return path_below(base, url)


@pytest.mark.parametrize("path", fixture_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_answers_of_documented_cases_are_as_described(path: Path, emulator_of: Callable[[str], Watched]) -> None:
    host = emulator_of(path.parent.name)
    host.seen.clear()
    case = Case(path, host)
    case.run()
    provider = case.world.provider(case.provider)
    described = _described(case.provider, dict(provider.contract.choice))
    base, problems = host.base(case.world, case.provider), []
    for one in host.seen:
        below = _below(base, one.url)
        found: Any = None if below is None else described.problems(one.method, below, one.answer)
        problems += list(found or ())
    assert not problems
