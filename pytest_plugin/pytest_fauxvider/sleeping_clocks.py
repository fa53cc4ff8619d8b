"""Stand-ins for what the `time` module reads and sleeps, transparent unless time is virtual.

They are put in place before a client is imported, so that `from time import sleep`, a default argument or a
class attribute holds one of them. They are objects, not functions: a builtin in a class body is not bound to
an instance, and neither are these.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pytest_fauxvider.sleeping_neighbours import make_room, withdraw

__all__ = ["REAL", "STATE", "Session", "install", "is_installed", "take_over_names", "uninstall"]

# Callers that always get real time: what runs and measures the tests, what waits on real threads, and we.
# asyncio is among them because its loops are virtual one by one (`sleeping_loops`).
_REAL_CALLERS = frozenset({
    "_pytest", "pytest", "pluggy", "hypothesis", "xdist", "execnet", "coverage",
    "pytest_asyncio", "pytest_timeout", "pytest_benchmark", "faulthandler",
    "threading", "queue", "concurrent", "multiprocessing", "subprocess", "asyncio", "selectors", "socketserver",
    "fauxvider", "fauxvider_contracts", "pytest_fauxvider", "uvicorn", "hypercorn",
})  # fmt: skip

_RUNNERS = frozenset({"threading", "concurrent", "asyncio"})  # they never sleep, but run others' `time.sleep`

_SCALES = {
    "time": 1, "monotonic": 1, "perf_counter": 1,
    "time_ns": 10**9, "monotonic_ns": 10**9, "perf_counter_ns": 10**9,
}  # fmt: skip

# The originals, by name: what our own code reads.
REAL: dict[str, Callable[..., Any]] = {name: getattr(time, name) for name in ("sleep", *_SCALES)}


class Session(Protocol):
    """What the stand-ins ask of the virtual time that is on."""

    def offset_ns(self) -> int:
        """How far virtual time is ahead for the calling thread."""
        ...

    def sleep(self, seconds: float) -> None: ...


class _State:
    """What the stand-ins look at. ``base_ns``: how far earlier sessions have moved clocks that never run back."""

    session: Session | None = None
    base_ns: int = 0


STATE = _State()


def is_real_caller(name: str) -> bool:
    """Say whether a module (by its dotted name) always gets real time."""
    return name.partition(".")[0] in _REAL_CALLERS


def is_real_thread() -> bool:
    """Say whether the calling thread belongs to an emulator or a receiver.

    The second thread of a local server hands callbacks to the client, so what the client does there is virtual.
    """
    name = threading.current_thread().name
    return name.startswith("fauxvider-") and not name.startswith("fauxvider-local")


def _is_real(passing_on: frozenset[str] = frozenset()) -> bool:
    """Say whether the caller's caller gets real time; modules in `passing_on` call for somebody else."""
    name = sys._getframe(2).f_globals.get("__name__") or ""
    return (is_real_caller(name) and name.partition(".")[0] not in passing_on) or is_real_thread()


class _StandIn:
    """What all stand-ins share: they look, copy and pickle as the original does."""

    def __init__(self, name: str) -> None:
        real = REAL[name]
        self._real = real
        self.__name__ = self.__qualname__ = name
        self.__module__ = "time"
        self.__doc__ = real.__doc__
        self.__wrapped__ = real

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}, virtual when fauxvider says so>"


class _Reading(_StandIn):
    """Reads a clock, moved by as much as was slept."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._scale = _SCALES[name]
        self._runs_back = name.startswith("time")

    def __call__(self) -> Any:
        session, base = STATE.session, 0 if self._runs_back else STATE.base_ns
        if (session is None and not base) or _is_real():
            return self._real()
        ahead = base if session is None else base + session.offset_ns()
        return self._real() + (ahead / 1_000_000_000 if self._scale == 1 else ahead)


class _Sleep(_StandIn):
    def __call__(self, seconds: Any, /) -> None:
        session = STATE.session
        if session is None or _is_real(_RUNNERS) or not _is_span(seconds):
            self._real(seconds)
        else:
            session.sleep(float(seconds))


def _is_span(seconds: object) -> bool:
    """Say whether this can be slept; what cannot is for the original to refuse."""
    if not isinstance(seconds, int | float):
        return False
    return 0 < seconds < 1e10


_STAND_INS: dict[str, _StandIn] = {"sleep": _Sleep("sleep"), **{name: _Reading(name) for name in _SCALES}}
_by_original = {id(REAL[name]): name for name in REAL}
_seen: set[int] = set()
_taken: list[tuple[Any, str, Any]] = []
_is_in_place = False


def is_installed() -> bool:
    return _is_in_place


def install() -> None:
    """Put the stand-ins into the `time` module. May be called more than once."""
    global _is_in_place  # noqa: PLW0603 - one per process, as the module that it is about
    if _is_in_place:
        return
    _is_in_place = True
    for name, stand_in in _STAND_INS.items():
        setattr(time, name, stand_in)
    make_room(_originals)


@contextlib.contextmanager
def _originals() -> Iterator[None]:
    """Put the originals back for a moment."""
    found = {name: getattr(time, name) for name in REAL}
    for name, original in REAL.items():
        setattr(time, name, original)
    try:
        yield
    finally:
        for name, stand_in in found.items():
            setattr(time, name, stand_in)


def uninstall() -> None:
    """Put everything back as it was."""
    global _is_in_place  # noqa: PLW0603
    for namespace, name, original in reversed(_taken):
        if isinstance(namespace.get(name), _StandIn):
            namespace[name] = original
    _taken.clear()
    _seen.clear()
    if _is_in_place:
        for name, stand_in in _STAND_INS.items():
            if getattr(time, name) is stand_in:
                setattr(time, name, REAL[name])
        withdraw()
    _is_in_place = False
    STATE.base_ns = 0


def take_over_names() -> None:
    """Replace the originals that modules hold by name because they were imported before `install`.

    Each module is looked through once, so that a thousand tests pay for this once.
    """
    for name, namespace in _new_modules():
        if is_real_caller(name):
            continue
        found = [key for key, value in namespace.items() if id(value) in _by_original]
        for key in found:
            original = namespace[key]
            namespace[key] = _STAND_INS[_by_original[id(original)]]
            _taken.append((namespace, key, original))


def _new_modules() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, module in list(sys.modules.items()):
        if id(module) in _seen or name == "time":
            continue
        _seen.add(id(module))
        namespace = getattr(module, "__dict__", None)
        if isinstance(namespace, dict):
            yield name, namespace
