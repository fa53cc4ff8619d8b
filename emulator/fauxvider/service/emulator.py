"""The emulator: its contracts, its worlds. Everything that the control plane can ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from fauxvider.analysis.payments import read_budget
from fauxvider.clock import HeldClock, RealClock, make_clock
from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile
from fauxvider.engine.facts import Event
from fauxvider.engine.timeline import snapshot_at
from fauxvider.errors import UnknownWorldError, UsageError
from fauxvider.ports import Clock, KeptWorld, Store, StoreFile
from fauxvider.service import durable, library
from fauxvider.service.compiled import Compiled
from fauxvider.service.contracts import DefaultContracts
from fauxvider.service.deliveries import delivery_scopes
from fauxvider.service.provider import Provider
from fauxvider.service.recorder import Recorder, Tape
from fauxvider.service.scopes import progress_of
from fauxvider.service.settings import DEFAULT_WORLD, Settings
from fauxvider.service.world import World, WorldOptions
from fauxvider.values import decimal_text

__all__ = ["DEFAULT_WORLD", "Emulator"]

MAX_WORLDS = 100_000
NOTES = ("processed", "saved", "failed", "gave_up", "believes", "budget")


class Emulator:
    """Contracts and worlds. One event loop owns it.

    `watchers` are shown every world of the process before it goes, for tools that count over many of them.
    """

    watchers: ClassVar[list[Callable[[World], None]]] = []

    def __init__(
        self,
        contracts: Mapping[str, ContractFile],
        *,
        settings: Settings,
        store: Callable[[], Store],
        defaults: WorldOptions | None = None,
        file: StoreFile | None = None,
    ) -> None:
        """Make it; with a `file` its worlds outlive the process, and `begin` brings back those that were kept."""
        self.file = file
        self.contracts = contracts
        self.settings = settings
        self._store = store
        self._compiled: dict[tuple[str, tuple[tuple[str, str], ...]], Compiled] = {}
        self._worlds: dict[str, World] = {}
        settings.contract_of = lambda provider, choice: self.compiled(provider, choice).contract
        self.defaults = defaults or WorldOptions()
        self.default_contracts = DefaultContracts(contracts)
        self.hosts = {
            urlsplit(url).netloc: (name, origin)
            for name, file in contracts.items()
            for origin, url in file.origin_urls.items()
        }
        if file is None:
            self.make_world(DEFAULT_WORLD, self.defaults)

    def begin(self, defaults: WorldOptions) -> None:
        """Take over what new worlds are made from, and bring back those that were kept.

        The default world is made anew, unless it was kept. Raises StoreError.
        """
        self.defaults = defaults
        if self.file is not None:
            for saved in self.file.worlds():
                durable.restored(self, saved, self.file.world(saved.name))
        if self.file is None or DEFAULT_WORLD not in self._worlds:
            self.make_world(DEFAULT_WORLD, defaults)

    # --- worlds ---------------------------------------------------------------------------

    def make_world(
        self,
        name: str,
        options: WorldOptions,
        *,
        clock: Clock | None = None,
        tape: Tape | None = None,
        kept: KeptWorld | None = None,
    ) -> World:
        """Make a world (an existing one of that name is replaced).

        Clock and tape follow from the options, but for a world that is played from a capsule. `kept`: its place
        in the store, where its facts are already.
        """
        if name not in self._worlds and len(self._worlds) >= MAX_WORLDS:
            raise UsageError(f"there are {MAX_WORLDS} worlds already; drop some with DELETE /worlds/NAME")
        for provider, choice in options.readings.items():
            self.compiled(provider, choice)
        clock = clock or make_clock(options.clock, start=options.now, step=options.step)
        if self.settings.live is not None and clock.spec.startswith("scaled"):
            raise UsageError(f"real pipelines take real time: not the clock {clock.spec}, but real, manual or stepping")
        # What really runs takes the time that it takes: no replay would repeat it.
        if options.record and tape is None and (clock.is_virtual or self.settings.live is None):
            clock = HeldClock(clock) if isinstance(clock, RealClock) else clock
            tape = Recorder(clock)
        if old := self._worlds.get(name):
            self._let_go(old)
        place = self.file.world(name) if self.file is not None and kept is None else kept
        world = World(name, options=options, clock=clock, provide=self._provide, tape=tape, kept=place)
        if place is not None and kept is None:
            made = durable.made_of(world)
            place.drop()
            place.keep(made, durable.state_of(world))
        self._worlds[name] = world
        if (watch := self.settings.watch) is not None:
            world.journal.also(partial(watch.entry, world))
            watch.event("world brought back" if kept is not None else "world made", world=name, clock=world.clock.spec)
        return world

    def world(self, name: str) -> World:
        world = self._worlds.get(name)
        if world is None:
            raise UnknownWorldError(f"there is no world {name!r}")
        return world

    def world_names(self) -> list[str]:
        return list(self._worlds)

    def find_world(self, name: str) -> World | None:
        return self._worlds.get(name)

    def drop_world(self, name: str) -> None:
        world = self.world(name)
        self._let_go(world)
        if self.settings.watch is not None:
            self.settings.watch.event("world dropped", world=name)
        if name == DEFAULT_WORLD:
            self.make_world(name, self.defaults)
        else:
            del self._worlds[name]
            if world.kept is not None:
                world.kept.drop()

    async def dropped(self, name: str) -> None:
        """Drop a world; return when the store has forgotten it too. Raises StoreError where it cannot."""
        place = self.world(name).kept
        self.drop_world(name)
        if place is None or name in self._worlds:
            await self.kept(name)
        else:
            await place.flush()  # it knows what came of its own part: another process may have the world by now

    def forget_world(self, name: str) -> World | None:
        """Let go of a world, if it is here, that the store keeps: another process has it now."""
        world = self._worlds.pop(name, None)
        if world is not None:
            self._let_go(world)
        return world

    async def kept(self, name: str) -> None:
        """Return when all that was done in a world outlives the process, if anything does. Raises StoreError."""
        world = self._worlds.get(name)
        if world is not None:
            await world.keep(durable.state_of(world))
        elif self.file is not None:
            await self.file.flush()

    def reset_world(self, name: str) -> World:
        """Make a world anew from what it was made from."""
        return self.make_world(name, self.world(name).options)

    def close(self) -> None:
        """End it all; returns when the store, if there is one, has what is left."""
        self.end()
        if self.file is not None:
            self.file.close()

    def end(self) -> None:
        """End the worlds, and have the store write down how far they are; what is left is to close it."""
        for world in self._worlds.values():
            self._let_go(world)
            world.note_state(durable.state_of(world))
        self.settings.executor.shutdown(wait=False, cancel_futures=True)

    def _let_go(self, world: World) -> None:
        if not world.closed or world.is_draining:
            for watch in self.watchers:
                watch(world)
        world.close()

    def compiled(self, provider: str, choice: Mapping[str, str]) -> Compiled:
        """Give a provider under a choice of readings. Raises UsageError naming what exists."""
        file = self.contracts.get(provider)
        if file is None:
            raise UsageError(f"there is no provider {provider!r} (there are: {', '.join(self.contracts)})")
        key = (provider, tuple(sorted(choice.items())))
        known = self._compiled.get(key)
        if known is None:
            known = self._compiled[key] = Compiled(file.resolve(dict(choice)))
        return known

    def _provide(self, world: World, name: str) -> Provider:
        compiled = self.compiled(name, world.options.readings.get(name, {}))
        is_known = world.kept is not None and world.kept.has(name)
        store = self._store() if world.kept is None else world.kept.store(name)
        provider = Provider(world, compiled, store, self.settings)
        if not is_known:
            durable.run_now(library.furnish(provider))
        return provider

    # --- what the control plane shows -----------------------------------------------------

    def addresses(self, name: str) -> dict[str, dict[str, Any]]:
        """Give each provider's addresses in a world, without asking any of them to be ready yet."""
        found = {}
        for provider, file in self.contracts.items():
            first = next(iter(file.origin_urls))
            base = self.settings.local_base(name, provider)
            places = {
                origin: base if origin == first else self.settings.local_base(name, provider, origin)
                for origin in file.origin_urls
            }
            found[provider] = {"base_url": base, "origins": places}
        return found

    def describe(self, name: str) -> dict[str, Any]:
        world = self.world(name)
        return {
            "world": world.name,
            "clock": world.clock.spec,
            "now": world.present(),
            "seed": world.options.seed,
            "held": world.held,
            "providers": {provider: self._place(world, provider) for provider in self.contracts},
        }

    def _place(self, world: World, name: str) -> dict[str, Any]:
        provider = world.provider(name)
        contract: Contract = provider.contract
        return {
            **self.addresses(world.name)[name],
            "readings": dict(contract.choice),
            "contract": contract.digest,
            "balance": decimal_text(provider.balance),
        }

    async def jobs(self, name: str) -> list[dict[str, Any]]:
        world = self.world(name)
        return [
            shown
            for provider in world.used_providers.values()
            async for record in provider.store.records()
            if (shown := await self._job(provider, record.job.id))
        ]

    async def job(self, name: str, job_id: str) -> dict[str, Any] | None:
        for provider in self.world(name).used_providers.values():
            if shown := await self._job(provider, job_id):
                return shown
        return None

    async def _job(self, provider: Provider, job_id: str) -> dict[str, Any] | None:
        record = await provider.store.record(job_id)
        if record is None:
            return None
        life, moment = provider.life(record), provider.world.present()
        snap = snapshot_at(provider.contract, life, record.job, moment)
        is_known = not life.is_open or moment >= life.ended
        return {
            "provider": provider.name,
            "id": record.job.id,
            "model": record.job.model,
            "operation": record.job.operation,
            "status": snap.status,
            "state": snap.state,
            "accepted": record.job.accepted,
            "ends": life.ended if is_known else None,
            "ends_as": life.end.word if is_known else None,
            "failure": life.failure if is_known else "",
            "progress": progress_of(provider, record.job, snap),
            "price": decimal_text(record.job.price),
            "size": [record.job.shape.width, record.job.shape.height],
            "deliveries": len(record.deliveries),
            "events": [{"at": event.at, "kind": event.kind} for event in record.events],
        }

    async def deliveries(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for provider in self.world(name).used_providers.values():
            if provider.contract.callbacks is None:
                continue
            async for record in provider.store.records():
                found.extend(
                    {"provider": provider.name, **shown, "payload": None} for shown in delivery_scopes(provider, record)
                )
        return sorted(found, key=lambda one: (one["created"], one["number"]))

    async def ledger(self, name: str) -> dict[str, Any]:
        world = self.world(name)
        await world.settle()
        accounts = {}
        for one in self.contracts:  # an account that nobody has used has its balance, too
            provider = world.provider(one)
            charges = await provider.store.charges()
            accounts[provider.name] = {
                "unit": provider.contract.account.unit,
                "balance": decimal_text(provider.balance),
                "total": decimal_text(provider.used),
                "charges": [
                    {
                        "at": charge.at,
                        "job": charge.job_id,
                        "amount": decimal_text(charge.amount),
                        "rule": charge.rule,
                        "intent": charge.intent or None,
                        "fingerprint": charge.fingerprint,
                    }
                    for charge in charges
                ],
            }
        return {"providers": accounts}

    def journal(self, name: str) -> dict[str, Any]:
        world = self.world(name)
        return {"dropped": world.journal.dropped, "entries": list(world.journal.entries())}

    def scenario(self, name: str) -> dict[str, Any]:
        """Say which rules of a world's scenario took effect how often, and which never did."""
        scripted = self.world(name).scripted
        return scripted.report() if scripted is not None else {"name": "none", "rules": [], "never": []}

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write down what a client (or its test) says that it did. Raises UsageError."""
        known = ("said", "job", "text", "provider")
        for key, value in facts.items():
            if key not in known or not isinstance(value, str):
                raise UsageError(f"a note has texts under {', '.join(known)}; not {key!r}")
        if facts.get("said") not in NOTES:
            raise UsageError(f"a note's `said` is one of {', '.join(NOTES)}; not {facts.get('said')!r}")
        if facts["said"] == "budget":
            read_budget(facts.get("text", ""))
        world = self.world(name)
        if world.tape is not None:
            world.tape.note(dict(facts))
        values = tuple(str(facts.get(key, ""))[:500] for key in known)
        world.journal.add(world.clock.now(), "note", known, values)

    async def force(self, name: str, job_id: str, *, failure: str) -> dict[str, Any]:
        """Decide now how a job ends: with a failure of its contract, or ("") with success."""
        for provider in self.world(name).used_providers.values():
            record = await provider.store.record(job_id)
            if record is None:
                continue
            if failure and failure not in provider.contract.failures:
                known = ", ".join(provider.contract.failures)
                raise UsageError(f"the contract {provider.name} has no failure {failure!r} (it has: {known})")
            if provider.world.tape is not None:
                provider.world.tape.force(job_id, failure)
            await provider.add_event(record, Event(provider.clock.now(), "forced", name=failure))
            return await self._job(provider, job_id) or {}
        raise UsageError(f"there is no job {job_id!r} in the world {name!r}")
