"""fauxvider in pytest: fixtures, marker, contract coverage; strategies and machines for Hypothesis.

The names that tests import. They are loaded when they are first used: pytest loads this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_fauxvider.clocks import WorldClock as WorldClock
    from pytest_fauxvider.examples_world import given_world as given_world
    from pytest_fauxvider.strict import StrictError as StrictError
    from pytest_fauxvider.world import FauxServer as FauxServer
    from pytest_fauxvider.world import FauxWorld as FauxWorld

__all__ = ["FauxServer", "FauxWorld", "StrictError", "WorldClock", "given_world"]

_HOMES = {
    "FauxServer": "pytest_fauxvider.world",
    "FauxWorld": "pytest_fauxvider.world",
    "StrictError": "pytest_fauxvider.strict",
    "WorldClock": "pytest_fauxvider.clocks",
    "given_world": "pytest_fauxvider.examples_world",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pytest_fauxvider' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
