"""Group commit: what is written in one turn of the event loop goes to a thread, which commits many turns at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from fauxvider.errors import StoreError

__all__ = ["GroupCommit"]

W = TypeVar("W")
_log = logging.getLogger(__name__)
_Batch: TypeAlias = tuple[list[W], "asyncio.Future[None] | None"]


class GroupCommit(Generic[W]):
    """Hands writes to `commit`, which gets the turns that wait, in order, and may raise StoreError.

    Whoever acknowledges something waits for `flush` first. When `commit` raises anything else, nothing more is
    committed: nobody knows what was kept.
    """

    def __init__(self, commit: Callable[[list[list[W]]], None], *, name: str) -> None:
        self._do = commit
        self.around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
        self._pending: list[W] = []
        self._asked: asyncio.Future[None] | None = None
        self._is_handed = False
        self._broken = ""
        self._added = self._kept = 0  # writes; each is counted by one thread
        self.turn = 0  # that is not handed over yet
        self._batches: queue.SimpleQueue[_Batch[W] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def add(self, write: W) -> None:
        """Add to what is committed next. What is written in one turn of the loop is committed whole or not at all."""
        self._pending.append(write)
        self._added += 1
        if not self._is_handed:
            self._is_handed = True
            try:
                asyncio.get_running_loop().call_soon(self._hand_over)
            except RuntimeError:
                self._hand_over()  # no loop: the server is being put together

    @property
    def unkept(self) -> int:
        """How many writes were not committed, or not yet."""
        return self._added - self._kept

    def _hand_over(self) -> None:
        self._is_handed = False
        self.turn += 1
        pending, self._pending = self._pending, []
        asked, self._asked = self._asked, None
        if pending or asked is not None:
            self._batches.put((pending, asked))

    async def flush(self) -> None:
        """Return when all that was written so far is committed. Raises StoreError when it cannot be."""
        loop = asyncio.get_running_loop()
        if self._asked is None:
            self._asked = loop.create_future()
            if not self._is_handed:
                self._is_handed = True
                loop.call_soon(self._hand_over)
        await asyncio.shield(self._asked)

    def close(self) -> None:
        """Commit what is left. May be called more than once."""
        if self._thread.is_alive():
            self._hand_over()
            self._batches.put(None)
            self._thread.join()

    def _work(self) -> None:
        is_over = False
        while not is_over:
            batches = [self._batches.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    batches.append(self._batches.get_nowait())
            is_over = None in batches
            self._commit([batch for batch in batches if batch is not None])

    def _commit(self, batches: list[_Batch[W]]) -> None:
        problem = StoreError(self._broken) if self._broken else None
        turns = [writes for writes, _ in batches if writes]
        try:
            if problem is None:
                with self.around() if turns else contextlib.nullcontext():
                    self._do(turns)
        except StoreError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - who waits would wait for ever
            _log.exception("a commit failed")
            self._broken = f"nothing more can be stored: a fault of ours ({type(error).__name__})"
            problem = StoreError(self._broken)
        if problem is None:
            self._kept += sum(map(len, turns))
        waiting = [asked for _, asked in batches if asked is not None]
        if waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                waiting[0].get_loop().call_soon_threadsafe(_tell, waiting, problem)


def _tell(waiting: list[asyncio.Future[None]], problem: StoreError | None) -> None:
    """Wake those that wait for a commit: all of them in one go, since waking the loop costs more than the rest."""
    for asked in waiting:
        if problem is None:
            asked.set_result(None)
        else:
            asked.set_exception(problem)
            asked.exception()  # whoever waited may be gone
