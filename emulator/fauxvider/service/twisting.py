"""Scenario faults of jobs, their pictures and the account: applied when a job is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fauxvider.engine.facts import Event, Job, Record
from fauxvider.engine.faults import Thing
from fauxvider.engine.twist import twisted
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.scenario.model import Stage

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["job_body", "job_thing", "move_account", "overtake", "twist"]


def job_thing(
    provider: Provider, job: Job, *, body: Any = None, events: tuple[str, ...] = (), attempt: int = 0
) -> Thing:
    """Describe a job (or one of its deliveries) to the scenario's rules."""
    return Thing(
        provider=provider.name,
        since=provider.clock.now() - provider.world.began,
        operation=job.operation,
        does="submit",
        model=job.model,
        job=job.number,
        attempt=attempt,
        events=events,
        body=body,
    )


def job_body(provider: Provider, record: Record, stage: Stage) -> Any:
    """Give the body that a job was asked for with, if a rule of the stage looks into it."""
    scripted = provider.world.scripted
    if scripted is None or not scripted.asks(stage, "inputs"):
        return None
    try:
        return parse_json(record.job.body) if record.job.body else None
    except JsonRefusedError:
        return None


def twist(provider: Provider, call: Call, job: Job) -> tuple[Job, Sequence[Event]]:
    """Lay the scenario's faults on a job that is being accepted."""
    scripted = provider.world.scripted
    if scripted is None or not (scripted.has("job") or scripted.has("output")):
        return job, ()
    thing = job_thing(provider, job, body=call.body)
    jobs, outputs = scripted.due("job", thing, target=job.id), scripted.due("output", thing, target=job.id)
    if not (jobs or outputs):
        return job, ()
    made = twisted(provider.contract, job.plan, accepted=job.accepted, jobs=jobs, outputs=outputs)
    return replace(job, plan=made.plan, twist=made.twist()), made.events


async def overtake(provider: Provider, record: Record) -> None:
    """Send the callback before the submit is answered, if the scenario says so: the job is over at once."""
    scripted, job = provider.world.scripted, record.job
    if scripted is None or not scripted.has("delivery") or job.address is None or provider.contract.callbacks is None:
        return
    canonical = provider.life(record).end.canonical
    events = (provider.contract.callbacks.events.get(canonical, ""), canonical)
    thing = job_thing(provider, job, events=events, body=job_body(provider, record, "delivery"))
    if scripted.due("delivery", thing, target=job.id, only=frozenset({"early"})):
        await provider.add_event(record, Event(job.accepted, "forced", name=job.plan.failure))
        await provider.world.settle_now(send=True)
        await provider.world.settled()


def move_account(provider: Provider, call: Call) -> None:
    """Change balance, limits or prices where the scenario says that the time has come (asked at each submit)."""
    scripted = provider.world.scripted
    if scripted is None or not scripted.has("account"):
        return
    thing = Thing(
        provider=provider.name,
        since=call.moment - provider.world.began,
        operation=call.operation.name,
        does=call.operation.kind,
        body=call.body,
    )
    for fault in scripted.due("account", thing):
        if fault.name == "balance":
            provider.start_balance = fault.value + provider.used
        elif fault.name == "quota":
            provider.limits = {**provider.limits, fault.value["limit"]: int(fault.value["count"])}
        elif fault.name == "reading" and provider.settings.contract_of is not None:
            choice = {**provider.contract.choice, **fault.value}
            provider.priced = provider.settings.contract_of(provider.name, choice)
