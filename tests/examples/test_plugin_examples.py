"""The plugin's examples run as a user runs them, and its page quotes them and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_fauxvider import assert_valid_request
from pytest_fauxvider.asked import ARGUMENTS
from pytest_fauxvider.coverage.model import WHAT
from pytest_fauxvider.options import CHECKS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "plugin"
PAGE = (ROOT / "docs" / "pytest-plugin.md").read_text(encoding="utf-8")


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the examples somewhere else, where no settings of this project hold."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COLUMNS"))}
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:asyncio", *args]
    return subprocess.run(
        command, cwd=folder, env={**env, "COLUMNS": "110"}, capture_output=True, text=True, timeout=120, check=False
    )


def marked(kind: str) -> dict[str, str]:
    found = re.findall(rf"<!-- {kind}: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
    assert found
    return dict(found)


def first_column(table: str) -> list[str]:
    rows = PAGE.split(f"<!-- table: {table} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_a_bug_is_found(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "-q", "test_hasty_client.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert marked("shown")["test_hasty_client"].rstrip() in done.stdout
    assert "charged 0.02097152 USD for" in done.stdout
    assert (tmp_path / "it").joinpath(*_replayed(done.stdout).split("/")).is_file()
    assert _replayed(done.stdout) in PAGE


def _replayed(text: str) -> str:
    found = re.search(r"^replay:   fauxvider replay (\S+)$", text, re.MULTILINE)
    assert found
    return found[1]


def test_the_others_pass_and_face_what_the_page_says(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "-q", "--fauxvider-coverage", "test_worlds.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert marked("shown")["coverage"] in done.stdout


def test_the_examples_of_hypothesis(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "-q", "test_examples_world.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_of_documented_bodies(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "-q", "test_documented_bodies.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 50


def test_what_is_said_of_a_wrong_request() -> None:
    sent = {"input": {"prompt": "a lighthouse at dusk", "width": 1000}}
    url = "https://api.runpod.ai/v2/black-forest-labs-flux-1-dev/run"
    with pytest.raises(AssertionError) as caught:
        assert_valid_request("runpod", "POST", url, headers={"Authorization": "Bearer my-key"}, json=sent)
    lines = [re.sub(r"yaml:\d+", "yaml:_", line) for line in str(caught.value).splitlines()]
    assert lines == re.sub(r"yaml:\d+", "yaml:_", marked("shown")["invalid-request"]).splitlines()


def test_the_page_quotes_files() -> None:
    quoted = marked("file")
    assert {name: (ROOT / name).read_text(encoding="utf-8") for name in quoted} == quoted
    assert {Path(name).name for name in quoted} == {path.name for path in FOLDER.glob("test_*.py")}


def test_its_tables_are_whole(pytestconfig: pytest.Config) -> None:
    assert first_column("arguments") == list(ARGUMENTS)
    assert first_column("checks") == list(CHECKS)
    assert first_column("coverage") == list(WHAT)
    options = {name.removesuffix("s") if name == "fauxvider_readings" else name for name in vars(pytestconfig.option)}
    told = {name.removeprefix("--").replace("-", "_") for name in first_column("options") if name.startswith("--")}
    assert told == {name for name in options if name.startswith("fauxvider_")}
