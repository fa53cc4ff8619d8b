"""Reading capsules, strictly: the first thing that is wrong is told with its place, and nothing is guessed."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from fauxvider.capsule.model import Capsule, CapsuleError
from fauxvider.contract.strict import pointer_text
from fauxvider.errors import Place
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.service.recorder import MAX_BYTES, MAX_STEPS, Does, Step
from fauxvider.service.wire import Request

__all__ = ["MAX_FILE", "read_capsule"]

MAX_FILE = 64_000_000  # unpacked
_WORLD = (
    "name", "seed", "clock", "now", "readings", "balances", "limits", "scenario", "keys", "base_url", "metadata",
)  # fmt: skip
_ROOT = ("capsule", "fauxvider", "world", "contracts", "prints", "steps", "journal_sha256", "journal_trail")
_DOES: tuple[Does, ...] = get_args(Does)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRAIL = re.compile(r"(?:[0-9a-f]{4})*")
_PRINT = re.compile(r"[0-9a-f]{8,16}")
_WORD = re.compile(r"[!-~]{1,64}")
_MOST = 10**14  # ms
_MOST_TURNS = 100
_OUTCOMES = ("http", "network", "timeout", "blocked")


def read_capsule(source: str | Path | bytes) -> Capsule:
    """Read a capsule from a file (gzip or not) or from its bytes. Raises one CapsuleError."""
    file = "capsule" if isinstance(source, bytes) else str(source)
    data = _unpacked(source if isinstance(source, bytes) else _file(Path(source)), file)
    try:
        tree = parse_json(data)
    except JsonRefusedError as error:
        raise CapsuleError(f"this is not JSON: {error}", place=Place(file)) from None
    root = _Part(tree, (), file)
    if not isinstance(tree, dict) or tree.get("capsule") != 1 or tree["capsule"] is True:
        raise root.wrong('this is not a capsule: it does not begin with "capsule": 1')
    root.mapping(_ROOT)
    world = root.at("world").mapping(_WORLD)
    for name in ("name", "clock", "base_url"):
        world.at(name).text()
    world.at("now").whole()
    world.at("metadata").truth()
    contracts = {name: part.matching(_SHA256, "a SHA-256") for name, part in root.at("contracts").entries()}
    return Capsule(
        world=world.value,
        contracts=contracts,
        prints={name: part.matching(_PRINT, "a fingerprint") for name, part in root.at("prints").entries()},
        steps=_steps(root.at("steps"), contracts),
        journal_sha256=root.at("journal_sha256").matching(_SHA256, "a SHA-256"),
        journal_trail=root.at("journal_trail").matching(_TRAIL, "four hex digits for each entry"),
        version=root.at("fauxvider").text(),
        file=file,
    )


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise CapsuleError(f"cannot be read: {error.strerror}", place=Place(str(path))) from None
    return data


def _unpacked(data: bytes, file: str) -> bytes:
    if data[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, MAX_FILE + 1)
        except zlib.error as error:
            raise CapsuleError(f"this is not gzip: {error}", place=Place(file)) from None
        if not unpacker.eof and len(data) <= MAX_FILE:
            raise CapsuleError("the gzip file is cut off", place=Place(file))
    if len(data) > MAX_FILE:
        raise CapsuleError(f"more than {MAX_FILE} bytes", place=Place(file))
    return data


@dataclass(frozen=True, slots=True)
class _Part:
    """A value of the file with its place."""

    value: Any
    path: tuple[str | int, ...]
    file: str

    def wrong(self, problem: str) -> CapsuleError:
        return CapsuleError(problem, place=Place(self.file, pointer=pointer_text(self.path)))

    def at(self, key: str) -> _Part:
        return _Part(self.value[key], (*self.path, key), self.file)

    def mapping(self, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> _Part:
        if not isinstance(self.value, dict):
            raise self.wrong("this is not a mapping")
        for key in self.value:
            if key not in required and key not in optional:
                raise self.wrong(f"the key {key!r} is not known (known: {', '.join((*required, *optional))})")
        for key in required:
            if key not in self.value:
                raise self.wrong(f"the key {key!r} is missing")
        return self

    def entries(self) -> Iterator[tuple[str, _Part]]:
        if not isinstance(self.value, dict):
            raise self.wrong("this is not a mapping")
        return ((key, self.at(key)) for key in self.value)

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("this is not text")
        return self.value

    def latin(self) -> bytes:
        try:
            return self.text().encode("latin-1")
        except UnicodeEncodeError:
            raise self.wrong("this has characters that no request line has") from None

    def matching(self, pattern: re.Pattern[str], meaning: str) -> str:
        if not pattern.fullmatch(self.text()):
            raise self.wrong(f"this is not {meaning}")
        return self.text()

    def word(self, allowed: tuple[str, ...]) -> str:
        if self.value not in allowed:
            raise self.wrong(f"{self.value!r} is not one of {', '.join(allowed)}")
        return self.text()

    def whole(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value <= _MOST:
            raise self.wrong(f"{self.value!r} is not a whole number from 0 to {_MOST}")
        return self.value

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("this is not true or false")
        return self.value


# --- steps


def _steps(part: _Part, contracts: Mapping[str, str]) -> tuple[Step, ...]:
    if not isinstance(part.value, list):
        raise part.wrong("this is not a list")
    if len(part.value) > MAX_STEPS:
        raise part.wrong(f"more than {MAX_STEPS} steps")
    steps, size = [], 0
    for index, value in enumerate(part.value):
        own = _Part(value, (*part.path, index), part.file)
        step = _step(own)
        if step.provider and step.provider not in contracts:
            raise own.at("provider").wrong(f"{step.provider!r} is not among the contracts")
        size += len(step.request.body) if step.request is not None else 0
        if size > MAX_BYTES:
            raise own.wrong(f"more than {MAX_BYTES} bytes of bodies up to here")
        steps.append(step)
    return tuple(steps)


def _step(part: _Part) -> Step:
    does = cast("Does", dict(part.entries()).get("do", part).word(_DOES))
    required, optional, _ = _KINDS[does]
    part.mapping(("do", "at", *required), optional)
    step = Step(does, part.at("at").whole())
    if "mark" in part.value:
        step.mark = part.at("mark").text()
    if "held" in part.value:
        step.held = part.at("held").truth()
        if step.held != bool(step.mark):
            raise part.wrong("what is held has a mark, and what is not has none")
    if "turns" in part.value:
        step.turns = part.at("turns").whole()
        if step.turns > _MOST_TURNS:
            raise part.at("turns").wrong("nothing has so many turns")
    if "ended" in part.value:
        step.ended = part.at("ended").whole()
    _KINDS[does][2](part, step)
    return step


def _read_request(part: _Part, step: Step) -> None:
    step.provider = part.at("provider").text()
    given = part.value
    step.request = Request(
        method=part.at("method").matching(_WORD, "a method"),
        path=part.at("path").text(),
        query=part.at("query").latin() if "query" in given else b"",
        headers=_headers(part.at("headers")) if "headers" in given else [],
        body=_body(part),
        site=part.at("site").word(("local", "real")) if "site" in given else "local",
        origin=part.at("origin").text() if "origin" in given else "",
        raw_path=part.at("raw_path").latin() if "raw_path" in given else b"",
        over_size=part.at("over_size").truth() if "over_size" in given else False,
        fingerprint=part.at("fingerprint").matching(_PRINT, "a fingerprint") if "fingerprint" in given else "",
    )


def _headers(part: _Part) -> list[tuple[bytes, bytes]]:
    found = []
    for name, value in part.entries():
        if not _WORD.fullmatch(name) or name != name.lower():
            raise value.wrong("this is not the name of a header, in lower case")
        found.append((name.encode(), value.latin()))
    return found


def _body(part: _Part) -> bytes:
    if "text" in part.value and "base64" in part.value:
        raise part.wrong("a body is text or base64")
    if "text" in part.value:
        return part.at("text").text().encode()
    if "base64" not in part.value:
        return b""
    try:
        return base64.b64decode(part.at("base64").text(), validate=True)
    except (binascii.Error, ValueError):
        raise part.at("base64").wrong("this is not base64") from None


def _read_advance(part: _Part, step: Step) -> None:
    step.facts = {"span": part.at("span").whole()}


def _read_texts(part: _Part, step: Step) -> None:
    step.facts = {name: own.text() for name, own in part.entries() if name not in ("do", "at")}


def _read_sent(part: _Part, step: Step) -> None:
    step.facts = {
        "kind": part.at("kind").word(_OUTCOMES),
        "status": part.at("status").whole() if "status" in part.value else None,
        "error": part.at("error").text() if "error" in part.value else "",
        "digest": part.at("digest").text(),
    }


def _read_nothing(_part: _Part, _step: Step) -> None:
    """There is nothing more to read."""


_HELD = ("mark", "held", "turns", "ended")
_KINDS: Mapping[Does, tuple[tuple[str, ...], tuple[str, ...], Callable[[_Part, Step], None]]] = {
    "request": (
        ("provider", "method", "path"),
        (*_HELD, "query", "headers", "text", "base64", "site", "origin", "raw_path", "over_size", "fingerprint"),
        _read_request,
    ),
    "advance": (("span",), _HELD, _read_advance),
    "settle": ((), (), _read_nothing),
    "force": (("job",), ("failure",), _read_texts),
    "note": (("said",), ("job", "text", "provider"), _read_texts),
    "sent": (("mark", "kind", "digest"), ("status", "error"), _read_sent),
    "go": (("mark",), (), _read_nothing),
}
