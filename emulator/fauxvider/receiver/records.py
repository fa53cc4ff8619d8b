"""What a receiver keeps of a request, and what it says of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fauxvider.errors import FauxviderError
from fauxvider.messages import HttpMessage

__all__ = ["AnswerLike", "Answered", "NotReceivedError", "Received"]

AnswerLike: TypeAlias = "int | str | Mapping[str, Any]"
"""One answer of a script, as `fauxvider.receiver.script.read_answer` reads it."""


class NotReceivedError(FauxviderError, TimeoutError):
    """Fewer requests came than were waited for: the sender's fault, or the test's."""

    fault = "the sender"


@dataclass(frozen=True, slots=True)
class Received(HttpMessage):
    """One request as it came: ``headers`` in their own case and order (latin-1), ``path`` with its query.

    ``at`` is the moment in ms at which it was complete, None without a clock. ``answer`` is the script's
    item that it was given; None only while the script is being asked.
    """

    number: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    at: int | None
    answer: AnswerLike | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a request. ``status`` is None when no HTTP answer went out.

    ``note`` then says what happened instead (``reset close hang garbage down gone``; ``gone``: the sender
    did not wait), and otherwise why the application or URL behind gave no answer of its own.
    """

    received: Received
    status: int | None
    note: str = ""
