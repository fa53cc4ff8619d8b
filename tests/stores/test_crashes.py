"""The server is killed at every place that matters; whatever it acknowledged is still done, and nothing twice for free."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.crash_checker import violations
from support.crashes import JOBS, killed
from support.crashing import MARKS


@pytest.mark.parametrize("mark", MARKS)
def test_killed_at(mark: str, tmp_path: Path) -> None:
    history = killed(tmp_path / "worlds.db", [(mark, 2)])
    assert violations(history) == []
    assert len(history.acknowledged) >= JOBS


def test_killed_again_and_again(tmp_path: Path) -> None:
    kills = [("in the middle of the body", 1), ("before the first byte", 2), ("after the receiver's answer", 1)]
    history = killed(tmp_path / "worlds.db", kills)
    assert violations(history) == []
    assert sum(attempt.outcome == "interrupted" for attempt in history.attempts) >= 2
