"""Cases of requests that must be refused: keys, paths, models, bodies, parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from fauxvider.contract.model import Model, Operation
from fauxvider.contract.strict import pointer_parts
from fauxvider.errors import UsageError
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.names import face_rule
from fauxvider.toolkit.verify.samples import Call, NotAskedError, Variant
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Mismatch

__all__ = ["CAUSES", "any_call", "request_cases", "search_bound"]

_NOWHERE = "no-such-thing-0"
_REACH = 4_096  # steps of the grid on either side of the bound that the contract has
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_MAX_BODY = 32 * 1024 * 1024
CAUSES = {
    "required": "param_missing",
    "type": "param_type",
    "enum": "param_enum",
    "additionalProperties": "param_unknown",
    "minimum": "param_range",
    "maximum": "param_range",
    "multipleOf": "param_range",
    "minLength": "param_range",
    "maxLength": "param_range",
    "minItems": "param_range",
    "maxItems": "param_range",
}


def request_cases(session: Session) -> Iterator[Case]:
    contract = session.contract
    for operation in contract.operations.values():
        if "auth" in operation.checks:
            yield Case(
                f"{operation.name} without a key", _face(session, "auth_missing"), partial(_no_key, operation=operation)
            )
            if _models(session, operation):
                yield from _keys(session, operation)
    yield Case("a path that does not exist", _face(session, "path_unknown"), _no_path)
    yield Case("a method that does not exist", _face(session, "method_unknown"), _no_method)
    for operation in contract.operations.values():
        if operation.model:
            yield from _model_cases(session, operation)
        if operation.body == "json" and not operation.body_optional:
            yield Case(
                f"{operation.name} with a body that is not JSON",
                _face(session, "body_malformed"),
                partial(_malformed, operation=operation),
            )
        if operation.kind == "submit":
            yield Case(
                f"{operation.name} with a body that is too large",
                _face(session, "body_too_large"),
                partial(_too_large, operation=operation),
            )
            yield from _parameter_cases(session, operation)


def _face(session: Session, cause: str) -> str:
    return f"/errors/{face_rule(cause, session.tree['errors'])}"


def _models(session: Session, operation: Operation) -> list[Model]:
    return session.models_of(operation) if operation.model else []


def any_call(session: Session, operation: Operation) -> Call:
    """Give a request that gets past the checks before its body: a model that exists, an id that does not."""
    models = _models(session, operation)
    if operation.model and not models:
        raise NotAskedError("no model of the contract is served by this operation")
    call = session.samples.call(operation, models[0] if models else None)
    for name in _names(operation):
        call.params.setdefault(name, _NOWHERE)
    if operation.kind == "asset_upload":
        raise NotAskedError("an upload is asked for by its own case")
    return call


def _names(operation: Operation) -> list[str]:
    return [part.strip("{}").rstrip("+") for part in operation.path.split("/") if part.startswith("{")]


def _no_key(session: Session, operation: Operation) -> None:
    try:
        call = any_call(session, operation)
    except NotAskedError:
        call = Call(operation, operation.methods[0], params=dict.fromkeys(_names(operation), _NOWHERE))
        if operation.model:
            raise
    session.expect_error(call, "auth_missing", key=None)


def _keys(session: Session, operation: Operation) -> Iterator[Case]:
    states = {"auth_deleted": "deleted", "auth_inactive": "inactive"}
    for cause, state in states.items():
        yield Case(
            f"{operation.name} with a key that is {state}",
            _face(session, cause),
            partial(_with_key, operation=operation, cause=cause),
            ("control",),
            world={"keys": [{"key": "key-of-verify", "state": state}]},
        )
    yield Case(
        f"{operation.name} with an unknown key",
        _face(session, "auth_unknown"),
        partial(_with_key, operation=operation, cause="auth_unknown"),
        ("control",),
        world={"keys": [{"key": "another-key"}]},
    )
    if operation.scope:
        yield Case(
            f"{operation.name} with a key without the scope",
            _face(session, "scope_missing"),
            partial(_with_key, operation=operation, cause="scope_missing"),
            ("control",),
            world={"keys": [{"key": "key-of-verify", "scopes": []}]},
        )
    if operation.kind == "submit" and session.contract.account.funds != "off":
        yield Case(
            f"{operation.name} with an empty account",
            _face(session, "funds"),
            partial(_no_funds, operation=operation),
            ("control",),
            world={"balances": {session.contract.provider: "0"}},
        )


def _with_key(session: Session, operation: Operation, cause: str) -> None:
    session.expect_error(any_call(session, operation), cause, key="key-of-verify")


def _no_funds(session: Session, operation: Operation) -> None:
    call = any_call(session, operation)
    run = session.run_of(call)
    scope = session.scope(call)
    scope["cost"] = Exactly(run.price, f"/models/{run.model.name}/cost")
    scope["account"] = {"balance": 0, "used": 0, "used_before": 0}
    session.expect_error(call, "funds", scope=scope)


def _no_path(session: Session) -> None:
    first = next(iter(session.contract.operations.values()))
    answer = session.client.send(
        "GET", f"{session.base_url}/{_NOWHERE}/{_NOWHERE}", headers=session.key_header(session.key)
    )
    wanted = session.error("path_unknown", session.scope(Call(first, "GET")))
    session.note(session.compare(answer, wanted))


def _no_method(session: Session) -> None:
    operation = next(one for one in session.contract.operations.values() if one.kind == "submit")
    call = any_call(session, operation)
    used = {
        one for other in session.contract.operations.values() if other.path == operation.path for one in other.methods
    }
    call.method = next(one for one in ("PUT", "PATCH", "DELETE") if one not in used)
    call.body = None
    session.expect_error(call, "method_unknown")


# --- models


def _model_cases(session: Session, operation: Operation) -> Iterator[Case]:
    yield Case(
        f"{operation.name} of a model that does not exist",
        _face(session, "model_unknown"),
        partial(_no_model, operation=operation, is_type=False),
    )
    if len(operation.model) > 1:
        yield Case(
            f"{operation.name} of a type that does not exist",
            _face(session, "type_unknown"),
            partial(_no_model, operation=operation, is_type=True),
        )
    for model in session.contract.models.values():
        if not model.active and session.samples.takes(operation, model):
            yield Case(
                f"{operation.name} of {model.name}, which is switched off",
                f"/models/{model.name}/status",
                partial(_disabled, operation=operation, model=model),
            )


def _no_model(session: Session, operation: Operation, *, is_type: bool) -> None:
    if operation.when:
        raise NotAskedError("this operation takes the requests of certain models alone")
    call = any_call(session, operation)
    model = call.model
    if model is None:
        raise NotAskedError("no model of the contract is served by this operation")
    key = model.keys_of(len(operation.model))[0]
    unknown = type(model)(
        **{
            **{name: getattr(model, name) for name in model.__slots__},
            "key": (_NOWHERE, *key[1:]) if is_type else (*key[:-1], _NOWHERE),
            "also": (),
        }
    )
    bad = session.samples.call(operation, unknown, call.given)
    for name, value in call.params.items():
        bad.params.setdefault(name, value)
    scope = {**session.scope(bad), "model": None}
    session.expect_error(bad, "type_unknown" if is_type else "model_unknown", scope=scope)


def _disabled(session: Session, operation: Operation, model: Model) -> None:
    call = session.samples.call(operation, model)
    for name in _names(operation):
        call.params.setdefault(name, _NOWHERE)
    session.expect_error(call, "model_disabled")


# --- bodies


def _malformed(session: Session, operation: Operation) -> None:
    call = any_call(session, operation)
    call.data = b'{"this is": not JSON'
    scope = session.scope(call)
    scope.update({"body": None, "input": None, "param": None})
    session.expect_error(call, "body_malformed", scope=scope)


def _too_large(session: Session, operation: Operation) -> None:
    if operation.max_body > _MAX_BODY:
        raise NotAskedError(f"a body of more than {operation.max_body} bytes is not sent")
    call = any_call(session, operation)
    call.data = b'{"a": "' + b"x" * operation.max_body + b'"}'
    scope = session.scope(call)
    scope.update(
        {"body": None, "input": None, "param": None, "limit": {"count": operation.max_body}, "size": len(call.data)}
    )
    answer = session.send(call)
    if not answer.status:
        session.fail(_face(session, "body_too_large"), "answer", "a refusal", answer.problem or "nothing")
        return
    session.note(session.compare(answer, session.error("body_too_large", scope)))


# --- parameters


def _parameter_cases(session: Session, operation: Operation) -> Iterator[Case]:
    if operation.on_invalid:
        return  # what it does with them is told by the job
    for model in session.models_of(operation):
        try:
            variants = list(session.samples.variants(operation, model))
        except (NotAskedError, UsageError):
            continue
        for variant in variants:
            _, _, what = variant.rule.partition("/input/")
            yield Case(
                f"{operation.name} of {model.name}: {what.removeprefix('properties/')}",
                variant.rule,
                partial(_broken, operation=operation, model=model, variant=variant),
            )


def _broken(session: Session, operation: Operation, model: Model, variant: Variant) -> None:
    call = session.samples.call(operation, model)
    call.body = variant.body
    issue = variant.issues[0]
    cause = CAUSES.get(issue.keyword, "param_invalid")
    wanted = session.error(cause, session.issue_names(session.scope(call), variant.issues))
    answer = session.send(call)
    found = session.compare(answer, wanted)
    if answer.status and answer.status != wanted.status and answer.status < 400:
        # It was taken, and perhaps billed: the rule in the schema does not hold any more.
        session.pay(session.run_of(session.samples.call(operation, model)))
        session.fail(
            variant.rule,
            "status",
            f"{wanted.status}: {issue.message}",
            str(answer.status),
            search_bound(session, operation, model, variant.rule),
        )
        return
    found.mismatches = [_of_bound(one, variant) for one in found.mismatches]
    session.note(found)


def _of_bound(one: Mismatch, variant: Variant) -> Mismatch:
    """A refusal that differs in its numbers alone tells of another bound, not of another wording."""
    if not one.rule.startswith("/issues/texts/") or _NUMBER.sub("#", one.wanted) != _NUMBER.sub(
        "#", one.got.strip('"')
    ):
        return one
    return replace(one, rule=variant.rule.rpartition("/")[0], observed=None, kind="bound")


def search_bound(session: Session, operation: Operation, model: Model, rule: str) -> int | None:
    """Find out where a bound lies now, with one's own play money: the last whole value that is taken, on the grid."""
    *_, name, keyword = pointer_parts(rule)
    schema = model.input.get("properties", {}).get(name, {})
    old, step = schema.get(keyword), schema.get("multipleOf", 1)
    if session.world is None or keyword not in ("minimum", "maximum") or type(old) is not int or type(step) is not int:
        return None
    sign = 1 if keyword == "maximum" else -1

    def is_taken(steps: int) -> bool:
        given = {**session.samples.input_for(model), name: old + sign * steps * step}
        return session.send(session.samples.call(operation, model, given)).status < 400

    inside, outside = -_REACH, _REACH
    if is_taken(outside):
        return None
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if is_taken(middle) else (inside, middle)
    return old + sign * inside * step if inside > -_REACH else None
