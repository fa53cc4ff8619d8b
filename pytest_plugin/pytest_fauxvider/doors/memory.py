"""The provider's end of a connection that is not there: bytes of requests in, bytes of answers out.

The client's library writes and reads HTTP as ever, so that its own code finds what is wrong with an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from fauxvider.local import Answer

__all__ = ["Asked", "Ending", "Incoming", "wire_bytes"]

_GARBAGE = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 this is not HTTP \x00\xff\r\n\r\n"
_BODILESS = (204, 304)


@dataclass(slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def url(self, scheme: str, host: str) -> str:
        return self.target if "://" in self.target else f"{scheme}://{host}{self.target}"


class Incoming:
    """Reads requests out of bytes."""

    def __init__(self) -> None:
        self._reader = h11.Connection(h11.SERVER)
        self._asked: Asked | None = None
        self._parts: list[bytes] = []

    def take(self, data: bytes) -> list[Asked]:
        """Give the requests that are whole with these bytes. Raises h11.RemoteProtocolError."""
        found: list[Asked] = []
        self._reader.receive_data(data)
        while True:
            event = self._reader.next_event()
            if isinstance(event, h11.Request):
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
                self._asked = Asked(event.method.decode(), event.target.decode("latin-1"), headers)
            elif isinstance(event, h11.Data):
                self._parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and self._asked is not None:
                self._asked.body = b"".join(self._parts)
                found.append(self._asked)
                self._start_again()
            else:
                return found

    def _start_again(self) -> None:
        rest, _ = self._reader.trailing_data
        self._reader, self._asked, self._parts = h11.Connection(h11.SERVER), None, []
        if rest:
            self._reader.receive_data(rest)


@dataclass(frozen=True, slots=True)
class Ending:
    """What happens behind the bytes: "" (the connection stays), eof, reset, or silence."""

    kind: str


def wire_bytes(answer: Answer, method: str) -> tuple[bytes, Ending]:
    """Give an answer as it is on the wire, and what becomes of the connection."""
    fault = answer.fault
    if fault in ("hang", "timeout"):
        return b"", Ending("silence")
    if fault == "reset":
        return b"", Ending("reset")
    if fault == "close":
        return b"", Ending("eof")
    if fault == "garbage":
        return _GARBAGE, Ending("eof")
    phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else ""
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers)]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    body = b"" if method == "HEAD" or answer.status in _BODILESS else answer.body
    ends = {"truncate": "reset", "length": "eof", "half_close": "eof"}
    return head + body, Ending(ends.get(fault, ""))
