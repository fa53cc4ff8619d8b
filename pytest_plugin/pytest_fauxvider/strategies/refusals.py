"""Submissions with one mistake each: the rule that they break, and what the contract then says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final

from hypothesis import strategies as st

from fauxvider.contract.model import Operation
from fauxvider.contract.strict import pointer_text
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.routing import Router
from fauxvider.service.checks import cause_of
from pytest_fauxvider.strategies.breaking import Rule, rules_of
from pytest_fauxvider.strategies.placing import Place, body_place, place_of
from pytest_fauxvider.strategies.provider import Held, ProviderLike, source_of
from pytest_fauxvider.strategies.requests import KEY, Target, made, submissions, targets_of
from pytest_fauxvider.strategies.schema import from_schema, is_possible
from pytest_fauxvider.strategies.values import Submission

__all__ = ["invalid_submissions"]

_NO_MODEL: Final = "no-such-model"
_SMALL: Final = 1_048_576  # larger bodies are not worth drawing


def invalid_submissions(
    provider: ProviderLike,
    model: str | None = None,
    *,
    operation: str | None = None,
    key: str = KEY,
) -> st.SearchStrategy[Submission]:
    """Give requests that break one rule each, and say which (`breaks`).

    `cause` and `status` are the contract's answer. Where it accepts the request all the same and lets the job
    fail, `failure` names how. What depends on the world and not on the request (balance, limits, keys that
    are not good) is left to `scenarios` and `worlds`.
    """
    return _wrong(Held(source_of(provider).contract), model, operation, key)


@lru_cache(maxsize=256)
def _wrong(held: Held, model: str | None, operation: str | None, key: str) -> st.SearchStrategy[Submission]:
    targets = targets_of(held.contract, model, operation)
    return st.one_of(*(one for target in targets for one in _mistakes(target, key)))


def _mistakes(target: Target, key: str) -> Iterator[st.SearchStrategy[Submission]]:
    """Give one strategy for each rule that a request for this model can break."""
    yield from _broken_bodies(target, key)
    valid = submissions(target.contract, target.model.name, operation=target.operation.name, key=key)
    for mistake in (*_headers(target), *_addresses(target), *_models(target), *_texts(target)):
        yield valid.map(_with(target, mistake))


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A change of a valid request, the rule that it breaks, and the cause of the refusal."""

    breaks: str
    cause: str
    change: Callable[[Submission], Submission]


def _with(target: Target, mistake: _Mistake) -> Callable[[Submission], Submission]:
    status = target.contract.errors[mistake.cause].status
    return lambda valid: replace(mistake.change(valid), breaks=mistake.breaks, cause=mistake.cause, status=status)


# --- rules of the body's schema


def _broken_bodies(target: Target, key: str) -> Iterator[st.SearchStrategy[Submission]]:
    if target.operation.body != "json" or "schema" not in target.operation.checks:
        return
    needed = target.constraints(None)
    # What names the model (or the operation) is judged before the schema is: see `_models`.
    names = [*(place for place, _ in target.named("body")), *(place for place, _ in target.operation.when)]
    for rule, schema in rules_of(target.raw).items():
        if {rule.path, (*rule.path, rule.name)}.intersection(names):
            continue
        kept = [one for place, one in needed if not _overlap(place, rule.path)]
        whole = {**schema, "allOf": [*schema.get("allOf", ()), *kept]} if kept else schema
        if rule.path and is_possible(whole):
            yield _broken(target, rule, whole, key)


def _overlap(one: Place, other: Place) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


@st.composite
def _broken(draw: st.DrawFn, target: Target, rule: Rule, schema: dict[str, Any], key: str) -> Submission:
    body = draw(from_schema(schema, extras=False))
    headers = target.headers(draw(st.sampled_from(target.contract.auth.accept)), key)
    return made(target, body, headers, breaks=str(rule), **_outcome(target, body))


def _outcome(target: Target, body: Any) -> dict[str, Any]:
    """Tell what becomes of a body with a wrong value: refused, or accepted as a job that fails."""
    operation = target.operation
    validator = operation.validators.get(target.model.name) or operation.validators[""]
    issues = validator.issues(body)
    is_in_input = all(tuple(map(str, issue.path[: len(operation.input)])) == operation.input for issue in issues)
    if operation.on_empty and is_in_input and not at_pointer(body, operation.input):
        return {"failure": operation.on_empty}
    if operation.on_invalid and is_in_input:
        return {"failure": operation.on_invalid}
    cause = cause_of(issues[0].keyword)
    return {"cause": cause, "status": target.contract.errors[cause].status}


# --- rules of the request around it


def _headers(target: Target) -> Iterator[_Mistake]:
    accepted = target.contract.auth.accept
    names = {one.header for one in accepted}
    if "auth" in target.operation.checks:
        yield _Mistake("auth: no key", "auth_missing", lambda valid: _without(valid, names))
        bare = {one.header for one in accepted if not one.scheme}
        schemed = [one for one in accepted if one.scheme and one.header not in bare]
        for one in schemed:
            yield _Mistake(f"auth: not {one.scheme}", "auth_unknown", partial(_with_key, names, one.header))
    if target.operation.body == "json" and "parse" in target.operation.checks:
        yield _Mistake("content-encoding", "media_type", lambda valid: _plus(valid, "Content-Encoding", "gzip"))


def _without(valid: Submission, names: set[str]) -> Submission:
    return replace(valid, headers={key: value for key, value in valid.headers.items() if key.lower() not in names})


def _with_key(names: set[str], name: str, valid: Submission) -> Submission:
    return _plus(_without(valid, names), name, "Unheard-Of key")


def _plus(valid: Submission, name: str, value: str) -> Submission:
    return replace(valid, headers={**valid.headers, name: value})


def _addresses(target: Target) -> Iterator[_Mistake]:
    contract, operation, path = target.contract, target.operation, target.own_path
    router = Router(one for one in contract.operations.values() if one.origin == operation.origin)
    for method in ("PUT", "DELETE", "GET"):
        match = router.match(method, path)
        if match is not None and not match.operations:
            yield _Mistake(f"method {method}", "method_unknown", partial(replace, method=method))
            break
    elsewhere = f"/no-such-path{path}"
    if router.match(operation.methods[-1], elsewhere) is None:
        beside = target.path.removesuffix(path)
        yield _Mistake("path", "path_unknown", lambda valid: replace(valid, path=beside + elsewhere))
    waits = operation.waits
    if waits is not None and waits.query and waits.outside == "refuse":
        query = f"?{waits.query}={waits.high + 1}"
        yield _Mistake(waits.query, "param_range", lambda valid: replace(valid, path=valid.path + query))


def _texts(target: Target) -> Iterator[_Mistake]:
    operation = target.operation
    if operation.body != "json" or "parse" not in operation.checks:
        return
    in_body = any((place_of(template) or ("",))[0] != "path" for template in operation.model)
    if in_body and "model" in operation.checks and _is_before(operation, "model", "parse"):
        return
    for what, content in (("json", b'{"cut": '), ("json: a list", b"[]"), ("json: a key twice", b'{"a": 1, "a": 2}')):
        yield _Mistake(what, "body_malformed", partial(replace, content=content, json=None))
    if operation.max_body < _SMALL and "size" in operation.checks:
        large = b'{"filler": "' + b"x" * operation.max_body + b'"}'
        yield _Mistake("size", "body_too_large", lambda valid: replace(valid, content=large, json=None))


def _is_before(operation: Operation, one: str, other: str) -> bool:
    return operation.checks.index(one) < operation.checks.index(other)


def _models(target: Target) -> Iterator[_Mistake]:
    contract, operation = target.contract, target.operation
    if "model" in operation.checks and operation.model:
        for number, _ in enumerate(target.key):
            is_type = number == 0 and len(target.key) > 1
            parts = [_NO_MODEL if index == number else part for index, part in enumerate(target.key)]
            cause = "type_unknown" if is_type else "model_unknown"
            yield _Mistake(f"model: {_NO_MODEL} in {parts}", cause, _renamed(target, parts))
        retired = next((one for one in contract.models.values() if not one.active), None)
        if retired is not None:
            yield _Mistake(f"model: {retired.name}", "model_disabled", _renamed(target, list(retired.key)))
    place = target.reference()
    rules = contract.assets
    if place is not None and rules is not None and rules.required and "references" in operation.checks:
        missing = f"{rules.prefix}no-such-asset"
        yield _Mistake(f"asset ({pointer_text(place)})", "asset_unknown", lambda valid: _put(valid, place, missing))


def _renamed(target: Target, key: list[str]) -> Callable[[Submission], Submission]:
    """Give the request for another model: its key in path and body."""
    places = [place_of(template) for template in target.operation.model]
    pairs = list(zip(places, key, strict=False))
    path = replace(target, model=replace(target.model, key=tuple(key), also=())).path
    inside = [(found, part) for place, part in pairs if (found := body_place(target.operation, place)) is not None]

    def change(valid: Submission) -> Submission:
        valid = replace(valid, path=path)
        for place, part in inside:
            valid = _put(valid, place, part)
        return valid

    return change


def _put(valid: Submission, place: Place, value: Any) -> Submission:
    body = _changed(valid.json, place, value)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return replace(valid, json=body, content=content)


def _changed(tree: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    held = tree if isinstance(tree, Mapping) else {}
    return {**held, place[0]: _changed(held.get(place[0]), place[1:], value)}
