"""Rules for the sources that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from fauxvider_contracts import provider_names

ROOT = Path(__file__).parents[2]
FOLDERS = {"contracts": "fauxvider_contracts", "emulator": "fauxvider", "pytest_plugin": "pytest_fauxvider"}
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
# Names of the providers, their hosts and their words for things.
NAMES = (*provider_names(), "1min", "run pod", "run flow", "aiRecord")


# A short name is a part of other words: `fal` of `false` and `default`.
_NAMED = re.compile(
    "|".join(re.escape(name) if len(name) > 4 else rf"(?<![a-z]){name}(?![a-z])" for name in NAMES), re.IGNORECASE
)

_CITED = re.compile(r"\b[\w.-]+(/[\w.-]+)?#\d+")  # an issue that a rule rests on is a source, whoever's it is


def _named(source: str) -> list[str]:
    """Give the lines of a module, docstrings too, that name a provider."""
    return [line for line in source.splitlines() if _NAMED.search(_CITED.sub("", line))]


def _modules(*folders: str) -> list[Any]:
    """Give the modules below these folders as parameters."""
    found = [path.relative_to(ROOT).as_posix() for path in MODULES]
    return [pytest.param(ROOT / name, id=name) for name in found if name.partition("/")[0] in folders]


@pytest.mark.parametrize("path", _modules("emulator", "pytest_plugin"))
def test_no_shipped_module_names_a_provider(path: Path) -> None:
    assert _named(path.read_text(encoding="utf-8")) == []


def test_the_rule_would_notice() -> None:
    for line in (
        'if provider == "RunPod":',
        "class Runflow:",
        'host = "api.1min.ai"',
        "# as runpod does",
        '"""Of onemin."""',
        'header = "X-Fal-Request"',
        "def fal_address():",
    ):
        assert _named(line) == [line]
    assert _named("default = False  # falls back") == []
    assert _named("runpod-python#250, runpod/runpodctl#1") == []


@pytest.mark.parametrize(("folder", "package"), FOLDERS.items())
def test_each_folder_holds_one_package_and_nothing_else(folder: str, package: str) -> None:
    found = {path.name for path in (ROOT / folder).iterdir() if path.name != "__pycache__"}
    assert found == {package}
    assert (ROOT / folder / package / "__init__.py").is_file()
    assert (ROOT / folder / package / "py.typed").is_file()


@pytest.mark.parametrize("path", _modules(*FOLDERS))
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", _modules(*FOLDERS))
def test_every_module_has_the_house_s_manners(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    if len(tree.body) > 1:
        assert ast.get_docstring(tree), "a module says what it is"
        assert "from __future__ import annotations" in source
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: an assert does not check arguments"


INCIDENT = re.compile(r"incidents\.md (C\d+|row \d+|appendix \d+)")


def test_every_incident_that_is_named_is_told() -> None:
    told = (ROOT / "docs/incidents.md").read_text(encoding="utf-8")
    texts = [
        path
        for folder in (*FOLDERS, "tests", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".yaml")
    ]
    named = {name for path in texts for name in INCIDENT.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 15
    assert {name for name in named if name not in told and name.removeprefix("row ") not in told} == set()


# A test that asserts how long something took fails on a machine that is busy: figures stand in benchmarks/.
_CLOCK = re.compile(
    r"\b(perf_counter|process_time|thread_time|monotonic)(_ns)?\b|\btime\.time(_ns)?\(|loop(\(\))?\.time\(\)"
)
# Who looks at a clock all the same, and why no machine is too slow for it.
MAY_LOOK = {
    "packaging/test_sources.py": "it looks for their names",
    "plugin/test_options.py": "asks whether the functions are the standard library's own",
    "plugin/test_sleeping.py": "the clocks are virtual there",
    "plugin/test_sleeping_plugin.py": "the clocks are virtual there",
    "support/crashing.py": "writes down when commits were made, for their order",
    "support/documented.py": "gives up after some minutes, and tells the longest that a run can have taken",
    "support/machine.py": "stands for the machine's clocks with numbers",
    "support/patience.py": "gives up after a minute",
    "unit/test_clock.py": "its clocks are numbers, but for one that is right to the minute",
}


def test_no_test_measures_time() -> None:
    files = {path.relative_to(ROOT / "tests").as_posix(): path for path in (ROOT / "tests").rglob("*.py")}
    found = {name for name, path in files.items() if _CLOCK.search(path.read_text(encoding="utf-8"))}
    assert found == set(MAY_LOOK)


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("began = time.perf_counter()", True),
        ("assert process_time() - began < 1", True),
        ("at = time.time()", True),
        ("from time import monotonic_ns", True),
        ("asyncio.get_running_loop().time()", True),
        ("at = fauxvider_clock.time()", False),
        ('monkeypatch.setattr(module, "monotonic_ms", ticking)', False),
    ],
)
def test_what_reads_a_clock(line: str, is_found: bool) -> None:
    assert bool(_CLOCK.search(line)) is is_found
