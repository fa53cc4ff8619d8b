from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Callbacks, Retry
from fauxvider.engine.callbacks import delivery_state, failure_of, is_accepted, is_retried, next_due
from fauxvider.engine.facts import Attempt, Delivery
from support.acme import changed_acme

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
DUE = 5_000
FIXED = settings(derandomize=True, deadline=None, max_examples=300)


def rules(
    delays: tuple[int, ...] = (1000, 2000),
    origin: Any = "end",
    on: tuple[str, ...] = ("5xx", "network", "timeout"),
    accept: tuple[str, ...] = ("2xx",),
) -> Callbacks:
    assert ACME.callbacks is not None
    known = ACME.callbacks
    values = {name: getattr(known, name) for name in Callbacks.__slots__}
    return Callbacks(**{**values, "accept": frozenset(accept), "retry": Retry(delays, origin, frozenset(on))})


def attempt(outcome: int | str, at: int = DUE, took: int = 0, number: int = 1) -> Attempt:
    if isinstance(outcome, int):
        return Attempt(number, at, at + took, "http", outcome)
    kind: Any = outcome
    return Attempt(number, at, at + took, kind, error=f"it was {outcome}")


def delivery(*attempts: Attempt) -> Delivery:
    return Delivery("d", "job", 1, "run.completed", "http://127.0.0.1/", 0, DUE, True, b"{}", attempts=attempts)


@pytest.mark.parametrize(
    ("outcome", "accept", "wanted"),
    [
        (200, ("2xx",), True),
        (204, ("2xx",), True),
        (299, ("2xx",), True),
        (199, ("2xx",), False),
        (300, ("2xx",), False),
        (500, ("2xx",), False),
        (200, ("200",), True),
        (201, ("200",), False),
        (201, ("200", "201"), True),
        (404, ("2xx", "404"), True),
        ("network", ("2xx",), False),
        ("timeout", ("2xx",), False),
        ("blocked", ("2xx",), False),
    ],
)
def test_what_counts_as_received(outcome: int | str, accept: tuple[str, ...], wanted: bool) -> None:
    assert is_accepted(rules(accept=accept), attempt(outcome)) is wanted


OUTCOMES = (200, 301, 404, 410, 429, 500, 503, 599, "network", "timeout", "blocked")


@pytest.mark.parametrize(
    ("on", "wanted"),
    [
        ((), ()),
        (("any",), (200, 301, 404, 410, 429, 500, 503, 599, "network", "timeout")),
        (("5xx",), (500, 503, 599)),
        (("5xx", "network", "timeout"), (500, 503, 599, "network", "timeout")),
        (("network",), ("network",)),
        (("timeout",), ("timeout",)),
        (("4xx", "429"), (404, 410, 429)),
        (("429", "503"), (429, 503)),
        (("3xx",), (301,)),
        (("blocked",), ()),  # never, whatever a contract says
    ],
)
def test_what_is_tried_again(on: tuple[str, ...], wanted: tuple[int | str, ...]) -> None:
    found = tuple(outcome for outcome in OUTCOMES if is_retried(rules(on=on), attempt(outcome)))
    assert found == wanted


def test_a_status_that_did_not_come_with_an_answer_does_not_count() -> None:
    lost = Attempt(1, DUE, DUE, "network", status=200)
    assert not is_accepted(rules(), lost)
    assert not is_retried(rules(on=("5xx",)), Attempt(1, DUE, DUE, "timeout", status=500))


@pytest.mark.parametrize(("origin", "wanted"), [("end", 5_000 + 700 + 1000), ("start", 5_000 + 1000)])
def test_from_where_a_pause_counts(origin: str, wanted: int) -> None:
    assert next_due(rules(origin=origin), delivery(attempt(503, took=700))) == wanted


def test_a_new_delivery_is_due_when_it_says() -> None:
    assert next_due(rules(), delivery()) == DUE
    assert delivery_state(rules(), delivery()) == "pending"
    assert failure_of(rules(), delivery()) is None


@pytest.mark.parametrize(
    ("outcomes", "state", "due", "failure"),
    [
        ((200,), "delivered", None, None),
        ((503,), "pending", 6_000, None),
        ((503, 503), "pending", 8_000, None),
        ((503, 503, 200), "delivered", None, None),
        ((503, 503, 503), "failed", None, ("max_attempts_exceeded", "HTTP 503")),
        ((503, "network", "timeout"), "failed", None, ("max_attempts_exceeded", "it was timeout")),
        ((404,), "failed", None, ("http_error", "HTTP 404")),
        ((503, 404), "failed", None, ("http_error", "HTTP 404")),
        ((503, 503, 404), "failed", None, ("http_error", "HTTP 404")),
        (("blocked",), "failed", None, ("blocked", "it was blocked")),
        ((503, "blocked"), "failed", None, ("blocked", "it was blocked")),
        (("timeout",), "pending", 6_000, None),
        (("network", 200), "delivered", None, None),
    ],
)
def test_a_ladder(
    outcomes: tuple[int | str, ...], state: str, due: int | None, failure: tuple[str, str] | None
) -> None:
    made, at = delivery(), DUE
    for number, outcome in enumerate(outcomes, 1):
        assert next_due(rules(), made) == at
        made = made.with_attempt(attempt(outcome, at, number=number))
        at += 1000 * number
    assert (delivery_state(rules(), made), next_due(rules(), made), failure_of(rules(), made)) == (state, due, failure)


@pytest.mark.parametrize(
    ("outcome", "reason"), [("network", "connection_error"), ("timeout", "timeout"), (302, "http_error")]
)
def test_reasons_where_nothing_is_tried_again(outcome: int | str, reason: str) -> None:
    found = failure_of(rules(on=()), delivery(attempt(outcome)))
    assert found is not None
    assert found[0] == reason


def test_one_attempt_and_no_more() -> None:
    only = rules(delays=(), on=("any",))
    assert next_due(only, delivery(attempt(500))) is None
    assert failure_of(only, delivery(attempt(500))) == ("max_attempts_exceeded", "HTTP 500")


@FIXED
@given(
    delays=st.lists(st.integers(0, 5000), max_size=5).map(tuple),
    origin=st.sampled_from(["end", "start"]),
    on=st.lists(st.sampled_from(["5xx", "4xx", "3xx", "network", "timeout", "any", "429"]), max_size=4).map(tuple),
    outcomes=st.lists(
        st.tuples(
            st.sampled_from([200, 204, 302, 404, 429, 500, 503, "network", "timeout", "blocked"]), st.integers(0, 9)
        ),
        min_size=8,
        max_size=8,
    ),
)
def test_the_ladder_is_walked_as_a_naive_sender_would(
    delays: tuple[int, ...], origin: str, on: tuple[str, ...], outcomes: list[tuple[int | str, int]]
) -> None:
    contract, made = rules(delays, origin, on), delivery()
    moments = []
    for number, (outcome, took) in enumerate(outcomes, 1):
        due = next_due(contract, made)
        if due is None:
            break
        moments.append(due)
        made = made.with_attempt(attempt(outcome, due, took, number))
    # the naive sender: a for loop over the pauses
    wanted, at, end = [], DUE, "failed"
    for pause, (outcome, took) in zip([*delays, None], outcomes, strict=False):
        wanted.append(at)
        if outcome in (200, 204):
            end = "delivered"
            break
        is_class = isinstance(outcome, int) and (f"{str(outcome)[0]}xx" in on or str(outcome) in on)
        if outcome == "blocked" or not ("any" in on or outcome in on or is_class) or pause is None:
            break
        at += pause + (took if origin == "end" else 0)
    assert moments == wanted
    assert len(moments) <= len(delays) + 1
    assert delivery_state(contract, made) == end
    assert (failure_of(contract, made) is None) == (end == "delivered")
