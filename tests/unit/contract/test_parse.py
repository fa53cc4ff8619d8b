"""What a contract becomes, and the one line that is said about a wrong one."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fauxvider_contracts
from fauxvider.contract.causes import FALLBACKS, face_for
from fauxvider.contract.lint import Finding, findings
from fauxvider.contract.model import Contract, Waits
from fauxvider.contract.parse import ContractFile, load_contract, open_contract
from fauxvider.contract.strict import load_text
from fauxvider.errors import ContractError, Place, UsageError
from support.acme import ACME, ACME_TEXT, changed_acme, line_in_acme


@pytest.fixture(scope="module")
def acme() -> Contract:
    return load_contract(ACME)


def _told(read: Callable[[], ContractFile]) -> list[Finding]:
    """What `fauxvider check` tells about a file."""
    try:
        return findings(read())
    except ContractError as error:
        return [Finding("error", error.place or Place(""), error.problem, error.allowed)]


# --- one wrong thing, one line

WRONG = {one["about"]: one for one in load_text((ACME.parent / "wrong_contracts.yaml").read_text(), file="wrong.yaml")}


@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_thing_gives_one_line(case: str) -> None:
    wrong = WRONG[case]
    found = _told(lambda: changed_acme(wrong["replace"], wrong["by"]))
    assert len(found) == 1, [str(one) for one in found]
    one = found[0]
    assert one.place.file == "acme.yaml"
    assert one.place.pointer == wrong["pointer"]
    assert one.place.line == line_in_acme(wrong["replace"])
    assert one.place.column > 1 or one.place.pointer.count("/") == 1
    assert wrong["problem"] in one.problem
    assert wrong.get("allowed", "") in one.allowed


def test_a_required_error_that_is_missing_is_named() -> None:
    with pytest.raises(ContractError, match="the key 'internal' is missing") as caught:
        changed_acme("  internal: {status", "  upstream2: {status").resolve()
    assert caught.value.place is not None
    assert caught.value.place.pointer == "/errors"


def test_two_models_of_one_key_are_refused() -> None:
    with pytest.raises(ContractError, match="'dev' and 'edit' have the same key") as caught:
        changed_acme("key: [acme-edit]", "key: [acme-dev]").resolve()
    assert caught.value.place is not None
    assert caught.value.place.line == line_in_acme("key: [acme-edit]") - 1


def test_an_error_in_a_part_points_at_the_part() -> None:
    with pytest.raises(ContractError) as caught:
        changed_acme("multipleOf: 64", "multipleOf: 0.5").resolve()
    assert caught.value.place is not None
    assert caught.value.place.pointer == "/models/dev/input/properties/width/multipleOf"
    assert caught.value.place.line == line_in_acme("multipleOf: 64")


def test_an_error_in_a_case_that_is_not_the_default_waits_for_that_case() -> None:
    file = changed_acme('price: "0.03", pixels', "price: much, pixels")
    file.resolve()
    with pytest.raises(ContractError, match="is not an amount of money"):
        file.resolve({"edit.cost": "per_mp"})


@pytest.mark.parametrize("text", ["[]", "text", "1", "null"])
def test_a_contract_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="a contract is a mapping"):
        ContractFile(text, file="f")


SECTIONS = {
    "assets:\n": "the kind 'asset_upload' needs the section `assets`",
    "secrets: {id": "the kind 'secret_create' needs the section `secrets`",
    "callbacks:\n": "the kind 'deliveries' needs the section `callbacks`",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_operations_on_a_section_that_is_not_there_are_refused(section: str) -> None:
    lines, keep = [], True
    for line in ACME_TEXT.splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            keep = not line.startswith(section)
        if keep:
            lines.append(line)
    text = "".join(lines)
    if section == "callbacks:\n":  # a reading has to be used somewhere
        text = text.replace("parts:\n", "parts:\n  x: {$reading: callback.retry, three: 1, one: 2}\n")
    with pytest.raises(ContractError) as caught:
        ContractFile(text, file="f").resolve()
    assert caught.value.problem == SECTIONS[section]


# --- what it becomes


def test_the_sample_says_what_it_says(acme: Contract) -> None:
    assert (acme.provider, acme.title, acme.api.host) == ("acme", "Acme pictures", "api.acme.test")
    assert acme.choice == {"edit.cost": "flat", "callback.retry": "three", "edit.strength": "with"}
    assert acme.account.balance == Decimal(100)
    assert [phase.state.word for phase in acme.phases] == ["IN_QUEUE", "IN_PROGRESS"]
    assert (acme.phases[0].lasts.low, acme.phases[0].lasts.high) == (10, 30)
    assert acme.ends["moderated"].word == "FAILED"
    assert acme.deadlines[0].pointer == ("policy", "executionTimeout")
    assert acme.deadlines[1].failure == ""
    assert acme.ids["sync"].tokens == ("sync-", ("uuid4", ""), "-", ("pick", "u1|u2|e1"))
    assert acme.limits["held"].window == 0
    assert acme.urls["output"].lives == 7 * 86_400_000
    assert acme.assets is not None
    assert acme.assets.max_size == 50_000_000
    assert acme.callbacks is not None
    assert acme.callbacks.retry.delays == (1000, 2000)
    assert acme.unserved[0]["why"] == "outside the picture endpoints"


def test_a_model_is_read_with_exact_numbers(acme: Contract) -> None:
    dev = acme.models["dev"]
    assert dev.cost.price == Decimal("0.02")
    assert (dev.cost.digits, dev.cost.rounding) == (6, "half_up")
    assert dev.defaults["guidance"] == Decimal("3.5")
    assert str(dev.defaults["guidance"]) == "3.5"
    assert "evidence" not in json.dumps(dev.input, default=str)
    assert dev.timing["IN_PROGRESS"].per_step == 130
    assert not acme.models["retired"].active


def test_another_reading_is_another_contract_of_the_same_file() -> None:
    file = ContractFile.read(ACME)
    flat, per_mp = file.resolve(), file.resolve({"edit.cost": "per_mp"})
    assert flat.models["edit"].cost.kind == "per_image"
    assert per_mp.models["edit"].cost.kind == "per_megapixel"
    assert flat.digest == per_mp.digest
    assert file.resolve({"edit.cost": "flat"}) is flat
    assert "strength" not in file.resolve({"edit.strength": "without"}).models["edit"].input["properties"]


@pytest.mark.parametrize(
    ("readings", "problem"),
    [
        (
            {"edit.price": "flat"},
            "acme has no reading 'edit.price' (allowed: edit.cost, callback.retry, edit.strength)",
        ),
        ({"edit.cost": "cheap"}, "the reading 'edit.cost' has no case 'cheap' (allowed: flat, per_mp)"),
    ],
)
def test_a_reading_that_does_not_exist_is_the_callers_fault(readings: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_contract(ACME, readings=readings)
    assert str(caught.value) == problem


def test_an_unknown_provider_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="there is no provider 'nobody'"):
        load_contract("nobody")


def test_the_input_of_a_model_is_checked_where_it_stands(acme: Contract) -> None:
    validator = acme.operations["run"].validators["dev"]
    good = {"input": {"prompt": "a cat", "width": 512}, "webhook": "http://127.0.0.1"}
    assert validator.is_valid(good)
    assert not validator.is_valid({"input": {"prompt": "a cat", "width": 500}})
    (issue,) = validator.issues({"input": {"prompt": "a cat", "width": 500}})
    assert (issue.path, issue.keyword, issue.limit) == (("input", "width"), "multipleOf", 64)
    (issue,) = validator.issues({"input": good["input"], "webhook": 1})
    assert issue.path == ("webhook",)


def test_a_body_without_the_input_of_a_model_is_a_violation(acme: Contract) -> None:
    (issue,) = acme.operations["runsync"].validators["dev"].issues({})
    assert (issue.path, issue.keyword) == (("input",), "required")


def test_local_references_still_hold_inside_the_body() -> None:
    file = changed_acme(
        "num_outputs: {type: integer, default: 1, minimum: 1, maximum: 4,",
        'num_outputs: {$ref: "#/properties/num_inference_steps",',
    )
    validator = file.resolve().operations["run"].validators["dev"]
    assert validator.is_valid({"input": {"prompt": "x", "num_outputs": 50}})
    assert not validator.is_valid({"input": {"prompt": "x", "num_outputs": 51}})


def test_a_model_whose_input_is_the_whole_body_shares_it_with_the_operation() -> None:
    schema = "{type: object, required: [ref], properties: {ref: {type: string, evidence: inferred DOC}}}"
    file = changed_acme("    id: sync\n    input: /input\n", f"    id: sync\n    schema: {schema}\n")
    validator = file.resolve().operations["runsync"].validators["edit"]
    assert validator.is_valid({"prompt": "x", "image": "y", "ref": "z"})
    assert {issue.path for issue in validator.issues({"prompt": "x", "other": 1})} == {("ref",), ("image",), ("other",)}


def test_every_cause_that_resolves_has_a_face(acme: Contract) -> None:
    assert acme.errors["auth_deleted"].status == 401
    assert acme.errors["auth_deleted"].cause == "auth_deleted"
    assert acme.errors["param_enum"].status == 422
    assert acme.errors["url_method"].status == 403
    own = {name: name for name in ("bad_request", "path_unknown", "internal")}
    resolvable = {cause for cause in FALLBACKS if face_for(cause, own)}
    assert {"param_enum", "method_unknown"} <= resolvable
    assert "funds" not in resolvable
    # A file can be asked for by any method and any token: there is an answer, whatever the contract says of files.
    assert {cause for cause in FALLBACKS if cause.startswith("url_")} <= resolvable


def test_an_answer_may_say_an_error_in_its_own_words(acme: Contract) -> None:
    answer = acme.operations["cancel"].answers["already"]
    face = acme.errors[answer.cause]
    assert face.cause == "job_state"
    assert face.values["detail"]({"job": {"status": "FAILED"}}) == "already FAILED"
    assert face.values["title"]({}) == "Conflict"


def test_outcomes_that_are_not_said_answer_with_their_cause(acme: Contract) -> None:
    assert acme.operations["status"].answers["missing"].cause == "job_unknown"
    assert acme.operations["confirm"].answers["pending"].cause == "asset_pending"
    assert acme.operations["secret"].answers["missing"].cause == "secret_unknown"
    assert acme.operations["redeliver"].answers["refused"].cause == "job_state"
    assert set(acme.operations["me"].answers) == {"ok"}


def test_bodies_are_expected_where_the_kind_takes_one(acme: Contract) -> None:
    bodies = {name: one.body for name, one in acme.operations.items()}
    assert (bodies["run"], bodies["upload"], bodies["health"], bodies["secret_off"]) == (
        "json",
        "multipart",
        "none",
        "none",
    )


def test_ways_to_wait_are_read() -> None:
    hold = "waits: {query: wait, default: 90s, min: 1s, max: 300s, outside: clamp}"
    assert load_contract(ACME).operations["runsync"].waits == Waits("wait", 90_000, 1_000, 300_000, "clamp")
    assert changed_acme(hold, "waits: end").resolve().operations["runsync"].waits == Waits()
    until = changed_acme(hold, "waits: {until: end, unless: /input/async}").resolve().operations["runsync"].waits
    assert until == Waits(unless=("input", "async"))


def test_views_and_templates_give_what_the_provider_shows(acme: Contract) -> None:
    body = acme.operations["status"].answers["ok"].body
    assert body is not None
    job = {"id": "j1", "status": "COMPLETED", "state": "succeeded", "result": {"cost": 1}, "failure": {}}
    assert body({"job": job, "mint": {"worker": "w"}}) == {
        "id": "j1", "status": "COMPLETED", "workerId": "w", "output": {"cost": 1},
    }  # fmt: skip


# --- the package of contracts


@pytest.mark.parametrize("name", fauxvider_contracts.provider_names())
def test_a_bundled_contract_is_clean(name: str) -> None:
    file = open_contract(name)
    contract = file.resolve()
    assert contract.provider == name
    assert [str(one) for one in findings(file) if one.severity == "error"] == []


def test_the_published_schema_is_a_schema_that_explains_itself() -> None:
    schema = json.loads(fauxvider_contracts.schema_text())
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert all(
        "description" in _target(schema, one) or "type" in one or "const" in one
        for one in schema["properties"].values()
    )
    open_maps = [
        name
        for name, one in schema["$defs"].items()
        if "properties" in one and one.get("additionalProperties") is not False
    ]
    assert open_maps == []


def _target(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return {**schema["$defs"][node["$ref"].rpartition("/")[2]], **node} if "$ref" in node else node


@pytest.mark.parametrize("name", ["../schema", "a/b", "", "nobody", "..\\x"])
def test_names_lead_to_bundled_contracts_only(name: str) -> None:
    with pytest.raises(LookupError):
        fauxvider_contracts.provider_text(name)


# --- anything else is one placed error

CUTS = st.integers(0, len(ACME_TEXT) - 1)
WORDS = st.sampled_from(
    [
        "null",
        "[]",
        "{}",
        "1",
        "-1",
        "true",
        "'{'",
        "'{x}'",
        "a",
        "/",
        "[[]]",
        "{$use: prompt}",
        ": ",
        "\n",
        "  ",
        "&a",
        "- ",
    ]
)


@settings(max_examples=50)
@given(start=CUTS, length=st.integers(0, 60), word=WORDS)
def test_a_damaged_contract_is_still_one_or_gives_placed_errors(start: int, length: int, word: str) -> None:
    text = ACME_TEXT[:start] + word + ACME_TEXT[start + length :]
    places = [one.place for one in _told(lambda: ContractFile(text, file="acme.yaml"))]
    assert all(place is not None and place.line >= 1 for place in places)


def test_a_contract_may_be_json(tmp_path: Path) -> None:
    tree = load_text(ACME_TEXT, file="acme.yaml")
    path = tmp_path / "acme.json"
    path.write_text(json.dumps(tree, indent="\t", default=float), encoding="utf-8")
    assert load_contract(path).models["dev"].defaults == load_contract(ACME).models["dev"].defaults
