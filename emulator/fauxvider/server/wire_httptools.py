"""The guarded protocol over httptools."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fauxvider.server.wire import Guard

__all__ = ["GuardedHttpTools"]


class GuardedHttpTools(Guard, HttpToolsProtocol):
    """uvicorn's httptools protocol behind the guard."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_response_complete(self) -> None:
        self.note_answer()
        if self.pipeline:
            super().on_response_complete()
        else:
            # As uvicorn's, without a keep-alive timer per request.
            self.server_state.total_requests += 1
            if not self.transport.is_closing():
                self.flow.resume_reading()
        self.end_if_refused()
