"""Cases of everything around jobs: lists, counts, catalogues, uploads, idempotency, limits, visibility."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fauxvider.contract.model import Model, Operation
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_requests import any_call
from fauxvider.toolkit.verify.jobs import Watch, start, submissions
from fauxvider.toolkit.verify.measuring import measured_span
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, Listed, Want

__all__ = ["more_cases"]

_COUNT = Like("integer", says="a count")


def more_cases(session: Session) -> Iterator[Case]:
    for operation in session.contract.operations.values():
        at = f"/operations/{operation.name}"
        if operation.kind in ("view", "models"):
            yield Case(f"{operation.name}: what it shows", at, partial(_view, operation=operation))
        elif operation.kind in ("counts", "purge") and not operation.owner:
            yield Case(f"{operation.name}: what it counts", at, partial(_counts, operation=operation), ("control",))
        elif operation.kind in ("counts", "purge"):
            yield Case(f"{operation.name} of one's own model", at, partial(_counts, operation=operation), ("control",))
            yield Case(
                f"{operation.name} of a model of somebody else", f"{at}/owner", partial(_not_owned, operation=operation)
            )
    yield from _job_cases(session)


def _job_cases(session: Session) -> Iterator[Case]:
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if found is None:
        return
    operation, model = found
    about: dict[str, Any] = {"operation": operation.name, "model": model}
    price = session.price_of(start(session, operation, model)[0])
    for one in session.model_operations("list"):
        yield Case(
            f"{one.name}: the jobs of a world",
            f"/operations/{one.name}",
            partial(_list, asked=one, **about),
            ("control",),
            price,
        )
    if session.contract.idempotency is not None:
        yield Case("the same idempotency key twice", "/idempotency", partial(_idempotency, **about), (), price)
        yield Case(
            "an idempotency key after its window", "/idempotency/window", partial(_window, **about), ("control",), price
        )
    if session.contract.visible_after:
        yield Case(
            "a job that is too fresh to be known",
            "/lifecycle/visible_after",
            partial(_visible, **about),
            ("control",),
            price,
        )


# --- what is shown


def _rows(session: Session, call: Call) -> list[Any]:
    """Give the models that a catalogue lists, as its `where` picks them."""
    rows = []
    where = session.tree["operations"][call.operation.name].get("where", {})
    scope = session.scope(call)
    wanted = {path: session.names.reader.want(raw, "", scope) for path, raw in where.items()}
    for model in session.contract.models.values():
        row = session.names.model(model)
        if all(_has(row, path.split("."), want) for path, want in wanted.items()):
            rows.append(row)
    return rows


def _has(row: Any, path: list[str], want: Want) -> bool:
    for name in path:
        row = row.value if isinstance(row, Exactly) else row
        row = row.get(name) if isinstance(row, Mapping) else None
    row = row.value if isinstance(row, Exactly) else row
    value = want.value if isinstance(want, Exactly) else None
    return value is not None and (value in row if isinstance(row, list) else row == value)


def _view(session: Session, operation: Operation) -> None:
    calls = [any_call(session, operation)]
    where = session.tree["operations"][operation.name].get("where", {})
    for path in where:
        # A list that is filtered is asked for with the first value that some model has.
        values = [_first_fact(model, path) for model in session.contract.models.values()]
        name = path.rpartition(".")[2]
        calls += [session.samples.call(operation, query={name: value}) for value in dict.fromkeys(values) if value]
    for call in calls:
        scope = session.scope(call)
        scope["models"] = _rows(session, call)
        session.expect(call, "ok", scope=scope)


def _first_fact(model: Model, path: str) -> str:
    row: Any = {"facts": model.facts, "name": model.name}
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row if isinstance(row, str) else ""


def _counts(session: Session, operation: Operation) -> None:
    owned = [
        one
        for one in session.contract.models.values()
        if one.active and (not operation.owner or one.facts.get("owned"))
    ]
    if operation.model and not owned:
        raise NotAskedError("the contract has no model of one's own")
    call = session.samples.call(operation, owned[0] if operation.model else None)
    scope = session.scope(call)
    states = ("queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
    scope["counts"] = {name: Exactly(0) for name in (*states, "retried", "total", "removed")}
    session.expect(call, "ok", scope=scope)


def _not_owned(session: Session, operation: Operation) -> None:
    others = [one for one in session.contract.models.values() if one.active and not one.facts.get("owned")]
    if not others:
        raise NotAskedError("every model of the contract is one's own")
    session.expect_error(session.samples.call(operation, others[0]), "owner_only")


def _list(session: Session, operation: str, model: str, asked: Operation) -> None:
    submit = session.contract.operations[operation]
    call, run = start(session, submit, model)
    state = session.submit(call, run)
    view = session.tree["operations"][asked.name]["item"]
    listing = session.samples.call(asked)
    names = session.names.job(session.scope(listing), run, state)
    item = session.names.reader.want({"$view": view}, f"/operations/{asked.name}/item", names)
    scope = session.scope(listing)
    scope["page"] = {"items": Listed([item]), "first": None, "next": None, "previous": None, "total": Exactly(1)}
    session.expect(listing, "ok", scope=scope)
    page = asked.page
    if page is not None:
        listing.query = {page.limit: str(page.high + 1)}
        text = f"must be a number from {page.low} to {page.high}"
        issue = {
            "path": f"query.{page.limit}",
            "pointer": f"/query/{page.limit}",
            "field": page.limit,
            "keyword": "query",
            "limit": page.high,
            "low": page.low,
            "high": page.high,
            "value": str(page.high + 1),
            "loc": ["query", page.limit],
            "text": Exactly(text, f"/operations/{asked.name}/page/limit"),
            "type": "value_error",
        }
        session.expect_error(
            listing, "param_range", scope={**session.scope(listing), "issue": issue, "issues": [issue]}
        )


# --- idempotency, visibility


def _keyed(session: Session, operation: str, model: str, key: str) -> Any:
    rules = session.contract.idempotency
    if rules is None:
        raise NotAskedError("the contract has no idempotency keys")
    call, run = start(session, session.contract.operations[operation], model)
    call.headers[rules.header] = key
    return call, run


def _idempotency(session: Session, operation: str, model: str) -> None:
    key = f"verify-{session.client.sent}-{id(session)}"
    call, run = _keyed(session, operation, model, key)
    session.submit(call, run)
    first, again = run.id, session.send(call)
    state, found = session.job_view(
        again, call, run, session.first_states(call, run), "replayed" if "replayed" in call.operation.answers else ""
    )
    del state
    if any(one.rule == f"/ids/{run.operation.id}" for one in found.mismatches):
        session.fail("/idempotency", "the second answer", f"the job {first}", "another job")
    else:
        session.note(found)
    call.body = {**call.body, "metadata": {"another": "body"}}
    session.expect_error(call, "conflict")


def _window(session: Session, operation: str, model: str) -> None:
    rules = session.contract.idempotency
    call, run = _keyed(session, operation, model, "verify-window")
    session.submit(call, run)
    if session.world is None or rules is None:
        raise NotAskedError("it needs a clock that can be moved (--control)")
    born = session.world.now()
    for moment, is_same in ((born + rules.window - 10, True), (born + rules.window + 10, False)):
        session.world.advance_to(moment)
        text = session.send(call).body.decode("utf-8", "replace")
        if (run.id in text) is not is_same:
            wanted = "the job of the first" if is_same else "another job"
            session.fail("/idempotency/window", f"{moment - born} ms after the first", wanted, "not so")
            _remembered(session, operation, model)
            return


def _remembered(session: Session, operation: str, model: str) -> None:
    """Find out how long a key is remembered, where it is one of the usual spans."""
    call, run = _keyed(session, operation, model, "verify-how-long")
    session.submit(call, run)
    born = session.world.now() if session.world is not None else 0
    span = measured_span(session, born, lambda: run.id in session.send(call).text, slack=10)
    if span is not None:
        session.fail("/idempotency/window", "how long a key is remembered", "the contract's", f"{span} ms", span)


def _visible(session: Session, operation: str, model: str) -> None:
    call, run = start(session, session.contract.operations[operation], model)
    session.submit(call, run)
    watch, span = Watch(session, call, run), session.contract.visible_after
    watch.to(span - 3)
    if (state := watch.look()) is not None:
        session.fail("/lifecycle/visible_after", f"{span - 2} ms after acceptance", "an unknown job", state.word)
    watch.to(span + 2)
    if watch.look() is None:
        session.fail("/lifecycle/visible_after", f"{span + 3} ms after acceptance", "a known job", "an unknown job")
