"""The reference model by itself: each invariant, where it holds and where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_fauxvider import invariants
from pytest_fauxvider.invariants import ENOUGH, INVARIANTS, SETTLED, Claims, Model

ACCEPTED: Mapping[str, Any] = {"kind": "accepted", "at": 0, "provider": "acme", "job": "j1"}
SUBMIT: Mapping[str, Any] = {"kind": "request", "at": 0, "does": "submit", "status": 200, "job": "j1"}
DONE: Mapping[str, Any] = {"kind": "ended", "at": 5_000, "job": "j1", "state": "succeeded", "word": "DONE"}
FAILED: Mapping[str, Any] = {**DONE, "state": "failed", "word": "FAILED"}
PAID: Mapping[str, Any] = {"kind": "charged", "at": 5_000, "job": "j1", "amount": "0.02", "unit": "USD"}


def _model(*entries: Mapping[str, Any], told: bool = True) -> Model:
    """A run about order 1, in which all jobs are for it."""
    model = Model(0, lambda _provider, _job: 1)
    for entry in entries:
        request = model.absorb([entry])
        if told:
            model.heard(request)
    return model


def _names(model: Model, claims: Claims, *, is_fair: bool = True) -> list[str]:
    return [found.name for found in invariants.at_rest(model, claims, is_fair=lambda _job: is_fair)]


def _seen(*results: Any, word: str = "") -> Claims:
    return Claims([(1, value) for value in results], {1: word} if word else {})


@pytest.mark.parametrize(
    ("entries", "claims", "names"),
    [
        ((ACCEPTED, SUBMIT, DONE, PAID), _seen(b"x"), []),
        ((ACCEPTED, SUBMIT, DONE, PAID), _seen(), ["lost"]),
        ((ACCEPTED, SUBMIT, DONE, PAID), _seen(word="failed"), ["lost"]),
        ((ACCEPTED, SUBMIT, DONE, PAID), _seen(b"x", b"x"), ["twice"]),
        ((ACCEPTED, SUBMIT, FAILED), _seen(word="failed"), []),
        ((ACCEPTED, SUBMIT, FAILED), _seen(), []),
        ((ACCEPTED, SUBMIT, FAILED), _seen(word="open"), ["open"]),
        ((ACCEPTED, SUBMIT, FAILED), _seen(b"x"), ["made-up"]),
        ((ACCEPTED, SUBMIT), _seen(word="succeeded"), ["made-up"]),
        ((), _seen(b"x"), ["made-up"]),
        ((ACCEPTED, SUBMIT), _seen(word="open"), []),
        ((ACCEPTED, DONE, PAID), _seen(), []),  # the answer never came: the client knows of nothing
    ],
)
def test_what_is_left_at_rest(entries: tuple[Any, ...], claims: Claims, names: list[str]) -> None:
    assert _names(_model(*entries), claims) == names


@pytest.mark.parametrize(("word", "names"), [("", []), ("open", ["open"]), ("gave up", ["lost"]), ("failed", ["lost"])])
def test_who_tells_no_results_is_judged_by_its_words(word: str, names: list[str]) -> None:
    claims = Claims(words={1: word} if word else {}, hands_on=False)
    assert _names(_model(ACCEPTED, SUBMIT, DONE, PAID), claims) == names


def test_who_had_no_chance_is_not_blamed() -> None:
    assert _names(_model(ACCEPTED, SUBMIT, DONE, PAID), _seen(), is_fair=False) == []


def test_what_the_client_cancelled_it_need_not_have() -> None:
    cancel = {"kind": "request", "at": 1, "does": "cancel", "status": 200, "job": "j1"}
    assert _names(_model(ACCEPTED, SUBMIT, cancel, DONE, PAID), _seen()) == []


def test_one_intent_is_billed_once() -> None:
    again = [{**entry, "job": "j2"} for entry in (ACCEPTED, DONE, PAID)]
    model = _model(ACCEPTED, SUBMIT, DONE, PAID, *again)
    (found,) = invariants.now(model, _seen(b"x"))
    assert str(found) == "nothing is billed twice for one intent: order 1 cost 0.02 USD for j1 and 0.02 USD for j2"
    failed = _model(ACCEPTED, SUBMIT, {**FAILED}, PAID, *again)
    assert list(invariants.now(failed, _seen(b"x"))) == []  # ordered again because it failed


def test_what_has_ended_stays_ended() -> None:
    model = _model(ACCEPTED, SUBMIT, DONE, PAID)
    assert list(invariants.now(model, _seen(word="open"))) == []
    assert list(invariants.now(model, _seen(word="gave up"))) == []
    assert list(invariants.now(model, _seen(b"x", word="succeeded"))) == []
    (found,) = invariants.now(model, _seen(b"x", word="open"))
    assert (found.name, str(found)) == (
        "terminal",
        "what has ended stays ended: the client called order 1 succeeded, and now calls it open",
    )


def test_what_is_kept_is_judged_by_its_life() -> None:
    model = _model(ACCEPTED, SUBMIT, DONE, PAID)
    for value, is_dead, names in (
        ("https://files.test/1.png", True, ["kept"]),
        ("https://files.test/1.png", False, []),
        (b"bytes", True, []),
        (b"", True, ["lost"]),
        ("", True, ["lost"]),
        (None, True, []),
        (["https://files.test/1.png"], True, []),
    ):
        found = invariants.long_after(model, _seen(value), is_dead=lambda _link, dead=is_dead: dead)  # type: ignore[misc]
        assert [one.name for one in found] == names, value


def test_the_job_of_another_order_is_no_job() -> None:
    model = _model(ACCEPTED, SUBMIT)
    claims = Claims(jobs={1: "j1", 2: "j1"})
    (found,) = invariants.at_rest(model, claims, is_fair=lambda _job: True)
    assert str(found) == "no result is lost: order 2 has no job: the client has that of order 1"


@pytest.mark.parametrize(("status", "is_blamed"), [(400, True), (409, True), (402, False), (429, False), (502, False)])
def test_a_refusal_that_nothing_disturbed(status: int, *, is_blamed: bool) -> None:
    model = _model()
    model.placed(1, {"status": status, "cause": "conflict"})
    assert [one.name for one in invariants.now(model, Claims())] == (["refused"] if is_blamed else [])


def test_a_chance_takes_several_looks_and_some_time() -> None:
    model = _model(ACCEPTED, SUBMIT, DONE)
    job = model.jobs["j1"]
    for _ in range(ENOUGH):
        job.look(6_000)
    assert not job.had_its_chance
    model.called(b'{"id": "j1"}', 5_000 + SETTLED)
    assert job.had_its_chance


def test_each_invariant_has_a_name_of_its_own() -> None:
    assert list(INVARIANTS) == ["lost", "twice", "terminal", "billed-twice", "kept", "made-up", "open", "refused"]
    assert all(error.about for error in INVARIANTS.values())
