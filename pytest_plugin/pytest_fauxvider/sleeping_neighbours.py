"""time-machine writes into the C functions that it finds in the `time` module; with stand-ins there it would crash.

While its extension module is loaded, and whenever it patches, it finds the originals. What it does to them shows
through the stand-ins: virtual time is added to the time that it travels to.
"""

from __future__ import annotations

import functools
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

__all__ = ["make_room", "withdraw"]

_NAME = "_time_machine"
_WRITES = ("patch", "patch_if_needed", "unpatch")
Originals = Callable[[], AbstractContextManager[None]]


class _Loader:
    """Loads the module as its own loader does, in the presence of the originals."""

    def __init__(self, loader: Any, originals: Originals) -> None:
        self._loader = loader
        self._originals = originals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        with self._originals():
            return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._originals():
            self._loader.exec_module(module)
        _wrap(module, self._originals)


class _Finder:
    """Waits for the one module to be imported."""

    def __init__(self, originals: Originals) -> None:
        self._originals = originals

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._originals)  # type: ignore[assignment]
        return spec


def _wrap(module: ModuleType, originals: Originals) -> None:
    for name in _WRITES:
        write = getattr(module, name, None)
        if write is None or hasattr(write, "__wrapped__"):
            continue

        @functools.wraps(write)
        def written(*args: Any, _write: Callable[..., Any] = write) -> Any:
            with originals():
                return _write(*args)

        setattr(module, name, written)


def make_room(originals: Originals) -> None:
    """Make time-machine write into the originals, whether it is here already or comes later."""
    if (module := sys.modules.get(_NAME)) is not None:
        _wrap(module, originals)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(originals))


def withdraw() -> None:
    """Stop waiting for it. What has been wrapped stays so: it does no harm."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
