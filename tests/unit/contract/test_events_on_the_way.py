"""What the language says of callbacks before the end, of further keys and of outcomes by failure: read, refused, timed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fauxvider import load_contract
from fauxvider.contract.elements import State
from fauxvider.contract.model import Callbacks
from fauxvider.contract.parse import ContractFile
from fauxvider.engine.callbacks import delays_of, milestones, next_due
from fauxvider.engine.facts import Attempt, Delivery
from fauxvider.engine.timeline import Life
from fauxvider.errors import ContractError
from fauxvider_contracts import provider_text

QUEUED, RUNNING = State("starting", "queued"), State("processing", "running")
DONE, GONE = State("succeeded", "succeeded"), State("canceled", "cancelled")


def rules() -> Callbacks:
    callbacks = load_contract("replicate").callbacks
    assert callbacks is not None
    return callbacks


def life(end: State = DONE, ended: int = 3_400, started: int = 400) -> Life:
    marks = [(0, QUEUED)] + ([(started, RUNNING)] if started < ended else [])
    return Life(marks, 0, ended, end, "", "", 1)


def told(one: Life, times: int = 28) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for moment, event in milestones(rules(), one, lambda _: times):
        found.setdefault(event, []).append(moment)
    return found


def test_a_run_is_told_of_in_order_and_thinned() -> None:
    found = told(life())
    assert (found["start"], found["output"]) == ([400], [3_400])
    logs = found["logs"]
    assert logs[0] == 400 + 3_000 // 28
    assert all(later - earlier >= 500 for earlier, later in pairwise(logs))
    assert len(logs) == 6
    every = milestones(rules(), life(), lambda _: 28)
    assert every == sorted(every, key=lambda pair: pair[0])


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_run_may_say_little(times: int) -> None:
    assert told(life(), times).get("logs", []) == [400 + 3_000 * number // times for number in range(1, times + 1)]


def test_what_is_cut_off_tells_of_its_start_alone() -> None:
    assert told(life(GONE, ended=1_000)) == {"start": [400]}
    assert told(life(GONE, ended=300)) == {}
    assert told(life(GONE, ended=400)) == {}  # cancelled at the moment at which it would have begun


def test_what_is_told_on_the_way_is_told_once() -> None:
    failed = Attempt(1, 0, 10, "http", 500)
    deliveries = {
        event: Delivery("d", "j", 1, event, "http://x/", 0, 0, automatic=True, payload=b"{}", attempts=(failed,))
        for event in ("start", "completed")
    }
    assert next_due(rules(), deliveries["start"]) is None
    assert next_due(rules(), deliveries["completed"]) == 2_010
    assert [len(delays_of(rules(), one)) for one in deliveries.values()] == [0, 5]


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("    start: {when: running", "    completed: {when: running", "is the event of an end already"),
        ("{when: running, evidence", "{when: running, times: 3, evidence", "`times` belongs to `when: share`"),
        ("{when: output, evidence", "{when: share, evidence", "`times` belongs to `when: share`"),
        ("events: [logs, output]", "events: [logs, completed]", "there is no such event 'completed'"),
        ("output_and_end: [output, completed]", "output_and_end: [outputs]", "there is no such event 'outputs'"),
        ("- [stability-ai/sdxl]", "- [black-forest-labs/flux-dev]", "have the same key"),
        (
            "      succeeded:\n        status: 201",
            "      no_such_failure:\n        status: 201",
            "does not belong here",
        ),
        ('value: "whsec_{base64:24}"', 'value: "whsec_{base65:24}"', "there is no token {base65:24}"),
        ("directive: wait, bare", "bare", "is missing"),
        ("{issue.field} is required", "{issue.fields} is required", "names nothing"),
        ("{origin.api}/v1/predictions/{job.id}/cancel", "{origin.nowhere}", "names nothing"),
    ],
)
def test_a_slip_is_told(right: str, wrong: str, problem: str) -> None:
    text = provider_text("replicate")
    assert right in text
    with pytest.raises(ContractError) as refused:
        ContractFile(text.replace(right, wrong, 1), file="ours.yaml").resolve()
    assert problem in str(refused.value)


def test_a_model_answers_to_all_of_its_keys() -> None:
    model = load_contract("replicate").models["sdxl"]
    assert model.keys_of(2) == [("stability-ai", "sdxl")]
    assert [key[0].partition(":")[0] for key in model.keys_of(1)][::2] == ["stability-ai/sdxl"] * 2
    assert model.keys_of(3) == []


def test_two_states_have_one_word() -> None:
    states = load_contract("fal").states
    assert {state.said for state in states.values()} == {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert {state.canonical for state in states.values() if state.said == "COMPLETED"} == {
        "succeeded", "failed", "timed_out", "moderated", "cancelled",
    }  # fmt: skip
