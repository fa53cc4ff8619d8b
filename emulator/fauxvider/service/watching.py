"""Who is told of what happens, as it happens: logs and metrics. Nobody is, unless somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider
    from fauxvider.service.wire import Reply, Request
    from fauxvider.service.world import World

__all__ = ["Watch"]


class Watch(Protocol):
    """Hears of everything in a process; it must neither raise nor wait."""

    def request(self, provider: Provider, request: Request, reply: Reply, *, does: str, began: float) -> None:
        """Hear of a request that was answered. `began`: a reading of `fauxvider.clock.precise_s`."""
        ...

    def entry(self, world: World, number: int, entry: Mapping[str, Any]) -> None:
        """Hear of an entry of a world's journal, requests too; `number` counts them from 1."""
        ...

    def event(self, name: str, **facts: Any) -> None:
        """Hear of the server's own life: it is ready, it drains, a world is made."""
        ...
