"""fauxvider in pytest: fixtures, marker, contract coverage; strategies and machines for Hypothesis.

The names that tests import. They are loaded when they are first used: pytest loads this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_fauxvider.clocks import WorldClock as WorldClock
    from pytest_fauxvider.contract_cases import ContractCase as ContractCase
    from pytest_fauxvider.contract_cases import fauxvider_contract_cases as fauxvider_contract_cases
    from pytest_fauxvider.examples_world import given_world as given_world
    from pytest_fauxvider.strict import StrictError as StrictError
    from pytest_fauxvider.valid_requests import assert_valid_request as assert_valid_request
    from pytest_fauxvider.valid_requests import assert_valid_response as assert_valid_response
    from pytest_fauxvider.world import FauxServer as FauxServer
    from pytest_fauxvider.world import FauxWorld as FauxWorld

__all__ = [
    "ContractCase",
    "FauxServer",
    "FauxWorld",
    "StrictError",
    "WorldClock",
    "assert_valid_request",
    "assert_valid_response",
    "fauxvider_contract_cases",
    "given_world",
]

_HOMES = {
    "ContractCase": "pytest_fauxvider.contract_cases",
    "FauxServer": "pytest_fauxvider.world",
    "FauxWorld": "pytest_fauxvider.world",
    "StrictError": "pytest_fauxvider.strict",
    "WorldClock": "pytest_fauxvider.clocks",
    "assert_valid_request": "pytest_fauxvider.valid_requests",
    "assert_valid_response": "pytest_fauxvider.valid_requests",
    "fauxvider_contract_cases": "pytest_fauxvider.contract_cases",
    "given_world": "pytest_fauxvider.examples_world",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pytest_fauxvider' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
