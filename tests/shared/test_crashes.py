"""Nodes on one store are killed and stopped, and so is the store; whatever was acknowledged is still done.

The long run: `cd tests && python -m support.crashes --store valkey --workers 4 --kills 500`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.crash_checker import History, violations
from support.crash_stores import ValkeyKept
from support.crashes import LEASE_S, Fault, run
from support.crashing import MARKS
from support.valkey import Valkey


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[ValkeyKept]:
    with Valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always", lease_s=LEASE_S) as server:
        yield ValkeyKept(server)


def checked(kept: ValkeyKept, faults: Sequence[Fault], folder: Path, *, workers: int) -> History:
    """Have faults befall servers; give what was seen, in which nothing must be wrong."""
    seen = run(kept, faults, folder, workers=workers)
    assert violations(seen.history) == []
    assert seen.carried_out == len(faults)
    assert seen.history.acknowledged
    assert seen.history.writes
    return seen.history


def test_one_process_is_killed_at_every_mark(kept: ValkeyKept, tmp_path: Path) -> None:
    history = checked(kept, [Fault("worker", mark, 2) for mark in MARKS], tmp_path, workers=1)
    assert any(attempt.outcome == "interrupted" for attempt in history.attempts)


def test_one_of_four_is_killed_at_every_mark(kept: ValkeyKept, tmp_path: Path) -> None:
    history = checked(kept, [Fault("worker", mark) for mark in MARKS], tmp_path, workers=4)
    assert any(attempt.outcome == "interrupted" for attempt in history.attempts)
    assert len({write.node for write in history.writes}) > 4


def test_parent_and_all_are_killed(kept: ValkeyKept, tmp_path: Path) -> None:
    checked(kept, [Fault("parent", "after the commit"), Fault("all", "before the first byte")], tmp_path, workers=2)


def test_one_sleeps_past_its_lease_and_goes_on_where_it_was(kept: ValkeyKept, tmp_path: Path) -> None:
    """What it still writes is refused: the checker finds no write under an old claim after one under a new one."""
    marks = ["before the commit", "in the middle of the body", "after the receiver's answer"]
    history = checked(kept, [Fault("stopped", mark) for mark in marks], tmp_path, workers=2)
    assert any(attempt.outcome == "interrupted" for attempt in history.attempts)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_store_is_killed_and_sleeps(workers: int, kept: ValkeyKept, tmp_path: Path) -> None:
    checked(kept, [Fault("store killed"), Fault("store stalled")], tmp_path, workers=workers)
