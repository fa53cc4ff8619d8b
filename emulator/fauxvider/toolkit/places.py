"""Where a rule stands: its line in the contract, and the line of the document that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider.contract.evidence import evidence_text, evidences
from fauxvider.contract.model import Contract, Evidence
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import place_of, pointer_parts, pointer_text

__all__ = ["Rule", "rule_at"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A contract's pointer with its line, the rule that answers for it, and who says so."""

    pointer: str
    file: str
    line: int
    said_at: str  # pointer of the nearest rule that has evidence
    evidence: tuple[str, ...]
    documents: tuple[str, ...]  # `003_473c.txt:66` for evidence from a given document

    @property
    def text(self) -> str:
        said = "; ".join(self.evidence) or "no evidence of its own"
        where = f" [{', '.join(self.documents)}]" if self.documents else ""
        return f"{self.pointer} ({self.file}:{self.line}): {said}{where}"


def rule_at(file: ContractFile, readings: Mapping[str, str], pointer: str) -> Rule:
    """Find what a pointer of a resolved contract rests on; what is not there itself, its nearest parent."""
    tree, contract = file.resolved(readings), file.resolve(readings)
    parts = pointer_parts(pointer)
    while parts and _at(tree, parts) is _NOTHING:
        parts = parts[:-1]
    line = place_of(tree, pointer_text(parts), file=file.file, of_key=True).line
    for end in range(len(parts), -1, -1):
        node = _at(tree, parts[:end])
        said = node.get("evidence") if isinstance(node, Mapping) else None
        if isinstance(said, str | list):
            found = evidences(said)
            return Rule(
                pointer,
                file.file,
                line,
                pointer_text(parts[:end]),
                tuple(map(evidence_text, found)),
                tuple(_documents(contract, found)),
            )
    return Rule(pointer, file.file, line, "", (), ())


def _documents(contract: Contract, said: tuple[Evidence, ...]) -> list[str]:
    found = []
    for one in said:
        source = contract.sources.get(one.source)
        if source is not None and source.document:
            found += [
                f"{source.document}:{low}" if low == high else f"{source.document}:{low}-{high}"
                for low, high in one.lines
            ]
    return found


_NOTHING: Any = object()


def _at(tree: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        if isinstance(tree, list):
            tree = tree[int(part)] if part.isdecimal() and int(part) < len(tree) else _NOTHING
        else:
            tree = tree.get(part, _NOTHING) if isinstance(tree, Mapping) else _NOTHING
    return tree
