"""Charges as the ledger's report shows them, alone and in groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal, TypeAlias

__all__ = ["EXACT", "Asked", "Charge", "Doubled", "Group", "Reason", "total_of"]

Reason: TypeAlias = Literal["same key", "same job", "answer lost", "same body"]

EXACT = Context(prec=200)  # sums of the largest and smallest money that contracts may name stay exact


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


def total_of(charges: Iterable[Charge]) -> Decimal:
    """Add amounts up, exactly."""
    total = Decimal(0)
    for charge in charges:
        total = EXACT.add(total, charge.amount)
    return total
