"""`fauxvider demo`: the tour as a user sees it, and its sheet with pictures that a formula draws in a pipeline's place."""

from __future__ import annotations

import asyncio
import re
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from fauxvider.cli import demo as command
from fauxvider.engine.recipe import Recipe
from fauxvider.errors import RenderError, UsageError
from fauxvider.ports import OnEvent, Progress, Rendered, Report, Started
from fauxvider.renderers.synthetic import SyntheticRenderer


class Drawn:
    """A pipeline whose pictures are drawn."""

    name = "drawn"

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    async def start(self, *, warm: bool = True) -> None:
        if self.fails:
            raise RenderError(self.fails)

    def problem(self, recipe: Recipe) -> str:
        return ""

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent) -> None:
        data = await asyncio.to_thread(SyntheticRenderer().render, recipe)
        size, steps = (recipe.width, recipe.height), recipe.steps or 4
        unapplied = ("strength",) if recipe.pipeline == "flux2" else ()
        report = Report(
            pipeline=recipe.pipeline, model="tiny", device="cpu", dtype="float32", seed=recipe.seed, steps=steps,
            size=size, rendered=size, queued_ms=1, execution_ms=2, encode_ms=1, unapplied=unapplied,
        )  # fmt: skip
        for event in (Started(job_id, 1), Progress(job_id, steps, steps), Rendered(job_id, data, report)):
            on_event(event)

    def cancel(self, job_id: str) -> bool:
        return False

    async def close(self) -> None:
        pass


def test_the_tour_agrees_with_the_documents(tmp_path: Path) -> None:
    done = CliRunner().invoke(command.demo, ["--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output.count("agrees: ") == 4
    assert "DIFFERS" not in done.output
    assert re.findall(r"attempt \d  \S+ +(.*)", done.output) == ["HTTP 503", "connection reset", "HTTP 200"] * 2
    assert re.findall(r"  7d ([-+]) 1s +HTTP (\d+)", done.output) == [("-", "200"), ("+", "404")]
    page = (tmp_path / "out" / "report.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert len(shown) == 5
    for name in shown:
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == (1024, 1024)
    assert "http" not in page.replace("HTTP", "")  # it needs no network


def test_the_sheet_shows_each_picture_and_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "open_renderer", lambda options: Drawn())
    options = ["--renderer", "diffusers", "--out", str(tmp_path)]
    done = CliRunner().invoke(command.demo, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Rendered by tiny on cpu (float32)" in done.output
    assert done.output.count("waited 1 ms, ran 2 ms") == 14
    assert "cannot apply: strength" in done.output
    assert "pixel for pixel seed 42" in done.output
    strengths = [float(one) for one in re.findall(r"([\d.]+) of 255 from the source", done.output)]
    assert len(strengths) == 4
    assert strengths == sorted(strengths)
    with Image.open(BytesIO((tmp_path / "sheet.png").read_bytes())) as sheet:
        assert sheet.width > 5 * 320
        assert len(sheet.convert("P").getcolors(256) or []) > 50
    assert '<a href="sheet.png">' in (tmp_path / "report.html").read_text()


def test_a_pipeline_that_cannot_start_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "open_renderer", lambda options: Drawn("no such device"))
    error = CliRunner().invoke(command.demo, ["--renderer", "diffusers", "--out", str(tmp_path)]).exception
    assert isinstance(error, UsageError)
    assert str(error) == "no such device"
