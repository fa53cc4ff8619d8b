"""Values that break one rule of a JSON Schema and keep all others, each labelled with the rule.

A rule is a keyword at a place. Its opposite is put into the schema in its stead, so that what breaks it is
drawn by construction like everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from fauxvider.contract.strict import pointer_parts, pointer_text
from pytest_fauxvider.strategies.schema import Schema, from_schema, is_possible, plain_json

__all__ = ["Broken", "Rule", "from_schema_broken", "rules_of"]

Node: TypeAlias = dict[str, Any]
Wrap: TypeAlias = Callable[[Any], Any]

_MAX_DEPTH: Final = 6

# What a keyword cannot be understood without.
_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    "contains": ("minContains", "maxContains"),
    "minContains": ("contains",),
    "maxContains": ("contains",),
    "if": ("then", "else"),
}
_BREAKABLE: Final = (
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "contains",
    "minProperties", "maxProperties", "propertyNames", "additionalProperties", "dependentRequired",
    "oneOf", "anyOf", "not", "if",
)  # fmt: skip
# The JSON type that a keyword speaks of; values of other types do not break it.
_TYPE: Final[Mapping[str, str]] = {
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
    "multipleOf": "number", "minLength": "string", "maxLength": "string", "pattern": "string", "minItems": "array",
    "maxItems": "array", "uniqueItems": "array", "contains": "array", "minProperties": "object",
    "maxProperties": "object", "propertyNames": "object", "additionalProperties": "object",
    "dependentRequired": "object", "required": "object",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """A keyword of a schema: `pointer` names it there, `path` leads to the value (a list's item is "*")."""

    keyword: str
    pointer: str
    path: tuple[str, ...] = ()
    name: str = ""  # the field that `required` asks for

    def __str__(self) -> str:
        named = f" {self.name}" if self.name else ""
        return f"{self.keyword}{named} ({self.pointer})"


@dataclass(frozen=True, slots=True)
class Broken:
    """A value, and the only rule that it breaks."""

    value: Any
    rule: Rule


def rules_of(schema: Schema) -> dict[Rule, Node]:
    """Give every rule that a value can be made to break by itself, each with the schema of what breaks it.

    `format` is no rule: a validator does not look at it unless it is told to.
    """
    plain = plain_json(schema)
    if not isinstance(plain, dict):
        return {}
    found = dict(_rules(plain, plain, (), (), lambda broken: broken, depth=0))
    return {rule: broken for rule, broken in found.items() if is_possible(broken)}


def from_schema_broken(schema: Schema, *, extras: bool = False) -> st.SearchStrategy[Broken]:
    """Give values that break exactly one rule of a schema, labelled. Raises UsageError as `from_schema` does."""
    return st.one_of(
        *(from_schema(broken, extras=extras).map(_labelled(rule)) for rule, broken in rules_of(schema).items())
    )


def _labelled(rule: Rule) -> Callable[[Any], Broken]:
    return lambda value: Broken(value, rule)


# --- where the rules are


def _rules(
    root: Node, node: Any, place: tuple[str, ...], path: tuple[str, ...], wrap: Wrap, *, depth: int
) -> Iterator[tuple[Rule, Node]]:
    """Walk the rules of a node. `wrap` puts a changed node back into the whole schema."""
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return
    if isinstance(target := node.get("$ref"), str):
        steps = tuple(pointer_parts(target.removeprefix("#")))
        rest = {key: value for key, value in node.items() if key not in ("$ref", "$defs")}
        aside: Wrap = (lambda broken: wrap({"allOf": [rest, broken]})) if rest else wrap
        yield from _rules(root, _at(root, steps), steps, path, aside, depth=depth + 1)
    for keyword in _BREAKABLE:
        if keyword in node:
            broken = _standing(root, wrap(_opposite(node, keyword)))
            yield Rule(keyword, pointer_text((*place, keyword)), path), broken
    for number, name in enumerate(node.get("required", ())):
        rule = Rule("required", pointer_text((*place, "required", str(number))), path, name)
        yield rule, _standing(root, wrap(_without(node, name)))
    yield from _inside(root, node, place, path, wrap, depth=depth)


def _inside(
    root: Node, node: Node, place: tuple[str, ...], path: tuple[str, ...], wrap: Wrap, *, depth: int
) -> Iterator[tuple[Rule, Node]]:
    for name, inner in node.get("properties", {}).items():
        there = (*place, "properties", name)
        yield from _rules(root, inner, there, (*path, name), _member(node, name, wrap), depth=depth + 1)
    if isinstance(node.get("items"), dict) and "prefixItems" not in node:
        yield from _rules(root, node["items"], (*place, "items"), (*path, "*"), _item(node, wrap), depth=depth + 1)
    for number, inner in enumerate(node.get("prefixItems", ())):
        there = (*place, "prefixItems", str(number))
        yield from _rules(root, inner, there, (*path, str(number)), _element(node, number, wrap), depth=depth + 1)
    for number, inner in enumerate(node.get("allOf", ())):
        there = (*place, "allOf", str(number))
        yield from _rules(root, inner, there, path, _branch(node, number, wrap), depth=depth + 1)


def _standing(root: Node, broken: Node) -> Node:
    """Make a changed schema stand by itself: its references lead to the unchanged one, kept among its definitions."""
    if '"$ref"' not in json.dumps(root):
        return broken
    return {**_moved(broken), "$defs": {"whole": _moved(root)}}


def _moved(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_moved(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: f"#/$defs/whole{value[1:]}" if key == "$ref" and isinstance(value, str) else _moved(value)
        for key, value in tree.items()
    }


def _member(node: Node, name: str, wrap: Wrap) -> Wrap:
    def inside(broken: Any) -> Any:
        required = [*node.get("required", ()), *([name] if name not in node.get("required", ()) else [])]
        properties = {**node["properties"], name: broken}
        return wrap(_only("object", {**node, "properties": properties, "required": required}))

    return inside


def _item(node: Node, wrap: Wrap) -> Wrap:
    least = max(1, node.get("minItems", 1))
    return lambda broken: wrap(_only("array", {**node, "items": broken, "minItems": least}))


def _element(node: Node, number: int, wrap: Wrap) -> Wrap:
    def inside(broken: Any) -> Any:
        elements = [broken if index == number else one for index, one in enumerate(node["prefixItems"])]
        least = max(number + 1, node.get("minItems", 0))
        return wrap(_only("array", {**node, "prefixItems": elements, "minItems": least}))

    return inside


def _branch(node: Node, number: int, wrap: Wrap) -> Wrap:
    def inside(broken: Any) -> Any:
        return wrap({**node, "allOf": [broken if index == number else one for index, one in enumerate(node["allOf"])]})

    return inside


# --- what breaks one


def _opposite(node: Node, keyword: str) -> Node:
    """Give a node in which one keyword does not hold, and all others do."""
    rule = {key: node[key] for key in (keyword, *_WITH.get(keyword, ())) if key in node}
    if keyword == "additionalProperties":  # which members it speaks of; what they are is another rule's business
        rule |= {key: dict.fromkeys(node[key], True) for key in ("properties", "patternProperties") if key in node}
    kept = {key: value for key, value in node.items() if key not in (keyword, *_WITH.get(keyword, ()))}
    if keyword in ("enum", "const") and "type" not in node:
        return {"allOf": [kept, _other_scalar(node["enum"] if keyword == "enum" else [node["const"]])]}
    of_type = {"type": _TYPE[keyword]} if keyword in _TYPE else {}
    return {"allOf": [kept, {**of_type, "not": rule}]}


_SCALARS: Final[Mapping[type, str]] = {
    str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"
}  # fmt: skip


def _other_scalar(values: list[Any]) -> Node:
    """Give texts and numbers that are none of some values, nearly right rather than of another kind altogether."""
    scalars = [value for value in values if type(value) in _SCALARS]
    kinds = {_SCALARS[type(value)] for value in scalars} - {"boolean", "null"}
    among: Node = {"type": sorted(kinds or {"string", "number"})}
    return {**among, "not": {"enum": scalars}} if scalars else among


def _without(node: Node, name: str) -> Node:
    required = [other for other in node["required"] if other != name]
    rest = {key: value for key, value in node.items() if key != "required"}
    properties = {**node.get("properties", {}), name: False}
    return _only("object", {**rest, "properties": properties, **({"required": required} if required else {})})


def _only(kind: str, node: Node) -> Node:
    return {"allOf": [{"type": kind}, node]}


def _at(tree: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        tree = tree[int(step)] if isinstance(tree, list) else tree.get(step) if isinstance(tree, dict) else None
    return tree
