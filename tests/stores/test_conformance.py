"""What every store keeps to. A new store is one more line in `STORES`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.model import Limit, State
from fauxvider.engine.facts import Asset, Attempt, Charge, Delivery, Event, Job, Plan, Secret, Shape, Twist
from fauxvider.ports import Store
from fauxvider.service.journal import Journal
from fauxvider.stores.codec import FactError, dump_entry, dump_fact, load_entry, load_fact
from fauxvider.stores.memory import MemoryStore
from fauxvider.stores.redis import RedisFile
from fauxvider.stores.sqlite import SqliteFile
from support.valkey import MISSING, Valkey, required

required()


class Opened(Protocol):
    """A store under test. `again` gives the store of the next process, where there is one."""

    store: Store
    is_kept: bool

    async def again(self) -> Store: ...


class _Memory:
    is_kept = False

    def __init__(self, _folder: Path) -> None:
        self.store: Store = MemoryStore(max_records=50)

    async def again(self) -> Store:
        return self.store

    def close(self) -> None:
        """Nothing is open."""


class _Sqlite:
    is_kept = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "facts.db"
        self._file = SqliteFile(self._path)
        world = self._file.world("w")
        world.keep({}, {})
        self.store: Store = world.store("acme")

    async def again(self) -> Store:
        await self._file.flush()
        self._file.close()
        self._file = SqliteFile(self._path)
        self._file.worlds()
        self.store = self._file.world("w").store("acme")
        return self.store

    def close(self) -> None:
        self._file.close()


class _Valkey:
    is_kept = True

    def __init__(self, folder: Path) -> None:
        self._server = Valkey(folder)
        self._file = RedisFile(self._server.url)

    async def begin(self) -> None:
        await self._file.claim("w", make=True)
        world = self._file.world("w")
        world.keep({}, {})
        self.store: Store = world.store("acme")

    async def again(self) -> Store:
        await self._file.flush()
        self._file.close()
        self._file = RedisFile(self._server.url)
        claim = await self._file.claim("w")
        assert claim is not None
        assert claim.place is not None
        assert await self._file.read(claim.place) is not None
        self.store = claim.place.store("acme")
        return self.store

    def close(self) -> None:
        self._file.close()
        self._server.kill()


STORES: dict[str, Callable[[Path], Any]] = {"memory": _Memory, "sqlite": _Sqlite}
if not MISSING:
    STORES["valkey"] = _Valkey
Run = Callable[[Callable[[Opened], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=STORES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Give what runs a coroutine function over a fresh store."""
    opened: list[Any] = []

    def run_one(work: Callable[[Opened], Coroutine[Any, Any, None]]) -> None:
        async def all_of_it() -> None:
            made = STORES[request.param](tmp_path)
            opened.append(made)
            if isinstance(made, _Valkey):
                await made.begin()
            await work(made)

        asyncio.run(all_of_it())

    yield run_one
    for made in opened:
        made.close()


def job(number: int, **more: Any) -> Job:
    facts: dict[str, Any] = {
        "id": f"job-{number}",
        "number": number,
        "operation": "run",
        "model": "dev",
        "accepted": 1000 + number,
        "body": b'{"prompt": "x"}',
        "plan": Plan((100, 200), 7, (None, 900)),
        "shape": Shape(64, 64, 1, "png"),
        "price": Decimal("0.020"),
    }
    return Job(**{**facts, **more})


def delivery(number: int, of: int, **more: Any) -> Delivery:
    facts: dict[str, Any] = {
        "id": f"delivery-{number}", "job_id": f"job-{of}", "number": number, "event": "done", "address": "http://x/",
        "created": 1, "due": 2, "automatic": True, "payload": b"{}",
    }  # fmt: skip
    return Delivery(**{**facts, **more})


def test_numbers_count_up_by_kind(run: Run) -> None:
    async def work(opened: Opened) -> None:
        assert [await opened.store.next_number("delivery") for _ in range(3)] == [1, 2, 3]
        assert await opened.store.next_number("asset") == 1
        assert await (await opened.again()).next_number("delivery") == 4

    run(work)


def test_no_number_of_a_job_comes_again(run: Run) -> None:
    async def work(opened: Opened) -> None:
        for number in (1, 2):
            assert await opened.store.next_number("job") == number
            await opened.store.add_job(job(number))
        assert await (await opened.again()).next_number("job") == 3

    run(work)


def test_a_job_is_found_by_all_its_names(run: Run) -> None:
    async def work(opened: Opened) -> None:
        made = job(3, file_keys=("file-a", "file-b"), intent="key|once")
        await opened.store.add_job(made)
        store = await opened.again()
        for found in (
            await store.record("job-3"),
            await store.record_by_number(3),
            await store.record_by_file("file-a"),
            await store.record_by_file("file-b"),
            await store.record_by_intent("key|once"),
        ):
            assert found is not None
            assert found.job == made
        assert await store.record("job-4") is None
        assert [await store.record_by_number(number) for number in (-1, 0, 1, 2, 4)] == [None] * 5
        assert await store.record_by_file("file-c") is None
        assert await store.record_by_intent("") is None

    run(work)


def test_records_come_newest_first(run: Run) -> None:
    async def work(opened: Opened) -> None:
        for number in (1, 2, 3):
            await opened.store.add_job(job(number))
        store = await opened.again()
        assert [record.job.number async for record in store.records()] == [3, 2, 1]

    run(work)


def test_what_happens_to_a_job_is_added_to_it(run: Run) -> None:
    async def work(opened: Opened) -> None:
        store = opened.store
        await store.add_job(job(1))
        await store.add_event("job-1", Event(5, "cancelled"))
        await store.add_event("job-1", Event(6, "retried", plan=Plan((1,), 2), detail="again"))
        await store.add_event("job-9", Event(5, "cancelled"))
        await store.note_ended("job-1", 1)
        await store.note_ended("job-9", 1)
        await store.add_charge(Charge(9, "job-1", Decimal("0.50"), "USD", "/models/dev/cost", "k", "", "f"))
        store = await opened.again()
        record = await store.record("job-1")
        assert record is not None
        assert record.events == (Event(5, "cancelled"), Event(6, "retried", plan=Plan((1,), 2), detail="again"))
        assert (record.ended, record.charged) == (1, True)
        assert [charge.amount for charge in await store.charges()] == [Decimal("0.50")]
        assert await store.record("job-9") is None

    run(work)


def test_a_delivery_replaces_the_one_of_its_name(run: Run) -> None:
    async def work(opened: Opened) -> None:
        store = opened.store
        await store.add_job(job(1))
        await store.put_delivery(delivery(2, 1))
        await store.put_delivery(delivery(1, 1))
        tried = delivery(1, 1).with_attempt(Attempt(1, 5, 6, "http", 503, "busy"))
        await store.put_delivery(tried)
        await store.put_delivery(replace(delivery(2, 1), sending=77))
        record = await (await opened.again()).record("job-1")
        assert record is not None
        assert record.deliveries == (tried, replace(delivery(2, 1), sending=77))

    run(work)


def test_assets_by_id_and_by_key(run: Run) -> None:
    async def work(opened: Opened) -> None:
        asset = Asset("a-1", 1, "uploads/a.png", "a.png", "image/png", 5, data=bytes(range(256)))
        await opened.store.put_asset(asset)
        await opened.store.put_asset(replace(asset, state="uploaded", confirmed=9))
        store = await opened.again()
        assert await store.asset("a-1") == await store.asset_by_key("uploads/a.png")
        assert await store.asset("a-1") == replace(asset, state="uploaded", confirmed=9)
        assert await store.asset("a-2") is None
        assert await store.asset_by_key("") is None

    run(work)


def test_secrets_keep_their_order(run: Run) -> None:
    async def work(opened: Opened) -> None:
        for number in (1, 2, 3):
            await opened.store.put_secret(Secret(f"s-{9 - number}", number, "whsec"))
        await opened.store.put_secret(Secret("s-8", 1, "whsec", disabled=4))
        await opened.store.drop_secret("s-7")
        await opened.store.drop_secret("s-0")
        store = await opened.again()
        assert [(secret.id, secret.disabled) for secret in await store.secrets()] == [("s-8", 4), ("s-6", None)]

    run(work)


def test_a_window_takes_what_it_may_and_gives_it_back(run: Run) -> None:
    async def work(opened: Opened) -> None:
        limit = Limit("jobs", "in_flight", 0, 2, ("key",))
        store = opened.store
        waits = [(await store.take(limit, "a", 0, count=2)).wait for _ in range(3)]
        assert [bool(wait) for wait in waits] == [False, False, True]
        assert not (await store.take(limit, "b", 0, count=2)).wait
        await store.release(limit, "a")
        assert not (await store.take(limit, "a", 0, count=2)).wait

    run(work)


def test_a_cap_drops_the_oldest_and_counts_it(tmp_path: Path) -> None:
    async def work() -> None:
        store = MemoryStore(max_records=2)
        for number in (1, 2, 3):
            await store.add_job(job(number, intent=f"i-{number}", file_keys=(f"f-{number}",)))
        assert await store.dropped() == 1
        assert await store.record("job-1") is None
        assert await store.record_by_intent("i-1") is None
        assert await store.record_by_file("f-1") is None
        assert await store.record_by_number(1) is None
        assert (await store.record("job-3")) is not None

    asyncio.run(work())


# --- facts as text

texts = st.text(max_size=20)
plans = st.builds(
    Plan,
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
    st.integers(0, 2**31),
    st.lists(st.none() | st.integers(0, 10**9), max_size=3).map(tuple),
    texts,
    texts,
    st.booleans(),
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | texts
    | st.decimals(allow_nan=False)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)
twists = st.builds(
    Twist,
    st.dictionaries(texts, texts, max_size=2),
    st.lists(st.tuples(st.just(State("HELD", "running")), texts, st.integers(0, 99)), max_size=2).map(tuple),
    st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.none() | st.tuples(texts, st.integers(0, 9), st.integers(0, 9)),
    st.dictionaries(texts, anything, max_size=3),
)
jobs = st.builds(
    job,
    st.integers(1, 10**6),
    body=st.binary(max_size=50),
    plan=plans,
    price=st.decimals(0, 1000, places=8),
    address=st.none() | texts,
    file_keys=st.lists(texts, max_size=3).map(tuple),
    twist=st.none() | twists,
)


@given(jobs)
def test_a_job_reads_back_as_it_was_written(made: Job) -> None:
    assert load_fact(Job, dump_fact(made)) == made


@given(
    st.dictionaries(texts.filter(bool), st.none() | texts | st.integers(0, 9) | st.decimals(0, 9, places=3), max_size=6)
)
def test_a_journal_entry_reads_back_as_the_journal_shows_it(facts: dict[str, Any]) -> None:
    journal = Journal(sink=lambda _, entry: written.append(dump_entry(entry)))
    written: list[bytes] = []
    journal.add(5, "note", tuple(facts), tuple(facts.values()))
    assert [load_entry(entry) for entry in written] == list(journal.entries())


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '[1, "note", ["a"], []]', "null"])
def test_what_is_no_journal_entry(text: str) -> None:
    with pytest.raises(FactError, match="a stored journal entry cannot be read"):
        load_entry(text)


@given(
    st.builds(
        delivery, st.integers(1, 9), st.integers(1, 9), payload=st.binary(max_size=20), secret_id=st.none() | texts
    )
)
def test_a_delivery_reads_back_as_it_was_written(made: Delivery) -> None:
    made = made.with_attempt(Attempt(1, 2, 3, "timeout", None, "", "no answer"))
    assert load_fact(Delivery, dump_fact(made)) == made


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"id": 1}', '{"nonsense": 1}', '{"price": "x"}'])
def test_what_is_no_fact(text: str) -> None:
    with pytest.raises(FactError, match="a stored Job cannot be read"):
        load_fact(Job, text)
