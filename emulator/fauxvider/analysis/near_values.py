"""What is wrong with a value, in words, and which legal values are nearest to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any, Final

from fauxvider.analysis.entries import shown
from fauxvider.contract.model import Issue, Validator
from fauxvider.contract.strict import pointer_text
from fauxvider.contract.templates import json_text, text_of
from fauxvider.gate import JsonRefusedError, parse_json

__all__ = ["MAX_ISSUES", "Asked", "Finding", "closest", "finding"]

MAX_ISSUES: Final = 20
_LONGEST = 60  # characters of a value that are shown
_COMPARED = 200  # characters that are compared: difflib is quadratic
_LISTED = 8
_ALIKE = 0.6
_NEARLY = 0.1
_TELLING = 4  # so many letters of a longer word say which one is meant
_HUGE = 10**15
_ABSENT: Final = object()
_URL = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]{0,30}://)(.*)", re.DOTALL)
_NOT_ALLOWED = frozenset({"additionalProperties", "unevaluatedProperties", "propertyNames", "falseSchema"})
_SIZES = {
    "minLength": "characters", "maxLength": "characters", "minItems": "items", "maxItems": "items",
    "minProperties": "fields", "maxProperties": "fields",
}  # fmt: skip
_WORDS = {
    "multipleOf": "is not divisible by", "minimum": "is below", "maximum": "is above", "const": "is not",
    "exclusiveMinimum": "is not above", "exclusiveMaximum": "is not below", "enum": "is none of",
    "pattern": "does not match",
}  # fmt: skip
_ARTICLES = {
    "boolean": "a boolean", "string": "a string", "integer": "an integer", "number": "a number", "object": "an object",
    "array": "a list",
}  # fmt: skip
_KINDS = {bool: "a boolean", str: "a string", int: "an integer", float: "a number", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The request at hand: its body, who judges it, and the fields that the contract knows beside the one at fault."""

    body: Any
    validator: Validator
    names: Set[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: what it is about (a pointer, and the value where that helps), what is wrong, what would do."""

    subject: str
    problem: str
    nearest: tuple[str, ...]


def finding(issue: Issue, node: Mapping[str, Any], asked: Asked, *, is_secret: bool) -> Finding:
    """Put a violation into words. `node` is the schema at its place; a secret value is not shown, nor made better."""
    pointer = shown(pointer_text(issue.path)) or "the body"
    problem = _problem(issue, node, "" if is_secret else f"{_value_text(issue.value)} ")
    name = str(issue.path[-1]) if issue.path else ""
    holder = _at_path(asked.body, issue.path[:-1])
    if issue.keyword == "required":
        sent = [one for one in holder if one not in asked.names] if isinstance(holder, dict) else []
        near = closest(name, sent[:_COMPARED])
        return Finding(pointer, problem, tuple(shown(pointer_text((*issue.path[:-1], one))) for one in near))
    if issue.keyword in _NOT_ALLOWED:
        left = [one for one in sorted(asked.names) if not isinstance(holder, dict) or one not in holder]
        return Finding(pointer, problem, tuple(closest(name, left)))
    if is_secret:
        return Finding(pointer, problem, ())
    legal = [one for one in _candidates(issue, node) if _is_legal(one, issue, asked)]
    return Finding(pointer, problem, tuple(dict.fromkeys(_candidate_text(issue, one) for one in _chosen(issue, legal))))


# --- in words


def _problem(issue: Issue, node: Mapping[str, Any], value: str) -> str:
    keyword, limit = issue.keyword, issue.limit
    if keyword in _NOT_ALLOWED:
        return "is not a known field here"
    if keyword == "required":
        kind = node.get("type")
        return f"is missing ({_types_text(kind)})" if kind else "is missing"
    if keyword == "type":
        given = "" if issue.value is None else value
        return f"{given}is {_KINDS.get(type(issue.value), 'null')}, not {_one_of_type(limit)}"
    if keyword in _SIZES:
        return f"has {len(issue.value)} {_SIZES[keyword]}, {_bound(issue)}" if _has_size(issue.value) else _bound(issue)
    words = _WORDS.get(keyword)
    if words is None:
        return f"{value}{shown(issue.message) or 'is not valid'}"
    return f"{value}{words} {_listed(limit if isinstance(limit, list | tuple) else [limit])}"


def _has_size(value: Any) -> bool:
    return isinstance(value, str | list | dict)


def _bound(issue: Issue) -> str:
    return f"at {'least' if issue.keyword.startswith('min') else 'most'} {issue.limit} are allowed"


def _types_text(types: Any) -> str:
    return " or ".join(map(str, types)) if isinstance(types, list | tuple) else str(types)


def _one_of_type(types: Any) -> str:
    names = types if isinstance(types, list | tuple) else [types]
    return " or ".join(_ARTICLES.get(str(name), str(name)) for name in names)


def _listed(values: Sequence[Any]) -> str:
    texts = [shown(value, _LONGEST) if isinstance(value, str) else _json(value) for value in values[:_LISTED]]
    return ", ".join(texts) + (f" and {len(values) - _LISTED} more" if len(values) > _LISTED else "")


def _value_text(value: Any) -> str:
    """Show a value shortly; of a URL neither userinfo nor query."""
    if isinstance(value, dict | list):
        count = len(value)
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {count}"
    if isinstance(value, str) and (found := _URL.match(value)):
        place = re.split(r"[?#]", found[2], maxsplit=1)[0].rpartition("@")[2]
        value = f"{found[1]}{place}"
    return _json(value)


def _json(value: Any) -> str:
    return shown(json_text(value[: 4 * _LONGEST] if isinstance(value, str) else value), _LONGEST)


# --- what would do


def closest(word: str, words: Sequence[str], *, count: int = 2) -> list[str]:
    """Give the words that look most like this one, whatever their case, and no others beside a good one."""
    word = word[:_COMPARED].lower()
    rated = [(_likeness(word, one[:_COMPARED].lower()), one) for one in words]
    rated = sorted((one for one in rated if one[0] >= _ALIKE), key=lambda one: -one[0])
    return [one for likeness, one in rated if likeness >= rated[0][0] - _NEARLY][:count]


def _likeness(word: str, other: str) -> float:
    if len(word) >= _TELLING and word in other:
        return 2 - len(other) / (1000 + len(other))  # the shortest word that holds it comes first
    return SequenceMatcher(None, other, word, autojunk=False).ratio()


def _candidates(issue: Issue, node: Mapping[str, Any]) -> Iterable[Any]:
    make = _MAKERS.get(issue.keyword, _examples)
    if make is _numbers and not (_is_number(issue.value) and abs(issue.value) < _HUGE):
        return ()
    return make(issue, node)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(issue: Issue, node: Mapping[str, Any]) -> Iterator[Any]:
    """Give the bounds, and the multiples beside the value and inside the bounds."""
    step = issue.limit if issue.keyword == "multipleOf" else node.get("multipleOf")
    bounds = [_plain(bound) for bound in (issue.low, issue.high) if bound is not None]
    if isinstance(step, int) and step > 0:
        for target in (issue.value, *bounds):
            yield int(target // step) * step
            yield -int(-target // step) * step
        return
    for bound in bounds:
        yield bound
        if node.get("type") == "integer":  # the bound itself may be excluded
            yield from (bound - 1, bound + 1)


def _plain(value: Any) -> Any:
    """Give a number of the contract as JSON readers have it."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _words(issue: Issue, _node: Mapping[str, Any]) -> Iterator[Any]:
    values = [_plain(one) for one in (issue.limit if isinstance(issue.limit, list | tuple) else [issue.limit])]
    texts = {text_of(one): one for one in values}
    if _is_number(issue.value):
        yield from sorted((one for one in values if _is_number(one)), key=lambda one: abs(one - issue.value))[:2]
    yield from (texts[one] for one in closest(text_of(issue.value)[:_COMPARED], list(texts)))


def _converted(issue: Issue, _node: Mapping[str, Any]) -> Iterator[Any]:
    value = issue.value
    if value is None:
        yield _ABSENT
    elif isinstance(value, str) and len(value) < _LONGEST:
        with suppress(JsonRefusedError):
            yield parse_json(value.strip().lower().encode("utf-8", "replace"))
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]
    elif isinstance(value, int | float):
        yield from (int(value // 1), -int(-value // 1)) if abs(value) < _HUGE else ()
        yield json_text(value)
    yield [value]


def _examples(_issue: Issue, node: Mapping[str, Any]) -> Iterator[Any]:
    yield from (_plain(one) for one in [*node.get("examples", ()), *([node["default"]] if "default" in node else [])])


_MAKERS: Mapping[str, Callable[[Issue, Mapping[str, Any]], Iterable[Any]]] = {
    "multipleOf": _numbers,
    "minimum": _numbers,
    "maximum": _numbers,
    "exclusiveMinimum": _numbers,
    "exclusiveMaximum": _numbers,
    "enum": _words,
    "const": _words,
    "type": _converted,
}


def _is_legal(candidate: Any, issue: Issue, asked: Asked) -> bool:
    """Ask the contract itself: with this value in its place, is there nothing left to say about it?"""
    here = issue.path
    left = asked.validator.issues(_put(asked.body, here, candidate))
    return not any(one.path[: len(here)] == here for one in left)


def _chosen(issue: Issue, legal: Sequence[Any]) -> Iterable[Any]:
    """Of legal numbers the nearest below and the nearest above; of anything else the first two."""
    value = issue.value
    if _MAKERS.get(issue.keyword) is not _numbers:
        return legal[:2]
    below = [one for one in legal if one < value]
    above = [one for one in legal if one > value]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def _candidate_text(issue: Issue, candidate: Any) -> str:
    if candidate is _ABSENT:
        return "no field at all"
    is_word = isinstance(candidate, str) and candidate and issue.keyword != "type"  # "1" is not 1
    return shown(candidate, _LONGEST) if is_word else _value_text(candidate)


def _at_path(tree: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        if isinstance(step, int):
            tree = tree[step] if isinstance(tree, list) and step < len(tree) else None
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _put(tree: Any, path: Sequence[str | int], value: Any) -> Any:
    """Give a copy with another value (or none) at a place; only the way there is copied."""
    if not path:
        return {} if value is _ABSENT else value
    step, *rest = path
    if isinstance(tree, dict):
        if value is _ABSENT and not rest:
            return {key: one for key, one in tree.items() if key != step}
        return {**tree, str(step): _put(tree.get(step), rest, value)}
    if isinstance(tree, list) and isinstance(step, int) and step < len(tree):
        return [*tree[:step], _put(tree[step], rest, value), *tree[step + 1 :]]
    return tree
