"""The careful client of the corpus, small and whole: what each of the others gets wrong, it gets right.

One class for all providers (`support.dialects` says how each is spoken to); `CAREFUL` are the twelve that stand for
themselves. What a process keeps in memory and what it keeps in its database are told apart: `restart` loses the first.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fauxvider.local import Answer, Callback
from pytest_fauxvider.machine import Intent, ProviderMachine
from support.dialects import DIALECTS, Dialect, at

__all__ = ["CAREFUL", "Careful", "Durable", "Row", "Webhook"]

FRESH = 60  # seconds that a look-up may be behind the submit


@dataclass
class Row:
    """One order in the client's database."""

    intent: str
    prompt: str
    hook: str
    id: str = ""
    word: str = "open"
    since: float = 0
    was_seen: bool = False


class Careful(ProviderMachine):
    """Polls. Sends a POST again only where a key makes that safe."""

    provider: ClassVar[str] = "runpod"

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.provider]

    def begin(self) -> None:
        self.rows: dict[str, Row] = {}
        self.handed: list[tuple[str, Any]] = []
        self.setup()

    def setup(self) -> None:
        """What else there is to do at first."""

    # --- submit

    def submit(self, intent: Intent) -> str | None:
        row = self.rows[intent.name] = Row(intent.name, intent.prompt, intent.callback_url, since=self.now)
        return self.place(row) or None

    def place(self, row: Row) -> str:
        for number in range(3):
            try:
                answer = self.post(row, number)
            except ConnectionRefusedError:
                continue  # nothing was sent
            except ConnectionError:
                if self.dialect.idempotency:
                    continue
                break
            if answer.status == 429 or (answer.status >= 500 and self.dialect.idempotency):
                continue
            if answer.status < 300:
                row.id = str(at(answer.json(), self.dialect.id))
                self.placed(row)
                return row.id
            break
        row.word = "failed" if not row.id else row.word
        return ""

    def placed(self, row: Row) -> None:
        """The order is known by its id now."""

    def post(self, row: Row, number: int) -> Answer:
        headers = {self.dialect.idempotency: self.key_for(row, number)} if self.dialect.idempotency else {}
        return self.http.post(self.dialect.submit, json=self.body_of(row), headers=headers)

    def key_for(self, row: Row, number: int) -> str:
        return row.intent

    def body_of(self, row: Row) -> dict[str, Any]:
        return self.dialect.body(row.prompt)

    # --- poll

    def row_of(self, job: str) -> Row | None:
        return next((row for row in self.rows.values() if row.id == job), None)

    def poll(self, job: str) -> None:
        row = self.row_of(job)
        if row is not None and row.word == "open":
            self.look(row)

    def look(self, row: Row) -> None:
        try:
            answer = self.http.get(self.dialect.read.format(id=row.id))
        except ConnectionError:
            return
        if answer.status == 429 or answer.status >= 500:
            return
        word = at(answer.json(), self.dialect.word) if answer.status < 300 else None
        if not word:
            self.denied(row)
            return
        row.was_seen = True
        self.saw(row, word, answer.json())

    def denied(self, row: Row) -> None:
        if row.was_seen or self.now - row.since > FRESH:
            self.set(row, "failed")

    def saw(self, row: Row, word: str, tree: Any) -> None:
        if word in self.dialect.done:
            self.fetch(row, at(tree, self.dialect.url))
        elif word in self.dialect.failed:
            self.set(row, "failed")

    def set(self, row: Row, word: str) -> None:
        if row.word == "open":
            row.word = word

    # --- results

    def fetch(self, row: Row, url: Any) -> None:
        try:
            answer = self.http.get(url)
        except ConnectionError:
            return
        if answer.status == 200 and len(answer.body) == int(answer.header("content-length") or len(answer.body)):
            self.hand_on(row, answer.body)

    def hand_on(self, row: Row, value: Any) -> None:
        if row.word == "open":  # it may have been handed on while the picture came
            row.word = "succeeded"
            self.handed.append((row.intent, value))

    # --- what it believes

    def results(self) -> list[tuple[str, Any]]:
        return self.handed

    def status(self, job: str) -> str | None:
        row = self.row_of(job) or self.rows.get(job)
        return row.word if row else None


class Durable(Careful):
    """Writes down what it is about to do, and takes up what it finds when it is started anew."""

    def restart(self) -> None:
        for row in self.rows.values():
            if row.word == "open" and not row.id:
                self.resume(row)

    def resume(self, row: Row) -> None:
        if self.dialect.idempotency:
            self.place(row)
        else:
            row.word = "gave up"  # it may have been accepted: a person has to look

    def open_jobs(self) -> list[str]:
        return [row.id for row in self.rows.values() if row.id]


class Webhook(Careful):
    """Waits for the callback, and looks for itself when none comes (`poll_every` is its patience)."""

    poll_every: ClassVar[str] = "2m"

    def setup(self) -> None:
        self.inbox: dict[str, Any] = {}
        self.secrets: list[str] = []
        if self.dialect.secrets:
            self.new_secret()

    def new_secret(self) -> None:
        made = self.http.post(self.dialect.secrets, json={"label": f"s{len(self.secrets)}"}).json()
        self.secrets.insert(0, made["plain_secret"])

    def body_of(self, row: Row) -> dict[str, Any]:
        return {**super().body_of(row), self.dialect.callback: row.hook}

    def on_callback(self, callback: Callback) -> int:
        if not self.is_genuine(callback):
            return 401
        payload = callback.json()
        job = str(at(payload, self.dialect.callback_id))
        row = self.row_of(job)
        if row is None:
            self.inbox[job] = payload  # it may be ahead of the answer
        elif row.word == "open":
            self.called(row, payload)
        return 200

    def placed(self, row: Row) -> None:
        if (payload := self.inbox.pop(row.id, None)) is not None:
            self.called(row, payload)

    def called(self, row: Row, payload: Any) -> None:
        # What is not signed is a reason to look, and no more.
        if self.secrets:
            self.saw(row, at(payload, self.dialect.callback_word), payload)
        else:
            self.look(row)

    def is_genuine(self, callback: Callback) -> bool:
        given = callback.header(self.dialect.signature) or ""
        return not self.secrets or any(hmac.compare_digest(given, self.sign(key, callback)) for key in self.secrets)

    def sign(self, key: str, callback: Callback) -> str:
        return hmac.new(key.encode(), callback.body, "sha256").hexdigest()


# --- the twelve


class RunpodPolling(Careful):
    provider = "runpod"


class RunflowPolling(Careful):
    provider = "runflow"


class OneminPolling(Careful):
    provider = "onemin"


class RunpodDurable(Durable):
    provider = "runpod"


class RunflowDurable(Durable):
    provider = "runflow"


class RunpodWebhook(Webhook):
    provider = "runpod"


class RunflowWebhook(Webhook):
    provider = "runflow"


class RunpodHybrid(Webhook):
    """Polls as often as if there were no callbacks."""

    provider = "runpod"
    poll_every = "10s"


class DurableHybrid(Webhook, Durable):
    """Keeps its inbox in the database, too."""

    provider = "runflow"
    poll_every = "10s"


class HttpxPolling(Careful):
    """Speaks httpx."""

    provider = "runpod"

    def setup(self) -> None:
        self.web = self.http.client()

    def post(self, row: Row, number: int) -> Any:
        return _Read(self.web.post(self.dialect.submit, json=self.body_of(row)))

    def place(self, row: Row) -> str:
        import httpx

        try:
            return super().place(row)
        except httpx.ConnectError:
            return super().place(row)  # nothing was sent
        except httpx.TransportError:
            row.word = "failed"
            return ""

    def look(self, row: Row) -> None:
        import httpx

        try:
            found = self.web.get(self.dialect.read.format(id=row.id))
        except httpx.TransportError:
            return
        if found.status_code == 429 or found.status_code >= 500:
            return
        if found.status_code >= 400:
            self.denied(row)
            return
        row.was_seen = True
        self.saw(row, at(found.json(), self.dialect.word), found.json())

    def fetch(self, row: Row, url: Any) -> None:
        import httpx

        try:
            found = self.web.get(url)
        except httpx.TransportError:
            return
        if found.status_code == 200:
            self.hand_on(row, found.content)


@dataclass
class _Read:
    """An httpx response as the careful client reads one."""

    found: Any

    @property
    def status(self) -> int:
        return int(self.found.status_code)

    def json(self) -> Any:
        return self.found.json()


class AsyncPolling(ProviderMachine):
    """Coroutines throughout."""

    provider = "onemin"

    def begin(self) -> None:
        self.dialect = DIALECTS[self.provider]
        self.words: dict[str, str] = {}
        self.seen: set[str] = set()
        self.since: dict[str, float] = {}
        self.handed: list[tuple[str, bytes]] = []

    async def submit(self, intent: Intent) -> str | None:
        try:
            answer = await self.http.apost(self.dialect.submit, json=self.body_of(intent), headers=self.more(intent))
        except ConnectionError:
            return None
        if answer.status >= 300:
            return None
        job = str(at(answer.json(), self.dialect.id))
        self.words.setdefault(job, "open")
        self.since[job] = self.now
        return job

    def body_of(self, intent: Intent) -> Mapping[str, Any]:
        return self.dialect.body(intent.prompt)

    def more(self, intent: Intent) -> dict[str, str]:
        return {self.dialect.idempotency: intent.name} if self.dialect.idempotency else {}

    async def poll(self, job: str) -> None:
        if self.words[job] != "open":
            return
        try:
            answer = await self.http.aget(self.dialect.read.format(id=job))
            if answer.status == 429 or answer.status >= 500:
                return
            word = at(answer.json(), self.dialect.word) if answer.status < 300 else None
            if not word and (job in self.seen or self.now - self.since[job] > FRESH):
                self.words[job] = "failed"
            elif word in self.dialect.done:
                await self.fetch(job, at(answer.json(), self.dialect.url))
            elif word in self.dialect.failed:
                self.words[job] = "failed"
            if word:
                self.seen.add(job)
        except ConnectionError:
            return

    async def fetch(self, job: str, url: str) -> None:
        picture = await self.http.aget(url)
        if picture.status == 200 and self.words[job] == "open":
            self.words[job] = "succeeded"
            self.handed.append((job, picture.body))

    def results(self) -> list[tuple[str, bytes]]:
        return self.handed

    def status(self, job: str) -> str | None:
        return self.words.get(job)


class AsyncHybrid(AsyncPolling):
    """Coroutines and callbacks: a callback is a reason to look."""

    provider = "runflow"

    def begin(self) -> None:
        super().begin()
        self.early: set[str] = set()

    def body_of(self, intent: Intent) -> Mapping[str, Any]:
        return {**self.dialect.body(intent.prompt), self.dialect.callback: intent.callback_url}

    async def on_callback(self, callback: Callback) -> int:
        job = str(at(json.loads(callback.body), self.dialect.callback_id))
        if job in self.words:
            await self.poll(job)
        return 200


CAREFUL: tuple[type[ProviderMachine], ...] = (
    RunpodPolling, RunflowPolling, OneminPolling, RunpodDurable, RunflowDurable, RunpodWebhook, RunflowWebhook,
    RunpodHybrid, DurableHybrid, HttpxPolling, AsyncPolling, AsyncHybrid,
)  # fmt: skip
