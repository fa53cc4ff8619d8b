"""Turns "nothing left the machine" into an assertion."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["audit"]

_WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
_heard: list[list[str]] = []
_hooked: list[bool] = []


def _hook(event: str, _: tuple[Any, ...]) -> None:
    if _heard and event in _WATCHED:
        _heard[-1].append(event)


@contextmanager
def audit() -> Iterator[list[str]]:
    """Record every connection and look-up of the process; an audit hook, once set, stays."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)
    _heard.append([])
    try:
        yield _heard[-1]
    finally:
        _heard.pop()
