"""Letting the machine loose on a client of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pytest_fauxvider.knobs import Step
from pytest_fauxvider.machine import ProviderMachine
from pytest_fauxvider.shortening import kind_of, shortened

__all__ = ["Find", "hunt", "innocent"]

STEPS = 25


@dataclass(frozen=True)
class Find:
    """What a client was blamed for: the invariant's name, and the shortest run that was made of the one found."""

    kind: str
    steps: tuple[Step, ...]
    text: str

    @property
    def events(self) -> int:
        return len(self.steps)


def hunt(client: type[ProviderMachine], *, examples: int = 2_500, is_shrunk: bool = True) -> Find | None:
    """Look for a defect until one is found; with `is_shrunk` Hypothesis makes it short first, as it does in a test."""
    return _run(client, examples=examples, phases=(Phase.generate, Phase.shrink) if is_shrunk else (Phase.generate,))


def innocent(client: type[ProviderMachine], *, examples: int) -> Find | None:
    """Let a careful client go through so many runs; give what it was blamed for, if anything."""
    return _run(client, examples=examples, phases=(Phase.generate, Phase.shrink))


def _run(client: type[ProviderMachine], *, examples: int, phases: tuple[Phase, ...]) -> Find | None:
    last: list[ProviderMachine] = []

    class Watched(client):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            last[:] = [self]

        @classmethod
        def outcome(cls, steps: Any, **more: Any) -> Any:
            return client.outcome(steps, **more)

    Watched.__name__ = Watched.__qualname__ = client.__name__
    options: dict[str, Any] = {
        "max_examples": examples, "stateful_step_count": STEPS, "deadline": None, "database": None, "phases": phases,
        "derandomize": True, "report_multiple_bugs": False, "suppress_health_check": list(HealthCheck),
    }  # fmt: skip
    try:
        run_state_machine_as_test(Watched, settings=settings(**options))
    except Exception as error:
        kind = kind_of(error)
        steps = shortened(tuple(last[0].stage.steps), kind, lambda run: client.outcome(run)[0])
        return Find(kind, steps, f"{kind}: {error}")
    return None
