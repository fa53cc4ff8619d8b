"""The verdict's rules on made-up journals: what breaks each of them, and the nearest thing that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.analysis.verdict import RULES, Finding, judge, verdict_text
from fauxvider.clock import EPOCH
from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError
from support.acme import changed_acme
from support.tales import DAY, HOUR, Cases, Tale, called, called_back, done, ended, submitted, told
from support.verdict_cases import BROKEN, KEPT

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
# Links that live from the moment of the answer that showed them, as presigned ones do.
ISSUED = replace(
    ACME, urls={**ACME.urls, "output": replace(ACME.urls["output"], origin_moment="issue", lives=DAY * 1000)}
)


def findings(tale: Tale, now: float, contract: Contract = ACME) -> tuple[Finding, ...]:
    return judge(tale.entries, {"acme": contract}, now=EPOCH + round(now * 1000)).findings


def rules(tale: Tale, now: float, contract: Contract = ACME) -> set[str]:
    return {finding.rule for finding in findings(tale, now, contract)}


def _cases(table: Cases) -> list[object]:
    return [
        pytest.param(rule, tale, now, id=f"{rule}: {what}")
        for rule, cases in table.items()
        for what, tale, now in cases
    ]


@pytest.mark.parametrize(("rule", "tale", "now"), _cases(BROKEN))
def test_broken(rule: str, tale: Tale, now: float) -> None:
    found = [finding for finding in findings(tale, now) if finding.rule == rule]
    assert found, rules(tale, now)
    known = RULES[rule]
    for finding in found:
        moments = [at for at, _ in finding.evidence]
        assert moments == sorted(moments)
        assert all(EPOCH <= at <= EPOCH + now * 1000 for at in moments)
        assert all(sentence for _, sentence in finding.evidence)
        assert (finding.harm, finding.fix, finding.severity) == (known.harm, known.fix, known.severity)


@pytest.mark.parametrize(("rule", "tale", "now"), _cases(KEPT))
def test_kept(rule: str, tale: Tale, now: float) -> None:
    assert rule not in rules(tale, now)


def test_every_rule_is_broken_and_kept_and_has_a_source() -> None:
    assert set(BROKEN) == set(KEPT) == set(RULES)
    assert len(RULES) >= 20
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.source.startswith("incidents.md "), name
        assert all(text and text == text.strip() for text in (rule.about, rule.harm, rule.fix)), name


@pytest.mark.parametrize(
    "tale",
    [
        Tale(),
        done(),
        done().note(5, "processed").note(5, "saved"),
        called().attempt(4).note(4, "processed").poll(5, "succeeded").file(5),
        Tale().submit().end(4, "failed").poll(5, "failed").note(5, "failed"),
    ],
    ids=["nothing", "polled", "and said so", "called", "failed"],
)
def test_a_good_client_breaks_nothing(tale: Tale) -> None:
    assert findings(tale, 9 * DAY) == ()


LATE = Tale().submit(address="http://h/", ended=5).end(4).attempt(4, 404)
EVIDENCE = [
    ("lost-callback-not-reconciled", called_back().end(4, "cancelled"), 2 * HOUR, "no callback is made of this end"),
    ("lost-callback-not-reconciled", called().ladder(503), 2 * HOUR, "callback run.completed, attempt 1: HTTP 503"),
    ("refused-unknown-job", LATE, 9, "the POST that made the job was answered only now"),
    ("refused-good-signature", called().attempt(4, 401, fault="drip"), 9, "signature good [scenario: drip]; the provider"),
    ("gave-up-early", submitted().polls([1, 2]).end(404), 2 * HOUR, "last look: GET /v2/acme-dev/status/J1 answered 200"),
    ("gave-up-early", ended(), 2 * HOUR, "its last look was its submit"),
    ("gave-up-early", called_back().poll(1).note(3, "gave_up").end(404), 500, "the client says that it gave up"),
    ("saved-nothing", submitted().fault(0, "empty_url").end(4).note(6, "saved"), 10, "its URL is empty"),
    ("saved-nothing", told().dead_file(5).note(6, "saved"), 10, "/output.jpg answered 403 (url_expired)"),
    ("used-expired-url", told().dead_file(8 * DAY), 9 * DAY, "the last link died"),
    ("took-whole-for-part", told().file(5, range="bytes=0-9").file(6, range="bytes=10-"), 9, "for bytes=10- answered"),
    ("retried-without-key", Tale().submit(fault="slow, lose hang").submit(1, "J2"), 9, "[scenario: lose hang, slow]"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "tale", "now", "words"), EVIDENCE)
def test_the_evidence_says(rule: str, tale: Tale, now: float, words: str) -> None:
    (found,) = [finding for finding in findings(tale, now) if finding.rule == rule]
    assert any(words in sentence for _, sentence in found.evidence), found.evidence


def test_what_nobody_did_is_no_evidence() -> None:
    tale = told().note(6, "saved")
    (found,) = [finding for finding in findings(tale, 10) if finding.rule == "saved-nothing"]
    assert [sentence for _, sentence in found.evidence] == ["the client says that it saved the picture"]


def test_a_contract_without_limits_gives_a_day() -> None:
    endless = replace(ACME, deadlines=())
    two_days = submitted().polls(range(0, 2 * DAY, 900))
    assert "waited-for-ever" in rules(two_days, 3 * DAY, endless)
    assert "waited-for-ever" not in rules(submitted().polls(range(0, DAY, 900)), 2 * DAY, endless)


def test_links_that_live_from_their_issue() -> None:
    """Each answer that shows the job again signs a link that lives a day more."""
    read = told().poll(3 * DAY, "succeeded")
    assert "never-downloaded" not in rules(read, 3.5 * DAY, ISSUED)
    assert "never-downloaded" in rules(read, 4.5 * DAY, ISSUED)
    assert "used-expired-url" in rules(read.dead_file(4.5 * DAY), 5 * DAY, ISSUED)


def test_a_refused_file_finds_its_job_by_an_earlier_download() -> None:
    tale = done().file(8 * DAY, job="", status=403, cause="url_expired")
    (found,) = [one for one in findings(tale, 9 * DAY) if one.rule == "used-expired-url"]
    assert found.job == "J1"


def test_what_is_ignored_and_what_is_not_known() -> None:
    tale = told().note(6, "saved")
    assert judge(tale.entries, {"acme": ACME}, now=EPOCH + 9_000, ignore={"saved-nothing"}).is_clean
    with pytest.raises(UsageError, match="there is no rule 'saved-nothin'"):
        judge(tale.entries, {"acme": ACME}, now=EPOCH, ignore={"saved-nothin"})


def test_entries_of_unknown_providers_are_passed_over() -> None:
    tale = Tale("other").submit().end(4).polls([5, 6, 7, 8], "succeeded")
    assert findings(tale, 8 * DAY) == ()


def of_two(tale: Tale, other: Tale, now: float) -> set[tuple[str, str]]:
    """Give the rules and jobs of two tales that were told of two providers in one world."""
    entries = [*tale.entries, *other.entries]
    verdict = judge(entries, {"acme": ACME, "other": replace(ACME, provider="other")}, now=EPOCH + round(now * 1000))
    return {(finding.rule, finding.job) for finding in verdict.findings}


def test_what_was_done_at_another_provider_is_no_excuse() -> None:
    listed = Tale("other").request(HOUR, "list", "/v2/runs")
    assert ("lost-callback-not-reconciled", "J1") in of_two(called().ladder(503), listed, 4 * HOUR)
    held = Tale("other").request(7 * DAY - 9, "list", "/v2/runs", fault="slow", ended=7 * DAY + 99)
    assert ("never-downloaded", "J1") in of_two(told(), held, 8 * DAY)
    stray = Tale("other").file(5, job="", status=404, cause="url_unknown")
    assert ("never-downloaded", "J1") in of_two(told(), stray, 8 * DAY)


def test_jobs_of_two_providers_are_not_mixed_up() -> None:
    other = Tale("other").submit(0, "J2").end(4, job="J2").poll(5, "succeeded", "J2").file(5, "J2")
    assert of_two(told().note(6, "saved"), other, 10) == {("saved-nothing", "J1")}


def test_text_tells_harms_first_and_escapes_what_came_from_outside() -> None:
    tale = Tale().refused(0, "param_range", 422).submit(1).end(4).polls([5, 6, 7, 8], "succeeded")
    tale.request(9, "unknown", "/\x1b[2J", status=404, cause="path_unknown").add(10, "dropped", what="journal", count=7)
    verdict = judge(tale.entries, {"acme": ACME}, now=EPOCH + 20_000)
    text = verdict_text(verdict)
    assert text.startswith("The client's faults: 1 harm, 2 risks.\n")
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert text.index("harm  polled-finished-job  job J1") < text.index("risk  forbidden-request")
    assert "+5.000s  GET /v2/acme-dev/status/J1 answered 200, shows COMPLETED" in text
    assert "7 entries were dropped by a cap" in text
    assert max(map(len, text.splitlines())) <= 120
    assert verdict_text(judge([], {}, now=0)) == "The client did nothing wrong.\n"


def test_the_text_tells_a_defect_of_many_jobs_twice_and_names_the_others() -> None:
    tale = Tale()
    for number in range(9):
        tale.submit(0, f"J{number}", fingerprint=f"f{number}").end(4, job=f"J{number}")
        tale.polls([5, 6, 7, 8], "succeeded", f"J{number}").file(9, f"J{number}")
    verdict = judge(tale.entries, {"acme": ACME}, now=EPOCH + 20_000)
    text = verdict_text(verdict)
    assert len(verdict.findings) == 9
    assert text.startswith("The client's faults: 9 harms.\n")
    assert text.count("      fix   ") == 2
    assert "\nharm  polled-finished-job  7 more of these: J2, J3, J4, J5, J6 and 2 others\n" in text


def test_long_evidence_is_cut_in_the_middle() -> None:
    tale = ended().polls(range(5, 1005), "succeeded")
    (found,) = [one for one in findings(tale, 1100) if one.rule == "polled-finished-job"]
    assert len(found.evidence) <= 6


KINDS = ("request", "accepted", "ended", "charged", "attempt", "fault", "note", "dropped", "else")
DOES = ("submit", "read", "stream", "cancel", "retry", "file", "list", "redeliver", "unknown", "")
FACTS = st.fixed_dictionaries(
    {"at": st.integers(EPOCH, EPOCH + 10**9), "kind": st.sampled_from(KINDS)},
    optional={
        "provider": st.sampled_from(["acme", "acme", "other"]),
        "does": st.sampled_from(DOES),
        "job": st.sampled_from(["J1", "J2", ""]),
        "target": st.sampled_from(["J1", "J2"]),
        "name": st.sampled_from(["empty_url", "short", "reset"]),
        "path": st.sampled_from(["/v2/acme-dev/status/J1", "/v2/x", "/0123456789abcdef/output.jpg"]),
        "method": st.sampled_from(["GET", "POST"]),
        "status": st.sampled_from([200, 201, 401, 403, 404, 409, 422, 429, 500, 522, None, "200"]),
        "cause": st.sampled_from(["", "rate", "job_unknown", "url_expired", "url_unknown", "param_range", "conflict"]),
        "number": st.integers(0, 6),
        "state": st.sampled_from(["", "queued", "succeeded", "failed", "COMPLETED", "odd"]),
        "word": st.sampled_from(["", "IN_QUEUE", "COMPLETED", "FAILED", "ODD"]),
        "ended": st.integers(EPOCH, EPOCH + 10**9),
        "retry_after": st.integers(0, 99),
        "intent": st.sampled_from(["", "i1", "i2"]),
        "fingerprint": st.sampled_from(["", "f1"]),
        "price": st.sampled_from(["0", "0.02"]),
        "address": st.sampled_from(["", "http://h/"]),
        "operation": st.sampled_from(["run", "runsync", "gone", ""]),
        "outcome": st.sampled_from(["http", "network", "timeout", "blocked", "lost"]),
        "delivery": st.sampled_from(["D1", "D2"]),
        "signature": st.sampled_from(["none", "good", "wrong", "stale", "old"]),
        "fault": st.sampled_from(["", "lose reset", "slow, garble json", "tamper body", "answer", "sign missing"]),
        "leaks": st.sampled_from(["", "key"]),
        "said": st.sampled_from(["processed", "saved", "failed", "gave_up", "believes"]),
        "text": st.sampled_from(["", "404", "COMPLETED", "IN_QUEUE"]),
        "count": st.integers(0, 5),
    },
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(FACTS, max_size=40))
def test_any_journal_gets_a_verdict(entries: list[dict[str, Any]]) -> None:
    verdict = judge(entries, {"acme": ACME}, now=EPOCH + 2 * 10**9)
    assert verdict == judge(entries, {"acme": ACME}, now=EPOCH + 2 * 10**9)
    assert all(finding.evidence and finding.rule in RULES for finding in verdict.findings)
    assert verdict_text(verdict).endswith("\n")
