"""Cases of callbacks: their bytes and signature, which ends call, which answers are tried again, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from fauxvider.clock import monotonic_ms
from fauxvider.contract.model import Callbacks, Operation
from fauxvider.engine.callbacks import is_accepted, is_retried
from fauxvider.engine.facts import Attempt
from fauxvider.engine.signing import sign
from fauxvider.gate import dump_json
from fauxvider.receiver import NotReceivedError, Received, Receiver
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_secrets import current_secret
from fauxvider.toolkit.verify.jobs import Watch, job_call, phases_of, submissions
from fauxvider.toolkit.verify.names import MOMENT, Run, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Fields, Like, Want, decoded, match, text_want

__all__ = ["callback_cases"]

_ANSWERS: tuple[int | str, ...] = (201, 204, 302, 404, 500, 503, "reset")
_SLACK_MS = 1_500  # of a schedule that is measured in real time
_COUNT = Like("integer")


def callback_cases(session: Session) -> Iterator[Case]:
    rules = session.contract.callbacks
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if rules is None or found is None:
        return
    operation, model = found
    about = {"operation": operation.name, "model": model}
    price = session.price_of(session.samples.call(operation, session.contract.models[model]))
    for with_secret in (False, True) if rules.signature is not None else (False,):
        what = "signed" if with_secret else "unsigned" if rules.signature else "as documented"
        yield Case(f"a callback is sent, {what}", "/callbacks/signature" if with_secret else "/callbacks/body",
                   partial(_sent, with_secret=with_secret, **about), ("receiver",), price)  # fmt: skip
    for end in ("failed", "cancelled"):
        if end in session.contract.ends:
            yield Case(f"the callback of a job that is {end}", "/callbacks/events",
                       partial(_other_end, end=end, **about), ("receiver", "control"), price)  # fmt: skip
    yield Case("the schedule of callbacks that fail", "/callbacks/retry/delays", partial(_ladder, **about), ("receiver",), price)
    for answer in _ANSWERS:
        yield Case(f"a callback that is answered with {answer}", "/callbacks/retry/on",
                   partial(_outcome, answer=answer, **about), ("receiver", "control"), price)  # fmt: skip
    yield Case("a callback that is not answered", "/callbacks/timeout", _hanging, ("receiver",))
    for name in ("deliveries", "redeliver"):
        for one in session.model_operations(name):
            yield Case(f"{one.name} of a delivered callback", f"/operations/{one.name}",
                       partial(_history, asked=one, **about), ("receiver", "control"), price)  # fmt: skip


class _Hook:
    """A submission that calls back, and the receiver of its calls."""

    def __init__(self, session: Session, receiver: Receiver, operation: str, model: str) -> None:
        self.session = session
        self.receiver = receiver
        self.address = f"{receiver.url}/hook"
        contract = session.contract
        self.rules: Callbacks = _rules(session)
        submit = contract.operations[operation]
        self.call: Call = session.samples.call(submit, contract.models[model])
        body = self.call.body
        for name in self.rules.address[:-1]:
            body = body.setdefault(name, {})
        body[self.rules.address[-1]] = self.address
        self.run: Run = session.run_of(self.call)

    def submit(self) -> Watch:
        self.session.submit(self.call, self.run)
        return Watch(self.session, self.call, self.run)

    def wait(self, count: int) -> list[Received]:
        """Wait for so many requests; those that have come if the rest does not."""
        # By the time that an advance returns, what fell due has been sent and answered.
        limit = 0.3 if self.session.world else self.session.patience_ms / 1000
        try:
            return self.receiver.wait(count, limit)
        except NotReceivedError:
            return list(self.receiver.received)


def _rules(session: Session) -> Callbacks:
    if session.contract.callbacks is None:
        raise NotAskedError("the contract has no callbacks")
    return session.contract.callbacks


def _receiver(session: Session, answers: Any = 200) -> Receiver:
    host, port = session.receiver_at
    return Receiver(answers, host=host, port=port, clock=monotonic_ms)


def _sent(session: Session, operation: str, model: str, *, with_secret: bool) -> None:
    secret = current_secret(session) if with_secret else {}
    with _receiver(session) as receiver:
        hook = _Hook(session, receiver, operation, model)
        watch = hook.submit()
        state = watch.finish()
        session.world and session.world.advance(hook.rules.delay + 1)
        came = hook.wait(1)
        if not came:
            session.fail("/callbacks/events/succeeded", "callback", "a callback", "none")
            return
        _check_message(session, hook, came[0], state.word, secret)


def _check_message(session: Session, hook: _Hook, received: Received, word: str, secret: dict[str, Any]) -> None:
    state = session.contract.states[word]
    scope = session.names.job(session.scope(hook.call), hook.run, state)
    event = hook.rules.events.get(state.canonical, state.canonical)
    scope["delivery"] = {"event": Exactly(event, f"/callbacks/events/{state.canonical}"), "address": hook.address, "created": MOMENT}
    tree, problem = decoded(received.body)
    if problem:
        session.fail("/callbacks/body", "callback", "JSON", problem)
        return
    want = session.names.reader.want(session.tree["callbacks"]["body"], "/callbacks/body", scope)
    session.note(match(_ordered(want), tree, ""))
    if dump_json(tree) != received.body:
        session.fail("/callbacks/body", "the callback's bytes", "compact JSON", received.body[:120].decode("utf-8", "replace"))
    _check_headers(session, hook, received, scope, secret)


def _ordered(want: Want) -> Want:
    return Fields(want.fields, want.at, is_ordered=True) if isinstance(want, Fields) else want


def _check_headers(session: Session, hook: _Hook, received: Received, scope: dict[str, Any], secret: dict[str, Any]) -> None:
    scope["signature"] = None
    signature = hook.rules.signature
    if signature is not None and secret.get("secret.value"):
        stamp = received.header("webhook-timestamp")
        names = {"payload": received.body.decode("utf-8", "replace"), "delivery": {"id": received.header("webhook-id")},
                 "timestamp": stamp, "mint": {}}  # fmt: skip
        scope["signature"] = Exactly(sign(signature, str(secret["secret.value"]), names), "/callbacks/signature")
    scope["attempt"] = {"number": 1, "id": Like("text"), "at": MOMENT}
    for name, raw in session.tree["callbacks"].get("headers", {}).items():
        want = text_want(session.names.reader.want(raw, f"/callbacks/headers/{name}", scope))
        got = received.header(name)
        if isinstance(want, Exactly) and want.value in (None, ""):
            if got is not None:
                session.fail(f"/callbacks/headers/{name}", f"header {name}", "no such header", got)
        elif got is None:
            session.fail(f"/callbacks/headers/{name}", f"header {name}", "this header", "none")
        else:
            session.note(match(want, got, f"header {name}"))


def _other_end(session: Session, operation: str, model: str, end: str) -> None:
    with _receiver(session) as receiver:
        hook = _Hook(session, receiver, operation, model)
        watch = hook.submit()
        world = session.world
        if world is None:
            raise NotAskedError("it needs a clock that can be moved (--control)")
        run, stages = hook.run, phases_of(session, hook.run)
        run.has_started, run.origin_state = True, "running"
        watch.to(max((stage.high for stage in stages if stage.state.canonical == "queued"), default=0) + 5)
        if end == "failed":
            run.failure = session.contract.default_failure
            world.force(run.id, run.failure)
        else:
            _cancel(session, run)
        world.advance(hook.rules.delay + 5)
        is_called = end in hook.rules.events
        came = hook.wait(1) if is_called else list(receiver.received)
        if is_called and not came:
            session.fail(f"/callbacks/events/{end}", "callback", "a callback", "none")
        elif not is_called and came:
            session.fail("/callbacks/events", "callback", f"no callback of a job that is {end}", "one")
        elif came:
            _check_message(session, hook, came[0], session.contract.ends[_canonical(end)].word, {})


def _canonical(end: str) -> Any:
    return end


def _cancel(session: Session, run: Run) -> None:
    operation = next(iter(session.model_operations("cancel")), None)
    if operation is None:
        raise NotAskedError("no operation of the contract cancels")
    session.send(job_call(session, operation, run))


# --- attempts


def _ladder(session: Session, operation: str, model: str) -> None:
    """Fail every attempt, and look when each comes."""
    rules = _rules(session)
    failing = next((one for one in (503, 500, 404, "reset") if _is_retried(rules, one)), None)
    if failing is None:
        raise NotAskedError("the contract tries nothing again")
    with _receiver(session, failing) as receiver:
        hook = _Hook(session, receiver, operation, model)
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
        if not rules.fresh and len({one.body for one in receiver.received}) > 1:
            session.fail("/callbacks/resend", "the callback's bytes", "the same each time", "different ones")


def _step_through(session: Session, hook: _Hook) -> None:
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
        session.fail("/callbacks/retry/delays", "attempts", f"{count} attempts", f"{receiver.count} attempts", receiver.count)


def _schedule(session: Session, rules: Callbacks) -> None:
    """When a schedule does not hold, tell the one that was seen."""
    if session.world is None or not any(one.rule.startswith("/callbacks/retry/delays") for one in session.found):
        return
    session.world.advance(max(rules.retry.delays, default=1_000) * 50)
    moments = _attempt_moments(session)
    gaps = [later - earlier for earlier, later in zip(moments, moments[1:], strict=False)]
    wanted = f"pauses of {', '.join(map(str, rules.retry.delays))} ms"
    session.fail("/callbacks/retry/delays", "schedule", wanted, f"pauses of {', '.join(map(str, gaps)) or 'nothing'} ms", gaps)


def _comes(session: Session, hook: _Hook, count: int) -> bool:
    if session.world is not None:
        session.world.advance(max(hook.rules.retry.delays) * 20)
    return hook.receiver.count >= count


def _attempt_moments(session: Session) -> list[int]:
    return session.world.attempts() if session.world is not None else []


def _measure(session: Session, hook: _Hook) -> None:
    """In real time: the pauses between attempts, with some slack for the way."""
    delays = hook.rules.retry.delays
    came = hook.wait(len(delays) + 1)
    moments = [one.at or 0 for one in came]
    for number, delay in enumerate(delays):
        rule = f"/callbacks/retry/delays/{number}"
        if len(moments) < number + 2:
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", "never")
            return
        gap = moments[number + 1] - moments[number]
        if not delay - 100 <= gap <= delay * 1.25 + _SLACK_MS:
            session.fail(rule, f"attempt {number + 2}", f"{delay} ms after the one before", f"{gap} ms", gap)
    threading.Event().wait(min(5.0, max(delays, default=0) * 1.5 / 1000))
    if hook.receiver.count > len(delays) + 1:
        session.fail("/callbacks/retry/delays", "attempts", f"{len(delays) + 1} attempts", f"{hook.receiver.count} attempts")


def _as_attempt(answer: int | str) -> Attempt:
    if isinstance(answer, int):
        return Attempt(1, 0, 0, "http", answer)
    return Attempt(1, 0, 0, "network")


def _is_retried(rules: Callbacks, answer: int | str) -> bool:
    return not is_accepted(rules, _as_attempt(answer)) and is_retried(rules, _as_attempt(answer))


def _outcome(session: Session, operation: str, model: str, answer: int | str) -> None:
    """Give every attempt the same answer, and count them."""
    rules = _rules(session)
    is_again = _is_retried(rules, answer)
    count = 1 + (len(rules.retry.delays) if is_again else 0)
    with _receiver(session, answer) as receiver:
        hook = _Hook(session, receiver, operation, model)
        hook.submit().finish()
        if session.world is not None:
            session.world.advance(rules.delay + sum(rules.retry.delays) * 4 + 1_000)
        came = hook.wait(count)
        if len(came) != count:
            rule = "/callbacks/accept" if is_accepted(rules, _as_attempt(answer)) else "/callbacks/retry/on"
            session.fail(rule, f"attempts answered with {answer}", f"{count} attempts", f"{len(came)} attempts", len(came))


def _hanging(session: Session) -> None:
    rules = _rules(session)
    raise NotAskedError(f"a receiver that hangs costs {rules.timeout // 1000} s of real time for each attempt")


# --- history


def _history(session: Session, operation: str, model: str, asked: Operation) -> None:
    secret = current_secret(session) if session.contract.secrets is not None else {}
    with _receiver(session) as receiver:
        hook = _Hook(session, receiver, operation, model)
        watch = hook.submit()
        if asked.kind == "redeliver":
            _too_early(session, asked, hook)
        state = watch.finish()
        if session.world is not None:
            session.world.advance(hook.rules.delay + 1)
        came = hook.wait(1)
        if not came:
            session.fail("/callbacks/events/succeeded", "callback", "a callback", "none")
            return
        call = job_call(session, asked, hook.run)
        scope = session.names.job(session.scope(call), hook.run, state)
        done = _delivery(session, hook, came[0], secret)
        scope["deliveries"] = [done]
        if asked.kind == "redeliver":
            scope["delivery"] = {**done, "status": _word(hook, "pending"), "state": "pending", "ended": None, "attempts": [],
                                 "automatic": False, "attempt_count": 0, "next_at": MOMENT}  # fmt: skip
            scope["deliveries"] = [done, scope["delivery"]]
        session.note(session.compare(session.send(call), session.answer(asked, "ok", scope)))
        if asked.kind == "redeliver":
            if session.world is not None:
                session.world.advance(5)
            if len(hook.wait(2)) < 2:
                session.fail(f"/operations/{asked.name}", "callback", "one more callback", "none")


def _too_early(session: Session, asked: Operation, hook: _Hook) -> None:
    call = job_call(session, asked, hook.run)
    issue = {"text": Exactly("not_terminal"), "path": "", "field": "", "keyword": "conflict", "type": "conflict", "loc": []}
    scope = {**session.scope(call), "issue": issue, "issues": [issue]}
    if "refused" in session.tree["operations"][asked.name]["answers"]:
        session.note(session.compare(session.send(call), session.answer(asked, "refused", scope)))
    else:
        session.expect_error(call, "delivery_state", scope=scope)


def _word(hook: _Hook, state: str) -> Want:
    return Exactly(hook.rules.words.get(state, state), f"/callbacks/words/{state}")


def _delivery(session: Session, hook: _Hook, received: Received, secret: dict[str, Any]) -> dict[str, Any]:
    ids, rules = session.contract.ids, hook.rules

    def minted(name: str) -> Want:
        return Like("text", id_pattern(ids[name].tokens), rule=f"/ids/{name}") if name in ids else Like("text")

    tree, _ = decoded(received.body)
    own = {"id": minted(rules.delivery_id), "number": _COUNT}
    return {
        **own, "job_id": hook.run.id, "event": rules.events.get("succeeded"), "status": _word(hook, "delivered"),
        "state": "delivered", "address": hook.address, "created": MOMENT, "updated": MOMENT, "ended": MOMENT,
        "automatic": True, "payload": Exactly(tree, "/callbacks/body"), "payload_text": received.body.decode("utf-8", "replace"),
        "secret_id": secret.get("secret.id"), "attempt_count": 1,
        "max_attempts": Exactly(len(rules.retry.delays) + 1, "/callbacks/retry/delays"),
        "next_at": None, "failure": None, "failure_detail": None,
        "attempts": [{"id": minted(rules.attempt_id), "delivery_id": minted(rules.delivery_id), "number": 1, "at": MOMENT,
                      "status": 200, "body": Like("text"), "error": None, "took_ms": _COUNT}],
    }  # fmt: skip
