"""Requests from a contract alone: the valid ones are taken, the wrong ones are refused as they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from fauxvider import UsageError, load_contract
from fauxvider.contract.model import Callbacks
from fauxvider_contracts import provider_names
from pytest_fauxvider.strategies import Submission, invalid_submissions, submissions
from pytest_fauxvider.strategies.playing import Play, playing
from pytest_fauxvider.strategies.provider import source_of
from pytest_fauxvider.strategies.requests import targets_of
from support.acme import ACME, ACME_TEXT

PROVIDERS = [*provider_names(), str(ACME)]
WAYS = [
    pytest.param(provider, target.operation.name, target.model.name, id=f"{Path(provider).stem}-{target}")
    for provider in PROVIDERS
    for target in targets_of(source_of(provider).contract)
]
RICH = "1000000000"


def _played(provider: str, submission: Submission, **options: Any) -> tuple[int, str, dict[str, Any]]:
    """Send a submission in a world of its own; give status, cause and, long after, the job."""
    source = source_of(provider)
    with playing(source, balances={source.name: RICH}, **options) as play:
        answer = play.submit(submission)
        assert answer.fault == ""
        cause = str(play.last("request").get("cause") or "")
        play.world.advance("60d")
        return answer.status, cause, _job(play)


def _job(play: Play) -> dict[str, Any]:
    # A record that has gone is in the journal still; what is asked for is how the job ended.
    entries = play.world.journal()["entries"]
    accepted = [entry for entry in entries if entry["kind"] == "accepted"]
    ended = [entry for entry in entries if entry["kind"] == "ended"]
    return {"accepted": len(accepted), "failure": ended[-1].get("failure") or "" if ended else ""}


@pytest.mark.parametrize(("provider", "operation", "model"), WAYS)
@given(data=st.data())
@settings(max_examples=4)
def test_what_is_valid_is_accepted(provider: str, operation: str, model: str, data: st.DataObject) -> None:
    submission = data.draw(submissions(provider, model, operation=operation))
    assert (submission.operation, submission.model, submission.is_valid) == (operation, model, True)
    assert json.loads(submission.content) == submission.json
    status, cause, job = _played(provider, submission)
    assert (200 <= status < 300 or status in (400, 500), cause in ("", "upstream")) == (True, True)
    assert job["accepted"] == 1
    assert job["failure"] in ("", *_deadlines(provider))


def _deadlines(provider: str) -> list[str]:
    return [deadline.failure for deadline in source_of(provider).contract.deadlines]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: Path(provider).stem)
@given(data=st.data())
@settings(max_examples=60)
def test_what_a_submission_of_any_model_and_operation_looks_like(provider: str, data: st.DataObject) -> None:
    submission = data.draw(
        submissions(provider, callback_url="https://client.test/hook", extras=data.draw(st.booleans()))
    )
    status, cause, job = _played(provider, submission)
    assert (cause, job["accepted"]) == ("", 1), submission
    assert status < 300, submission
    callbacks = source_of(provider).contract.callbacks
    if callbacks is not None:
        _assert_called_back(submission, callbacks)


def _assert_called_back(submission: Submission, callbacks: Callbacks) -> None:
    if callbacks.query:
        assert submission.path.endswith(f"?{callbacks.query}=https%3A%2F%2Fclient.test%2Fhook")
    else:
        assert submission.json[callbacks.address[0]] == "https://client.test/hook"


@pytest.mark.parametrize(("provider", "operation", "model"), WAYS)
@given(data=st.data())
@settings(max_examples=8)
def test_what_is_wrong_is_refused_by_its_own_rule(
    provider: str, operation: str, model: str, data: st.DataObject
) -> None:
    submission = data.draw(invalid_submissions(provider, model, operation=operation))
    assert submission.breaks
    assert bool(submission.cause) is not bool(submission.failure)
    status, cause, job = _played(provider, submission)
    assert cause == submission.cause, submission
    if submission.cause:
        assert (status, job["accepted"]) == (submission.status, 0), submission
    else:
        # Who waits for the end is answered with it, and a failure may have a status of its own.
        own = source_of(provider).contract.operations[operation].answers.get(submission.failure)
        assert status < 300 if own is None else status == own.status, submission
        assert job["failure"] == submission.failure, submission


def test_every_sort_of_mistake_is_made() -> None:
    causes = set[str]()

    @settings(max_examples=400, database=None)
    @given(invalid_submissions(ACME))
    def look(submission: Submission) -> None:
        causes.add(submission.cause or submission.failure)

    look()
    assert causes >= {
        "auth_missing", "media_type", "method_unknown", "path_unknown", "body_malformed", "model_unknown",
        "model_disabled", "param_missing", "param_type", "param_range", "param_enum", "param_unknown", "no_input",
    }  # fmt: skip


def test_a_wait_beyond_the_bounds_is_a_mistake_where_it_is_refused() -> None:
    contract = load_contract("runpod", readings={"wait.outside": "refuse"})
    found = find(invalid_submissions(contract, "flux-dev", operation="runsync"), lambda one: one.breaks == "wait")
    assert found.path.endswith("/runsync?wait=300001")
    status, cause, _ = _played("runpod", found, readings={"wait.outside": "refuse"})
    assert (status, cause) == (found.status, "param_range")


def test_a_new_contract_has_strategies_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(ACME_TEXT.replace("provider: acme", "provider: ours").replace("maximum: 1536", "maximum: 320"))
    found = find(submissions(path, "dev", operation="run"), lambda one: one.json["input"].get("width", 0) > 256)
    assert (found.provider, found.path, found.json["input"]["width"]) == ("ours", "/v2/acme-dev/run", 320)
    assert _played(str(path), found)[0] == 201


def test_a_contract_under_another_reading_is_taken_as_it_is() -> None:
    strict, lenient = load_contract("runpod"), load_contract("runpod", readings={"flux.size_check": "lenient"})
    odd = find(submissions(lenient, "flux-dev", operation="run"), lambda one: one.json["input"].get("width") == 257)
    assert _played("runpod", odd, readings={"flux.size_check": "lenient"})[2]["failure"] == ""
    assert _played("runpod", odd)[2]["failure"] == "invalid_parameter"
    assert (
        find(submissions(strict, "flux-dev"), lambda one: one.json["input"].get("width", 0) > 256).json["input"][
            "width"
        ]
        == 320
    )


def test_the_simplest_request_is_a_simple_one() -> None:
    first = find(submissions("runpod"), lambda _: True)
    assert (first.method, first.path, first.json) == (
        "POST", "/v2/black-forest-labs-flux-1-dev/run", {"input": {"prompt": ""}},
    )  # fmt: skip
    assert first.headers == {"Authorization": "Bearer test-key", "Content-Type": "application/json"}
    assert first.url("http://there/") == "http://there/v2/black-forest-labs-flux-1-dev/run"
    assert repr(first).startswith("Submission(provider='runpod', operation='run', model='flux-dev'")
    assert "breaks" not in repr(first)


def test_all_forms_of_the_key_are_drawn() -> None:
    assert find(submissions(ACME, key="k"), lambda one: "Api-Key" in one.headers).headers["Api-Key"] == "k"


@pytest.mark.parametrize(
    ("provider", "model", "operation", "says"),
    [
        ("nobody", None, None, "there is no provider 'nobody' (bundled: fal, onemin, replicate, runflow, runpod)"),
        (ACME, "devv", None, "acme has no model 'devv' (it has: dev, edit, retired)"),
        (ACME, "retired", None, "no operation of acme takes the model 'retired'"),
        (ACME, None, "status", "acme has no operation 'status' that takes jobs (it has: run, runsync)"),
    ],
)
@pytest.mark.parametrize("strategy", [submissions, invalid_submissions])
def test_wrong_names_are_told_with_the_right_ones(
    strategy: Any, provider: Any, model: Any, operation: Any, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        strategy(provider, model, operation=operation)
    assert str(refused.value) == says
