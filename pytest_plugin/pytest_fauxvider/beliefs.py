"""What the client under test believes, in the machine's terms: which orders it means, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider import UsageError
from pytest_fauxvider.invariants import Claims, JobFacts, Model

__all__ = ["WORDS", "Beliefs", "Intent", "Order"]

WORDS = ("open", "succeeded", "failed", "gave up")


@dataclass(frozen=True, slots=True)
class Intent:
    """One picture that somebody wants. Its `prompt` (or `name`) must stand in the request: so it is known again."""

    number: int
    name: str
    prompt: str
    callback_url: str
    model: str = ""


@dataclass(slots=True)
class Order:
    """An intent, and the handle that the client's `submit` gave for it."""

    intent: Intent
    handle: Any = None


class Beliefs:
    """Asks the client, and translates. `call` runs one of its methods, whether it is a coroutine or not."""

    def __init__(self, client: Any, model: Model, call: Callable[..., Any]) -> None:
        self._client = client
        self._model = model
        self._call = call
        self._has = {
            name: callable(getattr(client, name, None))
            for name in ("begin", "poll", "on_callback", "cancel", "restart", "results", "status", "open_jobs")
        }
        self.orders: list[Order] = []

    def has(self, name: str) -> bool:
        return self._has[name]

    def handles(self) -> list[Any]:
        """Give the handles of what the client can be asked to look at."""
        if self._has["open_jobs"]:
            return list(self._call(self._client.open_jobs) or ())
        return [order.handle for order in self.orders if order.handle is not None]

    def order_of(self, handle: Any) -> Order | None:
        """Find what the client means: the handle that it gave, an intent or its name, or the provider's id."""
        for order in self.orders:
            if handle in (order.intent.name, order.intent) or (handle is not None and handle == order.handle):
                return order
        job = self._model.jobs.get(handle) if isinstance(handle, str) else None
        return next((one for one in self.orders if job and one.intent.number == job.order), None)

    def order_in(self, body: bytes) -> int | None:
        """Find the order that a request was for, by what stands in it."""
        for order in reversed(self.orders):
            if order.intent.name.encode() in body:
                return order.intent.number
        return None

    def is_of(self, handle: Any, job: JobFacts) -> bool:
        """Whether a handle stands for the order that a job was for."""
        order = self.order_of(handle)
        return order is not None and order.intent.number == job.order

    def named(self, handle: Any) -> str:
        order = self.order_of(handle)
        return f"order {order.intent.number}" if order is not None else repr(handle)

    def pending(self) -> list[Any]:
        """Give the handles that the client still waits for, as far as it can be known."""
        done = {number for number, _ in self.results()}
        return [handle for handle in self.handles() if self._is_pending(handle, done)]

    def _is_pending(self, handle: Any, done: set[int]) -> bool:
        order = self.order_of(handle)
        word = self.word(handle)
        if word is not None:
            return word == "open"
        if order is not None and order.intent.number in done:
            return False
        jobs = self._model.of_order(order.intent.number) if order is not None else []
        return not jobs or not all(job.had_its_chance for job in jobs)

    def word(self, handle: Any) -> str | None:
        """Ask for the client's word on an order. Raises UsageError for one that means nothing."""
        if not self._has["status"]:
            return None
        word = self._call(self._client.status, handle)
        if word is None or word in WORDS:
            return word  # type: ignore[no-any-return]
        raise UsageError(f"status() gives one of {', '.join(WORDS)}, or None; not {word!r}")

    def results(self) -> list[tuple[int, Any]]:
        """Ask for what was handed on: (number of the order, value). Raises UsageError for what is none of ours."""
        if not self._has["results"]:
            return []
        given = self._call(self._client.results)
        items = given.items() if isinstance(given, Mapping) else given or ()
        return [self._result(item) for item in items]

    def _result(self, item: Any) -> tuple[int, Any]:
        is_pair = isinstance(item, tuple) and len(item) == 2
        handle, value = item if is_pair else (item, None)
        order = self.order_of(handle) if isinstance(handle, Hashable) else None
        if order is None:
            raise UsageError(
                f"results() names {handle!r}: no handle that submit() gave, no intent, no job of this world"
            )
        return order.intent.number, value

    def claims(self) -> Claims:
        words = {}
        for order in self.orders:
            if order.handle is not None and (word := self.word(order.handle)) is not None:
                words[order.intent.number] = word
        jobs = {order.intent.number: order.handle for order in self.orders if isinstance(order.handle, str)}
        return Claims(self.results(), words, jobs, hands_on=self._has["results"])
