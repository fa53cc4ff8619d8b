from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Limit
from fauxvider.engine.limits import Window, take

FIXED = settings(derandomize=True, deadline=None, max_examples=300)


def limit(kind: Any, window: int = 10_000) -> Limit:
    return Limit("run", kind, window, 1, ("key",))


def test_a_sliding_window() -> None:
    rule, window = limit("sliding"), Window()
    assert [take(rule, window, now, count=3).remaining for now in (0, 1000, 2000)] == [2, 1, 0]
    refused = take(rule, window, 2000, count=3)
    assert (refused.wait, refused.remaining, refused.count, refused.reset) == (8000, 0, 3, 10_000)
    assert take(rule, window, 9_999, count=3).wait == 1
    assert take(rule, window, 10_000, count=3).wait == 0  # the first has left the window
    assert take(rule, window, 10_000, count=3).wait == 1000


def test_what_is_refused_does_not_count() -> None:
    rule, window = limit("sliding"), Window()
    take(rule, window, 0, count=1)
    for now in range(1, 10_000, 97):
        assert take(rule, window, now, count=1).wait == 10_000 - now
    assert take(rule, window, 10_000, count=1).wait == 0


def test_a_fixed_window_starts_with_the_clock() -> None:
    rule, window = limit("fixed", 60_000), Window()
    assert take(rule, window, 119_000, count=1).wait == 0
    refused = take(rule, window, 119_999, count=1)
    assert (refused.wait, refused.reset, refused.remaining) == (1, 120_000, 0)
    fresh = take(rule, window, 120_000, count=1)
    assert (fresh.wait, fresh.remaining, fresh.reset) == (0, 0, 180_000)


def test_calls_in_flight() -> None:
    rule, window = limit("in_flight", 0), Window()
    assert [take(rule, window, 5, count=2).remaining for _ in range(2)] == [1, 0]
    refused = take(rule, window, 5, count=2)
    assert (refused.wait, refused.remaining, refused.reset, window.used) == (1000, 0, 1005, 2)
    window.used -= 1
    assert take(rule, window, 5, count=2).wait == 0


CALLS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


@FIXED
@given(CALLS, st.integers(1, 30), st.integers(1, 5))
def test_sliding_is_a_list_that_is_counted(steps: list[int], span: int, count: int) -> None:
    rule, window, now, taken = limit("sliding", span), Window(), 0, []
    for step in steps:
        now += step
        inside = [moment for moment in taken if now - span < moment <= now]
        verdict = take(rule, window, now, count=count)
        assert (verdict.wait == 0) == (len(inside) < count)
        if verdict.wait == 0:
            taken.append(now)
            assert verdict.remaining == count - len(inside) - 1
        else:
            # The wait is exact: nothing fits a millisecond earlier.
            then = now + verdict.wait
            assert len([m for m in taken if then - span < m <= then]) < count
            assert len([m for m in taken if then - 1 - span < m <= then - 1]) >= count
    assert len(window.times) <= count  # what has left is forgotten


@FIXED
@given(CALLS, st.integers(1, 30), st.integers(1, 5))
def test_fixed_is_a_tally_by_window(steps: list[int], span: int, count: int) -> None:
    rule, window, now = limit("fixed", span), Window(), 0
    tally: dict[int, int] = {}
    for step in steps:
        now += step
        slot = now // span
        verdict = take(rule, window, now, count=count)
        assert (verdict.wait == 0) == (tally.get(slot, 0) < count)
        assert verdict.reset == (slot + 1) * span
        if verdict.wait == 0:
            tally[slot] = tally.get(slot, 0) + 1
            assert verdict.remaining == count - tally[slot]
        else:
            assert now + verdict.wait == verdict.reset


@pytest.mark.parametrize("kind", ["sliding", "fixed", "in_flight"])
def test_a_limit_of_nothing_lets_nothing_through(kind: str) -> None:
    rule, window = limit(kind), Window()
    for now in (0, 5, 10_000, 10**9):
        assert take(rule, window, now, count=0).wait > 0


@pytest.mark.parametrize("kind", ["sliding", "fixed", "in_flight"])
def test_callers_share_nothing(kind: str) -> None:
    rule, one, other = limit(kind), Window(), Window()
    assert take(rule, one, 0, count=1).wait == 0
    assert take(rule, one, 0, count=1).wait > 0
    assert take(rule, other, 0, count=1).wait == 0
