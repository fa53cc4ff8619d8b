"""The bill, explained: what was charged twice for one intent, what disagrees, what is over the budget."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.analysis.ledger import check_budget, explain_ledger, ledger_text
from fauxvider.contract.parse import open_contract
from fauxvider.errors import UsageError
from support.acme import ACME
from support.journals import START, charged, entry, everything, is_tame, legal_entries, lost_answer, poll, submit

CONTRACTS = {"acme": open_contract(ACME).resolve()}


def paid(at: int, number: int, job: str, **facts: Any) -> list[dict[str, Any]]:
    return [*submit(at, number, job, **facts), charged(at + 100, job)]


def test_a_charge_has_its_job_request_model_and_rule() -> None:
    first, second = explain_ledger(lost_answer(), CONTRACTS).charges
    assert (first.at, first.job, first.request, first.model) == (START + 4_000, "J1", 1, "dev")
    assert (first.amount, first.unit, first.rule) == (Decimal("0.02"), "USD", "/models/dev/cost")
    assert first.says == "per megapixel 0.02 USD"
    assert (first.shown, second.shown) == (None, Decimal("0.02"))


def test_charges_are_grouped_by_intent_and_by_body() -> None:
    report = explain_ledger([*paid(0, 1, "J1", intent="i1"), *paid(9, 2, "J2", intent="i2"), *paid(20, 3, "J3")])
    assert [(one.fingerprint, len(one.charges)) for one in report.intents] == [("i1", 1), ("i2", 1)]
    assert [(one.fingerprint, one.total) for one in report.bodies] == [("f1", Decimal("0.06"))]


def test_a_lost_answer_and_a_second_charge_are_one_intent() -> None:
    (found,) = explain_ledger(lost_answer()).doubled
    assert (found.reason, found.apart, found.extra, found.unit) == ("answer lost", 12_003, Decimal("0.02"), "USD")
    assert [(one.number, one.fate) for one in found.requests] == [(1, "answer lost: lose reset"), (2, "HTTP 201")]
    assert found.sentence == (
        "One intent was charged twice: without an answer, the client sent the same body again without an idempotency "
        "key. Request 1 (+0.000s, answer lost: lose reset) and request 2 (+12.003s, HTTP 201), 12.003s apart. "
        "0.02 USD too much."
    )


def test_one_idempotency_key_that_was_charged_twice_leaves_no_doubt() -> None:
    entries = [*paid(0, 1, "J1", intent="i"), *paid(90_000_000, 2, "J2", intent="i", fingerprint="f2")]
    (found,) = explain_ledger(entries).doubled
    assert found.reason == "same key"
    assert "the same idempotency key" in found.sentence


def test_a_job_that_was_charged_twice_leaves_no_doubt_either() -> None:
    (found,) = explain_ledger([*paid(0, 1, "J1"), charged(900, "J1")]).doubled
    assert found.reason == "same job"
    assert found.sentence.startswith("One job was charged twice. Request 1 ")


def test_the_same_body_after_a_good_answer_may_be_meant() -> None:
    (found,) = explain_ledger([*paid(0, 1, "J1"), *paid(5_000, 2, "J2")]).doubled
    assert found.reason == "same body"
    assert "Unless each of them was meant, 0.02 USD too much." in found.sentence


def test_a_new_key_for_a_retry_is_told() -> None:
    entries = [*paid(0, 1, "J1", intent="i1", status=502), *paid(5_000, 2, "J2", intent="i2")]
    (found,) = explain_ledger(entries).doubled
    assert found.reason == "answer lost"
    assert "the same body again under another idempotency key" in found.sentence


def test_a_retry_while_the_answer_is_still_held_is_one_intent() -> None:
    entries = [*paid(0, 1, "J1", ended=START + 30_000), *paid(10_000, 2, "J2")]
    assert [one.reason for one in explain_ledger(entries).doubled] == ["answer lost"]


def test_no_extra_charge_is_counted_twice() -> None:
    entries = [
        *paid(0, 1, "J1", fault="lose reset"), *paid(5_000, 2, "J2"), *paid(60_000, 3, "J3"),
        *paid(120_000, 4, "J4", status=504), *paid(125_000, 5, "J5"), charged(126_000, "J5"),
    ]  # fmt: skip
    found = explain_ledger(entries).doubled
    extra = [(charge.job, charge.at) for one in found for charge in one.charges[1:]]
    assert len(extra) == len(set(extra)) == 5
    assert sum(one.extra for one in found) == Decimal("0.10")
    assert sorted(one.reason for one in found) == ["answer lost", "answer lost", "same body", "same job"]


@pytest.mark.parametrize("other", [{"model": "edit"}, {"provider": "other"}, {"fingerprint": "f2"}])
def test_another_model_provider_or_body_is_another_intent(other: dict[str, str]) -> None:
    one = [*paid(0, 1, "J1", fault="lose reset"), *submit(9, 2, "J2", **other)]
    provider = other.get("provider", "acme")
    assert explain_ledger([*one, charged(50, "J2", provider=provider)]).doubled == ()


def test_replayed_requests_of_a_charged_job_are_no_second_charge() -> None:
    again = submit(500, 2, "J1", intent="i")[1]
    assert explain_ledger([*paid(0, 1, "J1", intent="i"), again]).doubled == ()


def test_another_cost_in_the_answer_is_told() -> None:
    entries = [*paid(0, 1, "J1"), poll(900, 2, "J1", "succeeded", "COMPLETED", shown_cost="0.03")]
    (found,) = explain_ledger(entries).differences
    assert found.sentence == (
        "Job J1 was charged 0.02 USD, but the provider's answer showed 0.03 USD: 0.01 USD too little."
    )


def test_a_cost_that_was_shown_and_never_charged_is_told_unless_entries_are_missing() -> None:
    shown = [*submit(0, 1, "J1"), poll(900, 2, "J1", "succeeded", "COMPLETED", shown_cost="0.03")]
    assert [one.charged for one in explain_ledger(shown, CONTRACTS).differences] == [Decimal(0)]
    report = explain_ledger([*shown, entry(950, "dropped", what="entries", count=9)])
    assert (report.differences, report.dropped) == ((), 9)


def test_sums_are_exact() -> None:
    amounts = ["0.1", "0.2", "1" + "0" * 29, "0.0000000000000000000001"]
    report = explain_ledger([charged(number, f"J{number}", amount) for number, amount in enumerate(amounts)])
    assert report.totals == {"USD": Decimal("100000000000000000000000000000.3000000000000000000001")}


def test_a_budget_names_the_charge_that_passed_it() -> None:
    report = explain_ledger(lost_answer())
    assert check_budget(report, {"USD": "0.04"}) == []
    assert check_budget(report, {"USD": Decimal("0.03")}) == [
        "0.04 USD was charged, 0.01 USD over the budget of 0.03 USD; charge 2 of 2 passed it, for job J2 at +16.003s"
    ]


@pytest.mark.parametrize("budget", [{"usd": "1"}, {"USD": 0.1}, {"USD": "much"}])
def test_a_budget_that_cannot_be_meant_is_refused(budget: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        check_budget(explain_ledger(lost_answer()), budget)


def test_an_amount_that_is_no_decimal_is_refused() -> None:
    with pytest.raises(UsageError):
        explain_ledger([charged(0, "J1", "a lot")])


def test_the_text_lines_up() -> None:
    entries = [*paid(0, 1, "J1"), *submit(5_000, 2, "J2", fingerprint="f2"), charged(65_100, "J2", "10.5")]
    assert ledger_text(explain_ledger(entries)) == (
        "        at  job  model  request  amount  unit  rule\n"
        "   +0.100s  J1   dev          1    0.02  USD   /models/dev/cost\n"
        "+1m05.100s  J2   dev          2   10.5   USD   /models/dev/cost\n\n"
        "Total: 10.52 USD"
    )


def test_the_text_of_an_empty_journal() -> None:
    assert ledger_text(explain_ledger([])) == "Nothing was charged."


def test_the_text_ends_with_what_is_wrong() -> None:
    text = ledger_text(explain_ledger([*lost_answer(), entry(99_000, "dropped", what="entries", count=3)]))
    assert "\n\nCharged twice: One intent was charged twice" in text
    assert text.endswith("Incomplete: 3 journal entries were dropped, charges may be among them.")


@given(st.one_of(legal_entries(), st.just(everything(lambda text: f"\x1b[31m\n{text}"))))
def test_any_journal_has_a_report_whose_parts_agree(entries: list[dict[str, Any]]) -> None:
    report = explain_ledger(entries, CONTRACTS)
    kept = [one for one in entries if one["kind"] == "charged"]
    assert len(report.charges) == len(kept)
    assert all(len(one.charges) > 1 for one in report.doubled)
    extra = [id(charge) for one in report.doubled for charge in one.charges[1:]]
    assert len(extra) == len(set(extra))
    assert all(map(is_tame, ledger_text(report).split("\n")))
