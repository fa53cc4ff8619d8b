"""Worlds that outlive the process: what is kept of them besides their facts, and how they come back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fauxvider.clock import make_clock
from fauxvider.engine import callbacks as rules
from fauxvider.engine.facts import ApiKey, Delivery, Event, Record
from fauxvider.errors import FauxviderError, StoreError, UsageError
from fauxvider.ports import KeptWorld, SavedWorld
from fauxvider.service.options import read_options
from fauxvider.service.world import Due, World, WorldOptions
from fauxvider.values import decimal_text

if TYPE_CHECKING:
    from fauxvider.service.emulator import Emulator
    from fauxvider.service.provider import Provider

__all__ = ["interrupted", "made_of", "restored", "run_now", "state_of"]

_BLOCK = 1000  # request numbers that are set aside at once: none is given twice, whatever the last one was


def run_now(work: Any) -> None:
    """Run a coroutine that never suspends: a store at hand answers at once."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("a store suspended where it must not")


def made_of(world: World) -> dict[str, Any]:
    """Give what a world was made from, as `read_options` takes it. The keys are those of the test: in clear."""
    options = world.options
    return {
        "seed": options.seed,
        "clock": world.clock.spec,
        "now": world.began,
        "readings": {provider: dict(choice) for provider, choice in options.readings.items()},
        "keys": [_key(key) for key in options.keys],
        "balances": {provider: decimal_text(amount) for provider, amount in options.balances.items()},
        "limits": _limits(options),
        **_scenario(options),
    }


def _key(key: ApiKey) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": key.key, "state": key.state, "name": key.name}
    return shown if key.scopes is None else {**shown, "scopes": sorted(key.scopes)}


def _limits(options: WorldOptions) -> Any:
    if options.limits is None:
        return "off"
    return "on" if options.limits == 1 else {"factor": decimal_text(options.limits)}


def _scenario(options: WorldOptions) -> dict[str, Any]:
    scenario = options.scenario
    if not scenario.rules:
        return {}
    if not scenario.source:
        raise UsageError(f"the scenario {scenario.name!r} was not read from a mapping, so no store can keep it")
    # What it wanted of its world stands in the world's own options by now.
    return {"scenario": {name: value for name, value in scenario.source.items() if name != "world"}}


def state_of(world: World) -> dict[str, Any]:
    """Give how far a world is, beyond its facts: the moment, the numbers given out, the scenario's counts."""
    state: dict[str, Any] = {"requests": (world.requests // _BLOCK + 1) * _BLOCK}
    if world.clock.spec != "real":
        state["now"] = world.clock.now()
    if world.scripted is not None:
        state["counts"] = world.scripted.counts()
    return state


def restored(emulator: Emulator, saved: SavedWorld, kept: KeptWorld) -> World:
    """Bring a world back: its clock, journal and agenda follow from what was kept.

    Raises StoreError when the contracts at hand do not fit what was kept.
    """
    try:
        options = read_options(saved.made, emulator.default_contracts, defaults=WorldOptions())
        now = saved.state.get("now")
        clock = make_clock(options.clock, start=now if isinstance(now, int) else None)
        world = emulator.make_world(saved.name, options, clock=clock, kept=kept)
        world.began = options.now if options.now is not None else world.began
        world.requests = int(saved.state.get("requests", 0))
        if world.scripted is not None:
            world.scripted.go_on(saved.state.get("counts", {}))
        world.journal.load(saved.entries, saved.entries_total)
        for name in saved.providers:
            run_now(_resume(world.provider(name)))
    except StoreError:
        raise
    except (FauxviderError, LookupError, ValueError, TypeError) as error:
        raise StoreError(f"the world {saved.name!r} of the store cannot be brought back: {error}") from None
    return world


async def _resume(provider: Provider) -> None:
    """Put on the agenda what was still to come."""
    provider.used += sum([charge.amount for charge in await provider.store.charges()])
    for record in reversed([record async for record in provider.store.records()]):
        await _resume_job(provider, record)


async def _resume_job(provider: Provider, record: Record) -> None:
    if provider.life(record).is_open:
        # Its worker went with the process.
        killed = provider.contract.live.get("killed", provider.contract.default_failure)
        event = Event(provider.clock.now(), "forced", name=killed, detail="the worker was lost")
        await provider.store.add_event(record.job.id, event)
    life = provider.life(record)
    if record.ended != life.runs:
        provider.plan_progress(record, life)
        provider.world.enter(life.ended, Due("ending", provider.name, record.job.id, run=life.runs))
    callbacks = provider.contract.callbacks
    for delivery in record.deliveries if callbacks is not None else ():
        if delivery.sending is not None:
            await interrupted(provider, delivery, delivery.sending)
        due = rules.next_due(callbacks, delivery) if callbacks is not None else None
        if due is not None:
            provider.world.enter(due, Due("attempt", provider.name, record.job.id, delivery.id))


async def interrupted(provider: Provider, delivery: Delivery, moment: int) -> None:
    """Write down an attempt that the end of a process cut: it does not count, and is made again."""
    provider.world.journal.add(
        moment,
        "attempt",
        ("provider", "job", "delivery", "number", "outcome"),
        (provider.name, delivery.job_id, delivery.id, len(delivery.attempts) + 1, "interrupted"),
    )
    await provider.store.put_delivery(replace(delivery, sending=None))
