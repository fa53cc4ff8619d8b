"""The server is killed at every place that matters; whatever it acknowledged is still done, and nothing twice for free."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.crash_checker import violations
from support.crash_stores import SqliteKept
from support.crashes import JOBS, Fault, run
from support.crashing import MARKS


@pytest.mark.parametrize("mark", MARKS)
def test_killed_at(mark: str, tmp_path: Path) -> None:
    seen = run(SqliteKept(tmp_path), [Fault("worker", mark, 2)], tmp_path)
    assert violations(seen.history) == []
    assert seen.carried_out == 1
    assert len(seen.history.stored) >= JOBS // 2


def test_killed_again_and_again(tmp_path: Path) -> None:
    marks = [("in the middle of the body", 1), ("before the first byte", 2), ("after the receiver's answer", 1)]
    seen = run(SqliteKept(tmp_path), [Fault("worker", *one) for one in marks], tmp_path)
    assert violations(seen.history) == []
    assert seen.carried_out == 3
    assert sum(attempt.outcome == "interrupted" for attempt in seen.history.attempts) >= 2
