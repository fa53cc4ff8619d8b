"""Changing a contract's text: each change in its place, everything else as it was."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.lint import findings
from fauxvider.contract.parse import ContractFile
from fauxvider.errors import UsageError
from fauxvider.toolkit.verify.case import Case, Result
from fauxvider.toolkit.verify.edits import Editor, flow
from fauxvider.toolkit.verify.propose import propose
from fauxvider.toolkit.verify.wants import Mismatch

ACME = Path(__file__).parents[2] / "data" / "acme.yaml"
FILE = ContractFile.read(ACME)
TEXT = ACME.read_text(encoding="utf-8")


def edited(*changes: tuple[str, Any]) -> str:
    editor = Editor(FILE, {}, TEXT)
    for pointer, value in changes:
        assert editor.put_key(pointer, value)
    return editor.text


def at(text: str, pointer: str) -> Any:
    return Editor(ContractFile(text, file="edited.yaml"), {}, text).at(pointer)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/errors/job_unknown/status", 410),
        ("/errors/job_unknown/values/detail", 'with "quotes", {{braces}} and a\nbreak'),
        ("/urls/output/lives", "1d"),
        ("/models/dev/cost/price", "0.025"),
        ("/callbacks/retry/delays", ["1s", "2s"]),
        ("/lifecycle/phases/0/lasts", "20s"),
        ("/operations/run/answers/ok/status", 202),
        ("/envelopes/html/content_type", "application/xhtml+xml"),
    ],
)
def test_a_value_is_changed_in_its_place(pointer: str, value: Any) -> None:
    text = edited((pointer, value))
    assert at(text, pointer) == value
    assert [str(one) for one in findings(ContractFile(text, file="edited.yaml")) if one.severity == "error"] == []


def test_comments_and_readings_stay() -> None:
    text = edited(("/errors/job_unknown/status", 410))
    changed = [(old, new) for old, new in zip(TEXT.splitlines(), text.splitlines(), strict=True) if old != new]
    assert len(changed) == 1


def test_two_changes_in_one_mapping_are_both_made() -> None:
    editor = Editor(FILE, {}, TEXT)
    assert editor.drop_key("/operations/purge/answers/ok/body/removed")
    assert editor.put_key("/operations/purge/answers/ok/body/gone", "{counts.removed}")
    assert at(editor.text, "/operations/purge/answers/ok/body") == {"status": "completed", "gone": "{counts.removed}"}


def test_what_is_not_there_cannot_be_changed() -> None:
    editor = Editor(FILE, {}, TEXT)
    assert not editor.drop_key("/errors/nothing/status")
    assert not editor.put_key("/nowhere/at/all", 1)
    assert editor.text == TEXT


def test_flow_is_exact() -> None:
    assert flow({"a": Decimal("0.020"), "b": [None, True, "16:9"]}) == '{"a": 0.02, "b": [null, true, "16:9"]}'


# --- from mismatches to changes


def proposal(*mismatches: Mismatch, rule: str = "/x", name: str = "a case") -> Any:
    case = Case(name, rule, lambda _session: None)
    return propose(FILE, {}, [Result(case, "failed", mismatches=mismatches)], date="2026-11-21")


def cost(wanted: str, got: str) -> Mismatch:
    return Mismatch("/models/dev/cost", "/output/cost", wanted, got, Decimal(got))


def test_a_price_follows_what_was_seen() -> None:
    found = proposal(cost("0.02097152", "0.0262144"), cost("0.00131072", "0.0016384"))
    assert at(found.text, "/models/dev/cost/price") == "0.025"
    assert "observed verify-2026-11-21 @2026-11-21" in str(at(found.text, "/models/dev/cost/evidence"))
    assert at(found.text, "/sources/verify-2026-11-21/retrieved") == "2026-11-21"


def test_prices_that_no_rule_gives_are_left() -> None:
    found = proposal(cost("0.02", "0.03"), cost("0.04", "0.05"), cost("0.06", "0.09"))
    assert found.changes == []
    assert found.text == TEXT
    assert "/models/dev/cost" in found.left[0]


def test_a_word_is_renamed_wherever_it_stands() -> None:
    found = proposal(Mismatch("/lifecycle/states/IN_PROGRESS", "/status", "IN_PROGRESS", "WORKING", "WORKING"))
    assert "WORKING" in at(found.text, "/lifecycle/states")
    assert at(found.text, "/lifecycle/phases/1/state") == "WORKING"
    assert "WORKING" in at(found.text, "/models/dev/timing")


def test_a_template_is_not_guessed_at() -> None:
    found = proposal(Mismatch("/issues/texts/multipleOf", "/error", "a", "b", "b"))
    assert found.changes == []
    assert len(found.left) == 1


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-1-1x", ""])
def test_a_date_is_a_date(day: str) -> None:
    with pytest.raises(UsageError, match="YYYY-MM-DD"):
        propose(FILE, {}, [], date=day)
