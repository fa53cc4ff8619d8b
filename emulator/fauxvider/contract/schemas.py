"""Input schemas of a contract: remarks stripped, the model's part put into the operation's, made on first use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from fauxvider.contract.model import Validator
from fauxvider.contract.strict import pointer_text
from fauxvider.contract.validation import SchemaValidator

__all__ = ["LazyValidators", "combined", "defaults_of", "plain_schema"]

# Keywords whose value is a mapping of name -> schema: there `evidence` would be a name.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples", "required", "dependentRequired"})


class LazyValidators(Mapping[str, Validator]):
    """Validators by model name; each is made when it is first asked for."""

    def __init__(self, names: Collection[str], make: Callable[[str], Mapping[str, Any]]) -> None:
        self._names = tuple(names)
        self._make = make
        self._made: dict[str, Validator] = {}

    def __getitem__(self, name: str) -> Validator:
        found = self._made.get(name)
        if found is None:
            if name not in self._names:
                raise KeyError(name)
            found = self._made[name] = SchemaValidator(self._make(name))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def plain_schema(schema: Any, *, base: str = "") -> Any:
    """Give a schema without evidence, as plain dicts and lists; local references move under `base`."""
    if isinstance(schema, Mapping):
        return {key: _plain_keyword(key, value, base) for key, value in schema.items() if key != "evidence"}
    if isinstance(schema, list):
        return [plain_schema(one, base=base) for one in schema]
    return schema


def _plain_keyword(key: str, value: Any, base: str) -> Any:
    if key in _DATA:
        return _plain_data(value)
    if key in _NAMED and isinstance(value, Mapping):
        return {name: plain_schema(inner, base=base) for name, inner in value.items()}
    if key == "$ref" and isinstance(value, str) and value.startswith("#"):
        return f"#{base}{value[1:]}"
    return plain_schema(value, base=base)


def _plain_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_data(inner) for key, inner in value.items()}
    return [_plain_data(one) for one in value] if isinstance(value, list) else value


def defaults_of(schema: Any) -> dict[str, Any]:
    """Give the defaults of the top-level properties."""
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    with_default = {name: one for name, one in properties.items() if isinstance(one, Mapping) and "default" in one}
    return {name: one["default"] for name, one in with_default.items()}


def combined(outer: Any, inner: Any, *, at: tuple[str, ...], must_stand: bool) -> dict[str, Any]:
    """Put a model's input schema into an operation's schema, at a pointer.

    `outer` and `inner` are schemas as the contract has them. With `must_stand`, a body without the
    model's input is a violation if the model requires anything.
    """
    base = "".join(pointer_text(("properties", step)) for step in at)
    schema: dict[str, Any] = plain_schema(outer) if isinstance(outer, Mapping) else {"type": "object"}
    model = plain_schema(inner, base=base)
    if not isinstance(model, dict):
        model = {} if model is not False else {"not": {}}
    must_stand = must_stand and bool(model.get("required"))
    holder = schema
    for step in at:
        holder.setdefault("type", "object")
        properties = holder.setdefault("properties", {})
        if must_stand and step not in holder.get("required", []):
            holder["required"] = [*holder.get("required", []), step]
        if not isinstance(properties.get(step), dict):
            properties[step] = {}
        holder = properties[step]
    _merge(holder, model)
    return schema


def _merge(holder: dict[str, Any], model: dict[str, Any]) -> None:
    for key, value in model.items():
        if key in _NAMED and isinstance(holder.get(key), dict):
            holder[key] = {**holder[key], **value}
        elif key == "required" and holder.get(key):
            holder[key] = [*holder[key], *(name for name in value if name not in holder[key])]
        else:
            holder[key] = value
