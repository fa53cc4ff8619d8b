"""Where in a request the contract looks for a value: templates asked the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from fauxvider.contract.model import Operation, Template
from fauxvider.errors import UsageError

__all__ = ["body_place", "constraint", "path_of", "place_of"]

Place: TypeAlias = tuple[str, ...]


class _Probe(Mapping[str, Any]):
    """A scope that remembers what it is asked for."""

    def __init__(self, place: Place = ()) -> None:
        self.place = place

    def __getitem__(self, name: str) -> _Probe:
        return _Probe((*self.place, name))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def place_of(template: Template | None) -> Place | None:
    """Give the dotted name that a template shows as it is; None if it shows anything else."""
    found = None if template is None else template(_Probe())
    return found.place if isinstance(found, _Probe) else None


def body_place(operation: Operation, place: Place | None) -> Place | None:
    """Give the pointer into the body that a name stands for; None if it stands for nothing there."""
    if not place or len(place) < 2:
        return None
    root, *rest = place
    if root == "body":
        return tuple(rest)
    return (*operation.input, *rest) if root in ("param", "input") else None


def path_of(operation: Operation, values: Mapping[str, str]) -> str:
    """Fill an operation's path. Raises UsageError for a part that nothing is known of."""
    segments = []
    for segment in operation.path.split("/"):
        if not segment.startswith("{"):
            segments.append(segment)
            continue
        name = segment[1:-1]
        is_many = name.endswith("+")
        value = values.get(name.removesuffix("+"))
        if value is None:
            raise UsageError(f"nothing says what {{{name}}} is in the path of {operation.name!r}")
        segments.append(quote(value, safe="/" if is_many else ""))
    return "/".join(segments)


def constraint(pointer: Place, schema: Any, *, must_stand: bool) -> dict[str, Any]:
    """Give the schema that asks for something of the value at a pointer."""
    for step in reversed(pointer):
        holder: dict[str, Any] = {"properties": {step: schema}}
        schema = {"type": "object", "required": [step], **holder} if must_stand else holder
    return schema if isinstance(schema, dict) else {"not": {}}
