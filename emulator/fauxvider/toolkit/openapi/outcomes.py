"""What an operation can answer: its outcomes with what is known in each, and the causes that can refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fauxvider.contract.causes import FALLBACKS
from fauxvider.contract.model import Model, Operation
from fauxvider.toolkit.openapi.inference import shape_of
from fauxvider.toolkit.openapi.jobs import JobFacts, ends_of, first_states, states_of
from fauxvider.toolkit.openapi.known import Known, about_jobs, about_requests
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.schemas import Schema, array, named, nullable, record

__all__ = ["Outcome", "anywhere_causes", "cause_at", "causes_of", "outcomes_of"]

_OF_JOBS = frozenset({"read", "stream", "cancel", "retry", "deliveries", "redeliver"})


@dataclass(frozen=True)
class Outcome:
    """One answer of an operation: its name in the contract, and what is known when it is given."""

    name: str
    known: Known


def outcomes_of(material: Material, operation: Operation, models: tuple[str, ...]) -> list[Outcome]:
    """List the answers (those that are no error) that requests for these models can get."""
    found: dict[str, Outcome] = {}
    for names, known in _situations(material, operation, models):
        name = next(name for name in (*names, "ok") if name in operation.answers)
        other = found.get(name)
        found[name] = Outcome(name, known if other is None else _joined(other.known, known))
    return list(found.values())


def _joined(one: Known, other: Known) -> Known:
    if one.job is None or other.job is None:
        return other
    return replace(other, job=JobFacts(one.job.states | other.job.states))


def _situations(
    material: Material, operation: Operation, models: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Known]]:
    """Give for each situation the names under which its answer is looked for, and what is known."""
    kind = operation.kind
    if kind in _OF_JOBS or kind == "submit":
        yield from _of_jobs(material, operation, models)
    else:
        yield ("ok",), _of_request(material, operation, models)
        if "pending" in operation.answers:
            yield ("pending",), _of_request(material, operation, models)
    if "missing" in operation.answers:
        yield ("missing",), about_requests(material, models, None)


def _of_jobs(
    material: Material, operation: Operation, models: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Known]]:
    contract, kind = material.contract, operation.kind
    job = about_jobs(material, models)
    every, over = states_of(contract), frozenset(ends_of(contract))
    if kind == "submit":
        first = first_states(contract, operation)
        yield from _by_state(job, first, "")
        yield from _by_failure(material, job, first, operation)
        if contract.idempotency is not None:
            yield from _by_state(job, first, "replayed")
    elif kind == "read":
        yield from _by_state(job, every, "")
        yield from _by_failure(material, job, every, operation)
    elif kind == "stream":
        yield ("ok",), replace(job, job=JobFacts(every))
    elif kind == "cancel":
        yield ("done", "cancelled"), replace(job, job=JobFacts(frozenset({"cancelled"})))
        if "already" in operation.answers:
            yield ("already",), replace(job, job=JobFacts(every - operation.from_states))
    elif kind == "retry":
        once = (first_states(contract, replace(one, waits=None)) for one in material.submits())
        first = frozenset[str]().union(*once)
        yield from _by_state(job, first, "ok")
        if "refused" in operation.answers:
            yield ("refused",), replace(job, job=JobFacts(every - operation.from_states))
    else:
        yield ("ok",), replace(job, job=JobFacts(every if kind == "deliveries" else over))
        if "refused" in operation.answers:
            yield ("refused",), about_requests(material, models, None)


def _by_state(job: Known, states: frozenset[str], first: str) -> Iterator[tuple[tuple[str, ...], Known]]:
    for state in sorted(states):
        yield (first, state), replace(job, job=JobFacts(frozenset({state})))


def _by_failure(
    material: Material, job: Known, states: frozenset[str], operation: Operation
) -> Iterator[tuple[tuple[str, ...], Known]]:
    for failure in material.contract.failures.values():
        if failure.name in operation.answers and failure.end in states:
            yield (failure.name,), replace(job, job=JobFacts(frozenset({failure.end})))


def _of_request(material: Material, operation: Operation, models: tuple[str, ...]) -> Known:
    body = material.body(operation, None) if operation.body == "json" else None
    known = about_requests(material, models, body if not operation.body_optional else nullable(body))
    if operation.kind == "list":
        known = known.bound("page", _page(material, operation))
    return known


def _page(material: Material, operation: Operation) -> Schema:
    view = material.at("operations", operation.name, "item")
    item = shape_of({"$view": view}, about_jobs(material)).schema or {}
    cursor: Schema = {"type": ["string", "null"]}
    return record({"items": array(named(str(view), item)), "first": cursor, "next": cursor, "previous": cursor})


# --- refusals

_SCHEMA = ("param_missing", "param_type", "param_range", "param_enum", "param_unknown", "param_invalid")


def causes_of(material: Material, operation: Operation, models: list[Model]) -> list[str]:
    """Name the causes that can refuse a request: those of its checks, in their order, then those of its kind."""
    found = [*_of_checks(material, operation, models), *_of_kind(operation)]
    found += [answer.cause for answer in operation.answers.values() if answer.cause]
    return list(dict.fromkeys(cause for cause in found if cause in material.contract.errors))


def anywhere_causes(material: Material) -> list[str]:
    """Name the causes that belong to no request: faults that only a scenario, or a bug of ours, brings about."""
    own = material.at("errors") or {}
    return [cause for cause in ("internal", "unavailable", "origin_timeout", "upstream") if cause in own]


def _of_checks(material: Material, operation: Operation, models: list[Model]) -> Iterator[str]:
    contract, is_submit = material.contract, operation.kind == "submit"
    causes = {
        "auth": ("auth_missing", "auth_unknown", "auth_deleted", "auth_inactive"),
        "scope": ("scope_missing",) if operation.scope else (),
        "model": ("model_unknown", "model_disabled", *(("type_unknown",) if len(operation.model) > 1 else ())),
        "owner": ("owner_only",) if operation.owner and not all(one.facts.get("owned") for one in models) else (),
        "rate": ("rate",) if operation.limits else (),
        "size": ("body_too_large",) if operation.body != "none" else (),
        "parse": ("body_malformed", "media_type") if operation.body != "none" else (),
        "idempotency": ("conflict",) if is_submit and contract.idempotency else (),
        "schema": _SCHEMA if operation.validators else (),
        "references": ("asset_unknown",) if is_submit and contract.assets and contract.assets.fields else (),
        "funds": ("funds",) if is_submit else (),
    }
    for check in operation.checks:
        if check != "model" or operation.model:
            yield from causes.get(check, ())


def _of_kind(operation: Operation) -> Iterator[str]:
    kind, answers = operation.kind, operation.answers
    yield from _KINDS.get(kind, ())
    if kind in _OF_JOBS:
        yield from () if "missing" in answers else ("job_unknown",)
    if kind.startswith("asset_") and "missing" not in answers and kind in ("asset_confirm", "asset_read"):
        yield "asset_missing"
    if kind.startswith("secret_") and kind not in ("secret_create", "secret_list") and "missing" not in answers:
        yield "secret_unknown"
    refusals = {"cancel": ("already", "job_state"), "retry": ("refused", "job_state"),
                "redeliver": ("refused", "delivery_state"), "asset_confirm": ("pending", "asset_pending")}  # fmt: skip
    if kind in refusals and refusals[kind][0] not in answers:
        yield refusals[kind][1]
    if operation.waits is not None and operation.waits.outside == "refuse":
        yield "param_range"


_KINDS = {
    "submit": ("param_invalid",),
    "list": ("param_range",),
    "asset_upload": ("body_malformed", "param_missing", "body_too_large", "param_enum"),
    "asset_session": ("param_enum",),
}


def cause_at(material: Material, cause: str) -> str:
    """Name the entry of `errors` that gives a cause its face."""
    own, name = material.at("errors") or {}, cause
    while name and name not in own:
        name = FALLBACKS.get(name, "")
    return name or cause
