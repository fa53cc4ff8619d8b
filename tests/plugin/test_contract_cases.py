"""fauxvider_contract_cases: every documented exchange, as parameters of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.parse import open_contract
from fauxvider.errors import UsageError
from fauxvider.toolkit.openapi.document import openapi_document
from fauxvider_contracts import case_names, provider_names
from pytest_fauxvider import ContractCase, fauxvider_contract_cases
from pytest_fauxvider.contract_cases import contract_of
from support.described import Described, path_below
from support.inprocess import Answer

ACME = str(Path(__file__).parents[1] / "data" / "acme.yaml")
DOCUMENTED = [name for name in provider_names() if case_names(name)]


@pytest.mark.parametrize("provider", [*DOCUMENTED, ACME])
def test_nothing_that_a_contract_says_is_left_out(provider: str) -> None:
    cases = fauxvider_contract_cases(provider).cases
    file = open_contract(provider)
    contract = file.resolve()
    assert {one.operation for one in cases} >= set(contract.operations)
    assert {one.word for one in cases} >= {state.said for state in contract.states.values()}
    # Limits that only another reading has refuse nothing here.
    raised = set(file.resolved()["errors"]) - (set() if contract.limits else {"rate"})
    assert {one.rule.removeprefix("/errors/") for one in cases if one.cause} >= raised
    assert len({one.id for one in cases}) == len(cases) > 50
    assert all(one.line and one.file.endswith(".yaml") and one.evidence for one in cases if one.cause)


@pytest.mark.parametrize("provider", DOCUMENTED)
def test_every_documented_case_that_holds_is_in_it(provider: str) -> None:
    every = {one.id.rpartition(":")[0] for one in fauxvider_contract_cases(provider, readings="every").cases}
    named = [name for name in case_names(provider) if name != "seed-facts"]
    assert [name for name in named if not any(one.endswith(f"-{name}") for one in every)] == []
    usual = fauxvider_contract_cases(provider, documented=True).cases
    assert len(usual) < len(every)
    assert all(one.source and not one.readings for one in usual)


def test_they_are_the_same_each_time_and_say_what_the_provider_says() -> None:
    from pytest_fauxvider.contract_cases import _made

    first = fauxvider_contract_cases(ACME).cases
    _made.cache_clear()
    assert [(one.id, one.body, one.headers) for one in fauxvider_contract_cases(ACME).cases] == [
        (one.id, one.body, one.headers) for one in first
    ]
    done = next(one for one in fauxvider_contract_cases("runpod", operation="status", state="COMPLETED").cases)
    assert done.request.url.startswith("https://api.runpod.ai/v2/")
    assert done.json()["status"] == "COMPLETED"
    assert "image.runpod.ai" in fauxvider_contract_cases("runpod", model="flux-dev", state="succeeded").cases[0].text
    assert done.header("Content-Type") == "application/json"


@pytest.mark.parametrize("provider", [*DOCUMENTED, ACME])
def test_each_is_what_the_exported_document_allows(provider: str) -> None:
    file = open_contract(provider)
    base = file.resolve().api.url
    described = Described(openapi_document(file, {}, base_url=base))
    cases = [one for one in fauxvider_contract_cases(provider).cases if one.request.url.startswith(base)]
    wrong = [(one.id, list(described.problems(one.request.method, *_asked(one, base)) or ())) for one in cases]
    assert [one for one in wrong if one[1]] == []


def _asked(one: ContractCase, base: str) -> tuple[str, Answer]:
    path = path_below(base, one.request.url)
    assert path is not None
    return path, Answer(one.status, {name.lower(): value for name, value in one.headers}, one.body)


def test_filters() -> None:
    def ids(**given: Any) -> set[str]:
        return {one.id for one in fauxvider_contract_cases(ACME, **given).cases}

    every = ids()
    assert ids(status=404) < ids(status="4xx") < every
    assert ids(status=[404, "5xx"]) == ids(status=404) | ids(status="5xx")
    assert ids(state="succeeded") == ids(state="COMPLETED")
    assert ids(operation="status", state=["queued", "running"]) < ids(kind="read")
    assert ids(cause="job_unknown", operation="cancel")
    assert ids(documented=False) == every  # nobody wrote cases for it
    assert all(one.model == "dev" for one in fauxvider_contract_cases(ACME, model="dev").cases)
    callbacks = fauxvider_contract_cases("runflow", kind="callback").cases
    assert {one.word for one in callbacks} >= {"succeeded", "failed"}
    assert all(one.json()["event"] and one.header("content-type") for one in callbacks)


@pytest.mark.parametrize(
    ("provider", "given", "said"),
    [
        ("nobody", {}, "bundled"),
        (ACME, {"operation": "fly"}, "operation='fly' .*there are: .*cancel"),
        (ACME, {"status": 299}, "status='299'"),
        (ACME, {"operation": "status", "cause": "funds"}, "no exchange of .* is all of operation=status, cause=funds"),
        (ACME, {"documented": True}, "documented=True"),
        (ACME, {"readings": "all"}, '"every"'),
        (ACME, {"readings": {"nothing": "x"}}, "nothing"),
    ],
)
def test_what_there_is_not_is_told(provider: str, given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fauxvider_contract_cases(provider, **given)


def test_a_contract_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = Path(ACME).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    first = contract_of(path)
    assert contract_of(str(path)) is first
    path.write_text(text + "\n# changed\n", encoding="utf-8")
    import os

    os.utime(path, ns=(1, 1))
    assert contract_of(path) is not first


@pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
def test_as_another_librarys_answer(library: str) -> None:
    module = pytest.importorskip(library)
    for case in fauxvider_contract_cases(ACME, operation="status").cases:
        answer = case.requests() if library == "requests" else case.httpx(module)
        assert answer.status_code == case.status
        assert answer.content == case.body
        assert answer.json() == json.loads(case.body)
        assert answer.headers["Content-Type"] == case.header("content-type")
        assert str(answer.request.url) == case.request.url


def test_as_a_decorator_and_as_a_list() -> None:
    @fauxvider_contract_cases(ACME, operation="health", argument="answer")
    def check(answer: ContractCase) -> None:
        """Not called: its mark is looked at."""

    (mark,) = check.pytestmark  # type: ignore[attr-defined]
    assert mark.args[0] == "answer"
    cases = fauxvider_contract_cases(ACME, operation="health")
    assert [param.id for param in cases] == [one.id for one in cases.cases]
    assert str(cases.cases[0]).startswith(f"{cases.cases[0].id}: ")


def test_in_a_suite(suite: Any) -> None:
    suite.tests(f"""
from pytest_fauxvider import fauxvider_contract_cases


@fauxvider_contract_cases({ACME!r}, operation="health", status=200)
def test_it(case):
    assert case.json()["jobs"] == {{}}
""")
    result = suite.run("-v")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*test_it?health-200-*FAILED*", "*case = health-200-*:*acme.yaml:*/operations/health*"]
    )
