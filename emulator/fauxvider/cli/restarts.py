"""Whether, and after which pause, a worker is started again that has ended by itself."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fauxvider.errors import ContractError, FauxviderError, StoreAwayError, StoreUnfitError, UsageError

__all__ = ["PATIENCE", "Kind", "kind_of", "pause_ms"]

# Why it did not start: the store is away, which passes; something is wrong as it stands; anything else, a crash too.
Kind: TypeAlias = Literal["away", "wrong", "other"]

PATIENCE = 5  # ends in a row, each as soon as it had started, after which a worker is given up
_FIRST_MS, _LONGEST_MS = 500, 30_000


def kind_of(error: FauxviderError) -> Kind:
    """Tell what kept a worker from starting."""
    if isinstance(error, StoreAwayError):
        return "away"
    return "wrong" if isinstance(error, (ContractError, StoreUnfitError, UsageError)) else "other"


def pause_ms(kind: Kind, ends: int) -> int | None:
    """Give how long to wait before a worker is started again; None: it is not.

    `ends`: how many times in a row it has ended as soon as it had started, or while it did.
    """
    if kind == "wrong" or (kind == "other" and ends >= PATIENCE):
        return None
    return min(_LONGEST_MS, _FIRST_MS << min(ends - 1, 16)) if ends else 0
