"""A world that is played step by step: by `replay`, and by the tests that `reproduce` writes."""

from __future__ import annotations

import asyncio
import hashlib
import json as _json  # `json` is what a request is given
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fauxvider.capsule.model import CapsuleError
from fauxvider.capsule.player import PlayedClock, Player, calm
from fauxvider.clock import make_clock
from fauxvider.contract.parse import ContractFile
from fauxvider.errors import FauxviderError, Place
from fauxvider.ports import SendOutcome
from fauxvider.scenario.model import NO_SCENARIO
from fauxvider.scenario.parse import read_scenario
from fauxvider.server.build import build_emulator
from fauxvider.service.emulator import Emulator
from fauxvider.service.handle import handle
from fauxvider.service.options import read_options
from fauxvider.service.recorder import Step
from fauxvider.service.reports import Report
from fauxvider.service.saving import journal_lines, journal_trail, local_path
from fauxvider.service.wire import Reply, Request
from fauxvider.service.world import World, WorldOptions
from fauxvider.values import parse_moment
from fauxvider_contracts import provider_names

__all__ = ["Answer", "Rerun"]

T = TypeVar("T")
_OPTIONS = ("name", "seed", "clock", "now", "readings", "balances", "limits", "keys")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got. `lost`: how the answer was spoiled on its way ("" if it was not)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    lost: str = ""

    def json(self) -> Any:
        return _json.loads(self.body)


class _NoSender:
    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        del method, url, headers, body, timeout_s
        raise RuntimeError("a replay sends nothing")


class _AtOnce(Executor):
    """Runs everything where it is asked for: a replay has one order, so it needs no threads."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)
        return future


class Rerun:
    """A world from a capsule's parts. Steps are played in order; `difference` compares the journals.

    Moments (`at`, `ended`) are ms since the world's start; only clocks that run by themselves need them.
    """

    def __init__(
        self,
        world: Mapping[str, Any],
        *,
        contracts: Mapping[str, str],
        prints: Mapping[str, str] | None = None,
        files: Iterable[str | Path] = (),
        any_contract: bool = False,
        source: str = "capsule",
    ) -> None:
        self._source = source
        self._player = Player()
        self._clock: PlayedClock | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._serial = 0
        self._stumbled = ""
        self._runner = asyncio.Runner()
        try:
            self._emulator = self._run(self._make(world, contracts, [Path(file) for file in files], any_contract))
            self._world = self._run(self._begin(world, prints or {}))
        except BaseException:
            self._runner.close()
            raise

    def __enter__(self) -> Rerun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        async def end() -> None:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._emulator.close()

        self._run(end())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    # --- making the world

    async def _make(
        self, world: Mapping[str, Any], contracts: Mapping[str, str], files: list[Path], any_contract: bool
    ) -> Emulator:
        own = {ContractFile.read(file).provider for file in files}
        bundled = [name for name in contracts if name not in own]
        for name in bundled:
            if name not in provider_names():
                raise self._wrong(
                    f"the contract {name!r} is not bundled: name its file (--contract)", "contracts", name
                )
        emulator = build_emulator(
            providers=bundled, files=files, sender=_NoSender(), base_url=str(world["base_url"]),
            metadata=bool(world["metadata"]),
        )  # fmt: skip
        emulator.settings.executor = _AtOnce()
        emulator.settings.fetch = None
        for name, digest in contracts.items():
            here = emulator.contracts[name].digest
            if here != digest and not any_contract:
                raise self._wrong(
                    f"the contract {name!r} is another one here: sha256 {here}, not {digest} "
                    "(--any-contract plays it nevertheless)",
                    "contracts",
                    name,
                )
        return emulator

    async def _begin(self, world: Mapping[str, Any], prints: Mapping[str, str]) -> World:
        given = {name: world[name] for name in _OPTIONS}
        try:
            scenario = world["scenario"]
            given["scenario"] = NO_SCENARIO if scenario is None else read_scenario(scenario)
            options = read_options(given, self._emulator.default_contracts, defaults=WorldOptions())
            clock = make_clock(options.clock, start=options.now)
        except FauxviderError as error:
            raise self._wrong(str(error), "world") from None
        if not clock.is_virtual:
            self._clock = PlayedClock(clock.spec, parse_moment(world["now"]))
        made = self._emulator.make_world(str(world["name"]), options, clock=self._clock or clock, tape=self._player)
        made.prints = prints
        return made

    def report(self) -> Report:
        """Give what the journal so far tells: the verdict, the bill, the timeline."""
        return Report(self._emulator, self._world.name)

    def _wrong(self, problem: str, *path: str) -> CapsuleError:
        return CapsuleError(problem, place=Place(self._source, pointer="".join(f"/{part}" for part in path)))

    # --- the steps, as a test writes them

    def request(
        self,
        method: str,
        provider: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        spaced: bool = False,
        body: str | bytes = b"",
        at: int = 0,
        ended: int | None = None,
        mark: str = "",
        turns: int = 0,
        **rare: Any,
    ) -> Answer:
        """Send a request; give its answer.

        `json` is written as httpx does, or `spaced` as requests and json.dumps do. With a `mark` it is only
        begun, and `go` gives the answer. `rare`: site, origin, raw_path, over_size, fingerprint.
        """
        if json is not None:
            body = _json.dumps(json) if spaced else _json.dumps(json, separators=(",", ":"), ensure_ascii=False)
        raw = rare.pop("raw_path", "").encode("latin-1")
        made = Request(
            method,
            path,
            query.encode("latin-1"),
            [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
            body.encode() if isinstance(body, str) else body,
            raw_path=raw,
            **rare,
        )
        answer = self.play(Step("request", at, mark, provider, made, ended=ended, held=bool(mark), turns=turns))
        return answer or Answer(0, {}, b"", "held" if mark else "no answer")

    def advance(self, span: int, *, mark: str = "") -> None:
        """Move the clock on by `span` ms; with a `mark` it is only begun."""
        self.play(Step("advance", 0, mark, facts={"span": span}, held=bool(mark)))

    def go(self, mark: str, *, at: int = 0) -> Answer | None:
        """Let what was begun, and held, go on."""
        return self.play(Step("go", at, mark))

    def callback(
        self, mark: str, kind: str = "http", *, status: int | None = None, error: str = "", digest: str, at: int = 0
    ) -> None:
        """Let a callback come back as the sender saw it: http (with a status), network, timeout or blocked."""
        self.play(Step("sent", at, mark, facts={"kind": kind, "status": status, "error": error, "digest": digest}))

    def settle(self, *, at: int = 0) -> None:
        """Run what is due."""
        self.play(Step("settle", at))

    def force(self, job: str, *, failure: str = "", at: int = 0) -> None:
        """Decide how a job ends."""
        self.play(Step("force", at, facts={"job": job, "failure": failure}))

    def note(self, *, at: int = 0, **said: str) -> None:
        """Write down what the client said that it did."""
        self.play(Step("note", at, facts=said))

    # --- playing

    def play(self, step: Step) -> Answer | None:
        """Do one step; give the answer that it brought, if it was an answer's."""
        reply = self._run(self._play(step))
        if not isinstance(reply, Reply):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
        return Answer(reply.status, headers, reply.body, reply.wire.kind if reply.wire else "")

    async def _play(self, step: Step) -> object:
        self._serial += 1
        self._show(step.at)
        try:
            result = await self._do(step)
        except FauxviderError as error:
            self._stumble(str(error))
            return None
        await calm()
        return result

    async def _do(self, step: Step) -> object:
        if step.does in ("request", "advance"):
            return await self._start(step)
        if step.does == "go":
            await self._go(step.mark, step.at)
            return self._result(step.mark)
        if step.does == "sent":
            outcome = SendOutcome(step.facts["kind"], step.facts["status"], error=step.facts["error"])
            if not await self._player.answer(step.mark, outcome, step.facts["digest"]):
                self._stumble(f"the callback ({step.mark}) is not sent")
        elif step.does == "settle":
            await self._world.settle_now(send=not self._world.clock.is_virtual)
        elif step.does == "force":
            await self._emulator.force(self._world.name, step.facts["job"], failure=step.facts.get("failure", ""))
        else:
            self._emulator.note(self._world.name, step.facts)
        return None

    def _show(self, at: int) -> None:
        if self._clock is not None:
            self._clock.show(at)

    def _stumble(self, problem: str) -> None:
        self._stumbled = self._stumbled or f"step {self._serial}: {problem}"

    async def _start(self, step: Step) -> object:
        mark = step.mark or f"step {self._serial}"
        if step.request is not None:
            request = self._placed(step.provider, step.request)
            self._player.expect(request, mark)
            self._tasks[mark] = asyncio.ensure_future(handle(self._world.provider(step.provider), request))
        else:
            self._player.expect_advance(mark)
            self._tasks[mark] = asyncio.ensure_future(self._world.advance(step.facts["span"]))
        # It goes as far as it can before anything else begins.
        await calm()
        if step.held:
            for _ in range(step.turns):
                await self._go(mark, step.at)
            return None
        # Nothing came between, so it goes on to its end.
        while not self._tasks[mark].done() and await self._go(mark, step.at if step.ended is None else step.ended):
            pass
        return self._result(mark)

    def _placed(self, provider: str, request: Request) -> Request:
        """Give a request of its own, with what the file leaves out because it follows from the rest."""
        api = self._world.provider(provider).contract.api.name
        made = replace(request, origin=request.origin or api, params={})
        made.raw_path = made.raw_path or local_path(self._world.name, provider, made, api).encode("latin-1", "replace")
        return made

    async def _go(self, mark: str, at: int) -> bool:
        self._show(at)
        if not await self._player.let_go(mark):
            self._stumble(f"{mark} does not go on")
            return False
        await calm()
        return True

    def _result(self, mark: str) -> object:
        task = self._tasks.get(mark)
        return task.result() if task is not None and task.done() else None

    # --- what came of it

    def entries(self) -> list[dict[str, Any]]:
        digests = self._player.digests
        return [
            {**entry, "digest": digests[entry["digest"]]} if entry.get("digest") in digests else entry
            for entry in self._world.journal.entries()
        ]

    def journal(self) -> bytes:
        """Give the journal as JSON Lines."""
        return journal_lines(self.entries())

    def journal_sha256(self) -> str:
        return hashlib.sha256(self.journal()).hexdigest()

    def difference(self, *, sha256: str, trail: str) -> str:
        """Say where the journal first differs from the recorded one; "" when it is the same, byte for byte."""
        journal = self.journal()
        if hashlib.sha256(journal).hexdigest() == sha256:
            return ""
        own, lines = journal_trail(journal), journal.decode().splitlines()
        count, recorded = len(lines), len(trail) // 4
        places = range(min(count, recorded))
        place = next((at for at in places if own[4 * at : 4 * at + 4] != trail[4 * at : 4 * at + 4]), None)
        if place is not None:
            problem = f"entry {place + 1} of {recorded} differs, it is now {lines[place]}"
        elif count != recorded:
            problem = f"the journal has {count} entries, and had {recorded}"
        else:
            problem = "the journal differs"
        return f"{problem} ({self._stumbled})" if self._stumbled else problem
