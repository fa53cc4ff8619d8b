"""What Hypothesis finds of ours by itself: types, profiles; and what its start costs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import find
from hypothesis import strategies as st

from fauxvider.scenario.model import Scenario
from pytest_fauxvider import strategies
from pytest_fauxvider.hypothesis_hook import setup
from pytest_fauxvider.strategies import Delivery, Moment, Response, Submission, World

HEAVY = ("yaml", "starlette", "uvicorn", "jsonschema", "jsonschema_rs", "orjson", "httpx", "click", "PIL")


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_importing_hypothesis_imports_nothing_heavy() -> None:
    code = f"import sys, hypothesis\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert _python(code) == "[]"


def test_the_hook_itself_imports_nothing_heavy() -> None:
    code = f"""
import sys, hypothesis
from pytest_fauxvider.hypothesis_hook import setup
setup()
print([name for name in {HEAVY!r} if name in sys.modules], "pytest_fauxvider.strategies.requests" in sys.modules)"""
    assert _python(code) == "[] False"


def test_the_package_names_its_hook() -> None:
    from importlib.metadata import entry_points

    found = [one.value for one in entry_points(group="hypothesis") if one.value.startswith("pytest_fauxvider")]
    assert found == ["pytest_fauxvider.hypothesis_hook:setup"]


@pytest.mark.parametrize("ci", ["", "true"])  # Hypothesis has its own defaults on a CI machine
def test_profiles_are_there_and_none_is_loaded(ci: str) -> None:
    code = """
from hypothesis import Verbosity, settings
before = settings.default
from pytest_fauxvider.hypothesis_hook import setup
setup()
ci, nightly, debug = (settings.get_profile(f"fauxvider-{name}") for name in ("ci", "nightly", "debug"))
print(settings.default == before, ci.derandomize, ci.deadline, ci.database, nightly.max_examples, nightly.derandomize)
print(debug.verbosity == Verbosity.verbose)"""
    assert _python(code, CI=ci).split() == ["True", "True", "None", "None", "2000", "False", "True"]


@pytest.mark.parametrize("kind", [Scenario, Submission, World, Response, Delivery, Moment])
def test_types_have_strategies(kind: type) -> None:
    setup()
    assert isinstance(find(st.from_type(kind), lambda _: True), kind)


def test_all_names_are_there() -> None:
    assert [name for name in strategies.__all__ if not hasattr(strategies, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'submision'"):
        _ = strategies.submision  # type: ignore[attr-defined]
