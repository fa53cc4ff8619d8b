"""Changing a contract's text in place: each change replaces the span of one node, and the rest stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml

from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import Items, Map, place_of, pointer_parts, pointer_text
from fauxvider.values import decimal_text

__all__ = ["Editor", "flow"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def flow(tree: Any) -> str:
    """Write a tree in one line that is both YAML and JSON; decimals stay exact."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {flow(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return "[" + ", ".join(map(flow, tree)) + "]"
    if isinstance(tree, Decimal):
        return decimal_text(tree)
    return json.dumps(tree, ensure_ascii=False)


class Editor:
    """Collects changes to the places of a resolved tree; `text` is the contract with all of them."""

    def __init__(self, file: ContractFile, readings: Mapping[str, str], text: str) -> None:
        self.tree: Map = file.resolved(readings)
        self.unresolved: Map = file.tree  # with every case of every reading
        self.witness = ""  # what is written as evidence of a change: `observed SOURCE @DATE`
        self._file = file
        self._readings = readings
        self._text = text
        self._scalars, self._containers = _spans(text)
        self._pending: dict[str, Map] = {}  # mappings that are rewritten, as they will be
        self._starts = _line_starts(text)
        self._changes: dict[tuple[int, int], str] = {}

    def cases(self) -> Iterator[tuple[str, str]]:
        """Walk the cases of the contract's readings that are not in force."""
        choice = self._file.choice(self._readings)
        for name, reading in self._file.readings.items():
            yield from ((name, case) for case in reading.cases if case != choice[name])

    def under(self, readings: Mapping[str, str]) -> Map:
        """Give the contract's tree under other readings than those in force."""
        return self._file.resolved({**self._readings, **readings})

    def at(self, pointer: str) -> Any:
        node: Any = self.tree
        for part in pointer_parts(pointer):
            if isinstance(node, Items) and part.isdecimal() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, Map):
                node = node.get(part)
            else:
                return None
        return node

    def put(self, pointer: str, value: Any) -> bool:
        """Replace the value at a pointer; False if its place cannot be told."""
        return self._replace(pointer, flow(value), of_key=False)

    def rename(self, pointer: str, name: str) -> bool:
        """Give the key at a pointer another name."""
        return self._replace(pointer, json.dumps(name, ensure_ascii=False), of_key=True)

    def put_key(self, pointer: str, value: Any) -> bool:
        """Set a key, whether it is there or not; a new one rewrites the mapping that holds it."""
        above, name = _halves(pointer)
        holder = self._holder(above)
        if holder is None:
            return False
        if name in holder and above not in self._pending:
            return self.put(pointer, value)
        return self._rewrite(above, {**holder, name: value})

    def drop_key(self, pointer: str) -> bool:
        """Take a key out of its mapping, which is rewritten."""
        above, name = _halves(pointer)
        holder = self._holder(above)
        if holder is None or name not in holder:
            return False
        return self._rewrite(above, {key: value for key, value in holder.items() if key != name})

    def _holder(self, pointer: str) -> Map | None:
        holder = self._pending.get(pointer, self.at(pointer))
        return holder if isinstance(holder, Map) else None

    def _rewrite(self, pointer: str, tree: Mapping[str, Any]) -> bool:
        if not self.put(pointer, tree):
            return False
        self._pending[pointer] = made = Map()
        made.update(tree)
        return True

    def _replace(self, pointer: str, text: str, *, of_key: bool) -> bool:
        place = place_of(self.tree, pointer, file=self._file.file, of_key=of_key)
        start = self._starts[place.line - 1] + place.column - 1 if 0 < place.line <= len(self._starts) else -1
        # A block mapping starts where its first key does: what is replaced says which of the two is meant.
        is_container = not of_key and isinstance(self.at(pointer), Map | Items)
        end = (self._containers if is_container else self._scalars).get(start)
        if end is None:
            return False
        self._changes[start, end] = text
        return True

    def source(self, name: str, title: str, date: str) -> None:
        """Declare a source, at the head of those that are there."""
        holder = self.tree.get("sources")
        if isinstance(holder, Map) and name not in holder:
            entry = flow({"title": title, "retrieved": date})
            if not holder:
                self.put("/sources", {name: {"title": title, "retrieved": date}})
                return
            line, column, *_ = next(iter(holder.marks.values()))
            start = self._starts[line - 1] + column - 1
            is_flow = self._text[:start].rstrip().endswith("{")
            gap = ", " if is_flow else "\n" + " " * (column - 1)
            self._changes[start, start] = f"{name}: {entry}{gap}"

    @property
    def text(self) -> str:
        """The contract with every change; of two that lie inside each other the outer one counts."""
        out, at = [], 0
        for (start, end), new in sorted(self._changes.items(), key=lambda one: (one[0][0], -one[0][1])):
            if start < at:
                continue
            out += [self._text[at:start], new]
            at = end
        return "".join([*out, self._text[at:]])


def _halves(pointer: str) -> tuple[str, str]:
    """Split a pointer into that of the holder, and the name in it."""
    parts = pointer_parts(pointer)
    return pointer_text(parts[:-1]), parts[-1]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for index, char in enumerate(text):
        if char == "\n":
            starts.append(index + 1)
    return starts


def _spans(text: str) -> tuple[dict[int, int], dict[int, int]]:
    """Give where scalars, and where containers end, by where they start.

    A block ends with its last scalar, not with the blank after it.
    """
    scalars: dict[int, int] = {}
    containers: dict[int, int] = {}
    open_at: list[int] = []
    end = 0
    for event in yaml.parse(text, Loader=_LOADER):
        first, last = event.start_mark, event.end_mark
        if first is None or last is None:
            continue
        if isinstance(event, yaml.ScalarEvent):
            end = first.index + len(text[first.index : last.index].rstrip())
            scalars[first.index] = end
        elif isinstance(event, yaml.CollectionStartEvent):
            open_at.append(first.index)
            end = last.index
        elif isinstance(event, yaml.CollectionEndEvent):
            end = last.index if text[first.index : last.index] in ("}", "]") else end
            containers[open_at.pop()] = end
    return scalars, containers
