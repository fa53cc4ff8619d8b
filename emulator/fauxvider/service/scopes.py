"""The names that templates see (section 12 of the language), each computed only when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fauxvider.contract.model import Contract, Model
from fauxvider.engine.minting import Mint

__all__ = ["MintScope", "model_scope"]

_PARTS = {"run": ("job", "run"), "output": ("job", "output"), "attempt": ("delivery", "attempt"), "world": ()}


class MintScope:
    """`{mint.NAME}`: values that are a function of the world's seed and of what they belong to.

    `owners` says what that is: numbers or names of the job, run, output, delivery, attempt, asset,
    secret, request, key and model at hand. Its own names are private, because a contract may call an
    id anything.
    """

    __slots__ = ("_contract", "_mint", "_moment", "_owners")

    def __init__(self, contract: Contract, mint: Mint, *, moment: int, **owners: int | str) -> None:
        self._contract = contract
        self._mint = mint
        self._moment = moment
        self._owners = owners

    def __getattr__(self, name: str) -> str:
        kind = self._contract.ids.get(name)
        if kind is None:
            raise AttributeError(name)
        owners = self._owners
        parts = _PARTS.get(kind.scope, (kind.scope,))
        return self._mint.value(kind, *[owners.get(part, 0) for part in parts], moment=self._moment)


def model_scope(model: Model) -> Mapping[str, Any]:
    return {
        "name": model.name,
        "key": list(model.key),
        "status": "active" if model.active else "inactive",
        "facts": model.facts,
    }
