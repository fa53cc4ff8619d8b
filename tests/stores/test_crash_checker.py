"""The checker of crash tests finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.crash_checker import Attempt, History, Hit, Write, violations

GOOD = History(
    acknowledged=["w/a", "w/b"],
    stored=["w/a", "w/b", "w/c"],
    bodies=["1", "2", "3"],
    ended=["w/a", "w/b", "w/c"],
    charged=["w/a", "w/b", "w/c"],
    hits=[
        Hit("w/a", b"1", 200),
        Hit("w/b", b"2", 503),
        Hit("w/b", b"2", 200),
        Hit("w/c", b"3", 200),
        Hit("w/c", b"3", 200),
    ],
    attempts=[
        Attempt("w/a", 1, 100, 105, 100, "http", 200),
        Attempt("w/b", 1, 100, 110, 100, "http", 503),
        Attempt("w/b", 2, 10_110, 10_120, 100, "http", 200),
        Attempt("w/c", 1, 120, 120, 0, "interrupted"),
        Attempt("w/c", 1, 140, 150, 100, "http", 200),
    ],
    crashes=1,
    delays=(10_000, 10_000),
    writes=[
        Write("w", "one", 1, 0, 5),
        Write("w", "one", 1, 5, 9),
        Write("v", "one", 2, 8, 9),
        Write("w", "two", 3, 20, 25),
    ],
    moved={"w": [5000, 9000]},
    clocks={"w": 9000},
)


def _with_attempts(*more: Attempt, without: str = "") -> Callable[[History], History]:
    return lambda history: replace(history, attempts=[*[one for one in history.attempts if one.job != without], *more])


def _with_writes(*more: Write) -> Callable[[History], History]:
    return lambda history: replace(history, writes=[*history.writes, *more])


PLANTED: dict[str, tuple[Callable[[History], History], str]] = {
    "lost": (lambda one: replace(one, stored=["w/a", "w/c"], ended=["w/a", "w/c"]), "w/b: acknowledged and lost"),
    "one id, two jobs": (
        lambda one: replace(one, acknowledged=["w/a", "w/b", "w/a"]),
        "w/a: acknowledged twice",
    ),
    "stuck": (lambda one: replace(one, ended=["w/a", "w/b"]), "w/c: never came to an end"),
    "twice": (lambda one: replace(one, stored=["w/a", "w/a", "w/b", "w/c"]), "w/a: stored twice"),
    "passed on twice": (lambda one: replace(one, bodies=["1", "2", "2"]), "submitted once, done 2 times: 2"),
    "not charged": (lambda one: replace(one, charged=["w/a", "w/b"]), "w/c: ended and not charged"),
    "charged twice": (lambda one: replace(one, charged=[*one.charged, "w/a"]), "w/a: charged 2 times"),
    "early": (_with_attempts(Attempt("w/a", 1, 90, 95, 100, "http", 200), without="w/a"), "came 10 ms early"),
    "a rung too soon": (
        _with_attempts(
            Attempt("w/b", 1, 100, 110, 100, "http", 503),
            Attempt("w/b", 2, 10_105, 10_120, 100, "http", 200),
            without="w/b",
        ),
        "w/b: attempt 2 after 9995 of 10000 ms",
    ),
    "given up": (_with_attempts(Attempt("w/b", 1, 100, 110, 100, "http", 503), without="w/b"), "given up after 1 of 3"),
    "no attempt at all": (_with_attempts(without="w/a"), "given up after 0 of 3"),
    "a rung was used up": (
        _with_attempts(
            Attempt("w/c", 1, 120, 120, 0, "interrupted"),
            Attempt("w/c", 2, 140, 150, 100, "http", 200),
            without="w/c",
        ),
        "numbered [2]",
    ),
    "after success": (
        _with_attempts(Attempt("w/a", 2, 10_900, 10_910, 100, "http", 200)),
        "tried again after it was accepted",
    ),
    "too many": (
        _with_attempts(
            *[Attempt("w/a", n, n * 20_000, n * 20_000, 100, "http", 503) for n in (1, 2, 3, 4)], without="w/a"
        ),
        "4 attempts on a ladder of 3",
    ),
    "copies": (lambda one: replace(one, hits=[*one.hits, Hit("w/a", b"1", 200)]), "w/a: 2 POSTs, and 1 attempts"),
    "a zombie's copy that nobody marked": (
        _with_attempts(Attempt("w/c", 1, 140, 150, 100, "http", 200), without="w/c"),
        "w/c: 2 POSTs, and 1 attempts",
    ),
    "cut by nothing": (lambda one: replace(one, crashes=0), "1 attempts were cut, and nothing crashed"),
    "bodies": (lambda one: replace(one, hits=[*one.hits[:-1], Hit("w/c", b"x", 200)]), "w/c: 2 different bodies"),
    "a zombie's write was taken": (
        _with_writes(Write("w", "one", 1, 30, 35)),
        "w: one wrote under the claim 1 after 3 was live",
    ),
    "a claim of two nodes": (_with_writes(Write("w", "two", 1, 5, 9)), "the claim 1 is several"),
    "a claim of two worlds": (_with_writes(Write("v", "two", 3, 30, 35)), "the claim 3 is several"),
    "time lost": (lambda one: replace(one, clocks={"w": 8999}), "w: its clock is at 8999, and was moved to 9000"),
    "time went back": (lambda one: replace(one, moved={"w": [9000, 5000]}), "w: its clock was moved to [9000, 5000]"),
}


def test_a_good_history_is_good() -> None:
    assert violations(GOOD) == []


def test_claims_that_overlap_in_time_say_nothing() -> None:
    """A commit that was sent before another node's claim, and answered after, may have been taken before it."""
    assert violations(_with_writes(Write("w", "one", 1, 9, 40))(GOOD)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    plant, says = PLANTED[name]
    assert any(says in text for text in violations(plant(GOOD))), violations(plant(GOOD))
