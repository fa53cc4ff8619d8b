"""Much that is written in one turn comes to the same as little by little: a store may fold it, and has to keep order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Plan, Secret, Shape
from fauxvider.stores.entries import joined
from fauxvider.stores.kept import Facts, KeptStore
from fauxvider.stores.redis import RedisFile
from fauxvider.stores.redis_reading import read_facts
from fauxvider.stores.sqlite import SqliteFile
from support.valkey import MISSING, Valkey, required

required()

KINDS = ["sqlite"] if MISSING else ["sqlite", "valkey"]
KEPT = 10_000
CAP = 3  # jobs of a store: what is more pushes the oldest out


class Place:
    """A world in a new store, and what was read back from there."""

    def __init__(self, kind: str, folder: Path, valkey: Valkey | None) -> None:
        self.file: Any = SqliteFile(folder / "worlds.db") if valkey is None else RedisFile(valkey.url)
        self._path, self._valkey, self.kind = folder / "worlds.db", valkey, kind

    async def begin(self) -> None:
        if self._valkey is not None:
            await self.file.claim("w", make=True)
        self._make()

    def _make(self) -> None:
        self.world = self.file.world("w")
        self.world.keep({"seed": 1}, {"now": 1})
        self.store = KeptStore(self.world, ("w", "acme"), max_records=CAP)
        self.jobs = self.entries = self.charges = 0

    async def anew(self) -> None:
        """Forget the world, and make another one of its name."""
        self.world.drop()
        if self._valkey is not None:
            await self.file.flush()
            await self.file.claim("w", make=True)
        self._make()

    def read(self) -> tuple[Any, dict[str, Facts], list[Any]]:
        """Close the store; give the world's state, its facts, and its journal by numbers."""
        self.file.close()
        if self._valkey is None:
            file = SqliteFile(self._path)
            saved = [(one.name, one.made, one.state, one.entries) for one in file.worlds()]
            facts = file.take("w", "acme")
            file.close()
            with closing(sqlite3.connect(self._path)) as rows:
                numbers = [number for (number,) in rows.execute("SELECT number FROM journal ORDER BY number")]
            return saved, {} if facts is None else {"acme": facts}, numbers
        with closing(self._valkey.client) as client:
            keys = [f"fauxvider:{kind}:w" for kind in ("world", "facts", "journal")]
            one, found = read_facts(client, "w", keys)
            saved = [] if one is None else [(one.name, one.made, one.state, one.entries)]
            return saved, found, sorted(int(number) for number in client.hkeys(keys[2]))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def valkey(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey | None]:
    if kind == "sqlite":
        yield None
        return
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def _job(number: int) -> Job:
    facts: dict[str, Any] = {"id": f"job-{number}", "number": number, "operation": "run", "model": "dev"}
    shape = Shape(64, 64, 1, "png")
    return Job(**facts, accepted=number, body=b"{}", plan=Plan((1, 2), 7), shape=shape, price=Decimal("0.02"))


async def _do(place: Place, what: str, number: int) -> None:
    """Do one thing; `number` says to what, or how often."""
    store, job = place.store, f"job-{number}"
    if what == "job":
        place.jobs += 1
        await store.add_job(_job(place.jobs))
    elif what == "event":
        await store.add_event(job, Event(number, "ttl", number=len(what)))
    elif what == "ended":
        await store.note_ended(job, number % 2 + 1)
    elif what == "delivery":
        await store.put_delivery(
            Delivery(f"d-{number}", job, number, "done", "http://x/", place.jobs, 2, automatic=True, payload=b"{}")
        )
    elif what == "charge":
        place.charges += 1
        await store.add_charge(Charge(place.charges, job, Decimal("0.5"), "USD", "/cost", "k", "", "f"))
    elif what == "asset":
        await store.put_asset(Asset(f"a-{number}", number, "", "name", "image/png", place.jobs))
    elif what == "secret":
        await store.put_secret(Secret(f"s-{number}", number, "value", created=place.jobs))
    elif what == "no secret":
        await store.drop_secret(f"s-{number}")
    elif what == "entries":
        for _ in range(number):
            place.entries += 1
            place.world.add_entry(place.entries, (place.entries, "note", ("text",), (f"no. {place.entries}",)))
    elif what == "state":
        place.world.note_state({"now": number})
    else:
        await place.anew()


steps = st.lists(
    st.tuples(
        st.sampled_from([
            "job", "job", "event", "ended", "delivery", "charge", "asset", "secret", "no secret", "entries", "state",
            "anew",
        ]),
        st.integers(1, 5),
    ),
    max_size=30,
)  # fmt: skip


def _written(kind: str, valkey: Valkey | None, done: list[tuple[str, int]], *, at_once: bool) -> Any:
    if valkey is not None:
        with closing(valkey.client) as client:
            client.flushall()

    async def write(place: Place) -> None:
        await place.begin()
        for what, number in done:
            await _do(place, what, number)
            if not at_once:
                await place.file.flush()
        await place.file.flush()

    with TemporaryDirectory() as folder:
        place = Place(kind, Path(folder), valkey)
        asyncio.run(write(place))
        return place.read()


@settings(max_examples=40)
@given(steps)
def test_one_turn_comes_to_the_same_as_many(kind: str, valkey: Valkey | None, done: list[tuple[str, int]]) -> None:
    assert _written(kind, valkey, done, at_once=True) == _written(kind, valkey, done, at_once=False)


@pytest.mark.parametrize(
    "more", [[], [("entries", 1)], [("entries", 990)], [("entries", 1)] * 20, [("entries", KEPT + 500)]]
)
def test_the_last_entries_of_a_long_turn_are_kept(
    kind: str, valkey: Valkey | None, more: list[tuple[str, int]]
) -> None:
    done = [("entries", 700), ("entries", 2 * KEPT + 345), *more]
    total = sum(number for _, number in done)
    _, _, numbers = _written(kind, valkey, done, at_once=False)
    assert numbers == list(range(numbers[0], total + 1))
    assert KEPT <= len(numbers) <= KEPT + 1000


def test_only_entries_that_follow_one_upon_the_other_are_joined() -> None:
    entries: list[Any] = [(moment, "note", (), ()) for moment in range(4)]
    one, two, three, four = entries
    found = joined([("w", 1, [one]), ("v", 7, [two]), ("w", 2, [three]), ("w", 9, [four])])
    assert found == [("w", 1, [one, three]), ("v", 7, [two]), ("w", 9, [four])]


def test_more_rows_than_one_statement_takes(kind: str, valkey: Valkey | None) -> None:
    """And more fields than one command of the server's script takes, of each kind of thing that jobs bring."""
    count = 2345

    async def write(place: Place) -> None:
        await place.begin()
        place.store = KeptStore(place.world, ("w", "acme"))
        for number in range(1, count + 1):
            for what in ("job", "ended", "charge", "delivery", "secret"):
                await _do(place, what, number)
        await place.file.flush()
        for number in range(1, count + 1):
            await _do(place, "no secret", number)
        await place.file.flush()

    if valkey is not None:
        with closing(valkey.client) as client:
            client.flushall()
    with TemporaryDirectory() as folder:
        place = Place(kind, Path(folder), valkey)
        asyncio.run(write(place))
        _, found, _ = place.read()
    facts = found["acme"]
    assert [record.job.number for record in facts.records] == list(range(1, count + 1))
    assert {(record.ended, len(record.deliveries), record.charged) for record in facts.records} == {
        (1, 1, True),
        (2, 1, True),
    }
    assert len(facts.charges) == count
    assert facts.secrets == []
