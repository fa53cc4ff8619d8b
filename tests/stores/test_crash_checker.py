"""The checker of crash tests finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.crash_checker import Attempt, History, Hit, violations

GOOD = History(
    acknowledged=["a", "b"],
    stored=["a", "b", "c"],
    ended=["a", "b", "c"],
    hits=[Hit("a", b"1", 200), Hit("b", b"2", 503), Hit("b", b"2", 200), Hit("c", b"3", 200), Hit("c", b"3", 200)],
    attempts=[
        Attempt("a", 1, 100, 100, "http", 200),
        Attempt("b", 1, 100, 100, "http", 503),
        Attempt("b", 2, 10_100, 10_100, "http", 200),
        Attempt("c", 1, 120, 100, "interrupted"),
        Attempt("c", 1, 140, 100, "http", 200),
    ],
    crashes=1,
    rungs=3,
)


def _with_attempts(*more: Attempt, without: str = "") -> Callable[[History], History]:
    return lambda history: replace(history, attempts=[*[one for one in history.attempts if one.job != without], *more])


PLANTED: dict[str, tuple[Callable[[History], History], str]] = {
    "lost": (lambda one: replace(one, stored=["a", "c"], ended=["a", "c"]), "b: acknowledged and lost"),
    "stuck": (lambda one: replace(one, ended=["a", "b"]), "c: never came to an end"),
    "twice": (lambda one: replace(one, stored=["a", "a", "b", "c"]), "a: stored twice"),
    "early": (_with_attempts(Attempt("a", 1, 90, 100, "http", 200), without="a"), "came 10 ms early"),
    "given up": (_with_attempts(Attempt("b", 1, 100, 100, "http", 503), without="b"), "given up after 1 of 3"),
    "no attempt at all": (_with_attempts(without="a"), "given up after 0 of 3"),
    "a rung was used up": (
        _with_attempts(Attempt("c", 1, 120, 100, "interrupted"), Attempt("c", 2, 140, 100, "http", 200), without="c"),
        "numbered [2]",
    ),
    "after success": (_with_attempts(Attempt("a", 2, 900, 900, "http", 200)), "tried again after it was accepted"),
    "too many": (
        _with_attempts(*[Attempt("a", n, 100, 100, "http", 503) for n in (1, 2, 3, 4)], without="a"),
        "4 attempts on a ladder of 3",
    ),
    "copies": (lambda one: replace(one, hits=[*one.hits, Hit("a", b"1", 200)]), "a: 2 POSTs, and 1 attempts"),
    "cut by nothing": (lambda one: replace(one, crashes=0), "1 attempts were cut, and nothing crashed"),
    "bodies": (lambda one: replace(one, hits=[*one.hits[:-1], Hit("c", b"x", 200)]), "c: 2 different bodies"),
}


def test_a_good_history_is_good() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    plant, says = PLANTED[name]
    assert any(says in text for text in violations(plant(GOOD))), violations(plant(GOOD))
