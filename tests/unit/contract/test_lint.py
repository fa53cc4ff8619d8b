"""What `fauxvider check` finds in a contract that can be read, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fauxvider_contracts
from fauxvider.cli.check import check
from fauxvider.contract.evidence import evidence_text, parse_evidence
from fauxvider.contract.lint import Finding, findings
from fauxvider.contract.model import Evidence
from fauxvider.contract.parse import ContractFile, load_contract, open_contract
from fauxvider.errors import ContractError
from support.acme import ACME, ACME_TEXT, changed_acme, line_in_acme

# about -> replaced, by, severity, pointer, problem
FOUND = {
    "a rule without evidence": (
        "scope: run, evidence: observed DOC @2026-08-19}", "scope: run}",
        "error", "/ids/worker", "a rule without evidence",
    ),
    "an operation without evidence": (
        "at: \"{now|iso_s_z}\"}}}, evidence: documented page L50}", "at: \"{now|iso_s_z}\"}}}}",
        "error", "/operations/me", "a rule without evidence",
    ),
    "an input property without evidence": (
        "{type: string, evidence: documented page L27}", "{type: string}",
        "error", "/models/edit/input/properties/image", "a rule without evidence",
    ),
    "a reading's case without evidence": (
        '{says: "0.025 per image", evidence: documented page L57}', '{says: "0.025 per image"}',
        "error", "/readings/edit.cost/cases/flat", "a rule without evidence",
    ),
    "an undeclared source": (
        "evidence: documented page L95}", "evidence: documented paper L95}",
        "error", "/origins/images/evidence", "the source 'paper' is not declared (allowed: page, DOC)",
    ),
    "documented by nobody": (
        "evidence: documented page L95}", "evidence: documented}",
        "error", "/origins/images/evidence", "documented evidence names its source",
    ),
    "a given document without lines": (
        "evidence: documented page L95}", "evidence: documented page}",
        "error", "/origins/images/evidence", "'page' is a given document: say which lines",
    ),
    "a line behind the end of the document": (
        "evidence: documented page L95}", "evidence: documented page L119-121}",
        "error", "/origins/images/evidence", "'page' has 120 lines, not 121",
    ),
    "lines that run backwards": (
        "evidence: documented page L95}", "evidence: documented page L9-5}",
        "error", "/origins/images/evidence", "L9-5 is not a range of lines",
    ),
    "a day that is none": (
        "evidence: documented page L95}", 'evidence: "documented page L95 @2026-02-31"}',
        "error", "/origins/images/evidence", "2026-02-31 is not a day",
    ),
    "evidence in no shape": (
        "evidence: documented page L95}", "evidence: documented on the page}",
        "error", "/origins/images/evidence", "is not evidence; the shape is LEVEL",
    ),
    "an assumption without a reason": (
        "evidence: assumed - as S3 answers}", "evidence: assumed}",
        "warning", "/errors/url_unknown/evidence", "assumed, without a note",
    ),
    "a price without a unit": ("{unit: USD, balance", "{balance", "error", "/account", "there are prices, but no unit"),
    "a limit that nobody answers for": (
        "  rate: {status: 429", "  moderated: {status: 429",
        "error", "/operations/run/limits", "`errors` has no face for 'rate'",
    ),
    "a conflict that nobody answers for": (
        "  conflict: {status", "  url_forged: {status", "error", "/idempotency", "no face for 'conflict'",
    ),
    "a state that cannot be reached": (
        "    FAILED: {is: failed,", "    LOST: {is: failed, evidence: documented page L33}\n    FAILED: {is: failed,",
        "warning", "/lifecycle/states/LOST", "the state 'LOST' cannot be reached",
    ),
    "a part that nothing uses": (
        "parts:\n", "parts:\n  spare: {a: 1}\n", "warning", "/parts/spare", "the part 'spare' is used nowhere",
    ),
    "a view that nothing shows": (
        "views:\n", "views:\n  spare: {a: 1}\n", "warning", "/views/spare", "'spare' in `views` is used nowhere",
    ),
    "an id that nothing mints": (
        "ids:\n", 'ids:\n  spare: {pattern: "{hex:8}", scope: job, evidence: documented page L30}\n',
        "warning", "/ids/spare", "'spare' in `ids` is used nowhere",
    ),
    "a source that nothing cites": (
        "sources:\n", "sources:\n  OLD: {title: an old page}\n",
        "warning", "/sources/OLD", "'OLD' in `sources` is used nowhere",
    ),
    "a limit on nothing": (
        "limits: [run, held]\n", "limits: [run]\n", "warning", "/limits/held", "'held' in `limits` is used nowhere",
    ),
    "a parameter that no model has": (
        'steps: "{param.num_inference_steps}", guidance', 'steps: "{param.step}", guidance',
        "warning", "/models/dev/picture/steps", "no model has an input property 'step'",
    ),
}  # fmt: skip


def test_what_a_url_borrows_from_another_cause_is_no_face_of_its_own() -> None:
    found = findings(changed_acme("  url_expired: {status: 403", "  moderated: {status: 403"))
    told = {one.problem for one in found if one.severity == "error"}
    assert "the URL expires, but `errors` has no face for 'url_expired'" in told


@pytest.mark.parametrize("case", FOUND)
def test_a_doubtful_contract_gives_one_finding(case: str) -> None:
    old, new, severity, pointer, problem = FOUND[case]
    (found,) = findings(changed_acme(old, new))
    assert (found.severity, found.place.pointer) == (severity, pointer)
    assert problem in found.problem
    assert found.place.line > 0


def test_the_sample_is_clean() -> None:
    assert findings(open_contract(ACME)) == []


def test_what_only_another_case_brings_is_found_too() -> None:
    old = "evidence: documented page L52}\n    picture"
    (found,) = findings(changed_acme(old, "evidence: documented page L999}\n    picture"))
    assert found.place.line == line_in_acme(old)
    assert "120 lines, not 999" in found.problem


def test_an_error_of_another_case_does_not_hide_what_the_default_says() -> None:
    text = ACME_TEXT.replace('price: "0.03", pixels', "price: much, pixels").replace("{unit: USD, balance", "{balance")
    problems = [one.problem for one in findings(ContractFile(text, file="acme.yaml"))]
    assert problems == ["there are prices, but no unit", '"much" is not an amount of money']


def test_what_one_case_uses_is_used() -> None:
    """`strength` is a property under one case only; a name for it is no slip."""
    text = 'picture: {prompt: "{param.prompt}", sources'
    assert findings(changed_acme(text, text.replace("sources", 'strength: "{param.strength}", sources'))) == []


def test_loading_with_lint_raises_the_first_error(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(ACME_TEXT.replace("{unit: USD, balance", "{balance"), encoding="utf-8")
    assert load_contract(path).account.unit == ""
    with pytest.raises(ContractError, match="there are prices, but no unit"):
        load_contract(path, lint=True)


# --- evidence


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("documented page L103", Evidence("documented", "page", ((103, 103),))),
        ("documented page L3-5,9 - twice", Evidence("documented", "page", ((3, 5), (9, 9)), "", "twice")),
        ("observed GP16 @2026-08-19 - two captures", Evidence("observed", "GP16", (), "2026-08-19", "two captures")),
        ("inferred DOC - other POSTs answer 201", Evidence("inferred", "DOC", (), "", "other POSTs answer 201")),
        ("assumed - nobody says; 404 - honest", Evidence("assumed", "", (), "", "nobody says; 404 - honest")),
        ("assumed", Evidence("assumed")),
    ],
)
def test_evidence_is_read_and_written_alike(text: str, evidence: Evidence) -> None:
    assert parse_evidence(text) == evidence
    assert evidence_text(evidence) == text


@pytest.mark.parametrize(
    "text", ["", "documentd page L3", "documented page 103", "documented page L0", "observed GP16 @yesterday", 7, None]
)  # fmt: skip
def test_what_is_no_evidence_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not evidence|is not a range"):
        parse_evidence(text)


# --- the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(check, arguments, catch_exceptions=False)


def saved(tmp_path: Path, old: str, new: str) -> str:
    assert old in ACME_TEXT
    path = tmp_path / "acme.yaml"
    path.write_text(ACME_TEXT.replace(old, new, 1), encoding="utf-8")
    return str(path)


def test_a_clean_file_is_one_line() -> None:
    result = run(str(ACME))
    assert result.exit_code == 0
    assert result.output == f"{ACME}: ok: acme, 3 models, 21 operations, 3 readings, 0 warnings\n"


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = saved(tmp_path, "funds: covers", "funds: maybe")
    result = run(path)
    line = line_in_acme("funds: covers")
    assert result.exit_code == 2
    assert result.output == (
        f'{path}:{line}:48: /account/funds: "maybe" is not one of the known words (allowed: positive, covers, off)\n'
    )


def test_warnings_are_shown_and_fail_only_when_strict(tmp_path: Path) -> None:
    path = saved(tmp_path, "evidence: assumed - as S3 answers}", "evidence: assumed}")
    lax, strict = run(path), run("--strict", path)
    assert (lax.exit_code, strict.exit_code) == (0, 2)
    assert "/errors/url_unknown/evidence: warning: assumed, without a note" in lax.output
    assert lax.output.splitlines()[-1].endswith("1 warning")


def test_every_file_is_checked_after_a_bad_one(tmp_path: Path) -> None:
    result = run(saved(tmp_path, "contract: 1", "contract: [1"), str(tmp_path / "none.yaml"), "nobody", str(ACME))
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert len(lines) == 4
    assert "this is not YAML" in lines[0]
    assert "the file cannot be read: No such file" in lines[1]
    assert "there is no provider 'nobody'" in lines[2]
    assert ": ok: acme" in lines[3]


@pytest.mark.parametrize("name", fauxvider_contracts.provider_names())
def test_bundled_contracts_are_clean_of_errors(name: str) -> None:
    result = run(name)
    assert result.exit_code == 0, result.output


def test_a_finding_reads_like_a_compilers() -> None:
    (found,) = findings(changed_acme("funds: covers", "funds: maybe"))
    assert isinstance(found, Finding)
    assert str(found).startswith(f"acme.yaml:{line_in_acme('funds: covers')}:48: /account/funds: ")
