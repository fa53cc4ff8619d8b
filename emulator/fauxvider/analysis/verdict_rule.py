"""What a verdict's rule is: who is harmed and how to mend it, as data, beside one pure function that finds cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from fauxvider.analysis.entries import shown
from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import Asked, Tried

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Case", "Evidence", "Find", "Rule", "asked_text", "case", "tried_text"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Evidence: TypeAlias = tuple[tuple[int, str], ...]


class Case(NamedTuple):
    """One case of a rule: the job ("" if it is about none) and what happened, with moments."""

    job: str
    evidence: Evidence


Find: TypeAlias = Callable[[History], Iterator[Case]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`harm`: something was lost, paid or done twice. `risk`: it went well this time.

    `source` names the incident that the rule is made from (incidents.md C1 to C12, or a dossier's section).
    """

    name: str
    severity: Literal["harm", "risk"]
    about: str
    harm: str
    fix: str
    source: str
    find: Find


_MOST = 6  # sentences of evidence; what is between the first and the last of more is counted


def case(job: str, *evidence: tuple[int, str]) -> Case:
    """Make a case; its evidence comes in order and is kept short."""
    found = sorted(evidence, key=lambda one: one[0])
    if len(found) > _MOST:
        left_out = len(found) - _MOST + 1
        kept = found[: _MOST // 2]
        found = [*kept, (found[_MOST // 2][0], f"... and {left_out} more ..."), *found[_MOST // 2 - _MOST + 1 :]]
    return Case(job, tuple(found))


def asked_text(asked: Asked) -> str:
    """Say what was asked and answered: `GET /v1/runs/1 answered 200, shows SUCCESS [scenario: drip 2s]`."""
    answer = "got no answer" if asked.is_lost else f"answered {asked.status}"
    cause = f" ({asked.cause})" if asked.cause else ""
    shows = f", shows {shown(asked.word, 40)}" if asked.word and asked.is_seen else ""
    part = f" for {shown(asked.range, 40)}" if asked.range else ""
    return f"{asked.method} {shown(asked.path, 100)}{part} {answer}{cause}{shows}{_laid_on(asked.faults)}"


def tried_text(tried: Tried) -> str:
    """Say what became of a callback attempt: `callback run.completed, attempt 2: HTTP 503, signature good`."""
    outcome = f"HTTP {tried.status}" if tried.outcome == "http" else tried.outcome
    signature = f", signature {tried.signature}" if tried.signature not in ("", "none") else ""
    event = f" {shown(tried.event, 40)}" if tried.event else ""
    return f"callback{event}, attempt {tried.number}: {outcome}{signature}{_laid_on(tried.faults)}"


def _laid_on(faults: frozenset[str]) -> str:
    """Say what the scenario did to it, each fault with its argument: ` [scenario: drip 2s, slow]`."""
    heads = {fault.partition(" ")[0] for fault in faults if " " in fault}
    named = sorted(faults - heads)
    return f" [scenario: {shown(', '.join(named), 60)}]" if named else ""
