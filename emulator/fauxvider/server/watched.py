"""What a watch needs around the emulator: spans of attempts, requests of the control plane, several watches as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fauxvider.clock import precise_s
from fauxvider.service.emulator import Emulator
from fauxvider.service.watching import Watch

if TYPE_CHECKING:
    from fauxvider.ports import Sender, SendOutcome
    from fauxvider.service.provider import Provider
    from fauxvider.service.wire import Reply, Request
    from fauxvider.service.world import World

__all__ = ["WatchedControl", "have_watched", "ms_since", "took_ms"]

_App = Callable[[Any, Any, Any], Awaitable[None]]

# How long the last callback of this task took, from the wish to the outcome.
took_ms: ContextVar[float | None] = ContextVar("took_ms", default=None)


def ms_since(began: float) -> float:
    """Give the milliseconds since a reading of `precise_s`."""
    return round((precise_s() - began) * 1000, 3)


def have_watched(emulator: Emulator, watches: Sequence[Watch]) -> None:
    """Have an emulator's worlds tell these watches, from the next world on; none costs nothing."""
    settings, dripping = emulator.settings, emulator.settings.dripping
    if not watches:
        return
    settings.watch = watches[0] if len(watches) == 1 else _All(tuple(watches))
    settings.sender = _TimedSender(settings.sender)
    if dripping is not None:
        settings.dripping = lambda seconds: _TimedSender(dripping(seconds))


class _TimedSender:
    """A sender that notes how long its last request took."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, timeout_s: float
    ) -> SendOutcome:
        began = precise_s()
        try:
            return await self._sender.send(method, url, headers, body, timeout_s=timeout_s)
        finally:
            took_ms.set(ms_since(began))


@dataclass(frozen=True, slots=True)
class _All:
    """Several watches."""

    watches: tuple[Watch, ...]

    def request(self, provider: Provider, request: Request, reply: Reply, *, does: str, began: float) -> None:
        for watch in self.watches:
            watch.request(provider, request, reply, does=does, began=began)

    def entry(self, world: World, number: int, entry: Mapping[str, Any]) -> None:
        for watch in self.watches:
            watch.entry(world, number, entry)

    def event(self, name: str, **facts: Any) -> None:
        for watch in self.watches:
            watch.event(name, **facts)


class WatchedControl:
    """The control plane, whose requests a watch hears of: method, path and status, nothing else of them."""

    def __init__(self, app: _App, watch: Watch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = precise_s(), 500

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            facts = {"method": scope["method"], "status": status, "ms": ms_since(began), "path": scope["path"]}
            self._watch.event("control", **facts)
