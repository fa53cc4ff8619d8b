"""Which operation a path that leads nowhere was probably meant for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from fauxvider.contract.model import Operation
from fauxvider.engine.routing import Router

__all__ = ["allowed_methods", "closest_operations"]

_SEGMENTS = 24
_LENGTH = 100
_FARTHEST = 0.5
_ALIKE = 0.01  # routes that are as close as the closest are named too
_OTHER_METHOD = 0.15
_HOLE = 0.05  # a literal that fits is closer than a parameter that takes anything


def closest_operations(
    operations: Iterable[Operation], method: str, path: str, *, count: int = 2, farthest: float = _FARTHEST
) -> tuple[Operation, ...]:
    """Give the operations whose routes are nearest to a request, the nearest first.

    `farthest`: how much of a route may differ, as segments changed, missing or too many over their number.
    """
    segments = [segment[:_LENGTH] for segment in path.strip("/").split("/")[:_SEGMENTS]]
    rated = []
    for operation in operations:
        route = operation.path.strip("/").split("/")
        far = _distance(segments, route) / max(len(segments), len(route))
        rated.append((far + (method not in operation.methods) * _OTHER_METHOD, operation))
    rated.sort(key=lambda one: one[0])
    near = [one for one in rated if one[0] <= farthest and one[0] <= rated[0][0] + _ALIKE]
    return tuple(operation for _, operation in near[:count])


def allowed_methods(operations: Iterable[Operation], path: str, methods: Sequence[str]) -> dict[str, list[Operation]]:
    """Give the operations behind a path, by the methods that it takes."""
    every = list(operations)
    found = {}
    for method in methods:
        match = next((one for router in _routers(every) if (one := router.match(method, path)) is not None), None)
        if match is not None and match.operations:
            found[method] = match.operations
    return found


def _routers(operations: Sequence[Operation]) -> list[Router]:
    origins = dict.fromkeys(one.origin for one in operations)
    return [Router(one for one in operations if one.origin == origin) for origin in origins]


def _distance(segments: Sequence[str], route: Sequence[str]) -> float:
    """Give the least change that makes a path fit a route, in segments; a half-wrong segment counts half."""
    last = [float(number) for number in range(len(route) + 1)]
    for row, segment in enumerate(segments, 1):
        line = [float(row)]
        for column, hole in enumerate(route, 1):
            takes_more = hole.startswith("{") and hole.endswith("+}")
            line.append(
                min(
                    last[column - 1] + _cost(segment, hole),
                    last[column] + (_HOLE if takes_more else 1),
                    line[column - 1] + 1,
                )
            )
        last = line
    return last[-1]


def _cost(segment: str, hole: str) -> float:
    if hole.startswith("{") and hole.endswith("}"):
        return _HOLE if segment else 1
    if segment == hole:
        return 0
    return 1 - 0.9 * SequenceMatcher(None, segment.lower(), hole.lower(), autojunk=False).ratio()
