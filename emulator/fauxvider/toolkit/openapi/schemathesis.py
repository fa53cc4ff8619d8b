"""Settings for Schemathesis: every check is on, but for what the contract says that the provider does otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["schemathesis_settings"]

# What Schemathesis accepts of a request that fits the schema, unless told; see its `positive_data_acceptance`.
_ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")


def schemathesis_settings(document: Mapping[str, Any]) -> str:
    """Give the text of a schemathesis.toml for an exported document: one entry a deviation, with its reason.

    It switches checks off (or widens the statuses that they accept) only for what stands in
    ``x-fauxvider-deviations``, and names the line of the contract beside each. The key is taken from the
    environment, from FAUXVIDER_KEY.
    """
    provider = document["info"]["x-fauxvider"]
    lines = [f"# Made from {provider['contract']} (sha256 {provider['digest']}); do not edit.", *_key(document)]
    by_operation: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for one in document["x-fauxvider-deviations"]:
        for name in one.get("operations", ["*"]):
            by_operation.setdefault(name, {}).setdefault(one["check"], []).append(one)
    for check, found in by_operation.pop("*", {}).items():
        lines += ["", *_reasons(found), f"[checks.{check}]", *_setting(found)]
    for name, checks in by_operation.items():
        lines += ["", "[[operations]]", f"include-operation-id = {json.dumps(name)}"]
        for check, found in checks.items():
            lines += [*_reasons(found), f"[operations.checks.{check}]", *_setting(found)]
    return "\n".join(lines) + "\n"


def _key(document: Mapping[str, Any]) -> list[str]:
    """Let the API key come from the environment, for the first way of sending it."""
    for name, scheme in document["components"]["securitySchemes"].items():
        word = "bearer" if scheme["type"] == "http" else "api_key"
        return ["", f"[auth.openapi.{json.dumps(name)}]", f'{word} = "${{FAUXVIDER_KEY}}"']
    return []


def _reasons(found: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"# {one['reason']} ({one['x-fauxvider-pointer']}, line {one['x-fauxvider-line']}: "
        f"{'; '.join(one.get('x-fauxvider-evidence', ['no evidence']))})"
        for one in found
    ]


def _setting(found: list[Mapping[str, Any]]) -> list[str]:
    statuses = [str(status) for one in found for status in one.get("statuses", ())]
    if not statuses:
        return ["enabled = false"]
    return [f"expected-statuses = {json.dumps([*_ACCEPTED, *dict.fromkeys(statuses)])}"]
