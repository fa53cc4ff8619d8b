"""Making a run that fails shorter, by playing it without one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pytest_fauxvider.invariants import ViolationError
from pytest_fauxvider.knobs import Step

__all__ = ["Played", "kind_of", "shortened"]

Run: TypeAlias = tuple[Step, ...]
Played: TypeAlias = Callable[[Run], "Exception | None"]
_PLAIN = {"fate": "arrives", "job": 0, "which": 0, "span": "next"}
_MOST = 400  # runs


def kind_of(error: BaseException) -> str:
    """Name what went wrong: an invariant, or the exception that the client raised."""
    return error.name if isinstance(error, ViolationError) else type(error).__name__


def shortened(run: Run, kind: str, play: Played) -> Run:
    """Give the shortest run that can be had by leaving steps out and making them plainer, and still fails so.

    `play` gives what a run raises, or None. Whatever it gives for the run itself, that is the worst that is returned.
    """
    left = _MOST
    is_shorter = True
    while is_shorter and left > 0:
        is_shorter = False
        for candidate in _candidates(run):
            left -= 1
            error = play(candidate)
            if error is not None and kind_of(error) == kind:
                run, is_shorter = candidate, True
                break
            if left <= 0:
                break
    return run


def _candidates(run: Run) -> Iterator[Run]:
    """Give what is simpler by one: fewer steps first, then plainer ones."""
    half = len(run) // 2
    if half > 1:
        yield run[half:]
        yield run[:half]
    for at in reversed(range(len(run))):
        yield (*run[:at], *run[at + 1 :])
    for at, step in enumerate(run):
        for args in _plainer(step.args):
            yield (*run[:at], Step(step.name, args), *run[at + 1 :])


def _plainer(args: Any) -> Iterator[dict[str, Any]]:
    for name, value in args.items():
        plain = _PLAIN.get(name)
        if plain is not None and value != plain and name in args:
            yield {**args, name: plain}
