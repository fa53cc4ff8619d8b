"""Placeholders: the text in braces that a template fills, and how a dotted name is looked up. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fauxvider.contract.formats import FORMATS, FORMATS_WITH_NUMBER, text_of
from fauxvider.contract.model import Scope, Template
from fauxvider.errors import FauxviderError

__all__ = ["OMIT", "Lazy", "Node", "WrongTemplateError", "joined", "name_node", "text_node"]


class _Omit:
    """The mark of a value whose key or list item disappears."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OMIT"


OMIT: Final = _Omit()

_Format: TypeAlias = Callable[[Any], Any]


class Lazy:
    """A value of a scope that is made when a template first asks for it, and then kept."""

    __slots__ = ("_make", "_value")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._value: Any = None

    def get(self) -> Any:
        if self._make is not None:
            self._value = self._make()
            self._make = None
        return self._value


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled tree: a constant `value` when `render` is None. `optional` may render to OMIT."""

    render: Template | None = None
    value: Any = None
    optional: bool = False
    names: frozenset[str] = frozenset()

    def call(self) -> Template:
        if self.render is not None:
            return self.render
        value = self.value
        return lambda _scope: value


class WrongTemplateError(FauxviderError, ValueError):
    """A problem that has no place yet; `TemplateCompiler` turns it into a ContractError."""

    def __init__(self, problem: str, *, pointer: str = "", allowed: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.pointer = pointer
        self.allowed = allowed


def joined(render: Template, nodes: Sequence[Node], *, optional: Sequence[Node] = ()) -> Node:
    names = frozenset[str]().union(*(node.names for node in nodes))
    return Node(render, optional=any(node.optional for node in optional), names=names)


_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PATH = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@lru_cache(maxsize=8192)
def text_node(text: str) -> Node:
    parts: list[str | Node] = []
    at = 0
    for found in _PIECE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        if found[0] in ("{{", "}}"):
            parts.append(found[0][0])
        elif found[1] is None:
            raise WrongTemplateError(f"a single {found[0]!r} in {text!r}: write {found[0] * 2!r} for the character")
        else:
            parts.append(_placeholder(found[1]))
    parts = [part for part in [*parts, text[at:]] if part != ""]
    if len(parts) == 1 and isinstance(parts[0], Node):
        return parts[0]
    if all(isinstance(part, str) for part in parts):
        return Node(value="".join(map(str, parts)))
    return _join_text(parts)


def _join_text(parts: list[str | Node]) -> Node:
    nodes = [part if isinstance(part, Node) else Node(value=part) for part in parts]
    renders = [node.call() for node in nodes]

    def render(scope: Scope) -> str:
        return "".join([text_of(fill(scope)) for fill in renders])

    def render_some(scope: Scope) -> Any:
        values = [fill(scope) for fill in renders]
        return OMIT if OMIT in values else "".join(map(text_of, values))

    optional = [node for node in nodes if node.optional]
    return joined(render_some if optional else render, nodes, optional=optional)


def name_node(text: Any, form: str) -> Node:
    """Compile the name that a form such as $each looks up: `job.state`, formats allowed."""
    if not isinstance(text, str) or "{" in text or "?" in text:
        raise WrongTemplateError(f"{form} takes a name, without braces or ?", pointer=f"/{form}")
    try:
        return _placeholder(text)
    except WrongTemplateError as wrong:
        wrong.pointer = f"/{form}"
        raise


def _placeholder(inside: str) -> Node:
    path, *formats = inside.split("|")
    optional = path.endswith("?")
    path = path.removesuffix("?")
    if not _PATH.fullmatch(path):
        raise WrongTemplateError(f"{path!r} is not a name such as job.id")
    render = _getter(tuple(path.split(".")))
    for name in formats:
        render = _formatted(render, _format(name))
    return Node(_omitting(render) if optional else render, optional=optional, names=frozenset((path,)))


def _format(text: str) -> _Format:
    name, colon, argument = text.partition(":")
    if name in FORMATS_WITH_NUMBER:
        if not re.fullmatch(r"\d{1,6}", argument):
            raise WrongTemplateError(f"the format {name!r} takes a whole number: {name}:8")
        function, number = FORMATS_WITH_NUMBER[name], int(argument)
        return lambda value: function(value, number)
    if name not in FORMATS or colon:
        raise WrongTemplateError(f"there is no format {text!r}", allowed=" ".join([*FORMATS, "first:N"]))
    return FORMATS[name]


def _formatted(get: Template, function: _Format) -> Template:
    def render(scope: Scope) -> Any:
        value = get(scope)
        if value is None:
            return None
        try:
            return function(value)
        except (TypeError, ValueError, ArithmeticError):
            return None

    return render


def _omitting(get: Template) -> Template:
    def render(scope: Scope) -> Any:
        value = get(scope)
        return OMIT if value is None else value

    return render


# Classes that were found to be read by attribute; asking an ABC each time would be five times slower.
_PLAIN: set[type] = set()


def _getter(path: tuple[str, ...]) -> Template:
    if any(name.startswith("_") for name in path[1:]):
        return _guarded(path)
    if len(path) == 1:
        return _root(path[0])
    return _field(*path) if len(path) == 2 else _deep(path[0], path[1:])


def _root(name: str) -> Template:
    def get(scope: Scope) -> Any:
        try:
            value = scope[name]
        except KeyError:
            return None
        return value.get() if value.__class__ is Lazy else value

    return get


def _field(root: str, name: str) -> Template:
    def get(scope: Scope) -> Any:
        try:
            base = scope[root]
        except KeyError:
            return None
        if base.__class__ in _PLAIN:
            return getattr(base, name, None)
        if base.__class__ is dict:
            return base.get(name)
        return _step(base, name)

    return get


def _deep(root: str, names: tuple[str, ...]) -> Template:
    def get(scope: Scope) -> Any:
        try:
            value = scope[root]
        except KeyError:
            return None
        for name in names:
            value = value.get(name) if value.__class__ is dict else _step(value, name)
        return value

    return get


def _guarded(path: tuple[str, ...]) -> Template:
    """A look-up with a private name in it: such names are keys of mappings, never attributes."""
    first = _root(path[0])

    def get(scope: Scope) -> Any:
        value = first(scope)
        for name in path[1:]:
            if name.startswith("_") and not isinstance(value, Mapping):
                return None
            value = _step(value, name)
        return value

    return get


def _step(base: Any, name: str) -> Any:
    kind = base.__class__
    if kind in _PLAIN:
        return getattr(base, name, None)
    if kind is Lazy:
        return _step(base.get(), name)
    if isinstance(base, Mapping):
        return base.get(name)
    if isinstance(base, list | tuple) and not hasattr(kind, "_fields"):
        return base[int(name)] if name.isdecimal() and len(name) < 10 and int(name) < len(base) else None
    if base is None or isinstance(base, str | bytes | int | float | Decimal):
        return None
    _PLAIN.add(kind)
    return getattr(base, name, None)
