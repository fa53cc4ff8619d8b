"""Every documented case, run as data: a new case is a new file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fixtures import Case, fixture_files
from support.inprocess import InProcess


@pytest.fixture(scope="module")
def emulator() -> Iterator[InProcess]:
    with InProcess() as running:
        yield running


@pytest.mark.parametrize("path", fixture_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_documented_case(path: Path, emulator: InProcess) -> None:
    Case(path, emulator).run()
