"""Answers and callbacks for clients to be fed with: they are the emulator's own, from the contract."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from fauxvider import Contract, UsageError, load_contract
from fauxvider_contracts import provider_names
from pytest_fauxvider.strategies import Delivery, Response, callbacks, deliveries, error_responses, responses
from pytest_fauxvider.strategies.provider import source_of
from support.acme import ACME, ACME_TEXT

PROVIDERS = [*provider_names(), str(ACME)]
OPERATIONS = [
    pytest.param(provider, operation, id=f"{Path(provider).stem}-{operation}")
    for provider in PROVIDERS
    for operation in source_of(provider).contract.operations
]
# What an answer may be that nothing in the request is to blame for.
EXPECTED = ("", "job_unknown", "job_state", "delivery_state", "asset_pending", "asset_missing", "upstream", "moderated")


@pytest.mark.parametrize(("provider", "operation"), OPERATIONS)
@given(data=st.data())
@settings(max_examples=8)
def test_every_operation_has_answers(provider: str, operation: str, data: st.DataObject) -> None:
    response = data.draw(responses(provider, operation))
    assert response.operation == operation
    # The made-up provider has no way to say what is going to be uploaded, and asks for it.
    assert response.cause in EXPECTED or (operation, response.cause) == ("session", "param_enum"), response
    assert response.header("content-length") == str(len(response.body)) or response.status == 204
    if response.body:
        assert response.json() is not None
        assert response.text


def test_answers_show_jobs_in_every_state() -> None:
    states: Counter[str] = Counter()

    @settings(max_examples=300, database=None)
    @given(responses(ACME, "status"))
    def look(response: Response) -> None:
        states[response.state] += 1
        if response.state:
            words = {"queued": "IN_QUEUE", "running": "IN_PROGRESS", "succeeded": "COMPLETED", "timed_out": "TIMED_OUT"}
            assert response.json()["status"] == words.get(response.state, "FAILED")

    look()
    assert set(states) >= {"", "queued", "running", "succeeded", "failed", "timed_out"}
    assert min(states.values()) > 2


def _own(contract: Contract) -> list[str]:
    return [name for name, face in contract.errors.items() if "@" not in name and face.cause == name]


REFUSALS = [
    pytest.param(provider, cause, id=f"{Path(provider).stem}-{cause}")
    for provider in PROVIDERS
    for cause in _own(source_of(provider).contract)
]


@pytest.mark.parametrize(("provider", "cause"), REFUSALS)
@given(data=st.data())
@settings(max_examples=2)
def test_every_refusal_of_the_contract_is_there(provider: str, cause: str, data: st.DataObject) -> None:
    face = source_of(provider).contract.errors[cause]
    response = data.draw(error_responses(provider, cause))
    assert (response.cause, response.status) == (cause, face.status)
    if response.body:
        assert (response.header("content-type") or "").startswith(face.envelope.content_type)


def test_the_errors_of_files_come_from_where_files_are() -> None:
    expired = find(error_responses(ACME, "url_expired"), lambda _: True)
    assert (expired.operation, expired.status) == ("file", 403)
    assert b"<Code>AccessDenied</Code>" in expired.body


# --- callbacks

WITH_CALLBACKS = [provider for provider in PROVIDERS if source_of(provider).contract.callbacks is not None]


@pytest.mark.parametrize("provider", WITH_CALLBACKS, ids=lambda provider: Path(provider).stem)
@given(data=st.data())
@settings(max_examples=60)
def test_genuine_callbacks_can_be_trusted(provider: str, data: st.DataObject) -> None:
    contract = source_of(provider).contract
    assert contract.callbacks is not None
    callback = data.draw(callbacks(provider))
    assert callback.is_genuine
    assert callback.signature == ("good" if contract.callbacks.signature else "none")
    assert callback.event in contract.callbacks.events.values()
    assert callback.job in callback.body.decode()
    assert callback.method == "POST"
    assert callback.json()


def _signature(callback: Delivery) -> str:
    return hmac.new(callback.secret.encode(), callback.body, hashlib.sha256).hexdigest()


def _shown(callback: Delivery) -> list[str]:
    return [value for _, value in callback.headers]


@given(callbacks("runflow"))
@settings(max_examples=40)
def test_a_signature_is_that_of_the_body(callback: Delivery) -> None:
    assert any(_signature(callback) in value for value in _shown(callback))


@given(callbacks("runflow", genuine=False))
@settings(max_examples=80)
def test_a_forged_callback_is_labelled_and_does_not_verify(callback: Delivery) -> None:
    assert not callback.is_genuine
    assert callback.breaks.split(" ")[0] in ("sign", "tamper", "reserialise")
    assert callback.signature in ("none", "wrong", "stale", "old")
    assert not any(_signature(callback) in value for value in _shown(callback))


def test_deliveries_come_in_any_number_and_order() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=250, database=None)
    @given(deliveries("runflow", jobs=2))
    def look(came: list[Delivery]) -> None:
        assert all(one.is_genuine for one in came)
        seen["none"] += not came
        jobs = [one.job for one in came]
        seen["two jobs"] += len(set(jobs)) == 2
        seen["twice"] += len({(one.job, one.attempt) for one in came}) < len(came)
        seen["again after no answer"] += any(one.attempt > 1 for one in came)
        seen["mixed"] += len(set(jobs)) == 2 and jobs != sorted(jobs, key=jobs.index)
        bodies = {one.job: {other.body for other in came if other.job == one.job} for one in came}
        assert all(len(same) == 1 for same in bodies.values())

    look()
    assert all(count > 0 for count in seen.values()), seen
    assert len(seen) == 5


def test_they_shrink_to_the_smallest_story() -> None:
    twice = find(deliveries("runpod"), lambda came: len(came) == 2 and came[0].body == came[1].body)
    assert [one.attempt for one in twice] in ([1, 1], [1, 2])


# --- what there is not


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: responses(ACME, "statuss"), "acme has no operation 'statuss'"),
        (lambda: responses(ACME, model="devv"), "acme has no model 'devv'"),
        (lambda: error_responses(ACME, "heat"), "acme has no answer of its own for 'heat'"),
        (lambda: callbacks("onemin"), "onemin sends no callbacks"),
        (lambda: deliveries("onemin"), "onemin sends no callbacks"),
    ],
    ids=["operation", "model", "cause", "callbacks", "deliveries"],
)
def test_what_there_is_not_is_told_of(make: Any, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        make()
    assert str(refused.value).startswith(says)


def test_an_emulator_needs_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(ACME_TEXT.replace("provider: acme", "provider: ours"))
    with pytest.raises(UsageError, match="give the file's path"):
        responses(load_contract(path))
    assert (
        find(responses(path, "me"), lambda _: True, settings=settings(max_examples=5, database=None)).json()["balance"]
        == 1000000000
    )
    assert (
        find(
            responses(load_contract("runpod"), "run"), lambda _: True, settings=settings(max_examples=5, database=None)
        ).status
        == 200
    )
