"""What an answer must look like, as a tree of wants, and how an answer is matched against it.

A want comes from a template of the contract (`fauxvider.toolkit.verify.templates`). Each leaf knows the rule
that it rests on, so that a mismatch names a place in the contract and not a difference between two texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from fauxvider.contract.formats import json_text, text_of

__all__ = [
    "ANY",
    "AnyOf",
    "Anything",
    "Exactly",
    "Fields",
    "JsonText",
    "Like",
    "Listed",
    "Match",
    "Maybe",
    "Mismatch",
    "Repeated",
    "Want",
    "decoded",
    "match",
    "pattern_of",
    "shown",
    "text_want",
]

_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Exactly:
    """One value. `rule` is the contract's pointer that gives it, `at` where the template shows it."""

    value: Any
    rule: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Like:
    """A value of a kind: text (that a pattern may narrow), integer, number, boolean, list, object, or any.

    `capture` names it, so that later answers must show the same; groups of the pattern may capture too.
    """

    kind: str = "any"
    pattern: str = ""
    says: str = ""
    rule: str = ""
    at: str = ""
    capture: str = ""
    groups: tuple[tuple[str, str], ...] = ()  # group of the pattern -> name to capture under
    pieces: tuple[tuple[str, str], ...] = ()  # of a text that is put together: pattern and rule of each part


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value that may be null, and whose key may be missing where the template says so."""

    want: Want
    can_be_absent: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields and no others."""

    fields: Mapping[str, Want]
    at: str = ""
    is_ordered: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    items: Sequence[Want]
    at: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list of any length whose items look alike."""

    item: Want
    at: str = ""


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON inside a string."""

    want: Want
    at: str = ""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several shapes; the one that fits best counts."""

    wants: Sequence[Want]
    at: str = ""


@dataclass(frozen=True, slots=True)
class Anything:
    at: str = ""


Want: TypeAlias = "Exactly | Like | Maybe | Fields | Listed | Repeated | JsonText | AnyOf | Anything"
ANY = Anything()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference: the contract's rule, where the answer shows it, what was wanted and what came."""

    rule: str
    place: str  # pointer into the answer's body, or `status`, `header NAME`
    wanted: str
    got: str
    observed: Any = None
    kind: str = "value"  # value | missing | extra | type | order | length
    at: str = ""  # the template's own place, where it is not the rule


@dataclass(slots=True)
class Match:
    """Mismatches, the values that were captured, and the rules that were found to hold."""

    mismatches: list[Mismatch] = field(default_factory=list)
    captured: dict[str, Any] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)


def match(want: Want, value: Any, place: str = "") -> Match:
    """Match a decoded JSON value (decimals as Decimal) against a want."""
    out = Match()
    _match(want, value, place, out)
    return out


def _match(want: Want, value: Any, place: str, out: Match) -> None:
    if isinstance(want, Exactly):
        _exactly(want, value, place, out)
    elif isinstance(want, Like):
        _like(want, value, place, out)
    elif isinstance(want, Maybe):
        if value is not None:
            _match(want.want, value, place, out)
    elif isinstance(want, Fields):
        _fields(want, value, place, out)
    elif isinstance(want, Listed | Repeated):
        _list(want, value, place, out)
    elif isinstance(want, JsonText):
        _json_text(want, value, place, out)
    elif isinstance(want, AnyOf):
        best = min((match(one, value, place) for one in want.wants), key=lambda one: len(one.mismatches))
        out.mismatches += best.mismatches
        out.captured.update(best.captured)
        out.held |= best.held
    elif want.at:
        out.held.add(want.at)


def _json_text(want: JsonText, value: Any, place: str, out: Match) -> None:
    inner, problem = decoded(value.encode("utf-8", "replace")) if isinstance(value, str) else (None, "no text")
    if problem:
        _miss(out, want.at, place, "JSON inside a string", value, kind="type")
    else:
        _match(want.want, inner, f"{place}#", out)


def _exactly(want: Exactly, value: Any, place: str, out: Match) -> None:
    if isinstance(want.value, Mapping) and isinstance(value, Mapping):
        _fields(
            Fields({key: Exactly(one, want.rule, want.at) for key, one in want.value.items()}, want.at or want.rule),
            value,
            place,
            out,
        )
    elif isinstance(want.value, list | tuple) and isinstance(value, list):
        _list(Listed([Exactly(one, want.rule, want.at) for one in want.value], want.at or want.rule), value, place, out)
    elif same(want.value, value):
        out.held |= {rule for rule in (want.rule, want.at) if rule}
    else:
        _miss(out, want.rule or want.at, place, shown(want.value), value, at=want.at)


def same(wanted: Any, value: Any) -> bool:
    """Compare two JSON values: numbers exactly, and true is no 1."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | Decimal | float) and isinstance(value, int | Decimal):
        return Decimal(str(wanted)) == Decimal(value)
    if isinstance(wanted, list | tuple) and isinstance(value, list):
        return len(wanted) == len(value) and all(map(same, wanted, value))
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return wanted.keys() == value.keys() and all(same(one, value[key]) for key, one in wanted.items())
    return type(wanted) is type(value) and bool(wanted == value)


_KINDS = {
    "text": (str,),
    "integer": (int,),
    "number": (int, Decimal),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "any": (object,),
}


def _like(want: Like, value: Any, place: str, out: Match) -> None:
    rule = want.rule or want.at
    if not isinstance(value, _KINDS[want.kind]) or (isinstance(value, bool) and want.kind in ("integer", "number")):
        _miss(out, rule, place, want.says or want.kind, value, kind="type", at=want.at)
        return
    if want.pattern:
        found = re.fullmatch(want.pattern, value) if isinstance(value, str) else None
        if found is None:
            _miss(
                out,
                _part_at_fault(want, value) or rule,
                place,
                want.says or f"text like {want.pattern}",
                value,
                at=want.at,
            )
            return
        out.captured.update({name: found[group] for group, name in want.groups})
    if want.capture:
        out.captured[want.capture] = value
    out.held |= {one for one in (want.rule, want.at, *(rule for _, rule in want.pieces)) if one}


def _part_at_fault(want: Like, value: Any) -> str:
    """Find the one part of a text without which the rest fits; "" if there is none."""
    if not isinstance(value, str):
        return ""
    for number, (_, rule) in enumerate(want.pieces):
        others = [piece if at != number else "(?s:.*?)" for at, (piece, _) in enumerate(want.pieces)]
        if rule and re.fullmatch("".join(others), value):
            return rule
    return ""


def _fields(want: Fields, value: Any, place: str, out: Match) -> None:
    if not isinstance(value, Mapping):
        _miss(out, want.at, place, "an object", value, kind="type")
        return
    for name, one in want.fields.items():
        where = f"{place}/{_escaped(name)}"
        if name in value:
            _match(one, value[name], where, out)
        elif not (isinstance(one, Maybe) and one.can_be_absent):
            _miss(out, f"{want.at}/{_escaped(name)}", where, "a field", None, kind="missing", got="no such field")
    for name in value:
        if name not in want.fields:
            _miss(out, want.at, f"{place}/{_escaped(name)}", "no such field", value[name], kind="extra")
    names = [name for name in want.fields if name in value]
    if want.is_ordered and names != [name for name in value if name in want.fields]:
        _miss(out, want.at, place, f"fields in the order {', '.join(names)}", list(value), kind="order")


def _list(want: Listed | Repeated, value: Any, place: str, out: Match) -> None:
    if not isinstance(value, list):
        _miss(out, want.at, place, "a list", value, kind="type")
        return
    items = [want.item] * len(value) if isinstance(want, Repeated) else list(want.items)
    if len(items) != len(value):
        _miss(out, want.at, place, f"{len(items)} items", value, kind="length", got=f"{len(value)} items")
    for index, (one, item) in enumerate(zip(items, value, strict=False)):
        _match(one, item, f"{place}/{index}", out)


def _miss(
    out: Match, rule: str, place: str, wanted: str, value: Any, *, kind: str = "value", at: str = "", got: str = ""
) -> None:
    out.mismatches.append(Mismatch(rule, place or "/", wanted, got or shown(value), value, kind, at))


def shown(value: Any) -> str:
    """Give a short text of a JSON value."""
    text = json_text(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def decoded(data: bytes) -> tuple[Any, str]:
    """Read JSON from a server that may be hostile: the value, and "" or what is wrong with it."""
    try:
        return json.loads(data.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant), ""
    except (ValueError, RecursionError, ArithmeticError) as problem:
        return None, f"not JSON: {problem}"[:_SHOWN]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def pattern_of(want: Want) -> tuple[str, str] | None:
    """Give the regular expression of the texts that a want stands for, and its rule; None if any text will do."""
    if isinstance(want, Exactly):
        return re.escape(text_of(want.value)), want.rule
    if isinstance(want, Like):
        plain = {"integer": r"-?\d+", "number": r"-?\d+(?:\.\d+)?", "boolean": "true|false"}.get(want.kind)
        pattern = want.pattern or plain
        return (f"(?:{pattern})", want.rule) if pattern else None
    return None


def text_want(want: Want) -> Want:
    """Give what a value looks like as text (in a header, or between the tags of an element)."""
    if isinstance(want, Exactly):
        return replace(want, value=text_of(want.value))
    if isinstance(want, Maybe):
        return Maybe(text_want(want.want), want.can_be_absent)
    found = pattern_of(want)
    if isinstance(want, Like) and found:
        return replace(want, kind="text", pattern=found[0])
    return want
