"""Finding the scenario that a test names: a bundled one, a file, a text, a mapping, or one that has been read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError
from fauxvider.scenario.library import bundled_scenario, is_file_name
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario

__all__ = ["find_scenario"]


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
    if isinstance(asked, Path) or (isinstance(asked, str) and is_file_name(asked)):
        return read_scenario(_file(Path(asked), folders), contracts=contracts)
    if isinstance(asked, str):
        return read_scenario(bundled_scenario(asked), contracts=contracts)
    raise UsageError(f"a scenario is the name of a bundled one, a file, a mapping or a Scenario; not {asked!r}")


def _file(path: Path, folders: tuple[Path, ...]) -> Path:
    tried = [folder / path for folder in (*folders, Path.cwd())]
    found = next((one for one in tried if one.is_file()), None)
    if found is None:
        places = ", ".join(dict.fromkeys(str(one.parent) for one in tried))
        raise UsageError(f"there is no scenario file {str(path)!r} in {places}")
    return found
