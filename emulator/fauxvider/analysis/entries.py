"""Reading journal entries (docs/journal.md): their facts, their order, and texts of them that are safe to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from fauxvider.values import decimal_text, parse_money

__all__ = ["Entry", "is_lost", "moment_of", "money_in", "ordered", "shown", "since_text", "text_in", "whole_in"]

Entry: TypeAlias = Mapping[str, Any]

_BLANKS = frozenset("\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
_LONGEST = 160
# The request faults that keep an answer from its client (docs/scenarios.md).
_LOSSES: Final = frozenset({"lose", "garble", "garbage", "half_close"})


def text_in(entry: Entry, name: str) -> str:
    """Give a fact as text, "" without it."""
    value = entry.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    return "" if value is None else str(value)


def whole_in(entry: Entry, name: str) -> int | None:
    """Give a fact that is a whole number."""
    value = entry.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def money_in(entry: Entry, name: str) -> Decimal | None:
    """Give a fact that is money. Raises UsageError for what is none."""
    value = entry.get(name)
    return None if value is None or value == "" else parse_money(value)


def moment_of(entry: Entry) -> int:
    return whole_in(entry, "at") or 0


def is_lost(entry: Entry, *, but: frozenset[str] = frozenset()) -> bool:
    """Tell whether a scenario kept the answer of a request from its client. `but`: faults that did not."""
    faults = [fault.strip() for fault in text_in(entry, "fault").split(",")]
    return any(fault.partition(" ")[0] in _LOSSES and fault not in but for fault in faults)


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Order entries by moment; what a request brought about at that moment comes after the request.

    The journal has an entry when it is known: a request when it has been answered, an attempt when it is over.
    """
    found = sorted(entries, key=moment_of)
    asked = {
        (entry.get("provider"), entry.get("number"), moment_of(entry)): entry
        for entry in found
        if entry.get("kind") == "request" and whole_in(entry, "number") is not None
    }
    places = {id(entry): float(place) for place, entry in enumerate(found)}
    for entry in found:
        request = asked.get((entry.get("provider"), entry.get("number"), moment_of(entry)))
        if entry.get("kind") == "accepted" and request is not None:
            places[id(request)] = min(places[id(request)], places[id(entry)] - 0.5)
    return sorted(found, key=lambda entry: places[id(entry)])


def shown(text: str, limit: int = _LONGEST) -> str:
    """Give a text as it may stand in a terminal or a page, the middle of a long one cut.

    Escaped is what no reader sees as it is: control characters, half surrogate pairs, what turns or hides text.
    """
    if len(text) > limit:
        keep = (limit - 3) // 2
        text = f"{text[: limit - 3 - keep]}...{text[-keep:]}"
    if text.isprintable():
        return text
    return "".join([one if one.isprintable() or one in _BLANKS else _escape(ord(one)) for one in text])


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def since_text(ms: int) -> str:
    """Show a moment as what has passed since the start: `+12.003s`, `+1m02.003s`, `+7d 00h00m02.003s`."""
    seconds, rest = divmod(max(ms, 0), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"+{days}d {hours:02}h{minutes:02}m{seconds:02}.{rest:03}s"
    if hours:
        return f"+{hours}h{minutes:02}m{seconds:02}.{rest:03}s"
    return f"+{minutes}m{seconds:02}.{rest:03}s" if minutes else f"+{seconds}.{rest:03}s"
