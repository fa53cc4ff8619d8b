"""What a person reads when asking who says so."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import fauxvider_contracts
from fauxvider.cli.check import explain as command
from fauxvider.contract.explain import explain, rule_rows
from fauxvider.contract.parse import open_contract
from fauxvider.contract.rules import rules
from fauxvider.contract.strict import load_text, pointer_text
from fauxvider.errors import UsageError
from support.acme import ACME, line_in_acme

SAMPLE = open_contract(ACME)


def block(text: str, title: str) -> list[str]:
    """The lines of one table, without its title."""
    found = [part.splitlines() for part in text.split("\n\n") if part.startswith(title)]
    assert len(found) == 1, title
    return found[0][1:]


def test_the_overview_counts_the_rules_by_level() -> None:
    lines = block(explain(SAMPLE), "Rules by their strongest evidence")
    assert [line.split()[0] for line in lines[1:]] == ["documented", "observed", "inferred", "assumed"]
    assert sum(int(line.split()[1]) for line in lines[1:]) == len(rule_rows(SAMPLE))


def test_the_overview_lists_what_is_assumed_with_its_line_and_reason() -> None:
    rows = block(explain(SAMPLE), "Assumed")
    (row,) = [row for row in rows if "/errors/url_unknown" in row]
    assert row.split() == ["/errors/url_unknown", str(line_in_acme("  url_unknown: {")), "as", "S3", "answers"]
    assert len(rows) - 1 == sum(row.is_assumed for row in rule_rows(SAMPLE))


def test_the_overview_lists_what_is_not_served() -> None:
    assert "GET /v2/usage  outside the picture endpoints  documented page L19" in explain(SAMPLE)


def test_the_overview_lists_every_reading_with_its_default_marked() -> None:
    lines = block(explain(SAMPLE), "Readings")
    assert [line.split()[1:3] for line in lines if "edit.cost" in line] == [["*", "flat"]]
    assert any(line.strip().startswith("per_mp   0.03 per megapixel") for line in lines)


def test_a_rule_is_shown_with_its_source_document_and_lines() -> None:
    text = explain(SAMPLE, "/models/edit/cost")
    assert text.startswith(f"/models/edit/cost\n{ACME}:")
    assert '{kind: per_image, price: "0.025"}' in text
    assert block(text, "Evidence")[1].split() == [
        ".", "documented", "page", "57", "Acme", "pictures", "page", "acme.txt", "(2026-11-20)",
    ]  # fmt: skip


def test_a_rule_that_depends_on_a_reading_shows_all_cases() -> None:
    text = explain(SAMPLE, "/models/edit/cost")
    assert "* flat    0.025 per image" in text
    assert "per_mp  0.03 per megapixel" in text
    assert 'With edit.cost: per_mp\n  {kind: per_megapixel, price: "0.03"' in text


def test_a_value_inside_a_rule_is_answered_for_by_the_rule() -> None:
    text = explain(SAMPLE, "/models/dev/cost/price")
    assert text.splitlines()[3] == '  "0.02"'
    assert block(text, "Evidence")[1].split()[:4] == ["/models/dev/cost", "documented", "page", "51"]


def test_a_rule_from_a_part_is_explained_where_it_is_used() -> None:
    assert "multipleOf: 64" in explain(SAMPLE, "/models/dev/input/properties/width")


def test_what_only_another_case_has_is_explained_under_that_case() -> None:
    text = explain(SAMPLE, "/models/edit/cost/pixels_per_megapixel")
    assert "only with the reading edit.cost: per_mp" in text
    assert "1048576" in text


def test_a_pointer_to_nothing_says_what_there_is() -> None:
    with pytest.raises(UsageError, match="has nothing at /models/edit/price; below /models/edit there is: key, facts"):
        explain(SAMPLE, "/models/edit/price")


@pytest.mark.parametrize("name", ["acme", *fauxvider_contracts.provider_names()])
def test_everything_fits_100_columns(name: str) -> None:
    file = SAMPLE if name == "acme" else open_contract(name)
    pointers = ["", *{f"/{row.pointer.split('/')[1]}" for row in rule_rows(file)}]
    lines = [line for pointer in pointers for line in explain(file, pointer).splitlines()]
    # a file's place is one word, as long as the folder that the contract is installed in
    assert [line for line in lines if len(line) > 100 and " " in line.strip("- ")] == []


@pytest.mark.parametrize("name", ["acme", *fauxvider_contracts.provider_names()])
def test_what_is_printed_of_a_rule_reads_back_as_the_rule(name: str) -> None:
    file = SAMPLE if name == "acme" else open_contract(name)
    for path, node in rules(file.resolved()):
        printed = explain(file, pointer_text(path)).split("\n\n")[1]
        if isinstance(node, dict):
            assert load_text(printed, file="printed") == bare(node), path


def bare(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: bare(v) for k, v in node.items() if k != "evidence" or not isinstance(v, str | list)}
    return [bare(one) for one in node] if isinstance(node, list) else node


def test_columns_line_up() -> None:
    lines = block(explain(SAMPLE), "Operations")
    column = lines[0].index("request")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)


def test_the_command_prints_and_refuses() -> None:
    good = CliRunner().invoke(command, [str(ACME), "/auth"], catch_exceptions=False)
    assert good.exit_code == 0
    assert "scheme: Bearer" in good.output
    bad = CliRunner().invoke(command, [str(ACME), "/nothing"], catch_exceptions=False)
    assert bad.exit_code == 2
    assert "acme has nothing at /nothing" in bad.output
    unknown = CliRunner().invoke(command, ["nobody"], catch_exceptions=False)
    assert unknown.exit_code == 2
    assert "there is no provider 'nobody'" in unknown.output
