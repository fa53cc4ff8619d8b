"""Hypothesis strategies for what clients of a provider meet, from its contract alone (docs/strategies.md).

Names are loaded when they are first used, so that looking up a type costs Hypothesis nothing at its start.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_fauxvider.strategies.answers import error_responses, responses
    from pytest_fauxvider.strategies.breaking import Broken, Rule, from_schema_broken, rules_of
    from pytest_fauxvider.strategies.received import callbacks, deliveries
    from pytest_fauxvider.strategies.refusals import invalid_submissions
    from pytest_fauxvider.strategies.requests import submissions
    from pytest_fauxvider.strategies.scenario_rules import scenarios
    from pytest_fauxvider.strategies.schema import any_json, from_schema
    from pytest_fauxvider.strategies.timeline import moments
    from pytest_fauxvider.strategies.values import Delivery, Moment, Response, Submission, World
    from pytest_fauxvider.strategies.world_options import worlds

__all__ = [
    "Broken",
    "Delivery",
    "Moment",
    "Response",
    "Rule",
    "Submission",
    "World",
    "any_json",
    "callbacks",
    "deliveries",
    "error_responses",
    "from_schema",
    "from_schema_broken",
    "invalid_submissions",
    "moments",
    "responses",
    "rules_of",
    "scenarios",
    "submissions",
    "worlds",
]

_HOMES = {
    "answers": ("error_responses", "responses"),
    "breaking": ("Broken", "Rule", "from_schema_broken", "rules_of"),
    "received": ("callbacks", "deliveries"),
    "refusals": ("invalid_submissions",),
    "requests": ("submissions",),
    "scenario_rules": ("scenarios",),
    "schema": ("any_json", "from_schema"),
    "timeline": ("moments",),
    "values": ("Delivery", "Moment", "Response", "Submission", "World"),
    "world_options": ("worlds",),
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
