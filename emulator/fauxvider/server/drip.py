"""A sender that takes its time over the body: what a slow network does to a callback."""

from __future__ import annotations

import asyncio

from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender

__all__ = ["DripSender"]

_PIECES = 8


class DripSender(Sender):
    """Sends the body in pieces over `seconds` of real time."""

    def __init__(self, policy: EgressPolicy, *, seconds: float) -> None:
        super().__init__(policy)
        self._pause = seconds / _PIECES

    async def write(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        transport.write(head)
        size = max(1, -(-len(body) // _PIECES))
        for at in range(0, len(body), size):
            await asyncio.sleep(self._pause)
            transport.write(body[at : at + size])
