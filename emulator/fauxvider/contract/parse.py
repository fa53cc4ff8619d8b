"""Reading a contract file into a `Contract`: once per file, and once more per choice of readings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fauxvider.contract.evidence import evidences
from fauxvider.contract.model import Contract, Reading, ReadingCase, Source
from fauxvider.contract.names import Names
from fauxvider.contract.nodes import Context, Node
from fauxvider.contract.parse_checks import check_sections
from fauxvider.contract.parse_errors import answer_faces, errors_of, issue_texts_of, issue_types_of
from fauxvider.contract.parse_files import (
    assets_of,
    callbacks_of,
    idempotency_of,
    limits_of,
    secrets_of,
    urls_of,
)
from fauxvider.contract.parse_lifecycle import account_of, auth_of, ids_of, lifecycle_of, origins_of
from fauxvider.contract.parse_models import models_of
from fauxvider.contract.parse_operations import DEFAULT_CHECKS, Known, operations_of, path_names
from fauxvider.contract.resolve import Resolver, values_of
from fauxvider.contract.strict import Map, file_bytes, load_text, place_of, pointer_text
from fauxvider.contract.structure import check_structure
from fauxvider.contract.templates import TemplateCompiler
from fauxvider.errors import ContractError, Place, UsageError
from fauxvider_contracts import provider_names, provider_path

__all__ = ["ContractFile", "load_contract", "open_contract", "sources_of"]

_MAX_OPEN = 16  # files that are kept as they were read


def load_contract(source: str | Path, *, readings: Mapping[str, str] | None = None, lint: bool = False) -> Contract:
    """Load a bundled contract by its provider's name, or any contract by its path.

    `readings` picks cases by the reading's name; the others keep their defaults. With `lint`, the
    first error that `fauxvider check` would find is raised too.
    Raises ContractError (the file is wrong) or UsageError (no such provider, reading or case).
    """
    file = open_contract(source)
    if lint:
        from fauxvider.contract.lint import findings

        for finding in findings(file):
            if finding.severity == "error":
                raise ContractError(finding.problem, place=finding.place, allowed=finding.allowed)
    return file.resolve(readings)


def open_contract(source: str | Path) -> ContractFile:
    """Read a bundled contract by its provider's name, or any contract by its path."""
    if isinstance(source, str) and source in provider_names():
        return ContractFile.read(provider_path(source))
    path = Path(source)
    if not path.exists() and "/" not in str(source) and not path.suffix:
        raise UsageError(f"there is no provider {str(source)!r} (bundled: {', '.join(provider_names())})")
    return ContractFile.read(path)


class ContractFile:
    """One contract file, read once: its digest, its tree, its readings; `resolve` gives contracts."""

    def __init__(self, data: bytes | str, *, file: str) -> None:
        tree = load_text(data, file=file)
        if not isinstance(tree, Map):
            raise ContractError("a contract is a mapping", place=Place(file, 1, 1))
        self.file = file
        self.tree: Map = tree
        self.digest = hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()
        self.readings = _readings(tree, file)
        cases = {name: reading.cases for name, reading in self.readings.items()}
        self._resolver = Resolver(tree, readings=cases, file=file)
        self._trees: dict[tuple[str, ...], Map] = {}
        self._contracts: dict[tuple[str, ...], Contract] = {}

    @staticmethod
    def read(path: Path) -> ContractFile:
        """Read a file. Raises ContractError if it cannot be read or is not strict YAML.

        Of one that has not changed since, the same object is given: nobody changes it, and what it has
        resolved for one server serves the next.
        """
        return _read(file_bytes(path), str(path))

    @property
    def provider(self) -> str:
        return str(self.tree.get("provider", ""))

    @property
    def origin_urls(self) -> dict[str, str]:
        """Give the provider's own addresses by origin (default readings), without compiling the contract."""
        return {str(name): str(one["url"]) for name, one in self.resolved()["origins"].items()}

    @property
    def used_parts(self) -> set[str]:
        return self._resolver.used_parts

    @property
    def default_choice(self) -> dict[str, str]:
        return {name: reading.default for name, reading in self.readings.items()}

    def choices(self) -> list[dict[str, str]]:
        """Give the default choice, and one more for each case that is not a default."""
        default = self.default_choice
        others = [
            {**default, name: case}
            for name, reading in self.readings.items()
            for case in reading.cases
            if case != reading.default
        ]
        return [default, *others]

    def choice(self, picked: Mapping[str, str] | None = None) -> dict[str, str]:
        """Complete a choice with the defaults. Raises UsageError for an unknown reading or case."""
        for name, case in (picked or {}).items():
            if name not in self.readings:
                allowed = ", ".join(self.readings) or "none"
                raise UsageError(f"{self.provider} has no reading {name!r} (allowed: {allowed})")
            if case not in self.readings[name].cases:
                allowed = ", ".join(self.readings[name].cases)
                raise UsageError(f"the reading {name!r} has no case {case!r} (allowed: {allowed})")
        return {**self.default_choice, **(picked or {})}

    def resolved(self, picked: Mapping[str, str] | None = None) -> Map:
        """Give the tree under a choice, its structure checked."""
        choice = self.choice(picked)
        key = tuple(choice.values())
        if key not in self._trees:
            tree = self._resolver.resolve(choice)
            check_structure(tree, file=self.file)
            self._trees[key] = tree
        return self._trees[key]

    def resolve(self, picked: Mapping[str, str] | None = None) -> Contract:
        """Give the contract under a choice; the same choice gives the same object."""
        choice = self.choice(picked)
        key = tuple(choice.values())
        if key not in self._contracts:
            self._contracts[key] = self._made(self.resolved(choice), choice)
        return self._contracts[key]

    def _made(self, tree: Map, choice: Mapping[str, str]) -> Contract:
        views: Mapping[str, Any] = tree.get("views", {})
        context = Context(tree, self.file, TemplateCompiler(views), _names(tree))
        root = Node(context, tree)
        for view in root.at("views").entries():
            view.template()
        return _contract(root, self, choice, views)


@lru_cache(maxsize=_MAX_OPEN)
def _read(data: bytes, file: str) -> ContractFile:
    return ContractFile(data, file=file)


def _contract(root: Node, file: ContractFile, choice: Mapping[str, str], views: Mapping[str, Any]) -> Contract:
    check_sections(root)
    origins, ids, life = origins_of(root), ids_of(root), lifecycle_of(root)
    faces = errors_of(root)
    limits, urls, models = limits_of(root), urls_of(root, origins, faces), models_of(root, life.states)
    checks = root.names_list("checks", DEFAULT_CHECKS)
    known = Known(origins, ids, limits, life.failures, faces, models, urls, views, checks)
    return Contract(
        provider=root.text("provider"),
        title=root.text("title"),
        digest=file.digest,
        choice=choice,
        sources=sources_of(root.value),
        readings=file.readings,
        origins=origins,
        ids=ids,
        auth=auth_of(root),
        account=account_of(root),
        states=life.states,
        phases=life.phases,
        ends=life.ends,
        failures=life.failures,
        default_failure=life.default_failure,
        live=life.live,
        deadlines=life.deadlines,
        visible_after=life.visible_after,
        removal=life.removal,
        errors={**faces, **answer_faces(root, faces)},
        issue_texts=issue_texts_of(root),
        issue_types=issue_types_of(root),
        models=models,
        operations=operations_of(root, known),
        callbacks=callbacks_of(root, ids),
        urls=urls,
        limits=limits,
        assets=assets_of(root, ids),
        secrets=secrets_of(root, ids),
        idempotency=idempotency_of(root),
        unserved=tuple(root.at("unserved").value or ()),
    )


def sources_of(tree: Mapping[str, Any]) -> dict[str, Source]:
    """Read section 2 of a contract."""
    return {
        name: Source(one.get("title", ""), one.get("document", ""), one.get("lines", 0), one.get("retrieved", ""))
        for name, one in tree.get("sources", {}).items()
    }


def _names(tree: Map) -> Names:
    """Collect what templates can name. (The structure has been checked.)"""
    failures = tree["lifecycle"].get("failures", {}).values()
    errors = [*tree["errors"].values()]
    errors += [answer for one in tree["operations"].values() for answer in one["answers"].values()]
    return Names(
        ids=tree.get("ids", {}),
        failure_values=dict.fromkeys(key for one in failures for key in one.get("values", {})),
        error_values=dict.fromkeys(key for one in errors for key in one.get("values", {})),
        paths=dict.fromkeys(name for one in tree["operations"].values() for name in path_names(one["request"])),
        origins=tree["origins"],
        elements=values_of(tree, "$as"),
    )


def _readings(tree: Map, file: str) -> dict[str, Reading]:
    """Read section 3, as far as resolving needs it; the schema looks at the rest."""
    table = tree.get("readings", Map())

    def wrong(problem: str, *path: str, allowed: str = "") -> ContractError:
        return ContractError(problem, place=place_of(tree, pointer_text(path), file=file), allowed=allowed)

    if not isinstance(table, Map):
        raise wrong("readings must be a mapping of names", "readings")
    readings: dict[str, Reading] = {}
    for name, raw in table.items():
        cases = raw.get("cases") if isinstance(raw, Map) else None
        if not isinstance(cases, Map) or not all(isinstance(case, Map) for case in cases.values()):
            raise wrong("a reading needs `cases`, a mapping of names", "readings", name)
        if not isinstance(raw.get("default"), str) or raw["default"] not in cases:
            raise wrong("the default is one of the cases", "readings", name, "default", allowed=", ".join(cases))
        made = {}
        for case, said in cases.items():
            try:
                made[case] = ReadingCase(str(said.get("says", "")), evidences(said.get("evidence")))
            except ValueError as error:
                raise wrong(str(error), "readings", name, "cases", case, "evidence") from None
        readings[name] = Reading(str(raw.get("about", "")), raw["default"], made)
    return readings
