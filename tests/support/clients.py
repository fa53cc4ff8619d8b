"""Reference clients: what a careful integrator writes, against a transport that is handed in.

Three styles (polling, webhook, hybrid) over the providers' data tables (`support.dialects`). The verdict finds
nothing in what they do, whatever happens to them; `support.bad_clients` have one defect each. No sockets, no clock.
"""

from __future__ import annotations

import hmac
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from PIL import Image

from support.dialects import Dialect, at

__all__ = ["PATIENCE", "Answer", "Client", "Order", "Style", "Transport", "WireError"]

Style: TypeAlias = Literal["polling", "webhook", "hybrid"]

# Seconds.
PATIENCE = 30  # with an answer, or with a callback's body
DEADLINE = 900  # longer than any documented run
FRESH = 60  # how long a look-up may be behind the submit
SLOWEST = 30
QUIET = 60  # how long a webhook client waits before it looks for itself


class WireError(Exception):
    """No answer, or not the whole of it. `Transport.http` raises it."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes

    @property
    def tree(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def retry_after(self) -> float | None:
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdigit() else None


class Transport(Protocol):
    """What a client is given. `note` says what the client did: processed, saved, failed, gave_up, believes."""

    def http(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, patience: float = PATIENCE
    ) -> Answer: ...
    def sleep(self, seconds: float) -> None: ...
    def now(self) -> float: ...
    def note(self, said: str, *, job: str = "", text: str = "") -> None: ...


@dataclass(slots=True)
class Order:
    """One picture that is wanted, and how far it is."""

    prompt: str
    intent: str
    state: Literal["new", "open", "done", "failed", "gone", "gave_up", "lost"] = "new"
    id: str = ""
    since: float = 0
    due: float = 0
    barred: float = 0  # until when the provider does not want to be asked
    pause: float = 1
    was_seen: bool = False
    told: Any = None  # a callback's payload
    picture: bytes = b""

    @property
    def is_over(self) -> bool:
        return self.state not in ("new", "open")


@dataclass(slots=True)
class Client:
    """`hook` is the address at which `on_callback` is reached."""

    patience: ClassVar[float] = PATIENCE  # with an answer
    body_patience: ClassVar[float] = PATIENCE  # with the body of a callback
    dialect: Dialect
    wire: Transport
    base: str
    style: Style = "polling"
    hook: str = ""
    orders: list[Order] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # signing secrets that are good, the current one first
    inbox: list[Any] = field(default_factory=list)

    # --- the whole of it

    def run(self, prompts: list[str]) -> None:
        self.prepare()
        for prompt in prompts:
            order = Order(prompt, intent=f"intent-{len(self.orders)}-{prompt}")
            self.orders.append(order)
            self.place(order)
        while any(not order.is_over for order in self.orders):
            self.step()

    def prepare(self) -> None:
        if self.takes_callbacks and self.dialect.secrets:
            self.new_secret()

    def new_secret(self) -> None:
        made = self.send("POST", self.dialect.secrets, {"label": f"s{len(self.keys)}"}).tree
        self.keys.insert(0, made["plain_secret"])
        if len(self.keys) > 1:
            self.send("PATCH", f"{self.dialect.secrets}/{made['id']}", {"is_current": True})

    @property
    def takes_callbacks(self) -> bool:
        return self.style != "polling" and bool(self.dialect.callback) and bool(self.hook)

    def step(self) -> None:
        """Do what is due now, and sleep until something else may be."""
        self.read_inbox()
        for order in self.orders:
            if order.state == "open" and order.due <= self.wire.now():
                self.look(order)
                if order.state == "open" and self.wire.now() - order.since > DEADLINE:
                    self.give_up(order)
        waits = [order.due - self.wire.now() for order in self.orders if order.state == "open"]
        if waits:
            self.wire.sleep(max(0.05, min([*waits, SLOWEST])))

    def reconcile(self) -> None:
        """The nightly sweep: whatever is still not known is looked up once more."""
        for order in self.orders:
            if order.state == "gave_up":
                order.state = "open"
        self.adopt()
        self.read_inbox()
        for order in self.orders:
            if order.state == "open":
                self.wire.sleep(max(0.0, order.barred - self.wire.now()))
                self.look(order)
            if order.state == "open" and self.was_told(order):
                self.fetch(order, at(order.told, self.dialect.url))
            if order.state == "open":
                order.state = "gave_up"

    def late(self) -> None:
        """What is done days later; the reference has nothing left to do."""

    # --- asking

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        name, value = self.dialect.key
        sent = {name: value, **{key.replace("_", "-"): text for key, text in headers.items()}}
        if body is None:
            return self.wire.http(method, self.base + path, sent, patience=self.patience)
        sent["Content-Type"] = "application/json"
        return self.wire.http(method, self.base + path, sent, json.dumps(body).encode(), patience=self.patience)

    def body_of(self, order: Order) -> dict[str, Any]:
        body = self.dialect.body(order.prompt)
        return {**body, self.dialect.callback: self.hook} if self.takes_callbacks else body

    def place(self, order: Order) -> None:
        """Submit. What may have been accepted is sent again under its idempotency key only."""
        pause = 1.0
        for number in range(6):
            if number:
                self.wire.sleep(pause)
                pause *= 2
            headers = {self.dialect.idempotency: self.key_of(order, number)} if self.dialect.idempotency else {}
            try:
                answer = self.send("POST", self.dialect.submit, self.body_of(order), **headers)
            except WireError:
                if self.may_resend(order):
                    continue
                break
            if answer.status == 429:
                pause = max(pause, answer.retry_after or 0)
                continue
            if 400 <= answer.status < 500:
                self.refused(order, answer)
                return
            if answer.status < 300 and (job := at(answer.tree, self.dialect.id)):
                self.accepted(order, str(job), answer.tree)
                return
            if not self.may_resend(order):
                break
        order.state = "lost"
        self.wire.note("gave_up", text=order.prompt)

    def key_of(self, order: Order, _number: int) -> str:
        return order.intent

    def may_resend(self, _order: Order) -> bool:
        return bool(self.dialect.idempotency)

    def refused(self, order: Order, answer: Answer) -> None:
        order.state = "failed"
        self.wire.note("failed", text=f"refused with {answer.status}")

    def accepted(self, order: Order, job: str, tree: Any) -> None:
        order.id, order.state = job, "open"
        order.since = self.wire.now()
        order.due = order.since + (QUIET if self.style == "webhook" and self.takes_callbacks else order.pause)
        self.see(order, at(tree, self.dialect.word), tree)

    # --- looking

    def look(self, order: Order) -> None:
        """Read the record and follow what it shows."""
        try:
            answer = self.send("GET", self.dialect.read.format(id=order.id))
        except WireError:
            self.wait(order)
            return
        word = at(answer.tree, self.dialect.word)
        if answer.status == 429 or answer.status >= 500:
            self.wait(order, answer.retry_after)
        elif answer.status in (401, 402, 403):
            self.fail(order)
        elif answer.status >= 400 or (answer.tree is not None and not word):
            self.denied(order)
        else:
            order.was_seen = order.was_seen or bool(word)
            self.see(order, word, answer.tree)
            if order.state == "open":
                self.wait(order)

    def wait(self, order: Order, least: float | None = None) -> None:
        order.pause = min(SLOWEST, order.pause * 1.5)
        order.due = self.wire.now() + max(order.pause, least or 0)
        order.barred = self.wire.now() + (least or 0)

    def denied(self, order: Order) -> None:
        """A fresh job may not be known yet; any other one is gone, and its callback is all that is left of it."""
        self.read_inbox()
        if order.is_over:
            return
        if not order.was_seen and self.wire.now() - order.since < FRESH:
            self.wait(order)
        elif self.was_told(order):
            self.fetch(order, at(order.told, self.dialect.url))
        else:
            order.state = "gone"
            self.wire.note("failed", job=order.id)

    def was_told(self, order: Order) -> bool:
        """Whether a callback tells of success, for when the record cannot be read."""
        return order.told is not None and at(order.told, self.dialect.callback_word) in self.dialect.done

    def see(self, order: Order, word: Any, tree: Any) -> None:
        """The first terminal word is final; a word that nobody knows is no end."""
        if order.is_over:
            return
        if word in self.dialect.done:
            self.fetch(order, at(tree, self.dialect.url))
        elif word in self.dialect.failed:
            self.fail(order)

    def fail(self, order: Order) -> None:
        order.state = "failed"
        self.wire.note("failed", job=order.id)

    def give_up(self, order: Order) -> None:
        """Cancel, so that nothing is billed for nobody; the answer may tell that it ended after all."""
        if self.dialect.cancel:
            try:
                tree = self.send("POST", self.dialect.cancel.format(id=order.id)).tree
            except WireError:
                tree = None
            self.see(order, at(tree, self.dialect.word), tree)
        if not order.is_over:
            order.state = "gave_up"
            self.wire.note("gave_up", job=order.id)

    # --- fetching

    def fetch(self, order: Order, url: Any) -> None:
        """Download, with patience: links come late, die early, and break on the way."""
        order.state = "done"
        pause, looks = 2.0, 0
        for _ in range(8):
            if isinstance(url, str) and url:
                status, data = self.download(url)
                if status == 200 and self.is_good(data):
                    self.keep(order, data)
                    return
            else:
                status = 0
            self.wire.sleep(max(pause, order.barred - self.wire.now()))
            pause *= 2
            # A link that is refused is not tried again as it is; nor is the record read for ever.
            if status in (0, 403, 404, 410):
                looks += 1
                url = self.look_for_url(order, url) if looks <= (2 if status == 0 else 7) else None
                if url is None:
                    break
        order.state = "failed"
        self.wire.note("failed", job=order.id)

    def look_for_url(self, order: Order, url: Any) -> Any:
        """Give the link that the record shows now; None where there is no record any more."""
        try:
            answer = self.send("GET", self.dialect.read.format(id=order.id))
        except WireError:
            return url
        order.barred = self.wire.now() + (answer.retry_after or 0)
        is_gone = answer.status in (404, 410) or (answer.status == 200 and not at(answer.tree, self.dialect.word))
        return None if is_gone else at(answer.tree, self.dialect.url) or url

    def download(self, url: str) -> tuple[int, bytes]:
        """Give status and bytes; the key stays with the API."""
        try:
            answer = self.wire.http("GET", url, {}, patience=self.patience)
        except WireError:
            return 599, b""
        whole = answer.headers.get("content-length")
        is_cut = whole is not None and len(answer.body) != int(whole)
        return (599, b"") if is_cut else (answer.status, answer.body)

    def is_good(self, data: bytes) -> bool:
        """Whether it opens, shows something, and has the size that was asked for, whatever it is called."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                return self.has_size(image) and self.shows_something(image)
        except Exception:
            return False

    def has_size(self, image: Image.Image) -> bool:
        return image.size == self.dialect.size

    def shows_something(self, image: Image.Image) -> bool:
        return image.convert("L").getextrema() != (0, 0)

    def keep(self, order: Order, data: bytes) -> None:
        order.picture = data
        self.wire.note("saved", job=order.id)
        self.wire.note("processed", job=order.id)

    # --- callbacks

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        """Check, write down, answer at once: status and the seconds that it took."""
        if not self.is_signed_well(headers, body):
            return 401, 0
        try:
            self.inbox.append(json.loads(body))
        except ValueError:
            return 400, 0
        return 200, 0

    def is_signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        if not self.keys:
            return True
        given = headers.get(self.dialect.signature, "")
        return any(hmac.compare_digest(given, self.sign(key, body)) for key in self.keys)

    def sign(self, key: str, body: bytes) -> str:
        return hmac.new(key.encode(), body, "sha256").hexdigest()

    def read_inbox(self) -> None:
        """Match what came with what is open; a callback may be ahead of the answer that names its job."""
        payloads, self.inbox = self.inbox, []
        for payload in payloads:
            job = at(payload, self.dialect.callback_id)
            order = next((one for one in self.orders if one.id == job), None)
            if order is None:
                self.inbox.append(payload)
            elif order.state in ("open", "gone", "gave_up") and payload != order.told:  # a copy is no news
                order.told, order.state = payload, "open"
                self.called(order, payload)

    def called(self, order: Order, payload: Any) -> None:
        """A signed word is taken for true; an unsigned one is a reason to look."""
        word = at(payload, self.dialect.callback_word)
        if self.keys:
            self.see(order, word, payload)
        elif self.wire.now() >= order.barred:
            self.look(order)

    def adopt(self) -> None:
        """Callbacks of jobs whose POST was never answered: they are ours all the same."""
        known = {order.id for order in self.orders}
        for payload in self.inbox:
            lost = next((order for order in self.orders if order.state == "lost"), None)
            job = str(at(payload, self.dialect.callback_id))
            if lost is not None and job not in known:
                lost.id, lost.state, lost.was_seen, lost.since = job, "open", True, self.wire.now()
                known.add(job)
