"""Gets input pictures by URL, where the egress policy lets us: loopback, unless more is allowed."""

from __future__ import annotations

from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender, SenderLimits

__all__ = ["Fetcher"]

_MAX_PICTURE = 20 * 1024 * 1024
_TIMEOUT_S = 5.0


class Fetcher:
    """A picture that may not be fetched, or that does not come, is stood in for by the renderer."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._sender = Sender(policy, limits=SenderLimits(max_body=_MAX_PICTURE))

    async def fetch(self, url: str) -> bytes | None:
        outcome = await self._sender.send("GET", url, [("Accept", "image/*")], b"", timeout_s=_TIMEOUT_S)
        return outcome.body if outcome.status == 200 and not outcome.error else None
