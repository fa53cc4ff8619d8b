"""How callbacks can go, as far as a client has to cope with it, and how those of a world went. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from fauxvider.analysis.entries import Entry, moment_of, text_in, whole_in
from fauxvider.contract.model import Callbacks, Contract
from fauxvider.engine.callbacks import is_accepted, is_retried
from fauxvider.engine.facts import Attempt

__all__ = ["delivery_items", "faced_deliveries", "is_sent"]

_UNSENT = frozenset({"lose", "answer"})  # faults of a scenario that keep an attempt from being sent


def delivery_items(contract: Contract) -> dict[str, str]:
    """Give name -> about; nothing for a provider without callbacks."""
    callbacks = contract.callbacks
    if callbacks is None:
        return {}
    found = {f"event {word}": "a callback for this event" for word in callbacks.events.values()}
    found["taken at once"] = "the first attempt was accepted"
    if callbacks.retry.delays:
        found["taken on a retry"] = "an attempt failed, a later one was accepted"
    found |= {
        "given up": "no attempt was accepted, and none is to come",
        "never sent": "the provider believes that it was sent; the client never got it",
        "not in time": "the receiver did not answer within the provider's patience",
        "more than once": "the same callback came again after it had been accepted",
        "before the answer": "the callback came before the submit was answered",
    }
    if callbacks.signature is not None:
        found["forged"] = "the signature was missing, or did not fit the bytes"
        found["signed by the secret before"] = "the signature was made with the secret before the current one"
    return found


def is_sent(entry: Entry) -> bool:
    """Tell whether the bytes of an attempt came to the receiver."""
    return text_in(entry, "outcome") == "http" and not _faults(entry) & _UNSENT


def faced_deliveries(contract: Contract, entries: Sequence[Entry]) -> Counter[str]:
    """Count how the callbacks went, from the entries of one provider in the journal's order."""
    counts: Counter[str] = Counter()
    if contract.callbacks is None:
        return counts
    deliveries: dict[str, list[Entry]] = defaultdict(list)
    answered: set[str] = set()
    for entry in entries:
        job = text_in(entry, "job")
        if entry.get("kind") == "request" and job:
            answered.add(job)
        elif entry.get("kind") == "attempt":
            deliveries[text_in(entry, "delivery")].append(entry)
            counts.update(_of_attempt(entry))
            if is_sent(entry) and job not in answered:
                counts["before the answer"] += 1
    for attempts in deliveries.values():
        counts.update(_of_delivery(contract.callbacks, attempts))
    return counts


def _faults(entry: Entry) -> frozenset[str]:
    return frozenset(fault.strip().partition(" ")[0] for fault in text_in(entry, "fault").split(","))


def _of_attempt(entry: Entry) -> Iterable[str]:
    if is_sent(entry):
        yield f"event {text_in(entry, 'event')}"
        signature = text_in(entry, "signature")
        # Where the client has no secret, nothing is signed, and that is as it should be.
        if signature in ("wrong", "stale") or (signature == "none" and "sign" in _faults(entry)):
            yield "forged"
        if signature == "old":
            yield "signed by the secret before"
        if whole_in(entry, "copies"):
            yield "more than once"
    if text_in(entry, "outcome") == "timeout":
        yield "not in time"
    if text_in(entry, "outcome") == "lost":
        yield "never sent"


def _of_delivery(callbacks: Callbacks, attempts: Sequence[Entry]) -> Iterable[str]:
    taken = [number for number, entry in enumerate(attempts) if is_accepted(callbacks, _attempt_of(entry))]
    sent_after = [entry for entry in attempts[taken[0] + 1 :] if is_sent(entry)] if taken else []
    if taken:
        yield "taken on a retry" if taken[0] else "taken at once"
        if sent_after:
            yield "more than once"
    elif len(attempts) > len(callbacks.retry.delays) or not is_retried(callbacks, _attempt_of(attempts[-1])):
        yield "given up"


def _attempt_of(entry: Entry) -> Attempt:
    kind: Any = text_in(entry, "outcome")
    at = moment_of(entry)
    return Attempt(
        whole_in(entry, "number") or 0, at, at, "network" if kind == "lost" else kind, whole_in(entry, "status")
    )
