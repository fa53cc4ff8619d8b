"""Every documented case, run as data: a new case is a new file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fixtures import Case, fixture_files
from support.inprocess import InProcess


@pytest.fixture(scope="module")
def emulator_of() -> Iterator[Callable[[str], InProcess]]:
    running: dict[str, InProcess] = {}

    def of(provider: str) -> InProcess:
        if provider not in running:
            running[provider] = InProcess(providers=[provider])
        return running[provider]

    yield of
    for one in running.values():
        one.close()


@pytest.mark.parametrize("path", fixture_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_documented_case(path: Path, emulator_of: Callable[[str], InProcess]) -> None:
    Case(path, emulator_of(path.parent.name)).run()
