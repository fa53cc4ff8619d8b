"""What one test asks of its world: the marker's arguments, merged and checked. Stdlib and pytest only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

__all__ = ["ARGUMENTS", "MARKER", "asked_by", "check_names", "merged"]

# argument -> what it is; docs/pytest-plugin.md has the same table
ARGUMENTS: Mapping[str, str] = {
    "scenario": "what goes wrong: the name of a bundled scenario, a file, a mapping or a Scenario",
    "clock": "real, scaled:N, manual, stepping:SPAN",
    "now": "where the clock begins: ISO 8601 with a zone, or ms since the epoch",
    "readings": "{reading: case} or {provider: {reading: case}}",
    "strict": "which checks a test ends with: True, False, names, or -NAME to leave one out",
    "ignore": "rules of the verdict that do not matter here",
    "seed": "the world's seed, instead of one that is made from the test's name",
    "keys": "the API keys that are good; any without",
    "balances": "{provider: amount}, or one amount for all",
    "limits": "'on', 'off' or {'factor': N}",
    "sleep": "'virtual' or 'real'",
    "answers": "what the receiver answers: [503, 'reset', 200]",
}
MARKER = (
    f"fauxvider(*providers, {', '.join(ARGUMENTS)}): what the test's world is like, and what its end is checked for. "
    "See docs/pytest-plugin.md."
)
_MERGED = ("readings", "balances")


def check_names(given: Iterable[str], where: str) -> None:
    """Raise ValueError for an argument that does not exist, naming those that do."""
    for name in given:
        if name not in ARGUMENTS:
            near = difflib.get_close_matches(name, ARGUMENTS, n=1)
            hint = f" - did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has no argument {name!r}{hint} (it has: {', '.join(ARGUMENTS)})")


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Put options over each other, the last on top; readings and balances are merged name by name."""
    found: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = found.get(name)
            if name in _MERGED and isinstance(value, Mapping) and isinstance(below, Mapping):
                found[name] = _over(below, value)
            else:
                found[name] = value
    return found


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        known = found.pop(name, None)  # what is said last also stands last: it wins over another way of saying it
        found[name] = {**known, **value} if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found


def asked_by(item: pytest.Item) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Give the providers and the options that a test's markers ask for; the nearest marker wins.

    Raises ValueError for what no marker takes.
    """
    providers: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("fauxvider"))):  # from the farthest to the nearest
        check_names(mark.kwargs, "@pytest.mark.fauxvider")
        for name in mark.args:
            if not isinstance(name, str):
                raise ValueError(f"@pytest.mark.fauxvider takes names of providers, not {name!r}")  # noqa: TRY004 - told as one line
        providers = mark.args or providers
        options = merged(options, mark.kwargs)
    return providers, options
