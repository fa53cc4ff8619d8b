"""Section 14 of a contract: operations, their answers, and how long they wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fauxvider.contract.model import (
    Answer,
    ErrorFace,
    Failure,
    IdKind,
    Limit,
    Model,
    Operation,
    Origin,
    Page,
    Template,
    Url,
    Validator,
    Waits,
)
from fauxvider.contract.nodes import Node
from fauxvider.contract.parse_errors import answer_face_name
from fauxvider.contract.parse_models import check_schema_node
from fauxvider.contract.schemas import LazyValidators, combined
from fauxvider.contract.strict import pointer_parts

__all__ = ["DEFAULT_CHECKS", "Known", "operations_of", "path_names"]

DEFAULT_CHECKS = (
    "model", "auth", "scope", "owner", "rate", "size", "parse", "idempotency", "schema", "references", "funds",
)  # fmt: skip

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")
# Kinds that do not look at a body, even where the method could carry one.
_BODILESS = frozenset(
    {"cancel", "retry", "purge", "counts", "asset_confirm", "secret_delete", "deliveries", "redeliver"}
)
_STATES = ("ok", "queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
_FROM = {"cancel": ("queued", "running"), "retry": ("failed", "timed_out")}
# What an outcome answers with where the operation does not say.
_OUTCOMES = {
    ("asset", "missing"): "asset_missing",
    ("asset", "pending"): "asset_pending",
    ("secret", "missing"): "secret_unknown",
    ("", "missing"): "job_unknown",
    ("", "refused"): "job_state",
}
_NEEDS_MISSING = frozenset({
    "read", "stream", "cancel", "retry", "deliveries", "redeliver", "asset_confirm", "asset_read",
    "secret_read", "secret_update", "secret_delete",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What operations refer to."""

    origins: Mapping[str, Origin]
    ids: Mapping[str, IdKind]
    limits: Mapping[str, Limit]
    failures: Mapping[str, Failure]
    faces: Mapping[str, ErrorFace]
    models: Mapping[str, Model]
    urls: Mapping[str, Url]
    views: Mapping[str, Any]
    checks: tuple[str, ...]


def operations_of(root: Node, known: Known) -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    for node in root.at("operations").entries():
        operation = _Reader(node, known).operation()
        _check_route(node, operation, operations.values())
        operations[operation.name] = operation
    return operations


def path_names(path: str) -> tuple[str, ...]:
    """Name the parameters of a path template."""
    return tuple(name for name, _ in _NAME.findall(path))


def _check_route(node: Node, new: Operation, others: Collection[Operation]) -> None:
    """An operation behind another one that takes every request of the same shape is never reached."""
    for other in others:
        same = other.origin == new.origin and _shape(other.path) == _shape(new.path)
        if same and not other.when and set(other.methods) & set(new.methods):
            raise node.at("request").wrong(f"the operation {other.name!r} takes these requests already")


def _shape(path: str) -> str:
    return _NAME.sub(lambda found: f"{{{found[2]}}}", path)


class _Reader:
    """Reads one operation."""

    def __init__(self, node: Node, known: Known) -> None:
        self.node = node
        self.known = known
        self.kind = node.text("kind")
        methods, _, self.path = node.text("request").partition(" ")
        self.methods = tuple(dict.fromkeys(methods.split("|")))
        self.names = path_names(self.path)

    def operation(self) -> Operation:
        node, known = self.node, self.known
        self._check_path()
        model = self._templates("model")
        return Operation(
            name=node.name,
            kind=self.kind,
            methods=self.methods,
            path=self.path,
            origin=node.chosen("origin", known.origins, "origin", next(iter(known.origins))),
            when=tuple(self._when()),
            scope=node.text("scope"),
            owner=node.flag("owner"),
            limits=self._limits(),
            body=cast("Any", node.text("body", self._usual_body())),
            body_optional=node.flag("body_optional"),
            max_body=node.size("max_body", 10_485_760),
            model=model,
            checks=node.names_list("checks", known.checks),
            answers=self._answers(),
            validators=self._validators(len(model)),
            id=node.chosen("id", known.ids, "id"),
            input=node.steps("input"),
            waits=_waits(node.at("waits")),
            keeps=node.span_or_none("keeps"),
            on_invalid=node.at("on_invalid").chosen("fail", known.failures, "failure"),
            on_empty=node.at("on_empty").chosen("fail", known.failures, "failure"),
            **self._look_ups(),
        )

    def _look_ups(self) -> dict[str, Any]:
        node = self.node
        return {
            "job": self._template("job"),
            "item": self._item(),
            "from_states": frozenset(node.names_list("from", _FROM.get(self.kind, ()))),
            "extend": self._template("extend"),
            "becomes": node.text("becomes", "cancelled"),
            "page": _page(node.at("page")) if self.kind == "list" else None,
            "where": tuple(
                (tuple(one.name.split(".")), one.template(paths=self.names)) for one in node.at("where").entries()
            ),
            "asset": self._template("asset"),
            "secret": self._template("secret"),
            "fields": {one.name: pointer_parts(str(one.value)) for one in node.at("fields").entries()},
            "part": node.text("part"),
            "max_part": node.size("max_part", 0),
            "url": node.chosen("url", self.known.urls, "URL"),
        }

    def _check_path(self) -> None:
        node = self.node.at("request")
        if set(_NAME.sub("", self.path)) & set("{}"):
            raise node.wrong(f"a wrong parameter in {self.path!r}: write {{name}} or {{name+}}")
        if len(set(self.names)) < len(self.names):
            raise node.wrong(f"a parameter stands twice in {self.path!r}")

    def _when(self) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
        for node in self.node.at("when").entries():
            values = node.value if isinstance(node.value, list) else [node.value]
            yield pointer_parts(node.name), frozenset(_plain_text(value) for value in values)

    def _limits(self) -> tuple[str, ...]:
        for node in self.node.at("limits").elements():
            if node.value not in self.known.limits:
                raise node.wrong(f"there is no limit {node.value!r}", allowed=self.known.limits)
        return self.node.names_list("limits")

    def _usual_body(self) -> str:
        if set(self.methods) <= {"GET", "HEAD", "DELETE"}:
            return "none"
        if self.kind == "asset_upload":
            return "multipart"
        needs_body = self.node.has("when") or self.node.has("schema")
        return "none" if self.kind in _BODILESS and not needs_body else "json"

    # --- templates and answers

    def _template(self, key: str) -> Template | None:
        return self.node.template_at(key, paths=self.names)

    def _templates(self, key: str) -> tuple[Template, ...]:
        return tuple(one.template(paths=self.names) for one in self.node.at(key).elements())

    def _item(self) -> Template | None:
        name = self.node.chosen("item", self.known.views, "view")
        return Node(self.node.context, {"$view": name}, self.node.at("item").path).template() if name else None

    def _answers(self) -> dict[str, Answer]:
        answers = {one.name: self._answer(one) for one in self.node.at("answers").entries()}
        if self.kind in ("submit", "read"):
            further = "missing" if self.kind == "read" else "replayed"
            known: list[str] = [*_STATES, further, *self.known.failures]
            for node in self.node.at("answers").entries():
                if node.name not in known:
                    raise node.wrong(f"the key {node.name!r} does not belong here", allowed=known, of_key=True)
        subject = self.kind.partition("_")[0]
        subject = subject if subject in ("asset", "secret") else ""
        for (about, outcome), cause in _OUTCOMES.items():
            possible = about == subject and outcome not in answers and cause in self.known.faces
            if possible and self._has_outcome(outcome):
                answers[outcome] = Answer(cause=cause)
        return answers

    def _has_outcome(self, outcome: str) -> bool:
        if outcome == "refused":
            return self.kind in ("retry", "redeliver")
        return self.kind in _NEEDS_MISSING if outcome == "missing" else self.kind == "asset_confirm"

    def _answer(self, node: Node) -> Answer:
        if node.has("error"):
            cause = node.chosen("error", self.known.faces, "error")
            return Answer(cause=answer_face_name(node) if node.has("values") else cause)
        body = node.at("text" if node.has("text") else "body")
        return Answer(
            status=node.number("status", 200),
            body=None if body.value is None else body.template(paths=self.names),
            headers=node.headers(paths=self.names),
            is_text=node.has("text"),
            names=frozenset(body.names_used() | node.at("headers").names_used()),
        )

    # --- validators

    def _validators(self, key_length: int) -> Mapping[str, Validator]:
        schema = self.node.at("schema")
        if schema.value is not None:
            check_schema_node(schema)
        if self.kind != "submit":
            names = [""] if schema.value is not None else []
            return LazyValidators(names, lambda _: combined(schema.value, {}, at=(), must_stand=False))
        models = self.known.models
        names = [name for name, model in models.items() if model.keys_of(key_length)]
        if models and not names:
            raise self.node.at("model").wrong(f"no model has a key of {key_length} parts")
        return LazyValidators(names, self._maker(schema.value))

    def _maker(self, schema: Any) -> Callable[[str], Mapping[str, Any]]:
        models, at, must_stand = self.known.models, self.node.steps("input"), not self.node.has("on_empty")
        return lambda name: combined(schema, models[name].input, at=at, must_stand=must_stand)


def _waits(node: Node) -> Waits | None:
    if node.value is None:
        return None
    if not isinstance(node.value, Mapping):
        return Waits()
    is_asked = node.has("query") or node.has("header")
    low, high = node.span("min"), node.span("max", 300_000 if is_asked else 0)
    if low > high:
        raise node.at("min").wrong("the shortest hold is longer than the longest")
    return Waits(
        query=node.text("query"),
        header=node.text("header").lower(),
        directive=node.text("directive"),
        bare=node.span_or_none("bare"),
        unit=1000 if node.text("unit") == "s" else 1,
        default=node.span("default"),
        low=low,
        high=high,
        outside=cast("Any", node.text("outside", "clamp")),
        unless=node.steps("unless"),
    )


def _page(node: Node) -> Page:
    limit = node.at("limit")
    return Page(
        limit=limit.text("query", "limit"),
        default=limit.number("default", 50),
        low=limit.number("min", 1),
        high=limit.number("max", 500),
        cursor=node.text("cursor", "cursor"),
        back=node.text("back"),
        sort=node.text("sort"),
        filter=node.text("filter"),
        default_sort=node.text("default_sort"),
    )


def _plain_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
