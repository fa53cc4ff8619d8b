"""docs/verdict.md says what is so: its table has every rule, and its example is what the rules give."""

from __future__ import annotations

from pathlib import Path

from fauxvider.analysis.verdict import RULES, judge, verdict_text
from fauxvider.clock import EPOCH
from fauxvider.service.emulator import NOTES
from support.acme import changed_acme
from support.tales import Tale

PAGE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    lines = PAGE.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_rule_has_its_row() -> None:
    found = rows("## The rules\n\n")
    assert found == [[f"`{name}`", rule.severity, rule.about, rule.harm, rule.fix] for name, rule in RULES.items()]


def test_every_note_has_its_row() -> None:
    table = PAGE[PAGE.index("| `said` |") :]
    said = [line.split("`")[1] for line in table.split("\n\n")[0].splitlines()[2:]]
    assert sorted(said) == sorted(NOTES)


def test_the_example_is_what_comes_out() -> None:
    tale = Tale().submit(fault="lose reset").submit(1, "J2").end(4).end(5, job="J2")
    for at, job in ((6, "J1"), (6, "J2")):
        tale.poll(at, "succeeded", job).file(at, job)
    contract = changed_acme("Acme pictures", "Acme pictures").resolve({})
    text = verdict_text(judge(tale.entries, {"acme": contract}, now=EPOCH + 10_000))
    assert text in PAGE
