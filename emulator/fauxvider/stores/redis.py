"""Facts in a Valkey or Redis server, for many processes: each world has one owner at a time, who alone writes in it.

Reads come from the owner's memory. Writes of one turn of the event loop are one script call that the server
carries out whole, and refuses whole when the world has been claimed by another node since (`redis_scripts`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

import orjson
from redis import exceptions

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import Claim, SavedWorld
from fauxvider.stores import redis_scripts as scripts
from fauxvider.stores.codec import dump_fact
from fauxvider.stores.commits import GroupCommit
from fauxvider.stores.kept import Facts, KeptStore, Of, Taken
from fauxvider.stores.redis_reading import read_facts
from fauxvider.stores.redis_server import PREFIX, Server, node_key, open_server

__all__ = ["RedisFile"]

T = TypeVar("T")
KEPT_ENTRIES = 10_000  # of a world's journal
_SWEPT = 50  # worlds of dead nodes that are taken over in one go

# In the commit script: which key, by its place among KEYS.
_WORLD, _FACTS, _JOURNAL = b"1", b"2", b"3"
_Arg: TypeAlias = str | bytes | int
_Write: TypeAlias = tuple[str, tuple[_Arg, ...]]  # a world, and operations as COMMIT takes them


class RedisFile:
    """The worlds in one server, as one node sees them. Raises StoreError, in one line, when it cannot be used."""

    def __init__(self, url: str, *, power_loss: bool = False, node: str = "") -> None:
        """Connect. `power_loss`: refuse a server that does not write each command to its disk."""
        self._server: Server = open_server(url, power_loss=power_loss, node=node)
        self._client: Any = self._server.client
        self.node, self.secret, self.lease_s = self._server.node, self._server.secret, self._server.lease_s
        self.written = 0
        self._address = ""
        self._fences: dict[str, str] = {}
        self._lost: dict[str, str] = {}  # worlds, and why
        self._refused: set[str] = set()  # those of them that others have, so that nothing of the last turns was kept
        self._facts: dict[Of, Facts] = {}
        self._due: dict[str, int | None] = {}
        self._claim: Any = self._client.register_script(scripts.CLAIM)
        self._commit: Any = self._client.register_script(scripts.COMMIT)
        self._release: Any = self._client.register_script(scripts.RELEASE)
        self._sweep: Any = self._client.register_script(scripts.SWEEP)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fauxvider-redis")
        self._commits: GroupCommit[_Write] = GroupCommit(self.commit, name="fauxvider-redis-commit")

    # --- this node among the others

    def is_lost(self, world: str) -> bool:
        return world in self._lost

    def was_refused(self, world: str) -> bool:
        return world in self._refused

    async def join(self, address: str) -> None:
        """Say where this node is called."""
        self._address = address
        await self.beat()

    async def beat(self) -> None:
        """Renew the lease."""
        await self._call(lambda: self._client.set(node_key(self.node), self._address, px=round(self.lease_s * 1000)))

    async def claim(self, world: str, *, make: bool = False) -> Claim | None:
        """Claim a world that nobody has; None when there is none of this name, and it is not to be made."""
        known = "" if world in self._lost else self._fences.get(world, "")
        keys = [_world(world), f"{PREFIX}fence", node_key(self.node)]
        lease = round(self.lease_s * 1000)
        args = [self.node, node_key(""), int(make), known, self._address, lease]
        found = await self._call(lambda: self._claim(keys, args))
        if found and found[0]:
            self._fences[world] = found[0].decode()
            self._lost.pop(world, None)
            self._refused.discard(world)
            return Claim(is_known=found[1] == b"1")
        self._forget(world)
        return Claim(found[2].decode()) if found else None

    async def release(self, world: str) -> None:
        """Let others have a world; to be called when nothing of it is under way."""
        await self.flush(world)
        fence = self._fences.get(world, "")
        self._forget(world)
        await self._call(lambda: self._release([_world(world)], [fence]))

    def _forget(self, world: str) -> None:
        self._fences.pop(world, None)
        self._lost.pop(world, None)
        self._refused.discard(world)
        self._due.pop(world, None)

    async def names(self) -> list[str]:
        found = await self._call(lambda: self._client.smembers(f"{PREFIX}worlds"))
        return sorted(name.decode() for name in found)

    async def unserved(self, now: int) -> list[str]:
        """Give worlds that have something due by `now` (ms), and whose owner is gone."""
        args = [now, _world(""), node_key(""), _SWEPT]
        return [name.decode() for name in await self._call(lambda: self._sweep([f"{PREFIX}due"], args))]

    async def read(self, world: str) -> SavedWorld | None:
        """Give a world that this node has claimed, as it was saved."""
        saved, facts = await self._call(lambda: read_facts(self._client, world, _keys(world)[:3]))
        for provider, one in facts.items():
            self._facts[world, provider] = one
        return saved

    # --- worlds, as `fauxvider.ports.StoreFile` has them

    def worlds(self) -> Sequence[SavedWorld]:
        """Give none: each world is read when this node has claimed it."""
        return ()

    def has(self, world: str, provider: str) -> bool:
        return (world, provider) in self._facts

    def store(self, world: str, provider: str) -> KeptStore:
        """Give the facts of a provider in a world: those that were read, or none."""
        store = KeptStore(self, (world, provider))
        facts = self._facts.pop((world, provider), None)
        if facts is not None:
            store.load(facts)
        return store

    def keep_world(self, name: str, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write a world down as it was made, and how far it is."""
        self._put(name, _WORLD, "made", orjson.dumps(made))
        self.note_state(name, state)

    def note_state(self, name: str, state: Mapping[str, Any]) -> None:
        self._put(name, _WORLD, "state", orjson.dumps(state))

    def note_due(self, world: str, moment: int | None) -> None:
        """Say when a world has to be looked after by somebody, ms; None: it moves only when it is asked to."""
        if self._due.get(world, -1) != moment:
            self._due[world] = moment
            self._commits.add((world, ("T", "" if moment is None else moment)))

    def drop_world(self, name: str) -> None:
        """Forget a world with all its facts."""
        self.written += 1
        self._due.pop(name, None)
        self._commits.add((name, ("X",)))
        for key in [key for key in self._facts if key[0] == name]:
            del self._facts[key]

    def add_entry(self, world: str, number: int, entry: Mapping[str, Any]) -> None:
        """Write a journal entry down; of old ones the last `KEPT_ENTRIES` are kept."""
        self._commits.add((world, ("S", _JOURNAL, number, orjson.dumps(entry))))
        if number > KEPT_ENTRIES:
            self._commits.add((world, ("D", _JOURNAL, number - KEPT_ENTRIES)))

    # --- facts, as `fauxvider.stores.kept.Rows` has them

    def put_number(self, of: Of, kind: str, number: int) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/number/{kind}", number)

    def put_job(self, of: Of, job: Job) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/job/{job.number}", dump_fact(job))

    def drop_job(self, of: Of, record: Record) -> None:
        self._drop(of, f"job/{record.job.number}", f"ended/{record.job.number}")
        self._drop(of, *(f"event/{record.job.id}/{1 + index}" for index in range(len(record.events))))
        self._drop(of, *(f"delivery/{delivery.number}" for delivery in record.deliveries))

    def put_ended(self, of: Of, job: Job, run: int) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/ended/{job.number}", run)

    def put_event(self, of: Of, job_id: str, index: int, event: Event) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/event/{job_id}/{index}", dump_fact(event))

    def put_delivery(self, of: Of, delivery: Delivery) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/delivery/{delivery.number}", dump_fact(delivery))

    def put_charge(self, of: Of, index: int, charge: Charge) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/charge/{index}", dump_fact(charge))

    def put_asset(self, of: Of, asset: Asset) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/asset/{asset.id}", dump_fact(asset))

    def put_secret(self, of: Of, secret: Secret) -> None:
        self._put(of[0], _FACTS, f"{of[1]}/secret/{secret.id}", dump_fact(secret))

    def drop_secret(self, of: Of, secret_id: str) -> None:
        self._drop(of, f"secret/{secret_id}")

    def put_taken(self, of: Of, limit: str, caller: str, slot: int, taken: Taken) -> None:
        """Write down what a limit has counted, with the next commit: no answer waits for it."""
        field, value = f"{of[1]}/taken/{limit}/{slot}/{caller}", f"{taken[0]}:{taken[1]}"
        self._commits.add((of[0], ("S", _FACTS, field, value)))

    # --- writing

    def _put(self, world: str, key: bytes, field: str, value: _Arg) -> None:
        self.written += 1
        self._commits.add((world, ("S", key, field, value)))

    def _drop(self, of: Of, *fields: str) -> None:
        for field in fields:
            self.written += 1
            self._commits.add((of[0], ("D", _FACTS, f"{of[1]}/{field}")))

    async def flush(self, world: str = "") -> None:
        """Return when all that was written of a world so far is kept. Raises StoreError when it cannot be."""
        await self._commits.flush()
        if world in self._lost:
            raise StoreError(self._lost[world])
        if not world:
            await self._call(self._client.ping)

    def around_commits(self, around: Callable[[], AbstractContextManager[object]]) -> None:
        self._commits.around = around

    def close(self) -> None:
        """Commit what is left, and leave: others may claim what this node has. May be called more than once."""
        self._commits.close()
        self._threads.shutdown()
        self._server.leave()

    def commit(self, turns: list[list[_Write]]) -> None:
        """Commit turns of the event loop, in one round trip; a world whose part is refused or cut is lost."""
        parts: defaultdict[str, list[_Arg]] = defaultdict(list)
        for writes in turns:
            for world, operations in writes:
                parts[world].extend(operations)
        wanted = [world for world in parts if world not in self._lost]
        if not wanted:
            return
        try:
            answers = self._committed(wanted, parts)
        except exceptions.RedisError as error:
            why = f"{self._server.shown}: nothing more can be stored: {_plain(error)}"
            self._lost.update(dict.fromkeys(wanted, why))
            return
        for world, answer in zip(wanted, answers, strict=True):
            if answer != 1:
                self._refused.add(world)
                self._lost[world] = f"{self._server.shown}: the world {world!r} is another node's by now"

    def _committed(self, wanted: list[str], parts: Mapping[str, list[_Arg]]) -> list[Any]:
        # Said again after a cut connection it does no harm: the same fields get the same values.
        pipeline = self._client.pipeline(transaction=False)
        for world in wanted:
            self._commit(_keys(world), [self._fences.get(world, "none"), world, *parts[world]], pipeline)
        found: list[Any] = pipeline.execute()
        return found

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except exceptions.RedisError as error:
            raise StoreError(f"{self._server.shown}: {_plain(error)}") from None


def _world(name: str) -> str:
    return f"{PREFIX}world:{name}"


def _keys(world: str) -> list[str]:
    """Give the keys of the commit script."""
    return [_world(world), f"{PREFIX}facts:{world}", f"{PREFIX}journal:{world}", f"{PREFIX}due", f"{PREFIX}worlds"]


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
