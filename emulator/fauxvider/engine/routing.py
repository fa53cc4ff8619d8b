"""Finding the operation for a method and a path: a tree of segments made from the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fauxvider.contract.model import Operation

__all__ = ["Match", "Router"]

_MAX_KNOWN = 1024
_MAX_PATH = 256


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    one: dict[str, _Node] = field(default_factory=dict)
    many: dict[str, _Node] = field(default_factory=dict)
    operations: dict[str, list[Operation]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The operations that fit (several differ by `when`) and the path's parameters.

    No operations but `methods` means: the path exists, the method does not.
    """

    operations: list[Operation]
    params: Mapping[str, str]
    methods: tuple[str, ...] = ()


class Router:
    """Routes of one origin. Literals win over `{name}`, which wins over `{name+}`."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        self._methods: dict[str, None] = {}
        self._known: dict[tuple[str, str], Match] = {}
        for operation in operations:
            self._methods.update(dict.fromkeys(operation.methods))
            node = self._root
            for segment in _segments(operation.path):
                node = _child(node, segment)
            for method in operation.methods:
                node.operations.setdefault(method, []).append(operation)

    def match(self, method: str, path: str) -> Match | None:
        """Find what a request is for; a path that is asked for again (a poll's, say) is known by then."""
        known = self._known.get((method, path))
        if known is None and (known := self._match(method, path)) is not None and len(path) <= _MAX_PATH:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[method, path] = known
        return known

    def _match(self, method: str, path: str) -> Match | None:
        segments, params = _segments(path), dict[str, str]()
        node = _straight(self._root, segments, params)
        if node is not None and method in node.operations:
            return Match(node.operations[method], params)
        params.clear()
        node = _walk(self._root, segments, 0, params, method)
        if node is not None:
            return Match(node.operations[method], params)
        # The path may be there under other methods, each perhaps by a route of its own.
        methods = tuple(other for other in self._methods if _walk(self._root, segments, 0, params, other))
        return Match([], params, methods) if methods else None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _child(node: _Node, segment: str) -> _Node:
    if segment.startswith("{") and segment.endswith("+}"):
        return node.many.setdefault(segment[1:-2], _Node())
    if segment.startswith("{") and segment.endswith("}"):
        return node.one.setdefault(segment[1:-1], _Node())
    return node.literal.setdefault(segment, _Node())


def _straight(node: _Node, segments: list[str], params: dict[str, str]) -> _Node | None:
    """Follow a path that leaves no choice at any segment; None as soon as there is one."""
    for segment in segments:
        child = node.literal.get(segment)
        if child is not None:
            if node.one or node.many:
                return None
            node = child
        elif len(node.one) == 1 and not node.many and segment:
            for name, one in node.one.items():
                params[name] = segment
                node = one
        else:
            return None
    return node


def _walk(node: _Node, segments: list[str], at: int, params: dict[str, str], method: str) -> _Node | None:
    """Find the node of a path that has the method."""
    if at == len(segments):
        return node if method in node.operations else None
    segment = segments[at]
    child = node.literal.get(segment)
    if child is not None and (found := _walk(child, segments, at + 1, params, method)) is not None:
        return found
    if not segment:
        return None
    for name, child in node.one.items():
        if (found := _walk(child, segments, at + 1, params, method)) is not None:
            params[name] = segment
            return found
    for name, child in node.many.items():
        # Greedy: `{name+}` takes as many segments as the rest of the route leaves.
        for end in range(len(segments), at, -1):
            if (found := _walk(child, segments, end, params, method)) is not None:
                params[name] = "/".join(segments[at:end])
                return found
    return None
