"""A world's journal in words."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from fauxvider.analysis.entries import ordered, shown, since_text
from fauxvider.analysis.story import story_lines, tell
from support.journals import entry, everything, is_tame, legal_entries, lost_answer, poll, submit


def test_a_lost_answer_reads_like_this() -> None:
    assert story_lines(lost_answer()) == [
        " +0.000s  scenario  rule 1 took effect: lose on run",
        " +0.000s  client    POST /v2/acme-dev/run -> answer lost (job J1, fault: lose reset)",
        " +0.000s  provider  accepted job J1 (model dev, price 0.02, callbacks to http://client.test/hook)",
        " +4.000s  provider  job J1 ended: COMPLETED (succeeded)",
        " +4.000s  money     charged 0.02 USD for job J1 by /models/dev/cost",
        "+12.003s  client    POST /v2/acme-dev/run -> 201 IN_QUEUE (job J2)",
        "+12.003s  provider  accepted job J2 (model dev, price 0.02, callbacks to http://client.test/hook)",
        "+13.000s  client    GET /v2/acme-dev/status/J2 -> 200 IN_PROGRESS",
        "+16.003s  provider  job J2 ended: COMPLETED (succeeded)",
        "+16.003s  money     charged 0.02 USD for job J2 by /models/dev/cost",
        "+16.003s  callback  POST callback #1 -> connection reset (attempt 1 of job J2, run.completed, delivery D1)",
        "+17.003s  callback  POST callback #2 -> HTTP 200 (attempt 2 of job J2, run.completed, delivery D1)",
        "+18.000s  client    GET /v2/acme-dev/status/J2 -> 200 COMPLETED (showed a cost of 0.02)",
    ]


def test_every_kind_of_entry_has_words() -> None:
    text = "\n".join(story_lines(everything()))
    for words in (
        "-> 201 IN_QUEUE after 1.500s (job job-2)",
        "-> 200 IN_PROGRESS (x6, until +1.396s)",
        "job job-1 ended: FAILED (failed, failure handler_error)",
        "-> timeout after 10.000s (attempt 1 of job job-1, run.completed, delivery D1, signature wrong)",
        "-> lost on the way (attempt 3 of job job-1, run.completed, delivery D1, fault: lose)",
        "delivery D1, 2 more copies at once)",
        "-> 429 (refused: rate, asked to wait 3 s)",
        "-> 200 (job job-1, sent the API key to a file host)",
        "+21.000s  note      believes: it is done (job job-1, state running)",
        "journal   7 entries dropped by a cap: what follows is incomplete",
    ):
        assert words in text


def test_a_journal_without_entries_has_no_lines() -> None:
    assert story_lines([]) == []


def test_a_few_equal_lines_are_told_one_by_one_and_many_once() -> None:
    polls = [poll(500 * turn, turn, "J1", "running", "IN_PROGRESS") for turn in range(10)]
    assert len(story_lines(polls[:3])) == 3
    assert story_lines(polls) == [
        "+0.000s  client  GET /v2/acme-dev/status/J1 -> 200 IN_PROGRESS (x10, until +4.500s)",
    ]


def test_several_providers_are_named() -> None:
    lines = story_lines([*submit(0, 1, "J1"), *submit(5, 2, "J2", provider="other")])
    assert [line.split()[1] for line in lines] == ["acme", "acme", "other", "other"]


def test_an_unknown_kind_is_told_as_it_is() -> None:
    assert story_lines([entry(0, "new", thing=1)]) == ["+0.000s  journal  kind new, thing 1"]


def test_a_request_stands_before_what_it_brought_about() -> None:
    kinds = [one["kind"] for one in ordered([*submit(0, 1, "J1"), *submit(0, 2, "J2")])]
    assert kinds == ["request", "accepted"] * 2
    once = ordered(everything())
    assert ordered(once) == once


def test_moments_are_short() -> None:
    assert [since_text(ms) for ms in (0, 1_003, 61_003, 3_723_004, 90_061_001)] == [
        "+0.000s", "+1.003s", "+1m01.003s", "+1h02m03.004s", "+1d 01h01m01.001s",
    ]  # fmt: skip


def test_what_controls_a_terminal_is_shown_escaped() -> None:
    assert shown("\x1b[2J\r\n\u202e\ud800\U000e0041 ok \u3000日本 🐦") == (
        "\\x1b[2J\\x0d\\x0a\\u202e\\ud800\\U000e0041 ok \u3000日本 🐦"
    )
    assert shown("a" * 99 + "b" * 99, 21) == "aaaaaaaaa...bbbbbbbbb"
    lines = story_lines(everything(lambda text: f"{text}\x1b[31m\n\u2028\x9b"))
    assert all(map(is_tame, lines))
    assert any("\\x1b[31m\\x0a\\u2028\\x9b" in line for line in lines)


@given(legal_entries())
def test_any_journal_can_be_told(entries: list[dict[str, Any]]) -> None:
    lines = story_lines(entries)
    told = tell(entries)
    assert len(lines) == len(told)
    assert sum(one.times for one in told) == len(entries)
    assert all(map(is_tame, lines))
    assert [one.at for one in told] == sorted(one.at for one in told)


def test_no_line_shows_what_stands_for_a_secret() -> None:
    facts = {"key": "canary-key", "intent": "canary-intent", "fingerprint": "canary-print", "digest": "canary-digest"}
    entries = [{**one, **facts} for one in everything()]
    assert "canary" not in "\n".join(story_lines([one for one in entries if one["kind"] != "note"]))
