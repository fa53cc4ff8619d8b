"""A worker that ends by itself is started again: for ever while the store is away, never for what is wrong."""

from __future__ import annotations

import pytest

from fauxvider.cli.restarts import PATIENCE, kind_of, pause_ms
from fauxvider.errors import (
    ContractError,
    FauxviderError,
    PortTakenError,
    StoreAwayError,
    StoreError,
    StoreUnfitError,
    UsageError,
)


def test_a_store_that_is_away_is_waited_for_with_pauses_that_grow_to_half_a_minute() -> None:
    pauses = [pause_ms("away", ends) for ends in range(1, 10_000)]
    assert pauses[:8] == [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    assert set(pauses[8:]) == {30_000}


def test_a_crash_is_answered_at_once_and_given_up_when_it_comes_back_each_time() -> None:
    assert [pause_ms("other", ends) for ends in range(PATIENCE + 1)] == [0, 500, 1000, 2000, 4000, None]


def test_what_is_wrong_as_it_stands_is_not_tried_again() -> None:
    assert pause_ms("wrong", 1) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreAwayError("x"), "away"),
        (StoreUnfitError("x"), "wrong"),
        (UsageError("x"), "wrong"),
        (ContractError("x"), "wrong"),
        (StoreError("x"), "other"),
        (PortTakenError("x"), "other"),
        (FauxviderError("x"), "other"),
    ],
)
def test_what_kept_it_from_starting(error: FauxviderError, kind: str) -> None:
    assert kind_of(error) == kind
