"""The guarded protocol over h11."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fauxvider.server.wire import Guard

__all__ = ["GuardedH11"]


class GuardedH11(Guard, H11Protocol):
    """uvicorn's h11 protocol behind the guard."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner, extensions = self.app, self._extensions

        # The scope is made in the middle of uvicorn's event loop; the application is the first place after it.
        def app(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
            scope["extensions"] = extensions
            made: Awaitable[None] = inner(scope, receive, send)
            return made

        self.app = app

    def on_response_complete(self) -> None:
        self.note_answer()
        # As uvicorn's, without a keep-alive timer per request.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
            self.conn.start_next_cycle()
            self.handle_events()
        self.end_if_refused()
