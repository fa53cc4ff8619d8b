"""Where a contract says a thing, and who says so: from a place in a request to a rule with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from fauxvider.contract.evidence import LEVELS, evidences
from fauxvider.contract.model import Contract, Evidence, Issue, Model, Operation, Source
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import place_of, pointer_parts, pointer_text

__all__ = ["Places", "Rule"]

_DEEPEST = 8
_RANGES = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """A node of the contract: its pointer and line, the best evidence for it (`source`, in words), its level."""

    pointer: str
    line: int
    source: str
    level: str
    node: Mapping[str, Any]


class Places:
    """Looks rules up in one contract file under one choice of readings."""

    def __init__(self, file: ContractFile, contract: Contract) -> None:
        self.contract = contract
        self._file = file
        self._tree = file.resolved(contract.choice)

    def of_auth(self) -> Rule:
        return self._rule(("auth",), self._tree["auth"])

    def of_operation(self, operation: Operation) -> Rule:
        return self._rule(("operations", operation.name), self._tree["operations"][operation.name])

    def of_model(self, model: Model) -> Rule:
        return self._rule(("models", model.name), self._tree["models"][model.name])

    def of_issue(self, operation: Operation, model: Model | None, issue: Issue) -> Rule:
        """Give the schema node that a violation is about; what the schema has no name for leads to its holder."""
        path, depth = issue.path, len(operation.input)
        rule, reached = self._walk(("operations", operation.name, "schema"), path)
        if model is None or tuple(map(str, path[:depth])) != operation.input:
            return rule
        own, further = self._walk(("models", model.name, "input"), path[depth:])
        return own if depth + further >= reached else rule

    def names(self, operation: Operation, model: Model | None, path: Sequence[str | int]) -> set[str]:
        """Name the fields that the contract knows in the object at a path of the body."""
        named = set(_names(*self._reached(self._tree["operations"][operation.name].get("schema"), path)))
        if model is not None and tuple(map(str, path[: len(operation.input)])) == operation.input:
            schema = self._tree["models"][model.name].get("input")
            named.update(_names(*self._reached(schema, path[len(operation.input) :])))
        return named

    def _reached(self, schema: Any, path: Sequence[str | int]) -> tuple[Any, Any]:
        node = schema
        for step in path:
            _, node = next(_children(schema, node, step, 0), ((), None))
        return schema, node

    def is_secret(self, operation: Operation, issue: Issue) -> bool:
        """Tell whether a value may be (or hold) a secret: a signing secret, or a callback's address."""
        callbacks = self.contract.callbacks
        address = callbacks.address if callbacks is not None else None
        return operation.kind.startswith("secret_") or tuple(map(str, issue.path)) == address

    def _walk(self, start: tuple[str, str, str], path: Sequence[str | int]) -> tuple[Rule, int]:
        """Go down a schema as far as it has names; give the rule there, and how many steps it was."""
        section, name, key = start
        holder = self._tree[section][name]
        schema = node = holder.get(key)
        parts: tuple[str | int, ...] = start
        said, reached = holder.get("evidence"), 0
        for step in path:
            child = next(_children(schema, node, step, 0), None)
            if child is None:
                break
            way, node = child
            parts, reached = (*parts, *way), reached + 1
            said = _own_evidence(node) or said
        return self._rule(parts, node, said), reached

    def _rule(self, parts: tuple[str | int, ...], node: Any, said: Any = None) -> Rule:
        pointer = pointer_text(parts)
        line = place_of(self._tree, pointer, file=self._file.file, of_key=True).line
        best = _best(evidences(said if said is not None else _own_evidence(node)), self.contract.sources)
        source = _source_text(best, self.contract.sources) if best else f"{PurePath(self._file.file).name}:{line}"
        return Rule(pointer, line, source, best.level if best else "", node if isinstance(node, Mapping) else {})


def _children(root: Any, node: Any, step: str | int, depth: int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Find what a schema says of a member: the way there, and the member's own schema."""
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return
    properties, items = node.get("properties"), node.get("items")
    if isinstance(step, str) and isinstance(properties, Mapping) and step in properties:
        yield ("properties", step), properties[step]
    if isinstance(step, int) and isinstance(items, Mapping):
        yield ("items",), items
    for keyword in ("allOf", "anyOf", "oneOf"):
        for number, branch in enumerate(node.get(keyword, ())):
            for way, found in _children(root, branch, step, depth + 1):
                yield (keyword, number, *way), found
    if isinstance(reference := node.get("$ref"), str):
        target = _at(root, pointer_parts(reference.removeprefix("#")))
        for _, found in _children(root, target, step, depth + 1):
            yield ("$ref",), found


def _names(root: Any, node: Any, depth: int = 0) -> Iterator[str]:
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return
    properties = node.get("properties")
    yield from properties if isinstance(properties, Mapping) else ()
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in node.get(keyword, ()):
            yield from _names(root, branch, depth + 1)
    if isinstance(reference := node.get("$ref"), str):
        yield from _names(root, _at(root, pointer_parts(reference.removeprefix("#"))), depth + 1)


def _at(tree: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if isinstance(tree, list):
            tree = tree[int(part)] if part.isdecimal() and int(part) < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _own_evidence(node: Any) -> Any:
    said = node.get("evidence") if isinstance(node, Mapping) else None
    return said if isinstance(said, str | list) else None


def _best(said: Sequence[Evidence], sources: Mapping[str, Source]) -> Evidence | None:
    """Give the evidence that a reader can look up best: a given document's lines, then the strongest level."""
    none = Source("")
    return min(
        said,
        key=lambda one: (not (sources.get(one.source, none).document and one.lines), LEVELS.index(one.level)),
        default=None,
    )


def _source_text(one: Evidence, sources: Mapping[str, Source]) -> str:
    source = sources.get(one.source, Source(one.source))
    lines = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in one.lines[:_RANGES])
    lines += ", ..." if len(one.lines) > _RANGES else ""
    name = source.document or source.title or one.source
    if not name:
        return f"{one.level}: {one.note}" if one.note else one.level
    word = "line" if lines.isdecimal() else "lines"
    return f"{name}, {word} {lines}" if lines else name
