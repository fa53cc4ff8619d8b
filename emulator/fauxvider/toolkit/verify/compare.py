"""Holding a whole answer against what is wanted of it: status, headers, body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fauxvider.toolkit.verify.client import Answer
from fauxvider.toolkit.verify.wants import (
    Exactly,
    Fields,
    Match,
    Maybe,
    Mismatch,
    Want,
    decoded,
    match,
    shown,
    text_want,
)

__all__ = ["Wanted", "compare"]

_ELEMENT = re.compile(r"<([A-Za-z][A-Za-z0-9_.-]*)>([^<]*)</\1>|<([A-Za-z][A-Za-z0-9_.-]*)/>")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an answer must be as a whole."""

    status: int
    status_rule: str
    body: Want | None
    at: str
    form: str = "json"  # json | text | xml | none
    media_type: str = ""
    media_rule: str = ""
    root: str = ""
    headers: Mapping[str, Want] = field(default_factory=dict)


def compare(answer: Answer, wanted: Wanted) -> Match:
    """Hold an answer against what is wanted of it."""
    out = Match()
    if not answer.status:
        out.mismatches.append(Mismatch(wanted.at, "answer", "an HTTP answer", answer.problem or "nothing", kind="type"))
        return out
    if answer.status != wanted.status:
        got = f"{answer.status} {shown(answer.body[:120].decode('utf-8', 'replace'))}"
        out.mismatches.append(Mismatch(wanted.status_rule, "status", str(wanted.status), got, answer.status))
    if answer.problem:
        out.mismatches.append(Mismatch(wanted.at, "answer", "a whole answer", answer.problem, kind="type"))
        return out
    inner = _body(answer, wanted)
    # Another status is another answer: that its body differs too says nothing more.
    if out.mismatches and inner.mismatches:
        return out
    out.held.add(wanted.status_rule)
    out.mismatches += inner.mismatches
    out.captured, out.held = inner.captured, out.held | inner.held
    _headers(answer, wanted, out)
    return out


def _body(answer: Answer, wanted: Wanted) -> Match:
    if wanted.form == "none" or wanted.body is None:
        return Match()
    if wanted.form == "text":
        return match(wanted.body, answer.body.decode("utf-8", "replace"))
    if wanted.form == "xml":
        return _xml(answer.body, wanted)
    tree, problem = decoded(answer.body)
    if problem:
        return Match([Mismatch(wanted.media_rule, "/", "JSON", problem, kind="type")])
    return match(wanted.body, tree)


def _headers(answer: Answer, wanted: Wanted, out: Match) -> None:
    if wanted.media_type and (answer.body or wanted.form == "xml"):
        got = answer.header("content-type") or ""
        if _media(got) != _media(wanted.media_type):
            out.mismatches.append(
                Mismatch(wanted.media_rule, "header content-type", wanted.media_type, got or "none", got)
            )
    for name, want in wanted.headers.items():
        got_value = answer.header(name)
        if got_value is None and (isinstance(want, Maybe) or (isinstance(want, Exactly) and want.value in (None, ""))):
            continue
        if got_value is None:
            rule = getattr(want, "at", "") or wanted.at
            out.mismatches.append(Mismatch(rule, f"header {name}", "this header", "none", kind="missing"))
            continue
        found = match(want, got_value, f"header {name}")
        out.mismatches += found.mismatches
        out.held |= found.held
        out.captured = {**found.captured, **out.captured}


def _media(text: str) -> tuple[str, ...]:
    parts = [part.strip().lower() for part in text.split(";")]
    # UTF-8 is what these types are written in anyway; whether it is said makes no difference to a reader.
    return tuple(part for part in parts if part and part != "charset=utf-8")


def _xml(data: bytes, wanted: Wanted) -> Match:
    """Match a flat XML document; nothing is expanded, so that a hostile one is only text."""
    text = data.decode("utf-8", "replace")
    body = re.sub(r"^\s*<\?xml[^>]*\?>\s*", "", text).strip()
    found = re.fullmatch(rf"<{re.escape(wanted.root)}(?:\s[^<>]*)?>(.*)</{re.escape(wanted.root)}>", body, re.DOTALL)
    if found is None:
        return Match([Mismatch(wanted.at, "/", f"an XML element {wanted.root}", shown(text[:120]), kind="type")])
    tree = {one[1] or one[3]: _unescaped(one[2] or "") for one in _ELEMENT.finditer(found[1])}
    want = wanted.body
    if isinstance(want, Fields):
        want = Fields({name: _xml_leaf(one) for name, one in want.fields.items()}, want.at)
    return match(want, tree) if want is not None else Match()


def _xml_leaf(want: Want) -> Want:
    return text_want(want)


def _unescaped(text: str) -> str:
    return re.sub("|".join(_ENTITIES), lambda found: _ENTITIES[found[0]], text)
