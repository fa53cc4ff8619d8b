"""The delivery adversary: what a scenario does to callbacks and to the single POST."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fauxvider.engine import signing
from fauxvider.engine.facts import Delivery, Record, Secret
from fauxvider.ports import SendOutcome
from fauxvider.scenario.model import Fault
from fauxvider.service.twisting import job_body, job_thing

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["AttemptPlan", "DeliveryFaults", "Message", "attempt_plan", "delivery_faults", "spoil"]

_AT_DELIVERY = ("delay", "hold", "early")


@dataclass(slots=True)
class Message:
    """One POST before it is sent. `signature`: none good wrong stale old."""

    body: bytes
    headers: list[tuple[str, str]]
    secret: Secret | None
    signature: str


@dataclass(frozen=True, slots=True)
class DeliveryFaults:
    delay: int = 0
    hold: int = 0


@dataclass(slots=True)
class AttemptPlan:
    """What is to be done to one attempt."""

    names: str = ""
    tamper: bool = False
    sign: str = ""
    reserialise: bool = False
    drip: int = 0
    copies: int = 0
    replay: int | None = None
    reset_after: bool = False
    instead: SendOutcome | None = None  # nothing is sent; the provider sees this
    is_lost: bool = False


def _events(provider: Provider, record: Record, delivery: Delivery) -> tuple[str, ...]:
    return (delivery.event, provider.life(record).end.canonical)


def delivery_faults(provider: Provider, record: Record, delivery: Delivery) -> DeliveryFaults | None:
    """Give what happens to a delivery that is being made; what waits for its attempt is remembered."""
    scripted = provider.world.scripted
    if scripted is None or not scripted.has("delivery"):
        return None
    thing = job_thing(
        provider,
        record.job,
        body=job_body(provider, record, "delivery"),
        events=_events(provider, record, delivery),
    )
    faults = scripted.due("delivery", thing, target=delivery.id, but=frozenset({"early"}))
    scripted.deliveries[delivery.id] = [fault for fault in faults if fault.name not in _AT_DELIVERY]
    named = {fault.name: fault.value for fault in faults}
    return DeliveryFaults(delay=int(named.get("delay", 0)), hold=int(named.get("hold", 0)))


def attempt_plan(
    provider: Provider, record: Record, delivery: Delivery, number: int, *, replayed: bool
) -> AttemptPlan | None:
    """Give what is done to this attempt; None when nothing is."""
    scripted = provider.world.scripted
    if scripted is None:
        return None
    if replayed:
        return AttemptPlan(names="replay")
    whole: list[Fault] = [] if number > 1 else scripted.deliveries.pop(delivery.id, [])
    single: list[Fault] = []
    if scripted.has("attempt"):
        thing = job_thing(
            provider,
            record.job,
            body=job_body(provider, record, "attempt"),
            events=_events(provider, record, delivery),
            attempt=number,
        )
        single = scripted.due("attempt", thing, target=delivery.id)
    if not whole and not single:
        return None
    named = [_name(fault) for fault in [*whole, *single] if fault.name != "replay"]  # the copy to come says so itself
    plan = AttemptPlan(names=", ".join(named))
    for fault in whole:
        _OF_DELIVERIES[fault.name](plan, fault)
    for fault in single:
        _OF_ATTEMPTS[fault.name](plan, fault)
    return plan


def _name(fault: Fault) -> str:
    return f"{fault.name} {fault.value}" if isinstance(fault.value, str) else fault.name


def _lose(plan: AttemptPlan, _fault: Fault) -> None:
    # A lost delivery: the provider believes that it was taken.
    _instead(plan, SendOutcome("http", 200), is_lost=True)


def _lose_attempt(plan: AttemptPlan, _fault: Fault) -> None:
    _instead(plan, SendOutcome("network", error="connection lost"), is_lost=True)


def _answer(plan: AttemptPlan, fault: Fault) -> None:
    _instead(plan, SendOutcome("http", int(fault.value)), is_lost=False)


def _instead(plan: AttemptPlan, outcome: SendOutcome, *, is_lost: bool) -> None:
    """Send nothing; of several outcomes the first holds."""
    if plan.instead is None:
        plan.instead, plan.is_lost = outcome, is_lost


def _tamper(plan: AttemptPlan, _fault: Fault) -> None:
    plan.tamper = True


def _sign(plan: AttemptPlan, fault: Fault) -> None:
    plan.sign = str(fault.value)


def _reserialise(plan: AttemptPlan, _fault: Fault) -> None:
    plan.reserialise = True


def _drip(plan: AttemptPlan, fault: Fault) -> None:
    plan.drip = int(fault.value)


def _duplicate(plan: AttemptPlan, fault: Fault) -> None:
    plan.copies = int(fault.value)


def _replay(plan: AttemptPlan, fault: Fault) -> None:
    plan.replay = int(fault.value)


def _reset_after(plan: AttemptPlan, _fault: Fault) -> None:
    plan.reset_after = True


_OF_DELIVERIES: Mapping[str, Callable[[AttemptPlan, Fault], None]] = {
    "lose": _lose,
    "duplicate": _duplicate,
    "replay": _replay,
}
_OF_ATTEMPTS: Mapping[str, Callable[[AttemptPlan, Fault], None]] = {
    "lose": _lose_attempt,
    "answer": _answer,
    "tamper": _tamper,
    "sign": _sign,
    "reserialise": _reserialise,
    "drip": _drip,
    "reset_after": _reset_after,
}


async def spoil(provider: Provider, message: Message, plan: AttemptPlan, scope: dict[str, Any]) -> None:
    """Change the bytes and the signature of a message as planned."""
    if plan.sign:
        await _resign(provider, message, plan.sign, scope)
    if plan.reserialise:
        # What a proxy that parses and writes again makes of it: blanks, and escapes beyond ASCII.
        message.body = json.dumps(json.loads(message.body)).encode()
        message.signature = "wrong" if message.signature in ("good", "old") else message.signature
    if plan.tamper:
        middle = len(message.body) // 2
        at = next((at for at in range(middle, len(message.body)) if message.body[at : at + 1].isalnum()), middle)
        other = b"x" if message.body[at : at + 1] != b"x" else b"y"
        if message.body[at : at + 1].isdigit():
            other = b"7" if message.body[at : at + 1] != b"7" else b"8"
        message.body = message.body[:at] + other + message.body[at + 1 :]
        message.signature = "wrong" if message.signature in ("good", "old") else message.signature


def _unknown_secret(provider: Provider) -> str:
    """Give a secret that nobody knows, in the form that the contract's keys have."""
    rules, callbacks = provider.contract.secrets, provider.contract.callbacks
    if rules is None or callbacks is None or callbacks.signature is None or callbacks.signature.key == "raw":
        return provider.mint.text("unknown-secret", 32)
    return provider.mint.pattern("unknown-secret", rules.value, moment=0)


async def _resign(provider: Provider, message: Message, how: str, scope: dict[str, Any]) -> None:
    callbacks = provider.contract.callbacks
    if callbacks is None or callbacks.signature is None or scope["signature"] is None:
        return
    signed = str(scope["signature"])
    secret, spoiled, kind = message.secret.value if message.secret else "", dict(scope), "wrong"
    if how == "wrong":
        secret = _unknown_secret(provider)
    elif how == "stale":
        spoiled["payload"], kind = "{}", "stale"
    elif how == "missing":
        kind = "none"
    elif how == "rotated":
        known = [other for other in await provider.store.secrets() if message.secret and other.id != message.secret.id]
        if known:
            secret, kind = max(known, key=lambda other: other.updated).value, "old"
        else:
            secret = _unknown_secret(provider)
    new = None if how == "missing" else signing.sign(callbacks.signature, secret, spoiled)
    message.headers = [
        (name, value.replace(signed, new) if new else value)
        for name, value in message.headers
        if new is not None or signed not in value
    ]
    message.signature = kind
