"""The lines at the head of a run: which fauxvider, which contracts, which time, which seed."""

from __future__ import annotations

import hashlib
from importlib import metadata

from fauxvider_contracts import provider_names, provider_text
from pytest_fauxvider.options import Options

__all__ = ["header_lines"]

_DIGITS = 12  # of a digest: enough to tell two contracts apart


def header_lines(options: Options) -> list[str]:
    """Say what a run rests on. A contract's digest is the one that capsules and `fauxvider explain` name."""
    try:
        version = metadata.version("fauxvider")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    bundled = [f"{name} {_digest(provider_text(name).encode())}" for name in provider_names()]
    own = [f"{path.name} {_digest(path.read_bytes())}" for path in options.contracts if path.is_file()]
    return [
        f"fauxvider: {version}, clock {options.clock}, seed {options.seed}",
        f"fauxvider contracts: {', '.join([*bundled, *own])}",
    ]


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_DIGITS]
