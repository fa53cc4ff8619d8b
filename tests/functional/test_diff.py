"""`fauxvider diff`: every planted change is told, classified and placed; sameness is told as such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from fauxvider import cli
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.toolkit.diff.compare import differences, side_of
from fauxvider_contracts import provider_names

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"
TEXT = ACME.read_text(encoding="utf-8")


def _findings(text: str) -> list[Any]:
    old, new = (ContractFile(one, file=name) for one, name in ((TEXT, "old.yaml"), (text, "new.yaml")))
    return differences(side_of(old, {}), side_of(new, {}))


# What is changed in the contract (old text, new text), where it must be told, and how bad it is.
PLANTED = [
    ("COMPLETED: {is: succeeded", "DONE: {is: succeeded", "/lifecycle/states/DONE", "breaking"),
    ("minimum: 256, maximum: 1536", "minimum: 256, maximum: 1024", "/models/", "breaking"),
    ("minimum: 256, maximum: 1536", "minimum: 256, maximum: 2048", "/models/", "compatible"),
    ("maxLength: 2000", "maxLength: 200", "/models/", "breaking"),
    ("lives: 7d", "lives: 6d", "/urls/", "breaking"),
    ("lives: 7d", "lives: 8d", "/urls/", "compatible"),
    ("{header: API-KEY}", "{header: X-KEY}", "/auth/accept", "breaking"),
    ("balance: \"100.00\"", "balance: \"10.00\"", "/account/balance", "compatible"),
    ("funds: covers", "funds: off", "/account/funds", "compatible"),
    ("charge: [succeeded]", "charge: [succeeded, failed]", "/account/charge", "breaking"),
    ("job_unknown: {status: 404", "job_unknown: {status: 410", "/errors/job_unknown/status", "breaking"),
    ("timeout: 10s", "timeout: 5s", "/callbacks/timeout", "breaking"),
    ("accept: [2xx]", "accept: [200]", "/callbacks/accept", "breaking"),
    ("default: 24h, covers: all", "default: 12h, covers: all", "/lifecycle/deadlines/ttl/default", "breaking"),
    ("visible_after: 0s", "visible_after: 5s", "/lifecycle/visible_after", "breaking"),
    ("unit: USD", "unit: EUR", "/account/unit", "breaking"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "pointer", "severity"), PLANTED, ids=[f"{new}" for _, new, *_ in PLANTED])
def test_a_planted_change_is_told(old: str, new: str, pointer: str, severity: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new).replace(
        "succeeded: COMPLETED,", f"succeeded: {'DONE' if 'DONE' in new else 'COMPLETED'},"
    )
    found = [one for one in _findings(text) if one.pointer.startswith(pointer)]
    assert severity in {one.severity for one in found}, found
    assert all(one.old_line or one.new_line for one in found)


def test_a_contract_is_the_same_as_itself() -> None:
    assert _findings(TEXT) == []
    # Who says so, and in which words, is no rule.
    assert _findings(TEXT.replace("documented page L57", "observed DOC @2026-08-19")) == []


def test_no_reading_is_silent() -> None:
    """Every other case of every reading is a change that somebody found worth naming."""
    file = open_contract("onemin")
    old, silent = side_of(file, {}), []
    for choice in file.choices()[1:]:
        changed = {name: case for name, case in choice.items() if case != file.default_choice[name]}
        if not differences(old, side_of(file, choice)):
            silent.append(changed)
    assert silent == []


def test_another_media_type_breaks_clients() -> None:
    old, new = (side_of(open_contract("runpod"), {"unauthorized.body": case}) for case in ("problem", "empty"))
    found = [one for one in differences(old, new) if one.severity == "breaking"]
    assert {"401 is now answered as text/plain too"} == {one.about for one in found}


def test_witnesses_are_taken_by_one_side_alone() -> None:
    """Every payload told is checked against the two schemas themselves, by a validator of its own."""
    seen = 0
    for name in provider_names():
        file = open_contract(name)
        for choice in file.choices()[1:]:
            old, new = side_of(file, {}), side_of(file, choice)
            inputs = [{name: one.input for name, one in side.contract.models.items()} for side in (old, new)]
            if inputs[0] == inputs[1]:
                continue
            for one in differences(old, new):
                path = one.pointer.split("/")
                if not (one.has_witness and path[1] == "models" and path[3] == "input"):
                    continue
                first, second = (side.contract.models[path[2]].input for side in (old, new))
                takes, refuses = (first, second) if one.severity == "breaking" else (second, first)
                assert jsonschema_rs.is_valid(dict(takes), one.witness), one
                assert not jsonschema_rs.is_valid(dict(refuses), one.witness), one
                seen += 1
    assert seen > 20


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["onemin", "onemin"], 0),
        (["onemin", "onemin", "--fail-on", "any"], 0),
        (["onemin", "onemin@keys.prefix=development"], 0),
        (["onemin", "onemin@keys.prefix=development", "--fail-on", "any"], 1),
        (["onemin", "onemin@words.success=completed"], 1),
        (["onemin", "onemin@words.success=completed", "--fail-on", "none"], 0),
        (["onemin", "onemin", "--reading", "words.success=completed"], 0),
    ],
)
def test_the_exit_code_says_how_bad_it_is(arguments: list[str], code: int) -> None:
    done = CliRunner().invoke(cli._root, ["diff", *arguments])
    assert done.exit_code == code, done.output


def test_the_table_lines_up_and_the_json_says_the_same() -> None:
    table = CliRunner().invoke(cli._root, ["diff", "onemin", "onemin@flux-2-klein-4b.editor_steps=generator_page"])
    head, *rest = table.output.splitlines()[:-1]
    lines = [head, *(line for line in rest if not line.startswith(" "))]
    assert len(lines) > 1
    column = lines[0].index("rule")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)
    told = CliRunner().invoke(
        cli._root, ["diff", "onemin", "onemin@flux-2-klein-4b.editor_steps=generator_page", "--json"]
    )
    document = json.loads(told.output)
    assert document["counts"]["breaking"] >= 1
    (lost,) = [one for one in document["findings"] if one["severity"] == "breaking"]
    assert lost["pointer"] == "/models/flux-2-klein-4b-editor/input/properties/num_inference_steps/maximum"
    assert (lost["old"], lost["new"]) == (50, 4)
    assert lost["witness"]["num_inference_steps"] > 4
    assert lost["old_line"]
    assert lost["new_line"]


@pytest.mark.parametrize("name", ["nobody", "onemin@words.success=no", "onemin@nothing=x", "onemin@words"])
def test_wrong_input_is_told_in_one_line(name: str) -> None:
    from fauxvider.errors import FauxviderError

    done = CliRunner().invoke(cli._root, ["diff", "onemin", name])
    assert isinstance(done.exception, FauxviderError)
    assert "\n" not in str(done.exception)
