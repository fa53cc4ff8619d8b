"""A world read back from the server's hashes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fauxvider.engine.facts import Asset, Charge, Delivery, Event, Job, Record, Secret
from fauxvider.errors import StoreError
from fauxvider.ports import SavedWorld
from fauxvider.stores.codec import FactError, load_entry, load_fact
from fauxvider.stores.kept import Facts

__all__ = ["read_facts"]

_PIECE = 2000  # fields that are asked for at once: the server serves others between


def read_facts(client: Any, name: str, keys: Sequence[str]) -> tuple[SavedWorld | None, dict[str, Facts]]:
    """Read a world and its facts by provider. Raises StoreError when a fact cannot be read."""
    world, facts, journal = keys
    made, state = client.hmget(world, "made", "state")
    if made is None:
        return None, {}
    try:
        kinds: defaultdict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
        # As mappings: what a scan comes upon twice, while the server moves a hash, is there once.
        for field, value in dict(client.hscan_iter(facts, count=_PIECE)).items():
            provider, kind, key = field.decode().split("/", 2)
            kinds[provider, kind].append((key, value))
        found = {provider: _facts(kinds, provider) for provider in sorted({provider for provider, _ in kinds})}
        found_entries = dict(client.hscan_iter(journal, count=_PIECE))
        entries = sorted((int(number), value) for number, value in found_entries.items())
        saved = SavedWorld(
            name,
            orjson.loads(made),
            orjson.loads(state),
            tuple(load_entry(entry) for _, entry in entries),
            entries[-1][0] if entries else 0,
            tuple(found),
        )
    except (FactError, ValueError, LookupError) as error:
        raise StoreError(f"the world {name!r} of the store is damaged: {error}; it is left as it is") from None
    return saved, found


def _facts(kinds: Mapping[tuple[str, str], list[tuple[str, bytes]]], provider: str) -> Facts:
    def rows(kind: str) -> list[tuple[str, bytes]]:
        return kinds.get((provider, kind), [])

    ended = {int(number): int(run) for number, run in rows("ended")}
    jobs = [load_fact(Job, value) for _, value in rows("job")]
    records = {job.id: Record(job, ended=ended.get(job.number)) for job in jobs}
    for job_id, events in _by_job(rows("event")).items():
        if record := records.get(job_id):
            record.events = tuple(load_fact(Event, value) for _, value in sorted(events))
    for delivery in sorted((load_fact(Delivery, value) for _, value in rows("delivery")), key=lambda one: one.number):
        if record := records.get(delivery.job_id):
            record.deliveries = (*record.deliveries, delivery)
    charges = sorted(
        ((int(index), load_fact(Charge, value)) for index, value in rows("charge")), key=lambda one: one[0]
    )
    facts = Facts(
        numbers={kind: int(value) for kind, value in rows("number")},
        records=list(records.values()),
        charges=[charge for _, charge in charges],
        assets=[load_fact(Asset, value) for _, value in rows("asset")],
        secrets=[load_fact(Secret, value) for _, value in rows("secret")],
        charged=charges[-1][0] if charges else 0,
    )
    for key, value in rows("taken"):
        limit, _, caller = key.split("/", 2)
        number, _, moment = value.decode().partition(":")
        facts.taken.setdefault((limit, caller), []).append((int(number), int(moment)))
    facts.put_in_order()
    return facts


def _by_job(rows: Iterable[tuple[str, bytes]]) -> Mapping[str, list[tuple[int, bytes]]]:
    found: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for key, value in rows:
        job_id, _, index = key.rpartition("/")
        found[job_id].append((int(index), value))
    return found
