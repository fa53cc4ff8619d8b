"""Cases of every rule of the verdict."""

from __future__ import annotations

from support.tales import Cases
from support.verdict_cases import answers, callbacks, files, money, polling

__all__ = ["BROKEN", "KEPT"]

_PARTS = (money, polling, answers, callbacks, files)

BROKEN: Cases = {rule: cases for part in _PARTS for rule, cases in part.BROKEN.items()}
KEPT: Cases = {rule: cases for part in _PARTS for rule, cases in part.KEPT.items()}
