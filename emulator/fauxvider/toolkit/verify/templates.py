"""Reading a template as a want: what it shows of what is known, and the look of what is not.

The tree is walked as it stands in the contract (readings chosen), so that each leaf has its own pointer. A
name may be known (its value is put in), open (`Like`: only its look is known), or a want of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fauxvider.contract.formats import FORMATS, FORMATS_WITH_NUMBER, text_of
from fauxvider.toolkit.verify.wants import (
    ANY,
    AnyOf,
    Anything,
    Exactly,
    Fields,
    JsonText,
    Like,
    Listed,
    Maybe,
    Repeated,
    Want,
    pattern_of,
)

__all__ = ["TemplateReader", "formatted"]

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_DAY = r"\d{4}-\d{2}-\d{2}"
_MOMENTS = {
    "iso_s_z": rf"{_DAY}T\d{{2}}:\d{{2}}:\d{{2}}Z",
    "iso_ms_z": rf"{_DAY}T\d{{2}}:\d{{2}}:\d{{2}}\.\d{{3}}Z",
    "iso_us_z": rf"{_DAY}T\d{{2}}:\d{{2}}:\d{{2}}\.\d{{6}}Z",
    "python_utc": rf"{_DAY}T\d{{2}}:\d{{2}}:\d{{2}}(?:\.\d{{6}})?\+00:00",
    "stamp": r"\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2}_\d{3}",
    "amz": r"\d{8}T\d{6}Z",
    "http_date": r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT",
}
_NUMBERS = {"plain": ("text", r"-?\d+(?:\.\d+)?"), "number": ("number", ""), "seconds": ("number", "")}
_DIGESTS = {"sha256": r"[0-9a-f]{64}", "md5": r"[0-9a-f]{32}", "base64": r"[A-Za-z0-9+/]*={0,2}"}
_ABSENT = object()


class TemplateReader:
    """Reads the templates of one contract; `names` maps a root name to what is known of it."""

    def __init__(self, views: Mapping[str, Any]) -> None:
        self._views = views

    def want(self, tree: Any, at: str, names: Mapping[str, Any]) -> Want:
        """Give the want of a template that stands at a pointer; what is left out as a whole is null."""
        want = self._tree(tree, at, names)
        return Exactly(None, at=at) if want is None else want

    def _tree(self, tree: Any, at: str, names: Mapping[str, Any]) -> Want | None:
        """Give the want of a tree; None when it leaves itself out."""
        if isinstance(tree, str):
            return self._text(tree, at, names)
        if isinstance(tree, Mapping):
            special = next((key for key in tree if isinstance(key, str) and key.startswith("$")), None)
            return self._fields(tree, at, names) if special is None else self._form(special, tree, at, names)
        if isinstance(tree, list):
            items = [self._tree(one, f"{at}/{index}", names) for index, one in enumerate(tree)]
            return Listed([one for one in items if one is not None], at)
        return Exactly(tree, at, at)

    def _fields(self, tree: Mapping[str, Any], at: str, names: Mapping[str, Any]) -> Want:
        made = {key: self._tree(one, f"{at}/{_escaped(key)}", names) for key, one in tree.items()}
        return Fields({key: one for key, one in made.items() if one is not None}, at)

    # --- text

    def _text(self, text: str, at: str, names: Mapping[str, Any]) -> Want | None:
        parts: list[str | Want | None] = []
        end = 0
        for found in _PIECE.finditer(text):
            parts.append(text[end : found.start()])
            end = found.end()
            parts.append(found[0][0] if found[1] is None else self._placeholder(found[1], at, names))
        parts = [part for part in [*parts, text[end:]] if part != ""]
        if any(part is None for part in parts):
            return None
        if not parts or all(isinstance(part, str) for part in parts):
            return Exactly("".join(map(str, parts)), at, at)
        if len(parts) == 1:
            return parts[0] if not isinstance(parts[0], str) else Exactly(parts[0], at, at)
        return _joined([part for part in parts if part is not None], at)

    def _placeholder(self, inside: str, at: str, names: Mapping[str, Any]) -> Want | None:
        path, *formats = inside.split("|")
        is_optional = path.endswith("?")
        value = look_up(names, path.removesuffix("?"))
        want = value if _is_want(value) else Exactly(value, "", at)
        for name in formats:
            want = formatted(want, name)
        want = _placed(want, at)
        if isinstance(want, Exactly) and want.value is None and is_optional:
            return None
        return Maybe(want.want, can_be_absent=True) if isinstance(want, Maybe) and is_optional else want

    # --- forms

    def _form(self, form: str, tree: Mapping[str, Any], at: str, names: Mapping[str, Any]) -> Want | None:
        if form == "$view":
            return self._tree(self._views[tree[form]], f"/views/{_escaped(tree[form])}", names)
        if "$case" in tree:
            return self._case(tree, at, names)
        if "$each" in tree:
            return self._each(tree, at, names)
        if form == "$json":
            return JsonText(self.want(tree[form], f"{at}/$json", names), at)
        if form == "$text":
            return Like("text", says="a text", rule=at)
        if form == "$first":
            return self._first(tree[form], f"{at}/$first", names)
        parts = [self._tree(one, f"{at}/$merge/{index}", names) for index, one in enumerate(tree["$merge"])]
        merged: dict[str, Want] = {}
        for part in parts:
            merged.update(part.fields if isinstance(part, Fields) else {})
        return Fields(merged, at)

    def _case(self, tree: Mapping[str, Any], at: str, names: Mapping[str, Any]) -> Want | None:
        path, *formats = str(tree["$case"]).split("|")
        value = look_up(names, path)
        want = value if _is_want(value) else Exactly(value)
        for name in formats:
            want = formatted(want, name)
        branches = {key: (f"{at}/$of/{_escaped(key)}", one) for key, one in tree.get("$of", {}).items()}
        if isinstance(want, Exactly):
            key = "null" if want.value is None else text_of(want.value)
            if key in branches:
                return self._tree(branches[key][1], branches[key][0], names)
            return self._tree(tree["$else"], f"{at}/$else", names) if "$else" in tree else Exactly(None, at, at)
        known = [self.want(one, where, names) for key, (where, one) in branches.items() if not _is_out(want, key)]
        other = self.want(tree["$else"], f"{at}/$else", names) if "$else" in tree else Exactly(None, at, at)
        return AnyOf([*known, other], at)

    def _each(self, tree: Mapping[str, Any], at: str, names: Mapping[str, Any]) -> Want:
        source, bound = look_up(names, tree["$each"]), str(tree.get("$as", "item"))
        if isinstance(source, Exactly) and isinstance(source.value, list):
            source = [Exactly(one, f"{source.rule}/{index}") for index, one in enumerate(source.value)]
        if isinstance(source, list):
            items = [self.want(tree["$item"], f"{at}/$item", {**names, bound: one}) for one in source]
            return Listed(items, at)
        inner = source.item if isinstance(source, Repeated) else ANY
        return Repeated(self.want(tree["$item"], f"{at}/$item", {**names, bound: inner}), at)

    def _first(self, parts: list[Any], at: str, names: Mapping[str, Any]) -> Want | None:
        wants: list[Want] = []
        for index, one in enumerate(parts):
            want = self._tree(one, f"{at}/{index}", names)
            if want is None and index == len(parts) - 1 and not wants:
                return None
            if want is None or (isinstance(want, Exactly) and want.value is None):
                continue
            wants.append(want.want if isinstance(want, Maybe) else want)
            if not isinstance(want, Maybe):
                break
        else:
            wants.append(Exactly(None, at, at))
        return wants[0] if len(wants) == 1 else AnyOf(wants, at)


def look_up(names: Mapping[str, Any], path: str) -> Any:
    """Follow a dotted name: through mappings, lists and wants; None where there is nothing."""
    value: Any = names
    for name in path.split("."):
        if isinstance(value, Fields):
            value = value.fields.get(name)
        elif isinstance(value, Anything) or (isinstance(value, Like) and value.kind in ("any", "object")):
            return Anything()
        elif isinstance(value, Exactly):
            inner = _step(value.value, name)
            value = Exactly(inner, f"{value.rule}/{_escaped(name)}" if value.rule else "")
        elif isinstance(value, Listed):
            value = value.items[int(name)] if name.isdecimal() and int(name) < len(value.items) else None
        else:
            value = _step(value, name)
    return value


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
        return value[int(name)]
    return None


def _is_want(value: Any) -> bool:
    return isinstance(value, Exactly | Like | Maybe | Fields | Listed | Repeated | JsonText | AnyOf | Anything)


def _is_out(want: Want, key: str) -> bool:
    """Whether a case cannot be meant, since an open value that is not null is never null."""
    return key == "null" and isinstance(want, Like)


def _placed(want: Want, at: str) -> Want:
    if isinstance(want, Maybe):
        return replace(want, want=_placed(want.want, at))
    return replace(want, at=at) if isinstance(want, Exactly | Like | Anything) else want


def formatted(want: Want, name: str) -> Want:
    """Give a want behind a bar: `{job.accepted|iso_ms_z}`."""
    if isinstance(want, Exactly):
        return replace(want, value=_applied(want.value, name))
    if isinstance(want, Maybe):
        return replace(want, want=formatted(want.want, name))
    if not isinstance(want, Like):
        return ANY
    plain = replace(want, capture="", groups=(), says="")
    if name in _MOMENTS:
        return replace(plain, kind="text", pattern=_MOMENTS[name], says=f"a moment as {name}")
    if name in _NUMBERS:
        return replace(plain, kind=_NUMBERS[name][0], pattern=_NUMBERS[name][1])
    if name in ("epoch_s", "epoch_ms", "cents", "length"):
        return replace(plain, kind="integer", pattern="")
    if name in _DIGESTS:
        return replace(plain, kind="text", pattern=_DIGESTS[name])
    return replace(plain, kind="text", pattern=pattern_of(want)[0] if name == "text" and pattern_of(want) else "")  # type: ignore[index]


def _applied(value: Any, name: str) -> Any:
    if value is None:
        return None
    head, _, argument = name.partition(":")
    try:
        if head in FORMATS_WITH_NUMBER:
            return FORMATS_WITH_NUMBER[head](value, int(argument))
        return FORMATS[head](value)
    except (TypeError, ValueError, ArithmeticError):
        return None


def _joined(parts: list[str | Want], at: str) -> Want:
    """Give the want of a text that is put together: a pattern of its parts, each with its rule and captures."""
    pieces: list[tuple[str, str]] = []
    groups: list[tuple[str, str]] = []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            pieces.append((re.escape(part), ""))
            continue
        inner = part.want if isinstance(part, Maybe) else part
        piece, rule = pattern_of(inner) or ("(?s:.*)", "")
        if isinstance(inner, Like) and inner.capture:
            groups.append((f"p{number}", inner.capture))
            piece = f"(?P<p{number}>{piece})"
        pieces.append((f"(?:{piece})?" if isinstance(part, Maybe) else piece, rule))
    if all(isinstance(part, str | Exactly) for part in parts) and not any(rule for _, rule in pieces):
        return Exactly("".join(part if isinstance(part, str) else text_of(part.value) for part in parts), at, at)  # type: ignore[union-attr]
    says = "".join(part if isinstance(part, str) else _says(part) for part in parts)
    return Like("text", "".join(piece for piece, _ in pieces), says, at, at, groups=tuple(groups), pieces=tuple(pieces))


def _says(want: Want) -> str:
    if isinstance(want, Exactly):
        return text_of(want.value)
    inner = want.want if isinstance(want, Maybe) else want
    return f"<{inner.says or inner.kind}>" if isinstance(inner, Like) else "..."


def _escaped(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
