"""Responses of an operation: what it answers, and every documented refusal in its envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fauxvider.contract.model import Answer, ErrorFace, Model, Operation
from fauxvider.toolkit.openapi.inference import shape_of
from fauxvider.toolkit.openapi.known import Known, about_errors
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.outcomes import anywhere_causes, cause_at, causes_of, outcomes_of
from fauxvider.toolkit.openapi.schemas import Schema, constant, has_null, named, record, union, without_null

__all__ = ["error_responses", "responses_of"]


@dataclass
class _Gathered:
    """What is answered with one status."""

    about: list[str] = field(default_factory=list)
    contents: dict[str, list[Schema | None]] = field(default_factory=dict)
    headers: dict[str, list[Schema | None]] = field(default_factory=dict)
    shares: int = 0  # how many answers it stands for
    sure: dict[str, int] = field(default_factory=dict)  # in how many of them a header is always there
    sources: list[dict[str, Any]] = field(default_factory=list)


def responses_of(material: Material, operation: Operation, models: list[Model]) -> dict[str, Any]:
    """Give the `responses` of an operation asked for one of these models (none: it needs no model)."""
    names = tuple(one.name for one in models) or tuple(material.contract.models)
    gathered: dict[int, _Gathered] = {}
    for outcome in outcomes_of(material, operation, names):
        answer = operation.answers[outcome.name]
        if not answer.cause:
            _add_answer(material, operation, outcome.name, answer, outcome.known, gathered)
    causes = [*causes_of(material, operation, models), *anywhere_causes(material)]
    _add_errors(material, dict.fromkeys(causes), gathered)
    return {str(status): _response(one) for status, one in sorted(gathered.items())}


def error_responses(material: Material, causes: list[str]) -> dict[str, Any]:
    """Give the responses of these causes alone."""
    gathered: dict[int, _Gathered] = {}
    _add_errors(material, dict.fromkeys(causes), gathered)
    return {str(status): _response(one) for status, one in sorted(gathered.items())}


def _response(one: _Gathered) -> dict[str, Any]:
    response: dict[str, Any] = {"description": "; ".join(dict.fromkeys(one.about))}
    if one.headers:
        response["headers"] = {name: _header(name, schemas, one) for name, schemas in one.headers.items()}
    content = {kind: _media(kind, union(schemas)) for kind, schemas in one.contents.items()}
    if content:
        response["content"] = content
    return {**response, "x-fauxvider-sources": _unique(one.sources)}


def _unique(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({one["x-fauxvider-pointer"]: one for one in sources}.values())


def _media(kind: str, schema: Schema | None) -> dict[str, Any]:
    del kind
    return {"schema": schema if schema is not None else {}}


def _header(name: str, schemas: list[Schema | None], one: _Gathered) -> dict[str, Any]:
    return {"required": one.sure.get(name, 0) == one.shares, "schema": union(schemas) or {"type": "string"}}


# --- answers


def _add_answer(  # noqa: PLR0917 - one answer on its way into the responses
    material: Material, operation: Operation, name: str, answer: Answer, known: Known, gathered: dict[int, _Gathered]
) -> None:
    path = ("operations", operation.name, "answers", name)
    found = gathered.setdefault(answer.status, _Gathered())
    found.about.append(_about(name))
    found.sources.append(material.pointer(*path))
    found.shares += 1
    tree = material.at(*path, "text" if answer.is_text else "body")
    if tree is not None:
        kind = "text/plain" if answer.is_text else "application/json"
        schema = {"type": "string"} if answer.is_text else shape_of(tree, known).schema
        found.contents.setdefault(kind, []).append(_answer_name(operation, schema))
    _add_headers(material.at(*path, "headers"), known, found)
    _add_limit_headers(material, operation, known, found)


def _about(name: str) -> str:
    return {"ok": "The answer", "missing": "Nothing of that name", "replayed": "The first answer once more"}.get(
        name, f"The answer for {name.replace('_', ' ')}"
    )


def _answer_name(operation: Operation, schema: Schema | None) -> Schema | None:
    is_bare = schema is not None and schema.get("type") == "object" and "x-name" not in schema
    return named(operation.name, schema) if is_bare and schema is not None else schema


def _add_headers(tree: Any, known: Known, found: _Gathered) -> None:
    for name, value in (tree or {}).items() if isinstance(tree, Mapping) else ():
        if name.lower() == "content-type":
            continue
        schema = shape_of(value, known).schema
        there = without_null(schema)
        if there is not None:
            found.headers.setdefault(name, []).append(_as_header(there))
            found.sure[name] = found.sure.get(name, 0) + (not has_null(schema))


def _as_header(schema: Schema) -> Schema:
    """A header is a text; what is known of a number stays."""
    return schema if schema.get("type") in ("string", "integer", "number") else {"type": "string"}


def _add_limit_headers(material: Material, operation: Operation, known: Known, found: _Gathered) -> None:
    for limit in operation.limits:
        _add_headers(material.at("limits", limit, "headers"), known, found)
        for name in material.at("limits", limit, "headers") or ():
            found.sure[name] = 0  # not where limits are switched off


# --- refusals


def _add_errors(material: Material, causes: Mapping[str, None], gathered: dict[int, _Gathered]) -> None:
    for cause in causes:
        face = material.contract.errors[cause]
        own = cause_at(material, cause.partition("@")[0])
        found = gathered.setdefault(face.status, _Gathered())
        found.about.append(_error_about(cause))
        found.sources.append({"cause": cause} | material.pointer("errors", own))
        found.shares += 1
        known, schema = _refusal(material, face, own, cause)
        kind = face.envelope.content_type.partition(";")[0].strip()
        found.contents.setdefault(kind, []).append(schema)
        _add_headers(material.at("errors", own, "headers"), known, found)


def _refusal(material: Material, face: ErrorFace, own: str, cause: str) -> tuple[Known, Schema | None]:
    """Give what is known in a refusal, and the schema of its body: the same whoever is refused."""
    key = ("refusal", cause)
    if key not in material.memory:
        known = _error_known(material, face, own, cause, tuple(material.contract.models))
        material.memory[key] = known, _envelope(material, face, own, known)
    found: tuple[Known, Schema | None] = material.memory[key]
    return found


def _error_about(cause: str) -> str:
    return cause.partition("@")[0].replace("_", " ").capitalize()


def _error_known(material: Material, face: ErrorFace, own: str, cause: str, models: tuple[str, ...]) -> Known:
    known = about_errors(material, models)
    values = dict(material.at("errors", own, "values") or {})
    _, _, place = cause.partition("@")
    if place:
        operation, _, outcome = place.partition(".")
        values |= material.at("operations", operation, "answers", outcome, "values") or {}
    known = known.bound("error", record({"status": constant(face.status)}))
    members: dict[str, Schema] = {"status": constant(face.status)}
    optional = []
    for name, tree in values.items():
        shape = shape_of(tree, known)
        if shape.schema is not None:
            members[name] = shape.schema
        if shape.is_optional:
            optional.append(name)
    return known.bound("error", record(members, optional=optional))


def _envelope(material: Material, face: ErrorFace, own: str, known: Known) -> Schema | None:
    envelope = face.envelope
    if envelope.is_text:
        return {"type": "string"}
    schema = shape_of(material.at("envelopes", envelope.name, "body"), known).schema
    if envelope.root and schema:
        schema = {**_loose(schema), "xml": {"name": envelope.root}}
    is_object = bool(schema) and (schema or {}).get("type") == "object"
    return named(f"error.{own}", schema) if is_object and schema else schema


def _loose(schema: Schema) -> Schema:
    """XML has no types: what a reader gets of an element is text."""
    members = {name: {"type": "string"} for name in schema.get("properties", {})}
    return {"type": "object", "properties": members}
