"""Which nodes of a resolved tree are rules, and so need evidence of their own (section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

__all__ = ["evidence_nodes", "rules"]

Path: TypeAlias = tuple[str | int, ...]

_TABLES: tuple[Path, ...] = (
    ("origins",),
    ("ids",),
    ("lifecycle", "states"),
    ("lifecycle", "failures"),
    ("lifecycle", "deadlines"),
    ("errors",),
    ("models",),
    ("operations",),
    ("urls",),
    ("limits",),
    ("callbacks", "progress"),
)
_LISTS: tuple[Path, ...] = (("lifecycle", "phases"), ("unserved",))
_NODES: tuple[Path, ...] = (
    ("auth",),
    ("account",),
    ("lifecycle", "live"),
    ("lifecycle", "removal"),
    ("callbacks",),
    ("callbacks", "signature"),
    ("callbacks", "retry"),
    ("callbacks", "throttle"),
    ("callbacks", "filter"),
    ("assets",),
    ("secrets",),
    ("idempotency",),
)


def rules(tree: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Walk the rules of a resolved tree: path and node, in the order of the language's sections."""
    for reading, table in tree.get("readings", {}).items():
        yield from _entries(table, ("cases",), ("readings", reading))
    for path in _TABLES:
        yield from _entries(tree, path)
    for name, node in tree["models"].items():
        yield from _parts_of_model(("models", name), node)
    for name, node in tree["operations"].items():
        yield from _properties(("operations", name, "schema"), node.get("schema"))
    for path in _LISTS:
        for index, node in enumerate(_at(tree, path) or []):
            yield (*path, index), node
    for path in _NODES:
        if (node := _at(tree, path)) is not None:
            yield path, node


def evidence_nodes(node: Any, path: Path = ()) -> Iterator[tuple[Path, str | list[str]]]:
    """Walk every `evidence` below a node, whether a rule needs it or not."""
    if isinstance(node, dict | Mapping):
        for key, value in node.items():
            if key == "evidence" and isinstance(value, str | list):
                yield (*path, key), value
            elif not isinstance(value, str):  # most are, and have nothing below them
                yield from evidence_nodes(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            if not isinstance(value, str):
                yield from evidence_nodes(value, (*path, index))


def _entries(tree: Any, path: Path, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, node in (_at(tree, path) or {}).items():
        yield (*above, *path, name), node


def _parts_of_model(path: Path, model: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    yield from _properties((*path, "input"), model.get("input"))
    for part in ("output", "cost", "timing"):
        if part in model:
            yield (*path, part), model[part]


def _properties(path: Path, schema: Any) -> Iterator[tuple[Path, Any]]:
    """The top-level properties; what is inside one of them may rest on its evidence."""
    if isinstance(schema, Mapping):
        for name, node in schema.get("properties", {}).items():
            yield (*path, "properties", name), node


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree
