"""Lists and objects of a canonical JSON Schema, by construction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import jsonschema_rs
from hypothesis import strategies as st
from jsonschema_rs import CanonicalSchema, canonical, canonicalize

from fauxvider.errors import UsageError

__all__ = ["Made", "canonical_of", "lists_of", "objects_of"]

Values: TypeAlias = st.SearchStrategy[Any]

_FURTHER: Final = 4  # members beyond what must be there
_COPIED: Final = 32  # from so many on, one member stands for all
_EXTRAS: Final = 2


def canonical_of(schema: Mapping[str, Any] | bool) -> CanonicalSchema:
    """Give the canonical form; `format` counts, so that texts look like what is meant."""
    made = dict(schema) if isinstance(schema, Mapping) else schema
    return canonicalize(made, draft=_DRAFT, validate_formats=True, offline=True)


_DRAFT: Final = canonicalize(True).draft
_ANYTHING: Final = canonical_of(True)
_TEXT: Final = canonical_of({"type": "string"})


@dataclass(frozen=True, slots=True)
class Made:
    """How the parts of a container are made: `of` a schema, or `anything`."""

    of: Callable[[CanonicalSchema], Values]
    anything: Callable[[], Values]

    def member(self, schema: CanonicalSchema | None) -> Values:
        return self.anything() if schema is None else self.of(schema)

    def is_empty(self, schema: CanonicalSchema) -> bool:
        """Tell whether nothing fits, without following references (which may lead back here)."""
        if schema.satisfiability() == canonical.Satisfiability.NO:
            return True
        return isinstance(schema.view(), canonical.StringView) and self.of(schema).is_empty


# --- lists


def lists_of(view: canonical.ArrayView, made: Made) -> Values:
    """Give the lists that fit a canonical array schema."""
    low, high = view.min_items or 0, view.max_items
    if view.contains:
        return _containing(view, made, low, high)
    is_distinct = view.distinctness == canonical.Distinctness.ALL_DISTINCT
    if view.distinctness == canonical.Distinctness.SOME_REPEATED:
        return _repeating(view, made, low, high)
    items = made.member(view.items)
    has_items = view.items is None or not made.is_empty(view.items)
    if view.prefix_items:
        if is_distinct:
            raise UsageError("no lists can be made with uniqueItems beside prefixItems")
        return _prefixed([made.of(one) for one in view.prefix_items], items if has_items else None, low, high)
    if is_distinct:
        return _distinct(view, items, low, high)
    if not has_items:
        return st.nothing() if low else st.builds(list)
    return _plain_lists(items, low, high, further=1 if _leads_on(view.items) else _FURTHER)


def _leads_on(schema: CanonicalSchema | None) -> bool:
    """Tell whether a member is a reference, perhaps back to where it stands: few of them, or there is no end."""
    return schema is not None and isinstance(schema.view(), canonical.ReferenceView)


def _plain_lists(items: Values, low: int, high: int | None, *, further: int) -> Values:
    if low > _COPIED:
        return items.map(lambda one: [one] * low)
    usual = st.lists(items, min_size=low, max_size=low + further if high is None else min(high, low + further))
    if high is None or not low + further < high <= _COPIED or further < _FURTHER:
        return usual
    return usual | st.lists(items, min_size=high, max_size=high)


def _distinct(view: canonical.ArrayView, items: Values, low: int, high: int | None) -> Values:
    values = _finite(view.items)
    if values is None:
        most = low + _FURTHER if high is None else min(high, low + _FURTHER)
        return st.lists(items, min_size=low, max_size=most, unique_by=_key)
    most = min(len(values), len(values) if high is None else high)
    return (
        st.nothing() if most < low else st.lists(st.sampled_from(values), min_size=low, max_size=most, unique_by=_key)
    )


def _finite(schema: CanonicalSchema | None) -> list[Any] | None:
    view = None if schema is None else schema.view()
    if isinstance(view, canonical.EnumView):
        return view.values
    return [view.value] if isinstance(view, canonical.ConstView) else None


def _key(value: Any) -> str:
    """Give what equal JSON values have in common: 1 and 1.0 are the same number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return f"[{','.join(map(_key, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_key(value[name])}' for name in sorted(value))}}}"
    return json.dumps(value)


@st.composite
def _prefixed(draw: st.DrawFn, prefix: Sequence[Values], items: Values | None, low: int, high: int | None) -> list[Any]:
    most = max(low, len(prefix)) + _FURTHER if items is not None else len(prefix)
    length = draw(st.integers(low, max(low, most if high is None else min(most, high))))
    known = prefix if items is None else [*prefix, *[items] * max(0, length - len(prefix))]
    return [draw(one) for one in known[:length]]


def _repeating(view: canonical.ArrayView, made: Made, low: int, high: int | None) -> Values:
    if view.prefix_items:
        raise UsageError("no lists can be made that repeat something beside prefixItems")
    least = max(low, 2) - 1
    most = least + _FURTHER if high is None else min(high - 1, least + _FURTHER)
    if most < least:
        return st.nothing()
    some = st.lists(made.member(view.items), min_size=least, max_size=most)
    return some.map(lambda members: [*members, members[0]])


def _containing(view: canonical.ArrayView, made: Made, low: int, high: int | None) -> Values:
    """Give lists with members that must be there in front of those that may."""
    if view.prefix_items or view.distinctness == canonical.Distinctness.ALL_DISTINCT:
        raise UsageError("no lists can be made with contains beside prefixItems or uniqueItems")
    others = items = view.items or _ANYTHING
    wanted: list[Values] = []
    for one in view.contains:
        least = 1 if one.min_contains is None else one.min_contains
        wanted.extend([made.of(items.intersect(one.schema))] * least)
        if one.max_contains is not None:
            others = others.subtract(one.schema)
    rest = made.of(others)
    room = _FURTHER if high is None else high - len(wanted)
    least = max(0, low - len(wanted))
    if room < least:
        return st.nothing()
    more = (
        st.builds(list)
        if made.is_empty(others)
        else st.lists(rest, min_size=least, max_size=min(room, least + _FURTHER))
    )
    return st.tuples(st.tuples(*wanted), more).map(lambda pair: [*pair[0], *pair[1]])


# --- objects


def objects_of(view: canonical.ObjectView, made: Made, *, extras: bool) -> Values:
    """Give the objects that fit a canonical object schema."""
    shape = _Shape(view, made)
    fixed, options, broken = shape.fixed(), shape.optional(), shape.broken()
    least, most = view.min_properties or 0, view.max_properties
    count = len(fixed) + len(broken)
    if least <= count and (most is None or most >= count + len(options) + _EXTRAS):
        plain = st.fixed_dictionaries(fixed, optional=options)
        further = shape.further() if extras else []
        most_added = 1 if _leads_on(view.additional_properties) else _EXTRAS
        added = [_dictionaries(st.one_of(further), 0, most_added)] if further else []
    else:
        room = None if most is None else most - count
        plain, added = _counted(fixed, options, shape.further(), need=max(0, least - count), room=room), []
    parts = [*added, plain, *(_dictionaries(one, 1, 1) for one in broken)]
    return plain if len(parts) == 1 else st.tuples(*parts).map(_merged)


def _merged(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _dictionaries(pairs: Values, least: int, most: int) -> Values:
    return st.lists(pairs, min_size=least, max_size=most, unique_by=_name_of).map(dict)


def _name_of(pair: tuple[str, Any]) -> str:
    return pair[0]


@st.composite
def _counted(
    draw: st.DrawFn,
    fixed: Mapping[str, Values],
    options: Mapping[str, Values],
    further: Sequence[Values],
    *,
    need: int,
    room: int | None,
) -> dict[str, Any]:
    """Give objects with at least `need` and at most `room` members beside the fixed ones."""
    names = list(options)
    most = len(names) if room is None else min(room, len(names))
    named = draw(st.lists(st.sampled_from(names), unique=True, min_size=min(need, most), max_size=most)) if most else []
    value = {name: draw(one) for name, one in {**fixed, **{name: options[name] for name in named}}.items()}
    need -= len(named)
    return {**draw(_dictionaries(st.one_of(further), need, need)), **value} if need > 0 else value


class _Shape:
    """The members of an object: those with names, those that patterns fit, all others."""

    def __init__(self, view: canonical.ObjectView, made: Made) -> None:
        self._view = view
        self._made = made
        self._patterns = dict(view.pattern_properties)
        self._declared = {**{name: self._undeclared(name) for name in view.required}, **view.properties}

    def fixed(self) -> dict[str, Values]:
        return {name: self._made.of(self._schema(name)) for name in self._view.required}

    def optional(self) -> dict[str, Values]:
        schemas = {name: self._schema(name) for name in self._declared if name not in self._view.required}
        return {
            name: self._made.of(schema)
            for name, schema in schemas.items()
            if self._is_name(name) and not self._made.is_empty(schema)
        }

    def further(self) -> list[Values]:
        """Give names and values of members that the schema does not name, by kind."""
        return self._pairs(_TEXT)

    def broken(self) -> list[Values]:
        """Give one member for each rule that some member has to break."""
        return [self._breaking(one) for one in self._view.violations]

    def _breaking(self, one: Any) -> Values:
        if isinstance(one, canonical.NameFailsView):
            names = _TEXT.subtract(one.schema)
            declared = [
                st.tuples(st.just(name), self._made.of(self._schema(name)))
                for name in self._declared
                if self._is_name(name) and not self._made.is_empty(names.intersect(canonical_of({"const": name})))
            ]
            return st.one_of(*declared, *self._pairs(names))
        if isinstance(one, canonical.UndeclaredValueFailsView):
            names = _names([], list(one.patterns), [*one.names, *self._declared])
            return st.one_of(*self._pairs(names, _ANYTHING.subtract(one.additional)))
        names = _names([one.pattern], [], list(self._declared))
        return st.one_of(*self._pairs(names, _ANYTHING.subtract(one.schema)))

    def _pairs(self, names: CanonicalSchema, values: CanonicalSchema | None = None) -> list[Values]:
        """Give members without a name of their own, by the patterns that their names fit."""
        known, patterns = list(self._declared), list(self._patterns)
        kinds = [(_names([], patterns, known), self._view.additional_properties)]
        for pattern, inner in self._patterns.items():
            kinds.append((_names([pattern], [other for other in patterns if other != pattern], known), inner))
        found = []
        for fitting, own in kinds:
            name = self._limited(fitting.intersect(names))
            value = values if own is None else own if values is None else own.intersect(values)
            if not self._made.is_empty(name) and (value is None or not self._made.is_empty(value)):
                found.append(st.tuples(self._made.of(name), self._made.member(value)))
        return found

    def _schema(self, name: str) -> CanonicalSchema:
        schema = self._declared[name]
        for pattern, inner in self._patterns.items():
            if name in self._view.properties and _finds(pattern, name):
                schema = schema.intersect(inner)
        return schema

    def _undeclared(self, name: str) -> CanonicalSchema:
        """Give the schema of a member that is asked for and not described."""
        fitting = [inner for pattern, inner in self._patterns.items() if _finds(pattern, name)]
        if not fitting:
            return self._view.additional_properties or _ANYTHING
        schema = fitting[0]
        for inner in fitting[1:]:
            schema = schema.intersect(inner)
        return schema

    def _is_name(self, name: str) -> bool:
        names = self._view.property_names
        return names is None or _fits(names, name)

    def _limited(self, names: CanonicalSchema) -> CanonicalSchema:
        return names if self._view.property_names is None else names.intersect(self._view.property_names)


def _names(patterns: list[str], but: list[str], known: list[str]) -> CanonicalSchema:
    """Give the schema of names that fit some patterns, none of others, and are not known ones."""
    rules: list[dict[str, Any]] = [{"pattern": pattern} for pattern in patterns]
    rules += [{"not": {"pattern": pattern}} for pattern in but]
    rules += [{"not": {"enum": known}}] if known else []
    return canonical_of({"type": "string", "allOf": rules} if rules else {"type": "string"})


def _finds(pattern: str, name: str) -> bool:
    return jsonschema_rs.is_valid({"pattern": pattern}, name)


def _fits(schema: CanonicalSchema, value: Any) -> bool:
    plain = schema.to_json_schema()
    return isinstance(plain, dict | bool) and jsonschema_rs.is_valid(plain, value)
