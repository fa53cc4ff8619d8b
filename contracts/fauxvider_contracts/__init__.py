"""The bundled contracts and the published schema of their language: data, and how to reach it."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["provider_names", "provider_path", "provider_text", "schema_text", "tour_text"]


def schema_text(name: str = "contract-1") -> str:
    """Give the text of a published JSON Schema. Raises LookupError if there is none of that name."""
    return _found("schema", f"{name}.schema.json").read_text(encoding="utf-8")


def provider_names() -> tuple[str, ...]:
    """Name the bundled contracts, sorted."""
    folder = files(__name__) / "providers"
    if not folder.is_dir():
        return ()
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def provider_text(name: str) -> str:
    """Give the text of a bundled contract. Raises LookupError if there is none of that name."""
    return _found("providers", f"{name}.yaml").read_text(encoding="utf-8")


def provider_path(name: str) -> Path:
    """Give the file of a bundled contract. Raises LookupError if there is none of that name."""
    with as_file(_found("providers", f"{name}.yaml")) as path:
        return path


def _found(folder: str, name: str) -> Traversable:
    entry = files(__name__) / folder / name
    # A name comes from a command line: it names an entry, it never leads out of the folder.
    if "/" in name or "\\" in name or not entry.is_file():
        raise LookupError(f"there is no {folder}/{name}; bundled: {', '.join(provider_names())}")
    return entry


def tour_text() -> str:
    """Give the text of the demo's tour: documented requests, and the figures to compare with."""
    return (files(__name__) / "tour.json").read_text(encoding="utf-8")
