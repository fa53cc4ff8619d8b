"""Finding the scenario that a test names: a bundled one, a file, a text, a mapping, or one that has been read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario
from fauxvider_contracts import scenario_names, scenario_path

__all__ = ["find_scenario"]

_SUFFIXES = (".yaml", ".yml", ".json")


def find_scenario(asked: object, *, contracts: Mapping[str, Contract], folders: tuple[Path, ...] = ()) -> Scenario:
    """Give the scenario. Files are looked for in `folders`, in this order, then where pytest was started.

    Raises UsageError or ContractError, naming what there is.
    """
    if isinstance(asked, Scenario):
        return asked
    if isinstance(asked, Mapping):
        return read_scenario(asked, contracts=contracts)
    if isinstance(asked, str) and ("\n" in asked or asked.lstrip().startswith("{")):
        return read_scenario(asked, contracts=contracts)
    if isinstance(asked, Path) or (isinstance(asked, str) and _is_file_name(asked)):
        return read_scenario(_file(Path(asked), folders), contracts=contracts)
    if isinstance(asked, str):
        return read_scenario(_bundled(asked), contracts=contracts)
    raise UsageError(f"a scenario is the name of a bundled one, a file, a mapping or a Scenario; not {asked!r}")


def _is_file_name(text: str) -> bool:
    return "/" in text or "\\" in text or text.endswith(_SUFFIXES)


def _file(path: Path, folders: tuple[Path, ...]) -> Path:
    tried = [folder / path for folder in (*folders, Path.cwd())]
    found = next((one for one in tried if one.is_file()), None)
    if found is None:
        places = ", ".join(dict.fromkeys(str(one.parent) for one in tried))
        raise UsageError(f"there is no scenario file {str(path)!r} in {places}")
    return found


def _bundled(name: str) -> Path:
    known: Any = scenario_names()
    if name in known:
        return scenario_path(name)
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; near it: {', '.join(near)}" if near else f" (there are {len(known)}: {', '.join(known[:6])}, ...)"
    raise UsageError(f"there is no bundled scenario {name!r}{hint}; a file's name ends with {' or '.join(_SUFFIXES)}")
