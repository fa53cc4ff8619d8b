"""Errors of fauxvider itself; each says whose fault it is and how the command line exits.

A provider's own refusals are not errors here: they are answers, made from the contract.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BlockedAddressError",
    "ContractError",
    "ExpressionError",
    "FauxviderError",
    "Place",
    "PortTakenError",
    "RenderError",
    "StoreAwayError",
    "StoreError",
    "StoreUnfitError",
    "UnknownWorldError",
    "UsageError",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: 1-based line and column, and a JSON pointer."""

    file: str
    line: int = 0
    column: int = 0
    pointer: str = ""

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{head}: {self.pointer}" if self.pointer else head


class FauxviderError(Exception):
    """The root of every error that fauxvider raises."""

    fault = "fauxvider"
    exit_code = 70


class ContractError(FauxviderError, ValueError):
    """A contract (or scenario) file is wrong: its author's fault. Exit code 2."""

    fault = "the contract's author"
    exit_code = 2

    def __init__(self, problem: str, *, place: Place | None = None, allowed: str = "") -> None:
        self.problem = problem
        self.place = place
        self.allowed = allowed
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.place}: " if self.place else ""
        tail = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{head}{self.problem}{tail}"


class ExpressionError(FauxviderError, ValueError):
    """A formula cannot be read or computed: the contract author's fault."""

    fault = "the contract's author"
    exit_code = 2


class UsageError(FauxviderError, ValueError):
    """The caller of fauxvider asked for something that does not exist. Exit code 2."""

    fault = "the caller"
    exit_code = 2


class UnknownWorldError(UsageError, LookupError):
    """No world of that name."""


class PortTakenError(FauxviderError, OSError):
    """A port to listen on is in use. Exit code 3."""

    fault = "the environment"
    exit_code = 3


class StoreError(FauxviderError, OSError):
    """The store cannot be used: damaged, foreign, read-only, taken, or gone. Exit code 4."""

    fault = "the environment"
    exit_code = 4


class StoreAwayError(StoreError):
    """The store cannot be reached now; nothing says that it is not fit. Exit code 4."""


class StoreUnfitError(StoreError):
    """The store answers, and is not fit for worlds: asking again would not help. Exit code 4."""


class BlockedAddressError(FauxviderError, PermissionError):
    """A callback address that the egress policy does not allow."""

    fault = "the client"
    exit_code = 2


class RenderError(FauxviderError, RuntimeError):
    """A picture could not be made."""

    fault = "the renderer"
