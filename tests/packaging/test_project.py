"""The project's own files: settings that are in force, links that lead somewhere, a hook that works."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest
import yaml

from fauxvider import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def test_pytest_reads_its_settings(pytestconfig: pytest.Config) -> None:
    """[tool.pytest] is silently ignored by pytest 8."""
    assert pytestconfig.inipath == ROOT / "pyproject.toml"
    assert pytestconfig.getini("filterwarnings")[0] == "error"
    assert pytestconfig.getini("strict") is True
    assert pytestconfig.getoption("importmode") == "importlib"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_hook_checks_contracts() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, name, *rest = hook["entry"].split()
    assert (program, rest) == ("fauxvider", [])
    assert cli._root.get_command(click.Context(cli._root), name)
    bundled = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("contracts/*/providers/*.yaml")]
    assert bundled
    assert all(re.search(hook["files"], path) for path in bundled)


def test_the_script_of_ci_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_workflow_runs_jobs_that_there_are() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    calls = re.findall(r"\.ci/run ([a-z ]+)$", workflow, re.MULTILINE)
    jobs = {job for call in calls for job in call.split()}
    assert jobs == set(re.findall(r"^job_(\w+)\(\)", script, re.MULTILINE))
