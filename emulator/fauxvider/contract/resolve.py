"""`$use` and `$reading`: replaced structurally, before anything else looks at the contract.

The result keeps the marks of the text that each value came from, so that an error in a part
points at the part. Nothing is copied that holds neither form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fauxvider.contract.strict import Items, Map, Mark, place_of, pointer_parts, pointer_text
from fauxvider.errors import ContractError, Place

__all__ = ["Resolver", "children", "nodes_of", "readings_at", "values_of"]

MAX_NODES = 200_000
MAX_DEPTH = 96
MAX_CHAIN = 32
# What stands above the readings is not subject to them.
_LITERAL: Final = frozenset({"contract", "provider", "title", "sources", "readings"})
_GONE: Final[Any] = object()


class Resolver:
    """One tree and its readings; `resolve` makes the tree of one choice.

    Making a Resolver checks every `$use` and `$reading` in the file, also those that no choice
    reaches. `used_readings` and `used_parts` tell what is asked for anywhere.
    """

    def __init__(self, tree: Map, *, readings: Mapping[str, Mapping[str, object]], file: str) -> None:
        self._tree = tree
        self._readings = readings
        self._file = file
        parts = tree.get("parts", Map())
        if not isinstance(parts, Map):
            raise self._wrong("parts must be a mapping of names", "/parts")
        self.parts: Map = parts
        self.used_readings: set[str] = set()
        self.used_parts: set[str] = set()
        self._plain: dict[int, tuple[int, int]] = {}  # id of a container without forms -> size, height
        for key, value in tree.items():
            if key not in _LITERAL:
                self._scan(value, (key,))
        for name in readings:
            if name not in self.used_readings:
                raise self._wrong(
                    f"the reading {name!r} is used nowhere", pointer_text(("readings", name)), of_key=True
                )

    def resolve(self, choice: Mapping[str, str]) -> Map:
        """Give the tree under one choice (reading -> case; every reading is in it)."""
        return _Resolution(self, choice).root()

    def _scan(self, node: Any, path: tuple[str | int, ...]) -> tuple[int, int, bool]:
        """Check the forms below a node; give its size, its height and whether it is free of forms."""
        if not isinstance(node, Map | Items):
            return 1, 0, True
        is_plain = True
        if isinstance(node, Map):
            is_plain = self._scan_forms(node, path)
        size, height = 1, 0
        for key, value in children(node):
            inner_size, inner_height, inner_plain = self._scan(value, (*path, key))
            size += inner_size
            height = max(height, inner_height)
            is_plain = is_plain and inner_plain
        if is_plain:
            self._plain[id(node)] = size, height + 1
        return size, height + 1, is_plain

    def _scan_forms(self, node: Map, path: tuple[str | int, ...]) -> bool:
        if "$reading" in node:
            self._check_reading(node, path)
        elif "$use" in node:
            name = node["$use"]
            if not isinstance(name, str) or name not in self.parts:
                raise self._wrong(f"there is no part {name!r}", pointer_text((*path, "$use")), ", ".join(self.parts))
            self.used_parts.add(name)
        else:
            return True
        return False

    def _check_reading(self, node: Map, path: tuple[str | int, ...]) -> None:
        name = node["$reading"]
        if not isinstance(name, str) or name not in self._readings:
            problem, allowed = f"there is no reading {name!r}", ", ".join(self._readings)
            raise self._wrong(problem, pointer_text((*path, "$reading")), allowed)
        self.used_readings.add(name)
        cases = self._readings[name]
        for key in node:
            if key != "$reading" and key not in cases:
                pointer = pointer_text((*path, key))
                raise self._wrong(f"the reading {name!r} has no case {key!r}", pointer, ", ".join(cases), of_key=True)
        if missing := [case for case in cases if case not in node]:
            raise self._wrong(f"the reading {name!r} needs the case {missing[0]!r} too", pointer_text(path))

    def _wrong(self, problem: str, pointer: str, allowed: str = "", *, of_key: bool = False) -> ContractError:
        place = place_of(self._tree, pointer, file=self._file, of_key=of_key)
        return ContractError(problem, place=place, allowed=allowed)

    def _cost_of(self, node: Any) -> tuple[int, int] | None:
        return self._plain.get(id(node))


class _Resolution:
    """The work of one choice. Parts are made once and shared, as nobody changes a tree."""

    def __init__(self, resolver: Resolver, choice: Mapping[str, str]) -> None:
        self._resolver = resolver
        self._choice = choice
        self._parts: dict[str, tuple[Any, int]] = {}  # value, size
        self._open: list[str] = []
        self._nodes = 0
        self._path: list[str | int] = []

    def root(self) -> Map:
        tree = self._resolver._tree
        out = Map(tree.at)
        for key, value in tree.items():
            if key in _LITERAL:
                out.put(key, value, tree.marks[key])
            elif key != "parts":
                self._put(out, key, value, tree.marks[key])
        return out

    def _put(self, out: Map, key: str, raw: Any, mark: Mark) -> None:
        self._path.append(key)
        value, at = self._value(raw, mark)
        self._path.pop()
        if value is not _GONE:
            out.put(key, value, (*mark[:2], *at[2:]))

    def _value(self, raw: Any, mark: Mark) -> tuple[Any, Mark]:
        self._count(1)
        if not isinstance(raw, Map | Items):
            return raw, mark
        cost = self._resolver._cost_of(raw)
        if cost is not None:
            self._count(cost[0], height=cost[1])
            return raw, mark
        if isinstance(raw, Items):
            return self._items(raw), mark
        if "$reading" in raw:
            case = self._choice[raw["$reading"]]
            if raw[case] is None:
                return _GONE, mark
            return self._value(raw[case], raw.marks[case])
        if "$use" in raw:
            return self._use(raw, mark)
        out = Map(raw.at)
        for key, value in raw.items():
            self._put(out, key, value, raw.marks[key])
        return out, mark

    def _items(self, raw: Items) -> Items:
        out = Items(raw.at)
        for index, value in enumerate(raw):
            self._path.append(index)
            made, mark = self._value(value, raw.marks[index])
            self._path.pop()
            if made is not _GONE:
                out.put(made, mark)
        return out

    def _use(self, raw: Map, mark: Mark) -> tuple[Any, Mark]:
        name = raw["$use"]
        part, part_mark = self._part(name)
        if len(raw) == 1:
            return part, (part_mark if not isinstance(part, Map | Items) else mark)
        if not isinstance(part, Map):
            raise self._wrong(f"the part {name!r} is not a mapping: no keys can be merged over it", raw)
        return self._merged(part, raw), mark

    def _part(self, name: str) -> tuple[Any, Mark]:
        parts = self._resolver.parts
        mark = parts.marks[name]
        if name in self._open:
            raise self._wrong(f"the part {name!r} uses itself: {' -> '.join([*self._open, name])}", parts[name], mark)
        if name in self._parts:
            value, size = self._parts[name]
            self._count(size)
            return value, mark
        if len(self._open) >= MAX_CHAIN:
            raise self._wrong(f"more than {MAX_CHAIN} parts inside each other", parts[name], mark)
        self._open.append(name)
        before = self._nodes
        value, mark = self._value(parts[name], mark)
        self._open.pop()
        if value is _GONE:
            raise self._wrong(f"the part {name!r} is nothing under this choice of readings", parts[name], mark)
        self._parts[name] = value, self._nodes - before
        return value, mark

    def _merged(self, part: Map, over: Map) -> Map:
        out = Map(over.at)
        for key, value in part.items():
            out.put(key, value, part.marks[key])
        for key, raw in over.items():
            if key == "$use":
                continue
            mark = over.marks[key]
            self._path.append(key)
            value, at = self._over(part.get(key), raw, mark)
            self._path.pop()
            if value is _GONE:
                out.pop(key, None)
            else:
                out.put(key, value, (*mark[:2], *at[2:]))
        return out

    def _over(self, below: Any, raw: Any, mark: Mark) -> tuple[Any, Mark]:
        if raw is None:
            return _GONE, mark
        if isinstance(raw, Map) and isinstance(below, Map):
            if "$use" in raw or "$reading" in raw:
                value, at = self._value(raw, mark)
                return (self._merged(below, value), at) if isinstance(value, Map) else (value, at)
            self._count(1)
            return self._merged(below, raw), mark
        return self._value(raw, mark)

    def _count(self, nodes: int, *, height: int = 0) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._wrong(f"more than {MAX_NODES} nodes after $use and $reading", None)
        if len(self._path) + height > MAX_DEPTH:
            raise self._wrong(f"more than {MAX_DEPTH} levels after $use and $reading", None)

    def _wrong(self, problem: str, node: Any, mark: Mark | None = None) -> ContractError:
        line, column = mark[2:] if mark else node.at if isinstance(node, Map | Items) else (1, 1)
        place = Place(self._resolver._file, line, column, pointer_text(self._path))
        return ContractError(problem, place=place)


def children(node: Any) -> Iterator[tuple[str | int, Any]]:
    """Walk one level of a tree: key or index, and value."""
    if isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, list | tuple):
        yield from enumerate(node)


def nodes_of(tree: Any) -> Iterator[Any]:
    """Walk a tree whole, itself first; in no order."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, str):  # most are
            continue
        if isinstance(node, dict | Mapping):
            left.extend(node.values())
        elif isinstance(node, list | tuple):
            left.extend(node)


def values_of(node: Any, key: str) -> set[str]:
    """Collect the texts that stand under a key anywhere in a tree."""
    tables = (one for one in nodes_of(node) if isinstance(one, dict | Mapping))
    return {text for one in tables if isinstance(text := one.get(key), str)}


def readings_at(tree: Map, pointer: str, choice: Mapping[str, str]) -> list[str]:
    """Name the readings that decide what stands at a pointer of the resolved tree, or below it."""
    found: list[str] = []
    parts = tree.get("parts", {})
    node: Any = tree
    for part in (*pointer_parts(pointer), None):
        node = _stepped(node, parts, choice, found)
        if part is None:
            break
        node = _child(node, part, parts)
    _collect(node, parts, found, set())
    return list(dict.fromkeys(found))


def _stepped(node: Any, parts: Mapping[str, Any], choice: Mapping[str, str], found: list[str]) -> Any:
    while isinstance(node, Map) and ("$reading" in node or ("$use" in node and len(node) == 1)):
        if "$reading" in node:
            found.append(node["$reading"])
            node = node[choice[node["$reading"]]]
        else:
            node = parts.get(node["$use"])
    return node


def _child(node: Any, part: str, parts: Mapping[str, Any]) -> Any:
    if isinstance(node, Items):
        return node[int(part)] if part.isdecimal() and int(part) < len(node) else None
    if not isinstance(node, Map):
        return None
    if part not in node and "$use" in node:
        return _child(parts.get(node["$use"]), part, parts)
    return node.get(part)


def _collect(node: Any, parts: Mapping[str, Any], found: list[str], seen: set[str]) -> None:
    if isinstance(node, Map) and "$reading" in node:
        found.append(node["$reading"])
    if isinstance(node, Map) and "$use" in node and node["$use"] not in seen:
        seen.add(node["$use"])
        _collect(parts.get(node["$use"]), parts, found, seen)
    for _, value in children(node):
        _collect(value, parts, found, seen)
