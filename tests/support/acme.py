"""The made-up contract of the tests (tests/data/acme.yaml), and small changes to it."""

from __future__ import annotations

from pathlib import Path

from fauxvider.contract.parse import ContractFile

__all__ = ["ACME", "ACME_TEXT", "changed_acme", "line_in_acme"]

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"
ACME_TEXT = ACME.read_text(encoding="utf-8")


def changed_acme(old: str, new: str) -> ContractFile:
    """Give the sample with the first `old` replaced."""
    assert old in ACME_TEXT, old
    return ContractFile(ACME_TEXT.replace(old, new, 1), file="acme.yaml")


def line_in_acme(text: str) -> int:
    """Give the line on which a text first stands."""
    assert text in ACME_TEXT, text
    return ACME_TEXT[: ACME_TEXT.index(text)].count("\n") + 1
