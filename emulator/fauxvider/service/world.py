"""One world: its clock, its providers, what falls due in it, and who waits for it.

A world that nothing moves does nothing: a virtual clock stands, and a running one sets a timer
for the next thing due. `advance` settles: it runs what falls due, in order, and then returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from fauxvider.clock import HeldClock, wall_ms
from fauxvider.engine.agenda import Agenda
from fauxvider.engine.facts import ApiKey
from fauxvider.engine.minting import Mint
from fauxvider.errors import StoreError, UsageError
from fauxvider.ports import Clock, KeptWorld
from fauxvider.scenario.model import NO_SCENARIO, Scenario
from fauxvider.service.journal import Journal, fingerprint
from fauxvider.service.recorder import Tape
from fauxvider.service.scripted import Scripted

if TYPE_CHECKING:
    from fauxvider.service.credentials import Refused
    from fauxvider.service.provider import Provider

__all__ = ["Due", "World", "WorldOptions"]

MAX_REFUSED = 50  # refused requests that are kept to be explained
_CUT_S = 2.0  # for what has been cancelled to end
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What a world is made from; everything has a default."""

    seed: int = 0
    clock: str = "real"
    now: int | None = None
    step: object = None
    readings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by provider
    keys: tuple[ApiKey, ...] = ()  # none: any non-empty key is good
    balances: Mapping[str, Decimal] = field(default_factory=dict)  # by provider
    limits: Decimal | None = Decimal(1)  # factor on every limit; None is off
    scenario: Scenario = NO_SCENARIO
    record: bool = False  # keep what comes from outside, for a capsule


class Due(NamedTuple):
    """An agenda entry.

    kinds: `ending` of a job, `progress` of it (`delivery` is the event), `attempt` of a delivery, `again` (a
    replay), `wait` of a held call.
    """

    kind: str
    provider: str = ""
    job: str = ""
    delivery: str = ""
    future: asyncio.Future[int] | None = None
    run: int = 0  # of the job: an end belongs to one run


class World:
    """Everything of one test: nothing in it is known in another world."""

    def __init__(
        self,
        name: str,
        *,
        options: WorldOptions,
        clock: Clock,
        provide: Callable[[World, str], Provider],
        tape: Tape | None = None,
        kept: KeptWorld | None = None,
    ) -> None:
        self.kept = kept  # its place in a store, if one keeps it
        self.name = name
        self.options = options
        self.clock = clock
        self.tape = tape
        self.began = clock.now()
        self.mint = Mint(options.seed)
        self.keys = {key.key: key for key in options.keys}
        self.journal = Journal(sink=None if kept is None else kept.add_entry)
        self.scripted = Scripted(options.scenario, self) if options.scenario.rules else None
        self.salt = name.encode()[:64] or b"-"
        self.requests = 0  # that have come
        self.answered = 0  # of them
        self.attempting = 0  # callbacks that are on their way to a receiver
        self.refused: deque[Refused] = deque(maxlen=MAX_REFUSED)
        self.closed = False  # nothing begins by itself any more, and nobody is held
        self.is_draining = False
        self.prints: Mapping[str, str] = {}  # of secrets that stand in for others (a replay)
        self._prints: dict[str, str] = {}
        self._provide = provide
        self._providers: dict[str, Provider] = {}
        self._agenda: Agenda[Due] = Agenda()
        self._waiting: dict[tuple[str, str], list[asyncio.Future[int]]] = {}
        self._lock = asyncio.Lock()
        self._advancing = False
        self._advances = 0  # at work, or waiting for that
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._state: Mapping[str, Any] = {}
        self._quiet: asyncio.Event | None = None

    def print_of(self, secret: str) -> str:
        """Give the fingerprint that stands for a key or an idempotency key everywhere inside."""
        known = self._prints.get(secret)
        if known is None:
            if len(self._prints) > 1000:
                self._prints.clear()
            known = self._prints[secret] = self.prints.get(secret) or fingerprint(secret, self.salt)
        return known

    def provider(self, name: str) -> Provider:
        known = self._providers.get(name)
        if known is None:
            known = self._providers[name] = self._provide(self, name)
        return known

    @property
    def held(self) -> int:
        """Count the requests that wait for a moment or for a change of their job."""
        return sum(len(futures) for futures in self._waiting.values())

    @property
    def used_providers(self) -> Mapping[str, Provider]:
        return self._providers

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way but what the agenda holds, so that the world could go on elsewhere."""
        return not (self.attempting or self._waiting or self._tasks or self._advances) and self.tape is None

    def enter(self, moment: int, due: Due) -> None:
        """Put something on the agenda."""
        self._agenda.enter(moment, due)
        if not self.clock.is_virtual:
            self._arm()

    def next_due(self) -> int | None:
        """Give the moment of what falls due next, None if nothing does."""
        return self._agenda.next_due()

    async def arrive(self, mark: str = "") -> int:
        """Begin a provider request: move a stepping clock, settle what is due, give the moment.

        `mark`: the request's on the tape.
        """
        self.requests += 1
        if self.clock.step and not self._advancing:
            await self._advance(self.clock.step)
            await self.turn(mark, is_last=False)
        now = self.clock.now()
        due = self._agenda.next_due()
        if due is not None and due <= now:
            await self._run_due(now, send=not self.clock.is_virtual)
        return now

    async def advance(self, span: int) -> list[dict[str, Any]]:
        """Move a virtual clock by `span` ms and settle; give what happened meanwhile.

        Raises UsageError on a clock that runs by itself.
        """
        if not self.clock.is_virtual:
            raise UsageError(f"the clock {self.clock.spec} moves by itself; only manual and stepping clocks advance")
        if self.tape is None:
            return await self._advance(span)
        mark = self.tape.advance(span)
        happened = await self._advance(span)
        await self.turn(mark)
        return happened

    async def _advance(self, span: int) -> list[dict[str, Any]]:
        before, has_to_wait = self.journal.total, self._advances > 0
        self._advances += 1  # the lock does not tell of those that have been let in and have not noticed yet
        try:
            async with self._lock:
                if has_to_wait:
                    await self.turn("advance")
                await self._move(self.clock.now() + span)
        finally:
            self._advances -= 1
        # Held calls that came due get the loop, so that they are answered when this returns.
        for _ in range(3):
            await asyncio.sleep(0)
        fresh = self.journal.total - before
        return self.journal.latest(fresh)

    async def _move(self, target: int) -> None:
        self._advancing = True
        try:
            while (due := self._agenda.next_due()) is not None and due <= target:
                self.clock.move_to(due)
                await self._run_due(due, send=True)
            self.clock.move_to(target)
        finally:
            self._advancing = False

    async def turn(self, mark: str, *, is_last: bool = True) -> None:
        """Say that what has this mark on the tape goes on, after anything else may have come between."""
        if self.tape is not None and (turn := self.tape.turn(mark, is_last=is_last)) is not None:
            await turn

    def present(self) -> int:
        """Give the world's moment for who looks at it from outside."""
        return self.clock.present() if isinstance(self.clock, HeldClock) else self.clock.now()

    async def settle(self, *, send: bool = False) -> None:
        """Run what is due, by itself or for who looks at the world from outside."""
        due = self._agenda.next_due()
        if due is not None and due <= self.present():
            if self.tape is not None:
                self.tape.settle()
            await self.settle_now(send=send)

    async def settle_now(self, *, send: bool = False) -> None:
        """Run what is due at this moment; a virtual clock keeps its callbacks for `advance` unless told to `send`."""
        await self._run_due(self.clock.now(), send=send or not self.clock.is_virtual)

    async def settled(self) -> None:
        """Wait for the attempts that are under way on a clock that runs by itself."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _run_due(self, until: int, *, send: bool) -> None:
        """Run what is due. Attempts wait for `advance` on a virtual clock, else they run as tasks."""
        put_back: list[tuple[int, Due]] = []
        while (taken := self._agenda.take(until)) is not None:
            moment, due = taken
            if due.kind == "ending":
                await self.provider(due.provider).finish(due.job, moment, run=due.run)
            elif due.kind == "progress":
                await self.provider(due.provider).progress(due.job, due.delivery, moment)
            elif due.kind == "wait":
                if due.future is not None and not due.future.done():
                    due.future.set_result(moment)
            elif not send:
                put_back.append(taken)
            elif self.clock.is_virtual:
                await self._attempt(due, moment)
            else:
                self.spawn(self._attempt(due, moment))
        for moment, due in put_back:
            self._agenda.enter(moment, due)

    async def _attempt(self, due: Due, moment: int) -> None:
        provider = self.provider(due.provider)
        if self.tape is not None and not self.clock.is_virtual:
            await self.turn(f"{due.kind} {due.provider}/{due.delivery}")
        self.attempting += 1
        try:
            if due.kind == "again":
                await provider.again(due.job, due.delivery, moment)
            else:
                await provider.attempt(due.job, due.delivery, moment)
        finally:
            self.attempting -= 1
            if not self.attempting and self._quiet is not None:
                self._quiet.set()
            if self.kept is not None:
                self.kept.note_due(self._wanted_at())

    async def wait(self, until: int, *, provider: str, job: str) -> int:
        """Wait for `until` or a change of the job; give the moment that came first.

        A stepping clock jumps there; a manual clock waits until it is moved.
        """
        if self.clock.step and not self._advancing:
            await self._advance(max(0, until - self.clock.now()))
            await self.turn(f"wait {provider}/{job}")
            return until
        if self.clock.step:
            return until  # asked from inside a callback: time cannot move further while that one runs
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((provider, job), [])
        waiting.append(future)
        self.enter(until, Due("wait", future=future))
        try:
            moment = await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop((provider, job), None)
        await self.turn(f"wait {provider}/{job}")
        return moment

    def changed(self, provider: str, job: str) -> None:
        """Wake the calls that are held for a job."""
        for future in self._waiting.get((provider, job), ()):
            if not future.done():
                future.set_result(self.clock.now())

    def note_state(self, state: Mapping[str, Any]) -> None:
        """Have it kept how far the world is, if that is news."""
        if self.kept is not None and state != self._state:
            self._state = state
            self.kept.note_state(state)

    async def keep(self, state: Mapping[str, Any]) -> None:
        """Return when what has happened is kept, if a store keeps it: to be awaited before it is acknowledged."""
        if self.kept is not None:
            self.note_state(state)
            self.kept.note_due(self._wanted_at())
            await self.kept.flush()

    def _wanted_at(self) -> int | None:
        """Give the moment of everybody's time at which something falls due here, None when nothing does by itself."""
        due = self._agenda.next_due()
        if self.clock.is_virtual:
            return None
        if self.attempting or self._tasks - {asyncio.current_task()}:
            return wall_ms()  # if this process goes now, what is under way is somebody's to repeat
        if due is None:
            return None
        return wall_ms() + round(1000 * self.clock.real_seconds(max(0, due - self.present())))

    def drain(self) -> None:
        """Begin nothing more: held calls are answered as things stand, callbacks under way go on (`quiet`)."""
        self.is_draining = True
        self._stop()

    async def quiet(self) -> None:
        """Return when no callback is on its way."""
        self._quiet = asyncio.Event()
        if self.attempting:
            await self._quiet.wait()

    async def cut(self) -> None:
        """End what is still under way, and wait until it has ended: callbacks are written down as interrupted."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CUT_S)

    def close(self) -> None:
        """Stop timers and deliveries; held calls are answered as things stand."""
        self._stop()
        for task in self._tasks:
            task.cancel()

    def _stop(self) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(self.clock.now())

    def spawn(self, work: Awaitable[None]) -> None:
        """Run something beside everything else; it is cancelled when the world closes."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreError):
            _log.warning("%s", error)  # what was under way is somebody's to repeat, as the store has it
        elif error is not None:
            _log.error("what goes on in the world %s failed", self.name, exc_info=error)

    def _arm(self) -> None:
        due = self._agenda.next_due()
        if due is None or self.closed or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        delay = self.clock.real_seconds(max(0, due - self.present()))
        self._timer_due = due
        # One ms late at most, never early: the loop's clock is coarser than ours.
        self._timer = asyncio.get_running_loop().call_later(delay + 0.001, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.spawn(self._ring_due())

    async def _ring_due(self) -> None:
        await self.settle(send=True)
        if self.kept is not None:
            self.kept.note_due(self._wanted_at())
        self._arm()
