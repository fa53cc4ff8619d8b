"""The machine finds each defect of the corpus as what it is, and blames none of the careful clients.

A bounded look; `python benchmarks/corpus.py` is the long one, with the runs made short and a table of finds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.buggy import BUGS, Bug
from corpus.careful import CAREFUL
from corpus.hunting import hunt, innocent
from pytest_fauxvider.machine import ProviderMachine

EXAMPLES = 40


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAUXVIDER_OUT", str(tmp_path))


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len({bug.client for bug in BUGS}) >= 30
    assert len(set(CAREFUL)) == 12
    assert {bug.client.provider for bug in BUGS} == {"runpod", "runflow", "onemin"}


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_defect_is_found(bug: Bug) -> None:
    find = hunt(bug.client, is_shrunk=False)
    assert find is not None, bug.source
    assert find.kind in bug.found_as, find.text
    assert find.events <= 8, find.steps


@pytest.mark.parametrize("client", CAREFUL, ids=lambda client: client.__name__)
def test_a_careful_client_is_not_blamed(client: type[ProviderMachine]) -> None:
    find = innocent(client, examples=EXAMPLES)
    assert find is None, find.text if find else ""
