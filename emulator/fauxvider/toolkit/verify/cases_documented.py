"""The provider's documented cases, asked over HTTP: each in a world of its own, step by step (docs/fixtures.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from typing import Any

from fauxvider.clock import monotonic_ms
from fauxvider.engine.routing import Router
from fauxvider.errors import UsageError
from fauxvider.receiver import Receiver
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.client import Answer
from fauxvider.toolkit.verify.documented import readings_of
from fauxvider.toolkit.verify.playing import Player
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import decoded
from fauxvider_contracts import case_names, case_text

__all__ = ["documented_cases"]

_LOOK_S = 0.005
_WORLD = ("clock", "now", "seed", "keys", "balances", "limits")


def documented_cases(session: Session) -> Iterator[Case]:
    """Give the documented cases that hold under the readings at hand."""
    provider, file = session.contract.provider, session.file
    for name in case_names(provider):
        tree, problem = decoded(case_text(provider, name).encode())
        if problem or not isinstance(tree, dict) or not isinstance(tree.get("steps"), list):
            continue
        world = tree.get("world", {})
        if {**file.default_choice, **readings_of(world, provider)} != dict(session.contract.choice):
            continue
        options = {"clock": "manual", **{key: world[key] for key in _WORLD if key in world}}
        if "seed" in options:
            options["seed"] = int(options["seed"])
        title = f"documented: {tree.get('name', name)} ({tree.get('source', name)})"
        ask = partial(_play, steps=tree["steps"])
        yield Case(title, _rule(session, tree["steps"]), ask, ("control", "receiver"), world=options)


def _rule(session: Session, steps: list[Any]) -> str:
    """Name the operation that a case is about: that of its first request."""
    request: Any = next((step["request"] for step in steps if "request" in step), {})
    router = Router(session.contract.operations.values())
    found = router.match(str(request.get("method", "GET")), str(request.get("path", "")).partition("?")[0])
    return f"/operations/{found.operations[0].name}" if found and found.operations else "/operations"


def _play(session: Session, steps: list[Any]) -> None:
    if any("hang" in step.get("receiver", {}).get("answers", []) for step in steps):
        raise NotAskedError("a receiver that hangs costs its whole patience in real time")
    rule = _rule(session, steps)
    with ExitStack() as stack:
        player = Player(_Http(session, stack))
        for number, step in enumerate(steps, 1):
            for where, wanted, got in player.play(step):
                session.fail(rule, f"step {number} ({next(iter(step))}) {where}", wanted, got)
            if session.found:
                return  # what follows rests on it


class _Http:
    """The stage that is a server behind a control plane."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        if session.world is None:
            raise NotAskedError("it needs a world of its own (--control)")
        self._session = session
        self._stack = stack
        self.world = session.world
        self.provider = session.contract.provider

    def base(self, origin: str) -> str:
        is_api = origin in ("", self._session.contract.api.name)
        return self._session.base_url + ("" if is_api else f"/~{origin}")

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        # Blank around a value is no part of it, and h11 does not send it.
        sent = {name: value.strip(" \t") for name, value in headers.items()}
        try:
            return self._session.client.send(method, url, headers=sent, body=body)
        except UsageError as problem:
            raise NotAskedError(f"this client does not send what HTTP forbids: {problem}") from None

    def hold(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Callable[[], Answer]:
        """Ask in a thread, and go on when the server holds the call (or has answered it)."""
        before = self.world.held()
        worker = self._stack.enter_context(ThreadPoolExecutor(max_workers=1))
        asked = worker.submit(self.send, method, url, headers, body)
        ends = monotonic_ms() + int(self._session.client.timeout_s * 1000)
        while not asked.done() and self.world.held() <= before:
            if monotonic_ms() > ends:
                break  # it hangs: its own timeout says so
            wait([asked], timeout=_LOOK_S)
        return asked.result

    def receiver(self, answers: Sequence[Any]) -> Receiver:
        host, port = self._session.receiver_at
        return self._stack.enter_context(Receiver(answers, host=host, port=port))
