"""What docs/real-pipeline.md says is what the code and the contracts do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from fauxvider.cli.rendering import RENDER_OPTIONS, with_options
from fauxvider.contract.model import LiveFailure
from fauxvider.contract.parse import load_contract
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.parameters import PIPELINES, call_for
from fauxvider.renderers.diffusers.protocol import Render
from fauxvider_contracts import tour_text

PAGE = (Path(__file__).parents[3] / "docs" / "real-pipeline.md").read_text(encoding="utf-8")


def rows(mark: str) -> list[list[str]]:
    """Give the cells of the table that follows a mark, its head first."""
    table = PAGE.split(f"<!-- table: {mark} -->\n")[1].split("\n\n")[0]
    lines = [line for line in table.split("\n") if not line.startswith("|---")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def test_each_documented_model_has_the_pipeline_that_the_page_names() -> None:
    documented = [f"{stop['provider']}/{stop['model']}" for stop in json.loads(tour_text())["stops"]]
    said = {row[0]: row[1:4] for row in rows("pipelines")[1:]}
    assert sorted(said) == sorted(documented)
    for name, (pipeline, class_name, family) in said.items():
        provider, _, model = name.partition("/")
        assert load_contract(provider).models[model].picture.pipeline == pipeline
        assert (PIPELINES[pipeline].class_name, PIPELINES[pipeline].family) == (class_name, family)


@pytest.mark.parametrize("row", rows("pipelines")[1:], ids=lambda row: row[1])
def test_what_is_not_applied_is_what_the_page_names(row: list[str]) -> None:
    everything = Render(
        "1", row[1], 512, 512, "png", None, "a fox", "rain", 1, 8, 3.0, 0.5, (("bytes", "a"),) * 2, None, (b"",) * 2
    )
    unapplied = call_for(everything, tiny=True, max_side=None).unapplied
    said = [name.removeprefix("further ") for name in row[5].split(", ")]
    if "one source" in row[4]:  # and two were given
        said += ["sources"] if "sources" not in said else []
    assert sorted(unapplied) == sorted(said)


def test_each_end_is_the_failure_that_the_page_names() -> None:
    head, *table = rows("ends")
    contracts = {provider: load_contract(provider) for provider in head[1:]}
    said = {row[0].partition(":")[0]: dict(zip(head[1:], row[1:], strict=True)) for row in table}
    assert said == {
        kind: {provider: contract.live[kind] for provider, contract in contracts.items()}
        for kind in get_args(LiveFailure)
    }
    text = PAGE.partition("<!-- table: ends -->")[2]
    options = Options()
    assert f"takes longer (default {options.deadline_s:g})" in PAGE
    assert f"{options.max_queue} jobs of that folder" in text
    assert f"within {options.cancel_s:g} seconds" in PAGE


def test_the_page_names_each_option() -> None:
    def command() -> None:
        pass

    with_options(RENDER_OPTIONS)(command)
    flags = {param.opts[0] for param in command.__click_params__}  # type: ignore[attr-defined]
    assert flags - {"--renderer"} == set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))
    assert f"(default {Options().max_workers}, " in PAGE
