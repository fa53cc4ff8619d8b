"""Cases of jobs: their lives and prices, failures, cancelling and running again, retention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation, State
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_files import check_pictures
from fauxvider.toolkit.verify.jobs import Watch, job_call, phases_of, read_operation, start, submissions
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session

__all__ = ["job_cases", "unknown_job"]

_JOB_KINDS = ("read", "stream", "cancel", "retry", "deliveries", "redeliver")


def job_cases(session: Session) -> Iterator[Case]:
    done: set[str] = set()
    for operation, models in submissions(session):
        for number, model in enumerate(models):
            price = _price(session, operation, model)
            if number and model in done:
                continue
            done.add(model)
            yield Case(f"{operation.name} of {model}: to its end", f"/models/{model}",
                       partial(_life, operation=operation.name, model=model), price=price)  # fmt: skip
            yield from _bound_cases(session, operation, model)
        if models:
            yield from _operation_cases(session, operation, models[0])
    for operation in session.model_operations(*_JOB_KINDS):
        yield Case(f"{operation.name} of a job that does not exist", f"/operations/{operation.name}/answers/missing",
                   partial(unknown_job, operation=operation))  # fmt: skip


def _price(session: Session, operation: Operation, model: str) -> Decimal:
    try:
        return start(session, operation, model)[1].price or Decimal(0)
    except NotAskedError:
        return Decimal(0)


def _bound_cases(session: Session, operation: Operation, model: str) -> Iterator[Case]:
    try:
        found = list(session.samples.extremes(operation, session.contract.models[model]))
    except NotAskedError:
        return
    for word, given in found:
        call = session.samples.call(operation, session.contract.models[model], given)
        yield Case(f"{operation.name} of {model}: at the {word} bounds", f"/models/{model}/input",
                   partial(_life, operation=operation.name, model=model, given=given), price=session.price_of(call))  # fmt: skip


def _operation_cases(session: Session, operation: Operation, model: str) -> Iterator[Case]:
    name, price = operation.name, _price(session, operation, model)
    about = {"operation": name, "model": model}
    is_at_once = operation.waits is None or bool(operation.waits.unless)
    if is_at_once and read_operation(session) is not None:
        yield Case(f"{name}: its states by the clock", "/lifecycle/phases", partial(_timing, **about), ("control",), price)
        for failure in session.contract.failures:
            yield Case(f"{name}: the failure {failure}", f"/lifecycle/failures/{failure}",
                       partial(_failure, failure=failure, **about), ("control",), price)  # fmt: skip
        yield from _ending_cases(session, about, price)
        if operation.keeps is not None:
            yield Case(f"{name}: how long its record is kept", f"/operations/{name}/keeps", partial(_keeps, **about),
                       ("control",), price)  # fmt: skip
        for number, deadline in enumerate(session.contract.deadlines):
            if deadline.pointer:
                yield Case(f"{name}: the deadline {deadline.name}", f"/lifecycle/deadlines/{deadline.name}",
                           partial(_deadline, number=number, **about), ("control",), price)  # fmt: skip
    for field, given in (("on_invalid", {"no": "such"}), ("on_empty", {})):
        if getattr(operation, field):
            yield Case(f"{name}: an input that is {'empty' if field == 'on_empty' else 'wrong'}", f"/operations/{name}/{field}",
                       partial(_accepted_to_fail, field=field, given=given, **about), ("control",))  # fmt: skip
    if operation.waits is not None and operation.waits.query:
        yield Case(f"{name}: held no longer than asked", f"/operations/{name}/waits", partial(_held, **about), ("control",), price)


def _ending_cases(session: Session, about: Mapping[str, str], price: Decimal) -> Iterator[Case]:
    name = about["operation"]
    for operation in session.model_operations("cancel"):
        for state in ("queued", "running", "succeeded"):
            yield Case(f"{operation.name} of a job of {name} that is {state}", f"/operations/{operation.name}",
                       partial(_cancel, cancel=operation, state=state, **about), ("control",), price)  # fmt: skip
    for operation in session.model_operations("retry"):
        yield Case(f"{operation.name} of a job of {name} that has failed", f"/operations/{operation.name}",
                   partial(_retry, retry=operation, **about), ("control",), price)  # fmt: skip
        yield Case(f"{operation.name} of a job of {name} that is queued", f"/operations/{operation.name}",
                   partial(_no_retry, retry=operation, **about), (), price)  # fmt: skip


# --- lives


def _begin(session: Session, operation: str, model: str, given: Any = None) -> tuple[Call, Run, Watch]:
    """Submit a job that is answered at once, if its operation knows a way."""
    submit = session.contract.operations[operation]
    call = session.samples.call(submit, session.contract.models[model], given)
    if submit.waits is not None and submit.waits.unless:
        _switch(call.body, submit.waits.unless)
    run = session.run_of(call)
    session.submit(call, run)
    return call, run, Watch(session, call, run)


def _switch(body: Any, pointer: tuple[str, ...]) -> None:
    for name in pointer[:-1]:
        body = body.setdefault(name, {})
    body[pointer[-1]] = True


def _life(session: Session, operation: str, model: str, given: Any = None) -> None:
    call = session.samples.call(session.contract.operations[operation], session.contract.models[model], given)
    run = session.run_of(call)
    state = session.submit(call, run)
    if given is not None and _is_refused(session, call, model):
        return
    watch = Watch(session, call, run)
    if not state.is_terminal:
        state = watch.finish()
    if state.canonical != "succeeded":
        session.fail("/lifecycle/ends", "status", session.contract.ends["succeeded"].word, state.word, state.word)
        return
    watch.to(session.contract.visible_after + 1)
    for reader in session.model_operations("read", "stream"):
        _read_with(session, reader, run, state)
    check_pictures(session, run)


def _is_refused(session: Session, call: Call, model: str) -> bool:
    """Whether an input within the bounds was refused: then it is the schema that does not hold, not the answer."""
    refused = next((one for one in session.found if one.place == "status" and type(one.observed) is int), None)
    if refused is None or not 400 <= refused.observed < 500:
        return False
    session.found.remove(refused)
    at = f"/models/{model}/input"
    named = [name for name in call.given if name in refused.got]
    for rule in [f"{at}/properties/{name}" for name in named] or [at]:
        session.fail(rule, "status", f"{refused.wanted}, as every value is within its bounds", refused.got)
    return True


def _read_with(session: Session, reader: Operation, run: Run, state: State) -> None:
    call = job_call(session, reader, run)
    scope = session.names.job(session.scope(call), run, state)
    scope["chunks"] = []
    outcome = state.canonical if reader.kind == "read" else "ok"
    found = session.note(session.compare(session.send(call), session.answer(reader, outcome, scope)))
    run.captured.update(found.captured)


def _timing(session: Session, operation: str, model: str) -> None:
    """Look just before the earliest and just after the latest moment at which each state can end."""
    _, run, watch = _begin(session, operation, model)
    stages, before = phases_of(session, run), 0
    order = [stage.state.word for stage in stages]
    for number, stage in enumerate(stages):
        moment = stage.low - 2
        if moment > max(before, session.contract.visible_after) + 1:
            watch.to(moment - 1)
            _should_be(session, watch, lambda word, now=number: word in order and order.index(word) == now, stage.rule,
                       f"{moment} ms after acceptance", stage.state.word)  # fmt: skip
        watch.to(stage.high + 1)
        before = stage.high + 2
        if before > session.contract.visible_after:
            _should_be(session, watch, lambda word, now=number: word not in order or order.index(word) > now, stage.rule,
                       f"{before} ms after acceptance", f"no longer {stage.state.word}")  # fmt: skip


def _should_be(session: Session, watch: Watch, is_right: Any, rule: str, place: str, wanted: str) -> None:
    state = watch.look()
    if state is None or not is_right(state.word):
        session.fail(rule, place, wanted, state.word if state else "an unknown job", state.word if state else None)


def _failure(session: Session, operation: str, model: str, failure: str) -> None:
    """Have a job fail in a way that the contract names, and look at it."""
    call, run, watch = _begin(session, operation, model)
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


def _world(session: Session):  # type: ignore[no-untyped-def]
    if session.world is None:
        raise NotAskedError("it needs a clock that can be moved (--control)")
    return session.world


def _accepted_to_fail(session: Session, operation: str, model: str, field: str, given: Any) -> None:
    """A submission that is taken all the same, and whose job fails."""
    submit = session.contract.operations[operation]
    broken: Any = given
    detail: Any = None
    if field == "on_invalid":
        variants = session.samples.variants(submit, session.contract.models[model])
        variant = next(iter(variants), None)
        if variant is None:
            raise NotAskedError("no wrong input is known for this model")
        broken, detail = variant.body, variant.issues
    call = session.samples.call(submit, session.contract.models[model], {} if field == "on_empty" else None)
    if field == "on_invalid":
        call.body = broken
        call.given = _input_of(broken, submit)
    run = replace(session.run_of(session.samples.call(submit, session.contract.models[model])), body=call.body,
                  given=call.given, param=call.param(), failure=getattr(submit, field), price=Decimal(0), shape=None)  # fmt: skip
    session.submit(call, run)
    watch = Watch(session, call, run)
    watch.to(phases_of(session, run)[-1].high + 10 + session.contract.visible_after)
    state = watch.look()
    wanted = session.ends_of(run)[0]
    if state is None or state.word != wanted.word:
        session.fail(f"/operations/{operation}/{field}", "status", wanted.word, state.word if state else "an unknown job")
    del detail


def _input_of(body: Any, operation: Operation) -> Any:
    for name in operation.input:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def _held(session: Session, operation: str, model: str) -> None:
    """Ask for the shortest hold: it must end with the state of the moment, and no error."""
    submit = session.contract.operations[operation]
    waits = submit.waits
    call, run = start(session, submit, model)
    stages = phases_of(session, run)
    if waits is None or stages[-1].low <= waits.low + 5:
        raise NotAskedError("a run is over before the shortest hold is")
    call.query[waits.query] = str(waits.low)
    state = session.submit(call, run)
    if state.is_terminal:
        session.fail(f"/operations/{operation}/waits", "status", "a job under way", state.word)


# --- ends that the client asks for


def _bring_to(session: Session, watch: Watch, run: Run, state: str) -> State | None:
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
    return None


def _cancel(session: Session, operation: str, model: str, cancel: Operation, state: str) -> None:
    _, run, watch = _begin(session, operation, model)
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
    _, run, watch = _begin(session, operation, model)
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
    call, run, watch = _begin(session, operation, model)
    del call
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


# --- how long


def _keeps(session: Session, operation: str, model: str) -> None:
    keeps = session.contract.operations[operation].keeps or 0
    _, run, watch = _begin(session, operation, model)
    stages = phases_of(session, run)
    if session.contract.visible_after > stages[-1].low:
        raise NotAskedError("a fresh job is unknown for a while")
    watch.to(stages[-1].low + keeps - 3)
    if watch.look() is None:
        session.fail(f"/operations/{operation}/keeps", f"{keeps - 2} ms after the end", "a known job", "an unknown job")
    watch.to(stages[-1].high + keeps + 2)
    state = watch.look()
    if state is not None:
        session.fail(f"/operations/{operation}/keeps", f"{keeps + 3} ms after the end", "an unknown job", state.word)


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


# --- jobs that are not there


def unknown_job(session: Session, operation: Operation) -> None:
    """Ask for a job under an id that was never given out."""
    submit = next(iter(session.model_operations("submit")), None)
    models = [model for one in session.model_operations("submit") for model in session.models_of(one)]
    if submit is None or not models:
        raise NotAskedError("no job can be submitted")
    run = Run(submit, models[0], {}, {}, {})
    call = job_call(session, operation, run, "00000000-0000-4000-8000-000000000000")
    session.expect(call, "missing") if "missing" in session.tree["operations"][operation.name]["answers"] else (
        session.expect_error(call, "job_unknown")
    )
