"""Callbacks: the delivery is made once, its attempts follow the contract's retry schedule."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Callbacks, Milestone
from fauxvider.engine import callbacks as rules
from fauxvider.engine import signing
from fauxvider.engine.facts import Attempt, Delivery, Record, Secret
from fauxvider.engine.plan import at_pointer, whole
from fauxvider.engine.timeline import Life, snapshot_at
from fauxvider.gate import dump_json, parse_json
from fauxvider.ports import SendOutcome
from fauxvider.service.adversary import AttemptPlan, Message, attempt_plan, delivery_faults, spoil
from fauxvider.service.durable import interrupted, state_of
from fauxvider.service.encoding import header_pairs
from fauxvider.service.journal import address_shown
from fauxvider.service.recorder import message_print
from fauxvider.service.secrets import current_secret
from fauxvider.service.world import Due

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["again", "attempt", "begin", "begin_automatic", "begin_progress", "delivery_scopes", "plan_progress"]

_MAX_TIMES = 1000  # callbacks of one kind in a run


async def begin_automatic(provider: Provider, record: Record, life: Life, moment: int) -> None:
    """Make the delivery that the end of a job brings, if it brings one."""
    callbacks = provider.contract.callbacks
    event = callbacks.events.get(life.end.canonical) if callbacks is not None else None
    if callbacks is None or event is None or record.job.address is None or not _is_wanted(callbacks, record, event):
        return
    await begin(provider, record, moment=moment, automatic=True)


def _is_wanted(callbacks: Callbacks, record: Record, event: str) -> bool:
    """Tell whether the client asked for an event; it gets all of them unless it lists some."""
    if not callbacks.filter:
        return True
    listed = at_pointer(parse_json(record.job.body), callbacks.filter)
    if isinstance(listed, list):
        return event in listed
    return callbacks.unasked is None or event in callbacks.unasked


def plan_progress(provider: Provider, record: Record, life: Life) -> None:
    """Put on the agenda what callbacks tell before the end of a job, as its life now looks."""
    callbacks = provider.contract.callbacks
    if callbacks is None or not callbacks.progress:
        return
    told = {(one.created, one.event) for one in record.deliveries}
    for moment, event in _progress(provider, callbacks, record, life):
        if moment >= life.began and (moment, event) not in told:
            provider.world.enter(moment, Due("progress", provider.name, record.job.id, event))


def _progress(provider: Provider, callbacks: Callbacks, record: Record, life: Life) -> list[tuple[int, str]]:
    def times(one: Milestone) -> int:
        scope = provider.job_scope(record, moment=life.began, site=record.job.site, life=life)
        asked = whole(one.times(scope)) if one.times is not None else None
        return max(0, min(asked or 0, _MAX_TIMES))

    return rules.milestones(callbacks, life, times)


async def begin_progress(provider: Provider, job_id: str, event: str, moment: int) -> None:
    """Tell of a job that is under way, if what was to be told of has come about."""
    callbacks, record = _callbacks(provider), await provider.store.record(job_id)
    if record is None or any((one.created, one.event) == (moment, event) for one in record.deliveries):
        return
    life = provider.life(record)
    if (moment, event) in _progress(provider, callbacks, record, life) and _is_wanted(callbacks, record, event):
        await begin(provider, record, moment=moment, automatic=True, event=event)


async def begin(provider: Provider, record: Record, *, moment: int, automatic: bool, event: str = "") -> Delivery:
    """Make a delivery of the job's present state (or of an `event` on the way there); enter its first attempt."""
    callbacks, job = _callbacks(provider), record.job
    life = provider.life(record)
    number = await provider.store.next_number("delivery")
    kind = provider.contract.ids[callbacks.delivery_id]
    delivery_id = provider.mint.value(kind, number, moment=moment)
    secret = await current_secret(provider)
    event = event or callbacks.events.get(life.end.canonical, life.end.canonical)
    delivery = Delivery(
        id=delivery_id,
        job_id=job.id,
        number=number,
        event=event,
        address=job.address or "",
        created=moment,
        due=moment + (callbacks.delay if automatic else 0),
        automatic=automatic,
        payload=_payload(provider, record, life, event, moment),
        secret_id=secret.id if secret else None,
    )
    faults = delivery_faults(provider, record, delivery)
    if faults is not None:
        delivery = replace(delivery, due=delivery.due + faults.delay)
    await provider.store.put_delivery(delivery)
    due = Due("attempt", provider.name, job.id, delivery.id)
    scripted = provider.world.scripted
    if scripted is not None:
        scripted.made(delivery.id)
    if faults is not None and faults.hold and scripted is not None:
        scripted.hold(faults.hold, lambda: provider.world.enter(max(delivery.due, provider.clock.now()), due))
    else:
        provider.world.enter(delivery.due, due)
    return delivery


def _callbacks(provider: Provider) -> Callbacks:
    callbacks = provider.contract.callbacks
    if callbacks is None:
        raise LookupError(f"the contract {provider.name} has no callbacks")
    return callbacks


def _payload(provider: Provider, record: Record, life: Life, event: str, moment: int) -> bytes:
    callbacks, is_early = _callbacks(provider), rules.is_progress(_callbacks(provider), event)
    shown_at = moment if is_early else max(moment, life.ended)
    scope = provider.job_scope(record, moment=shown_at, site=record.job.site, life=life)
    if is_early and shown_at >= life.ended:
        # The pictures are there, and the job has not been said to be over.
        snap = snapshot_at(provider.contract, life, record.job, life.ended - 1)
        snap.result, snap.progress = scope["job"].result, 1.0
        scope["job"] = snap
    scope["delivery"] = {"event": event, "address": record.job.address, "created": moment}
    return dump_json(callbacks.body(scope))


async def attempt(provider: Provider, job_id: str, delivery_id: str, moment: int) -> None:
    """Make one attempt, record it, and put the next one on the agenda if the contract has one."""
    callbacks = _callbacks(provider)
    record = await provider.store.record(job_id)
    delivery = next((known for known in record.deliveries if known.id == delivery_id), None) if record else None
    if record is None or delivery is None:
        return
    due = rules.next_due(callbacks, delivery)
    # A first attempt may be held back by a scenario; a later one is due at its moment or not at all.
    if due is None or moment < due or (delivery.attempts and moment != due):
        return
    number = len(delivery.attempts) + 1
    if callbacks.fresh and number > 1:
        life = provider.life(record)
        is_early = rules.is_progress(callbacks, delivery.event)
        shown_at = delivery.created if is_early else moment
        delivery = replace(delivery, payload=_payload(provider, record, life, delivery.event, shown_at))
    try:
        if provider.world.kept is not None:
            await provider.store.put_delivery(replace(delivery, sending=moment))
            await provider.world.keep(state_of(provider.world))
        made = await _post(provider, record, delivery, number, moment)
    except asyncio.CancelledError:
        if provider.world.is_draining and provider.world.kept is not None:
            await interrupted(provider, delivery, moment)  # so that the next start repeats it
        raise
    delivery = delivery.with_attempt(made)
    await provider.store.put_delivery(delivery)
    if number == 1 and provider.world.scripted is not None:
        provider.world.scripted.tried(delivery.id)
    due = rules.next_due(callbacks, delivery)
    if due is not None:
        provider.world.enter(due, Due("attempt", provider.name, job_id, delivery_id))


async def again(provider: Provider, job_id: str, delivery_id: str, moment: int) -> None:
    """Send a delivery's bytes once more, outside its schedule: an old event replayed."""
    record = await provider.store.record(job_id)
    delivery = next((known for known in record.deliveries if known.id == delivery_id), None) if record else None
    if record is not None and delivery is not None and delivery.attempts:
        last = delivery.attempts[-1]
        await _post(provider, record, delivery, last.number, moment, replayed=last.at)


@dataclass(frozen=True, slots=True)
class _Post:
    """One POST of a delivery, as it goes out. `plan`: what a scenario does to it."""

    provider: Provider
    record: Record
    delivery: Delivery
    message: Message
    plan: AttemptPlan | None
    mark: str  # by which a recorded run knows it


async def _post(
    provider: Provider, record: Record, delivery: Delivery, number: int, moment: int, *, replayed: int | None = None
) -> Attempt:
    """Send one POST (and its copies, if a scenario asks for some); give what the provider believes of it.

    `replayed`: the moment of the attempt that is sent once more, head and all.
    """
    callbacks, clock = _callbacks(provider), provider.clock
    signed = moment if replayed is None else replayed
    attempt_id, scope, secret = await _attempt_scope(provider, record, delivery, number, signed)
    message = Message(
        body=delivery.payload,
        headers=_headers(callbacks, scope),
        secret=secret,
        signature="good" if scope["signature"] is not None else "none",
    )
    plan = attempt_plan(provider, record, delivery, number, replayed=replayed is not None)
    if plan is not None:
        await spoil(provider, message, plan, scope)
    mark = f"{'attempt' if replayed is None else 'again'} {provider.name}/{delivery.id}"
    post = _Post(provider, record, delivery, message, plan, mark)
    outcome = await _outcome(post)
    ended = moment if clock.is_virtual else max(moment, clock.now())
    if outcome.kind == "timeout" and clock.is_virtual:
        ended = moment + callbacks.timeout
    made = Attempt(
        number=number,
        at=moment,
        ended=ended,
        kind=outcome.kind,
        status=outcome.status,
        body=outcome.body.decode("utf-8", "replace")[:4096],
        error=outcome.error,
        id=attempt_id,
    )
    _write_down(post, made)
    if plan is not None and plan.replay is not None:
        provider.world.enter(moment + plan.replay, Due("again", provider.name, delivery.job_id, delivery.id))
    return made


async def _outcome(post: _Post) -> SendOutcome:
    """Send it, or say what has come of it in a recorded run, or what a scenario says instead."""
    plan, tape = post.plan, post.provider.world.tape
    if plan is not None and plan.instead is not None:
        return plan.instead
    known = None if tape is None else tape.sending(post.mark, post.record.job, post.message.body)
    outcome = await (_sent(post) if known is None else known)
    if tape is not None and known is None:
        tape.sent(post.mark, outcome, post.message.body)
    if plan is not None and plan.reset_after and outcome.kind == "http":
        return SendOutcome("network", error="connection reset")
    return outcome


async def _sent(post: _Post) -> SendOutcome:
    provider, plan, message = post.provider, post.plan, post.message
    patience = max(provider.clock.real_seconds(_callbacks(provider).timeout), provider.settings.patience_s)
    sender = provider.settings.sender
    if plan is not None and plan.drip and provider.settings.dripping is not None:
        sender = provider.settings.dripping(plan.drip / 1000)
    outcome = SendOutcome("network", error="nothing was sent")
    for _ in range(1 + (plan.copies if plan is not None else 0)):
        outcome = await sender.send("POST", post.delivery.address, message.headers, message.body, timeout_s=patience)
    return outcome


_JOURNAL = (
    "provider", "job", "delivery", "number", "event", "address", "outcome", "status", "error", "ended", "due",
    "signature", "fault", "digest", "copies",
)  # fmt: skip


def _write_down(post: _Post, made: Attempt) -> None:
    provider, delivery, message, plan = post.provider, post.delivery, post.message, post.plan
    lost = plan is not None and plan.is_lost
    shown = post.record.job.shown_address or address_shown(delivery.address)
    provider.world.journal.add(
        made.at,
        "attempt",
        _JOURNAL,
        (
            provider.name, delivery.job_id, delivery.id, made.number, delivery.event, shown,
            "lost" if lost else made.kind, made.status, made.error, None if made.ended == made.at else made.ended,
            delivery.due, message.signature, plan.names if plan else "",
            message_print(message.body), plan.copies or None if plan else None,
        ),
    )  # fmt: skip


async def _attempt_scope(
    provider: Provider, record: Record, delivery: Delivery, number: int, moment: int
) -> tuple[str, dict[str, Any], Secret | None]:
    callbacks, job = _callbacks(provider), record.job
    mints = provider.mints(
        moment=moment, job=job.number, delivery=delivery.number, attempt=number, model=job.model, key=job.key
    )
    attempt_id = str(getattr(mints, callbacks.attempt_id)) if callbacks.attempt_id else ""
    scope: dict[str, Any] = {
        "payload": delivery.payload.decode(),
        "delivery": {"id": delivery.id, "event": delivery.event, "number": delivery.number},
        "attempt": {"id": attempt_id, "number": number, "at": moment},
        "job": {"id": job.id, "number": job.number},
        "timestamp": moment // 1000,
        "mint": mints,
        "now": moment,
        "signature": None,
    }
    secrets = {secret.id: secret for secret in await provider.store.secrets()}
    secret = secrets.get(delivery.secret_id or "")
    if callbacks.signature is not None and secret is not None:
        scope["signature"] = signing.sign(callbacks.signature, secret.value, scope)
        await provider.store.put_secret(replace(secret, last_used=moment))
    return attempt_id, scope, secret


def _headers(callbacks: Callbacks, scope: dict[str, Any]) -> list[tuple[str, str]]:
    names = {name.lower(): name for name, _ in callbacks.headers}
    pairs = header_pairs(callbacks.headers, scope)
    return [(names[name.decode("latin-1")], value.decode("latin-1")) for name, value in pairs]


def delivery_scopes(provider: Provider, record: Record) -> list[dict[str, Any]]:
    """Give `deliveries`: the callback history of a job, as views show it."""
    return [_delivery_scope(provider, delivery) for delivery in record.deliveries]


def _delivery_scope(provider: Provider, delivery: Delivery) -> dict[str, Any]:
    callbacks = _callbacks(provider)
    state = rules.delivery_state(callbacks, delivery)
    failure = rules.failure_of(callbacks, delivery)
    sent = [made for made in delivery.attempts if made.kind != "blocked"]
    updated = delivery.attempts[-1].ended if delivery.attempts else delivery.created
    return {
        "id": delivery.id,
        "number": delivery.number,
        "job_id": delivery.job_id,
        "event": delivery.event,
        "status": callbacks.words.get(state, state),
        "state": state,
        "address": delivery.address,
        "created": delivery.created,
        "updated": updated,
        "ended": None if state == "pending" else updated,
        "automatic": delivery.automatic,
        "payload": parse_json(delivery.payload),
        "payload_text": delivery.payload.decode(),
        "secret_id": delivery.secret_id,
        "attempt_count": len(sent),
        "max_attempts": len(rules.delays_of(callbacks, delivery)) + 1,
        "next_at": rules.next_due(callbacks, delivery),
        "failure": failure[0] if failure else None,
        "failure_detail": failure[1] if failure else None,
        "attempts": [
            {
                "id": made.id,
                "delivery_id": delivery.id,
                "number": made.number,
                "at": made.at,
                "status": made.status,
                "body": made.body,
                "error": made.error or None,
                "took_ms": made.ended - made.at,
            }
            for made in sent
        ],
    }
