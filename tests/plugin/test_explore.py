"""Exploring: the count, the shortest run, the bound, and what is skipped."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from corpus.buggy import AsyncRace, ForgetsOnDeploy, KeyPerTry
from corpus.careful import Careful, RunpodPolling
from fauxvider import UsageError
from pytest_fauxvider.explore import Bound, explore

SMALL = {"polls": 1, "deliveries": 0, "crashes": 0, "faults": 0, "moves": 1, "failures": 0}


class Told(Careful):
    """Tells its state, so that runs that lead to the same place are known."""

    provider = "runpod"

    def fingerprint(self) -> Hashable:
        rows = tuple((row.intent, row.id, row.word, row.since, row.was_seen) for row in self.rows.values())
        return rows, tuple(self.handed)


def test_every_interleaving_is_played() -> None:
    explored = explore(RunpodPolling, **SMALL)
    # nothing; submit; submit+poll, submit+time; both of them in either order
    assert explored.runs == 1 + 1 + 2 + 2
    assert (explored.is_clean, explored.is_complete, explored.longest) == (True, True, 3)
    assert str(explored) == (
        "RunpodPolling: within the bound (1 order, 1 poll, 1 move) no run breaks it. "
        "All 6 interleavings, of up to 3 steps, were played."
    )
    explored.check()


def test_it_is_deterministic() -> None:
    assert [explore(RunpodPolling, **{**SMALL, "faults": 1}).runs for _ in range(2)] == [45, 45]


def test_the_shortest_run_is_given() -> None:
    explored = explore(KeyPerTry)
    assert [(step.name, dict(step.args)) for step in explored.steps] == [("submit", {"fate": "lost"})]
    with pytest.raises(AssertionError, match=r"breaks it \(of 3 played\)") as caught:
        explored.check()
    assert 'KeyPerTry.play(\n    ("submit", {"fate": "lost"}),\n)' in str(caught.value)


def test_races_and_crashes_are_within_the_bound() -> None:
    race = explore(AsyncRace, polls=1, deliveries=0, moves=1, faults=2, failures=0)
    assert [step.name for step in race.steps] == ["submit", "poll"]
    assert explore(ForgetsOnDeploy, crashes=0, polls=0, faults=0).is_clean
    assert not explore(ForgetsOnDeploy, crashes=1, polls=0, faults=0).is_clean


def test_what_leads_to_where_another_run_has_been_is_skipped() -> None:
    plain, told = (explore(machine, **{**SMALL, "polls": 2, "moves": 2}) for machine in (RunpodPolling, Told))
    assert told.skipped > 0
    assert told.runs < plain.runs
    assert "of them lead to where others had been" in str(told)


def test_what_is_not_covered_is_said() -> None:
    explored = explore(RunpodPolling, most=10)
    assert (explored.runs, explored.is_complete) == (10, False)
    with pytest.raises(AssertionError, match="there are more within the bound"):
        explored.check()


def test_progress_is_told() -> None:
    said: list[str] = []
    explore(RunpodPolling, **SMALL, progress=said.append)
    assert said == ["0 steps: run 1 of 1, 0 in all", ""]


@pytest.mark.parametrize(
    ("bound", "problem"),
    [
        ({"legs": 1}, "no bound on 'legs' .there are: orders, polls, "),
        ({"polls": -1}, "polls=-1 is not a whole number"),
        ({"polls": True}, "polls=True is not"),
    ],
)
def test_wrong_bounds_are_named(bound: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        explore(RunpodPolling, **bound)


def test_a_bound_in_words() -> None:
    assert (
        str(Bound(crashes=2, deliveries=1, failures=0)) == "1 order, 3 polls, 1 delivery, 2 crashes, 1 fault, 2 moves"
    )
