"""One reading of HTTP/1.1 for both parsers: cuts a byte stream into requests and refuses what they would dispute.

httptools and h11 differ on folded headers, doubled lengths, missing hosts, trailers, upgrades and
odd targets. What stands here is checked before either sees a byte, and rewritten where both
readings are lawful, so that the application's view does not depend on which one is installed.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["Framing", "HeadLimits", "Refusal"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_FIELD = _TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n"
# Possessive throughout: a head is read once, whatever stands in it. '#' never is part of a target.
_HEAD = re.compile(rb"(" + _TOKEN + rb"++) ([!\"$-~]++) HTTP/1\.([01])(\r\n(?:" + _FIELD + rb")*+)\r\n")
_OTHER_VERSION = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/[0-9]\.[0-9]\r\n")
_TRAILER = re.compile(_FIELD)
_ABSOLUTE = re.compile(rb"https?://[^/?]+(/[^?]*)?(\?.*)?", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n")
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r]*?)[ \t]*\r\n")
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n")
_CONNECTION = re.compile(rb"\r\nconnection:([^\r]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)(?=.)|\x00", re.DOTALL)
_FIRST = frozenset(b"!#$%&'*+.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-\r")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"QUERY"})

_HEADING, _COUNTED, _CHUNKED, _DONE = range(4)
_IN_SIZE, _IN_DATA, _IN_GAP, _IN_TRAILER = range(4)
_MAX_LINE = 512
_MAX_TRAILER = 8192
# What chunk sizes and extensions may weigh besides the data itself: one byte per chunk is a flood.
_OVERHEAD = 65_536
_CACHED_HEAD = 2048
UNTIL_LAST_CHUNK: Final = -1


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds on a request's head: bytes of the target, bytes of all headers, their number."""

    target: int = 8192
    headers: int = 16_384
    count: int = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not passed on, as the status and text to answer with."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class _Head:
    """A good head: the bytes for the parser, the body's length, and whether the connection ends with it."""

    data: bytes
    length: int
    last: bool


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.refusal = Refusal(status, why)


class Framing:
    """The state of one connection's incoming bytes.

    ``heads`` counts the requests let through. ``open``: in the middle of a head or a body, ``in_body``: of
    a body; ``stage`` counts those that were begun in pieces, ``received`` the bytes of the present body.
    ``refusal`` ends the connection; it leaves ``in_body`` true when the rest of a body will not come.
    ``whole`` is the head of what was taken last, where that was one request from its beginning to its end.
    """

    __slots__ = ("_head", "_held", "_left", "_limits", "_overhead", "_scanned", "_state", "_step",
                 "heads", "in_body", "open", "received", "refusal", "stage", "whole")  # fmt: skip

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._state = _HEADING
        self._step = _IN_SIZE
        self._held = bytearray()
        self._scanned = 0
        self._left = 0
        self._overhead = 0
        self._head: _Head | None = None
        self.heads = 0
        self.open = False
        self.in_body = False
        self.stage = 0
        self.received = 0
        self.refusal: Refusal | None = None
        self.whole: bytes | None = None

    def take(self, data: bytes) -> bytes:
        """Accept bytes from the client; give those that the parser may see now."""
        if self._state == _HEADING and not self._held:
            end = data.find(b"\r\n\r\n") + 4
            # The usual case: one request, whole, in one segment.
            if end > 3 and data[0] != 13:
                try:
                    head = read_head(data[:end], self._limits)
                except _RefusedError as error:
                    return self._refuse(error.refusal)
                if not head.last and end + head.length == len(data):
                    self.heads += 1
                    self.whole = head.data
                    return data if len(head.data) == end else head.data + data[end:]
        self.whole = None
        return self._take_slowly(data)

    def _take_slowly(self, data: bytes) -> bytes:
        out: list[bytes] = []
        at, size = 0, len(data)
        try:
            while at < size and self._state != _DONE:
                if self._state == _HEADING:
                    at = self._in_head(data, at, out)
                elif self._state == _COUNTED:
                    at = self._in_data(data, at, out)
                else:
                    at = self._in_chunks(data, at, out)
        except _RefusedError as error:
            self.in_body = self._state != _HEADING
            return self._refuse(error.refusal, b"".join(out))
        self.in_body = self._state in (_COUNTED, _CHUNKED)
        self.open = self.in_body or (self._state == _HEADING and bool(self._held))
        return b"".join(out)

    def _refuse(self, refusal: Refusal, before: bytes = b"") -> bytes:
        self.refusal = refusal
        self._state = _DONE
        return before

    def _in_head(self, data: bytes, at: int, out: list[bytes]) -> int:
        held = self._held
        if held == b"\r" and data[at] == 10:
            held.clear()
            return at + 1
        if not held:
            # A client may leave an empty line behind a body.
            while data.startswith(b"\r\n", at):
                at += 2
            if at == len(data):
                return at
            if data[at] not in _FIRST:
                raise _RefusedError(400, "not HTTP")
            self.stage += 1
        before = len(held)
        held += data[at:]
        end = held.find(b"\r\n\r\n", max(0, before - 3)) + 4
        if end < 4:
            self._check_part()
            return len(data)
        head = read_head(bytes(held[:end]), self._limits)
        held.clear()
        self._scanned = 0
        self.heads += 1
        out.append(head.data)
        self._begin_body(head)
        return at + end - before

    def _check_part(self) -> None:
        """Refuse what can no longer become a good head, without reading any byte twice."""
        held, limits = self._held, self._limits
        if _BARE.search(held, max(0, self._scanned - 1)):
            raise _RefusedError(400, "a line does not end in CR LF")
        self._scanned = len(held)
        line = held.find(b"\r\n")
        if line < 0 and len(held) > limits.target + 32:
            raise _RefusedError(414, "the request target is too long")
        if line >= 0 and len(held) - line > limits.headers:
            raise _RefusedError(431, "the headers are too large or too many")

    def _begin_body(self, head: _Head) -> None:
        self._head = head
        self.received = self._overhead = 0
        if head.length == 0:
            self._end_message()
            return
        self.stage += 1
        if head.length == UNTIL_LAST_CHUNK:
            self._state, self._step, self._left = _CHUNKED, _IN_SIZE, 0
        else:
            self._state, self._left = _COUNTED, head.length

    def _end_message(self) -> None:
        last = self._head is not None and self._head.last
        self._head = None
        self._state = _DONE if last else _HEADING

    def _in_data(self, data: bytes, at: int, out: list[bytes]) -> int:
        end = min(len(data), at + self._left)
        out.append(data[at:end])
        self._left -= end - at
        self.received += end - at
        if not self._left:
            if self._state == _COUNTED:
                self._end_message()
            else:
                self._step = _IN_GAP
        return end

    def _in_chunks(self, data: bytes, at: int, out: list[bytes]) -> int:
        if self._step == _IN_DATA:
            return self._in_data(data, at, out)
        end = data.find(b"\n", at) + 1
        self._held += data[at:end] if end else data[at:]
        if len(self._held) > (_MAX_TRAILER if self._step == _IN_TRAILER else _MAX_LINE):
            raise _RefusedError(400, "a chunk line is too long")
        if not end:
            return len(data)
        line = bytes(self._held)
        self._held.clear()
        self._overhead += len(line)
        if self._overhead > _OVERHEAD + self.received:
            raise _RefusedError(400, "more chunk framing than data")
        if self._step == _IN_SIZE:
            self._read_size(line, out)
        elif self._step == _IN_GAP:
            if line != b"\r\n":
                raise _RefusedError(400, "a chunk is longer than its size")
            out.append(line)
            self._step = _IN_SIZE
        elif line == b"\r\n":
            out.append(line)
            self._end_message()
        elif not _TRAILER.fullmatch(line):
            raise _RefusedError(400, "a trailer cannot be read")
        return end

    def _read_size(self, line: bytes, out: list[bytes]) -> None:
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise _RefusedError(400, "a chunk size cannot be read")
        self._left = int(found[1], 16)
        # Extensions and trailers are dropped: one parser would show them, the other not.
        out.append(b"%x\r\n" % self._left)
        self._step = _IN_DATA if self._left else _IN_TRAILER


def read_head(head: bytes, limits: HeadLimits) -> _Head:
    """Read a whole head; a client repeats its heads, so that short ones are remembered."""
    return _remembered(head, limits) if len(head) <= _CACHED_HEAD else _read_head(head, limits)


def _read_head(head: bytes, limits: HeadLimits) -> _Head:
    found = _HEAD.fullmatch(head)
    if found is None:
        raise _explain(head, limits)
    method, target, minor, fields = found.groups()
    if len(target) > limits.target:
        raise _RefusedError(414, "the request target is too long")
    if len(fields) > limits.headers or fields.count(b"\r\n") - 1 > limits.count:
        raise _RefusedError(431, "the headers are too large or too many")
    if method not in _METHODS:
        raise _RefusedError(501, "the method is not known")
    low = fields.lower()
    hosts = low.count(b"\r\nhost:")
    if hosts > 1 or (minor == b"1" and not hosts):
        raise _RefusedError(400, "one Host header is needed")
    if b"\r\nexpect:" in low and (minor == b"0" or low.count(b"\r\nexpect:") > 1 or not _EXPECT.search(low)):
        raise _RefusedError(417, "only 100-continue can be expected")
    length = _body_length(low, minor)
    last = minor == b"0" or _is_last(low)
    is_shouted = length == UNTIL_LAST_CHUNK and b"chunked" not in fields
    if not target.startswith(b"/") or is_shouted or b" \r\n" in fields or b"\t\r\n" in fields or b"\r\nupgrade:" in low:
        head = _rewrite(method, target, minor, fields)
    return _Head(head, length, last)


_remembered = lru_cache(maxsize=256)(_read_head)


def _body_length(low: bytes, minor: bytes) -> int:
    lengths, codings = low.count(b"\r\ncontent-length:"), low.count(b"\r\ntransfer-encoding:")
    if not lengths + codings:
        return 0
    if lengths + codings > 1:
        raise _RefusedError(400, "one Content-Length or Transfer-Encoding, and not both")
    if lengths:
        found = _LENGTH.search(low)
        if found is None:
            raise _RefusedError(400, "the Content-Length cannot be read")
        return int(found[1])
    coding = _CODING.search(low)
    if minor == b"0":
        raise _RefusedError(400, "HTTP/1.0 has no Transfer-Encoding")
    if coding is None or coding[1] != b"chunked":
        raise _RefusedError(501, "only the transfer coding chunked is known")
    return UNTIL_LAST_CHUNK


def _is_last(low: bytes) -> bool:
    if b"close" not in low:
        return False
    return any(token.strip() == b"close" for value in _CONNECTION.findall(low) for token in value.split(b","))


def _rewrite(method: bytes, target: bytes, minor: bytes, fields: bytes) -> bytes:
    """Give the head in the form that both parsers read alike.

    An absolute target becomes its path; blanks behind values go; CHUNKED is written small; an upgrade,
    which nobody here answers, is not shown: one parser would stop reading at it.
    """
    if not target.startswith(b"/") and (target, method) != (b"*", b"OPTIONS"):
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            raise _RefusedError(400, "the request target cannot be read")
        target = (found[1] or b"/") + (found[2] or b"")
    lines = [line.rstrip(b" \t") for line in fields.split(b"\r\n")[1:-1]]
    lines = [line.lower() if line[:18].lower() == b"transfer-encoding:" else line for line in lines]
    kept = [line for line in lines if line[:8].lower() != b"upgrade:"]
    return b"\r\n".join([b"%s %s HTTP/1.%s" % (method, target, minor), *kept, b"", b""])


def _explain(head: bytes, limits: HeadLimits) -> _RefusedError:
    line = head.find(b"\r\n")
    if line > limits.target + 32:
        return _RefusedError(414, "the request target is too long")
    if len(head) - line > limits.headers:
        return _RefusedError(431, "the headers are too large or too many")
    if _OTHER_VERSION.match(head) and b" HTTP/1.1\r\n" not in head[: line + 2] and b" HTTP/1.0" not in head[:line]:
        return _RefusedError(505, "only HTTP/1.1 and HTTP/1.0 are spoken")
    return _RefusedError(400, "the request cannot be read")
