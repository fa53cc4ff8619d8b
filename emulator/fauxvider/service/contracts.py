"""The contracts of an emulator under their default readings, each compiled when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile

__all__ = ["DefaultContracts"]


class DefaultContracts(Mapping[str, Contract]):
    """Provider -> contract. A provider that nobody calls costs no more than the reading of its file."""

    def __init__(self, files: Mapping[str, ContractFile]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> Contract:
        return self._files[name].resolve({})

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
