"""Journals made up for tests: one method per thing that happens, moments in seconds since the start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from fauxvider.clock import EPOCH

__all__ = [
    "DAY", "HOUR", "MINUTE", "Cases", "Tale", "called", "called_back", "crowd", "done", "ended", "submitted", "told",
]  # fmt: skip

MINUTE, HOUR, DAY = 60, 3_600, 86_400
WORDS = {"queued": "IN_QUEUE", "running": "IN_PROGRESS", "succeeded": "COMPLETED", "failed": "FAILED",
         "cancelled": "CANCELLED", "timed_out": "TIMED_OUT"}  # fmt: skip


class Tale:
    """Entries of the sample contract's journal (tests/data/acme.yaml). Every method gives the tale itself."""

    def __init__(self, provider: str = "acme") -> None:
        self.provider = provider
        self.entries: list[dict[str, Any]] = []
        self._number = 0

    def add(self, at: float, kind: str, **facts: Any) -> Tale:
        moment = EPOCH + round(at * 1000)
        kept = {name: value for name, value in facts.items() if value not in ("", None)}
        self.entries.append({"at": moment, "kind": kind, **kept})
        return self

    def request(
        self, at: float, does: str, path: str, *, method: str = "GET", ended: float | None = None, **facts: Any
    ) -> Tale:
        self._number += 1
        over = None if ended is None else EPOCH + round(ended * 1000)
        facts.setdefault("status", 200)
        facts.setdefault("key", "k1")
        return self.add(
            at, "request", provider=self.provider, does=does, method=method, path=path, number=self._number, ended=over,
            **facts,
        )  # fmt: skip

    def submit(
        self, at: float = 0, job: str = "J1", *, intent: str = "", fingerprint: str = "f1", address: str = "",
        operation: str = "run", model: str = "dev", price: str = "0.02", leaks: str = "", answered: bool = True, **facts: Any,
    ) -> Tale:  # fmt: skip
        """A job is accepted and the POST answered 201, unless facts (fault, status, ended) say otherwise."""
        facts = {"status": 201, "state": "queued", "word": "IN_QUEUE", **facts}
        if answered:
            self.request(
                at, "submit", f"/v2/acme-dev/{operation}", method="POST", job=job, operation=operation, intent=intent,
                fingerprint=fingerprint, **facts,
            )  # fmt: skip
        else:
            self._number += 1
        return self.add(
            at, "accepted", provider=self.provider, job=job, operation=operation, model=model, price=price,
            intent=intent, fingerprint=fingerprint, address=address, key="k1", number=self._number, leaks=leaks,
        )  # fmt: skip

    def poll(
        self, at: float, state: str = "running", job: str = "J1", *, word: str | None = None, **facts: Any
    ) -> Tale:
        word = WORDS[state] if word is None else word
        return self.request(
            at, "read", f"/v2/acme-dev/status/{job}", job=job, operation="status", state=state, word=word, **facts
        )

    def polls(self, moments: Iterable[float], state: str = "running", job: str = "J1", **facts: Any) -> Tale:
        for at in moments:
            self.poll(at, state, job, **facts)
        return self

    def denied(self, at: float, job: str = "J1", **facts: Any) -> Tale:
        facts = {"status": 404, "cause": "job_unknown", **facts}
        return self.request(at, "read", f"/v2/acme-dev/status/{job}", operation="status", **facts)

    def ask(self, at: float, does: str, job: str = "J1", **facts: Any) -> Tale:
        """Cancel, retry, redeliver, deliveries, list: whatever is about a job and is no look at its state."""
        return self.request(at, does, f"/v2/acme-dev/{does}/{job}", method="POST", job=job, operation=does, **facts)

    def refused(self, at: float, cause: str, status: int, *, fingerprint: str = "f1", **facts: Any) -> Tale:
        facts = {"method": "POST", "operation": "run", **facts}
        return self.request(
            at, "submit", "/v2/acme-dev/run", status=status, cause=cause, fingerprint=fingerprint, **facts
        )

    def end(
        self, at: float, state: str = "succeeded", job: str = "J1", *, billed: bool | None = None, failure: str = ""
    ) -> Tale:
        self.add(at, "ended", provider=self.provider, job=job, state=state, word=WORDS[state], failure=failure)
        if state == "succeeded" if billed is None else billed:
            self.add(at, "charged", provider=self.provider, job=job, amount="0.02", unit="USD", rule="/models/dev/cost")
        return self

    def file(self, at: float, job: str = "J1", **facts: Any) -> Tale:
        facts = {"operation": "file", "key": "", **facts}
        return self.request(at, "file", "/0123456789abcdef/output.jpg", job=job, **facts)

    def dead_file(self, at: float, job: str = "J1", **facts: Any) -> Tale:
        return self.file(at, job, status=403, cause="url_expired", **facts)

    def attempt(
        self, at: float, outcome: str | int = 200, job: str = "J1", *, number: int = 1, delivery: str = "D1",
        signature: str = "good", event: str = "run.completed", **facts: Any,
    ) -> Tale:  # fmt: skip
        status = outcome if isinstance(outcome, int) else None
        return self.add(
            at, "attempt", provider=self.provider, job=job, delivery=delivery, number=number, event=event,
            address="http://127.0.0.1/hook", outcome="http" if status else outcome, status=status, signature=signature,
            **facts,
        )  # fmt: skip

    def fault(self, at: float, name: str, job: str = "J1") -> Tale:
        return self.add(at, "fault", provider=self.provider, rule=1, name=name, target=job)

    def note(self, at: float, said: str, text: str = "", job: str = "J1") -> Tale:
        return self.add(at, "note", job=job, said=said, text=text)

    # --- several at once

    def repeated(self, cause: str, status: int, moments: Iterable[float], **facts: Any) -> Tale:
        for at in moments:
            self.refused(at, cause, status, **facts)
        return self

    def throttled(self, moments: Iterable[float], **facts: Any) -> Tale:
        return self.repeated("rate", 429, moments, **facts)

    def all_denied(self, moments: Iterable[float], **facts: Any) -> Tale:
        for at in moments:
            self.denied(at, **facts)
        return self

    def all_missing(self, moments: Iterable[float]) -> Tale:
        for at in moments:
            self.file(at, status=404, cause="url_unknown")
        return self

    def ladder(self, *outcomes: int | str) -> Tale:
        for number, outcome in enumerate(outcomes, 1):
            self.attempt(3 + number, outcome, number=number)
        return self

    def asks(self, does: str, moments: Iterable[float], **facts: Any) -> Tale:
        for at in moments:
            self.ask(at, does, **facts)
        return self

    def replayed(self) -> Tale:
        """The same POST under the same idempotency key: the first answer again."""
        return self.request(
            1, "submit", "/v2/acme-dev/run", method="POST", job="J1", operation="run", intent="i1", fingerprint="f1",
            state="queued", word="IN_QUEUE",
        )  # fmt: skip


# What it is, the tale, now in seconds; by rule.
Cases: TypeAlias = dict[str, list[tuple[str, Tale, float]]]


def submitted() -> Tale:
    return Tale().submit()


def ended() -> Tale:
    return submitted().end(4)


def told() -> Tale:
    """A job that succeeded, and a poll that showed it."""
    return ended().poll(5, "succeeded")


def done() -> Tale:
    """A job that goes well, fetched at once."""
    return submitted().poll(1).end(4).poll(5, "succeeded").file(5)


def called_back() -> Tale:
    return Tale().submit(address="http://h/")


def called() -> Tale:
    """A job with a callback address that succeeded."""
    return called_back().end(4)


def crowd() -> Tale:
    tale = Tale()
    for number in range(11):
        tale.submit(0, f"J{number}", fingerprint=f"f{number}").poll(number / 20, job=f"J{number}")
    return tale
