"""Changes to a contract for what was measured: pace, order, signatures, and another of its own readings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fauxvider.contract.strict import Map, pointer_parts, pointer_text
from fauxvider.toolkit.verify.edits import Editor, flow
from fauxvider.toolkit.verify.wants import Mismatch
from fauxvider.values import decimal_text

__all__ = ["order", "other_reading", "pace", "signing"]

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CLOSE = Decimal("1.02")


def signing(editor: Editor, one: Mismatch) -> str | None:
    """The signature is made in another usual way, or stands under another header."""
    if not isinstance(one.observed, Mapping):
        return None
    if one.rule == "/callbacks/signature":
        done = [editor.put_key(f"{one.rule}/{key}", value) for key, value in one.observed.items()]
        return f"is signed with {flow(one.observed)}" if all(done) else None
    if one.rule.startswith("/callbacks/headers/") and "header" in one.observed:
        name = str(one.observed["header"])
        return f"is called {name}" if editor.rename(one.rule, name) else None
    return None


def pace(editor: Editor, one: Mismatch) -> str | None:
    """A state lasts longer or shorter: its law, as many times as long."""
    seen, old = one.observed, editor.at(one.rule)
    if not isinstance(seen, Mapping) or "ms" not in seen or old is None:
        return None
    factor = _factor(seen)
    if factor is None:
        return None
    new = _times(old, factor, is_exact=isinstance(old, Map) and "work" in old)
    told = f"lasts {decimal_text(factor)} times as long ({seen['ms']} ms were seen)"
    return told if editor.put(one.rule, new) else None


def _factor(seen: Mapping[str, Any]) -> Decimal | None:
    """Give the plainest factor by which the law allows what was seen."""
    lasted, low, high = (Decimal(seen[name]) for name in ("ms", "low", "high"))
    if low <= 0 or lasted <= 0:
        return None
    exact = lasted * 2 / (low + high)
    for digits in ("1", "0.1", "0.01", "0.001"):
        factor = exact.quantize(Decimal(digits))
        if low * factor <= lasted * _CLOSE and lasted <= high * factor * _CLOSE and factor > 0:
            return factor.normalize()
    return None


def _times(law: Any, factor: Decimal, *, is_exact: bool) -> Any:
    """Multiply every span of a law; in `work` a fraction of a millisecond counts."""
    if isinstance(law, Mapping):
        return {key: value if key in ("spread", "steps", "evidence") else _times(value, factor, is_exact=is_exact)
                for key, value in law.items()}  # fmt: skip
    if isinstance(law, list):
        return [_times(value, factor, is_exact=is_exact) for value in law]
    if not isinstance(law, str) or not _SPAN.match(law):
        return law
    ms = sum((Decimal(number) * _UNITS[unit] for number, unit in _SPAN.findall(law)), Decimal(0)) * factor
    return f"{decimal_text(ms.quantize(Decimal('0.001') if is_exact else Decimal(1)).normalize())}ms"


def order(editor: Editor, one: Mismatch) -> str | None:
    """The states come in another order."""
    phases = editor.at("/lifecycle/phases")
    if one.rule != "/lifecycle/phases" or not isinstance(one.observed, list) or not isinstance(phases, list):
        return None
    by_word = {phase["state"]: phase for phase in phases}
    if sorted(by_word) != sorted(one.observed):
        return None
    # Each phase has evidence of its own, and the list has none.
    old = [phase["state"] for phase in phases]
    new = [
        by_word[word] if old[number] == word else _witnessed(by_word[word], editor.witness)
        for number, word in enumerate(one.observed)
    ]
    return f"come as {flow(one.observed)}" if editor.put(one.rule, new) else None


def _witnessed(phase: Mapping[str, Any], witness: str) -> dict[str, Any]:
    said = phase.get("evidence")
    return {**phase, "evidence": [*(said if isinstance(said, list) else [said]), f"{witness} - its place"]}


def other_reading(editor: Editor, one: Mismatch) -> str | None:
    """A state has the word that another of the contract's readings gives it: that one is in force."""
    parts = pointer_parts(one.rule)
    if parts[:2] != ("lifecycle", "states") or len(parts) != 3 or not isinstance(one.observed, str):
        return None
    for reading, case in editor.cases():
        states = editor.under({reading: case}).get("lifecycle", {}).get("states", {})
        if one.observed in states and parts[2] not in states:
            at = pointer_text(("readings", reading, "default"))
            return f"is called {one.observed}, as the reading {reading}={case} says" if editor.put(at, case) else None
    return None
