"""The end of a test: what is looked at, what is said, how each check is switched off."""

from __future__ import annotations

from typing import Any

import pytest

CASES = {
    "unexpected": (
        "",
        """
    client.ask("GET", "/v2/acme-dev/statuz/7")
    client.ask("DELETE", "/v2/acme-dev/run")
""",
        [
            "unexpected: 2 requests for what the provider does not have",
            "  GET /v2/acme-dev/statuz/7: no such path; nearest GET *v2/{slug}/status/{id} (operation status)*",
            "  DELETE /v2/acme-dev/run*",
        ],
    ),
    "scenario": (
        'scenario={"scenario": 1, "name": "two", "rules": [{"on": "request", "do": {"slow": "1s"}}, {"on": "job", "when": {"job": 9}, "do": {"stuck": "IN_QUEUE"}, "note": "the ninth"}]}, ',
        """
    client.ask("GET", "/v2/me")
""",
        ["scenario: rule 2 of the scenario 'two' never took effect; on job: stuck (the ninth)"],
    ),
    "callbacks": (
        "answers=[400], ",
        """
    job = client.submit(webhook=fauxvider.receiver.url)
    fauxvider.advance("10s")
    client.download(job)
    client.submit(webhook="http://192.0.2.1/hook")
    fauxvider.advance("10s")
    client.submit(webhook="http://127.0.0.1:9/hook")
""",
        [
            "callbacks: run.completed of job * never arrived at http://127.0.0.1:*; attempts: 400; it was given up: http_error (HTTP 400)",
            "callbacks: run.completed of job * never arrived at http://192.0.2.1/hook; it was given up: blocked (*)",
        ],
    ),
    "verdict": (
        "",
        """
    job = client.submit()
    fauxvider.advance("10s")
    for _ in range(12):
        client.status(job)
        fauxvider.advance("5s")
    client.download(job)
""",
        [
            "verdict: The client's faults: 1 harm.",
            "harm  polled-finished-job  job *",
            "      fix *",
        ],
    ),
    "risks": (
        "",
        """
    client.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x", "width": 7}})
""",
        ["risks: The client's faults: 1 risk.", "risk  forbidden-request"],
    ),
}


@pytest.mark.parametrize("check", CASES)
def test_a_check(suite: Any, check: str) -> None:
    more, body, said = CASES[check]

    def outcome(strict: str, *args: str) -> pytest.RunResult:
        text = f'@pytest.mark.fauxvider("acme", {more}{strict})\ndef test_it(fauxvider, client):{body}'
        return suite.run(*args, text=text)

    failed = outcome(f'strict="{check}"')
    failed.assert_outcomes(failed=1)  # the test fails, not its teardown
    failed.stdout.fnmatch_lines([
        f"fauxvider ({check}): the test's own assertions hold, but its world did not end well",
        *said,
        f'If this is meant to be so: strict="-{check}" in @pytest.mark.fauxvider(...).',
        "*- fauxvider: what the provider saw -*",
    ])  # fmt: skip
    outcome(f'strict="all, -{check}, -verdict"' if check == "risks" else 'strict="none"').assert_outcomes(passed=1)
    outcome("", "--fauxvider-strict", check).assert_outcomes(failed=1)
    outcome("", "--fauxvider-strict", "none").assert_outcomes(passed=1)
    suite.ini(f"fauxvider_strict = {check}")
    outcome("").assert_outcomes(failed=1)
    outcome("", "--fauxvider-strict=none").assert_outcomes(passed=1)


def test_all_but_risks_are_on(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(fauxvider):
    assert fauxvider.plan.strict == {"unexpected", "scenario", "callbacks", "verdict"}
"""
    )
    result.assert_outcomes(passed=1)


def test_a_failed_test_is_not_checked_too(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(client):
    client.ask("GET", "/nowhere")
    assert False, "its own reason"
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*its own reason*"])
    result.stdout.no_fnmatch_line("*unexpected:*")


def test_what_is_expected_to_fail_may_fail_so(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.mark.xfail(strict=True)
@acme
def test_it(client):
    client.ask("GET", "/nowhere")
"""
    )
    result.assert_outcomes(xfailed=1)


def test_another_provider_than_the_one_that_is_named(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(fauxvider, client):
    client.base = fauxvider.base_url("runpod")
    client.ask("GET", "/v2/black-forest-labs-flux-1-dev/health")
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "unexpected: 1 request to a provider that the test does not name (acme)",
        "  runpod: GET /v2/black-forest-labs-flux-1-dev/health -> 401",
    ])  # fmt: skip


def test_a_base_url_that_has_lost_its_path(suite: Any) -> None:
    result = suite.run(
        text="""
from urllib.parse import urljoin


@acme
def test_it(fauxvider, client):
    client.base = urljoin(client.base, "/v2/me")
    assert client.ask("GET", "")[0] == 404
    assert fauxvider.strays() == ["GET /v2/me"]


@acme
def test_the_next_has_nothing_to_do_with_it(fauxvider, client):
    assert fauxvider.strays() == []
    client.ask("GET", "/v2/me")
"""
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([
        "unexpected: 1 request that reached the server and no provider on it",
        "  GET /v2/me",
        "  (this world is below http://127.0.0.1:*/w/*/; urljoin, for one, drops a base URL's path)",
        "*what the provider saw*",
        "No request came, and nothing happened.",
        "1 request that reached the server and no provider on it",
    ])  # fmt: skip


def test_what_a_scenario_does_to_callbacks_is_meant(suite: Any) -> None:
    result = suite.run(
        text="""
LOST = {"scenario": 1, "name": "lost", "rules": [{"on": "attempt", "do": {"lose": True}}]}


@pytest.mark.fauxvider("acme", scenario=LOST)
def test_it(fauxvider, client):
    job = client.submit(webhook=fauxvider.receiver.url)
    fauxvider.advance("1m")
    client.download(job)
"""
    )
    result.assert_outcomes(passed=1)


def test_a_callback_whose_time_has_not_come(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.mark.fauxvider("acme", clock="manual", answers=[503], strict="callbacks")
def test_it(fauxvider, client):
    client.submit(webhook=fauxvider.receiver.url)
    while not fauxvider.deliveries():
        fauxvider.advance("100ms")
    left = fauxvider.deliveries()[0]["next_at"] - fauxvider.now()
    fauxvider.advance((left - 250) / 1000)
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*attempts: 503; the next one is due in 250ms: let that time pass"])


@pytest.mark.parametrize("how", ["marker", "ini"])
def test_rules_that_do_not_matter(suite: Any, how: str) -> None:
    _, body, _ = CASES["verdict"]
    if how == "ini":
        suite.ini("fauxvider_ignore = polled-finished-job")
    ignore = 'ignore="polled-finished-job"' if how == "marker" else ""
    suite.run(text=f'@pytest.mark.fauxvider("acme", {ignore})\ndef test_it(fauxvider, client):{body}').assert_outcomes(
        passed=1
    )


def test_a_rule_that_there_is_not(suite: Any) -> None:
    result = suite.run(text='@pytest.mark.fauxvider("acme", ignore="bad-taste")\ndef test_it(fauxvider):\n    pass\n')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["fauxvider: there is no rule 'bad-taste' (there are: retried-without-key, *"])
