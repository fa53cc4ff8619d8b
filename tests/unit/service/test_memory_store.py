"""The default store: bounded, dense, and honest about what it dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fauxvider.contract.model import Limit
from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Plan, Secret, Shape
from fauxvider.stores.memory import MemoryStore

T = TypeVar("T")


def now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends: without a loop, it would fail if it did."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("the store suspended")


def job(number: int, *, intent: str = "", files: tuple[str, ...] = ()) -> Job:
    return Job(
        id=f"job-{number}", number=number, operation="run", model="m", accepted=0, body=b"{}", plan=Plan((1,), 0),
        shape=Shape(1, 1, 1, "png"), price=Decimal(1), intent=intent, file_keys=files,
    )  # fmt: skip


def delivery(name: str, job_id: str, number: int) -> Delivery:
    return Delivery(name, job_id, number, "e", "http://x", 0, 0, True, b"{}")


def newest(store: MemoryStore) -> list[str]:
    async def read() -> list[str]:
        return [record.job.id async for record in store.records()]

    return asyncio.run(read())


def test_numbers_count_per_kind() -> None:
    store = MemoryStore()
    assert [now(store.next_number("job")) for _ in range(3)] == [1, 2, 3]
    assert now(store.next_number("asset")) == 1


def test_a_job_is_found_by_everything_that_names_it() -> None:
    store = MemoryStore()
    now(store.add_job(job(3, intent="key|1", files=("a.png", "b.png"))))
    for found in (
        now(store.record("job-3")), now(store.record_by_number(3)), now(store.record_by_file("b.png")),
        now(store.record_by_intent("key|1")),
    ):  # fmt: skip
        assert found is not None
        assert found.job.id == "job-3"
    assert now(store.record("job-1")) is None
    for number in (-1, 0, 1, 2, 4, 10**9):
        assert now(store.record_by_number(number)) is None
    assert now(store.record_by_file("c.png")) is None
    assert now(store.record_by_intent("")) is None


def test_jobs_may_come_out_of_order() -> None:
    store = MemoryStore()
    for number in (2, 5, 1):
        now(store.add_job(job(number)))
    for number in (1, 2, 5):
        found = now(store.record_by_number(number))
        assert found is not None
        assert found.job.number == number
    assert newest(store) == ["job-1", "job-5", "job-2"]


def test_what_happens_to_a_job_is_kept_in_order() -> None:
    store = MemoryStore()
    now(store.add_job(job(1)))
    for event in (Event(1, "forced"), Event(0, "cancelled")):
        now(store.add_event("job-1", event))
    now(store.add_event("unknown", Event(1, "forced")))
    found = now(store.record("job-1"))
    assert found is not None
    assert [event.kind for event in found.events] == ["forced", "cancelled"]


def test_a_delivery_is_replaced_by_its_later_self() -> None:
    store = MemoryStore()
    now(store.add_job(job(1)))
    for name, number in (("b", 2), ("a", 1)):
        now(store.put_delivery(delivery(name, "job-1", number)))
    now(store.put_delivery(replace(delivery("b", "job-1", 2), event="later")))
    found = now(store.record("job-1"))
    assert found is not None
    assert [(one.id, one.event) for one in found.deliveries] == [("a", "e"), ("b", "later")]


def test_charges_mark_their_job() -> None:
    store = MemoryStore()
    now(store.add_job(job(1)))
    now(store.add_charge(Charge(5, "job-1", Decimal(1), "USD", "/r", "k", "", "")))
    found = now(store.record("job-1"))
    assert found is not None
    assert found.charged
    assert [charge.amount for charge in now(store.charges())] == [Decimal(1)]


def test_assets_and_secrets() -> None:
    store = MemoryStore()
    now(store.put_asset(Asset("a", 1, "images/x.png", "x", "image/png", 0)))
    now(store.put_asset(Asset("b", 2, "", "y", "image/png", 0)))
    by_key = now(store.asset_by_key("images/x.png"))
    assert by_key is not None
    assert by_key.id == "a"
    assert now(store.asset_by_key("")) is None
    assert now(store.asset("b")) is not None
    now(store.put_secret(Secret("s", 1, "v")))
    now(store.put_secret(Secret("t", 2, "w")))
    now(store.put_secret(Secret("s", 1, "v", label="new")))
    assert [(secret.id, secret.label) for secret in now(store.secrets())] == [("s", "new"), ("t", "")]
    now(store.drop_secret("s"))
    now(store.drop_secret("s"))
    assert [secret.id for secret in now(store.secrets())] == ["t"]


def test_limits_are_kept_by_caller() -> None:
    store, limit = MemoryStore(), Limit("held", "in_flight", 0, 1, ())
    assert now(store.take(limit, "ann", 0, count=1)).wait == 0
    assert now(store.take(limit, "bob", 0, count=1)).wait == 0
    assert now(store.take(limit, "ann", 0, count=1)).wait > 0
    now(store.release(limit, "ann"))
    assert now(store.take(limit, "ann", 0, count=1)).wait == 0
    for _ in range(3):
        now(store.release(limit, "cid"))  # releasing nothing frees nothing
        now(store.release(limit, "bob"))
    assert now(store.take(limit, "bob", 0, count=1)).wait == 0
    assert now(store.take(limit, "bob", 0, count=1)).wait > 0


class BoundMachine(RuleBasedStateMachine):
    """Against a list of the last few jobs."""

    CAP = 4

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore(max_records=self.CAP)
        self.kept: list[Job] = []
        self.dropped: list[Job] = []

    @rule(intent=st.sampled_from(["", "i1", "i2"]), shared=st.booleans())
    def add(self, intent: str, shared: bool) -> None:
        number = now(self.store.next_number("job"))
        made = job(number, intent=intent, files=("shared.png",) if shared else (f"{number}.png",))
        now(self.store.add_job(made))
        self.kept.append(made)
        self.dropped += self.kept[: -self.CAP]
        self.kept = self.kept[-self.CAP :]

    @precondition(lambda self: self.kept)
    @rule()
    def charge(self) -> None:
        now(self.store.add_charge(Charge(0, self.kept[-1].id, Decimal(1), "USD", "", "", "", "")))

    @invariant()
    def only_the_newest_are_known(self) -> None:
        assert now(self.store.dropped()) == len(self.dropped)
        for known, jobs in ((True, self.kept), (False, self.dropped)):
            for one in jobs:
                assert (now(self.store.record(one.id)) is not None) == known
                assert (now(self.store.record_by_number(one.number)) is not None) == known
        for intent in ("i1", "i2"):
            last = next((one for one in reversed(self.kept) if one.intent == intent), None)
            found = now(self.store.record_by_intent(intent))
            assert (found.job if found else None) == last
        for one in self.kept:
            by_file = now(self.store.record_by_file(one.file_keys[0]))
            assert by_file is not None
            assert by_file.job.file_keys == one.file_keys
        for one in self.dropped:
            if one.file_keys != ("shared.png",):
                assert now(self.store.record_by_file(one.file_keys[0])) is None


TestBound = BoundMachine.TestCase
TestBound.settings = settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=20)


def test_charges_are_bounded_too() -> None:
    store = MemoryStore(max_records=2)
    for number in (1, 2, 3):
        now(store.add_charge(Charge(number, "j", Decimal(1), "USD", "", "", "", "")))
    assert [charge.at for charge in now(store.charges())] == [2, 3]
