"""What two contracts differ in: one finding, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity: TypeAlias = Literal["breaking", "unknown", "compatible"]
SEVERITIES: Final[tuple[Severity, ...]] = ("breaking", "unknown", "compatible")


@dataclass(frozen=True)
class Finding:
    """One difference. Lines are those of the two files, 0 where nothing stands there.

    `witness`: a value that one side takes (or gives) and the other does not, where there is one.
    """

    severity: Severity
    pointer: str
    about: str
    old: Any = None
    new: Any = None
    old_line: int = 0
    new_line: int = 0
    witness: Any = None
    has_witness: bool = False

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "severity": self.severity,
            "pointer": self.pointer,
            "about": self.about,
            "old": self.old,
            "new": self.new,
            "old_line": self.old_line,
            "new_line": self.new_line,
        }
        return told | ({"witness": self.witness} if self.has_witness else {})
