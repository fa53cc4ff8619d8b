"""The bundled contracts, cases and scenarios, and the published schemas of their languages: data, and its readers."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = [
    "case_names",
    "case_text",
    "provider_names",
    "provider_path",
    "provider_text",
    "scenario_names",
    "scenario_path",
    "scenario_text",
    "schema_text",
    "tour_text",
]


def schema_text(name: str = "contract-1") -> str:
    """Give the text of a published JSON Schema. Raises LookupError if there is none of that name."""
    return _found("schema", f"{name}.schema.json").read_text(encoding="utf-8")


def provider_names() -> tuple[str, ...]:
    """Name the bundled contracts, sorted."""
    return _names("providers")


def provider_text(name: str) -> str:
    """Give the text of a bundled contract. Raises LookupError if there is none of that name."""
    return _found("providers", f"{name}.yaml").read_text(encoding="utf-8")


def provider_path(name: str) -> Path:
    """Give the file of a bundled contract. Raises LookupError if there is none of that name."""
    with as_file(_found("providers", f"{name}.yaml")) as path:
        return path


def scenario_names() -> tuple[str, ...]:
    """Name the bundled scenarios, sorted."""
    return _names("scenarios")


def scenario_text(name: str) -> str:
    """Give the text of a bundled scenario. Raises LookupError if there is none of that name."""
    return _found("scenarios", f"{name}.yaml").read_text(encoding="utf-8")


def scenario_path(name: str) -> Path:
    """Give the file of a bundled scenario. Raises LookupError if there is none of that name."""
    with as_file(_found("scenarios", f"{name}.yaml")) as path:
        return path


def _names(folder: str) -> tuple[str, ...]:
    place = files(__name__) / folder
    if not place.is_dir():
        return ()
    names = (entry.name for entry in place.iterdir())
    return tuple(sorted(name.partition(".")[0] for name in names if name.endswith((".yaml", ".json"))))


def case_names(provider: str) -> tuple[str, ...]:
    """Name the documented cases of a provider, sorted; () for one that has none."""
    folder = _cases() / provider
    if "/" in provider or "\\" in provider or not folder.is_dir():
        return ()
    return tuple(sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")))


def case_text(provider: str, name: str) -> str:
    """Give the text of a documented case (docs/fixtures.md). Raises LookupError if there is none of that name."""
    if name not in case_names(provider):
        raise LookupError(f"there is no case {provider}/{name}")
    return (_cases() / provider / f"{name}.json").read_text(encoding="utf-8")


def _cases() -> Traversable:
    """The wheel carries the cases; a checkout has them in its own folder."""
    shipped = files(__name__) / "cases"
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "fixtures"


def _found(folder: str, name: str) -> Traversable:
    entry = files(__name__) / folder / name
    # A name comes from a command line: it names an entry, it never leads out of the folder.
    if "/" in name or "\\" in name or not entry.is_file():
        raise LookupError(f"there is no {folder}/{name}; bundled: {', '.join(_names(folder))}")
    return entry


def tour_text() -> str:
    """Give the text of the demo's tour: documented requests, and the figures to compare with."""
    return (files(__name__) / "tour.json").read_text(encoding="utf-8")
