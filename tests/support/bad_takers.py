"""Clients with one defect each in what they take: callbacks, links, pictures (`support.bugs` says what exposes it)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from support.bad_clients import Bad
from support.clients import Client, Order, WireError
from support.dialects import at

__all__ = [
    "AnswersAfterTheWork",
    "AsksForCopies",
    "BelievesTheLabel",
    "BelievesTheLastEvent",
    "ChecksNoSignature",
    "FetchesInParts",
    "KeepsAnySize",
    "KeepsBlack",
    "KeepsHalves",
    "KeepsLinks",
    "KeepsOneSecret",
    "KeepsTheLabel",
    "KnowsItsOwn",
    "KnowsItselfByTheKey",
    "MatchesByOrder",
    "OneSession",
    "OneTry",
    "ProcessesCopies",
    "Redirects",
    "Rotates",
    "RunsAgain",
    "RunsAgainForOldNews",
    "SavesTheLink",
    "SignsParsedJson",
    "TrustsTheCallback",
]


# --- callbacks


class TrustsTheCallback(Bad):
    """Never looks for itself."""

    def step(self) -> None:
        self.read_inbox()
        self.wire.sleep(5)
        for order in self.orders:
            if order.state == "open" and self.wire.now() - order.since > 120:
                order.state = "gave_up"


class AnswersAfterTheWork(Client):
    """Does the work first and answers then."""

    busy = 2

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        status, _ = super().on_callback(headers, body)
        if type(self).busy:
            type(self).busy -= 1
            return status, 25
        return status, 0


class ProcessesCopies(Client):
    """Works off every callback that comes, and does not remember which job it was for."""

    def called(self, order: Order, payload: Any) -> None:
        super().called(order, payload)

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        status, took = super().on_callback(headers, body)
        if status == 200:
            job = str(at(json.loads(body), self.dialect.callback_id))
            self.wire.note("processed", job=job)
        return status, took

    def keep(self, order: Order, data: bytes) -> None:
        self.wire.note("saved", job=order.id)


class RunsAgain(Client):
    """Runs a failed job once more under its id: no defect."""

    def fail(self, order: Order) -> None:
        if order.intent in self.ran_again or self.send("POST", self.dialect.again.format(id=order.id)).status != 200:
            super().fail(order)
            return
        self.ran_again.add(order.intent)
        order.state, order.due = "open", self.wire.now() + 5

    @property
    def ran_again(self) -> set[str]:
        return self.__dict__.setdefault("_again", set())


class BelievesTheLastEvent(RunsAgain):
    """The callback that came last is right, whatever was known before."""

    def read_inbox(self) -> None:
        for payload in self.inbox:
            for order in self.orders:
                if order.id == at(payload, self.dialect.callback_id) and order.state == "done":
                    self.wire.note("believes", job=order.id, text=str(at(payload, self.dialect.callback_word)))
        super().read_inbox()


class RunsAgainForOldNews(RunsAgain):
    """A callback that tells of a failure is answered by another run, whatever was known before."""

    def read_inbox(self) -> None:
        for payload in self.inbox:
            if at(payload, self.dialect.callback_word) in self.dialect.failed:
                self.send("POST", self.dialect.again.format(id=at(payload, self.dialect.callback_id)))
        super().read_inbox()


class MatchesByOrder(Bad):
    """Takes the callbacks for its orders one after the other, with the picture that is in each."""

    def read_inbox(self) -> None:
        payloads, self.inbox = self.inbox, []
        for payload in payloads:
            order = next((one for one in self.orders if not one.is_over), None)
            if order is not None:
                self.see(order, at(payload, self.dialect.callback_word), payload)


class ChecksNoSignature(Client):
    """Takes every callback."""

    def is_signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        return True


class SignsParsedJson(Client):
    """Checks the signature over JSON that it has parsed and written again."""

    def sign(self, key: str, body: bytes) -> str:
        return super().sign(key, json.dumps(json.loads(body)).encode())


class Rotates(Client):
    """Makes a new secret current before it begins, and keeps the old one: no defect."""

    def prepare(self) -> None:
        super().prepare()
        self.new_secret()


class KeepsOneSecret(Rotates):
    """Knows the current secret alone."""

    def is_signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        return headers.get(self.dialect.signature, "") == self.sign(self.keys[0], body)


class Redirects(Client):
    """Is registered under http and lives under https."""

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        return 301, 0


class KnowsItsOwn(Client):
    """Answers 404 to what it does not know yet."""

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        job = at(json.loads(body), self.dialect.callback_id)
        if not any(order.id == job for order in self.orders):
            return 404, 0
        return super().on_callback(headers, body)


class AsksForCopies(Client):
    """Asks for the callback again and again instead of reading the record."""

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        return 503, 0

    def step(self) -> None:
        self.wire.sleep(20)
        for order in self.orders:
            for _ in range(5):
                self.send("POST", f"/v1/runs/{order.id}/callback-redeliveries")
                self.wire.sleep(20)
            self.look(order)


# --- results


class KeepsLinks(Bad):
    """Stores the link, and takes the picture when somebody wants to see it."""

    links: dict[str, str]

    def fetch(self, order: Order, url: Any) -> None:
        order.state = "done"
        order.told = url

    def late(self) -> None:
        for order in self.orders:
            self.wire.http("GET", str(order.told), {})


class FetchesInParts(Bad):
    """Asks for a picture in parts and joins what comes, without a look at the status."""

    part = 60

    def download(self, url: str) -> tuple[int, bytes]:
        whole = int(self.wire.http("HEAD", url, {}).headers["content-length"])
        spans = [f"bytes={first}-{first + self.part - 1}" for first in range(0, whole, self.part)]
        return 200, b"".join([self.wire.http("GET", url, {"Range": span}).body for span in spans])


class OneTry(Bad):
    """Tries a download once."""

    def fetch(self, order: Order, url: Any) -> None:
        order.state = "failed"
        status, data = self.download(url)
        if status == 200:
            self.keep(order, data)
        else:
            self.wire.note("failed", job=order.id)


class SavesTheLink(Bad):
    """Says `saved` when it has written the link into its database, empty or not."""

    def fetch(self, order: Order, url: Any) -> None:
        order.state = "done"
        self.keep(order, str(url).encode())


class KeepsHalves(Client):
    """Stores what came."""

    def is_good(self, data: bytes) -> bool:
        return True


class KeepsBlack(Client):
    """Is content with whatever opens."""

    def shows_something(self, image: Image.Image) -> bool:
        return True


class KeepsAnySize(Client):
    """Believes the record about the size."""

    def has_size(self, image: Image.Image) -> bool:
        return True


class BelievesTheLabel(Client):
    """Takes for a picture what is called one, and nothing else."""

    def download(self, url: str) -> tuple[int, bytes]:
        answer = self.wire.http("GET", url, {})
        is_picture = answer.headers.get("content-type", "").startswith("image/")
        return (answer.status, answer.body) if is_picture else (415, b"")


class KeepsTheLabel(Client):
    """Stores the picture under the content-type that came with it."""

    label = ""

    def download(self, url: str) -> tuple[int, bytes]:
        answer = self.wire.http("GET", url, {})
        self.label = answer.headers.get("content-type", "")
        return answer.status, answer.body

    def keep(self, order: Order, data: bytes) -> None:
        self.wire.note("saved", job=order.id, text=self.label)


class KnowsItselfByTheKey(Client):
    """Puts the API key into the callback address, so that it knows a callback for its own."""

    def body_of(self, order: Order) -> dict[str, Any]:
        key = self.dialect.key[1].removeprefix("Bearer ")
        return {**super().body_of(order), self.dialect.callback: f"{self.hook}?token={key}"}


class OneSession(Client):
    """Has the key as a default header of its one session."""

    def download(self, url: str) -> tuple[int, bytes]:
        name, value = self.dialect.key
        try:
            answer = self.wire.http("GET", url, {name: value})
        except WireError:
            return 599, b""
        return answer.status, answer.body
