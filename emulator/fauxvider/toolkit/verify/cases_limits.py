"""Cases of rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fauxvider.contract.model import Limit
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_requests import any_call
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, match

__all__ = ["limit_cases"]

_MAX_TRIES = 4_000


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
    for number in range(limit.count):
        answer = session.send(call)
        if number == 0:
            _limit_headers(session, limit, answer)
        if answer.status == session.error("rate", _rate(session, call, limit)).status:
            session.fail(
                f"/limits/{limit.name}/count", "requests", f"{limit.count} are let through", f"{number} are", number
            )
            return
    answer = session.send(call)
    found = session.compare(answer, session.error("rate", _rate(session, call, limit)))
    if found.mismatches and found.mismatches[0].place == "status":
        more = _how_many(session, call, limit, answer.status)
        session.fail(
            f"/limits/{limit.name}/count",
            "requests",
            f"{limit.count} are let through",
            f"{more or 'many more'} are",
            more,
        )
        return
    session.note(found)
    if session.world is not None:
        session.world.advance(limit.window + 1)
        if session.send(call).status == answer.status:
            session.fail(f"/limits/{limit.name}/window", "requests", f"again after {limit.window} ms", "still refused")


def _how_many(session: Session, call: Call, limit: Limit, usual: int) -> int | None:
    """Go on until the limit is met, if it is near."""
    for number in range(limit.count + 1, min(_MAX_TRIES, limit.count * 3 + 50)):
        if session.send(call).status != usual:
            return number
    return None


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


def _limit_headers(session: Session, limit: Limit, answer: Any) -> None:
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
