"""Whether the server lives, and whether it is ready: two paths on both ports, without a token.

No provider's name begins with a dash, so that the paths are nobody's; at a provider's real host name they
are the provider's own, as every path is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fauxvider.errors import StoreError
from fauxvider.gate import dump_json
from fauxvider.service.emulator import Emulator

__all__ = ["LIVE", "READY", "Health", "Probed"]

LIVE, READY = "/-/live", "/-/ready"
_PATIENCE_S = 2.0  # for the store

_App = Callable[[Any, Any, Any], Awaitable[None]]
_Message = MutableMapping[str, Any]


class Health:
    """What a server still lacks. Live: the loop turns, which an answer shows. Ready: nothing is lacking."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._lacking = {"start": "starting: worlds and models are being brought in"}

    @property
    def has_begun(self) -> bool:
        return "start" not in self._lacking

    def begin(self) -> None:
        """Say that the start is over."""
        self._lacking.pop("start", None)

    def drain(self) -> None:
        """Say that the end has begun."""
        self._lacking["end"] = "draining: the server ends, and takes nothing new"

    async def reasons(self) -> list[str]:
        """Give why the server is not ready; none when it is."""
        found = list(self._lacking.values())
        file = self._emulator.file
        if file is not None and not found:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await file.flush()
            except StoreError:
                found.append("the store keeps nothing more")
            except TimeoutError:
                found.append(f"the store did not answer within {_PATIENCE_S:g} s")
        return found

    async def answer(self, path: str) -> tuple[int, bytes] | None:
        """Give status and JSON body for one of the two paths, None for any other."""
        if path == LIVE:
            return 200, dump_json({"status": "live"})
        if path != READY:
            return None
        reasons = await self.reasons()
        if reasons:
            return 503, dump_json({"status": "not ready", "reasons": [*reasons]})
        return 200, dump_json({"status": "ready"})


class Probed:
    """An application behind the two paths; until the start is over it answers 503 to everything else."""

    def __init__(self, app: _App, health: Health) -> None:
        self._app = app
        self._health = health

    async def __call__(self, scope: _Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = await self._health.answer(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if found is None and not self._health.has_begun:
            found = 503, dump_json({"error": "the server is starting"})
        if found is None:
            await self._app(scope, receive, send)
            return
        status, body = found
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
