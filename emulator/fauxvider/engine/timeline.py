"""The timeline of one job: when it is in which state, and what it looks like at a moment.

A job's life is never stored: it follows from its plan and its events. `life_of` folds them
into marks (moment, state); `snapshot_at` reads those marks at a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Contract, Deadline, State
from fauxvider.engine.facts import Event, Job, Plan, Record

__all__ = ["OPEN", "Life", "Snapshot", "life_of", "snapshot_at"]

OPEN = 100 * 365 * 86_400_000  # how far away an end is that nobody knows yet, in ms


@dataclass(slots=True)
class Life:
    """A job's marks. `gone` is the moment from which the provider denies knowing the job."""

    marks: list[tuple[int, State]]
    began: int
    ended: int
    end: State
    failure: str
    detail: str
    seed: int
    retries: int = 0
    runs: int = 0  # how often the client had it run again
    gone: int | None = None
    is_reset: bool = False  # the client has set the rest of the record's life itself
    before_end: str = ""  # the canonical state that the end interrupted
    limits: tuple[int | None, ...] = ()  # a live run's deadlines: they count from what really happened
    is_limited: bool = False  # a live run whose end is not known, but for a deadline
    lost: tuple[tuple[int, State], ...] = ()  # marks of runs whose worker was lost, all before `began`

    @property
    def is_open(self) -> bool:
        """Whether nobody knows yet when it ends (a deadline aside)."""
        return self.is_limited or self.ended >= self.began + OPEN

    @property
    def started(self) -> int | None:
        """When it first ran, if it did."""
        return next((at for at, state in self.marks if state.canonical == "running" and at < self.ended), None)

    @property
    def succeeds(self) -> bool:
        return self.end.canonical == "succeeded"


@dataclass(slots=True)
class Snapshot:
    """A job at a moment, as templates see it (`job.*`); None is what is not known yet."""

    id: str
    number: int
    status: str
    state: str
    accepted: int
    started: int | None
    ended: int | None
    queued_ms: int | None
    run_ms: int | None
    total_ms: int | None
    cost: Decimal | None
    seed: int
    retries: int | None
    progress: float
    origin_state: str
    failure_name: str
    removed: bool = False  # its data is gone, the record is not
    failure: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None

    @property
    def is_terminal(self) -> bool:
        return self.ended is not None


def life_of(contract: Contract, record: Record) -> Life:
    """Fold a job's plan and events into its life (future included)."""
    job, twist = record.job, record.job.twist
    life = _run(contract, job.plan, job.accepted)
    for state, after, lasts in twist.extra if twist else ():
        _insert(life, state, after, lasts)
    for event in sorted(record.events, key=_moment) if len(record.events) > 1 else record.events:
        life = _after(contract, life, event)
    if life.limits:
        _limit(contract, life)
    if twist is not None and twist.gone is not None:
        life.gone = _earlier(life.gone, life.ended + twist.gone)
    keeps = contract.operations[job.operation].keeps
    if keeps is not None and not life.is_reset:
        life.gone = _earlier(life.gone, life.ended + keeps)
    return life


def _moment(event: Event) -> int:
    return event.at


def _insert(life: Life, state: State, after: str, lasts: int) -> None:
    """Put one more state behind the one shown as `after`; what follows comes later."""
    at = next((number for number, (_, known) in enumerate(life.marks) if known.word == after), None)
    if at is None:
        return
    begins = life.marks[at + 1][0] if at + 1 < len(life.marks) else life.ended
    later = [(moment + lasts, known) for moment, known in life.marks[at + 1 :]]
    life.marks = [*life.marks[: at + 1], (begins, state), *later]
    life.ended += lasts


def _run(contract: Contract, plan: Plan, began: int) -> Life:
    if plan.live:
        return _live(contract, plan, began)
    at, started, marks = began, None, list[tuple[int, State]]()
    for phase, lasts in zip(contract.phases, plan.phases):  # noqa: B905 - strict=False costs as much as the loop
        state = phase.state
        if started is None and state.canonical == "running":
            started = at
        marks.append((at, state))
        at += lasts
    life = Life(marks, began, at, contract.ends["succeeded"], "", plan.detail, plan.seed)
    if plan.failure:
        if contract.failures[plan.failure].after == "queued":
            life.ended = at if started is None else started
            life.marks = [mark for mark in marks if mark[0] < life.ended or mark[1].canonical == "queued"]
        life.end, life.failure = _end_of(contract, plan.failure), plan.failure
    for deadline, span in zip(contract.deadlines, plan.deadlines):  # noqa: B905 - as above
        # One that the whole run keeps within cannot end it, from wherever it counts.
        if span is not None and (span < life.ended - began or not deadline.failure):
            _apply_deadline(contract, life, deadline, span, started)
    return life


def _live(contract: Contract, plan: Plan, began: int) -> Life:
    """A run that is really under way: it waits until an event says that it started, and for the one that ends it."""
    marks = [(began, phase.state) for phase in contract.phases if phase.state.canonical == "queued"]
    marks = marks[:1] or [(began, contract.phases[0].state)]
    life = Life(marks, began, began + OPEN, contract.ends["succeeded"], "", plan.detail, plan.seed)
    life.limits = plan.deadlines
    return life


def _limit(contract: Contract, life: Life) -> None:
    """Apply the deadlines of a live run, now that its start (and perhaps its end) is known."""
    started = next((at for at, state in life.marks if state.canonical == "running"), None)
    is_open = life.is_open
    for deadline, span in zip(contract.deadlines, life.limits, strict=False):
        if span is not None and (deadline.failure or not life.is_reset):
            _apply_deadline(contract, life, deadline, span, started)
    life.is_limited = is_open


def _apply_deadline(contract: Contract, life: Life, deadline: Deadline, span: int, started: int | None) -> None:
    limit = life.began + span
    if deadline.covers == "running":
        if started is None:
            return
        limit = started + span
    elif deadline.covers == "queued" and started is not None and started <= limit:
        return
    if not deadline.failure:
        life.gone = _earlier(life.gone, limit)
    elif life.ended > limit:
        life.marks = [mark for mark in life.marks if mark[0] <= limit]
        life.ended, life.failure = limit, deadline.failure
        life.end = _end_of(contract, deadline.failure)


def _after(contract: Contract, life: Life, event: Event) -> Life:
    if event.kind == "retried" and event.plan is not None:
        again = _run(contract, event.plan, event.at)
        again.runs = life.runs + 1
        return again
    if event.kind == "requeued" and event.plan is not None:
        if event.at >= life.ended:
            return life
        again = _run(contract, event.plan, event.at)
        again.retries, again.runs = life.retries + 1, life.runs
        again.lost = (*life.lost, *(mark for mark in life.marks if mark[0] < event.at))
        return again
    if event.kind == "ttl":
        life.gone, life.is_reset = event.at + event.number, True
    elif event.kind == "purged" and event.name == "gone":
        life.gone = event.at
        _cut(life, event.at, contract.ends["cancelled"], "")
    elif event.kind in ("cancelled", "purged"):
        _cut(life, event.at, contract.ends["cancelled"], "")
    elif event.kind == "forced":
        _force(contract, life, event)
    elif event.kind == "started" and event.at < life.ended:
        running = next((phase.state for phase in contract.phases if phase.state.canonical == "running"), None)
        if running is not None:
            life.marks.append((event.at, running))
    return life


def _force(contract: Contract, life: Life, event: Event) -> None:
    if not event.name:
        _cut(life, event.at, contract.ends["succeeded"], "")
        return
    _cut(life, event.at, _end_of(contract, event.name), event.name)
    if event.detail and life.failure == event.name:
        life.detail = event.detail


def _cut(life: Life, at: int, end: State, failure: str) -> None:
    if at >= life.ended:
        return
    life.marks = [mark for mark in life.marks if mark[0] <= at]
    life.before_end = life.marks[-1][1].canonical if life.marks else "queued"
    life.ended, life.end, life.failure = at, end, failure


def _end_of(contract: Contract, failure: str) -> State:
    shape = contract.failures[failure]
    return shape.state or contract.ends[shape.end]


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def snapshot_at(contract: Contract, life: Life, job: Job, moment: int) -> Snapshot:
    """Give the job as it is at `moment`; `failure` and `result` are left to the caller."""
    is_over, twist = moment >= life.ended, job.twist
    is_lost_run = moment < life.began and bool(life.lost)
    marks = life.lost if is_lost_run else life.marks
    state, started = (life.end if is_over else marks[0][1]), None
    regressed = _flickers(contract, life, job, moment) if twist is not None else None
    for at, mark in marks:
        if at > moment:
            break
        if started is None and mark.canonical == "running" and at < life.ended + (not is_over):
            started = at
        if not is_over:
            state = mark
    if regressed is not None:
        is_over, state = False, regressed
    ended = life.ended if is_over else None
    succeeded = is_over and state.canonical == "succeeded"
    progress = 1.0 if succeeded else 0.0
    if started is not None and not is_over and life.ended > started:
        progress = min(1.0, (moment - started) / (life.ended - started))
    word = state.said if twist is None else twist.words.get(state.word, state.said)
    return Snapshot(
        id=job.id,
        number=job.number,
        status=word,
        state=state.canonical,
        accepted=job.accepted,
        started=started,
        ended=ended,
        queued_ms=None if started is None else started - (job.accepted if is_lost_run else life.began),
        run_ms=None if started is None or ended is None else ended - started,
        total_ms=None if ended is None else ended - job.accepted,
        cost=job.price if is_over and state.canonical in contract.account.charge else None,
        seed=life.seed,
        retries=(life.retries - is_lost_run) or None,
        progress=progress,
        origin_state=life.before_end,
        failure_name=life.failure if is_over else "",
        removed=is_over and contract.removal is not None and moment >= life.ended + contract.removal,
    )


def _flickers(contract: Contract, life: Life, job: Job, moment: int) -> State | None:
    """Give the older state that a twisted job shows once more after its end, if this is the moment for it."""
    if job.twist is None or job.twist.flicker is None:
        return None
    word, after, lasts = job.twist.flicker
    begins = life.ended + after
    return contract.states[word] if begins <= moment < begins + lasts else None
