"""Writing what a command was asked to write: where that fails it is the user's input, told in one line."""

from __future__ import annotations

import os
from pathlib import Path

from fauxvider.errors import UsageError

__all__ = ["made_folder", "written"]


def written(path: Path, text: str | bytes, *, mode: int | None = None) -> None:
    """Write a file, with these rights from the start if `mode` is given. Raises UsageError if it cannot be."""
    try:
        if mode is not None:
            path.unlink(missing_ok=True)
            path.touch(mode=mode)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def made_folder(path: Path) -> Path:
    """Give a folder that can be written to, made if it is not there. Raises UsageError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written to")
    return path
