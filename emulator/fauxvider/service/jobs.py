"""What a client does with jobs: submit, read, hold, cancel, retry, purge, count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Waits
from fauxvider.engine.facts import Event, Record
from fauxvider.engine.plan import at_pointer, whole
from fauxvider.engine.timeline import snapshot_at
from fauxvider.gate import parse_query
from fauxvider.service.acceptance import accept, draw_again
from fauxvider.service.twisting import overtake
from fauxvider.service.wire import Rejection, Reply, header_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["cancel", "counts", "find", "is_at", "missing", "purge", "read", "retry", "stream", "submit"]


async def submit(provider: Provider, call: Call) -> Reply:
    """Take a job on; answer at once, or when it ends, or when the hold ends."""
    is_replay = call.replay is not None
    record = call.replay or await accept(provider, call)
    if isinstance(record, Rejection):
        return provider.refuse(call, record)
    moment = call.moment if not is_replay else record.job.accepted
    waits = call.operation.waits
    if provider.world.scripted is not None and not is_replay and waits is None:
        # The answer was on its way when the callback overtook it: it knows nothing of the end.
        reply = _view(provider, call, record, moment, "")
        await overtake(provider, record)
        return reply
    if waits is not None:
        held = await _hold(provider, call, record, waits)
        if isinstance(held, Rejection):
            return provider.refuse(call, held)
        record, moment = held
    return _view(provider, call, record, moment, "replayed" if is_replay else "")


def _view(provider: Provider, call: Call, record: Record, moment: int, outcome: str) -> Reply:
    life = provider.life(record)
    scope = provider.job_scope(record, moment=moment, site=call.request.site, call=call, life=life)
    snap = scope["job"]
    reply = provider.answer(call, outcome or snap.failure_name, scope, state=snap.state, job=record.job.id)
    reply.state, reply.word = snap.state, snap.status
    if snap.cost is not None and call.operation.name in provider.compiled.shows_cost:
        reply.shown_cost = str(snap.cost)
    return reply


def _read_view(provider: Provider, call: Call, record: Record, moment: int) -> Reply:
    """Show a job; what a finished one looks like is worked out once."""
    life = provider.life(record)
    is_twisted = record.job.twist is not None
    if moment < life.ended or is_twisted or call.operation.name not in provider.compiled.lasting:
        return _view(provider, call, record, moment, "")
    key = (record.job.id, call.operation.name, call.request.site)
    known = provider.shown.get(key)
    if known is not None and known[0] is life:
        return known[1]
    reply = _view(provider, call, record, moment, "")
    provider.shown[key] = (life, reply)
    return reply


def _hold_span(call: Call, waits: Waits) -> int | Rejection | None:
    """Give the ms to hold at most; None holds to the end of the job, 0 not at all."""
    if waits.header:
        return _asked_in_header(call, waits)
    if not waits.query:
        is_switched_off = bool(waits.unless) and at_pointer(call.body, waits.unless) is True
        return 0 if is_switched_off else None
    asked = parse_query(call.request.query).get(waits.query)
    return waits.default if asked is None else _span_asked(waits, asked)


def _span_asked(waits: Waits, asked: str) -> int | Rejection:
    span = _digits(asked)
    if span is None:
        return waits.default if waits.outside == "clamp" else _bad_wait(waits, asked)
    span *= waits.unit
    if waits.low <= span <= waits.high:
        return span
    if waits.outside == "refuse":
        return _bad_wait(waits, asked)
    return max(waits.low, min(waits.high, span))


def _asked_in_header(call: Call, waits: Waits) -> int | Rejection:
    """Read a hold from a header of preferences (`respond-async, wait=5`); other preferences are passed over."""
    for part in (header_of(call.request, waits.header.encode("latin-1")) or "").split(","):
        name, equals, asked = (part.strip() if waits.directive else f"={part.strip()}").partition("=")
        if name.strip().lower() != waits.directive or not (asked or waits.directive):
            continue
        if not equals:
            return waits.default if waits.bare is None else waits.bare
        return _span_asked(waits, asked.strip())
    return waits.default


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _bad_wait(waits: Waits, asked: str) -> Rejection:
    name, unit = waits.query or waits.header, waits.unit
    issue = {
        "path": name,
        "pointer": f"/{name}",
        "field": name,
        "keyword": "maximum",
        "limit": waits.high // unit,
        "low": waits.low // unit,
        "high": waits.high // unit,
        "value": asked,
        "loc": ["query" if waits.query else "header", name],
        "type": "value_error",
        "text": f"{name} must be between {waits.low // unit} and {waits.high // unit}",
    }
    return Rejection("param_range", {"issue": issue, "issues": [issue]})


async def _hold(provider: Provider, call: Call, record: Record, waits: Waits) -> tuple[Record, int] | Rejection:
    """Wait until the job ends or the hold does; give the job and the moment to show it at."""
    span = _hold_span(call, waits)
    if isinstance(span, Rejection):
        return span
    moment, job_id = call.moment, record.job.id
    deadline = None if span is None else moment + span
    while True:
        ended = provider.life(record).ended
        target = ended if deadline is None else min(ended, deadline)
        if target <= moment or provider.world.closed:
            return record, moment
        moment = await provider.world.wait(target, provider=provider.name, job=job_id)
        record = await provider.store.record(job_id) or record
        if provider.clock.step and moment < target:
            return record, moment


async def find(provider: Provider, call: Call) -> Record | None:
    """Find the job that a request names, if the provider still (and already) knows it."""
    template = call.operation.job
    if template is None:
        return None
    job_id = template({"path": call.request.params, "body": call.body})
    record = await provider.store.record(str(job_id))
    if record is None or (call.model is not None and record.job.model != call.model.name):
        return None
    if call.operation.where and not _fits(provider, call, record):
        return None
    gone = provider.life(record).gone
    if gone is not None and call.moment >= gone:
        return None
    hidden = record.job.twist.hidden if record.job.twist else 0
    if record.job.accepted + max(provider.contract.visible_after, hidden) > call.moment:
        return None
    return record


def _fits(provider: Provider, call: Call, record: Record) -> bool:
    """Tell whether the job's model is one of those that the operation looks at."""
    scope = provider.scope(call)
    row = provider.compiled.model_scopes[record.job.model]
    return all(is_at(row, path, template(scope)) for path, template in call.operation.where)


def is_at(row: Any, path: tuple[str, ...], value: Any) -> bool:
    """Tell whether a model's row has a value (or holds it, in a list) at a path; null does not narrow."""
    for name in path:
        row = row.get(name) if isinstance(row, Mapping) else None
    return value is None or bool(value in row if isinstance(row, list) else row == value)


def missing(provider: Provider, call: Call) -> Reply:
    if "missing" in call.operation.answers:
        return provider.answer(call, "missing", provider.scope(call))
    return provider.refuse(call, Rejection("job_unknown"))


async def read(provider: Provider, call: Call) -> Reply:
    """Show a job as it is now, or at the end of the hold."""
    record = await find(provider, call)
    if record is None:
        return missing(provider, call)
    if call.operation.extend is not None and call.request.query:
        record = await _extend(provider, call, record)
    moment, waits = call.moment, call.operation.waits
    if waits is not None:
        held = await _hold(provider, call, record, waits)
        if isinstance(held, Rejection):
            return provider.refuse(call, held)
        record, moment = held
    return _read_view(provider, call, record, moment)


async def _extend(provider: Provider, call: Call, record: Record) -> Record:
    asked = call.operation.extend(provider.scope(call)) if call.operation.extend else None
    left = _digits(asked) if isinstance(asked, str) else whole(asked)
    if left is None or left < 0:
        return record
    return await provider.add_event(record, Event(call.moment, "ttl", number=left))


async def stream(provider: Provider, call: Call) -> Reply:
    """Hand out what the job has put out since the last call; hold while there is nothing."""
    record = await find(provider, call)
    if record is None:
        return missing(provider, call)
    moment, waits = call.moment, call.operation.waits
    if waits is not None:
        held = await _hold(provider, call, record, waits)
        if isinstance(held, Rejection):
            return provider.refuse(call, held)
        record, moment = held
    scope = provider.job_scope(record, moment=moment, site=call.request.site, call=call)
    # None of the catalogue's handlers yields: their streams are empty, with the true status.
    scope["chunks"] = []
    return provider.answer(call, "ok", scope, job=record.job.id)


async def cancel(provider: Provider, call: Call) -> Reply:
    """Cancel a job where its state allows it; elsewhere answer as the contract says."""
    record = await find(provider, call)
    if record is None:
        return missing(provider, call)
    state = snapshot_at(provider.contract, provider.life(record), record.job, call.moment).state
    if state not in call.operation.from_states:
        if "already" in call.operation.answers:
            return _view(provider, call, record, call.moment, "already")
        return provider.refuse(call, Rejection("job_state", {"asked": state}))
    reason = call.given("reason")
    name = reason if isinstance(reason, str) else ""
    record = await provider.add_event(record, Event(call.moment, "cancelled", name=name[:500]))
    return _view(provider, call, record, call.moment, "done" if "done" in call.operation.answers else "ok")


async def retry(provider: Provider, call: Call) -> Reply:
    """Run a job again under its old id; its old outcome is gone."""
    record = await find(provider, call)
    if record is None:
        return missing(provider, call)
    life = provider.life(record)
    snap = snapshot_at(provider.contract, life, record.job, call.moment)
    if snap.state not in call.operation.from_states:
        if "refused" in call.operation.answers:
            return _view(provider, call, record, call.moment, "refused")
        scope = provider.job_scope(record, moment=call.moment, site=call.request.site, call=call)
        return provider.refuse(call, Rejection("job_state", {"asked": snap.status}), scope)
    plan = draw_again(provider, record, runs=life.runs + 1)
    record = await provider.add_event(record, Event(call.moment, "retried", plan=plan))
    return _view(provider, call, record, call.moment, "ok")


async def purge(provider: Provider, call: Call) -> Reply:
    """Remove what still waits in the queue."""
    removed = 0
    queued = [record async for record in provider.store.records() if _is_queued(provider, call, record)]
    for record in queued:
        await provider.add_event(record, Event(call.moment, "purged", name=call.operation.becomes))
        removed += 1
    scope = provider.scope(call)
    scope["counts"] = {"removed": removed}
    return provider.answer(call, "ok", scope)


def _is_queued(provider: Provider, call: Call, record: Record) -> bool:
    if call.model is not None and record.job.model != call.model.name:
        return False
    return provider.state_and_runs(record, call.moment)[0] == "queued"


async def counts(provider: Provider, call: Call) -> Reply:
    """Count the jobs by canonical state."""
    tally: Counter[str] = Counter()
    async for record in provider.store.records():
        if call.model is not None and record.job.model != call.model.name:
            continue
        state, runs = provider.state_and_runs(record, call.moment)
        tally[state] += 1
        tally["retried"] += runs
        tally["total"] += 1
    scope = provider.scope(call)
    states = ("queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
    scope["counts"] = {name: tally[name] for name in (*states, "retried", "total")}
    return provider.answer(call, "ok", scope)
