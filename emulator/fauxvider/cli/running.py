"""One run of `fauxvider serve`: what is brought in first, what is served, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fauxvider.errors import RenderError, StoreError, UsageError
from fauxvider.server.ending import Ending
from fauxvider.server.health import Health
from fauxvider.server.runner import Site, serve_bound
from fauxvider.service.emulator import Emulator

if TYPE_CHECKING:
    from fauxvider.server.metrics import Metrics
    from fauxvider.server.shared import Node
    from fauxvider.server.tls_front import TlsFront

__all__ = ["Run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The parts of a run. `warm`: the pipeline's model is loaded first. `tell` shows a person a line.

    `node`: this process as one of several on a store.
    """

    site: Site
    emulator: Emulator
    health: Health
    front: TlsFront | None
    node: Node | None
    metrics: Metrics | None
    warm: bool
    ready: Callable[[], None]
    tell: Callable[[str], None]

    async def serve(self) -> None:
        """Serve until a signal comes; then finish within the grace period.

        Raises FauxviderError; StoreError too where the end was not kept, and StoreHangsError where a thread hangs.
        """
        ending = Ending(self.emulator, self.health)

        def stopping() -> None:
            requests = self.site.busy + (0 if self.node is None else self.node.hops.busy)
            if requests or ending.busy:
                self.tell("finishing what is under way; Ctrl-C again ends at once")
            self._say("draining", requests=requests, callbacks=ending.busy)
            ending.begin()
            if self.front is not None:
                self.front.drain()

        async def settle() -> None:
            await ending.finish()
            if self.front is not None:
                await self.front.finished()
            if self.node is not None:
                await self.node.finish()

        left: StoreError | None = None

        async def close() -> None:
            nonlocal left
            await ending.cut()
            left = await self._close(ending)
            self._say("stopped", **({} if left is None else {"left": str(left)}))

        steps = {"prepare": self._prepare, "settle": settle, "close": close}
        try:
            await serve_bound(self.site, ready=self._ready, stopping=stopping, **steps)
        except RenderError as error:
            raise UsageError(str(error)) from None
        if left is not None:
            raise left

    def _ready(self) -> None:
        self._say("ready", providers=self.site.urls.provider, control=self.site.urls.control)
        self.ready()

    def _say(self, event: str, **facts: Any) -> None:
        if (watch := self.emulator.settings.watch) is not None:
            watch.event(event, **facts)

    async def _prepare(self) -> None:
        emulator = self.emulator
        if self.node is not None:
            await self.node.start(emulator.defaults)
        elif emulator.file is not None:
            emulator.begin(emulator.defaults)
        if emulator.settings.live is not None:
            await emulator.settings.live.start(warm=self.warm)
        if self.front is not None:
            await self.front.start()
        if self.metrics is not None:
            self.metrics.start()
        self.health.begin()

    async def _close(self, ending: Ending) -> StoreError | None:
        if self.metrics is not None:
            self.metrics.stop()
        if self.front is not None:
            await self.front.stop()
        if self.node is not None:
            await self.node.stop()
        left = await ending.close(grace_s=self.site.left_s, hurried=self.site.hurried)
        if self.emulator.settings.live is not None:
            await self.emulator.settings.live.close()
        self.site.close()
        return left
