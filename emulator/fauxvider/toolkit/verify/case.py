"""A case: one thing that is asked of a server, the rule that it tests, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Mismatch

__all__ = ["Case", "Outcome", "Result"]

Outcome = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Case:
    """`rule` is the contract's pointer that the case tests; `needs` what it cannot be asked without.

    `needs`: `control` (worlds and clocks of a fauxvider), `receiver`, `limits` (asked for by --limits).
    `price`: what it costs at most, in the account's unit.
    """

    name: str
    rule: str
    ask: Callable[[Session], None]
    needs: tuple[str, ...] = ()
    price: Decimal = Decimal(0)
    world: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    outcome: Outcome
    reason: str = ""  # why it was not checked
    mismatches: tuple[Mismatch, ...] = ()
    held: frozenset[str] = frozenset()  # rules that were seen to hold on the way
    took_ms: int = 0
