"""Cases of callbacks: their bytes and signature, which ends call, which answers are tried again, and when."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation
from fauxvider.receiver import Received
from fauxvider.toolkit.verify.callbacks import Hook, callback_rules, check_message, receiver
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_attempts import attempt_cases
from fauxvider.toolkit.verify.cases_secrets import current_secret
from fauxvider.toolkit.verify.jobs import job_call, phases_of, submissions
from fauxvider.toolkit.verify.names import MOMENT, Run, id_pattern
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, Want, decoded

__all__ = ["callback_cases"]

_COUNT = Like("integer")


def callback_cases(session: Session) -> Iterator[Case]:
    rules = session.contract.callbacks
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if rules is None or found is None:
        return
    operation, model = found
    about: dict[str, Any] = {"operation": operation.name, "model": model}
    price = session.price_of(session.samples.call(operation, session.contract.models[model]))
    secrets = session.contract.secrets
    is_always = secrets is not None and secrets.present
    signed = (False,) if rules.signature is None else (True,) if is_always else (False, True)
    for with_secret in signed:
        what = "signed" if with_secret else "unsigned" if rules.signature else "as documented"
        yield Case(
            f"a callback is sent, {what}",
            "/callbacks/signature" if with_secret else "/callbacks/body",
            partial(_sent, with_secret=with_secret, **about),
            ("receiver", "control") if is_always and with_secret else ("receiver",),
            price,
        )
    for end in ("failed", "cancelled"):
        if end in session.contract.ends:
            yield Case(
                f"the callback of a job that is {end}",
                "/callbacks/events",
                partial(_other_end, end=end, **about),
                ("receiver", "control"),
                price,
            )
    if rules.progress and rules.filter:
        ask = partial(_progress, **about)
        yield Case("callbacks before the end", "/callbacks/progress", ask, ("receiver", "control"), price)
    yield from attempt_cases(operation.name, model, price)
    for name in ("deliveries", "redeliver"):
        for one in session.model_operations(name):
            yield Case(
                f"{one.name} of a delivered callback",
                f"/operations/{one.name}",
                partial(_history, asked=one, **about),
                ("receiver", "control"),
                price,
            )


def _sent(session: Session, operation: str, model: str, *, with_secret: bool) -> None:
    secret = current_secret(session) if with_secret else {}
    with receiver(session) as listening:
        hook = Hook(session, listening, operation, model)
        watch = hook.submit()
        state = watch.finish()
        if (message := _first_message(session, hook)) is not None:
            check_message(session, hook, message, state.word, secret)


def _first_message(session: Session, hook: Hook) -> Received | None:
    """Wait for the callback of a job that has ended; none is a failure."""
    if session.world is not None:
        session.world.advance(hook.rules.delay + 1)
    if came := hook.wait(1):
        return came[0]
    session.fail("/callbacks/events/succeeded", "callback", "a callback", "none")
    return None


def _other_end(session: Session, operation: str, model: str, end: str) -> None:
    secrets = session.contract.secrets
    secret = current_secret(session) if secrets is not None and secrets.present else {}
    with receiver(session) as listening:
        hook = Hook(session, listening, operation, model)
        watch = hook.submit()
        world = session.world
        if world is None:
            raise NotAskedError("it needs a clock that can be moved (--control)")
        run, stages = hook.run, phases_of(session, hook.run)
        run.has_started, run.origin_state = True, "running"
        if end == "failed" or _can_be_cancelled(session, "running"):
            watch.to(max((stage.high for stage in stages if stage.state.canonical == "queued"), default=0) + 5)
        else:
            run.has_started, run.origin_state = False, "queued"
        if end == "failed":
            run.failure = session.contract.default_failure
            world.force(run.id, run.failure)
        else:
            _cancel(session, run)
        world.advance(hook.rules.delay + 5)
        is_called = end in hook.rules.events
        came = hook.wait(1) if is_called else list(listening.received)
        if is_called and not came:
            session.fail(f"/callbacks/events/{end}", "callback", "a callback", "none")
        elif not is_called and came:
            session.fail("/callbacks/events", "callback", f"no callback of a job that is {end}", "one")
        elif came:
            check_message(session, hook, came[0], session.contract.ends[_canonical(end)].word, secret)


def _canonical(end: str) -> Any:
    return end


def _can_be_cancelled(session: Session, state: str) -> bool:
    return any(state in one.from_states for one in session.model_operations("cancel"))


def _cancel(session: Session, run: Run) -> None:
    operation = next(iter(session.model_operations("cancel")), None)
    if operation is None:
        raise NotAskedError("no operation of the contract cancels")
    session.send(job_call(session, operation, run))


# --- before the end


def _progress(session: Session, operation: str, model: str) -> None:
    """Ask for all events that come before the end: so many must come, none after it, and unasked-for ones never."""
    events = [one.event for one in callback_rules(session).progress]
    with receiver(session) as listening:
        hook = Hook(session, listening, operation, model, events)
        watch = hook.submit()
        watch.finish()
        if session.world is not None:
            session.world.advance(1)
        wanted = session.world.events() if session.world is not None else []
        came = hook.wait(max(1, len(wanted)))
        if not came or len(came) != len(wanted):
            session.fail("/callbacks/progress", "callbacks", f"{len(wanted)} callbacks", f"{len(came)} callbacks")
        for event in events:
            if event not in wanted:
                session.fail(f"/callbacks/progress/{event}", "callbacks", f"a callback for {event}", "none")


# --- history


def _history(session: Session, operation: str, model: str, asked: Operation) -> None:
    secret = current_secret(session) if session.contract.secrets is not None else {}
    with receiver(session) as listening:
        hook = Hook(session, listening, operation, model)
        watch = hook.submit()
        if asked.kind == "redeliver":
            _too_early(session, asked, hook)
        state = watch.finish()
        message = _first_message(session, hook)
        if message is None:
            return
        call = job_call(session, asked, hook.run)
        scope = session.names.job(session.scope(call), hook.run, state)
        done = _delivery(session, hook, message, secret)
        scope["deliveries"] = [done]
        if asked.kind == "redeliver":
            scope["delivery"] = {
                **done,
                "status": _word(hook, "pending"),
                "state": "pending",
                "ended": None,
                "attempts": [],
                "automatic": False,
                "attempt_count": 0,
                "next_at": MOMENT,
            }
            scope["deliveries"] = [done, scope["delivery"]]
        session.note(session.compare(session.send(call), session.answer(asked, "ok", scope)))
        if asked.kind == "redeliver":
            if session.world is not None:
                session.world.advance(5)
            if len(hook.wait(2)) < 2:
                session.fail(f"/operations/{asked.name}", "callback", "one more callback", "none")


def _too_early(session: Session, asked: Operation, hook: Hook) -> None:
    call = job_call(session, asked, hook.run)
    issue = {
        "text": Exactly("not_terminal"),
        "path": "",
        "field": "",
        "keyword": "conflict",
        "type": "conflict",
        "loc": [],
    }
    scope = {**session.scope(call), "issue": issue, "issues": [issue]}
    if "refused" in session.tree["operations"][asked.name]["answers"]:
        session.note(session.compare(session.send(call), session.answer(asked, "refused", scope)))
    else:
        session.expect_error(call, "delivery_state", scope=scope)


def _word(hook: Hook, state: str) -> Want:
    return Exactly(hook.rules.words.get(state, state), f"/callbacks/words/{state}")


def _delivery(session: Session, hook: Hook, received: Received, secret: dict[str, Any]) -> dict[str, Any]:
    ids, rules = session.contract.ids, hook.rules

    def minted(name: str) -> Want:
        return Like("text", id_pattern(ids[name].tokens), rule=f"/ids/{name}") if name in ids else Like("text")

    tree, _ = decoded(received.body)
    own = {"id": minted(rules.delivery_id), "number": _COUNT}
    return {
        **own,
        "job_id": hook.run.id,
        "event": rules.events.get("succeeded"),
        "status": _word(hook, "delivered"),
        "state": "delivered",
        "address": hook.address,
        "created": MOMENT,
        "updated": MOMENT,
        "ended": MOMENT,
        "automatic": True,
        "payload": Exactly(tree, "/callbacks/body"),
        "payload_text": received.body.decode("utf-8", "replace"),
        "secret_id": secret.get("secret.id"),
        "attempt_count": 1,
        "max_attempts": Exactly(len(rules.retry.delays) + 1, "/callbacks/retry/delays"),
        "next_at": None,
        "failure": None,
        "failure_detail": None,
        "attempts": [
            {
                "id": minted(rules.attempt_id),
                "delivery_id": minted(rules.delivery_id),
                "number": 1,
                "at": MOMENT,
                "status": 200,
                "body": Like("text"),
                "error": None,
                "took_ms": _COUNT,
            }
        ],
    }
