"""What can go wrong, by stage and name, and how the argument of each fault is read. The single list of what exists.

`Fault.value` after reading (spans are integer milliseconds, `true` is True):

| stage    | fault        | value                                                                       |
|----------|--------------|-----------------------------------------------------------------------------|
| request  | refuse       | cause: str; extra: `retry_after`: ms, if given                              |
|          | answer       | {"status": int, "headers": {lower-case name: str}}, and "text": str or      |
|          |              | "body": JSON tree with Decimals, or neither; content-type filled in         |
|          | slow, drip   | ms                                                                          |
|          | lose         | "reset", "truncate", "hang", "close", or as `answer`                        |
|          | garble       | "json", "encoding", "length"                                                |
|          | garbage, half_close | True                                                                 |
| job      | stuck        | word of a phase: str                                                        |
|          | slow         | ms, or {"factor": Decimal}                                                  |
|          | fail         | failure: str                                                                |
|          | cancel, time_out, hidden, gone | ms                                                        |
|          | moderate     | True                                                                        |
|          | lose_worker  | {"after": ms, "ends": failure or "succeeded"}                               |
|          | words        | {word of a state: str}                                                      |
|          | extra        | {"word": str, "after": word of a phase, "lasts": ms}                        |
|          | flicker      | {"word": word of a state, "after": ms, "lasts": ms}                         |
| output   | late, dies   | ms                                                                          |
|          | content_type | str                                                                         |
|          | truncate, short | Decimal, 0 <= share < 1                                                  |
|          | resize       | (width, height)                                                             |
|          | corrupt, empty_url, black, no_range, reset | True                                          |
| delivery | lose, early  | True                                                                        |
|          | duplicate    | further copies: int, 1 to 1000                                              |
|          | delay, replay | ms                                                                         |
|          | hold         | deliveries that overtake: int, 1 to 1000                                    |
| attempt  | tamper       | "body"                                                                      |
|          | sign         | "wrong", "stale", "rotated", "missing"                                      |
|          | reserialise, lose, reset_after | True                                                      |
|          | drip         | ms                                                                          |
|          | answer       | status: int, 200 to 599                                                     |
| account  | balance      | Decimal                                                                     |
|          | quota        | {"limit": str, "count": int}                                                |
|          | reading      | {reading: case}                                                             |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fauxvider.scenario.model import Fault, Stage
from fauxvider.scenario.parts import Part, plain

__all__ = ["COMPANIONS", "FAULTS", "read_fault"]

Normaliser: TypeAlias = Callable[[Part], Any]

_MAX_SIDE = 16_383
_MANY = 1000
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[ -~\xa0-\xff\t]*")
_FRAMING = ("connection", "content-length", "transfer-encoding")
_BODILESS = (204, 205, 304)
_GATEWAYS = {
    "html_522": {
        "status": 522,
        "headers": {"content-type": "text/html"},
        "text": "<html><head><title>522: Connection timed out</title></head>"
        "<body><h1>Error 522</h1><p>Connection timed out</p></body></html>",
    }
}


def read_fault(part: Part, stage: Stage) -> Fault:
    """Read `do`: one fault of the stage, and what may stand beside it. Raises ContractError."""
    part.entries(empty=False)
    named = [key for key in part.value if key in FAULTS[stage]]
    for key in part.value:
        if key not in named and not any(key in beside for beside in COMPANIONS[stage].values()):
            raise part.wrong(_no_fault(key, stage), allowed=tuple(FAULTS[stage]), key=key)
    if not named:
        raise part.wrong("a fault is missing", allowed=tuple(FAULTS[stage]))
    if len(named) > 1:
        raise part.wrong(f"one fault belongs here, not both {named[0]!r} and {named[1]!r}", key=named[1])
    name = named[0]
    beside = COMPANIONS[stage].get(name, {})
    for key in part.value:
        if key != name and key not in beside:
            raise part.wrong(f"the key {key!r} does not go with {name!r}", key=key)
    extra = {key: read(part.at(key)) for key, read in beside.items() if key in part.value}
    return Fault(name, FAULTS[stage][name](part.at(name)), extra)


def _no_fault(key: str, stage: Stage) -> str:
    others = [f"`on: {other}`" for other in FAULTS if key in FAULTS[other]]
    return f"the fault {key!r} is for {' or '.join(others)}" if others else f"there is no fault {key!r} of a {stage}"


# --- arguments


def _name(what: str) -> Normaliser:
    return lambda part: part.name(what)


def _word(*allowed: str) -> Normaliser:
    return lambda part: part.word(*allowed)


def _whole(low: int, high: int) -> Normaliser:
    return lambda part: part.whole(low, high)


def _fields(**fields: Normaliser) -> Normaliser:
    """Read a mapping that has all of these keys and no others."""

    def read(part: Part) -> dict[str, Any]:
        part.mapping(tuple(fields))
        return {key: normalise(part.at(key)) for key, normalise in fields.items()}

    return read


def _answer(part: Part) -> dict[str, Any]:
    part.mapping(("status",), ("headers", "body", "text"))
    status = part.at("status").whole(200, 599)
    content = [key for key in ("body", "text") if key in part.value]
    if len(content) > 1:
        raise part.wrong("one of the keys 'body' and 'text' belongs here, not both", key="text")
    if content and status in _BODILESS:
        raise part.wrong(f"an answer with the status {status} has no body", key=content[0])
    headers = _headers(part.at("headers")) if "headers" in part.value else {}
    made: dict[str, Any] = {"status": status, "headers": headers}
    if content == ["text"]:
        made["text"] = part.at("text").text(empty=True)
        kind = "text/html" if made["text"].lstrip().startswith("<") else "text/plain"
        headers.setdefault("content-type", f"{kind}; charset=utf-8")
    elif content:
        made["body"] = plain(part.at("body").value)
        headers.setdefault("content-type", "application/json")
    return made


def _headers(part: Part) -> dict[str, str]:
    headers: dict[str, str] = {}
    for key, entry in part.entries():
        name = key.lower()
        if not _HEADER.fullmatch(key):
            raise part.wrong(f"{key!r} is not the name of a header", key=key)
        if name in _FRAMING or name in headers:
            problem = "stands twice" if name in headers else "is the server's own"
            raise part.wrong(f"the header {key!r} {problem}", key=key)
        value = str(entry.value) if entry.is_number else entry.text(empty=True)
        if not _HEADER_VALUE.fullmatch(value):
            raise entry.is_not("the value of a header", allowed=("one line of Latin-1",))
        headers[name] = value
    return headers


def _lose(part: Part) -> Any:
    if not isinstance(part.value, str):
        return _answer(part)
    word = part.word("reset", "truncate", "hang", "close", *_GATEWAYS)
    return plain(_GATEWAYS[word]) if word in _GATEWAYS else word


def _slow(part: Part) -> Any:
    return {"factor": part.factor()} if part.is_number else part.span()


def _end(part: Part) -> str:
    return "succeeded" if part.value == "succeeded" else part.name("failure")


def _words(part: Part) -> dict[str, str]:
    return {part.key_name(key, "state"): entry.text() for key, entry in part.entries(empty=False)}


def _resize(part: Part) -> tuple[int, int]:
    sides = tuple(side.whole(1, _MAX_SIDE) for side in part.elements())
    if len(sides) != 2:
        raise part.is_not("a width and a height", allowed=("such as [512, 512]",))
    return sides[0], sides[1]


def _content_type(part: Part) -> str:
    text = part.text()
    if not _HEADER_VALUE.fullmatch(text):
        raise part.is_not("the value of a header", allowed=("one line of Latin-1",))
    return text


def _reading(part: Part) -> dict[str, str]:
    return {key: part.case(key) for key, _ in part.entries(empty=False)}


FAULTS: Mapping[Stage, Mapping[str, Normaliser]] = {
    "request": {
        "refuse": _name("cause"),
        "answer": _answer,
        "slow": Part.span,
        "lose": _lose,
        "garble": _word("json", "encoding", "length"),
        "drip": Part.span,
        "garbage": Part.yes,
        "half_close": Part.yes,
    },
    "job": {
        "stuck": _name("phase"),
        "slow": _slow,
        "fail": _name("failure"),
        "cancel": Part.span,
        "moderate": Part.yes,
        "time_out": Part.span,
        "lose_worker": _fields(after=Part.span, ends=_end),
        "words": _words,
        "extra": _fields(word=Part.text, after=_name("phase"), lasts=Part.span),
        "hidden": Part.span,
        "gone": Part.span,
        "flicker": _fields(word=_name("state"), after=Part.span, lasts=Part.span),
    },
    "output": {
        "late": Part.span,
        "dies": Part.span,
        "content_type": _content_type,
        "truncate": Part.share,
        "short": Part.share,
        "resize": _resize,
        "corrupt": Part.yes,
        "empty_url": Part.yes,
        "black": Part.yes,
        "no_range": Part.yes,
        "reset": Part.yes,
    },
    "delivery": {
        "lose": Part.yes,
        "duplicate": _whole(1, _MANY),
        "delay": Part.span,
        "early": Part.yes,
        "hold": _whole(1, _MANY),
        "replay": Part.span,
    },
    "attempt": {
        "tamper": _word("body"),
        "sign": _word("wrong", "stale", "rotated", "missing"),
        "reserialise": Part.yes,
        "drip": Part.span,
        "lose": Part.yes,
        "answer": _whole(200, 599),
        "reset_after": Part.yes,
    },
    "account": {
        "balance": Part.money,
        "quota": _fields(limit=_name("limit"), count=_whole(0, 10**9)),
        "reading": _reading,
    },
}

# stage -> fault -> what may stand beside it
COMPANIONS: Mapping[Stage, Mapping[str, Mapping[str, Normaliser]]] = {
    "request": {"refuse": {"retry_after": Part.span}},
    "job": {},
    "output": {},
    "delivery": {},
    "attempt": {},
    "account": {},
}
