"""How long the end waits for a store, and what it says of one that did not take the last of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fauxvider.errors import StoreError
from fauxvider.server import ending
from fauxvider.server.ending import Ending, StoreHangsError
from fauxvider.server.health import Health


class Blocking:
    """A store whose end takes as long as it is told to; and what stands before it, which has ended."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.file = self
        self.unkept = "3 writes are not known to be kept"
        self.fault: Exception | None = None

    def end(self) -> None:
        pass

    def close(self) -> None:
        self.may_end.wait(60)
        if self.fault is not None:
            raise self.fault

    def left(self) -> str:
        return self.unkept


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocking]:
    monkeypatch.setattr(ending, "STORE_S", 0.001)
    made = Blocking()
    yield made
    made.may_end.set()


def closed(store: Any, *, grace_s: float, is_hurried: bool = False) -> StoreError | None:
    async def close() -> StoreError | None:
        hurried = asyncio.Event()
        if is_hurried:
            hurried.set()
        return await Ending(store, Health(store)).close(grace_s=grace_s, hurried=hurried)

    return asyncio.run(close())


@pytest.mark.parametrize(("grace_s", "is_hurried"), [(0, False), (-5, False), (3600, True)])
def test_a_store_that_hangs_is_left_when_the_period_is_over(store: Blocking, grace_s: float, is_hurried: bool) -> None:
    left = closed(store, grace_s=grace_s, is_hurried=is_hurried)
    assert isinstance(left, StoreHangsError)
    assert (str(left), left.exit_code) == ("3 writes are not known to be kept", 4)


def test_a_store_has_all_of_the_period(store: Blocking) -> None:
    store.unkept = ""
    threading.Timer(0.2, store.may_end.set).start()
    assert closed(store, grace_s=3600) is None


def test_a_store_that_did_not_take_the_last_of_it_is_told_from_one_that_hangs(store: Blocking) -> None:
    store.may_end.set()
    left = closed(store, grace_s=3600)
    assert type(left) is StoreError


def test_a_fault_of_ours_at_the_end_is_not_lost(store: Blocking) -> None:
    store.may_end.set()
    store.fault = ZeroDivisionError("x")
    with pytest.raises(ZeroDivisionError):
        closed(store, grace_s=3600)
