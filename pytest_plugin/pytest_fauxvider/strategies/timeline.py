"""The moments at which something about a job changes, and the milliseconds beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from hypothesis import strategies as st

from fauxvider import WorldHandle
from fauxvider.contract.model import Contract, Model, Operation, Span
from pytest_fauxvider.strategies.provider import ProviderLike, model_named, source_of
from pytest_fauxvider.strategies.values import Moment

__all__ = ["landmarks", "moments"]

Landmark: TypeAlias = tuple[int, str]

_BESIDE: Final = ((-1, "just before"), (0, ""), (1, "just after"))
_STEPS: Final = 30  # of a model whose pace depends on how many are asked for


def moments(
    provider: ProviderLike, model: str | None = None, *, world: WorldHandle | None = None
) -> st.SearchStrategy[Moment]:
    """Give spans to let pass, at whose end something changes, is about to change, or has just changed.

    From a contract alone they count from a submission: its states, the life of URLs and records, the rungs of
    the callback ladder, windows of limits, deadlines and holds. With a `world` they count from its present
    and follow from the jobs and callbacks that are in it; what lies behind is left out.
    """
    source = source_of(provider)
    if world is None:
        model_found = None if model is None else model_named(source.contract, model)
        marks = list(landmarks(source.contract, model_found))
    else:
        marks = list(_in_world(source.contract, world))
    made = [Moment(at + step, f"{beside} {about}".strip()) for at, about in marks for step, beside in _BESIDE]
    found = dict.fromkeys(moment for moment in made if moment.ms >= 0)
    return st.sampled_from(sorted(found, key=lambda moment: moment.ms))


def landmarks(contract: Contract, model: Model | None = None) -> Iterator[Landmark]:
    """Give (ms since a submission, what happens) of one job, as far as a contract alone can tell."""
    models = [model] if model is not None else [one for one in contract.models.values() if one.active][:1]
    timing = models[0].timing if models else {}
    starts = {0}
    for phase in contract.phases:
        for at in sorted(starts):
            yield at, f"the start of {phase.state.word}"
        ends = _bounds(timing.get(phase.state.word, phase.lasts))
        starts = {at + lasts for at in starts for lasts in ends}
    for end in sorted(starts):
        yield end, "the end of the job"
    yield from _after(contract, max(starts))
    if contract.visible_after:
        yield contract.visible_after, "the job can be seen"
    for deadline in contract.deadlines:
        if deadline.default is not None:
            yield deadline.default, f"the deadline {deadline.name}"
    for limit in contract.limits.values():
        if limit.window:
            yield limit.window, f"the window of {limit.name}"
    if contract.idempotency is not None:
        yield contract.idempotency.window, "the idempotency window"
    yield from _holds(contract.operations.values())


def _holds(operations: Iterable[Operation]) -> Iterator[Landmark]:
    for operation in operations:
        waits = operation.waits
        for span in dict.fromkeys((waits.low, waits.default, waits.high)) if waits is not None else ():
            if span:
                yield span, f"the hold of {operation.name}"


def _bounds(span: Span) -> set[int]:
    """Give the shortest and the longest that a phase takes (of a usual job, where that depends on the job)."""
    if span.kind == "fixed":
        return {span.low}
    if span.kind == "uniform":
        return {span.low, span.high}
    middle = span.low
    if span.kind == "work":
        middle = span.base + span.per_step * (_STEPS if span.steps is not None else 1)
    half = middle * span.spread // 1_000_000
    return {middle - half, middle + half}


def _after(contract: Contract, end: int, operation: Operation | None = None) -> Iterator[Landmark]:
    """Give what follows the end of a job."""
    for url in contract.urls.values():
        if url.serves == "output" and url.lives is not None:
            yield end + url.lives, f"the end of the URL {url.name}"
        if url.serves == "output" and url.keeps is not None:
            yield end + url.keeps, f"the file behind {url.name} goes"
    for one in [operation] if operation is not None else contract.operations.values():
        if one.keeps is not None:
            yield end + one.keeps, f"the record of {one.name} goes"
    callbacks = contract.callbacks
    if callbacks is not None:
        at = end + callbacks.delay
        yield at, "callback attempt 1"
        for number, delay in enumerate(callbacks.retry.delays, 2):
            yield at + delay, f"callback attempt {number}"
            late = at + delay + (callbacks.timeout if callbacks.retry.origin == "end" else 0)
            yield late, f"callback attempt {number} after a timeout"
            at += delay


def _in_world(contract: Contract, world: WorldHandle) -> Iterator[Landmark]:
    now = world.now()
    yield 0, "the present"
    for job in world.jobs():
        if job["provider"] != contract.provider or job["ends"] is None:
            continue
        end = job["ends"] - now
        yield end, f"the end of {job['id']}"
        yield from ((at, f"{about} of {job['id']}") for at, about in _after(contract, end, _operation(contract, job)))
    for delivery in world.deliveries():
        if delivery["provider"] == contract.provider and delivery["next_at"] is not None:
            yield delivery["next_at"] - now, f"the next attempt at {delivery['id']}"


def _operation(contract: Contract, job: dict[str, object]) -> Operation | None:
    return contract.operations.get(str(job["operation"]))
