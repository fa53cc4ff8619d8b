"""Changing a contract's text: each change in its place, everything else as it was."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.lint import findings
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.templates import TemplateCompiler
from fauxvider.engine.signing import sign
from fauxvider.errors import UsageError
from fauxvider.toolkit.verify.case import Case, Result
from fauxvider.toolkit.verify.edits import Editor, flow
from fauxvider.toolkit.verify.propose import propose
from fauxvider.toolkit.verify.signatures import other_signing
from fauxvider.toolkit.verify.wants import Mismatch
from fauxvider_contracts import provider_path

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


# --- what was measured


def pace(rule: str, ms: int, low: int, high: int) -> Mismatch:
    return Mismatch(rule, "pace", f"{low} to {high} ms", f"{ms} ms", {"ms": ms, "low": low, "high": high})


@pytest.mark.parametrize(
    ("rule", "ms", "low", "high", "wanted"),
    [
        ("/lifecycle/phases/1/lasts", 8_050, 4_000, 4_000, "8000ms"),
        ("/lifecycle/phases/1/lasts", 1_010, 4_000, 4_000, "1000ms"),
        ("/lifecycle/phases/0/lasts", 190, 10, 30, {"uniform": ["100ms", "300ms"]}),
    ],
)
def test_a_law_lasts_so_many_times_as_long(rule: str, ms: int, low: int, high: int, wanted: Any) -> None:
    found = proposal(pace(rule, ms, low, high))
    assert at(found.text, rule) == wanted
    assert "times as long" in found.changes[0]
    assert f"{ms} ms were seen" in found.changes[0]


def test_a_law_of_work_keeps_its_form() -> None:
    old = FILE.resolved()["models"]["dev"]["timing"]["IN_PROGRESS"]
    assert "work" in old
    new = at(
        proposal(pace("/models/dev/timing/IN_PROGRESS", 5_000, 9_900, 10_100)).text, "/models/dev/timing/IN_PROGRESS"
    )
    assert new.keys() == old.keys()
    assert new["work"]["steps"] == old["work"]["steps"]
    assert new.get("spread") == old.get("spread")
    assert new["work"]["base"] != old["work"]["base"]


def test_states_come_in_another_order() -> None:
    words = ["IN_PROGRESS", "IN_QUEUE"]
    found = proposal(Mismatch("/lifecycle/phases", "states", "", "", words))
    phases = at(found.text, "/lifecycle/phases")
    assert [one["state"] for one in phases] == words
    assert all("observed verify-2026-11-21 @2026-11-21 - its place" in one["evidence"] for one in phases)
    unknown = proposal(Mismatch("/lifecycle/phases", "states", "", "", ["IN_PROGRESS", "ELSEWHERE"]))
    assert unknown.changes == []


def test_a_signature_is_made_in_another_way() -> None:
    way = {"text": "{delivery.id}.{payload}", "encoding": "base64"}
    found = proposal(Mismatch("/callbacks/signature", "the way of signing", "", "", way))
    assert {key: at(found.text, f"/callbacks/signature/{key}") for key in way} == way
    name = next(iter(FILE.resolved()["callbacks"]["headers"]))
    moved = proposal(
        Mismatch(f"/callbacks/headers/{name}", "the signature's header", name, "X-Sign", {"header": "X-Sign"})
    )
    assert "X-Sign" in at(moved.text, "/callbacks/headers")
    assert name not in at(moved.text, "/callbacks/headers")


def test_how_it_was_signed_is_found_out() -> None:
    rule = FILE.resolve().callbacks.signature  # type: ignore[union-attr]
    assert rule is not None
    names = {"payload": '{"a":1}', "timestamp": "1763600000", "delivery": {"id": "dlv_1"}, "job": {"id": "j"}}
    secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="
    compiler = TemplateCompiler({})
    for text in ("{timestamp}.{payload}", "{delivery.id}.{timestamp}.{payload}"):
        for encoding in ("hex", "base64"):
            made = sign(replace(rule, text=compiler.compile(text), encoding=encoding), secret, names)
            way = other_signing(rule, secret, names, f"t=1,v1={made}")
            assert way is not None
            assert (way.get("text", text), way.get("encoding", rule.encoding)) == (text, encoding)
    assert other_signing(rule, secret, names, "nonsense") is None
    assert other_signing(rule, "another secret", names, sign(rule, secret, names)) is None


def test_a_word_of_another_reading_switches_to_it() -> None:
    file = ContractFile.read(provider_path("onemin"))
    text = provider_path("onemin").read_text(encoding="utf-8")
    reading = next(
        name for name, one in file.readings.items()
        if any("COMPLETED" in file.resolved({name: case})["lifecycle"]["states"] for case in one.cases)
    )  # fmt: skip
    case = Case("a case", "/x", lambda _session: None)
    missed = Mismatch("/lifecycle/states/SUCCESS", "/status", "SUCCESS", "COMPLETED", "COMPLETED")
    found = propose(file, {}, [Result(case, "failed", mismatches=(missed,))], date="2026-11-21")
    default = ContractFile(found.text, file="new.yaml").readings[reading].default
    assert "COMPLETED" in file.resolved({reading: default})["lifecycle"]["states"]
    assert found.text != text
