"""Facts in a Valkey or Redis server, for many processes: each world has one owner at a time, who alone writes in it.

Reads come from the owner's memory. Writes of one turn of the event loop are one script call that the server
carries out whole, and refuses whole when the world has been claimed by another node since (`redis_scripts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

import orjson
from redis import exceptions

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import Claim, ClaimedWorld, KeptWorld, SavedWorld
from fauxvider.stores import redis_scripts as scripts
from fauxvider.stores.codec import Entry, dump_fact
from fauxvider.stores.commits import GroupCommit
from fauxvider.stores.entries import EntryWriter
from fauxvider.stores.kept import Facts, KeptStore, Of, Taken
from fauxvider.stores.redis_reading import read_facts
from fauxvider.stores.redis_server import PREFIX, Server, failure, node_key, open_server, patience
from fauxvider.stores.redis_writing import FACTS, WORLD, Arg, Operation, Part

__all__ = ["RedisFile"]

T = TypeVar("T")
_SWEPT = 50  # worlds of dead nodes that are taken over in one go

_Parts: TypeAlias = "Mapping[RedisWorld, list[list[Arg]]]"  # by world, in pieces
_Write: TypeAlias = "tuple[RedisWorld, Operation]"


class RedisFile:
    """The worlds in one server, as one node sees them. Raises StoreError, in one line, when it cannot be used."""

    def __init__(self, url: str, *, power_loss: bool = False, node: str = "") -> None:
        """Connect. `power_loss`: refuse a server that does not write each command to its disk."""
        self._server: Server = open_server(url, power_loss=power_loss, node=node)
        self._client: Any = self._server.client
        self.node, self.secret, self.lease_s = self._server.node, self._server.secret, self._server.lease_s
        self._address = ""
        self._places: dict[str, RedisWorld] = {}
        self._claim: Any = self._client.register_script(scripts.CLAIM)
        self._release: Any = self._client.register_script(scripts.RELEASE)
        self._sweep: Any = self._client.register_script(scripts.SWEEP)
        self._is_closing = self._has_left = False
        self._unkept = 0  # writes of the end that the server did not take
        self._commit = ""  # the digest by which the server knows the script
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fauxvider-redis")
        self._commits: GroupCommit[_Write] = GroupCommit(self.commit, name="fauxvider-redis-commit")

    # --- this node among the others

    async def join(self, address: str) -> None:
        """Say where this node is called."""
        self._address = address
        await self.beat()

    async def beat(self) -> None:
        """Renew the lease."""
        await self._call(lambda: self._client.set(node_key(self.node), self._address, px=round(self.lease_s * 1000)))

    async def claim(self, world: str, *, known: KeptWorld | None = None, make: bool = False) -> Claim | None:
        """Claim a world that nobody has; None when there is none of this name, and it is not to be made."""
        fence = known.fence if isinstance(known, RedisWorld) and not known.lost else ""
        keys = [_world(world), f"{PREFIX}fence", node_key(self.node)]
        args = [self.node, node_key(""), int(make), fence, self._address, round(self.lease_s * 1000)]
        found = await self._call(lambda: self._claim(keys, args))
        if not found:
            return None
        if not found[0]:
            self._places.pop(world, None)
            return Claim(node=found[1].decode(), address=found[2].decode())
        if found[1] == b"1" and isinstance(known, RedisWorld):
            return Claim(known, is_known=True)
        place = self._places[world] = RedisWorld(self, world, found[0].decode())
        return Claim(place)

    async def release(self, place: ClaimedWorld) -> None:
        """Let others have a world; to be called when nothing of it is under way."""
        await place.flush()
        if isinstance(place, RedisWorld):
            place.lost = "let go"
            self.put(place, is_there=False)
            await self._call(lambda: self._release([_world(place.name)], [place.fence]))

    async def names(self) -> list[str]:
        found = await self._call(lambda: self._client.smembers(f"{PREFIX}worlds"))
        return sorted(name.decode() for name in found)

    async def unserved(self, now: int) -> list[str]:
        """Give worlds that have something due by `now` (ms), and whose owner is gone."""
        args = [now, _world(""), node_key(""), _SWEPT]
        return [name.decode() for name in await self._call(lambda: self._sweep([f"{PREFIX}due"], args))]

    async def read(self, place: ClaimedWorld) -> SavedWorld | None:
        """Give a world that this node has claimed, as it was saved."""
        if not isinstance(place, RedisWorld):
            raise TypeError("a place of another store")
        saved, facts = await self._call(lambda: read_facts(self._client, place.name, _keys(place.name)[:3]))
        place.facts.update(facts)
        return saved

    # --- worlds, as `fauxvider.ports.StoreFile` has them

    def worlds(self) -> Sequence[SavedWorld]:
        """Give none: each world is read when this node has claimed it."""
        return ()

    def world(self, name: str) -> RedisWorld:
        """Give the place of a world that is made here: it has been claimed, and may have been made before."""
        before = self._places.get(name)
        place = self._places[name] = RedisWorld(self, name, "none" if before is None else before.fence)
        if before is not None:
            before.lost = f"the world {name!r} was made anew"
        return place

    def put(self, place: RedisWorld, *, is_there: bool) -> None:
        """Know the place of a world that is there, and forget that of one that is not."""
        if is_there:
            self._places[place.name] = place
        elif self._places.get(place.name) is place:
            del self._places[place.name]

    # --- writing

    def add(self, place: RedisWorld, *operation: Any) -> None:
        """Add to what is committed next."""
        self._commits.add((place, operation))

    def turn(self) -> int:
        """Give the number of the turn in which what is added now is committed."""
        return self._commits.turn

    async def flush(self) -> None:
        """Return when all that was written so far was dealt with, and the server answers. Raises StoreError."""
        await self._commits.flush()
        await self._call(self._client.ping)

    async def committed(self) -> None:
        """Return when all that was written so far was dealt with; each place knows what came of its part."""
        await self._commits.flush()

    def around_commits(self, around: Callable[[], AbstractContextManager[object]]) -> None:
        """Have each commit made within what `around` gives: to be timed. It is called in the commits' thread."""
        self._commits.around = around

    def close(self) -> None:
        """Commit what is left, and leave: others may claim what this node has. May be called more than once."""
        self._is_closing = True
        self._commits.close()
        self._threads.shutdown()
        self._has_left = self._server.leave() or self._has_left

    def left(self) -> str:
        left = []
        if unkept := self._commits.unkept + self._unkept:
            left.append(f"{unkept} writes are not known to be kept")
        if not self._has_left:
            worlds = _released(sorted(self._places))
            left.append(f"{worlds} released when this node's lease of {self.lease_s:g} s is over")
        return f"{self._server.shown}: at the end the server did not answer: {'; '.join(left)}" if left else ""

    def commit(self, turns: list[list[_Write]]) -> None:
        """Commit turns of the event loop, in one round trip; a world whose part is refused or cut is lost."""
        found: dict[RedisWorld, Part] = {}
        for writes in turns:
            for place, operation in writes:
                if not place.lost:
                    if (part := found.get(place)) is None:
                        part = found[place] = Part()
                    part.add(operation)
        parts = {place: part.pieces() for place, part in found.items()}
        if not parts:
            return
        try:
            answers, is_certain = self._committed(parts)
        except exceptions.RedisError as error:
            for place in parts:
                place.lost = str(failure(f"{self._server.shown}: nothing more can be stored", error))
            self._unkept += sum(map(len, turns)) if self._is_closing else 0  # before that, those who wait are told
            return
        for place, answer in zip(parts, answers, strict=True):
            if answer == 1:
                place.commits += 1
            else:
                place.is_refused = is_certain
                place.lost = f"{self._server.shown}: the world {place.name!r} is another node's by now"

    def _committed(self, parts: _Parts) -> tuple[list[Any], bool]:
        """Give the answers, and whether a refusal is certain to have kept nothing.

        Said again after a cut connection a commit does no harm: the same fields get the same values. But one that
        is refused then may have been taken when it was first said, and its answer was lost.
        """
        cuts: list[Exception] = []
        return patience().call_with_retry(lambda: self._sent(parts), cuts.append), not cuts

    def _sent(self, parts: _Parts) -> list[Any]:
        if not self._commit:
            self._commit = self._server.once.script_load(scripts.COMMIT)
        try:
            return self._said(parts)
        except exceptions.NoScriptError:  # the server was started again
            self._server.once.script_load(scripts.COMMIT)
            return self._said(parts)

    def _said(self, parts: _Parts) -> list[Any]:
        # What is too long for one call is several, between which nobody else is served.
        is_long = any(len(pieces) > 1 for pieces in parts.values())
        pipeline = self._server.once.pipeline(transaction=is_long)
        for place, pieces in parts.items():
            keys = _keys(place.name)
            for operations in pieces:
                pipeline.evalsha(self._commit, len(keys), *keys, place.fence, place.name, *operations)
        answers = iter(pipeline.execute())
        return [min(next(answers) for _ in pieces) for pieces in parts.values()]

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except exceptions.RedisError as error:
            raise failure(self._server.shown, error) from None


class RedisWorld:
    """One claim of a world: a `ClaimedWorld`, and the `Rows` of its stores. What it writes bears its fence."""

    def __init__(self, file: RedisFile, name: str, fence: str) -> None:
        self._file = file
        self.name = name
        self.fence = fence
        self.facts: dict[str, Facts] = {}  # by provider: those that were read, and not asked for yet
        self.lost = ""
        self.is_refused = False
        self.commits = 0
        self.written = 0
        self._entries = EntryWriter(file.turn, self._write_entries)
        self._due: int | None = -1

    def has(self, provider: str) -> bool:
        return provider in self.facts

    def store(self, provider: str) -> KeptStore:
        """Give the facts of a provider: those that were read, or none."""
        store = KeptStore(self, (self.name, provider))
        facts = self.facts.pop(provider, None)
        if facts is not None:
            store.load(facts)
        return store

    def keep(self, made: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write down how the world was made, and how far it is."""
        self._file.put(self, is_there=True)
        self._put(WORLD, "made", orjson.dumps(made))
        self.note_state(state)

    def note_state(self, state: Mapping[str, Any]) -> None:
        self._put(WORLD, "state", orjson.dumps(state))

    def note_due(self, moment: int | None) -> None:
        """Say when somebody has to look after the world, wall ms; None: it moves only when it is asked to."""
        if self._due != moment:
            self._due = moment
            self._file.add(self, "T", "" if moment is None else moment)

    def add_entry(self, number: int, entry: Entry) -> None:
        """Write a journal entry down; of old ones the last `KEPT_ENTRIES` are kept."""
        self._entries.add(number, entry)

    def _write_entries(self, first: int, entries: list[Entry]) -> None:
        self._file.add(self, "J", first, entries)

    def drop(self) -> None:
        """Forget the world with all its facts."""
        self.written += 1
        self._due = -1
        self.facts.clear()
        self._file.put(self, is_there=False)
        self._file.add(self, "X")

    async def flush(self) -> None:
        """Return when all that was written so far is kept. Raises StoreError when it cannot be."""
        await self._file.committed()
        if self.lost:
            raise StoreError(self.lost)

    # --- facts, as `fauxvider.stores.kept.Rows` has them

    def put_number(self, of: Of, kind: str, number: int) -> None:
        self._put(FACTS, f"{of[1]}/number/{kind}", number)

    def put_job(self, of: Of, job: Job) -> None:
        self._put(FACTS, f"{of[1]}/job/{job.number}", dump_fact(job))

    def drop_job(self, of: Of, record: Record) -> None:
        self._drop(of, f"job/{record.job.number}", f"ended/{record.job.number}")
        self._drop(of, *(f"event/{record.job.id}/{1 + index}" for index in range(len(record.events))))
        self._drop(of, *(f"delivery/{delivery.number}" for delivery in record.deliveries))

    def put_ended(self, of: Of, job: Job, run: int) -> None:
        self._put(FACTS, f"{of[1]}/ended/{job.number}", run)

    def put_event(self, of: Of, job_id: str, index: int, event: Event) -> None:
        self._put(FACTS, f"{of[1]}/event/{job_id}/{index}", dump_fact(event))

    def put_delivery(self, of: Of, delivery: Delivery) -> None:
        self._put(FACTS, f"{of[1]}/delivery/{delivery.number}", dump_fact(delivery))

    def put_charge(self, of: Of, index: int, charge: Charge) -> None:
        self._put(FACTS, f"{of[1]}/charge/{index}", dump_fact(charge))

    def put_asset(self, of: Of, asset: Asset) -> None:
        self._put(FACTS, f"{of[1]}/asset/{asset.id}", dump_fact(asset))

    def put_secret(self, of: Of, secret: Secret) -> None:
        self._put(FACTS, f"{of[1]}/secret/{secret.id}", dump_fact(secret))

    def drop_secret(self, of: Of, secret_id: str) -> None:
        self._drop(of, f"secret/{secret_id}")

    def put_taken(self, of: Of, limit: str, caller: str, slot: int, taken: Taken) -> None:
        """Write down what a limit has counted, with the next commit: no answer waits for it."""
        field, value = f"{of[1]}/taken/{limit}/{slot}/{caller}", f"{taken[0]}:{taken[1]}"
        self._file.add(self, "S", FACTS, field, value)

    def _put(self, key: int, field: str, value: Arg) -> None:
        self.written += 1
        self._file.add(self, "S", key, field, value)

    def _drop(self, of: Of, *fields: str) -> None:
        for field in fields:
            self.written += 1
            self._file.add(self, "D", FACTS, f"{of[1]}/{field}")


def _world(name: str) -> str:
    return f"{PREFIX}world:{name}"


def _keys(world: str) -> list[str]:
    """Give the keys of the commit script."""
    return [_world(world), f"{PREFIX}facts:{world}", f"{PREFIX}journal:{world}", f"{PREFIX}due", f"{PREFIX}worlds"]


def _released(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"its worlds ({shown}) are" if names else "it is"
