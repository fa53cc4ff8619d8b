"""Callbacks: the delivery is made once, its attempts follow the contract's retry schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Callbacks
from fauxvider.engine import callbacks as rules
from fauxvider.engine import signing
from fauxvider.engine.facts import Attempt, Delivery, Record, Secret
from fauxvider.engine.timeline import Life
from fauxvider.gate import dump_json, parse_json
from fauxvider.service.encoding import header_pairs
from fauxvider.service.journal import address_shown
from fauxvider.service.world import Due

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["attempt", "begin", "begin_automatic", "current_secret", "delivery_scopes"]


async def begin_automatic(provider: Provider, record: Record, life: Life, moment: int) -> None:
    """Make the delivery that the end of a job brings, if it brings one."""
    callbacks = provider.contract.callbacks
    if callbacks is None or record.job.address is None or life.end.canonical not in callbacks.events:
        return
    await begin(provider, record, moment=moment, automatic=True)


async def begin(provider: Provider, record: Record, *, moment: int, automatic: bool) -> Delivery:
    """Make a delivery of the job's present state and put its first attempt on the agenda."""
    callbacks, job = _callbacks(provider), record.job
    life = provider.life(record)
    number = await provider.store.next_number("delivery")
    kind = provider.contract.ids[callbacks.delivery_id]
    delivery_id = provider.mint.value(kind, number, moment=moment)
    secret = await current_secret(provider)
    event = callbacks.events.get(life.end.canonical, life.end.canonical)
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
    await provider.store.put_delivery(delivery)
    provider.world.enter(delivery.due, Due("attempt", provider.name, job.id, delivery.id))
    return delivery


def _callbacks(provider: Provider) -> Callbacks:
    callbacks = provider.contract.callbacks
    if callbacks is None:
        raise LookupError(f"the contract {provider.name} has no callbacks")
    return callbacks


def _payload(provider: Provider, record: Record, life: Life, event: str, moment: int) -> bytes:
    scope = provider.job_scope(record, moment=max(moment, life.ended), site=record.job.site, life=life)
    scope["delivery"] = {"event": event, "address": record.job.address, "created": moment}
    return dump_json(_callbacks(provider).body(scope))


async def current_secret(provider: Provider) -> Secret | None:
    return next((secret for secret in await provider.store.secrets() if secret.current and not secret.disabled), None)


async def attempt(provider: Provider, job_id: str, delivery_id: str, moment: int) -> None:
    """Make one attempt, record it, and put the next one on the agenda if the contract has one."""
    callbacks = _callbacks(provider)
    record = await provider.store.record(job_id)
    delivery = next((known for known in record.deliveries if known.id == delivery_id), None) if record else None
    if record is None or delivery is None or rules.next_due(callbacks, delivery) != moment:
        return
    number = len(delivery.attempts) + 1
    if callbacks.fresh and number > 1:
        life = provider.life(record)
        delivery = replace(delivery, payload=_payload(provider, record, life, delivery.event, moment))
    attempt_id, headers = await _headers(provider, record, delivery, number, moment)
    clock = provider.clock
    patience = max(clock.real_seconds(callbacks.timeout), provider.settings.patience_s)
    outcome = await provider.settings.sender.send(
        "POST", delivery.address, headers, delivery.payload, timeout_s=patience
    )
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
    delivery = delivery.with_attempt(made)
    await provider.store.put_delivery(delivery)
    provider.world.journal.add(
        moment,
        "attempt",
        ("provider", "job", "delivery", "number", "address", "outcome", "status", "error"),
        (provider.name, job_id, delivery_id, number, address_shown(delivery.address), outcome.kind, outcome.status,
         outcome.error),
    )  # fmt: skip
    due = rules.next_due(callbacks, delivery)
    if due is not None:
        provider.world.enter(due, Due("attempt", provider.name, job_id, delivery_id))


async def _headers(
    provider: Provider, record: Record, delivery: Delivery, number: int, moment: int
) -> tuple[str, list[tuple[str, str]]]:
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
    names = {name.lower(): name for name, _ in callbacks.headers}
    pairs = header_pairs(callbacks.headers, scope)
    return attempt_id, [(names[name.decode("latin-1")], value.decode("latin-1")) for name, value in pairs]


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
        "max_attempts": len(callbacks.retry.delays) + 1,
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
