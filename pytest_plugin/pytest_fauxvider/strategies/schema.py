"""JSON Schema to strategies. The schema is first brought into its canonical form by jsonschema-rs.

There, `oneOf`, `not`, `if` and their like are gone: what is left is a union of typed shapes, each of which
can be drawn as it stands. So every value that is drawn fits, and none is thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from jsonschema_rs import CanonicalSchema, canonical

from fauxvider.errors import UsageError
from pytest_fauxvider.strategies.containers import Made, canonical_of, lists_of, objects_of
from pytest_fauxvider.strategies.scalars import integers_of, numbers, numbers_of, plain_texts, texts_of

__all__ = ["any_json", "from_schema", "is_possible", "plain_json"]

Schema: TypeAlias = Mapping[str, Any] | bool

_MAX_DEPTH: Final = 8


def from_schema(schema: Schema, *, extras: bool = True) -> st.SearchStrategy[Any]:
    """Give JSON values (dicts, lists, texts, ints, floats, booleans, None) that fit a schema of 2020-12.

    References stay inside the schema. Without `extras` objects get no members that the schema does not
    name, unless it asks for some. Raises UsageError when nothing fits, or when values of such a schema
    cannot be built.
    """
    made = _compiled(json.dumps(plain_json(schema)), extras=extras)
    if made.is_empty:
        raise UsageError("no value fits the schema")
    return made


def is_possible(schema: Schema) -> bool:
    """Tell whether values that fit can be made."""
    if canonical_of(schema).satisfiability() == canonical.Satisfiability.NO:
        return False
    try:
        return not _compiled(json.dumps(plain_json(schema)), extras=False).is_empty
    except UsageError:
        return False


@lru_cache(maxsize=2048)
def _compiled(text: str, *, extras: bool) -> st.SearchStrategy[Any]:
    return _Compiler(canonical_of(json.loads(text)), extras=extras).made()


def plain_json(tree: Any) -> Any:
    """Copy a tree as JSON reads it: dicts, lists, and floats instead of decimals."""
    if isinstance(tree, Mapping):
        return {str(key): plain_json(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain_json(value) for value in tree]
    if isinstance(tree, Decimal):
        return int(tree) if tree == tree.to_integral_value() and tree.as_tuple().exponent == 0 else float(tree)
    return tree


def any_json() -> st.SearchStrategy[Any]:
    """Give any JSON value, small ones first."""
    leaves = st.none() | st.booleans() | numbers() | plain_texts()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_texts(), inner, max_size=3),
        max_leaves=5,
    )


_OF_TYPES: Final[Mapping[str, Callable[[], st.SearchStrategy[Any]]]] = {
    "null": st.none,
    "boolean": st.booleans,
    "integer": lambda: st.integers(-(2**53) + 1, 2**53 - 1),
    "number": numbers,
    "string": plain_texts,
    "array": lambda: st.lists(any_json(), max_size=3),
    "object": lambda: st.dictionaries(plain_texts(), any_json(), max_size=3),
}


class _Compiler:
    """One schema on its way to a strategy. References become deferred strategies, made once."""

    def __init__(self, root: CanonicalSchema, *, extras: bool) -> None:
        self._root = root
        self._extras = extras
        self._known: dict[str, st.SearchStrategy[Any]] = {}

    def made(self) -> st.SearchStrategy[Any]:
        return self.of(self._root)

    def of(self, schema: CanonicalSchema) -> st.SearchStrategy[Any]:
        view = schema.view()
        make = _KINDS.get(type(view).__name__)
        if make is None:
            raise UsageError(f"no values can be made of a schema with {_shown(schema)}")
        return make(self, view)

    def true(self, _view: Any) -> st.SearchStrategy[Any]:
        return any_json()

    def false(self, _view: Any) -> st.SearchStrategy[Any]:
        return st.nothing()

    def types(self, view: canonical.MultiTypeView) -> st.SearchStrategy[Any]:
        return st.one_of(*(_OF_TYPES[name]() for name in _OF_TYPES if name in view.types))

    def group(self, view: canonical.TypedGroupView) -> st.SearchStrategy[Any]:
        return self.of(view.body)

    def const(self, view: canonical.ConstView) -> st.SearchStrategy[Any]:
        return st.builds(plain_json, st.just(view.value))

    def enum(self, view: canonical.EnumView) -> st.SearchStrategy[Any]:
        return st.builds(plain_json, st.sampled_from(view.values))

    def string(self, view: canonical.StringView) -> st.SearchStrategy[Any]:
        return texts_of(view)

    def integer(self, view: canonical.IntegerView) -> st.SearchStrategy[Any]:
        return integers_of(view)

    def number(self, view: canonical.NumberView) -> st.SearchStrategy[Any]:
        return numbers_of(view)

    def array(self, view: canonical.ArrayView) -> st.SearchStrategy[Any]:
        return lists_of(view, self._parts())

    def object(self, view: canonical.ObjectView) -> st.SearchStrategy[Any]:
        return objects_of(view, self._parts(), extras=self._extras)

    def any_of(self, view: canonical.AnyOfView) -> st.SearchStrategy[Any]:
        return st.one_of(*map(self.of, view.branches))

    def all_of(self, view: canonical.AllOfView) -> st.SearchStrategy[Any]:
        return self.of(self._joined(view.branches, 0))

    def reference(self, view: canonical.ReferenceView) -> st.SearchStrategy[Any]:
        uri = view.uri
        if uri not in self._known:
            target = self._target(uri)
            self._known[uri] = st.deferred(lambda: self.of(target))
        return self._known[uri]

    def _target(self, uri: str) -> CanonicalSchema:
        target = self._root.definition(uri)
        if target is None:
            raise UsageError(f"the schema has no part {uri}")
        return target

    def _joined(self, branches: list[CanonicalSchema], depth: int) -> CanonicalSchema:
        """Put the branches of an `allOf` into one schema; references stand for what they name."""
        if depth > _MAX_DEPTH:
            raise UsageError("no values can be made of an allOf that leads back to itself")
        joined: CanonicalSchema | None = None
        for branch in branches:
            view, part = branch.view(), branch
            if isinstance(view, canonical.ReferenceView):
                part = self._target(view.uri)
            elif isinstance(view, canonical.AllOfView):
                part = self._joined(view.branches, depth + 1)
            joined = part if joined is None else joined.intersect(part)
        if joined is None:
            raise UsageError("an allOf is empty")
        view = joined.view()
        if isinstance(view, canonical.AllOfView):
            if any(isinstance(branch.view(), canonical.NotView) for branch in view.branches):
                raise UsageError(f"no values can be made of a schema with {_shown(joined)}")
            return self._joined(view.branches, depth + 1)
        return joined

    def _parts(self) -> Made:
        return Made(self.of, any_json)


_KINDS: Final[Mapping[str, Callable[[_Compiler, Any], st.SearchStrategy[Any]]]] = {
    "TrueView": _Compiler.true,
    "FalseView": _Compiler.false,
    "MultiTypeView": _Compiler.types,
    "TypedGroupView": _Compiler.group,
    "ConstView": _Compiler.const,
    "EnumView": _Compiler.enum,
    "StringView": _Compiler.string,
    "IntegerView": _Compiler.integer,
    "NumberView": _Compiler.number,
    "ArrayView": _Compiler.array,
    "ObjectView": _Compiler.object,
    "AnyOfView": _Compiler.any_of,
    "AllOfView": _Compiler.all_of,
    "ReferenceView": _Compiler.reference,
}


def _shown(schema: CanonicalSchema) -> str:
    text = json.dumps(schema.to_json_schema(), default=str)
    return f"`{schema.kind.value}`: {text if len(text) < 200 else f'{text[:200]}...'}"
