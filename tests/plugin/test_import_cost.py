"""What loading the plugin loads: next to nothing, in every project that has fauxvider installed."""

from __future__ import annotations

from typing import Any

import pytest

HEAVY = (
    "PIL", "anyio", "asyncio", "click", "fauxvider.embedded", "fauxvider.service", "h11", "httpx", "hypothesis",
    "fauxvider.toolkit", "jsonschema", "jsonschema_rs", "orjson", "starlette", "uvicorn", "yaml",
)  # fmt: skip
TESTS = "@acme\ndef test_it(fauxvider):\n    pass\n"


@pytest.fixture
def loaded(suite: Any) -> Any:
    """Run pytest apart from this process, with no other plugin; give which of the heavy modules it has loaded."""

    def run(*args: str) -> list[str]:
        suite.pytester.makeconftest(f"""
import sys


def pytest_collection_finish(session):
    print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules])
""")
        suite.tests(TESTS)
        # Plugins of others load what they like; with this setting pytest loads those alone that are named.
        suite.pytester._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        result = suite.pytester.runpytest_subprocess("-s", "-p", "pytest_fauxvider.plugin", *args)
        (line,) = (line for line in result.outlines if line.startswith("loaded:"))
        return list(line.split()[1:])

    return run


def test_collecting_loads_nothing_heavy(loaded: Any) -> None:
    assert loaded("--collect-only") == []
    assert loaded("--fauxvider-trace=on", "--fauxvider-strict=all", "--fauxvider-seed=4") == []


def test_naming_what_tests_import_loads_nothing_either(loaded: Any, suite: Any) -> None:
    (suite.path / "names.py").write_text("import pytest_fauxvider\nassert dir(pytest_fauxvider)\n")
    assert loaded("-p", "names") == []
    names = "from pytest_fauxvider import assert_valid_request, fauxvider_contract_cases\n"
    (suite.path / "used.py").write_text(names)
    assert "fauxvider.toolkit" in loaded("-p", "used")


def test_the_test_would_notice(loaded: Any, suite: Any) -> None:
    (suite.path / "heavy.py").write_text("import yaml, orjson\n")
    assert loaded("-p", "heavy") == ["orjson", "yaml"]


def test_the_entry_point_loads_it(suite: Any) -> None:
    suite.tests(TESTS)
    result = suite.run_apart("--trace-config")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*fauxvider-*pytest_fauxvider*plugin.py*"])
