"""The player: the tape of a world whose run is repeated. Nothing goes on in it before its turn has come."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fauxvider.engine.facts import Job
from fauxvider.ports import SendOutcome
from fauxvider.service.recorder import message_print
from fauxvider.service.wire import Request

__all__ = ["PlayedClock", "Player", "calm"]

_Gate: TypeAlias = "asyncio.Future[Any]"
_PATIENCE = 2_000  # turns of the loop: far more than anything takes that is going to come at all
_CALM = 30
_NEVER_S = 10_000_000.0


async def calm() -> None:
    """Let everything go on that can."""
    for _ in range(_CALM):
        await asyncio.sleep(0)


class PlayedClock:
    """A clock that ran by itself when the run was recorded; now it shows what it showed then."""

    is_virtual = False
    step = 0

    def __init__(self, spec: str, start: int) -> None:
        self.spec = spec
        self._start = start
        self._now = start

    def now(self) -> int:
        return self._now

    def show(self, at: int) -> None:
        self._now = self._start + at

    def move_to(self, moment: int) -> None:
        """A running clock is not moved."""

    def real_seconds(self, span: int) -> float:
        """Nothing falls due by itself: the recorded steps say when."""
        del span
        return _NEVER_S


@dataclass(frozen=True, slots=True)
class _Sending:
    job: Job
    body: bytes
    gate: _Gate


class Player:
    """Holds what has begun until its step comes (`fauxvider.service.recorder.Tape`)."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}  # of callbacks whose bytes hold a stand-in -> as they were sent
        self._marks: dict[int, str] = {}
        self._gates: defaultdict[str, deque[_Gate]] = defaultdict(deque)
        self._sending: defaultdict[str, deque[_Sending]] = defaultdict(deque)
        self._requests = 0
        self._changed: set[int] = set()  # requests whose bodies hold a stand-in
        self._next_advance = ""

    # --- what the world asks

    def request(self, provider: str, request: Request) -> str:
        del provider
        self._requests += 1
        if request.fingerprint:
            self._changed.add(self._requests)
        return self._marks.pop(id(request))

    def advance(self, span: int) -> str:
        del span
        return self._next_advance

    def settle(self) -> None:
        """It is played, not recorded."""

    def force(self, job: str, failure: str) -> None:
        """It is played, not recorded."""

    def note(self, facts: Mapping[str, str]) -> None:
        """It is played, not recorded."""

    def turn(self, mark: str, *, is_last: bool = True) -> _Gate:
        del is_last
        gate = asyncio.get_running_loop().create_future()
        self._gates[mark].append(gate)
        return gate

    def sending(self, mark: str, job: Job, body: bytes) -> _Gate:
        gate = asyncio.get_running_loop().create_future()
        self._sending[mark].append(_Sending(job, body, gate))
        return gate

    def sent(self, mark: str, outcome: SendOutcome, body: bytes) -> None:
        """It is played, not recorded."""

    # --- what the steps say

    def expect(self, request: Request, mark: str) -> None:
        self._marks[id(request)] = mark

    def expect_advance(self, mark: str) -> None:
        self._next_advance = mark

    async def let_go(self, mark: str) -> bool:
        """Let what has this mark go on; False when it does not come that far."""
        waiting = self._gates[mark]
        if not await _comes(waiting):
            return False
        waiting.popleft().set_result(None)
        return True

    async def answer(self, mark: str, outcome: SendOutcome, digest: str) -> bool:
        """Let a callback come back; False when it is not sent at all."""
        waiting = self._sending[mark]
        if not await _comes(waiting):
            return False
        sending = waiting.popleft()
        if sending.job.request in self._changed:
            self.digests[message_print(sending.body)] = digest
        sending.gate.set_result(outcome)
        return True


async def _comes(waiting: deque[Any]) -> bool:
    for _ in range(_PATIENCE):
        if waiting:
            return True
        await asyncio.sleep(0)
    return False
