"""Cases of ends: failures, cancelling, running again, and how long a record is kept."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.control import World
from fauxvider.toolkit.verify.jobs import Watch, begin, job_call, phases_of, start
from fauxvider.toolkit.verify.measuring import measured_span
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session

__all__ = ["ending_cases"]


def ending_cases(session: Session, operation: Operation, model: str, price: Decimal) -> Iterator[Case]:
    name, contract = operation.name, session.contract
    about: dict[str, Any] = {"operation": name, "model": model}
    needs = ("control",)
    for failure in contract.failures:
        ask = partial(_failure, failure=failure, **about)
        yield Case(f"{name}: the failure {failure}", f"/lifecycle/failures/{failure}", ask, needs, price)
    for one in session.model_operations("cancel"):
        for state in ("queued", "running", "succeeded"):
            ask = partial(_cancel, cancel=one, state=state, **about)
            what = f"{one.name} of a job of {name} that is {state}"
            yield Case(what, f"/operations/{one.name}", ask, needs, price)
    for one in session.model_operations("retry"):
        at, what = f"/operations/{one.name}", f"{one.name} of a job of {name} that"
        yield Case(f"{what} has failed", at, partial(_retry, retry=one, **about), needs, price)
        yield Case(f"{what} is queued", at, partial(_no_retry, retry=one, **about), (), price)
    if operation.keeps is not None:
        ask = partial(_keeps, **about)
        yield Case(f"{name}: how long its record is kept", f"/operations/{name}/keeps", ask, needs, price)
    if contract.removal is not None:
        ask = partial(_removal, **about)
        yield Case(f"{name}: when its data goes", "/lifecycle/removal", ask, needs, price)
    for number, deadline in enumerate(contract.deadlines):
        if deadline.pointer:
            ask = partial(_deadline, number=number, **about)
            rule = f"/lifecycle/deadlines/{deadline.name}"
            yield Case(f"{name}: the deadline {deadline.name}", rule, ask, needs, price)


def _failure(session: Session, operation: str, model: str, failure: str) -> None:
    """Have a job fail in a way that the contract names, and look at it."""
    _, run, watch = begin(session, operation, model)
    shape = session.contract.failures[failure]
    stages = phases_of(session, run)
    queued = max((stage.high for stage in stages if stage.state.canonical == "queued"), default=0)
    if shape.after == "running":
        watch.to(queued + 5)
    run.has_started, run.origin_state = shape.after == "running", shape.after
    run.failure = failure
    _world(session).force(run.id, failure)
    watch.to(session.contract.visible_after + queued + 20)
    state = watch.look()
    wanted = session.ends_of(run)[0]
    if state is None or state.word != wanted.word:
        session.fail(f"/lifecycle/failures/{failure}", "status", wanted.word, state.word if state else "an unknown job")


def _world(session: Session) -> World:
    if session.world is None:
        raise NotAskedError("it needs a clock that can be moved (--control)")
    return session.world


def _bring_to(session: Session, watch: Watch, run: Run, state: str) -> None:
    stages = phases_of(session, run)
    queued = max((stage.high for stage in stages if stage.state.canonical == "queued"), default=0)
    if state == "queued" and stages[0].state.canonical != "queued":
        raise NotAskedError("the contract's jobs are never queued")
    if state == "queued" and stages[0].high < 5:
        raise NotAskedError("jobs are queued too briefly to be caught")
    if state == "running":
        watch.to(queued + 5)
    elif state == "succeeded":
        watch.to(stages[-1].high + 5)
    run.has_started, run.origin_state = state != "queued", state


def _cancel(session: Session, operation: str, model: str, cancel: Operation, state: str) -> None:
    _, run, watch = begin(session, operation, model)
    _bring_to(session, watch, run, state)
    if session.contract.visible_after:
        raise NotAskedError("a fresh job is unknown for a while")
    is_taken = state in cancel.from_states
    contract = session.contract
    words = contract.ends["cancelled"] if is_taken else contract.ends["succeeded"] if state == "succeeded" else None
    call = job_call(session, cancel, run)
    scope = session.scope(call)
    if words is not None:
        scope = session.names.job(scope, run, words)
    answers = session.tree["operations"][cancel.name]["answers"]
    outcome = ("done" if "done" in answers else "ok") if is_taken else "already"
    if not is_taken and "already" not in answers:
        session.expect_error(call, "job_state", scope=scope)
        return
    session.note(session.compare(session.send(call), session.answer(cancel, outcome, scope)))
    if words is not None:
        now = watch.look()
        if now is None or now.word != words.word:
            session.fail(f"/operations/{cancel.name}/from", "status", words.word, now.word if now else "an unknown job")


def _retry(session: Session, operation: str, model: str, retry: Operation) -> None:
    if session.contract.visible_after:
        raise NotAskedError("a fresh job is unknown for a while")
    _, run, watch = begin(session, operation, model)
    queued = max((stage.high for stage in phases_of(session, run) if stage.state.canonical == "queued"), default=0)
    watch.to(queued + 5)
    _world(session).force(run.id, session.contract.default_failure)
    watch.to(watch.passed + 1)
    call = job_call(session, retry, run)
    first = session.contract.phases[0].state
    scope = session.names.job(session.scope(call), run, first)
    session.note(session.compare(session.send(call), session.answer(retry, "ok", scope)))
    watch.began = _world(session).now()
    state = watch.finish()
    if state.canonical != "succeeded":
        session.fail(f"/operations/{retry.name}", "status", session.contract.ends["succeeded"].word, state.word)


def _no_retry(session: Session, operation: str, model: str, retry: Operation) -> None:
    _, run, watch = begin(session, operation, model)
    if session.contract.visible_after:
        raise NotAskedError("a fresh job is unknown for a while")
    asked = job_call(session, retry, run)
    scope = session.names.job(session.scope(asked), run, session.contract.phases[0].state)
    answers = session.tree["operations"][retry.name]["answers"]
    if "refused" in answers:
        session.note(session.compare(session.send(asked), session.answer(retry, "refused", scope)))
    else:
        session.expect_error(asked, "job_state", scope=scope)
    if session.world is None:
        watch.finish()  # so that nothing runs on after the case


def _keeps(session: Session, operation: str, model: str) -> None:
    keeps = session.contract.operations[operation].keeps or 0
    _, run, watch = begin(session, operation, model)
    stages = phases_of(session, run)
    if session.contract.visible_after > stages[-1].low:
        raise NotAskedError("a fresh job is unknown for a while")
    rule = f"/operations/{operation}/keeps"
    watch.to(stages[-1].low + keeps - 3)
    if watch.look() is None:
        session.fail(rule, f"{keeps - 2} ms after the end", "a known job", "an unknown job")
    watch.to(stages[-1].high + keeps + 2)
    state = watch.look()
    if state is not None:
        session.fail(rule, f"{keeps + 3} ms after the end", "an unknown job", state.word)
    if session.found:
        _kept(session, operation, model, rule)


def _kept(session: Session, operation: str, model: str, rule: str) -> None:
    """Find out how long a record is kept, where it is one of the usual spans."""
    _, run, watch = begin(session, operation, model)
    stages = phases_of(session, run)
    middle, slack = (stages[-1].low + stages[-1].high) // 2, (stages[-1].high - stages[-1].low) // 2 + 5
    span = measured_span(session, watch.began + middle, lambda: watch.look() is not None, slack=slack)
    if span is not None:
        session.fail(rule, "the life of a record", "the contract's", f"{span} ms", span)


def _removal(session: Session, operation: str, model: str) -> None:
    """Look at a job before and after its data goes: the record stays, and says so."""
    _, run, watch = begin(session, operation, model)
    stages, after = phases_of(session, run), session.contract.removal or 0
    watch.to(stages[-1].low + after - 3)
    watch.look()
    watch.to(stages[-1].high + after + 2)
    run.removed = True
    if watch.look() is None:
        session.fail("/lifecycle/removal", f"{after} ms after the end", "a known job", "an unknown job")


def _deadline(session: Session, operation: str, model: str, number: int) -> None:
    """Ask for the shortest deadline that the schema lets through, and look on both sides of it."""
    submit, deadline = session.contract.operations[operation], session.contract.deadlines[number]
    call, run = start(session, submit, model)
    stages = phases_of(session, run)
    span = _shortest(session, submit, call, deadline.pointer)
    if deadline.failure:
        raise NotAskedError("no run of the contract's models takes that long")
    if deadline.covers != "all":
        raise NotAskedError("no job of the contract's models is queued that long")
    session.submit(call, run)
    watch = Watch(session, call, run)
    if span <= stages[-1].high + 10 or session.contract.visible_after:
        raise NotAskedError("the deadline falls within the run")
    rule = f"/lifecycle/deadlines/{deadline.name}"
    watch.to(span - 3)
    if watch.look() is None:
        session.fail(rule, f"{span - 2} ms after acceptance", "a known job", "an unknown job")
    watch.to(span + 2)
    if (state := watch.look()) is not None:
        session.fail(rule, f"{span + 3} ms after acceptance", "an unknown job", state.word)


def _shortest(session: Session, operation: Operation, call: Call, pointer: tuple[str, ...]) -> int:
    schema: Any = session.tree["operations"][operation.name].get("schema", {})
    for name in pointer:
        schema = schema.get("properties", {}).get(name, {})
    low = schema.get("minimum")
    if not isinstance(low, int):
        raise NotAskedError("the contract gives no least value for this deadline")
    body = call.body
    for name in pointer[:-1]:
        body = body.setdefault(name, {})
    body[pointer[-1]] = low
    return low
