"""The receiver: `async with` in the running loop, or `with` in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from fauxvider.errors import UsageError
from fauxvider.receiver.backends import App, AppBackend, Backend, UrlBackend
from fauxvider.receiver.listening import Acceptor, LoopThread
from fauxvider.receiver.peer import Peer, Request
from fauxvider.receiver.records import Answered, NotReceivedError, Received
from fauxvider.receiver.script import Answer, Answers, make_chooser
from fauxvider.sockets import listen, url_of

__all__ = ["Receiver"]

_FLUSH_S = 0.25


class Receiver:
    """Records every request that comes, and answers by script.

        with Receiver([503, "reset", 200]) as receiver:     # or: async with
            start_job(callback=receiver.url + "/hook")
            receiver.wait(3)                                # or: await receiver.arrived(3)
        assert len({one.body for one in receiver.received}) == 1

    ``answers`` is one answer, a list (its last one repeats), a function of `Received`, or any of these by
    path (``{"/hook": [...], "*": 404}``). An answer is a status; ``"reset"``, ``"close"`` (both after
    everything was read), ``"hang"``, ``"garbage"``, ``"redirect:URL"``; ``"pass"``: the answer of what
    stands behind; or a mapping: ``status headers body redirect``, with the real spans ``after`` (the
    delay) and ``drip`` (over which it is sent in pieces); ``{"down": SPAN}``: this request, and every
    connection within the span, is reset; ``{"pass": ANSWER}``: what stands behind gets the request, and
    the sender gets ``ANSWER``.

    ``app`` is an ASGI application, called in the receiver's loop; ``forward`` a URL of this machine, which
    gets the request byte by byte (at its own path, if it has one). ``clock`` gives moments in ms: it dates
    what is received and measures ``down``. Of the records the last ``keep`` are kept; None: all.
    ``on_answer`` is told what became of each request, in the receiver's loop.

    ``received`` is in the order in which requests were complete, ``count`` how many; ``refused`` counts
    what never became one (``down``, ``no HTTP``, ``incomplete``, ...). What the script's function, the
    clock or ``on_answer`` raises is raised where the block ends.
    """

    def __init__(
        self,
        answers: Answers | None = None,
        *,
        forward: str | None = None,
        app: App | None = None,
        clock: Callable[[], int] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep: int | None = None,
        on_answer: Callable[[Answered], None] | None = None,
    ) -> None:
        if forward is not None and app is not None:
            raise UsageError("a receiver stands in front of an application or of a URL, not of both")
        self.received: list[Received] = []
        self.refused: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self.count = 0
        self._backend = _backend(forward, app)
        has_backend = self._backend is not None
        default: Answers = "pass" if has_backend else 200
        self._choose = make_chooser(default if answers is None else answers, has_backend=has_backend)
        self._clock = clock
        self._place = host, port
        self._keep = keep
        self._on_answer = on_answer
        self._down_until: int | None = None
        self._acceptor: Acceptor | None = None
        self._is_stopping = False
        self._thread: LoopThread | None = None
        self._home = 0  # the thread of the loop
        self._url = ""
        self._peers: set[Peer] = set()
        self._news = asyncio.Event()
        self._arrival = threading.Condition()

    def __enter__(self) -> Self:
        thread = LoopThread(self.start, self.stop)
        thread.start()
        self._thread = thread
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
        self._raise_errors(kind)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        self._raise_errors(kind)

    @property
    def url(self) -> str:
        """The address without a path, such as ``http://127.0.0.1:40123``."""
        if not self._url:
            raise UsageError("the receiver has not been started: use it in a with block")
        return self._url

    async def start(self) -> str:
        """Listen; give the URL. Raises PortTakenError or UsageError."""
        if self._acceptor is not None:
            raise UsageError("the receiver runs already")
        sock = listen(*self._place)
        try:
            if self._backend is not None:
                await self._backend.start(sock.getsockname()[1])
        except BaseException:
            sock.close()
            raise
        self._is_stopping = False
        self._home = threading.get_ident()
        self._url = url_of(sock)
        self._acceptor = Acceptor(sock, lambda: Peer(self))
        return self._url

    async def stop(self) -> None:
        """End every connection, the hanging ones too, and the application behind. May be called more than once."""
        if self._acceptor is None:
            return
        acceptor, self._acceptor, self._is_stopping = self._acceptor, None, True
        await acceptor.stop()
        while peers := list(self._peers):
            tasks = [peer.task for peer in peers if peer.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _hang_up(peers)
        if self._backend is not None:
            await self._backend.stop()
        self._home = 0

    def wait(self, count: int, timeout_s: float = 10.0) -> list[Received]:
        """Wait until this many requests have come; raises NotReceivedError. Not for the loop's own thread."""
        if self._home == threading.get_ident():
            raise UsageError("this thread runs the receiver: write await receiver.arrived(...)")
        with self._arrival:
            if not self._arrival.wait_for(lambda: self.count >= count, timeout_s):
                raise _missing(self.count, count, timeout_s)
            return list(self.received)

    async def arrived(self, count: int, timeout_s: float = 10.0) -> list[Received]:
        """Wait in the receiver's loop until this many requests have come; raises NotReceivedError."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.count < count:
                    await self._news.wait()
        except TimeoutError:
            raise _missing(self.count, count, timeout_s) from None
        return list(self.received)

    def _raise_errors(self, kind: type[BaseException] | None) -> None:
        """Raise what the script's function, the clock or the listener raised, unless the test has failed already."""
        if kind is None and self.errors:
            raise self.errors[0]

    # --- what connections ask ---

    @property
    def is_down(self) -> bool:
        return self._is_stopping or (self._down_until is not None and self._now() < self._down_until)

    def join(self, peer: Peer) -> None:
        self._peers.add(peer)

    def leave(self, peer: Peer) -> None:
        self._peers.discard(peer)

    def refuse(self, why: str) -> None:
        self.refused[why] += 1

    async def handle(self, peer: Peer, request: Request) -> None:
        """Record a request and answer it."""
        if self.is_down:
            self.refuse("down")
            peer.reset()
            return
        received, answer = self._record(request)
        note = answer.note
        if answer.kind == "pass" and self._backend is not None:
            passed = await self._backend.ask(request)
            note = passed.note
            answer = answer.then or replace(passed, after_ms=answer.after_ms, drip_ms=answer.drip_ms)
        told = Answered(received, None, note)
        if answer.after_ms and not await peer.pause(answer.after_ms):
            self._tell(replace(told, note="gone"))
        else:
            await self._act(peer, request, answer, told)

    async def _act(self, peer: Peer, request: Request, answer: Answer, told: Answered) -> None:
        if answer.kind == "http":
            is_sent = await peer.send(answer, request)
            self._tell(replace(told, status=answer.status) if is_sent else replace(told, note="gone"))
        else:
            if answer.kind == "down":
                self._down_until = self._now() + answer.down_ms
            self._tell(replace(told, note=answer.kind))
            if answer.kind == "hang":
                await peer.until_silent()
            elif answer.kind == "close":
                peer.end()
            elif answer.kind == "garbage":
                peer.send_garbage()
            else:
                peer.reset()

    def _record(self, request: Request) -> tuple[Received, Answer]:
        received = Received(
            number=self.count + 1,
            method=request.method,
            path=request.target.decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
            body=request.body,
            at=None,
            answer=None,
        )
        try:
            received = replace(received, at=None if self._clock is None else self._clock())
            item, answer = self._choose(received)
        except Exception as error:  # noqa: BLE001 - of the user's code; it is raised where the block ends
            self.errors.append(error)
            why = f"the receiver's script failed: {type(error).__name__}"
            item, answer = 500, Answer(status=500, body=why.encode(), note=why)
        received = replace(received, answer=item)
        self._keep_record(received)
        return received, answer

    def _keep_record(self, received: Received) -> None:
        with self._arrival:
            self.count += 1
            self.received.append(received)
            if self._keep is not None:
                del self.received[: -self._keep or None]
            self._arrival.notify_all()
        self._news.set()
        self._news = asyncio.Event()

    def _tell(self, answered: Answered) -> None:
        if self._on_answer is not None:
            try:
                self._on_answer(answered)
            except Exception as error:  # noqa: BLE001 - of the user's code; it is raised where the block ends
                self.errors.append(error)

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000) if self._clock is None else self._clock()


def _backend(forward: str | None, app: App | None) -> Backend | None:
    if app is not None:
        return AppBackend(app)
    return None if forward is None else UrlBackend(forward)


def _missing(came: int, count: int, timeout_s: float) -> NotReceivedError:
    return NotReceivedError(f"{came} of {count} requests came within {timeout_s:g} s")


async def _hang_up(peers: list[Peer]) -> None:
    """Let what has been written go out, briefly, and wait until every socket is gone."""
    for peer in peers:
        peer.stop()
    await asyncio.wait([peer.lost for peer in peers], timeout=_FLUSH_S)
    for peer in peers:
        peer.abort()
    await asyncio.gather(*(peer.lost for peer in peers))
