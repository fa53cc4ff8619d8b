"""The page of a world: what it shows, that it stands alone, and that nothing from a request becomes part of it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.analysis.entries import ordered
from fauxvider.analysis.ledger import explain_ledger, ledger_text
from fauxvider.analysis.story import story_lines
from fauxvider.analysis.timeline_axis import Axis, axis_of
from fauxvider.analysis.timeline_lanes import picture_of
from fauxvider.analysis.timeline_page import MAX_LANES, timeline_page
from fauxvider.analysis.timeline_tables import MAX_EVENTS
from fauxvider.analysis.verdict import Finding, Verdict, judge
from fauxvider.contract.parse import open_contract
from fauxvider.ports import SendOutcome
from support.acme import ACME
from support.inprocess import InProcess
from support.journals import START, entry, everything, legal_entries, lost_answer, poll, submit

DAY = 86_400_000
CONTRACTS = {"acme": open_contract(ACME).resolve()}


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shape: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape[tag, tuple(sorted(name for name, _ in attrs))] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page(entries: list[dict[str, Any]], **given: Any) -> Page:
    return Page(timeline_page(entries, title="a world", **given))


# --- what it shows


def test_the_page_says_what_happened() -> None:
    found = page(lost_answer(), contracts=CONTRACTS)
    for words in (
        "18s of virtual time, from 2026-03-27 10:00:00 UTC",
        "One intent was charged twice",
        "charged again",
        "per megapixel 0.02 USD",
        "POST callback #1 -> connection reset",
        "delivered",
    ):
        assert words in found.text


def test_every_job_has_a_lane_and_the_rest_one_of_its_own() -> None:
    html = timeline_page(everything(), title="a world")
    assert html.count('aria-label="job ') == 2
    assert html.count('aria-label="requests of no job"') == 1
    assert page(lost_answer()).text.count("no job") == 0


def test_a_refused_look_is_in_the_lane_of_the_job_that_its_path_names() -> None:
    refused = poll(2_000, 3, "J1", "", "", status=429, cause="rate")
    del refused["job"]
    picture = picture_of(ordered([*submit(0, 1, "J1"), refused]), {})
    assert picture.rest is None
    assert [(mark.at - START, mark.tone) for mark in picture.lanes[0].marks if mark.shape == "poll"] == [(2_000, "bad")]


def test_a_fault_of_a_delivery_is_in_the_lane_of_its_job() -> None:
    held = entry(5, "fault", provider="acme", rule=1, name="hold", target="D1")
    sent = entry(9, "attempt", provider="acme", job="J1", delivery="D1", number=1, outcome="http", status=200)
    picture = picture_of(ordered([*submit(0, 1, "J1"), held, sent]), {})
    assert picture.rest is None
    assert [mark.at - START for mark in picture.lanes[0].marks if mark.shape == "fault"] == [5]


def test_the_verdict_comes_before_the_picture() -> None:
    verdict = judge(lost_answer(), CONTRACTS, now=START + 60_000)
    found = page(lost_answer(), contracts=CONTRACTS, verdict=verdict)
    assert found.text.index("The client's faults: ") < found.text.index("What happened when")
    for finding in verdict.findings:
        for words in (finding.rule, finding.harm, finding.fix, finding.job, *(what for _, what in finding.evidence)):
            assert words in found.text
    clean = page([], verdict=judge([], {}, now=START))
    assert "The client did nothing wrong." in clean.text
    assert "The verdict" not in page(lost_answer()).text


def test_of_a_rule_that_many_jobs_broke_the_page_names_the_others() -> None:
    found = tuple(Finding("polled-finished-job", f"J{number}", ((START, "polled"),), "h", "f") for number in range(9))
    assert "7 more of these: J2, J3, J4, J5, J6 and 2 others" in page([], verdict=Verdict(found, START)).text


def test_copies_of_a_callback_are_counted() -> None:
    attempt = {"delivery": "D1", "number": 1, "address": "http://h/", "outcome": "http", "status": 200, "copies": 3}
    found = page([*submit(0, 1, "J1"), entry(9, "attempt", provider="acme", job="J1", fault="duplicate", **attempt)])
    assert "(4 at once)" in found.text


def test_an_empty_journal_has_a_page() -> None:
    assert "The journal is empty." in page([]).text


def test_the_order_of_entries_does_not_matter() -> None:
    entries = everything()
    assert timeline_page(ordered(entries), title="a world") == timeline_page(entries, title="a world")


def test_two_hundred_jobs_and_five_thousand_events_are_shown_and_more_are_counted() -> None:
    entries = [one for number in range(MAX_LANES + 3) for one in submit(number * 10, number, f"J{number}")]
    entries += [poll(5_000 + turn, 0, f"J{turn % 2}", "running", "IN_PROGRESS") for turn in range(MAX_EVENTS)]
    html = timeline_page(entries, title="a world")
    assert html.count('aria-label="job ') == MAX_LANES
    assert "3 more jobs are not drawn." in html
    assert f"{2 * (MAX_LANES + 3)} more events are not shown." in html
    assert len(html) < 3_000_000


# --- states of a job


def stretches(*entries: dict[str, Any]) -> list[tuple[str, int, int]]:
    found = ordered([*submit(0, 1, "J1"), *entries])
    (lane,) = picture_of(found, {}).lanes
    return [(one.tone, one.began - START, one.ended - START) for one in lane.stretches]


def end(at: int, state: str = "succeeded", **facts: Any) -> dict[str, Any]:
    return entry(at, "ended", provider="acme", job="J1", state=state, word=state.upper(), **facts)


def test_between_two_polls_nobody_knows_when_it_started() -> None:
    seen = [poll(400, 2, "J1", "queued", "Q"), poll(900, 3, "J1", "running", "R"), end(2_000)]
    assert stretches(*seen) == [("queued", 0, 400), ("turning", 400, 900), ("running", 900, 2_000)]


def test_a_job_that_nobody_polled_has_a_bar_that_says_so() -> None:
    assert stretches(end(2_000)) == [("unseen", 0, 2_000)]


def test_a_known_start_is_taken_as_it_is() -> None:
    assert stretches(end(2_000, started=START + 700)) == [("queued", 0, 700), ("running", 700, 2_000)]


def test_a_retried_job_has_two_bars() -> None:
    again = entry(3_000, "request", provider="acme", does="retry", job="J1", status=200, number=9)
    bars = stretches(end(2_000, "failed"), again, poll(3_500, 10, "J1", "running", "R"), end(5_000))
    assert bars == [("unseen", 0, 2_000), ("turning", 3_000, 3_500), ("running", 3_500, 5_000)]


def test_a_job_without_an_end_lasts_as_long_as_the_journal() -> None:
    assert stretches(poll(900, 2, "J1", "running", "R"), entry(5_000, "note", said="saved", text="x")) == [
        ("turning", 0, 900),
        ("running", 900, 5_000),
    ]


def test_a_note_and_a_refused_download_find_their_job() -> None:
    file = {"provider": "acme", "does": "file", "method": "GET", "path": "/o.png"}
    found = ordered([
        *submit(0, 1, "J1"),
        entry(10, "request", **file, status=200, job="J1"),
        entry(20, "request", **file, status=403, cause="url_expired"),
        entry(30, "note", job="J1", said="saved", text="x"),
    ])  # fmt: skip
    picture = picture_of(found, {})
    assert picture.rest is None
    assert [(mark.shape, mark.tone) for mark in picture.lanes[0].marks] == [
        ("submit", "queued"), ("file", "good"), ("file", "bad"), ("note", "plain"),
    ]  # fmt: skip


# --- the axis


def axis(*moments: int) -> Axis:
    return axis_of([START + moment for moment in moments], left=20, right=720)


def test_a_short_world_is_drawn_to_scale() -> None:
    found = axis(0, 10, 4_000, 5_000, 8_000)
    assert found.gaps == ()
    assert [tick.text for tick in found.ticks] == ["+0s", "+1s", "+2s", "+3s", "+4s", "+5s", "+6s", "+7s", "+8s"]
    assert found.x(START + 4_000) == pytest.approx(370)


def test_seven_days_of_nothing_are_cut_out() -> None:
    found = axis(0, 500, 4_000, 7 * DAY, 7 * DAY + 1_000)
    assert [gap.text for gap in found.gaps] == ["7d"]
    assert found.x(START + 4_000) - found.x(START) > 500
    assert "+7d" in [tick.text for tick in found.ticks]


def test_a_week_of_short_days_has_a_gap_for_each_night() -> None:
    found = axis(*(day * DAY + second * 1_000 for day in range(7) for second in range(10)))
    assert len(found.gaps) == 6


def test_days_without_anything_dense_are_drawn_to_scale() -> None:
    assert axis(0, DAY, 2 * DAY, 3 * DAY).gaps == ()


@given(st.lists(st.integers(0, 10**14), min_size=1, max_size=60))
def test_later_is_never_further_left(moments: list[int]) -> None:
    found = axis_of(moments, left=20, right=720)
    places = [found.x(moment) for moment in sorted(moments)]
    assert all(one <= other for one, other in pairwise(places))
    assert places[0] >= 20 - 0.01
    assert places[-1] <= 720 + 0.01
    spots = sorted((tick.x, len(tick.text)) for tick in found.ticks)
    assert all(x + wide * 2 < other - more * 2 for (x, wide), (other, more) in pairwise(spots))


# --- it stands alone


def test_the_page_has_no_script_and_asks_for_nothing() -> None:
    html = timeline_page(everything(), title="a world", contracts=CONTRACTS)
    found = Page(html)
    names = {name for _, name, _ in found.attributes}
    assert not {"src", "href", "style", "srcset", "action", "data"} & names
    assert not [name for name in names if name.startswith("on")]
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form", "image", "use"} & set(found.open)
    assert re.findall(r"url\(([^)]*)\)", html) == ["#turn"]


def test_the_policy_lets_in_its_own_style_sheet_alone() -> None:
    html = timeline_page([], title="a world")
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [
        value for tag, name, value in Page(html).attributes if (tag, name) == ("meta", "content") and "src" in value
    ]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


XSS = [
    "<script>alert(1)</script>", "</title><script>alert(1)</script>", "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>', "'><svg onload=alert(1)>", '" onmouseover="alert(1)', "' onfocus='alert(1)' x='",
    "`><a href=javascript:alert(1)>", "</text></svg><iframe src=//evil>", "<![CDATA[<script>]]>", "<!--", "-->",
    "</td></tr></table><form>", "&lt;script&gt;", "&#60;script&#62;", "&quot;&gt;<b>", "javascript:alert(1)",
    "{{7*7}}", "${7*7}", "<%= 7 %>", "\x00<script>", "<scr\x00ipt>", "\u2028<script>", "\ufeff<b>", "\ud800<i>",
    "\x1b]8;;http://evil\x07x", "<foreignObject><body onload=1>", "<use href=data:x>", "<a xlink:href=x>",
    "</title></defs></svg></div></body></html><script src=//evil></script>", "<" * 500, "\U000e0041<b>",
]  # fmt: skip


@pytest.mark.parametrize("hostile", XSS)
def test_whatever_a_request_names_stays_text(hostile: str) -> None:
    plain = page(everything(lambda text: f"{text}-safe"))
    attacked = Page(timeline_page(everything(lambda text: text + hostile), title=hostile))
    assert attacked.shape == plain.shape
    judged = [
        page([], verdict=Verdict((Finding("hammered", text, ((START, text),), text, text, "risk"),)))
        for text in ("plain", hostile)
    ]
    assert judged[0].shape == judged[1].shape
    assert {(tag, name) for tag, name, _ in attacked.attributes} == {(tag, name) for tag, name, _ in plain.attributes}
    classes = {value for _, name, value in plain.attributes if name == "class"}
    assert {value for _, name, value in attacked.attributes if name == "class"} <= classes


@pytest.mark.parametrize("hostile", XSS[:6])
def test_whatever_a_provider_calls_a_state_stays_text(hostile: str) -> None:
    entries = [{**one, "state": hostile} if one["kind"] == "ended" else one for one in everything()]
    odd = [*entries, poll(1, 50, "job-1", hostile, hostile), entry(2, hostile, **{hostile: hostile})]
    assert set(page(odd).open) <= set(page(everything()).open)


def test_the_page_can_be_written_whatever_is_in_it() -> None:
    timeline_page(everything(lambda text: text + "\ud800\udfff\x00"), title="\udcff").encode()


@settings(deadline=None)
@given(legal_entries(), st.text(max_size=5))
def test_any_journal_has_a_page(entries: list[dict[str, Any]], title: str) -> None:
    html = timeline_page(entries, title=title, contracts=CONTRACTS)
    html.encode()
    tags = {tag for tag, _ in Page(html).shape}
    assert tags <= set(page(everything(), contracts=CONTRACTS).open) | {"i", "b", "code"}


# --- secrets


class Deaf:
    """Takes callbacks and says nothing."""

    async def send(self, *_: object, **__: object) -> SendOutcome:
        return SendOutcome("network", error="connection refused")


def test_no_artefact_shows_a_secret() -> None:
    headers = {"Authorization": "Bearer canary-key", "Idempotency-Key": "canary-intent", "X-Other": "canary-header"}
    body = {
        "input": {"prompt": "a fox"},
        "webhook": "https://user:canary-word@client.test/hook?token=canary-token#canary",
    }
    with InProcess(files=[ACME], sender=Deaf()) as host:
        world = host.world()
        base = host.base(world, "acme")
        made = host.request("POST", f"{base}/v2/acme-dev/run", headers=headers, json_body=body)
        host.advance(world, "1m")
        path = f"{base}/v2/acme-dev/status/{made.json()['id']}"
        shown = host.request("GET", path, headers=headers, query={"q": "canary-query"}).json()
        with suppress(KeyError, TypeError):
            host.request("GET", shown["output"]["image_url"] + "?canary-query", headers=headers)
        host.request("POST", f"{base}/v2/nothing", headers=headers, body=b"canary-body", query={"key": "canary-query"})
        entries = list(world.journal.entries())
    report = explain_ledger(entries, CONTRACTS)
    artefacts = [timeline_page(entries, title="x", contracts=CONTRACTS), *story_lines(entries), ledger_text(report)]
    assert len(report.charges) == 1
    assert any("client.test/hook" in text for text in artefacts)
    assert not [text for text in artefacts if "canary" in text]


def test_fingerprints_are_no_part_of_the_page() -> None:
    facts = {"key": "canary-1", "intent": "canary-2", "fingerprint": "canary-3", "digest": "canary-4"}
    entries = [{**one, **facts} if one["kind"] != "note" else one for one in everything()]
    assert "canary" not in timeline_page(entries, title="x")
