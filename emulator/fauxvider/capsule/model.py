"""What a capsule holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider.errors import FauxviderError, Place
from fauxvider.service.recorder import Step

__all__ = ["Capsule", "CapsuleError"]


class CapsuleError(FauxviderError, ValueError):
    """A capsule is not one, or cannot be played here. Exit code 2."""

    fault = "whoever made the capsule"
    exit_code = 2

    def __init__(self, problem: str, *, place: Place | None = None) -> None:
        self.problem = problem
        self.place = place
        super().__init__(f"{place}: {problem}" if place else problem)


@dataclass(frozen=True, slots=True)
class Capsule:
    """A world's run. `world`: what it is made from; `contracts`: digests by provider; `prints`: of its stand-ins."""

    world: Mapping[str, Any]
    contracts: Mapping[str, str]
    prints: Mapping[str, str]
    steps: tuple[Step, ...]
    journal_sha256: str
    journal_trail: str
    version: str = ""
    file: str = "capsule"
