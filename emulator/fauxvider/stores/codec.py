"""Facts as JSON and back: dataclasses of plain values, by their type hints.

A field that is not there has its default, so that a fact written today is read by a version that knows more
fields. Values of no known shape (a scenario's faults, for example) keep their kinds by tagged mappings; a fact
without such values is written by orjson alone, in a tenth of the time.
"""

from __future__ import annotations

import base64
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, TypeVar, Union

import orjson

from fauxvider.errors import FauxviderError
from fauxvider.values import decimal_text

__all__ = ["Entry", "FactError", "dump_entry", "dump_fact", "load_entry", "load_fact"]

T = TypeVar("T")
Entry = tuple[int, str, Sequence[str], Sequence[Any]]  # moment, kind, names and values of its facts
_Turn = Callable[[Any], Any]
_PLAIN = (int, str, bool, float)
_TAGS = "$"


class FactError(FauxviderError, ValueError):
    """A stored fact that cannot be read: damaged, or of a version that is not known."""


def dump_fact(fact: Any) -> bytes:
    """Write a fact, a dataclass, as JSON."""
    kind: Any = type(fact)
    for name, default in _shapeless(kind):
        if getattr(fact, name) != default:
            return orjson.dumps(_codec(kind)[0](fact))
    return orjson.dumps(fact, default=_plain)


def dump_entry(entry: Entry) -> bytes:
    """Write a journal entry as JSON."""
    return orjson.dumps(entry, default=_shown)


def load_entry(text: bytes | str) -> dict[str, Any]:
    """Read a journal entry as the journal shows it. Raises FactError."""
    try:
        moment, kind, names, values = orjson.loads(text)
        facts = {name: value for name, value in zip(names, values, strict=True) if value not in ("", None)}
    except (ValueError, TypeError) as error:
        raise FactError(f"a stored journal entry cannot be read: {error}") from None
    return {"at": moment, "kind": kind, **facts}


def _plain(value: Any) -> Any:
    """Turn what orjson does not know."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return _write_bytes(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _shown(value: Any) -> Any:
    return decimal_text(value) if isinstance(value, Decimal) else _plain(value)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Give the types of a dataclass's fields, whether they are final or not."""
    return {name: _unwrapped(hint) for name, hint in typing.get_type_hints(kind).items()}


def _unwrapped(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Final else hint


@cache
def _shapeless(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Give the fields of a dataclass whose values may have no known shape, with their defaults."""
    hints = _hints(kind)
    return tuple(
        (field.name, _default(field)) for field in dataclasses.fields(kind) if _is_shapeless(hints[field.name])
    )


def _is_shapeless(kind: Any) -> bool:
    if kind in _PLAIN or kind in (Decimal, bytes, type(None), Ellipsis) or typing.get_origin(kind) is Literal:
        return False
    if dataclasses.is_dataclass(kind):
        fact: Any = kind
        return bool(_shapeless(fact))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    known = origin in (Union, types.UnionType, tuple, frozenset) or (
        isinstance(origin, type) and issubclass(origin, Mapping)
    )
    if origin in (Union, types.UnionType) and len([one for one in arguments if one is not type(None)]) != 1:
        return True
    return not known or any(map(_is_shapeless, arguments))


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
    hints = _hints(kind)
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
