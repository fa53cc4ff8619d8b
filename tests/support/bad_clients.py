"""Clients with one defect each, as cited incidents had it (`support.bugs` says which, and what exposes it).

Defects of asking and of reading answers; those of callbacks and of results are in `support.bad_takers`.
"""

from __future__ import annotations

import json
from typing import Any

from support.clients import Answer, Client, Order, WireError
from support.dialects import at

__all__ = [
    "Bad",
    "CancelsLate",
    "ComesLate",
    "FailureForSuccess",
    "ForgetsTheResult",
    "GivesUpEarly",
    "GoesBack",
    "Hammers",
    "IgnoresRetryAfter",
    "KeyPerTry",
    "NeverLeaves",
    "NoBackoff",
    "NumberForStatus",
    "OneKey",
    "OrdersAgain",
    "PollsWithAWrongKey",
    "Resends",
    "RetriesRefusals",
    "SendsWhatIsForbidden",
    "StopsAtUnknown",
    "WaitsForEver",
]

HOUR = 3_600.0


class Bad(Client):
    """What no bad client does: sweep at night."""

    def reconcile(self) -> None:
        self.read_inbox()


# --- money


class Resends(Client):
    """Sends the POST again whenever its answer does not come."""

    def may_resend(self, _order: Order) -> bool:
        return True


class KeyPerTry(Client):
    """Makes an idempotency key for each try."""

    def key_of(self, order: Order, number: int) -> str:
        return f"{order.intent}-{number}"


class OneKey(Client):
    """Has one idempotency key for everything."""

    def key_of(self, _order: Order, _number: int) -> str:
        return "my-app"


class CancelsLate(Bad):
    """Cancels after two minutes, without a look at what the answer shows."""

    def step(self) -> None:
        self.wire.sleep(120)
        for order in self.orders:
            self.send("POST", self.dialect.cancel.format(id=order.id))
            order.state = "gave_up"


class ForgetsTheResult(Bad):
    """Is glad of COMPLETED, and leaves the picture where it is."""

    def fetch(self, order: Order, url: Any) -> None:
        order.state = "done"
        self.wire.note("processed", job=order.id)


class ComesLate(Bad):
    """Looks once, when the night job runs."""

    def step(self) -> None:
        self.wire.sleep(2 * HOUR)
        for order in self.orders:
            order.since = self.wire.now() - 2 * HOUR
            self.look(order)
            order.state = "gave_up" if order.state == "open" else order.state


# --- polling


class OrdersAgain(Bad):
    """Waits a second for an answer, and takes a poll that has none for a job that is lost: it makes a new one."""

    patience = 1

    def look(self, order: Order) -> None:
        try:
            answer = self.send("GET", self.dialect.read.format(id=order.id))
        except WireError:
            order.state = "new"
            self.place(order)
            return
        self.see(order, at(answer.tree, self.dialect.word), answer.tree)
        self.wait(order)


class NeverLeaves(Bad):
    """The loop is left at success alone; everything else is still going on."""

    def fail(self, order: Order) -> None:
        order.state = "open" if self.wire.now() - order.since < 60 else "failed"


class NumberForStatus(Bad):
    """Reads `status` from whatever body comes, and takes 404 for a state like others."""

    first_look = HOUR

    def look(self, order: Order) -> None:
        if order.pause == 1:
            self.wire.sleep(self.first_look)
        for _ in range(10):
            tree = self.send("GET", self.dialect.read.format(id=order.id)).tree
            word = at(tree, self.dialect.word)
            if word in self.dialect.done | self.dialect.failed:
                self.see(order, word, tree)
                return
            self.wire.note("believes", job=order.id, text=str(word))
            self.wire.sleep(5)
        order.state = "gave_up"


class Hammers(Client):
    """Polls as fast as it can."""

    def wait(self, order: Order, least: float | None = None) -> None:
        order.due = self.wire.now() + 0.05


class NoBackoff(Client):
    """Waits a second and tries again, whatever is said."""

    def wait(self, order: Order, least: float | None = None) -> None:
        order.due = self.wire.now() + 1


class IgnoresRetryAfter(Client):
    """Knows 429, and does not read how long."""

    def wait(self, order: Order, least: float | None = None) -> None:
        super().wait(order)


class GivesUpEarly(Bad):
    """Has a cap of its own, shorter than what the provider allows itself."""

    def look(self, order: Order) -> None:
        super().look(order)
        if order.state == "open" and self.wire.now() - order.since > 5:
            order.state = "gave_up"


class WaitsForEver(Bad):
    """Has no deadline: it looks every quarter of an hour as long as it is not told of an end."""

    def wait(self, order: Order, least: float | None = None) -> None:
        order.due, order.pause = self.wire.now() + 900, order.pause + 1
        if order.pause > 200:  # the test's own patience
            order.state = "gave_up"

    def give_up(self, order: Order) -> None:
        """It never does."""


class StopsAtUnknown(Bad):
    """Takes a word that it does not know for the end of the matter."""

    def see(self, order: Order, word: Any, tree: Any) -> None:
        super().see(order, word, tree)
        if order.state == "open" and word not in ("IN_QUEUE", "IN_PROGRESS", "queued", "running", "PROCESSING"):
            order.state = "gave_up"


class GoesBack(Bad):
    """On success it reads the record once more for the output, and believes what it sees then."""

    def fetch(self, order: Order, url: Any) -> None:
        if order.told is None:
            order.told = "read again"
        else:
            super().fetch(order, url)

    def wait(self, order: Order, least: float | None = None) -> None:
        order.due = self.wire.now() + 2


# --- answers


class RetriesRefusals(Client):
    """Any status that is not 2xx is worth another try."""

    def refused(self, order: Order, answer: Answer) -> None:
        for _ in range(4):
            self.wire.sleep(1)
            self.send("POST", self.dialect.submit, self.body_of(order))
        super().refused(order, answer)

    def body_of(self, order: Order) -> dict[str, Any]:
        return _spoiled(super().body_of(order))


def _spoiled(body: dict[str, Any]) -> dict[str, Any]:
    """Give a body without its prompt."""
    tree = json.loads(json.dumps(body))
    for holder in (tree.get("input"), tree.get("promptObject")):
        if holder is not None:
            holder.pop("prompt")
    return tree


class PollsWithAWrongKey(Bad):
    """Looks at no status on polls: a 401 is one more `not yet`."""

    def look(self, order: Order) -> None:
        for _ in range(6):
            self.wire.http("GET", self.base + self.dialect.read.format(id=order.id), {})
            self.wire.sleep(10)
        order.state = "gave_up"


class SendsWhatIsForbidden(Client):
    """Has its own idea of what a request needs."""

    def body_of(self, order: Order) -> dict[str, Any]:
        return _spoiled(super().body_of(order))


class FailureForSuccess(Bad):
    """Hands out `output` and never looks at the word beside it."""

    def fail(self, order: Order) -> None:
        order.state = "done"
        self.wire.note("processed", job=order.id)
