"""What must hold of callbacks when servers die: a check over what was seen from outside and what the store says.

It knows nothing of the emulator: acknowledgements, POSTs that a receiver got, attempts as the store has them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Attempt", "History", "Hit", "violations"]


@dataclass(frozen=True)
class Hit:
    """A POST that the receiver read to its end, and how it answered."""

    job: str
    body: bytes
    status: int


@dataclass(frozen=True)
class Attempt:
    """One attempt in the store. `outcome`: http, network, timeout, or interrupted (cut by a crash)."""

    job: str
    number: int
    at: int
    due: int
    outcome: str
    status: int | None = None


@dataclass(frozen=True)
class History:
    acknowledged: Sequence[str]  # job ids, as the client got them
    stored: Sequence[str]  # job ids in the store at the end
    ended: Sequence[str]  # of those, the ones that reached an end
    hits: Sequence[Hit]
    attempts: Sequence[Attempt]
    crashes: int
    rungs: int  # attempts that the ladder has


def violations(history: History) -> list[str]:
    """Name what must not be."""
    return [
        *[f"{job}: acknowledged and lost" for job in history.acknowledged if job not in set(history.stored)],
        *[f"{job}: never came to an end" for job in history.stored if job not in set(history.ended)],
        *[f"{job}: stored twice" for job, count in Counter(history.stored).items() if count > 1],
        *_deliveries(history),
        *_copies(history),
    ]


def _deliveries(history: History) -> list[str]:
    found = []
    tried: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.attempts:
        tried[attempt.job].append(attempt)
        if attempt.at < attempt.due:
            found.append(f"{attempt.job}: attempt {attempt.number} came {attempt.due - attempt.at} ms early")
    for job in history.ended:
        whole = [attempt for attempt in tried[job] if attempt.outcome != "interrupted"]
        if [attempt.number for attempt in whole] != list(range(1, len(whole) + 1)):
            found.append(f"{job}: attempts are numbered {[attempt.number for attempt in whole]}")
        good = [attempt for attempt in whole if attempt.status is not None and 200 <= attempt.status < 300]
        if not good and len(whole) < history.rungs:
            found.append(f"{job}: given up after {len(whole)} of {history.rungs} attempts")
        if good and whole[-1] is not good[0]:
            found.append(f"{job}: tried again after it was accepted")
        if len(whole) > history.rungs:
            found.append(f"{job}: {len(whole)} attempts on a ladder of {history.rungs}")
    return found


def _copies(history: History) -> list[str]:
    """Every POST is an attempt that the store knows, or one that a crash cut."""
    found = []
    known = Counter(attempt.job for attempt in history.attempts)
    cut = sum(attempt.outcome == "interrupted" for attempt in history.attempts)
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for job, count in Counter(hit.job for hit in history.hits).items():
        if count > known[job]:
            found.append(f"{job}: {count} POSTs, and {known[job]} attempts to explain them")
    if cut and not history.crashes:
        found.append(f"{cut} attempts were cut, and nothing crashed")
    for hit in history.hits:
        bodies[hit.job].add(hit.body)
    found += [f"{job}: {len(kinds)} different bodies" for job, kinds in bodies.items() if len(kinds) > 1]
    return found
