"""Cases of rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fauxvider.contract.model import Limit
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_requests import any_call
from fauxvider.toolkit.verify.client import Answer
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, match
from fauxvider.values import span_text

__all__ = ["limit_cases"]

_MAX_TRIES = 4_000
_LOOKS = 20  # for the beginning of a window, in its length


def limit_cases(session: Session) -> Iterator[Case]:
    for name, limit in session.contract.limits.items():
        yield Case(f"the limit {name}", f"/limits/{name}", partial(_limit, limit=limit), ("limits",))


_COUNT = Like("integer", says="a count")


def _limit(session: Session, limit: Limit) -> None:
    """Ask one time more often than the contract allows, with requests that cost nothing."""
    if limit.kind == "in_flight":
        raise NotAskedError("it takes many calls that are held at once")
    if limit.count > _MAX_TRIES:
        raise NotAskedError(f"{limit.count} requests are too many")
    call, session.waits_for_limits = _cheap(session, limit), False
    if session.world is None:
        session.rest(limit.window)  # what was asked before counts
    asked = _Asked(session, call, limit)
    burst = asked.counted()
    if asked.first is not None:
        _limit_headers(session, limit, asked.first)
    if burst.passed != limit.count:
        many = "many more" if burst.refusal is None else str(burst.passed)
        observed = None if burst.refusal is None else burst.passed
        session.fail(
            f"/limits/{limit.name}/count", "requests", f"{limit.count} are let through", f"{many} are", observed
        )
        return
    if burst.refusal is not None:
        session.note(session.compare(burst.refusal, asked.wanted))
    if session.world is not None:
        session.world.advance(limit.window + 1)
        if asked.is_refused(session.send(call)):
            asked.stays_refused()


@dataclass(frozen=True, slots=True)
class _Burst:
    """Requests one after another: how many were let through, what refused the next one; moments in ms.

    `refused`: before the one that was refused was sent.
    """

    passed: int
    refusal: Answer | None
    began: int
    ended: int
    refused: int = 0


class _Asked:
    """A limit, asked by one request again and again.

    A fixed window may end in the middle of a burst, which then gets up to twice the count through in less than its
    length. So a refusal that comes late tells nothing yet: the next window is asked, from its beginning.
    """

    def __init__(self, session: Session, call: Call, limit: Limit) -> None:
        self._session = session
        self._call = call
        self._limit = limit
        self.wanted = session.error("rate", _rate(session, call, limit))
        self.first: Answer | None = None

    def is_refused(self, answer: Answer) -> bool:
        return answer.status == self.wanted.status

    def counted(self) -> _Burst:
        """Count what is let through, of fixed windows in one. Raises NotAskedError where that takes too long."""
        count, is_fixed = self._limit.count, self._limit.kind == "fixed"
        burst = self._burst(count + 1)
        if burst.refusal is not None and (burst.passed == count or not is_fixed):
            return burst
        if burst.refusal is None and is_fixed:
            burst = self._more(burst, 2 * count + 1)  # no two windows let that many through
        is_wrong = burst.refusal is None or burst.passed < count
        if burst.refusal is None:
            self._check(burst)
            burst = self._more(burst, min(_MAX_TRIES, count * 3 + 50))
        if burst.refusal is None or not is_fixed:
            return burst
        try:
            return self._of_one_window(burst)
        except NotAskedError:
            if not is_wrong:
                raise
            return burst if burst.passed < count else replace(burst, refusal=None)

    def _burst(self, most: int, *, began: int | None = None, passed: int = 0) -> _Burst:
        """Ask until it is refused, or `most` are let through, with those that were before."""
        now, is_ours = self._session.now, self._session.world is not None
        began = now() if began is None else began
        for number in range(passed, most):
            sent = 0 if is_ours else now()
            answer = self._session.send(self._call)
            self.first = self.first or answer
            if self.is_refused(answer):
                ended = now()
                return _Burst(number, answer, began, ended, ended if is_ours else sent)
        return _Burst(most, None, began, now())

    def _more(self, burst: _Burst, most: int) -> _Burst:
        return self._burst(most, began=burst.began, passed=burst.passed) if most > burst.passed else burst

    def _of_one_window(self, burst: _Burst) -> _Burst:
        """Wait for the next window as one that was refused, and count what it lets through from its beginning."""
        window, refused = self._limit.window, burst.refused
        step = max(1, window // _LOOKS)
        self._session.waiting("for the next window of a limit", window + 2 * step)
        for _ in range(_LOOKS + 2):
            self._session.pause(step)
            sent = self._session.now()
            if not self.is_refused(self._session.send(self._call)):
                # It began after the last refusal: who ends before its length is over since then has met no other one.
                found = self._burst(max(self._limit.count, burst.passed) + 1, began=refused, passed=1)
                self._check(found)
                return found
            refused = sent
        self.stays_refused()
        return replace(burst, passed=self._limit.count)

    def _check(self, burst: _Burst) -> None:
        if burst.ended - burst.began >= self._limit.window:
            count, window = burst.passed, span_text(self._limit.window)
            raise NotAskedError(f"{count} requests take longer than the limit's window of {window}")

    def stays_refused(self) -> None:
        rule, window = f"/limits/{self._limit.name}/window", self._limit.window
        self._session.fail(rule, "requests", f"again after {window} ms", "still refused")


def _rate(session: Session, call: Call, limit: Limit) -> dict[str, Any]:
    return {
        **session.scope(call),
        "retry_after": Like("integer", rule=f"/limits/{limit.name}/window"),
        "limit": {"count": Exactly(limit.count, f"/limits/{limit.name}/count")},
    }


def _cheap(session: Session, limit: Limit) -> Call:
    """Give a request that this limit alone counts first, and that makes no job."""
    order = {"read": 0, "view": 0, "models": 0, "list": 0, "counts": 1, "cancel": 1, "purge": 1, "submit": 3}
    users = [one for one in session.contract.operations.values() if limit.name in one.limits]
    for operation in sorted(users, key=lambda one: order.get(one.kind, 2)):
        others = [
            session.contract.limits[name]
            for name in operation.limits
            if name != limit.name and name in session.contract.limits
        ]
        if any(
            other.kind != "in_flight" and other.count <= limit.count and other.window >= limit.window
            for other in others
        ):
            continue
        if operation.owner:
            owned = [one for one in session.contract.models.values() if one.facts.get("owned")]
            if owned:
                return session.samples.call(operation, owned[0])
            continue
        try:
            call = any_call(session, operation)
        except NotAskedError:
            continue
        if operation.kind == "submit":
            call.data = b"{"  # counted, and then refused as no JSON
        return call
    raise NotAskedError("no request that costs nothing is counted by this limit")


def _limit_headers(session: Session, limit: Limit, answer: Answer) -> None:
    scope = {
        "limit": {"count": Exactly(limit.count, f"/limits/{limit.name}/count"), "remaining": _COUNT, "reset": _COUNT}
    }
    for name, raw in session.tree["limits"][limit.name].get("headers", {}).items():
        rule = f"/limits/{limit.name}/headers/{name}"
        want, got = session.names.reader.want(raw, rule, scope), answer.header(name)
        if got is None:
            session.fail(rule, f"header {name}", "this header", "none")
        elif isinstance(want, Exactly):
            session.note(match(Exactly(str(want.value), want.rule, want.at), got, f"header {name}"))
        elif not got.isdecimal():
            session.fail(rule, f"header {name}", "a whole number", got, got)
