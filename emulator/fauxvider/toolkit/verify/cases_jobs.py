"""Cases of jobs: their lives and prices, failures, cancelling and running again, retention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation, State, Waits
from fauxvider.engine.plan import at_pointer
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_ends import ending_cases
from fauxvider.toolkit.verify.cases_files import check_pictures
from fauxvider.toolkit.verify.cases_requests import search_bound
from fauxvider.toolkit.verify.jobs import Watch, begin, job_call, phases_of, read_operation, start, submissions
from fauxvider.toolkit.verify.measuring import measure_pace
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
            yield Case(
                f"{operation.name} of {model}: to its end",
                f"/models/{model}",
                partial(_life, operation=operation.name, model=model),
                price=price,
            )
            yield from _bound_cases(session, operation, model)
        if models:
            yield from _operation_cases(session, operation, models[0])
    for operation in session.model_operations(*_JOB_KINDS):
        yield Case(
            f"{operation.name} of a job that does not exist",
            f"/operations/{operation.name}/answers/missing",
            partial(unknown_job, operation=operation),
        )


def _is_asked_for(waits: Waits) -> bool:
    """Whether nobody is held who does not ask for it."""
    return bool(waits.query or waits.header) and waits.default == 0


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
        yield Case(
            f"{operation.name} of {model}: at the {word} bounds",
            f"/models/{model}/input",
            partial(_life, operation=operation.name, model=model, given=given),
            price=session.price_of(call),
        )


def _operation_cases(session: Session, operation: Operation, model: str) -> Iterator[Case]:
    name, price = operation.name, _price(session, operation, model)
    about: dict[str, Any] = {"operation": name, "model": model}
    is_at_once = operation.waits is None or bool(operation.waits.unless) or _is_asked_for(operation.waits)
    if is_at_once and read_operation(session) is not None:
        yield Case(
            f"{name}: its states by the clock", "/lifecycle/phases", partial(_timing, **about), ("control",), price
        )
        yield from ending_cases(session, operation, model, price)
    for field, word in (("on_invalid", "wrong"), ("on_empty", "empty")):
        if getattr(operation, field):
            ask = partial(_accepted_to_fail, field=field, **about)
            yield Case(f"{name}: an input that is {word}", f"/operations/{name}/{field}", ask, ("control",))
    if operation.waits is not None and (operation.waits.query or operation.waits.header):
        yield Case(
            f"{name}: held no longer than asked",
            f"/operations/{name}/waits",
            partial(_held, **about),
            ("control",),
            price,
        )


# --- lives


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
    wanted = f"{refused.wanted}, as every value is within its bounds"
    for name in named:
        schema = call.model.input["properties"].get(name, {}) if call.model else {}
        side = next((side for side in ("minimum", "maximum") if schema.get(side) == call.given[name]), "")
        rule = f"{at}/properties/{name}" + (f"/{side}" if side else "")
        bound = search_bound(session, call.operation, call.model, rule) if call.model and side else None
        session.fail(rule, "status", wanted, refused.got, bound)
    if not named:
        session.fail(at, "status", wanted, refused.got)
    return True


def _read_with(session: Session, reader: Operation, run: Run, state: State) -> None:
    call = job_call(session, reader, run)
    scope = session.names.job(session.scope(call), run, state)
    scope["chunks"] = []
    outcome = state.canonical if reader.kind == "read" else "ok"
    found = session.note(session.compare(session.send(call), session.answer(reader, run.failure, scope, state=outcome)))
    run.captured.update(found.captured)


def _timing(session: Session, operation: str, model: str) -> None:
    """Look just before the earliest and just after the latest moment at which each state can end."""
    _, run, watch = begin(session, operation, model)
    stages, before = phases_of(session, run), 0
    order = [stage.state.word for stage in stages]
    for number, stage in enumerate(stages):
        moment = stage.low - 2
        if moment > max(before, session.contract.visible_after) + 1:
            watch.to(moment - 1)
            is_still = partial(_is_at, order, number)
            _should_be(watch, is_still, stage.rule, f"{moment} ms after acceptance", stage.state.word)
        watch.to(stage.high + 1)
        before = stage.high + 2
        if before > session.contract.visible_after:
            is_past = partial(_is_past, order, number)
            _should_be(watch, is_past, stage.rule, f"{before} ms after acceptance", f"no longer {stage.state.word}")
    if session.found and session.world is not None:
        measure_pace(session, operation, model)


def _is_at(order: list[str], number: int, word: str) -> bool:
    return word in order and order.index(word) == number


def _is_past(order: list[str], number: int, word: str) -> bool:
    return word not in order or order.index(word) > number


def _should_be(watch: Watch, is_right: Callable[[str], bool], rule: str, place: str, wanted: str) -> None:
    state = watch.look()
    if state is None or not is_right(state.word):
        watch.session.fail(
            rule, place, wanted, state.word if state else "an unknown job", state.word if state else None
        )


def _accepted_to_fail(session: Session, operation: str, model: str, *, field: str) -> None:
    """A submission that is taken all the same, and whose job fails."""
    submit, used = session.contract.operations[operation], session.contract.models[model]
    if field == "on_empty":
        call = session.samples.call(submit, used, {})
    else:
        variant = next(iter(session.samples.variants(submit, used)), None)
        if variant is None:
            raise NotAskedError("no wrong input is known for this model")
        call = session.samples.call(submit, used)
        call.body, call.given = variant.body, at_pointer(variant.body, submit.input)
    failure = getattr(submit, field)
    run = Run(submit, used, call.body, call.given, call.param(), price=Decimal(0), failure=failure)
    session.submit(call, run)
    watch = Watch(session, call, run)
    usual = session.run_of(session.samples.call(submit, used))
    watch.to(phases_of(session, usual)[-1].high + 10 + session.contract.visible_after)
    state, wanted = watch.look(), session.ends_of(run)[0]
    if state is None or state.word != wanted.word:
        rule = f"/operations/{operation}/{field}"
        session.fail(rule, "status", wanted.word, state.word if state else "an unknown job")


def _held(session: Session, operation: str, model: str) -> None:
    """Ask for the shortest hold: it must end with the state of the moment, and no error."""
    submit = session.contract.operations[operation]
    waits = submit.waits
    call, run = start(session, submit, model)
    stages = phases_of(session, run)
    if waits is None or stages[-1].low <= waits.low + 5:
        raise NotAskedError("a run is over before the shortest hold is")
    asked = str(waits.low // waits.unit)
    if waits.header:
        call.headers[waits.header] = f"{waits.directive}={asked}" if waits.directive else asked
    else:
        call.query[waits.query] = asked
    state = session.submit(call, run)
    if state.is_terminal:
        session.fail(f"/operations/{operation}/waits", "status", "a job under way", state.word)


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
