"""Facts as JSON and back: frozen dataclasses of plain values, by their type hints.

A field that has its default is left out, so that a fact written today is read by a version that knows more
fields. Values of no known shape (a scenario's faults, for example) keep their kinds by tagged mappings.
"""

from __future__ import annotations

import base64
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeVar, Union

import orjson

from fauxvider.errors import FauxviderError

__all__ = ["FactError", "dump_fact", "load_fact"]

T = TypeVar("T")
_Turn = Callable[[Any], Any]
_PLAIN = (int, str, bool, float)
_TAGS = "$"


class FactError(FauxviderError, ValueError):
    """A stored fact that cannot be read: damaged, or of a version that is not known."""


def dump_fact(fact: Any) -> bytes:
    """Write a fact, a dataclass, as JSON."""
    kind: Any = type(fact)
    return orjson.dumps(_codec(kind)[0](fact))


def load_fact(kind: type[T], text: bytes | str) -> T:
    """Read a fact of a kind. Raises FactError."""
    known: Any = kind
    try:
        fact: T = _codec(known)[1](orjson.loads(text))
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError) as error:
        raise FactError(f"a stored {kind.__name__} cannot be read: {error}") from None
    return fact


def _same(value: Any) -> Any:
    return value


@cache
def _codec(kind: Any) -> tuple[_Turn, _Turn]:
    """Give how a type is written and how it is read."""
    if kind in _PLAIN or typing.get_origin(kind) is Literal:
        return _same, _same
    if kind is Decimal:
        return str, Decimal
    if kind is bytes:
        return _write_bytes, _read_bytes
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _optional([one for one in arguments if one is not type(None)])
    if origin is tuple:
        return _tuple(arguments)
    if origin is frozenset:
        write, read = _codec(arguments[0])
        return lambda value: sorted(map(write, value)), lambda tree: frozenset(map(read, tree))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        write, read = _codec(arguments[1])
        return (
            lambda value: {name: write(item) for name, item in value.items()},
            lambda tree: {name: read(item) for name, item in tree.items()},
        )
    return _write_any, _read_any


def _write_bytes(value: bytes) -> str | list[str]:
    """Write text as it is, so that a store can be read by eye, and other bytes as base64 in a list."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(value).decode()]


def _read_bytes(tree: Any) -> bytes:
    return base64.b64decode(tree[0], validate=True) if isinstance(tree, list) else tree.encode()


def _dataclass(kind: Any) -> tuple[_Turn, _Turn]:
    hints = typing.get_type_hints(kind)
    fields = [
        (field.name, *_codec(hints[field.name]), _default(field)) for field in dataclasses.fields(kind) if field.init
    ]
    reads = {name: read for name, _, read, _ in fields}

    def write(value: Any) -> dict[str, Any]:
        shown = {}
        for name, turn, _, default in fields:
            item = getattr(value, name)
            if item != default:
                shown[name] = turn(item)
        return shown

    def read(tree: Any) -> Any:
        return kind(**{name: reads[name](item) for name, item in tree.items()})

    return write, read


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default  # MISSING equals nothing


def _optional(kinds: list[Any]) -> tuple[_Turn, _Turn]:
    if len(kinds) != 1:
        return _write_any, _read_any
    write, read = _codec(kinds[0])
    return (
        lambda value: None if value is None else write(value),
        lambda tree: None if tree is None else read(tree),
    )


def _tuple(arguments: tuple[Any, ...]) -> tuple[_Turn, _Turn]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        write, read = _codec(arguments[0])
        if write is _same:
            return list, tuple
        return lambda value: [write(item) for item in value], lambda tree: tuple([read(item) for item in tree])
    turns = [_codec(kind) for kind in arguments]
    return (
        lambda value: [turn[0](item) for turn, item in zip(turns, value, strict=True)],
        lambda tree: tuple([turn[1](item) for turn, item in zip(turns, tree, strict=True)]),
    )


def _write_any(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Decimal):
        return {_TAGS: "decimal", "is": str(value)}
    if isinstance(value, bytes):
        return {_TAGS: "bytes", "is": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {_TAGS: "tuple", "is": [_write_any(item) for item in value]}
    if isinstance(value, list):
        return [_write_any(item) for item in value]
    if isinstance(value, Mapping):
        return {_TAGS: "map", "is": [[name, _write_any(item)] for name, item in value.items()]}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


_READS: Mapping[str, _Turn] = {
    "decimal": Decimal,
    "bytes": lambda tree: base64.b64decode(tree, validate=True),
    "tuple": lambda tree: tuple([_read_any(item) for item in tree]),
    "map": lambda tree: {name: _read_any(item) for name, item in tree},
}


def _read_any(tree: Any) -> Any:
    if isinstance(tree, dict):
        return _READS[tree[_TAGS]](tree["is"])
    return [_read_any(item) for item in tree] if isinstance(tree, list) else tree
