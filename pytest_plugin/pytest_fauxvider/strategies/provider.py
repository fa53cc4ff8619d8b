"""Which provider the strategies are asked for: a bundled name, a contract file, or a contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from fauxvider.contract.model import Contract, Model
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import UsageError
from fauxvider_contracts import provider_names

__all__ = ["Held", "ProviderLike", "Source", "model_named", "source_of"]

ProviderLike: TypeAlias = "str | Path | Contract"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A contract, and the file that it comes from (None where a contract was given that is not bundled)."""

    contract: Contract = field(repr=False)
    file: ContractFile | None = field(repr=False)

    def __hash__(self) -> int:
        return id(self.contract)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self.contract is other.contract

    @property
    def name(self) -> str:
        return self.contract.provider

    def needed_file(self) -> ContractFile:
        """Give the file. Raises UsageError without one."""
        if self.file is None:
            raise UsageError(f"an emulator of {self.name!r} needs its contract file: give the file's path")
        return self.file


def source_of(provider: ProviderLike) -> Source:
    """Find the contract that is meant. Raises UsageError or ContractError."""
    if isinstance(provider, Contract):
        return Source(provider, _file_of(provider))
    file = _opened(str(provider))
    return Source(file.resolve({}), file)


@lru_cache(maxsize=64)
def _opened(source: str) -> ContractFile:
    return open_contract(source)


def _file_of(contract: Contract) -> ContractFile | None:
    file = _bundled(contract.provider)
    return file if file is not None and file.digest == contract.digest else None


@lru_cache(maxsize=64)
def _bundled(name: str) -> ContractFile | None:
    return _opened(name) if name in provider_names() else None


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A contract as part of a cache's key: the same one is the same object."""

    contract: Contract = field(repr=False)

    def __hash__(self) -> int:
        return id(self.contract)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.contract is other.contract


def model_named(contract: Contract, name: str) -> Model:
    """Find a model by its name. Raises UsageError naming what exists."""
    if name not in contract.models:
        raise UsageError(f"{contract.provider} has no model {name!r} (it has: {', '.join(contract.models)})")
    return contract.models[name]
