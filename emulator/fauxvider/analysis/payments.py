"""Charges as the ledger's report shows them, alone and in groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal, TypeAlias

from fauxvider.errors import UsageError
from fauxvider.values import decimal_text, parse_money

__all__ = ["EXACT", "Asked", "Charge", "Doubled", "Group", "Money", "Reason", "read_budget", "total_of"]

Reason: TypeAlias = Literal["same key", "same job", "answer lost", "same body"]

EXACT = Context(prec=200)  # sums of the largest and smallest money that contracts may name stay exact


@dataclass(frozen=True, slots=True)
class Money:
    """What was charged, for one thing or in all."""

    amount: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{decimal_text(self.amount)} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge. `says` is what its rule asks; `request` made the job; `shown` is the cost that answers showed."""

    at: int
    provider: str
    job: str
    model: str
    amount: Decimal
    unit: str
    rule: str
    says: str
    request: int | None
    key: str
    intent: str
    fingerprint: str
    shown: Decimal | None


@dataclass(frozen=True, slots=True)
class Group:
    """The charges of one idempotency key, or of one body (sent by one API key to one model)."""

    by: Literal["intent", "body"]
    provider: str
    fingerprint: str
    charges: tuple[Charge, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a doubled group, and what became of its answer (`fate`, in words)."""

    number: int | None
    at: int
    ended: int
    job: str
    fate: str
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Doubled:
    """One intent that was charged more than once.

    `reason` says how sure that is: `same key` and `same job` leave no doubt, `answer lost` (or not there yet) hardly
    any; a `same body` whose answers all arrived may be meant. `apart`: ms between the first and the last request;
    `extra`: all but the first charge.
    """

    provider: str
    reason: Reason
    charges: tuple[Charge, ...]
    requests: tuple[Asked, ...]
    apart: int
    extra: Decimal
    unit: str
    sentence: str


def read_budget(text: str) -> Money:
    """Read a budget as a client's note names it, `0.05 USD`. Raises UsageError."""
    amount, _, unit = text.strip().partition(" ")
    if not unit.strip():
        raise UsageError(f"a budget is an amount and its unit, as in 0.05 USD; not {text!r}")
    return Money(parse_money(amount), unit.strip())


def total_of(charges: Iterable[Charge]) -> Decimal:
    """Add amounts up, exactly."""
    total = Decimal(0)
    for charge in charges:
        total = EXACT.add(total, charge.amount)
    return total
