"""A contract as the export reads it: the compiled model, the tree that it came from, and its places in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fauxvider.contract.model import Contract, Model, Operation
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.schemas import combined
from fauxvider.contract.strict import place_of, pointer_parts, pointer_text
from fauxvider.toolkit.openapi.schemas import Schema, constant, named, union

__all__ = ["Material"]


@dataclass
class Material:
    """One contract under one choice of readings."""

    file: ContractFile
    choice: Mapping[str, str]
    memory: dict[Any, Any] = field(default_factory=dict)  # what has been worked out already
    hides_echo: bool = False  # whether what a request said is left open where an answer repeats it

    @cached_property
    def contract(self) -> Contract:
        return self.file.resolve(self.choice)

    @cached_property
    def tree(self) -> Mapping[str, Any]:
        return self.file.resolved(self.choice)

    def at(self, *path: str | int) -> Any:
        """Give what stands at a path of the tree; None if nothing does."""
        node: Any = self.tree
        for step in path:
            if isinstance(node, list):
                node = node[int(step)] if int(step) < len(node) else None
            else:
                node = node.get(step) if isinstance(node, Mapping) else None
        return node

    def pointer(self, *path: str | int) -> dict[str, Any]:
        """Give the `x-` members that say where in the contract something comes from."""
        key = ("pointer", *path)
        if key not in self.memory:
            self.memory[key] = self._pointer(path)
        return dict(self.memory[key])

    def _pointer(self, path: tuple[str | int, ...]) -> dict[str, Any]:
        text = pointer_text(path)
        place = place_of(self.tree, text, file=self.file.file, of_key=True)
        node = self.at(*path)
        said = node.get("evidence") if isinstance(node, Mapping) else None
        evidence = [said] if isinstance(said, str) else list(said or ())
        where: dict[str, Any] = {"x-fauxvider-pointer": text, "x-fauxvider-line": place.line}
        return where | ({"x-fauxvider-evidence": evidence} if evidence else {})

    @property
    def file_name(self) -> str:
        return Path(self.file.file).name

    # --- models and bodies

    def model_places(self, operation: Operation) -> list[tuple[str, str]]:
        """Say where each part of the model's key stands: ("path", name) or ("body", pointer)."""
        raw = self.at("operations", operation.name, "model") or []
        found = []
        for text in [raw] if isinstance(raw, str) else raw:
            root, _, name = str(text).strip("{}").partition(".")
            found.append((root, name if root == "path" else f"/{name.replace('.', '/')}"))
        return found

    def models_for(self, operation: Operation) -> list[Model]:
        """List the models that the operation can be asked for, the active ones."""
        if not operation.model:
            return []
        length = len(operation.model)
        return [one for one in self.contract.models.values() if one.active and one.keys_of(length)]

    def submits(self, model: str = "") -> list[Operation]:
        """List the operations whose jobs can be of a model ("": of any)."""
        found = [one for one in self.contract.operations.values() if one.kind == "submit"]
        if not model:
            return found
        return [one for one in found if self.contract.models[model].keys_of(len(one.model))]

    def body(self, operation: Operation, model: Model | None) -> Schema:
        """Give the schema of a request body, the model's input and the parts of its key put into it."""
        outer = self.at("operations", operation.name, "schema")
        inner = self.at("models", model.name, "input") if model else {}
        at = operation.input if model else ()
        schema: Schema = _plain(combined(outer, inner or {}, at=at, must_stand=not operation.on_empty))
        if model is None:
            return schema
        holder = schema
        for step in at:
            holder = holder["properties"][step]
        if at:
            holder.update(named(f"input.{model.name}", holder))
        keys = model.keys_of(len(operation.model))
        for number, (root, place) in enumerate(self.model_places(operation)):
            if root == "body":
                _set(schema, pointer_parts(place), union(constant(key[number]) for key in keys) or {})
        return schema

    def echoed(self, operation: Operation, model: Model) -> Schema:
        """Give the schema of the body of a job that was accepted: what is never refused may hold anything."""
        if self.hides_echo:
            return {}
        key = ("echoed", operation.name, model.name)
        if key not in self.memory:
            schema: Schema = self.body(operation, model)
            if operation.on_invalid or operation.on_empty:
                _set(schema, operation.input, {})
            rules = self.contract.assets
            self.memory[key] = _stored(schema) if rules and rules.store_inline else schema
        found: Schema = self.memory[key]
        return found


def _set(schema: Schema, path: Iterable[str], value: Schema) -> None:
    *way, last = path
    for step in way:
        schema = schema.setdefault("properties", {}).setdefault(step, {"type": "object"})
    schema.setdefault("properties", {})[last] = value


def _plain(node: Any) -> Any:
    """Copy a schema of the contract into plain dicts and lists that may be changed."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else node


_OF_TEXT = ("pattern", "format", "not", "maxLength")


def _stored(schema: Any) -> Any:
    """Loosen what a text must look like: an inline picture is stored, and a reference stands in its place."""
    if isinstance(schema, Mapping):
        is_text = schema.get("type") == "string"
        return {key: _stored(value) for key, value in schema.items() if not (is_text and key in _OF_TEXT)}
    return [_stored(value) for value in schema] if isinstance(schema, list) else schema
