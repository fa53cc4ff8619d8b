"""Why a provider refuses a request, in the contract's terms: the rule, its source, the nearest legal thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider.analysis.contract_places import Places, Rule
from fauxvider.analysis.entries import Entry, shown, text_in
from fauxvider.analysis.near_paths import allowed_methods, closest_operations
from fauxvider.analysis.near_values import MAX_ISSUES, Asked, closest, finding
from fauxvider.contract.model import Contract, Model, Operation
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.templates import text_of
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.routing import Match, Router
from fauxvider.engine.urls import FileRoutes
from fauxvider.gate import JsonRefusedError, parse_json

__all__ = ["NearMiss", "explain_refusal", "near_miss"]

_MAX_KEYS = 5
_NEARLY = 0.2  # how much of a route differs from a path that was nearly right
_LEADS = {"pattern": "for example", "format": "for example", "required": "sent instead", "credential": "wanted"}


@dataclass(frozen=True, slots=True)
class NearMiss:
    """One thing that is wrong with a request.

    `kind`: `path`, `method`, `model`, `body`, `credential`, `owner`, or the JSON Schema keyword that is broken.
    `subject`: a pointer into the body, or what else it is about. `rule` and `line`: where the contract says so;
    `source`: who says so (a document and its lines); `nearest`: legal values, names or operations, the closest first
    (values in their order).
    """

    kind: str
    subject: str
    problem: str
    nearest: tuple[str, ...] = ()
    operation: str = ""
    rule: str = ""
    line: int = 0
    source: str = ""
    level: str = ""

    @property
    def text(self) -> str:
        """All of it in one line: `/input/width 1000 is not divisible by 64 (003.txt, line 25); nearest 960, 1024`."""
        source = f" ({self.source})" if self.source else ""
        nearest = f"; {_LEADS.get(self.kind, 'nearest')} {', '.join(self.nearest)}" if self.nearest else ""
        return f"{self.subject} {self.problem}{source}{nearest}"

    def __str__(self) -> str:
        return self.text


def near_miss(
    file: ContractFile,
    choice: Mapping[str, str],
    *,
    method: str,
    path: str,
    body: bytes,
    model_hint: str | None = None,
    origin: str = "",
) -> list[NearMiss]:
    """Say what is wrong with a request, under a choice of readings; nothing if the contract has no objection.

    `path` is the provider's own (without this server's prefixes), on the host `origin` (the API without one).
    `model_hint` names the model where the request does not. Authentication, limits and money are not looked at.
    """
    contract = file.resolve(choice)
    places = Places(file, contract)
    origin = origin or contract.api.name
    path = path.partition("?")[0].partition("#")[0]
    match = _route(contract, origin, method, path)
    if match is None:
        is_file = any(True for _ in FileRoutes(contract).find(origin, path))
        return [] if is_file else [_unknown_path(places, method, path)]
    if not match.operations:
        return [_wrong_method(places, method, path, match)]
    tree, refused = _read(body)
    operation = _fitting(match.operations, tree)
    if operation.body_optional and not body.strip():
        tree, refused = {}, ""
    key = _asked_key(operation, match, tree)
    model = _hinted(contract, model_hint) or _model(contract, key)
    is_broken = operation.body == "json" and (bool(refused) or not isinstance(tree, dict))
    found = []
    if operation.model and (model is None or not model.active) and not (is_broken and not any(key)):
        found.append(_unknown_model(places, operation, key, model))
    if is_broken:
        found.append(_broken(places, operation, refused))
    return found if found or operation.body != "json" else list(_in_body(places, operation, model, tree))


def explain_refusal(file: ContractFile, contract: Contract, entry: Entry) -> NearMiss | None:
    """Explain a `request` entry of a journal, as far as it can be without the body: a wrong path, method or model."""
    if entry.get("kind") != "request" or not text_in(entry, "cause"):
        return None
    method, path = text_in(entry, "method"), text_in(entry, "path")
    found = near_miss(file, contract.choice, method=method, path=path, body=b"")
    return next((one for one in found if one.kind in ("path", "method", "model")), None)


# --- where to


def _route(contract: Contract, origin: str, method: str, path: str) -> Match | None:
    """Find the operations on the host that was asked, or else on any other one; a fitting method comes first."""
    hosts = sorted(contract.origins, key=lambda name: name != origin)
    routers = [Router(one for one in contract.operations.values() if one.origin == host) for host in hosts]
    found = [match for router in routers if (match := router.match(method, path)) is not None]
    return next((match for match in found if match.operations), found[0] if found else None)


def _unknown_path(places: Places, method: str, path: str) -> NearMiss:
    near = closest_operations(places.contract.operations.values(), method, path)
    names = tuple(_operation_text(one, method) for one in near)
    rule = places.of_operation(near[0]) if near else None
    return _missed("path", f"{shown(method, 20)} {shown(path)}:", "no such path", names, rule=rule)


def _wrong_method(places: Places, method: str, path: str, match: Match) -> NearMiss:
    """Name the methods that the path takes; and before them a route that takes the method and is nearly this path."""
    every = places.contract.operations.values()
    near = [one for one in closest_operations(every, method, path, farthest=_NEARLY) if method in one.methods]
    takes = allowed_methods(every, path, match.methods)
    names = [_operation_text(one, method) for one in near]
    names += [f"{name} (operation {', '.join(one.name for one in found)})" for name, found in takes.items()]
    rule = places.of_operation((near or [one for found in takes.values() for one in found])[0])
    subject = f"{shown(method, 20)} {shown(path)}:"
    return _missed("method", subject, "the path does not take this method", tuple(names), rule=rule)


def _operation_text(operation: Operation, method: str) -> str:
    methods = method if method in operation.methods else "|".join(operation.methods)
    return f"{methods} {operation.path} (operation {operation.name})"


# --- which model


def _read(body: bytes) -> tuple[Any, str]:
    """Give the body's tree, and what is wrong with its JSON."""
    try:
        return parse_json(body), ""
    except JsonRefusedError as refused:
        return None, str(refused)


def _fitting(operations: list[Operation], tree: Any) -> Operation:
    """Choose among the operations that share a route as the service does."""
    for operation in operations:
        if all(str(at_pointer(tree, pointer)) in values for pointer, values in operation.when):
            return operation
    return operations[-1]


def _hinted(contract: Contract, hint: str | None) -> Model | None:
    return next((one for one in contract.models.values() if hint and hint in (one.name, "/".join(one.key))), None)


def _asked_key(operation: Operation, match: Match, tree: Any) -> tuple[str, ...]:
    given = at_pointer(tree, operation.input) if operation.input else tree
    names: dict[str, Any] = {
        "path": match.params,
        "body": tree,
        "input": given,
        "param": given,
        "query": {},
        "header": {},
    }
    return tuple(text_of(part(names)) for part in operation.model)


def _model(contract: Contract, key: tuple[str, ...]) -> Model | None:
    return next((one for one in contract.models.values() if key in (one.key, *one.also)), None)


def _unknown_model(places: Places, operation: Operation, asked: tuple[str, ...], model: Model | None) -> NearMiss:
    known = [one for one in places.contract.models.values() if one.active and one.keys_of(len(asked))]
    keys = {"/".join(key): " ".join(key) for one in known for key in one.keys_of(len(asked))[:1]}
    near = closest("/".join(asked), list(keys), count=3)
    names = tuple(keys[one] for one in near) or tuple(list(keys.values())[:_MAX_KEYS])
    subject = f"model {shown(' '.join(asked))}" if any(asked) else "the model"
    problem = "is unknown" if any(asked) else "is not named"
    rule = None
    if model is not None:
        problem, rule = "is known, but not served", places.of_model(model)
    return _missed("model", subject, problem, names, rule=rule, operation=operation.name)


# --- what with


def _broken(places: Places, operation: Operation, refused: str) -> NearMiss:
    problem = f"is not JSON: {shown(refused)}" if refused else "must be a JSON object"
    return _missed("body", "the body", problem, rule=places.of_operation(operation), operation=operation.name)


def _in_body(places: Places, operation: Operation, model: Model | None, tree: dict[str, Any]) -> Iterator[NearMiss]:
    validator = operation.validators.get(model.name if model else "") if operation.validators else None
    if validator is None:
        return
    if operation.on_empty and not at_pointer(tree, operation.input):
        subject = "".join(f"/{name}" for name in operation.input) or "the body"
        problem = f"is empty: the job is accepted and fails ({operation.on_empty})"
        yield _missed("required", subject, problem, rule=places.of_operation(operation), operation=operation.name)
        return
    if validator.is_valid(tree):
        return
    for issue in validator.issues(tree)[:MAX_ISSUES]:
        rule = places.of_issue(operation, model, issue)
        asked = Asked(tree, validator, places.names(operation, model, issue.path[:-1]))
        found = finding(issue, rule.node, asked, is_secret=places.is_secret(operation, issue))
        yield _missed(issue.keyword, found.subject, found.problem, found.nearest, rule=rule, operation=operation.name)


def _missed(
    kind: str,
    subject: str,
    problem: str,
    nearest: tuple[str, ...] = (),
    *,
    rule: Rule | None = None,
    operation: str = "",
) -> NearMiss:
    if rule is None:
        return NearMiss(kind, subject, problem, nearest, operation)
    # What leads nowhere is nobody's statement: only the operation that it may have been meant for is told.
    source, level = ("", "") if kind in ("path", "method") else (rule.source, rule.level)
    return NearMiss(kind, subject, problem, nearest, operation, rule.pointer, rule.line, source, level)
