"""Group commit: turns are whole and in order, and whoever waits is told what came of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from fauxvider.errors import StoreError
from fauxvider.stores.commits import GroupCommit


class Taken:
    """What a commit was given."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.may = threading.Event()
        self.may.set()
        self.problem = ""
        self.fault: Exception | None = None
        self.commits: GroupCommit[int] = GroupCommit(self.take, name="test-commit")

    def take(self, turns: list[list[int]]) -> None:
        self.may.wait(60)
        if self.fault is not None:
            raise self.fault
        if self.problem:
            raise StoreError(self.problem)
        self.turns += turns


@pytest.fixture
def taken() -> Iterator[Taken]:
    one = Taken()
    yield one
    one.may.set()
    one.commits.close()


def test_all_that_wait_in_one_turn_are_woken(taken: Taken) -> None:
    async def write(number: int) -> None:
        taken.commits.add(number)
        await taken.commits.flush()

    async def go() -> None:
        await asyncio.gather(*[write(number) for number in range(50)])
        await write(50)

    asyncio.run(go())
    assert taken.turns == [list(range(50)), [50]]


def test_all_that_wait_are_told_of_a_failure_and_later_ones_are_not(taken: Taken) -> None:
    async def go() -> list[BaseException | None]:
        taken.problem = "the disk is full"
        failed = await asyncio.gather(*[taken.commits.flush() for _ in range(3)], return_exceptions=True)
        taken.problem = ""
        await taken.commits.flush()
        return failed

    assert [str(one) for one in asyncio.run(go())] == ["the disk is full"] * 3


def test_who_stops_waiting_disturbs_nobody(taken: Taken) -> None:
    """Not the others that wait for the same commit, nor the commit; and its failure is nobody's loose end."""

    async def go() -> None:
        taken.may.clear()
        taken.commits.add(1)
        impatient, patient = (asyncio.create_task(taken.commits.flush()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        taken.may.set()
        await patient
        taken.may.clear()
        taken.problem = "no more"
        alone = asyncio.create_task(taken.commits.flush())
        await asyncio.sleep(0)
        alone.cancel()
        taken.may.set()

    asyncio.run(go())
    assert taken.turns == [[1]]


def test_what_was_not_committed_is_counted(taken: Taken) -> None:
    async def go() -> list[int]:
        seen = []
        taken.may.clear()
        for number in range(3):
            taken.commits.add(number)
        seen.append(taken.commits.unkept)
        taken.may.set()
        await taken.commits.flush()
        seen.append(taken.commits.unkept)
        taken.problem = "the disk is full"
        taken.commits.add(3)
        await asyncio.gather(taken.commits.flush(), return_exceptions=True)
        return [*seen, taken.commits.unkept]

    assert asyncio.run(go()) == [3, 0, 1]


def test_what_nobody_waits_for_is_committed_at_the_end(taken: Taken) -> None:
    taken.commits.add(7)
    taken.commits.close()
    assert taken.turns == [[7]]


def test_a_fault_of_ours_leaves_nobody_waiting_and_nothing_is_acknowledged_any_more(taken: Taken) -> None:
    async def go() -> list[BaseException | None]:
        taken.fault = ValueError("secret")
        taken.commits.add(1)
        failed = [*await asyncio.gather(taken.commits.flush(), return_exceptions=True)]
        taken.fault = None
        taken.commits.add(2)
        return [*failed, *await asyncio.gather(taken.commits.flush(), return_exceptions=True)]

    failed = asyncio.run(go())
    assert [str(error) for error in failed] == ["nothing more can be stored: a fault of ours (ValueError)"] * 2
    assert all(isinstance(error, StoreError) for error in failed)
    assert taken.turns == []
