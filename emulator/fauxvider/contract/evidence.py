"""Evidence: who says so. `LEVEL [SOURCE] [Lnn | Lnn-mm | Lnn,mm-oo] [@YYYY-MM-DD] [- note]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from fauxvider.contract.model import Evidence, Source

__all__ = ["LEVELS", "evidence_problems", "evidence_text", "evidences", "parse_evidence"]

LEVELS = ("documented", "observed", "inferred", "assumed")
_SHAPE = "LEVEL [SOURCE] [Lnn | Lnn-mm | Lnn,mm-oo] [@YYYY-MM-DD] [- note]"
_TEXT = re.compile(
    rf"(?P<level>{'|'.join(LEVELS)})"
    r"(?: (?!L\d|@|- )(?P<source>[A-Za-z0-9][A-Za-z0-9_.-]*))?"
    r"(?: L(?P<lines>\d+(?:-\d+)?(?:, ?L?\d+(?:-\d+)?)*))?"
    r"(?: @(?P<date>\d{4}-\d{2}-\d{2}))?"
    r"(?: - (?P<note>\S.*))?",
    re.DOTALL,
)


def parse_evidence(text: object) -> Evidence:
    """Read one statement of evidence. Raises ValueError with the expected shape."""
    if isinstance(text, str):
        return _parsed(text)
    raise ValueError(f"{text!r} is not evidence; the shape is {_SHAPE}")


@lru_cache(maxsize=8192)  # each case of each reading has nearly the same ones
def _parsed(text: str) -> Evidence:
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not evidence; the shape is {_SHAPE}")
    lines = tuple(_range(part) for part in (found["lines"] or "").split(",") if part)
    if found["date"]:
        try:
            date.fromisoformat(found["date"])
        except ValueError:
            raise ValueError(f"{found['date']} is not a day") from None
    level: Any = found["level"]
    return Evidence(level, found["source"] or "", lines, found["date"] or "", found["note"] or "")


def evidences(value: Any) -> tuple[Evidence, ...]:
    """Read the `evidence` of a node: a text or a list of texts. Raises ValueError."""
    return tuple(parse_evidence(text) for text in (value if isinstance(value, list) else [value] if value else []))


def evidence_problems(one: Evidence, sources: Mapping[str, Source]) -> list[str]:
    """Say what is wrong between a statement and the sources that are declared."""
    if not one.source:
        return [f"{one.level} evidence names its source"] if one.level in ("documented", "observed") else []
    if one.source not in sources:
        return [f"the source {one.source!r} is not declared (allowed: {', '.join(sources)})"]
    source = sources[one.source]
    if not source.document:
        return []
    if not one.lines:
        return [f"{one.source!r} is a given document: say which lines, such as L12 or L12-15"]
    beyond = [end for _, end in one.lines if end > source.lines]
    return [f"{one.source!r} has {source.lines} lines, not {beyond[0]}"] if beyond else []


def evidence_text(one: Evidence) -> str:
    """Write a statement of evidence the way a contract writes it."""
    lines = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in one.lines)
    parts = [one.level, one.source, f"L{lines}" if lines else "", f"@{one.date}" if one.date else ""]
    text = " ".join(part for part in parts if part)
    return f"{text} - {one.note}" if one.note else text


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.strip().removeprefix("L").partition("-")
    first, last = int(low), int(high or low)
    if not 1 <= first <= last:
        raise ValueError(f"L{text.strip()} is not a range of lines")
    return first, last
