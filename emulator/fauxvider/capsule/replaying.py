"""Replaying a capsule: the same steps, in process and without a socket, and whether the journal is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fauxvider.capsule.model import Capsule
from fauxvider.capsule.rerun import Answer, Rerun
from fauxvider.service.recorder import Step
from fauxvider.service.reports import Report

__all__ = ["ReplayResult", "replay"]

OnStep = Callable[[int, Step, "Answer | None"], None]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The replayed journal, as entries, as JSON Lines and as what it tells.

    `first_difference` is "" when it is the recorded one.
    """

    entries: list[dict[str, Any]]
    journal: bytes
    sha256: str
    matches: bool
    first_difference: str
    report: Report


def replay(
    capsule: Capsule,
    *,
    on_step: OnStep | None = None,
    contracts: Iterable[str | Path] = (),
    any_contract: bool = False,
) -> ReplayResult:
    """Repeat a run. `contracts`: files of providers that are not bundled. Raises CapsuleError.

    `on_step` is told of each step (from 0) when it is done, with the answer that it brought.
    """
    with Rerun(
        capsule.world,
        contracts=capsule.contracts,
        prints=capsule.prints,
        files=contracts,
        any_contract=any_contract,
        source=capsule.file,
    ) as run:
        for number, step in enumerate(capsule.steps):
            answer = run.play(step)
            if on_step is not None:
                on_step(number, step, answer)
        difference = run.difference(sha256=capsule.journal_sha256, trail=capsule.journal_trail)
        return ReplayResult(
            entries=run.entries(),
            journal=run.journal(),
            sha256=run.journal_sha256(),
            matches=not difference,
            first_difference=difference,
            report=run.report(),
        )
