"""The scenarios that are bundled, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from fauxvider.errors import UsageError
from fauxvider_contracts import scenario_names, scenario_path

__all__ = ["bundled_scenario", "is_file_name", "scenario_place"]

_SUFFIXES = (".yaml", ".yml", ".json")


def is_file_name(text: str) -> bool:
    """Tell whether a text names a file: a bundled scenario has neither folder nor ending."""
    return "/" in text or "\\" in text or text.endswith(_SUFFIXES)


def scenario_place(text: str) -> Path:
    """Give the file that a text names: a bundled scenario's, or one of the caller's. Raises UsageError."""
    return Path(text) if is_file_name(text) or Path(text).is_file() else bundled_scenario(text)


def bundled_scenario(name: str) -> Path:
    """Give the file of a bundled scenario. Raises UsageError, naming those near it."""
    known = list(scenario_names())
    if name in known:
        return scenario_path(name)
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; near it: {', '.join(near)}" if near else f" (there are {len(known)}: {', '.join(known[:6])}, ...)"
    raise UsageError(f"there is no bundled scenario {name!r}{hint}; a file's name ends with {' or '.join(_SUFFIXES)}")
