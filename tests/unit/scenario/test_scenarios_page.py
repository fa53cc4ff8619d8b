"""docs/scenarios.md says what is so: every key, every fault and every named scenario has its row, and no other has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fauxvider.scenario.conditions import CONDITIONS
from fauxvider.scenario.faults import COMPANIONS, FAULTS
from fauxvider.scenario.model import Stage
from fauxvider.scenario.parse import read_scenario
from fauxvider_contracts import scenario_names, scenario_path

PAGE = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def cells(after: str) -> list[list[str]]:
    """Give the rows of the first table after a text."""
    lines = PAGE.split(after, 1)[1].partition("|---")[2].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


@pytest.mark.parametrize("stage", FAULTS)
def test_every_fault_has_its_row(stage: Stage) -> None:
    shown = " ".join(row[0] for row in cells(f"\n`on: {stage}`"))
    beside = {key for extra in COMPANIONS[stage].values() for key in extra}
    assert set(re.findall(r"`(\w+):", shown)) == FAULTS[stage].keys() | beside


def test_every_condition_has_its_row() -> None:
    assert {name for row in cells("\n`when`:") for name in re.findall(r"`(\w+)`", row[0])} == CONDITIONS.keys()


def test_every_named_scenario_has_its_row() -> None:
    known = [read_scenario(scenario_path(name)) for name in scenario_names()]
    assert cells("\n## The library") == [[f"`{one.name}`", one.provider or "any", one.about] for one in known]
