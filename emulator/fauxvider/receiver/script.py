"""Scripts: what a receiver answers, read and checked before anything is received."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import h11

from fauxvider.errors import UsageError
from fauxvider.gate import dump_json
from fauxvider.receiver.records import AnswerLike, Received
from fauxvider.values import parse_span

__all__ = ["FRAMING", "Answer", "Answers", "Chooser", "make_chooser", "read_answer"]

Answers: TypeAlias = "AnswerLike | Sequence[AnswerLike] | Callable[[Received], AnswerLike] | Mapping[str, Answers]"
"""One answer; a list, whose last item repeats; a function; or any of these by path (``*``: other paths)."""

Kind: TypeAlias = Literal["http", "pass", "reset", "close", "hang", "garbage", "down"]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_KINDS: tuple[Kind, ...] = ("pass", "reset", "close", "hang", "garbage", "down")
_WITH_ARGUMENT = ("redirect", "down", "after", "drip")
_KEYS = {"status", "redirect", "body", "headers", "after", "drip", *_KINDS}
_HELP = (
    "a status, pass, reset, close, hang, garbage, redirect:URL, down:SPAN, after:SPAN, drip:SPAN, or a mapping of "
    "status, body, headers, redirect, pass, reset, close, hang, garbage, down, after, drip"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, read. ``then`` goes out instead of what the application behind has answered."""

    kind: Kind = "http"
    status: int = 200
    headers: Pairs = ()
    body: bytes = b""
    after_ms: int = 0
    drip_ms: int = 0
    down_ms: int = 0
    then: Answer | None = None
    note: str = ""

    def response(self) -> h11.Response:
        """Give the head without its framing; raises h11.LocalProtocolError when it cannot be written."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        return h11.Response(status_code=self.status, headers=headers, reason=_phrase(self.status))


Chooser: TypeAlias = Callable[[Received], tuple[AnswerLike, Answer]]
"""Gives the script's item for a request, as it was written and as it was read."""


def make_chooser(answers: Answers, *, has_backend: bool) -> Chooser:
    """Check a script and make it ready; raises UsageError."""
    if isinstance(answers, Mapping) and any(key == "*" or str(key).startswith("/") for key in answers):
        return _by_path(answers, has_backend=has_backend)
    if isinstance(answers, int | str | Mapping):
        return _in_turn([answers], has_backend=has_backend)
    if callable(answers):
        return _by_function(answers, has_backend=has_backend)
    if isinstance(answers, Sequence) and not isinstance(answers, bytes | bytearray):
        return _in_turn(answers, has_backend=has_backend)
    raise UsageError(f"{answers!r} is not a script: write an answer, a list, a function, or a mapping by path")


def _by_path(answers: Mapping[str, Any], *, has_backend: bool) -> Chooser:
    for path in answers:
        if path != "*" and not path.startswith("/"):
            raise UsageError(
                f"{path!r} is not a path: a script by path has keys such as '/hook', and '*' for the others"
            )
    choosers = {path: make_chooser(script, has_backend=has_backend) for path, script in answers.items()}
    others = choosers.get("*") or _in_turn(["pass" if has_backend else 404], has_backend=has_backend)

    def choose(received: Received) -> tuple[AnswerLike, Answer]:
        return choosers.get(received.path.partition("?")[0], others)(received)

    return choose


def _by_function(function: Callable[[Received], AnswerLike], *, has_backend: bool) -> Chooser:
    def choose(received: Received) -> tuple[AnswerLike, Answer]:
        item = function(received)
        return item, read_answer(item, has_backend=has_backend)

    return choose


def _in_turn(items: Sequence[AnswerLike], *, has_backend: bool) -> Chooser:
    if not items:
        raise UsageError("a script needs an answer: write [200], say")
    read = [(item, read_answer(item, has_backend=has_backend)) for item in items]
    left = iter(read)

    def choose(_: Received) -> tuple[AnswerLike, Answer]:
        return next(left, read[-1])

    return choose


def read_answer(item: AnswerLike, *, has_backend: bool = True) -> Answer:
    """Read one item of a script; raises UsageError. ``has_backend``: whether ``pass`` leads anywhere."""
    if isinstance(item, str):
        answer = _read_mapping(_mapping_of(item))
    elif isinstance(item, Mapping):
        answer = _read_mapping(item)
    else:
        answer = _read_mapping({"status": item})
    if answer.kind == "pass" and not has_backend:
        raise UsageError(f"{item!r}: there is nothing behind this receiver to pass a request to (app=, forward=)")
    return answer


def _mapping_of(text: str) -> Mapping[str, Any]:
    name, colon, argument = text.partition(":")
    if colon and name in _WITH_ARGUMENT:
        return {name: argument}
    if not colon and name in _KINDS and name != "down":
        return {name: True}
    raise UsageError(f"{text!r} is not an answer (allowed: {_HELP})")


def _read_mapping(given: Mapping[str, Any]) -> Answer:
    shown = dict(given)
    if not given or any(key not in _KEYS for key in given):
        raise UsageError(f"{shown!r} is not an answer (allowed: {_HELP})")
    kinds: list[Kind] = [kind for kind in _KINDS if kind in given]
    if len(kinds) > 1 or (kinds and not set(given) <= {*kinds, "after", "drip"}):
        raise UsageError(f"{shown!r} contradicts itself: {kinds[0]} goes with after and drip alone")
    answer = _read_kind(kinds[0], given) if kinds else _read_http(given)
    if "drip" in given and answer.kind not in ("http", "pass"):
        raise UsageError(f"{shown!r}: {answer.kind} gives no answer that could drip")
    after, drip = (parse_span(given.get(key, 0)) for key in ("after", "drip"))
    return replace(answer, after_ms=after, drip_ms=drip)


def _read_kind(kind: Kind, given: Mapping[str, Any]) -> Answer:
    value = given[kind]
    if kind == "down":
        return Answer(kind=kind, down_ms=parse_span(value))
    if value is True:
        return Answer(kind=kind)
    if kind == "pass":
        return _read_pass(given)
    raise UsageError(f"{dict(given)!r}: write {{{kind!r}: true}}")


def _read_pass(given: Mapping[str, Any]) -> Answer:
    then = read_answer(given["pass"])
    if then.kind == "pass" or len(given) > 1:
        raise UsageError(f"{dict(given)!r}: what goes out after pass is one whole answer, such as {{'pass': 'reset'}}")
    return Answer(kind="pass", then=then)


def _read_http(given: Mapping[str, Any]) -> Answer:
    headers = _read_headers(given.get("headers", ()))
    status = given.get("status", 302 if "redirect" in given else 200)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 999:
        raise UsageError(f"{status!r} is not a status to answer with: write 200 to 999")
    if "redirect" in given:
        headers = (*headers, ("Location", str(given["redirect"])))
    media_type, body = _read_body(given.get("body", b""))
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", media_type))
    answer = Answer(status=status, headers=headers, body=body)
    try:
        answer.response()
    except (h11.LocalProtocolError, UnicodeEncodeError) as error:
        raise UsageError(f"{dict(given)!r} cannot be sent: {error}") from None
    return answer


def _read_headers(given: Any) -> Pairs:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        headers = tuple((str(name), str(value)) for name, value in pairs)
    except (TypeError, ValueError):
        raise UsageError(f"{given!r} are not headers: write a mapping, or a list of pairs") from None
    for name, _ in headers:
        if name.lower() in FRAMING:
            raise UsageError(f"the header {name} is the receiver's own")
    return headers


def _read_body(given: Any) -> tuple[str, bytes]:
    if isinstance(given, bytes):
        return "application/octet-stream", given
    if isinstance(given, str):
        return "text/plain; charset=utf-8", given.encode("utf-8", "replace")
    try:
        return "application/json", dump_json(given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a body is bytes, text or JSON: {error}") from None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
