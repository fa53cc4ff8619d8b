"""Every documented case, run as data: a new case is a new file. Each answer is held to the exported OpenAPI document too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.mark.parametrize("path", fixture_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_documented_case(path: Path, emulator_of: Callable[[str], Watched]) -> None:
    host = emulator_of(path.parent.name)
    host.seen.clear()
    case = Case(path, host)
    case.run()
    described = _described(case.provider, dict(case.world.provider(case.provider).contract.choice))
    assert list(_problems(host, host.base(case.world, case.provider), described)) == []


def _problems(host: Watched, base: str, described: Described) -> Iterator[str]:
    for one in host.seen:
        below = path_below(base, one.url)
        # What the document has no operation for (an unknown path or model) is no case of its own there.
        yield from () if below is None else described.problems(one.method, below, one.answer) or ()


def test_the_oracle_notices(emulator_of: Callable[[str], Watched]) -> None:
    host = emulator_of("onemin")
    world = host.world()
    url = f"{host.base(world, 'onemin')}/models"
    answer = host.request("GET", url)
    described = _described("onemin", dict(world.provider("onemin").contract.choice))
    assert list(described.problems("GET", "/models", answer) or ["no such operation"]) == []
    answer.body = answer.body.replace(b'"total":', b'"sum":')
    assert list(described.problems("GET", "/models", answer) or ()) != []
    answer.status = 418
    assert list(described.problems("GET", "/models", answer) or ()) != []
    assert described.problems("GET", "/nothing", answer) is None
