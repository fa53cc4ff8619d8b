"""Facts in memory that are written down too: the store of every kind of file."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from fauxvider.contract.model import Limit
from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.engine.limits import Verdict, Window
from fauxvider.stores.memory import MAX_RECORDS, MemoryStore

__all__ = ["Facts", "KeptStore", "Of", "Rows", "Taken"]

Of: TypeAlias = tuple[str, str]  # world, provider
# What a limit has counted: the how-many-eth and its moment; or a fixed window's start, and how many it holds.
Taken: TypeAlias = tuple[int, int]


class Rows(Protocol):
    """Where facts are written down. Nothing suspends; what is written is kept at the next commit."""

    def put_number(self, of: Of, kind: str, number: int) -> None: ...
    def put_job(self, of: Of, job: Job) -> None: ...
    def drop_job(self, of: Of, record: Record) -> None: ...
    def put_ended(self, of: Of, job: Job, run: int) -> None: ...
    def put_event(self, of: Of, job_id: str, index: int, event: Event) -> None: ...
    def put_delivery(self, of: Of, delivery: Delivery) -> None: ...
    def put_charge(self, of: Of, index: int, charge: Charge) -> None: ...
    def put_asset(self, of: Of, asset: Asset) -> None: ...
    def put_secret(self, of: Of, secret: Secret) -> None: ...
    def drop_secret(self, of: Of, secret_id: str) -> None: ...
    def put_taken(self, of: Of, limit: str, caller: str, slot: int, taken: Taken) -> None: ...


@dataclass
class Facts:
    """The facts of one provider in one world, as they were read back."""

    numbers: dict[str, int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)  # in the order of their numbers
    charges: list[Charge] = field(default_factory=list)
    assets: list[Asset] = field(default_factory=list)  # these two in the order of their numbers
    secrets: list[Secret] = field(default_factory=list)
    taken: dict[tuple[str, str], list[Taken]] = field(default_factory=dict)  # by limit and caller
    charged: int = 0  # charges that were ever written

    def put_in_order(self) -> None:
        """Sort what has numbers, and tell the records which of them were charged."""
        self.records.sort(key=lambda record: record.job.number)
        self.assets.sort(key=lambda asset: asset.number)
        self.secrets.sort(key=lambda secret: secret.number)
        by_id = {record.job.id: record for record in self.records}
        for charge in self.charges:
            if record := by_id.get(charge.job_id):
                record.charged = True


class KeptStore(MemoryStore):
    """A `fauxvider.ports.Store`: reads as the memory store does, and writes down what changes it."""

    def __init__(self, rows: Rows, of: Of, *, max_records: int = MAX_RECORDS) -> None:
        super().__init__(max_records=max_records)
        self._rows = rows
        self._of = of
        self._charged = 0
        self._counted: dict[tuple[str, str], int] = {}  # by sliding windows

    def load(self, facts: Facts) -> None:
        """Take over what was read back."""
        self._numbers.update(facts.numbers)
        for record in facts.records:
            self.put_record(record)
            self._numbers["job"] = record.job.number
        self._charges.extend(facts.charges)
        self._charged = max(facts.charged, len(facts.charges))
        for asset in facts.assets:
            self.put_loaded_asset(asset)
        self._secrets.update({secret.id: secret for secret in facts.secrets})
        for key, taken in facts.taken.items():
            latest = max(taken)
            # Of which kind the limit is shows at the next request: either reading of it is harmless to the other.
            moments = deque(sorted(moment for _, moment in taken))
            self._windows[key] = Window(moments, start=latest[0], used=latest[1])
            self._counted[key] = latest[0]

    async def next_number(self, kind: str) -> int:
        number = await super().next_number(kind)
        if kind != "job":  # those stand in the jobs
            self._rows.put_number(self._of, kind, number)
        return number

    async def add_job(self, job: Job) -> None:
        await super().add_job(job)
        self._rows.put_job(self._of, job)

    def _drop_oldest(self) -> Record:
        record = super()._drop_oldest()
        self._rows.drop_job(self._of, record)
        return record

    async def add_event(self, job_id: str, event: Event) -> None:
        await super().add_event(job_id, event)
        if record := self._records.get(job_id):
            self._rows.put_event(self._of, job_id, len(record.events), event)

    async def note_ended(self, job_id: str, run: int) -> None:
        await super().note_ended(job_id, run)
        if record := self._records.get(job_id):
            self._rows.put_ended(self._of, record.job, run)

    async def put_delivery(self, delivery: Delivery) -> None:
        await super().put_delivery(delivery)
        self._rows.put_delivery(self._of, delivery)

    async def add_charge(self, charge: Charge) -> None:
        await super().add_charge(charge)
        self._charged += 1
        self._rows.put_charge(self._of, self._charged, charge)

    async def put_asset(self, asset: Asset) -> None:
        await super().put_asset(asset)
        self._rows.put_asset(self._of, asset)

    async def put_secret(self, secret: Secret) -> None:
        await super().put_secret(secret)
        self._rows.put_secret(self._of, secret)

    async def drop_secret(self, secret_id: str) -> None:
        await super().drop_secret(secret_id)
        self._rows.drop_secret(self._of, secret_id)

    async def take(self, limit: Limit, caller: str, now: int, *, count: int) -> Verdict:
        verdict = await super().take(limit, caller, now, count=count)
        if verdict.wait == 0 and limit.kind != "in_flight":  # what is in flight goes with the process
            key = (limit.name, caller)
            if limit.kind == "sliding":
                number = self._counted[key] = self._counted.get(key, 0) + 1
                self._rows.put_taken(self._of, *key, number % count, (number, now))  # a ring: older ones are over
            else:
                window = self._windows[key]
                self._rows.put_taken(self._of, *key, 0, (window.start, window.used))
        return verdict
