"""The names of templates (section 12 of the contract language), each with the schema of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from fauxvider.contract.model import Operation
from fauxvider.toolkit.openapi import entities
from fauxvider.toolkit.openapi.inference import shape_of
from fauxvider.toolkit.openapi.jobs import JobFacts, ends_of, job_schema, result_schema, states_of, words_of
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.schemas import (
    ANYTHING,
    INTEGER,
    NULL,
    STRING,
    Schema,
    constant,
    has_null,
    member,
    named,
    nullable,
    or_null,
    union,
    without_null,
)

__all__ = ["Known", "about_errors", "about_jobs", "about_requests"]


@dataclass(frozen=True)
class Known:
    """What is known where a template is filled. `models`: those that may be meant; `job`: None without one."""

    material: Material
    models: tuple[str, ...] = ()
    job: JobFacts | None = None
    may_lack: bool = False  # whether there may be no job and no model after all
    body: Schema | None = None  # of the request at hand; None: it has none
    roots: Mapping[str, Schema | None] = field(default_factory=dict)
    exact: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def views(self) -> Mapping[str, Any]:
        return self.material.at("views") or {}

    # --- looking up

    def schema(self, name: str) -> Schema | None:
        if name in self.exact:
            return self.exact[name]
        head, *rest = name.split(".")
        if head in self.roots:
            return member(self.roots[head], rest)
        if head == "job":
            found = self._of_job(rest)
            return nullable(found) if self.may_lack else found
        make = _MAKERS.get(head)
        return ANYTHING if make is None else make(self, rest)

    def _of_job(self, path: list[str]) -> Schema:
        facts, material = self.job, self.material
        if facts is None:
            return NULL
        if path[:1] == ["failure"]:
            return self._of_failure(facts, path[1:])
        if path[:1] == ["result"]:
            return member(result_schema(facts, self.results()), path[1:])
        kinds = tuple(one.id for one in self._submits() if one.id)
        key = ("job", facts, kinds)
        if key not in material.memory:
            ids = [entities.minted(material.contract, kind) for kind in kinds]
            material.memory[key] = job_schema(material.contract, facts, ids)
        return member(material.memory[key], path)

    def _of_failure(self, facts: JobFacts, path: list[str]) -> Schema:
        found: list[Schema | None] = []
        for failure in self.material.contract.failures.values():
            if failure.end not in facts.states:
                continue
            tree = self.material.at("lifecycle", "failures", failure.name, "values", *path[:1])
            inner = replace(self, job=replace(facts, states=frozenset({failure.end})))
            inner = replace(inner, roots={**self.roots, "issue": entities.ISSUE})
            shape = shape_of(tree, inner) if tree is not None else None
            found.append(NULL if shape is None else member(shape.schema, path[1:]))
        if facts.states - {"failed", "timed_out", "moderated", "expired"}:
            found.append(NULL)
        return or_null(union(found))

    def results(self) -> Schema | None:
        """Give the schema of what a succeeded job of these models shows as its result."""
        found = []
        for name in self.models:
            key = ("result", name)
            if key not in self.material.memory:
                facts = JobFacts(frozenset({"succeeded"}))
                tree = self.material.at("models", name, "output", "result")
                schema = shape_of(tree, replace(about_jobs(self.material, (name,)), job=facts)).schema
                is_object = bool(schema) and schema.get("type") == "object" if schema else False
                self.material.memory[key] = named("result", schema) if schema and is_object else schema
            found.append(self.material.memory[key])
        return union(found)

    def _submits(self) -> list[Operation]:
        found = [one for name in self.models for one in self.material.submits(name)] or self.material.submits()
        return list({one.name: one for one in found}.values())

    def request_body(self) -> Schema | None:
        """Give the schema of `body`: of the job, where there is one."""
        if self.job is None or self.may_lack:
            return self.body
        models = [self.material.contract.models[name] for name in self.models]
        found = [self.material.echoed(one, model) for model in models for one in self.material.submits(model.name)]
        return union(found) or ANYTHING

    def inputs(self) -> Schema | None:
        """Give the schema of `input`."""
        if self.job is None or self.may_lack:
            return ANYTHING if self.body == {} else self.body
        models = [self.material.contract.models[name] for name in self.models]
        pairs = [(one, model) for model in models for one in self.material.submits(model.name)]
        return union(member(self.material.echoed(one, model), one.input) for one, model in pairs)

    # --- narrowing

    def narrowed(self, name: str, case: str | None, others: tuple[str, ...]) -> Self | None:
        if name in ("job.state", "job.status", "job.started") and self.job is not None and not self.roots.get("job"):
            return self._with_job(name, case, others)
        schema = or_null(self.schema(name.partition("|")[0]))
        left = _only(schema, case) if case is not None else _but(schema, others)
        return None if left is None else replace(self, exact={**self.exact, name: left})

    def _with_job(self, name: str, case: str | None, others: tuple[str, ...]) -> Self | None:
        facts = self.job
        if facts is None:
            return self
        left = _narrow_job(self.material, facts, name, case, others)
        if case is not None:
            return None if left is None else replace(self, job=left, may_lack=False)
        if left is None:
            return replace(self, job=None) if self.may_lack else None
        return replace(self, job=left)

    def bound(self, name: str, schema: Schema | None) -> Self:
        exact = {key: one for key, one in self.exact.items() if key.partition(".")[0] != name}
        return replace(self, roots={**self.roots, name: schema}, exact=exact)


def _narrow_job(
    material: Material, facts: JobFacts, name: str, case: str | None, others: tuple[str, ...]
) -> JobFacts | None:
    if name == "job.started":
        has_started = case != "null" and not (case is None and "null" not in others)
        if facts.started() is (not has_started):
            return None
        return replace(facts, has_started=has_started)
    if name == "job.state":
        states = facts.states & {case} if case is not None else facts.states - set(others)
        return replace(facts, states=states) if states else None
    words = [word for word in words_of(material.contract, facts) if (word == case if case else word not in others)]
    known = material.contract.states
    states = facts.states & {state.canonical for state in known.values() if state.said in words}
    return replace(facts, states=states, words=frozenset(words)) if states else None


def _only(schema: Schema, case: str) -> Schema | None:
    """Give what is left of a schema where the value, as text, is `case`."""
    if case == "null":
        return NULL if has_null(schema) else None
    inner = without_null(schema)
    if inner is None:
        return None
    values = [inner["const"]] if "const" in inner else inner.get("enum")
    if values is None:
        return constant(case) if inner.get("type") == "string" else inner
    fitting = [value for value in values if str(value) == case]
    return union(constant(value) for value in fitting)


def _but(schema: Schema, others: tuple[str, ...]) -> Schema | None:
    inner = without_null(schema)
    values = ([inner["const"]] if "const" in inner else inner.get("enum")) if inner else None
    if values is not None:
        inner = union(constant(value) for value in values if str(value) not in others)
    is_null = has_null(schema) and "null" not in others
    if not schema:
        return ANYTHING
    return nullable(inner) if is_null else inner


# --- the roots


def _models(known: Known, path: list[str]) -> Schema:
    rows = [entities.model_row(known.material.contract.models[name]) for name in known.models]
    found = or_null(union(member(row, path) for row in rows))
    return nullable(found) if known.may_lack else found


def _outputs(known: Known, path: list[str]) -> Schema:
    return member(entities.outputs(known.material, known.models, known.job), path)


def _output(known: Known, path: list[str]) -> Schema:
    outputs = entities.outputs(known.material, known.models, known.job)
    items = outputs.get("items")
    found = items if outputs.get("minItems") else nullable(items) if items is not None else NULL
    return member(found, path)


def _param(known: Known, path: list[str]) -> Schema:
    contract = known.material.contract
    found = []
    for name in known.models:
        model = contract.models[name]
        schema = dict(model.input)
        schema["required"] = [*schema.get("required", []), *model.defaults]
        found.append(member(schema, path) if path else schema)
    return union(found) or ANYTHING


_MAKERS: Mapping[str, Callable[[Known, list[str]], Schema | None]] = {
    "body": lambda known, path: member(known.request_body(), path),
    "input": lambda known, path: member(known.inputs(), path),
    "param": _param,
    "path": lambda _known, _path: STRING,
    "query": lambda _known, _path: nullable(STRING),
    "header": lambda _known, _path: nullable(STRING),
    "model": _models,
    "mint": lambda known, path: entities.minted(known.material.contract, path[0]),
    "outputs": _outputs,
    "output": _output,
    "account": lambda known, path: member(entities.account(known.material.contract), path),
    "key": lambda _known, path: member(entities.KEY, path),
    "now": lambda _known, _path: INTEGER,
    "issue": lambda _known, path: member(entities.ISSUE, path),
    "issues": lambda _known, path: member(entities.ISSUES, path),
    "cost": lambda _known, _path: nullable({"type": "number"}),
    "retry_after": lambda _known, _path: nullable(INTEGER),
    "limit": lambda _known, path: member(entities.LIMIT, path),
    "counts": lambda _known, _path: entities.COUNT,
    "chunks": lambda _known, _path: {"type": "array", "maxItems": 0},
    "models": lambda known, path: member(entities.model_rows(known.material.contract), path),
    "states": lambda known, path: member(entities.state_rows(known.material.contract), path),
    "secret": lambda known, path: member(entities.secret(known.material.contract), path),
    "secrets": lambda known, path: member(entities.secrets(known.material.contract), path),
    "asset": lambda known, path: member(entities.asset(known.material), path),
    "delivery": lambda known, path: member(delivery(known), path),
    "deliveries": lambda known, path: member({"type": "array", "items": delivery(known)}, path),
    "origin": lambda _known, _path: {"type": "string", "format": "uri"},
    "signature": lambda known, _path: entities.signature(known.material.contract),
}


def delivery(known: Known) -> Schema:
    """Give the schema of a callback delivery as histories show it."""
    material = known.material
    key = ("delivery", known.models)
    if key not in material.memory:
        material.memory[key] = entities.delivery(material.contract, payload(material, known.models))
    found: Schema = material.memory[key]
    return found


def payload(material: Material, models: tuple[str, ...]) -> Schema:
    """Give the schema of the body of a callback."""
    callbacks = material.contract.callbacks
    if callbacks is None:
        return NULL
    over = frozenset(ends_of(material.contract))
    known = replace(about_jobs(material, models), job=JobFacts(over))
    known = known.bound("delivery", entities.announced(material.contract))
    schemas = [shape_of(material.at("callbacks", "body"), known).schema]
    if callbacks.progress:
        # What tells of pictures comes before the end, and shows the result all the same.
        result = {"job.result": or_null(union([known.results(), NULL]))}
        early = replace(known, job=JobFacts(states_of(material.contract) - over), exact=result)
        schemas.append(shape_of(material.at("callbacks", "body"), early).schema)
    return union(schemas) or {}


def about_jobs(material: Material, models: tuple[str, ...] = ()) -> Known:
    """Say what is known of a job of these models (none named: of all)."""
    names = models or tuple(material.contract.models)
    return Known(material, names, JobFacts(states_of(material.contract)))


def about_requests(material: Material, models: tuple[str, ...], body: Schema | None) -> Known:
    """Say what is known in an answer that is about no job."""
    return Known(material, models, body=body)


def about_errors(material: Material, models: tuple[str, ...]) -> Known:
    """Say what is known in a refusal: there may be a job or none, and a body of any kind."""
    known = about_jobs(material, models)
    return replace(known, may_lack=True, body=ANYTHING)
