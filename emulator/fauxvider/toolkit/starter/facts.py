"""What a starter contract is written from: facts of an API, each known from a document or made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Endpoint", "Facts", "StarterModel", "assumed_facts"]

_JOB = {
    "id": "{job.id}",
    "status": "{job.status}",
    "output": {"$case": "job.state", "$of": {"succeeded": "{job.result}"}},
    "error": "{job.failure.message?}",
}


@dataclass(frozen=True, slots=True)
class StarterModel:
    """`part`: what stands for it where the request names the model; `known`: where its input is told, "" if nowhere."""

    name: str
    part: str
    input: Mapping[str, Any]
    known: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation: `kind` as in a contract, `request` its method and path, `names` where the model or the job stands.

    Of a submission `input` is the field that holds the model's input ("": the whole body), `rest` the other fields.
    """

    name: str
    kind: str
    request: str
    names: str
    status: int
    body: Any
    known: str = ""
    input: str = ""
    rest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Facts:
    """`states`: the provider's word -> canonical state; `errors`: cause -> status. `known` says which parts are."""

    provider: str
    title: str
    origin: str = ""
    about: str = ""  # the document that facts were taken from
    auth: list[tuple[str, str]] = field(default_factory=lambda: [("Authorization", "Bearer")])
    models: list[StarterModel] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    envelope: Any = None
    result: Any = None
    unserved: list[tuple[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # part -> where the document says so
    notes: list[str] = field(default_factory=list)  # what could not be taken over

    @property
    def words(self) -> dict[str, str]:
        """Canonical state -> the word that shows it."""
        return {state: word for word, state in reversed(self.states.items())}


STATES = {
    "queued": "queued",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
ERRORS = {
    "bad_request": 400,
    "auth_missing": 401,
    "funds": 402,
    "path_unknown": 404,
    "model_unknown": 404,
    "job_unknown": 404,
    "job_state": 409,
    "param_invalid": 422,
    "rate": 429,
    "internal": 500,
    "unavailable": 503,
    "url_expired": 404,
    "url_unknown": 404,
}


def assumed_facts(provider: str) -> Facts:
    """Give an API as most are: submit, poll, cancel, one model."""
    return completed(Facts(provider, provider.replace("-", " ").capitalize()))


def completed(facts: Facts) -> Facts:
    """Put what is usual in the place of what is not known."""
    facts.origin = facts.origin or f"https://api.{facts.provider}.example"
    if not facts.models:
        prompt = {
            "type": "object",
            "required": ["prompt"],
            "properties": {"prompt": {"type": "string", "minLength": 1}},
        }
        facts.models = [StarterModel(facts.provider, facts.provider, prompt)]
    for state in STATES:
        if state not in facts.states.values():
            facts.states.setdefault(state, state)
    for cause, status in ERRORS.items():
        facts.errors.setdefault(cause, status)
    facts.envelope = facts.envelope or {"message": "{error.message}"}
    facts.result = facts.result or ["{output.url}"]
    kinds = {one.kind for one in facts.endpoints}
    if "submit" not in kinds:
        facts.endpoints.insert(0, Endpoint("generate", "submit", "POST /v1/generate", facts.models[0].part, 201, _JOB))
    if "read" not in kinds:
        facts.endpoints.append(Endpoint("get_job", "read", "GET /v1/jobs/{id}", "{path.id}", 200, _JOB))
    if "cancel" not in kinds and not facts.about:
        facts.endpoints.append(Endpoint("cancel_job", "cancel", "POST /v1/jobs/{id}/cancel", "{path.id}", 200, _JOB))
    return facts
