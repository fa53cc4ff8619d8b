"""What must hold when servers die or sleep: a check over what was seen from outside and what the store says.

It knows nothing of the emulator: acknowledgements, POSTs that a receiver got, attempts as the store has them,
and which commits the store took under which claim.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Attempt", "History", "Hit", "Write", "violations"]


@dataclass(frozen=True)
class Hit:
    """A POST that the receiver read to its end, and how it answered."""

    job: str
    body: bytes
    status: int


@dataclass(frozen=True)
class Attempt:
    """One attempt in the store, in ms of its world. `outcome`: http, network, timeout, or interrupted."""

    job: str
    number: int
    at: int
    ended: int
    due: int  # of the first attempt of its delivery
    outcome: str
    status: int | None = None


@dataclass(frozen=True)
class Write:
    """A commit that the store took: under which claim (`fence`, of a `node`), from when to when (ns, one clock)."""

    world: str
    node: str
    fence: int
    began: int
    ended: int


@dataclass(frozen=True)
class History:
    acknowledged: Sequence[str]  # jobs, as "world/id", that the client was told of
    stored: Sequence[str]  # those in the store at the end
    bodies: Sequence[str]  # that they were submitted with: no two submits had the same
    ended: Sequence[str]  # of those, the ones that reached an end
    charged: Sequence[str]  # jobs by charges
    hits: Sequence[Hit]
    attempts: Sequence[Attempt]
    crashes: int  # of processes and of the store, and processes that were stopped for a while
    delays: Sequence[int]  # between the rungs of the ladder, from the end of one attempt on, ms
    writes: Sequence[Write] = ()
    moved: Mapping[str, Sequence[int]] = field(default_factory=dict)  # moments that clocks were said to be moved to
    clocks: Mapping[str, int] = field(default_factory=dict)  # how far the store says that they are


def violations(history: History) -> list[str]:
    """Name what must not be."""
    stored, ended = set(history.stored), set(history.ended)
    return [
        *[f"{job}: acknowledged and lost" for job in history.acknowledged if job not in stored],
        *[f"{job}: acknowledged twice" for job, count in Counter(history.acknowledged).items() if count > 1],
        *[f"{job}: never came to an end" for job in history.stored if job not in ended],
        *[f"{job}: stored twice" for job, count in Counter(history.stored).items() if count > 1],
        *[f"submitted once, done {n} times: {body}" for body, n in Counter(history.bodies).items() if n > 1],
        *[f"{job}: ended and not charged" for job in history.ended if job not in set(history.charged)],
        *[f"{job}: charged {count} times" for job, count in Counter(history.charged).items() if count > 1],
        *_deliveries(history),
        *_copies(history),
        *_claims(history.writes),
        *_clocks(history),
    ]


def _deliveries(history: History) -> list[str]:
    found = []
    tried: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.attempts:
        tried[attempt.job].append(attempt)
        if attempt.at < attempt.due:
            found.append(f"{attempt.job}: attempt {attempt.number} came {attempt.due - attempt.at} ms early")
    rungs = len(history.delays) + 1
    for job in history.ended:
        whole = [attempt for attempt in tried[job] if attempt.outcome != "interrupted"]
        if [attempt.number for attempt in whole] != list(range(1, len(whole) + 1)):
            found.append(f"{job}: attempts are numbered {[attempt.number for attempt in whole]}")
        good = [attempt for attempt in whole if attempt.status is not None and 200 <= attempt.status < 300]
        if not good and len(whole) < rungs:
            found.append(f"{job}: given up after {len(whole)} of {rungs} attempts")
        if good and whole[-1] is not good[0]:
            found.append(f"{job}: tried again after it was accepted")
        if len(whole) > rungs:
            found.append(f"{job}: {len(whole)} attempts on a ladder of {rungs}")
        found += _rungs(job, whole, history.delays)
    return found


def _rungs(job: str, whole: Sequence[Attempt], delays: Sequence[int]) -> list[str]:
    """Later than the ladder says an attempt may come (a server was down), earlier it may not."""
    pairs = zip(whole, whole[1:], delays, strict=False)
    waits = [(later.number, later.at - before.ended, delay) for before, later, delay in pairs]
    return [f"{job}: attempt {number} after {wait} of {delay} ms" for number, wait, delay in waits if wait < delay]


def _copies(history: History) -> list[str]:
    """Every POST is an attempt that the store knows, or one that it knows to be cut."""
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


def _claims(writes: Sequence[Write]) -> list[str]:
    """At most one claim of a world is live: once a later one was written under, no earlier one is any more."""
    found = []
    holders: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    by_world: defaultdict[str, list[Write]] = defaultdict(list)
    for write in writes:
        holders[write.fence].add((write.world, write.node))
        by_world[write.world].append(write)
    for fence, claims in holders.items():
        if len(claims) > 1:
            found.append(f"the claim {fence} is several: {sorted(claims)}")
    for world, some in by_world.items():
        done: list[Write] = sorted(some, key=lambda write: write.ended)
        latest, at = 0, 0
        for write in sorted(some, key=lambda write: write.began):
            while at < len(done) and done[at].ended < write.began:
                latest, at = max(latest, done[at].fence), at + 1
            if write.fence < latest:
                found.append(f"{world}: {write.node} wrote under the claim {write.fence} after {latest} was live")
    return found


def _clocks(history: History) -> list[str]:
    """A clock that was said to be moved is as far, and never was further back than it had been said to be."""
    found = []
    for world, moments in history.moved.items():
        if list(moments) != sorted(moments):
            found.append(f"{world}: its clock was moved to {moments}")
        if moments and history.clocks.get(world, 0) < moments[-1]:
            found.append(f"{world}: its clock is at {history.clocks.get(world)}, and was moved to {moments[-1]}")
    return found
