"""Cases of callback attempts: which answers are tried again, when, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from fauxvider.contract.model import Callbacks
from fauxvider.engine.callbacks import is_accepted, is_retried
from fauxvider.engine.facts import Attempt
from fauxvider.toolkit.verify.callbacks import Hook, callback_rules, receiver
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.jobs import phases_of
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.values import span_text

__all__ = ["attempt_cases"]

_ANSWERS: tuple[int | str, ...] = (201, 204, 302, 404, 500, 503, "reset")


_SLACK_MS = 1_500  # of a schedule that is measured in real time


def attempt_cases(operation: str, model: str, price: Decimal) -> Iterator[Case]:
    about: dict[str, Any] = {"operation": operation, "model": model}
    ladder = partial(_ladder, **about)
    yield Case("the schedule of callbacks that fail", "/callbacks/retry/delays", ladder, ("receiver",), price)
    for answer in _ANSWERS:
        yield Case(
            f"a callback that is answered with {answer}",
            "/callbacks/retry/on",
            partial(_outcome, answer=answer, **about),
            ("receiver", "control"),
            price,
        )
    yield Case("a callback that is not answered", "/callbacks/timeout", _hanging, ("receiver",))


def _ladder(session: Session, operation: str, model: str) -> None:
    """Fail every attempt, and look when each comes."""
    rules = callback_rules(session)
    failing = next((one for one in (503, 500, 404, "reset") if _is_retried(rules, one)), None)
    if failing is None:
        raise NotAskedError("the contract tries nothing again")
    with receiver(session, failing) as listening:
        hook = Hook(session, listening, operation, model)
        watch = hook.submit()
        if session.world is not None:
            # The end is brought about, so that its moment is known: the first attempts may follow it closely.
            watch.to(max((stage.high for stage in phases_of(session, hook.run)[:-1]), default=0) + 5)
            session.world.force(hook.run.id)
            _step_through(session, hook)
            _schedule(session, rules)
        else:
            watch.finish()
            _measure(session, hook)
        if not rules.fresh and len({one.body for one in listening.received}) > 1:
            session.fail("/callbacks/resend", "the callback's bytes", "the same each time", "different ones")


def _step_through(session: Session, hook: Hook) -> None:
    """With a clock that can be moved: nothing a moment before, one more a moment after."""
    world, receiver, count = session.world, hook.receiver, 1
    if world is None:
        return
    world.advance(hook.rules.delay + 1)
    if not hook.wait(1):
        session.fail("/callbacks/events", "callback", "a callback", "none")
        return
    first = _attempt_moments(session)
    for number, delay in enumerate(hook.rules.retry.delays):
        rule = f"/callbacks/retry/delays/{number}"
        anchor = first[-1] if first else world.now()
        world.advance_to(anchor + delay - 1)
        if receiver.count > count:
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", "earlier", None)
        world.advance_to(anchor + delay + 1)
        count += 1
        if len(hook.wait(count)) < count:
            got = "later" if _comes(session, hook, count) else "never"
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", got, None)
            return
        first = _attempt_moments(session)
    world.advance(max(hook.rules.retry.delays, default=1_000) * 4)
    if receiver.count > count:
        session.fail(
            "/callbacks/retry/delays", "attempts", f"{count} attempts", f"{receiver.count} attempts", receiver.count
        )


def _schedule(session: Session, rules: Callbacks) -> None:
    """When a schedule does not hold, tell the one that was seen."""
    if session.world is None or not any(one.rule.startswith("/callbacks/retry/delays") for one in session.found):
        return
    session.world.advance(max(rules.retry.delays, default=1_000) * 50)
    moments = _attempt_moments(session)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    wanted = f"pauses of {', '.join(map(str, rules.retry.delays))} ms"
    session.fail(
        "/callbacks/retry/delays", "schedule", wanted, f"pauses of {', '.join(map(str, gaps)) or 'nothing'} ms", gaps
    )


def _comes(session: Session, hook: Hook, count: int) -> bool:
    if session.world is not None:
        session.world.advance(max(hook.rules.retry.delays) * 20)
    return hook.receiver.count >= count


def _attempt_moments(session: Session) -> list[int]:
    return session.world.attempts() if session.world is not None else []


def _measure(session: Session, hook: Hook) -> None:
    """In real time: the pauses between attempts, with some slack for the way, as far as patience goes."""
    every = hook.rules.retry.delays
    latest = accumulate(_latest(delay) for delay in every)
    delays = every[: sum(span <= session.patience_ms for span in latest)]
    came = hook.wait(len(delays) + 1)
    moments = [one.at or 0 for one in came]
    for number, delay in enumerate(delays):
        rule = f"/callbacks/retry/delays/{number}"
        if len(moments) < number + 2:
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", "never")
            return
        gap = moments[number + 1] - moments[number]
        if not delay - 100 <= gap <= _latest(delay):
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", f"{gap} ms", gap)
    if len(delays) < len(every):
        rest = span_text(sum(every[len(delays) :]))
        raise NotAskedError(f"of {len(every)} pauses {len(delays)} hold; the others take {rest} (--patience)")
    threading.Event().wait(min(5.0, max(delays, default=0) * 1.5 / 1000))
    if hook.receiver.count > len(delays) + 1:
        session.fail(
            "/callbacks/retry/delays", "attempts", f"{len(delays) + 1} attempts", f"{hook.receiver.count} attempts"
        )


def _latest(delay: int) -> float:
    """Give the longest that a pause may last (ms)."""
    return delay * 1.25 + _SLACK_MS


def _as_attempt(answer: int | str) -> Attempt:
    if isinstance(answer, int):
        return Attempt(1, 0, 0, "http", answer)
    return Attempt(1, 0, 0, "network")


def _is_retried(rules: Callbacks, answer: int | str) -> bool:
    return not is_accepted(rules, _as_attempt(answer)) and is_retried(rules, _as_attempt(answer))


def _outcome(session: Session, operation: str, model: str, answer: int | str) -> None:
    """Give every attempt the same answer, and count them."""
    rules = callback_rules(session)
    is_again = _is_retried(rules, answer)
    count = 1 + (len(rules.retry.delays) if is_again else 0)
    with receiver(session, answer) as listening:
        hook = Hook(session, listening, operation, model)
        hook.submit().finish()
        if session.world is not None:
            session.world.advance(rules.delay + sum(rules.retry.delays) * 4 + 1_000)
        came = hook.wait(count)
        if len(came) != count:
            rule = "/callbacks/accept" if is_accepted(rules, _as_attempt(answer)) else "/callbacks/retry/on"
            session.fail(
                rule, f"attempts answered with {answer}", f"{count} attempts", f"{len(came)} attempts", len(came)
            )


def _hanging(session: Session) -> None:
    rules = callback_rules(session)
    raise NotAskedError(f"a receiver that hangs costs {rules.timeout // 1000} s of real time for each attempt")
