from __future__ import annotations
from fauxvider.contract.parse import ContractFile
__all__ = ["explain"]
def explain(file: ContractFile, pointer: str | None = None) -> str:
    return file.provider
