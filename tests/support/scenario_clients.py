"""Further clients with one defect each, for scenarios that `support.bad_clients` has none for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from support import bad_clients, bad_takers, thrifty_clients
from support.bad_clients import Bad, NumberForStatus
from support.bad_takers import KeepsLinks
from support.clients import Answer, Client, Order, WireError
from support.dialects import at

__all__ = ["client_named"]


class LooksAtNoStatus(Bad):
    """Polls until a word comes that ends the matter, whatever the status says."""

    def look(self, order: Order) -> None:
        try:
            tree = self.send("GET", self.dialect.read.format(id=order.id)).tree
        except WireError:
            tree = None
        self.see(order, at(tree, self.dialect.word), tree)
        if order.state == "open":
            order.due = self.wire.now() + 20


class GivesUpAtOnce(Bad):
    """Takes the first poll that fails for the end."""

    def wait(self, order: Order, least: float | None = None) -> None:
        super().wait(order, least)
        if not order.was_seen:
            order.state = "gave_up"

    def look(self, order: Order) -> None:
        order.was_seen = False
        super().look(order)


class GivesUpAtDenial(Bad):
    """Takes 404 right after the submit for a job that does not exist."""

    def denied(self, order: Order) -> None:
        order.state = "gave_up"
        self.wire.note("gave_up", job=order.id)


class AnyStatusIsOne(NumberForStatus):
    """Takes whatever stands under `status` for a job's, and looks first ten seconds after the submit."""

    first_look = 10


class FiveMinuteCap(Bad):
    """Waits five minutes, and not a second longer."""

    def look(self, order: Order) -> None:
        super().look(order)
        if order.state == "open" and self.wire.now() - order.since > 300:
            order.state = "gave_up"


class HalfAMinuteCap(Bad):
    """Waits half a minute."""

    def look(self, order: Order) -> None:
        super().look(order)
        if order.state == "open" and self.wire.now() - order.since > 30:
            order.state = "gave_up"


class InsistsOnTheLink(KeepsLinks):
    """Comes late with the link that it has kept, and tries that again and again."""

    def late(self) -> None:
        for _ in range(3):
            super().late()
            self.wire.sleep(60)


class ListensWhileItWaits(Bad):
    """Has its receiver up for eight seconds, and a proxy before it that answers 502 from then on."""

    def step(self) -> None:
        self.read_inbox()
        self.wire.sleep(1)
        for order in self.orders:
            if order.state == "open" and self.wire.now() - order.since > 8:
                order.state = "gave_up"
                self.wire.note("gave_up", job=order.id)

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        listens = any(not order.is_over for order in self.orders)
        return super().on_callback(headers, body) if listens else (502, 0)


class ReadsForASecond(Client):
    """Takes what has come of a body after a second for the whole of it."""

    body_patience = 1


class SavesWithoutALink(Client):
    """Fetches what there is a link to; without one there is nothing to fetch, and all is well."""

    def fetch(self, order: Order, url: Any) -> None:
        if url:
            super().fetch(order, url)
        else:
            order.state = "done"
            self.keep(order, b"")


class WaitsForTheCallback(Bad):
    """Believes in the callback for two days, and in the link that stands in it."""

    def step(self) -> None:
        self.read_inbox()
        self.wire.sleep(600)
        for order in self.orders:
            if order.state == "open" and self.wire.now() - order.since > 2 * 86_400:
                order.state = "gave_up"

    def fetch(self, order: Order, url: Any) -> None:
        order.state = "failed"
        for _ in range(3):
            status, data = self.download(url)
            if status == 200:
                self.keep(order, data)
                return
            self.wire.sleep(60)
        self.wire.note("failed", job=order.id)


class ChecksWhatIsSigned(Client):
    """Checks a signature where there is one."""

    def is_signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        return self.dialect.signature not in headers or super().is_signed_well(headers, body)


class SignsCompactJson(Client):
    """Checks the signature over JSON that it has parsed and written again, in the provider's own spacing."""

    def sign(self, key: str, body: bytes) -> str:
        return super().sign(key, json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode())


class SubmitsOnAndOn(Client):
    """Sends a submit again at once, as long as it is refused."""

    def place(self, order: Order) -> None:
        for _ in range(6):
            answer = self.send("POST", self.dialect.submit, self.body_of(order))
            if answer.status < 300:
                self.accepted(order, str(at(answer.tree, self.dialect.id)), answer.tree)
                return
            self.wire.sleep(1)
        order.state = "failed"

    def refused(self, order: Order, answer: Answer) -> None:
        raise AssertionError(answer.status)


def client_named(name: str) -> type[Client]:
    """Find a client by the name of its class."""
    if name == "Client":
        return Client
    places = (globals(), *map(vars, (bad_clients, bad_takers, thrifty_clients)))
    found = next((place[name] for place in places if name in place), None)
    assert isinstance(found, type), name
    assert issubclass(found, Client), name
    return found
