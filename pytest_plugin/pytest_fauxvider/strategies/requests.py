"""Valid submissions, from a contract alone: every model, every operation that takes jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlencode

import jsonschema_rs
from hypothesis import strategies as st

from fauxvider.contract.model import AuthHeader, Contract, Model, Operation
from fauxvider.contract.validation import SchemaValidator
from fauxvider.errors import UsageError
from pytest_fauxvider.strategies.placing import Place, body_place, constraint, path_of, place_of
from pytest_fauxvider.strategies.provider import Held, ProviderLike, model_named, source_of
from pytest_fauxvider.strategies.schema import from_schema, plain_json
from pytest_fauxvider.strategies.values import Submission

__all__ = ["KEY", "Target", "made", "submissions", "targets_of"]

KEY: Final = "test-key"
# What a client may name as an input picture: an address, or the smallest PNG there is.
_PICTURES: Final = (
    "https://example.com/picture.png",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg==",
)


def submissions(
    provider: ProviderLike,
    model: str | None = None,
    *,
    operation: str | None = None,
    callback_url: str | None = None,
    key: str = KEY,
    extras: bool = False,
) -> st.SearchStrategy[Submission]:
    """Give requests for jobs that the contract accepts.

    `model` and `operation` are names of the contract (None: any). With a `callback_url` every one asks for
    callbacks there, else none does. With `extras` bodies may have members that the contract does not name.
    Raises UsageError for a name that the contract does not have.
    """
    return _submissions(Held(source_of(provider).contract), model, operation, callback_url, key=key, extras=extras)


@lru_cache(maxsize=1024)
def _submissions(
    held: Held, model: str | None, operation: str | None, callback_url: str | None, *, key: str, extras: bool
) -> st.SearchStrategy[Submission]:
    targets = targets_of(held.contract, model, operation)
    return st.one_of(*(_valid(target, callback_url, extras=extras, key=key) for target in targets))


@dataclass(frozen=True, slots=True)
class Target:
    """One model through one operation, and what its requests have in common."""

    contract: Contract = field(repr=False)
    operation: Operation = field(repr=False)
    model: Model = field(repr=False)

    def __str__(self) -> str:
        return f"{self.model.name} by {self.operation.name}"

    @property
    def raw(self) -> dict[str, Any]:
        """Give the schema of the body as the contract has it."""
        validators = self.operation.validators
        found = validators.get(self.model.name) or validators.get("")
        if not isinstance(found, SchemaValidator):
            return {"type": "object"}
        schema: dict[str, Any] = plain_json(found.schema)
        return schema

    @property
    def path(self) -> str:
        """The path under the provider's address: what another host serves stands below its name."""
        beside = "" if self.operation.origin in ("", self.contract.api.name) else f"/~{self.operation.origin}"
        return beside + self.own_path

    @property
    def own_path(self) -> str:
        values = dict(self.named("path"))
        return path_of(self.operation, {place[0]: value for place, value in values.items()})

    @property
    def key(self) -> tuple[str, ...]:
        """The key by which this operation names the model."""
        return next(iter(self.model.keys_of(len(self.operation.model))), self.model.key)

    def named(self, root: str) -> Iterator[tuple[Place, str]]:
        """Give where the model's key stands in the request's `path` or `body`, part by part."""
        for template, part in zip(self.operation.model, self.key, strict=False):
            place = place_of(template)
            if place is None:
                raise UsageError(f"the contract does not say where {self.operation.name!r} takes the model from")
            if root == "path" and place[0] == "path":
                yield place[1:], part
            elif root == "body" and (found := body_place(self.operation, place)) is not None:
                yield found, part

    @property
    def is_reached(self) -> bool:
        """Tell whether a request for the model comes to this operation, where several share a path by their bodies."""
        named = dict(self.named("body"))
        here = (self.operation.path, self.operation.origin)
        rivals = [one for one in self.contract.operations.values() if (one.path, one.origin) == here]
        for one in rivals:
            asked = [named[place] in values for place, values in one.when if place in named]
            if one.name == self.operation.name:
                return all(asked)
            if set(one.methods) & set(self.operation.methods) and len(asked) == len(one.when) and all(asked):
                return False
        return True

    def headers(self, accepted: AuthHeader, key: str) -> dict[str, str]:
        value = f"{accepted.scheme} {key}" if accepted.scheme else key
        content = {"Content-Type": "application/json"} if self.operation.body == "json" else {}
        return {"-".join(word.capitalize() for word in accepted.header.split("-")): value, **content}

    def constraints(self, callback_url: str | None) -> list[tuple[Place, dict[str, Any]]]:
        """Give what a valid body needs beyond its schema, by where."""
        found = [(place, constraint(place, {"const": part}, must_stand=True)) for place, part in self.named("body")]
        named = dict(self.named("body"))
        for place, values in self.operation.when:
            if place in named:
                continue  # the model's key is what it asks for: see `is_reached`
            found.append((place, constraint(place, {"enum": sorted(values)}, must_stand=True)))
        callbacks = self.contract.callbacks
        if callbacks is not None and callbacks.filter and callback_url is not None:
            # The end alone is asked for: one job, one callback.
            ends = sorted(set(callbacks.events.values()))
            found.append((callbacks.filter, constraint(callbacks.filter, {"const": ends}, must_stand=True)))
        if callbacks is not None and not callbacks.query:
            address = False if callback_url is None else {"const": callback_url}
            must_stand = callback_url is not None
            found.append((callbacks.address, constraint(callbacks.address, address, must_stand=must_stand)))
        if self.operation.on_empty and self.operation.input:
            some = {"type": "object", "minProperties": 1}
            found.append((self.operation.input, constraint(self.operation.input, some, must_stand=True)))
        return [*found, *self._pictures()]

    def _pictures(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        rules = self.contract.assets
        fields = (*self.model.picture.sources, *(rules.fields if rules is not None else ()))
        places = [body_place(self.operation, place_of(field)) for field in fields]
        known = tuple(f"{rules.prefix}{one['key']}" for one in rules.present) if rules and rules.by == "key" else ()
        for place in dict.fromkeys(place for place in places if place is not None):
            schema = _at(self.raw, place)
            if schema is not None and (limited := _limited(schema, (*known, *_PICTURES))) is not None:
                yield place, constraint(place, limited, must_stand=False)

    def reference(self) -> Place | None:
        """Give where the body may name an uploaded picture; None if nowhere."""
        rules = self.contract.assets
        places = [body_place(self.operation, place_of(field)) for field in (rules.fields if rules else ())]
        fitting = [place for place in places if place is not None and _is_text(_at(self.raw, place))]
        return fitting[0] if fitting else None


def _at(schema: Any, place: Place) -> Any:
    for step in place:
        schema = schema.get("properties", {}).get(step) if isinstance(schema, Mapping) else None
    return schema


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string"


def _limited(schema: Any, pictures: tuple[str, ...]) -> dict[str, Any] | None:
    """Give the rule that what stands there is one of some pictures, as far as it may be."""
    if not isinstance(schema, Mapping):
        return None
    if isinstance(schema.get("items"), Mapping):
        inner = _limited(schema["items"], pictures)
        return None if inner is None else {"items": inner}
    fitting = [one for one in pictures if jsonschema_rs.is_valid(dict(schema), one)]
    return {"if": {"type": "string"}, "then": {"enum": fitting}} if fitting else None


def targets_of(contract: Contract, model: str | None = None, operation: str | None = None) -> list[Target]:
    """Give what takes jobs: models that are served, by operation. Raises UsageError if there is none."""
    submits = {name: one for name, one in contract.operations.items() if one.kind == "submit"}
    if operation is not None and operation not in submits:
        known = ", ".join(submits) or "none"
        raise UsageError(f"{contract.provider} has no operation {operation!r} that takes jobs (it has: {known})")
    models = contract.models.values() if model is None else [model_named(contract, model)]
    all_found = [
        Target(contract, one, each)
        for name, one in submits.items()
        if operation in (None, name)
        for each in models
        if each.active and (not one.owner or each.facts.get("owned")) and _takes(one, each)
    ]
    found = [target for target in all_found if target.is_reached]
    if not found:
        what = f"the model {model!r}" if model else "any model"
        raise UsageError(f"no operation of {contract.provider} takes {what}")
    return found


def _takes(operation: Operation, model: Model) -> bool:
    return not operation.validators or model.name in operation.validators or "" in operation.validators


@st.composite
def _valid(draw: st.DrawFn, target: Target, callback_url: str | None, *, extras: bool, key: str) -> Submission:
    body = draw(_bodies(target, callback_url, extras=extras))
    valid = made(target, body, target.headers(draw(st.sampled_from(target.contract.auth.accept)), key))
    callbacks = target.contract.callbacks
    if callbacks is None or not callbacks.query or callback_url is None:
        return valid
    return replace(valid, path=f"{valid.path}?{urlencode({callbacks.query: callback_url})}")


def _bodies(target: Target, callback_url: str | None, *, extras: bool) -> st.SearchStrategy[Any]:
    return _cached_bodies(Held(target.contract), target.operation.name, target.model.name, callback_url, extras=extras)


@lru_cache(maxsize=1024)
def _cached_bodies(
    held: Held, operation: str, model: str, callback_url: str | None, *, extras: bool
) -> st.SearchStrategy[Any]:
    contract = held.contract
    target = Target(contract, contract.operations[operation], contract.models[model])
    if target.operation.body != "json":
        return st.none()
    rules = [rule for _, rule in target.constraints(callback_url)]
    return from_schema({"allOf": [target.raw, *rules]} if rules else target.raw, extras=extras)


def made(target: Target, body: Any, headers: Mapping[str, str], **further: Any) -> Submission:
    """Put a request together; `further` are fields of a `Submission`."""
    content = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    known: dict[str, Any] = {
        "provider": target.contract.provider,
        "operation": target.operation.name,
        "model": target.model.name,
        "method": target.operation.methods[-1],
        "path": target.path,
        "headers": dict(headers),
        "json": body,
        "content": content,
    }
    return Submission(**{**known, **further})
