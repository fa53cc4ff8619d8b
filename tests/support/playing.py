"""Clients at play: a world in this process, its callbacks led to the client, and the verdict at the end.

No sockets and no real time: sleeping moves the world's clock, and a held call is waited for on it, too.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from PIL import Image

from fauxvider.analysis.verdict import Verdict, judge
from fauxvider.engine.recipe import Recipe
from fauxvider.ports import SendOutcome
from fauxvider.server.spoil import WireCutError
from fauxvider.values import parse_span
from support.clients import PATIENCE, Answer, Client, Style, WireError
from support.dialects import DIALECTS
from support.inprocess import InProcess

__all__ = ["Field", "Play"]

HOOK = "http://client.test/hook"
Handler = Callable[[Mapping[str, str], bytes], tuple[int, float]]


class _AtOnce(Executor):
    """Does the work where it is asked for, so that no call waits for a thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class _Flat:
    """A renderer that has no time to paint: a white sheet of the right size."""

    name = "flat"

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], bytes] = {}

    def render(self, recipe: Recipe) -> bytes:
        size = (recipe.width, recipe.height)
        if size not in self._made:
            out = io.BytesIO()
            Image.new("1", size, 1).save(out, "PNG")
            self._made[size] = out.getvalue()
        return self._made[size]


class _Hook:
    """A sender that calls the client's handler; an answer that takes longer than the provider waits comes too late."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.down_until = 0.0
        self.now: Callable[[], float] = lambda: 0.0
        self.patience = PATIENCE

    async def send(
        self, _method: str, _url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        return self.take(headers, body, 0, timeout_s)

    def take(self, headers: list[tuple[str, str]], body: bytes, drip: float, timeout_s: float) -> SendOutcome:
        """Hand over what the client reads of a body that comes over `drip` seconds."""
        if self.handler is None or self.now() < self.down_until:
            return SendOutcome("network", error="connection refused")
        read = body if drip <= self.patience else body[: int(len(body) * self.patience / drip)]
        status, took = self.handler({name.lower(): value for name, value in headers}, read)
        is_late = max(took, drip) > timeout_s
        return SendOutcome("timeout", error="no answer in time") if is_late else SendOutcome("http", status)


@dataclass(frozen=True)
class _Dripping:
    """The hook at the end of a slow line."""

    hook: _Hook
    seconds: float

    async def send(
        self, _method: str, _url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        return self.hook.take(headers, body, self.seconds, timeout_s)


class Field:
    """One emulator for many plays."""

    def __init__(self) -> None:
        self.hook = _Hook()
        self.host = InProcess(sender=self.hook, renderer=_Flat())
        self.host.emulator.settings.executor = _AtOnce()
        self.host.emulator.settings.dripping = lambda seconds: _Dripping(self.hook, seconds)

    def close(self) -> None:
        self.host.close()

    def play(self, provider: str, **world: Any) -> Play:
        return Play(self, provider, world)


class Play:
    """One world; a `support.clients.Transport`."""

    def __init__(self, field: Field, provider: str, world: Mapping[str, Any]) -> None:
        self.host, self.hook, self.provider = field.host, field.hook, provider
        self.world = self.host.world(**world)
        self.hook.handler, self.hook.down_until, self.hook.now = None, 0.0, self.now
        self._left: list[asyncio.Task[Any]] = []
        self.failures: list[str] = []  # of the contract, forced on the jobs in order; "" lets one be

    # --- the transport

    def http(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, patience: float = PATIENCE
    ) -> Answer:
        try:
            answer = self.host.run(self._ask(method, url, headers, body, patience))
            return Answer(answer.status, answer.headers, answer.body)
        except WireCutError as cut:
            return self._cut(cut, patience)
        except TimeoutError as problem:
            raise WireError(str(problem)) from None
        finally:
            self._force()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes, patience: float) -> Any:
        task = asyncio.ensure_future(self.host.call(method, url, headers=headers, body=body, in_process=True))
        for second in range(math.ceil(patience) + 1):
            for _ in range(20):
                await asyncio.sleep(0)
                if task.done():
                    return task.result()
            if second < patience:
                await self.world.advance(1000)
        # The client has left; the provider does not mind, and finishes what it began.
        self._left.append(task)
        raise TimeoutError(f"no answer in {patience} s")

    def _cut(self, cut: WireCutError, patience: float) -> Answer:
        """Give what a spoiled answer comes to: one in drops is there in the end, for those who wait."""
        took = {"drip": self._dripped(), "hang": patience}.get(cut.kind, 0)
        self.sleep(min(took, patience))
        if cut.kind != "drip" or took > patience:
            raise WireError(str(cut)) from None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in cut.headers}
        return Answer(cut.status, headers, cut.body)

    def _dripped(self) -> float:
        """Give the seconds over which the last answer came in drops, 0 for another one."""
        asked = next(entry for entry in reversed(self.entries()) if entry["kind"] == "request")
        spans = [fault.partition(" ")[2] for fault in str(asked.get("fault", "")).split(", ") if "drip" in fault]
        return sum(parse_span(span) for span in spans) / 1000

    def _force(self) -> None:
        """Let the next new job fail, if the play says so."""
        if not self.failures:
            return
        made = [entry for entry in self.world.journal.entries() if entry["kind"] == "accepted"]
        while self.failures and len(made) > self._forced:
            failure = self.failures.pop(0)
            if failure:
                self.host.run(self.host.emulator.force(self.world.name, made[self._forced]["job"], failure=failure))
            self._forced += 1

    _forced = 0

    def sleep(self, seconds: float) -> None:
        self.host.run(self.world.advance(round(seconds * 1000)))

    def now(self) -> float:
        return self.world.clock.now() / 1000

    def note(self, said: str, *, job: str = "", text: str = "") -> None:
        self.host.emulator.note(self.world.name, {"said": said, "job": job, "text": text})

    # --- the play

    def client(self, kind: type[Client], style: Style) -> Client:
        dialect = DIALECTS[self.provider]
        client = kind(dialect, self, self.host.base(self.world, self.provider), style, hook=HOOK)
        self.hook.handler, self.hook.patience = client.on_callback, client.body_patience
        return client

    def perform(self, client: Client, prompts: Sequence[str], *, after: float) -> Verdict:
        """Let the client work, sweep after one hour and six, and see what is left undone so many seconds later."""
        client.run(list(prompts))
        for hours in (1, 5):
            self.sleep(hours * 3600)
            client.reconcile()
        self.sleep(after)
        client.late()
        return self.verdict()

    def verdict(self) -> Verdict:
        contracts = {self.provider: self.world.provider(self.provider).contract}
        return judge(self.entries(), contracts, now=self.world.clock.now())

    def entries(self) -> list[dict[str, Any]]:
        return list(self.world.journal.entries())

    def close(self) -> None:
        for task in self._left:
            task.cancel()
        self.host.run(_all(self._left))
        self.host.emulator.drop_world(self.world.name)


async def _all(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
