"""A world of the emulator in this process, where cases are played and every exchange is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile
from fauxvider.embedded import WorldHandle
from fauxvider.local import Answer, Callback, CallbackAnswer, LocalServer, answer_of
from fauxvider.toolkit.exchanges.case import Sent
from fauxvider.toolkit.verify.client import Answer as Seen

__all__ = ["Ground", "Hooks", "Kept", "LocalStage"]

_TURNS = 8  # of the loop: after so many a call has been answered, or it is held
_PATIENCE_S = 60


@dataclass(slots=True)
class Kept:
    """One exchange: `entry` is what the world's journal says of it; of a callback `status` is 0."""

    step: int
    sent: Sent
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    entry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Hook:
    url: str
    answers: list[Any]
    received: list[Callback] = field(default_factory=list)

    def take(self, callback: Callback) -> CallbackAnswer:
        answer = self.answers[min(len(self.received), len(self.answers) - 1)]
        self.received.append(callback)
        if isinstance(answer, int):
            return answer
        return "timeout" if answer == "hang" else "reset"


class Hooks:
    """The callback receivers of all stages: what a `LocalServer` delivers to."""

    def __init__(self) -> None:
        self._hooks: dict[str, _Hook] = {}
        self.told: Callable[[Callback], None] | None = None

    def make(self, answers: Sequence[Any]) -> _Hook:
        hook = _Hook(f"https://receiver.example/hook-{len(self._hooks) + 1}", list(answers) or [200])
        self._hooks[hook.url] = hook
        return hook

    def deliver(self, callback: Callback) -> CallbackAnswer:
        if self.told is not None:
            self.told(callback)
        hook = self._hooks.get(callback.url)
        return hook.take(callback) if hook else 200


@dataclass(frozen=True, slots=True)
class Ground:
    """Where stages are put up: a contract under one choice of readings, and a server in this process."""

    file: ContractFile
    server: LocalServer
    hooks: Hooks
    choice: Mapping[str, str]

    def stage(self, **options: Any) -> LocalStage:
        """Make a world; the same options make the same bytes."""
        given = {"seed": 1, "record": False, **options, "readings": {self.file.provider: dict(self.choice)}}
        return LocalStage(self.server, self.hooks, self.file.resolve(self.choice), self.server.world(**given))


class LocalStage:
    """One world; `done` gives what was exchanged in it. It is also the world's clock."""

    def __init__(self, server: LocalServer, hooks: Hooks, contract: Contract, world: WorldHandle) -> None:
        self.provider = contract.provider
        self.step = 0
        self._server = server
        self._hooks = hooks
        self._contract = contract
        self._handle = world
        self._kept: list[Kept] = []
        hooks.told = self._called_back

    @property
    def world(self) -> LocalStage:
        return self

    def base(self, origin: str) -> str:
        # The provider's own addresses: what an answer says of others is then as the documents show it.
        return self._contract.origins[origin or self._contract.api.name].url

    # --- requests

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Seen:
        return self._keep(
            Sent(method, url, tuple(headers.items()), body),
            self._server.request(method, url, headers=headers, body=body, world=self._handle.name),
            self.step,
        )

    def hold(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Callable[[], Seen]:
        task = self._server.call(self._begin(method, url, headers, body))
        sent, step = Sent(method, url, tuple(headers.items()), body), self.step

        def answer() -> Seen:
            return self._keep(sent, self._server.call(_ended(task)), step)

        return answer

    async def _begin(self, method: str, url: str, headers: dict[str, str], body: bytes) -> asyncio.Task[Answer]:
        asked = answer_of(self._server.app, method, url, headers.items(), body, world=self._handle.name)
        task = asyncio.ensure_future(asked)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return task

    def receiver(self, answers: Sequence[Any]) -> _Hook:
        return self._hooks.make(answers)

    def _keep(self, sent: Sent, answer: Answer, step: int) -> Seen:
        self._kept.append(Kept(step, sent, answer.status, answer.headers, answer.body))
        return Seen(
            answer.status, tuple((name.lower(), value) for name, value in answer.headers), answer.body, answer.fault
        )

    def _called_back(self, callback: Callback) -> None:
        sent = Sent(callback.method, callback.url, callback.headers, callback.body)
        self._kept.append(Kept(self.step, sent, 0, callback.headers, callback.body, {"does": "callback"}))

    # --- the world

    def now(self) -> int:
        return self._handle.now()

    def advance(self, ms: int) -> None:
        if ms >= 0:
            self._handle.advance(f"{ms}ms")

    def advance_to(self, moment: int) -> None:
        self.advance(moment - self.now())

    def force(self, job: str, failure: str = "") -> None:
        self._handle.force(job, failure=failure)

    def job(self, job: str) -> Mapping[str, Any]:
        return next((one for one in self._handle.jobs() if one["id"] == job), {})

    def attempts(self, *, began: bool = False) -> list[int]:
        made = [one for delivery in self._handle.deliveries() for one in delivery["attempts"]]
        return sorted(int(one["at"]) + (0 if began else int(one["took_ms"] or 0)) for one in made)

    def ledger(self, provider: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._handle.ledger()["providers"].get(provider, {})
        return found

    # --- what came of it

    def done(self, *, every: bool = False) -> Iterator[Kept]:
        """Give each exchange with its entry of the journal; the world is dropped.

        Without `every` only the last request of a step, and the last callback during it.
        """
        journal = self._handle.journal()["entries"]
        left = [entry for entry in journal if entry["kind"] == "request"]
        attempts = [entry for entry in journal if entry["kind"] == "attempt"]
        ended = {entry["job"]: entry for entry in journal if entry["kind"] == "ended"}
        models = {entry["job"]: entry["model"] for entry in journal if entry["kind"] == "accepted"}
        for one in self._kept:
            if one.entry:
                about: Mapping[str, Any] = next((entry for entry in attempts if entry["address"] == one.sent.url), {})
                one.entry = {**about, **ended.get(about.get("job", ""), {}), "does": "callback"}
            else:
                one.entry = _taken(left, one)
            one.entry = {"model": models.get(one.entry.get("job", ""), ""), **one.entry}
        self._handle.drop()
        last = {(one.step, one.entry.get("does") == "callback"): one for one in self._kept}
        yield from self._kept if every else last.values()


def _taken(left: list[dict[str, Any]], one: Kept) -> Mapping[str, Any]:
    """Find the journal's entry for an exchange, and take it out."""
    path = unquote(urlsplit(one.sent.url).path)
    for number, entry in enumerate(left):
        is_it = (entry["method"], entry["status"]) == (one.sent.method, one.status) and path.endswith(entry["path"])
        if is_it:
            return left.pop(number)
    return {"does": "unknown"}


async def _ended(task: asyncio.Task[Answer]) -> Answer:
    return await asyncio.wait_for(task, _PATIENCE_S)
