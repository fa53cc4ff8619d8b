"""The verdict on clients at play: each defect is caught by its rule, and careful clients are left in peace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.analysis.verdict import RULES, Verdict, verdict_text
from support.bugs import BUGS, Bug
from support.clients import Client, Style
from support.dialects import DIALECTS
from support.playing import Field
from support.thrifty_clients import JoinsParts, KeepsABudget

DAY = 86_400.0


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    made = Field()
    yield made
    made.close()


def scenario(provider: str, rules: Any) -> dict[str, Any]:
    return {"scenario": 1, "name": "play", "provider": provider, "rules": list(rules)}


def play(field: Field, bug: Bug, kind: type[Client]) -> Verdict:
    at = field.play(bug.provider, scenario=scenario(bug.provider, bug.rules), **bug.world)
    at.failures = list(bug.failures)
    try:
        return at.perform(at.client(kind, bug.style), bug.prompts, after=bug.after)
    finally:
        at.close()


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_defect_is_caught(bug: Bug, field: Field) -> None:
    verdict = play(field, bug, bug.client)
    assert bug.rule in verdict.rules, verdict_text(verdict)
    assert not verdict.rules - {bug.rule, *bug.beside}, verdict_text(verdict)


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_careful_client_comes_through_the_same(bug: Bug, field: Field) -> None:
    verdict = play(field, bug, bug.reference)
    assert verdict.is_clean, verdict_text(verdict)


def test_bugs_cover_the_rules() -> None:
    covered = {bug.rule for bug in BUGS}
    assert RULES.keys() == covered
    assert len(BUGS) >= 25
    assert all(bug.source for bug in BUGS)


# --- careful clients under everything that can go wrong

REQUESTS = (
    {"lose": "reset"}, {"lose": "truncate"}, {"lose": "close"}, {"lose": "html_522"},
    {"lose": {"status": 502, "text": "<h1>Bad Gateway</h1>"}}, {"garble": "json"}, {"garble": "encoding"},
    {"garble": "length"}, {"garbage": True}, {"half_close": True}, {"slow": "7s"}, {"slow": "45s"}, {"slow": "2h"}, {"drip": "2s"}, {"drip": "40s"}, {"lose": "hang"},
    {"refuse": "unavailable"}, {"refuse": "internal"}, {"refuse": "rate"}, {"refuse": "rate", "retry_after": "20s"},
    {"answer": {"status": 503, "text": "busy"}},
)  # fmt: skip
JOBS = (
    {"slow": 10}, {"slow": "2m"}, {"slow": "20m"}, {"slow": "3h"}, {"cancel": "1s"}, {"moderate": True},
    {"time_out": "2s"}, {"hidden": "3s"}, {"hidden": "20s"}, {"gone": "0s"}, {"gone": "5s"},
)  # fmt: skip
OUTPUTS = (
    {"late": "10s"}, {"late": "90s"}, {"dies": "0s"}, {"dies": "5s"}, {"content_type": "text/html"}, {"truncate": 0.5},
    {"short": 0.5}, {"short": 0}, {"corrupt": True}, {"empty_url": True}, {"black": True}, {"reset": True},
    {"resize": [512, 384]}, {"no_range": True},
)  # fmt: skip
DELIVERIES = (
    {"lose": True}, {"duplicate": 3}, {"delay": "10s"}, {"delay": "2h"}, {"early": True}, {"hold": 1},
    {"replay": "20s"},
)  # fmt: skip
ATTEMPTS = (
    {"tamper": "body"}, {"sign": "wrong"}, {"sign": "stale"}, {"sign": "missing"}, {"reserialise": True},
    {"lose": True}, {"answer": 503}, {"answer": 301}, {"answer": 401}, {"reset_after": True}, {"drip": "2s"},
    {"drip": "45s"},
)  # fmt: skip

CAREFUL = (Client, Client, JoinsParts, KeepsABudget)
PROMPTS = ["a fox", "a hare", "an owl"]

counts = st.one_of(st.integers(1, 3), st.sampled_from(["1-2", "2-", "1-6"]), st.just({"every": 2}))


def _rules(provider: str) -> st.SearchStrategy[dict[str, Any]]:
    phase = {"runpod": "IN_PROGRESS", "runflow": "running", "onemin": "PROCESSING"}[provider]
    jobs = (
        *JOBS, {"stuck": phase}, {"words": {phase: "WARMING_UP"}},
        {"extra": {"word": "PAUSED", "after": phase, "lasts": "30s"}},
        {"flicker": {"word": phase, "after": "1s", "lasts": "60s"}},
        {"lose_worker": {"after": "1s", "ends": "succeeded"}},
    )  # fmt: skip
    does = st.sampled_from(["submit", "read", "file"])
    asked = st.builds(
        lambda do, kind, nth: {"on": "request", "when": {"does": kind, "nth": nth}, "do": do},
        st.sampled_from(REQUESTS), does, counts,
    ).filter(lambda rule: not (rule["when"]["does"] == "file" and {"refuse", "answer"} & set(rule["do"])))  # fmt: skip
    made = st.builds(lambda do, nth: {"on": "job", "when": {"nth": nth}, "do": do}, st.sampled_from(jobs), counts)
    shown = st.builds(
        lambda do, nth: {"on": "output", "when": {"nth": nth}, "do": do}, st.sampled_from(OUTPUTS), counts
    )
    sent = st.builds(
        lambda do, nth: {"on": "delivery", "when": {"nth": nth}, "do": do}, st.sampled_from(DELIVERIES), counts
    )
    tried = st.builds(
        lambda do, nth: {"on": "attempt", "when": {"nth": nth}, "do": do}, st.sampled_from(ATTEMPTS), counts
    )
    prices = [{"reading": {"megapixel": "binary"}}] if provider == "runpod" else []
    moved = st.builds(
        lambda do, nth: {"on": "account", "when": {"nth": nth}, "do": do},
        st.sampled_from([{"balance": "0"}, {"balance": "0.03"}, {"balance": "30000"}, *prices]), counts,
    )  # fmt: skip
    always = (asked, made, shown, moved)
    return st.one_of(*always, sent, tried) if DIALECTS[provider].callback else st.one_of(*always)


@st.composite
def plays(draw: st.DrawFn) -> dict[str, Any]:
    """A provider, a seed, a careful client, and what goes wrong: up to four rules, a receiver that is down, limits."""
    provider = draw(st.sampled_from(sorted(DIALECTS)))
    clock = draw(st.sampled_from(["manual", "manual", "stepping:200ms"]))
    limits = draw(st.sampled_from(["on", "on", "on", {"factor": "0.01"}]))
    poor = draw(st.sampled_from([{}, {}, {}, {"balances": "0.01"}]))
    return {
        "provider": provider,
        "rules": draw(st.lists(_rules(provider), max_size=4)),
        "world": {"seed": draw(st.integers(0, 2**32)), "clock": clock, "limits": limits, **poor},
        "down": draw(st.sampled_from([0, 0, 3, 60])),
        "failures": draw(st.lists(st.booleans(), max_size=2)),
        "orders": draw(st.integers(1, 3)),
        "client": draw(st.sampled_from(CAREFUL)),
    }


# 400 scenarios a style; `--hypothesis-profile=long` makes it 12,000, new ones each time.
@pytest.mark.parametrize("style", get_args(Style))
@settings(max_examples=4 * settings().max_examples)
@given(given=plays())
def test_careful_clients_are_left_in_peace(field: Field, style: Style, given: dict[str, Any]) -> None:
    provider = given["provider"]
    at = field.play(provider, scenario=scenario(provider, given["rules"]), **given["world"])
    default = at.world.provider(provider).contract.default_failure
    at.failures = [default if fails else "" for fails in given["failures"]]
    at.hook.down_until = at.now() + given["down"]
    client = at.client(given["client"], style)
    try:
        verdict = at.perform(client, PROMPTS[: given["orders"]], after=9 * DAY)
        assert verdict.is_clean, verdict_text(verdict)
        assert all(order.is_over for order in client.orders)
    finally:
        at.close()
