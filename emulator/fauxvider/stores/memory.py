"""Facts in memory: the default store. It is bounded, and counts what its bound drops."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence

from fauxvider.contract.model import Limit
from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.engine.limits import Verdict, Window, take

__all__ = ["MAX_RECORDS", "MemoryStore"]

MAX_RECORDS = 200_000


class MemoryStore:
    """A `fauxvider.ports.Store`. Methods never suspend."""

    def __init__(self, *, max_records: int = MAX_RECORDS) -> None:
        self._max_records = max_records
        self._numbers: dict[str, int] = {}
        self._records: dict[str, Record] = {}
        self._by_number: list[Record | None] = [None]  # numbers are dense, so a list is the smallest index
        self._by_file: dict[str, Record] = {}
        self._by_intent: dict[str, Record] = {}
        self._charges: deque[Charge] = deque(maxlen=max_records)
        self._assets: dict[str, Asset] = {}
        self._asset_keys: dict[str, str] = {}
        self._secrets: dict[str, Secret] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._dropped = 0

    async def next_number(self, kind: str) -> int:
        number = self._numbers.get(kind, 0) + 1
        self._numbers[kind] = number
        return number

    async def add_job(self, job: Job) -> None:
        if len(self._records) >= self._max_records:
            self._drop_oldest()
        self.put_record(Record(job))

    def put_record(self, record: Record) -> None:
        """Take a job over with all that happened to it."""
        job = record.job
        self._records[job.id] = record
        missing = job.number - len(self._by_number)
        if missing >= 0:
            self._by_number.extend([None] * (missing + 1))
        self._by_number[job.number] = record
        for file_key in job.file_keys:
            self._by_file[file_key] = record
        if job.intent:
            self._by_intent[job.intent] = record

    def _drop_oldest(self) -> Record:
        record = self._records.pop(next(iter(self._records)))
        self._by_number[record.job.number] = None
        for file_key in record.job.file_keys:
            if self._by_file.get(file_key) is record:
                del self._by_file[file_key]
        if self._by_intent.get(record.job.intent) is record:
            del self._by_intent[record.job.intent]
        self._dropped += 1
        return record

    async def add_event(self, job_id: str, event: Event) -> None:
        if record := self._records.get(job_id):
            record.events = (*record.events, event)

    async def note_ended(self, job_id: str, run: int) -> None:
        if record := self._records.get(job_id):
            record.ended = run

    async def put_delivery(self, delivery: Delivery) -> None:
        if record := self._records.get(delivery.job_id):
            others = tuple(known for known in record.deliveries if known.id != delivery.id)
            record.deliveries = tuple(sorted((*others, delivery), key=lambda known: known.number))

    async def record(self, job_id: str) -> Record | None:
        return self._records.get(job_id)

    async def record_by_number(self, number: int) -> Record | None:
        return self._by_number[number] if 0 < number < len(self._by_number) else None

    async def record_by_file(self, file_key: str) -> Record | None:
        return self._by_file.get(file_key)

    async def record_by_intent(self, intent: str) -> Record | None:
        return self._by_intent.get(intent)

    async def records(self) -> AsyncIterator[Record]:
        for record in reversed(list(self._records.values())):
            yield record

    async def add_charge(self, charge: Charge) -> None:
        self._charges.append(charge)
        if record := self._records.get(charge.job_id):
            record.charged = True

    async def charges(self) -> Sequence[Charge]:
        return tuple(self._charges)

    async def put_asset(self, asset: Asset) -> None:
        self.put_loaded_asset(asset)

    def put_loaded_asset(self, asset: Asset) -> None:
        """Take an asset over."""
        self._assets[asset.id] = asset
        if asset.key:
            self._asset_keys[asset.key] = asset.id

    async def asset(self, asset_id: str) -> Asset | None:
        return self._assets.get(asset_id)

    async def asset_by_key(self, key: str) -> Asset | None:
        found = self._asset_keys.get(key)
        return None if found is None else self._assets[found]

    async def put_secret(self, secret: Secret) -> None:
        self._secrets[secret.id] = secret

    async def drop_secret(self, secret_id: str) -> None:
        self._secrets.pop(secret_id, None)

    async def secrets(self) -> Sequence[Secret]:
        return tuple(self._secrets.values())

    async def take(self, limit: Limit, caller: str, now: int, *, count: int) -> Verdict:
        window = self._windows.get((limit.name, caller))
        if window is None:
            window = self._windows[(limit.name, caller)] = Window()
        return take(limit, window, now, count=count)

    async def release(self, limit: Limit, caller: str) -> None:
        window = self._windows.get((limit.name, caller))
        if window is not None and window.used > 0:
            window.used -= 1

    async def dropped(self) -> int:
        return self._dropped
