"""What is wrong or doubtful in a contract although it can be read, under every case of every reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from fauxvider.contract.causes import FALLBACKS
from fauxvider.contract.evidence import evidence_problems, parse_evidence
from fauxvider.contract.model import Contract, Source
from fauxvider.contract.parse import ContractFile, sources_of
from fauxvider.contract.resolve import children, nodes_of, values_of
from fauxvider.contract.rules import evidence_nodes, rules
from fauxvider.contract.strict import Map, place_of, pointer_text
from fauxvider.contract.templates import names_used
from fauxvider.errors import ContractError, Place

__all__ = ["Finding", "findings", "missing_faces"]

_LAST_RESORTS = frozenset({"url_unknown", "path_unknown"})
_JOB_KINDS = frozenset({"read", "stream", "cancel", "retry", "deliveries", "redeliver"})

_Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    severity: _Severity
    place: Place
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        word = "" if self.severity == "error" else "warning: "
        tail = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{self.place}: {word}{self.problem}{tail}"


def findings(file: ContractFile) -> list[Finding]:
    """List the findings in the order of the file, each once, whatever case shows it."""
    found: list[Finding] = []
    usage = _Usage()
    for choice in file.choices():
        try:
            tree = file.resolved(choice)
            contract = file.resolve(choice)
        except ContractError as error:
            found.append(Finding("error", error.place or Place(file.file), error.problem, error.allowed))
            continue
        names = _all_names(tree)
        found += _about_tree(tree, file.file)
        found += _about_contract(contract, tree, names, file.file)
        usage.add(tree, contract, names)
    if not any(one.severity == "error" and not one.place.pointer for one in found):
        found += usage.findings(file)
    unique = {(one.place.line, one.place.column, one.problem): one for one in reversed(found)}
    return sorted(unique.values(), key=lambda one: (one.place.line, one.place.column, one.severity))


# --- one tree


def _about_tree(tree: Map, file: str) -> Iterator[Finding]:
    sources = sources_of(tree)
    for path, node in rules(tree):
        if not isinstance(node, Mapping) or not node.get("evidence"):
            place = place_of(tree, pointer_text(path), file=file, of_key=isinstance(path[-1], str))
            yield Finding("error", place, "a rule without evidence")
    for path, value in evidence_nodes(tree):
        for text in [value] if isinstance(value, str) else value:
            for severity, problem in _about_evidence(text, sources):
                yield Finding(severity, place_of(tree, pointer_text(path), file=file), problem)


def _about_evidence(text: object, sources: Mapping[str, Source]) -> Iterator[tuple[_Severity, str]]:
    try:
        one = parse_evidence(text)
    except ValueError as error:
        yield "error", str(error)
        return
    for problem in evidence_problems(one, sources):
        yield "error", problem
    if one.level == "assumed" and not one.note:
        yield "warning", "assumed, without a note that says why"


def _about_contract(contract: Contract, tree: Map, names: set[str], file: str) -> Iterator[Finding]:
    def place(pointer: str) -> Place:
        return place_of(tree, pointer, file=file)

    costs = any(model.cost.kind != "free" for model in contract.models.values())
    if costs and not contract.account.unit:
        yield Finding("error", place("/account"), "there are prices, but no unit")
    yield from missing_faces(contract, tree, file)
    shows_urls = any(name.startswith(("output.url", "outputs")) for name in names)
    if shows_urls and not any(url.serves == "output" for url in contract.urls.values()):
        yield Finding("warning", place("/urls"), "outputs are shown, but no URL serves them")


def missing_faces(contract: Contract, tree: Map, file: str) -> Iterator[Finding]:
    """Tell what the provider could be asked to refuse, and would have no words for. `tree`: what `contract` is of."""
    for cause, pointer, reason in _needed_causes(contract):
        if not _has_face(cause, tree.get("errors", {})):
            place = place_of(tree, pointer, file=file)
            yield Finding("error", place, f"{reason}, but `errors` has no face for {cause!r}")


def _has_face(cause: str, named: Mapping[str, Any]) -> bool:
    """Tell whether a cause has a face of its own or of its kind: what is borrowed as a last resort is none."""
    face = cause
    while face and face not in named:
        face = FALLBACKS[face]
    return bool(face) and (face == cause or face not in _LAST_RESORTS)


def _needed_causes(contract: Contract) -> Iterator[tuple[str, str, str]]:
    yield "auth_missing", "/auth", "a key is asked for"
    for name, operation in contract.operations.items():
        pointer = pointer_text(("operations", name))
        if operation.limits:
            yield "rate", pointer + "/limits", "there is a limit"
        if operation.model:
            yield "model_unknown", pointer + "/model", "a model is looked up"
        if operation.kind == "submit" and contract.account.funds != "off" and "funds" in operation.checks:
            yield "funds", pointer, "funds are checked"
        if operation.kind in _JOB_KINDS and "missing" not in operation.answers:
            yield "job_unknown", pointer, "a job is looked up"
    for name, url in contract.urls.items():
        pointer = pointer_text(("urls", name))
        yield "url_unknown", pointer, "files are looked up"
        if url.lives is not None:
            yield "url_expired", pointer, "the URL expires"
        if url.signer == "sigv4":
            yield "url_forged", pointer, "signatures are checked"
    if contract.idempotency is not None:
        yield "conflict", "/idempotency", "keys may be used twice"


def _all_names(tree: Map) -> set[str]:
    """Every dotted name in a tree, without knowing which texts are templates."""
    names: set[str] = set()
    for node in nodes_of(tree):
        if isinstance(node, str):
            if "{" in node:
                names |= _names_in_text(node)
        elif isinstance(node, Map):
            names.update(str(node[form]).split("|")[0] for form in ("$case", "$each") if form in node)
    return names


@lru_cache(maxsize=4096)  # the cases of a reading share nearly all their texts
def _names_in_text(text: str) -> frozenset[str]:
    try:
        return frozenset(names_used(text, {}))
    except ContractError:  # not every text is a template
        return frozenset()


# --- what is used by any choice


@dataclass(slots=True)
class _Usage:
    """What any choice makes use of. The keys are the names of top-level tables."""

    used: dict[str, set[str]] = field(default_factory=dict)
    params: set[str] = field(default_factory=set)
    properties: set[str] = field(default_factory=set)

    def add(self, tree: Map, contract: Contract, names: set[str]) -> None:
        states = {phase.state.word for phase in contract.phases} | {state.word for state in contract.ends.values()}
        self._note("states", states | {one.state.word for one in contract.failures.values() if one.state is not None})
        self._note("views", values_of(tree, "$view") | values_of(tree.get("operations"), "item"))
        self._note("ids", {name.split(".")[1] for name in names if name.startswith("mint.") and name.count(".")})
        self._note("ids", _id_references(contract))
        self._note("limits", {limit for one in contract.operations.values() for limit in one.limits})
        self._note("origins", {contract.api.name} | {one.origin for one in contract.operations.values()})
        self._note("origins", {url.origin for url in contract.urls.values()})
        self._note("envelopes", {face.envelope.name for face in contract.errors.values()})
        self._note("sources", {source for source in _sources_named(tree) if source})
        self.params |= {name.split(".")[1] for name in names if name.startswith("param.") and name.count(".")}
        for model in contract.models.values():
            self.properties |= set(model.input.get("properties", {}))
            if model.input.get("patternProperties"):
                self.properties |= self.params

    def findings(self, file: ContractFile) -> Iterator[Finding]:
        if not self.used:
            return
        tree = file.tree
        for table in ("views", "ids", "limits", "origins", "envelopes", "sources"):
            for name in _names_in(tree.get(table)) - self.used[table]:
                yield _warned(file, (table, name), f"{name!r} in `{table}` is used nowhere")
        for name in set(tree.get("parts", {})) - file.used_parts:
            yield _warned(file, ("parts", name), f"the part {name!r} is used nowhere")
        lifecycle = tree.get("lifecycle")
        for word in _names_in(lifecycle.get("states") if isinstance(lifecycle, Map) else None) - self.used["states"]:
            yield _warned(file, ("lifecycle", "states", word), f"the state {word!r} cannot be reached")
        for name in sorted(self.params - self.properties):
            path = _first_path(tree, f"param.{name}")
            yield _warned(file, path, f"{{param.{name}}}: no model has an input property {name!r}")

    def _note(self, table: str, names: set[str]) -> None:
        self.used.setdefault(table, set()).update(names)


def _warned(file: ContractFile, path: tuple[str | int, ...], problem: str) -> Finding:
    return Finding("warning", place_of(file.tree, pointer_text(path), file=file.file, of_key=True), problem)


def _names_in(table: Any) -> set[str]:
    """The names of a table as written; what a form brings is looked at where it stands."""
    return {name for name in table if not name.startswith("$")} if isinstance(table, Map) else set()


def _id_references(contract: Contract) -> set[str]:
    names = {operation.id for operation in contract.operations.values()}
    if contract.callbacks is not None:
        names |= {contract.callbacks.delivery_id, contract.callbacks.attempt_id}
    names |= {one.id for one in (contract.assets, contract.secrets) if one is not None}
    return names


def _sources_named(tree: Map) -> Iterator[str]:
    for _, value in evidence_nodes(tree):
        for text in [value] if isinstance(value, str) else value:
            try:
                yield parse_evidence(text).source
            except ValueError:  # reported where it stands
                continue


def _first_path(node: Any, name: str, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...]:
    if isinstance(node, str):
        return path if f"{{{name}" in node else ()
    for key, value in children(node):
        if found := _first_path(value, name, (*path, key)):
            return found
    return ()
