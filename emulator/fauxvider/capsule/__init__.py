"""Capsules: a world's run in one small file, which repeats on any machine.

`WorldHandle.save` writes one; `read_capsule` reads it, `replay` repeats it, `reproduce_text` makes a test of it.
"""

from __future__ import annotations

from fauxvider.capsule.model import Capsule, CapsuleError
from fauxvider.capsule.reading import read_capsule
from fauxvider.capsule.replaying import ReplayResult, replay
from fauxvider.capsule.reproduce import reproduce_text
from fauxvider.capsule.rerun import Answer, Rerun
from fauxvider.embedded import WorldHandle

__all__ = [
    "Answer",
    "Capsule",
    "CapsuleError",
    "ReplayResult",
    "Rerun",
    "read_capsule",
    "replay",
    "reproduce_text",
    "save_capsule",
]


def save_capsule(world: WorldHandle) -> bytes:
    """Give a world's run so far as a capsule. Raises UsageError when it was not (wholly) recorded."""
    return world.capsule()
