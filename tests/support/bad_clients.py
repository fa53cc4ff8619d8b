"""Clients with one defect each, as cited incidents had it (`support.bugs` says which, and what exposes it)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from support.clients import Answer, Client, Order, WireError
from support.dialects import at

__all__ = [
    "AnswersAfterTheWork",
    "AsksForCopies",
    "Bad",
    "BelievesTheLabel",
    "BelievesTheLastEvent",
    "CancelsLate",
    "ChecksNoSignature",
    "ComesLate",
    "FailureForSuccess",
    "ForgetsTheResult",
    "GivesUpEarly",
    "GoesBack",
    "Hammers",
    "IgnoresRetryAfter",
    "KeepsAnySize",
    "KeepsBlack",
    "KeepsHalves",
    "KeepsLinks",
    "KeepsOneSecret",
    "KeepsTheLabel",
    "KeyPerTry",
    "KnowsItsOwn",
    "NeverLeaves",
    "NoBackoff",
    "NumberForStatus",
    "OneKey",
    "OneSession",
    "OneTry",
    "PollsWithAWrongKey",
    "ProcessesCopies",
    "Redirects",
    "Resends",
    "RetriesRefusals",
    "Rotates",
    "RunsAgain",
    "RunsAgainForOldNews",
    "SavesTheLink",
    "SendsWhatIsForbidden",
    "SignsParsedJson",
    "StopsAtUnknown",
    "TrustsTheCallback",
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


class NeverLeaves(Bad):
    """The loop is left at success alone; everything else is still going on."""

    def fail(self, order: Order) -> None:
        order.state = "open" if self.wire.now() - order.since < 60 else "failed"


class NumberForStatus(Bad):
    """Reads `status` from whatever body comes, and takes 404 for a state like others."""

    def look(self, order: Order) -> None:
        if order.pause == 1:
            self.wire.sleep(HOUR)
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


class OneSession(Client):
    """Has the key as a default header of its one session."""

    def download(self, url: str) -> tuple[int, bytes]:
        name, value = self.dialect.key
        try:
            answer = self.wire.http("GET", url, {name: value})
        except WireError:
            return 599, b""
        return answer.status, answer.body
