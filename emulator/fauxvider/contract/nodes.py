"""A cursor over a resolved tree: typed reading of what a node holds, with the place of each error."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from fauxvider.contract.model import Template
from fauxvider.contract.names import Names, pointer_of_name
from fauxvider.contract.strict import Map, place_of, pointer_parts, pointer_text
from fauxvider.contract.templates import TemplateCompiler
from fauxvider.errors import ContractError, Place, UsageError
from fauxvider.values import parse_money, parse_size, parse_span

__all__ = ["Context", "Node", "Tokens", "tokens_of"]

_T = TypeVar("_T")
Tokens = tuple[str | tuple[str, str], ...]

_TOKEN = re.compile(r"\{([^{}]*)\}")
_COUNTED = ("alnum", "upper", "hex", "digits", "base64")


@dataclass(frozen=True, slots=True)
class Context:
    """What every node of one resolved tree shares."""

    tree: Map
    file: str
    templates: TemplateCompiler
    names: Names

    def place(self, pointer: str, *, of_key: bool = False) -> Place:
        return place_of(self.tree, pointer, file=self.file, of_key=of_key)


class Node:
    """A value of the tree and its path; a missing value is None and has a place all the same."""

    __slots__ = ("context", "path", "value")

    def __init__(self, context: Context, value: Any, path: tuple[str | int, ...] = ()) -> None:
        self.context = context
        self.value = value
        self.path = path

    @property
    def pointer(self) -> str:
        return pointer_text(self.path)

    @property
    def name(self) -> str:
        return str(self.path[-1]) if self.path else ""

    def at(self, key: str) -> Node:
        value = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Node(self.context, value, (*self.path, key))

    def has(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and self.value.get(key) is not None

    def entries(self) -> Iterator[Node]:
        """Walk the values of a mapping, without its `evidence`."""
        for key, value in (self.value or {}).items():
            if key != "evidence":
                yield Node(self.context, value, (*self.path, key))

    def elements(self) -> Iterator[Node]:
        """Walk a list; a single value counts as a list of one."""
        values = self.value if isinstance(self.value, list) else [] if self.value is None else [self.value]
        for index, value in enumerate(values):
            yield Node(self.context, value, (*self.path, index) if isinstance(self.value, list) else self.path)

    def wrong(self, problem: str, *, allowed: Collection[str] = (), of_key: bool = False) -> ContractError:
        return ContractError(
            problem, place=self.context.place(self.pointer, of_key=of_key), allowed=", ".join(map(str, allowed))
        )

    # --- values

    def text(self, key: str, default: str = "") -> str:
        value = self.at(key).value
        return default if value is None else str(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.at(key).value
        return default if value is None else bool(value)

    def number(self, key: str, default: int) -> int:
        value = self.at(key).value
        return default if value is None else int(value)

    def decimal(self, key: str, default: str = "0") -> Decimal:
        return self.at(key)._read(parse_money, Decimal(default))

    def span(self, key: str, default: int = 0) -> int:
        return self.at(key)._read(parse_span, default)

    def span_or_none(self, key: str) -> int | None:
        return self.span(key) if self.has(key) else None

    def size(self, key: str, default: int) -> int:
        return self.at(key)._read(parse_size, default)

    def as_span(self) -> int:
        return self._read(parse_span, 0)

    def as_micros(self) -> int:
        """Read a span in microseconds: laws of work are finer than moments."""
        return self._read(lambda value: parse_span(value, per_ms=1000), 0)

    def as_money(self) -> Decimal:
        return self._read(parse_money, Decimal(0))

    def steps(self, key: str) -> tuple[str, ...]:
        """Read a JSON pointer as its parts."""
        return pointer_parts(self.text(key))

    def names_list(self, key: str, default: Collection[str] = ()) -> tuple[str, ...]:
        node = self.at(key)
        return tuple(default) if node.value is None else tuple(str(one.value) for one in node.elements())

    def tokens(self) -> Tokens:
        try:
            return tokens_of(str(self.value))
        except ValueError as error:
            raise self.wrong(str(error)) from None

    def chosen(self, key: str, table: Collection[str], what: str, default: str = "") -> str:
        """Read a name that must stand in a table of the contract."""
        node = self.at(key)
        name = node.text_value(default)
        if node.value is not None and name not in table:
            raise node.wrong(f"there is no {what} {name!r}", allowed=table)
        return name

    def text_value(self, default: str = "") -> str:
        return default if self.value is None else str(self.value)

    # --- templates

    def template(self, *, paths: Collection[str] | None = None) -> Template:
        """Compile this tree, and refuse names that name nothing."""
        value, templates = self.value, self.context.templates
        if _is_constant(value):
            return lambda _scope: value
        render = templates.compile(value, where=self._inside)
        for name in sorted(templates.names(value)):
            self._check_name(name, paths)
        return render

    def template_at(self, key: str, *, paths: Collection[str] | None = None) -> Template | None:
        return self.at(key).template(paths=paths) if self.has(key) else None

    def templates(self, key: str, *, paths: Collection[str] | None = None) -> dict[str, Template]:
        """Compile a mapping of templates; a null is a template of null."""
        return {node.name: node.template(paths=paths) for node in self.at(key).entries()}

    def headers(self, *, paths: Collection[str] | None = None) -> tuple[tuple[str, Template], ...]:
        return tuple(self.templates("headers", paths=paths).items())

    def names_used(self) -> set[str]:
        return set() if _is_constant(self.value) else self.context.templates.names(self.value, where=self._inside)

    def _inside(self, pointer: str) -> Place:
        return self.context.place(self.pointer + pointer)

    def _check_name(self, name: str, paths: Collection[str] | None) -> None:
        found = self.context.names.problem(name, paths=paths)
        if found is not None:
            problem, allowed = found
            pointer = self.pointer + pointer_of_name(self.value, name)
            raise ContractError(problem, place=self.context.place(pointer), allowed=allowed)

    def _read(self, read: Callable[[object], _T], default: _T) -> _T:
        if self.value is None:
            return default
        try:
            return read(self.value)
        except UsageError as error:
            raise self.wrong(str(error)) from None


def tokens_of(pattern: str) -> Tokens:
    """Read a pattern of minted values: ``"sync-{uuid4}"`` is ``("sync-", ("uuid4", ""))``.

    Raises ValueError for a token that does not exist.
    """
    tokens: list[str | tuple[str, str]] = []
    at = 0
    for found in _TOKEN.finditer(pattern):
        tokens.append(pattern[at : found.start()])
        tokens.append(_token(found[1]))
        at = found.end()
    tokens.append(pattern[at:])
    literals = "".join(token for token in tokens if isinstance(token, str))
    if "{" in literals or "}" in literals:
        raise ValueError(f"a single brace in the pattern {pattern!r}")
    return tuple(token for token in tokens if token)


def _token(text: str) -> tuple[str, str]:
    name, _, argument = text.partition(":")
    if name in ("uuid4", "uuid7") and not argument:
        return name, ""
    if name in _COUNTED and argument.isdecimal() and 1 <= int(argument) <= 128:
        return name, argument
    if name == "pick" and argument:
        return name, argument
    counted = ", ".join(f"{one}:N" for one in _COUNTED)
    raise ValueError(f"there is no token {{{text}}}: write uuid4, uuid7, {counted} or pick:a|b")


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, int | Decimal) or (isinstance(value, str) and not set(value) & set("{}"))
