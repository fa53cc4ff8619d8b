"""The line between the client and the provider: each request has a fate, and the machine says which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fauxvider import LocalServer, UsageError
from fauxvider.local import Answer, answer_of
from fauxvider.service.provider import Provider
from fauxvider.service.wire import Rejection
from pytest_fauxvider.invariants import Model
from pytest_fauxvider.wire import ClientDiedError

__all__ = ["FATES", "Fate", "FaultyLine", "fate_text"]

# What can become of a request, the dullest first. A number behind it ("lost 2") means the step's so-manieth request.
FATES: Mapping[str, str] = {
    "arrives": "",
    "lost": "the provider does it, and the answer is lost",
    "late": "the answer comes late",
    "overtaken": "before its answer comes, a callback does",
    "refused": "the connection is refused",
    "gateway": "a gateway answers 502, and the provider knows of nothing",
    "lost gateway": "the provider does it, and a gateway answers 502",
    "busy": "the provider refuses it: 429",
    "dies before": "the client dies before it is sent",
    "dies after": "the client dies before it can read the answer",
}
_HARMLESS = ("arrives", "late", "overtaken")
_GATEWAY = Answer(502, (("content-type", "text/html"),), b"<html><h1>502 Bad Gateway</h1></html>")


class Fate:
    """A fate by its name: `lost`, `lost 2`. Raises UsageError for one that there is not."""

    __slots__ = ("is_harmless", "name", "nth")

    def __init__(self, text: str) -> None:
        name, _, number = text.rpartition(" ")
        self.name, self.nth = (name, int(number)) if number.isdigit() else (text, 1)
        if self.name not in FATES:
            raise UsageError(f"a request has no fate {text!r} (there are: {', '.join(FATES)})")
        self.is_harmless = self.name in _HARMLESS

    @property
    def needs_restart(self) -> bool:
        return self.name.startswith("dies")


def fate_text(fate: Fate) -> str:
    """Put a fate into words, to stand behind what the request is for."""
    if fate.name == "arrives":
        return ""
    return (f" (its request {fate.nth})" if fate.nth > 1 else "") + f": {FATES[fate.name]}"


class FaultyLine:
    """A `wire.Line`. `begin` says what becomes of the requests to come, `is_spoiled` whether one of them went wrong."""

    def __init__(
        self, server: LocalServer, provider: Provider, model: Model, *, overtake: Callable[[], Any] = lambda: None
    ) -> None:
        self._overtake = overtake
        self.is_in_loop = False
        self._server = server
        self._provider = provider
        self._world = provider.world
        self._model = model
        self._seen = self._world.journal.total
        self._fate: Fate | None = None
        self._left = 0
        self.is_spoiled = False
        self.last_submit: Mapping[str, Any] | None = None

    def begin(self, fate: Fate | None) -> Callable[[], None]:
        """Set the fate for the requests of one call; give what puts the one before back."""
        before = self._fate, self._left, self.is_spoiled
        self._fate, self._left, self.is_spoiled = fate, fate.nth if fate else 0, False

        def put_back() -> None:
            spoiled = self.is_spoiled or before[2]
            self._fate, self._left, self.is_spoiled = *before[:2], spoiled

        return put_back

    def exchange(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        _refuse_loops()
        fate = self._take()
        if (instead := self._before(fate)) is not None:
            return instead
        answer = self._server.request(method, url, headers=headers, body=body, world=self._world.name)
        request = self.absorb()
        if fate == "late":
            self._server.call(self._world.advance(self._until_quiet()))
        if fate == "overtaken":
            self.is_in_loop = False
            self._overtake()
        return self._after(fate, answer, request)

    async def aexchange(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        fate = self._take()
        if (instead := self._before(fate)) is not None:
            return instead
        answer = await answer_of(self._server.app, method, url, headers, body, world=self._world.name)
        request = self.absorb()
        if fate == "late":
            await self._world.advance(self._until_quiet())
        if fate == "overtaken":
            self.is_in_loop = True
            if (handling := self._overtake()) is not None:
                await handling
        return self._after(fate, answer, request)

    def _take(self) -> str:
        """Give the fate of this request; of a call's requests only one has one."""
        if self._left <= 0 or self._fate is None:
            return "arrives"
        self._left -= 1
        if self._left:
            return "arrives"
        self.is_spoiled = not self._fate.is_harmless
        return self._fate.name

    def _note(self, text: str) -> None:
        """Write down what became of a request on its way: the provider knows nothing of it, and the capsule should."""
        self._server.emulator.note(self._world.name, {"said": "believes", "text": text})

    def _before(self, fate: str) -> Answer | None:
        if fate in ("refused", "gateway", "busy", "dies before"):
            self._note(f"this request does not reach the provider: {FATES[fate]}")
        if fate == "refused":
            raise ConnectionRefusedError("connection refused")
        if fate == "dies before":
            raise ClientDiedError
        if fate == "gateway":
            return _GATEWAY
        return self._busy() if fate == "busy" else None

    def _busy(self) -> Answer:
        """The provider's own words for a call that comes too soon."""
        if "rate" not in self._provider.contract.errors:
            return Answer(429, (("content-type", "application/json"), ("retry-after", "5")), b"{}")
        reply = self._provider.refuse(None, Rejection("rate", {"retry_after": 5}))
        pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers)
        return Answer(reply.status, pairs, reply.body)

    def _after(self, fate: str, answer: Answer, request: Mapping[str, Any] | None) -> Answer:
        if fate in ("lost", "lost gateway", "dies after"):
            self._note(f"this answer does not reach the client: {FATES[fate]}")
        if fate == "lost" or answer.fault:
            self.is_spoiled = True
            raise ConnectionResetError("connection reset by peer")
        if fate == "dies after":
            raise ClientDiedError
        if fate == "lost gateway":
            return _GATEWAY
        self._model.heard(request)
        return answer

    def absorb(self) -> Mapping[str, Any] | None:
        """Have the model take in what is new in the journal; give the last request among it."""
        journal = self._world.journal
        fresh = journal.total - self._seen
        if not fresh:
            return None
        self._seen = journal.total
        request = self._model.absorb(journal.latest(fresh))
        if request is not None and request.get("does") == "submit":
            self.last_submit = request
        return request

    def _until_quiet(self) -> int:
        """Give the span until what falls due next is over, and its callback has come."""
        due = self._world.next_due()
        return 0 if due is None else max(0, due - self._world.clock.now()) + 1_000


def _refuse_loops() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("a coroutine has to await self.http.arequest(...), or an async client: a plain call would block")
