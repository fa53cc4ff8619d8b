"""What all worlds of one emulator share: where it listens, how it sends and renders, its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fauxvider.contract.model import Contract
from fauxvider.engine.recipe import Recipe
from fauxvider.ports import Renderer, Sender
from fauxvider.service.cache import ByteCache
from fauxvider.service.watching import Watch

if TYPE_CHECKING:
    from fauxvider.service.live import LiveRuns

__all__ = ["DEFAULT_WORLD", "Settings"]

DEFAULT_WORLD = "default"

Fetch = Callable[[str], Awaitable[bytes | None]]
Make = Callable[[Recipe], Awaitable[bytes]]


@dataclass(slots=True)
class Settings:
    """`base_url` is set when the socket is bound; absolute URLs are made from it alone."""

    renderer: Renderer
    sender: Sender
    executor: Executor
    cache: ByteCache
    base_url: str = "http://127.0.0.1:8900"
    fetch: Fetch | None = None  # gets input pictures from URLs that the egress policy allows
    contract_of: Callable[[str, Mapping[str, str]], Contract] | None = None  # a provider under other readings
    metadata: bool = True
    live: LiveRuns | None = None  # jobs that really run
    dripping: Callable[[float], Sender] | None = None  # a sender whose body takes that many real seconds
    watch: Watch | None = None  # is told of what happens
    patience_s: float = 2.0  # least real time that a receiver gets on a clock that runs fast
    _making: dict[Hashable, asyncio.Future[bytes]] = field(default_factory=dict)

    def local_base(self, world: str, provider: str, origin: str = "") -> str:
        """Give the address here of a provider's API, or of another origin of it, in a world."""
        root = self.base_url if world == DEFAULT_WORLD else f"{self.base_url}/w/{world}"
        return f"{root}/{provider}/~{origin}" if origin else f"{root}/{provider}"

    async def rendered(
        self, key: Hashable, recipe: Callable[[], Awaitable[Recipe]], *, make: Make | None = None
    ) -> bytes:
        """Give the file of a recipe; several who ask at once share one rendering."""
        data = self.cache.get(key)
        if data is not None:
            return data
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.ensure_future(self._render(key, recipe, make))
            making.add_done_callback(lambda _done: self._making.pop(key, None))
        return await asyncio.shield(making)

    async def _render(self, key: Hashable, recipe: Callable[[], Awaitable[Recipe]], make: Make | None) -> bytes:
        made = await recipe()
        if make is not None:
            data = await make(made)
        else:
            data = await asyncio.get_running_loop().run_in_executor(self.executor, self.renderer.render, made)
        self.cache.put(key, data)
        return data
