"""Requests made from the contract alone: the smallest that is valid, at the bounds, and just beyond them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

from fauxvider.contract.model import Contract, Issue, Model, Operation
from fauxvider.engine.plan import at_pointer
from fauxvider.errors import FauxviderError
from fauxvider.gate import dump_json

__all__ = ["Call", "NotAskedError", "Samples", "Variant", "picture_bytes"]

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")
_KEY_PART = re.compile(r"\{(path|body)\.([A-Za-z0-9_.-]+)\}")
_SOURCE = re.compile(r"\{param\.([A-Za-z0-9_-]+)")
_TEXTS = ("a lighthouse at dusk", "1024*1024", "1024x1024", "1:1", "https://example.com/picture.png", "image/png", "1")
_SIDE = 64


class NotAskedError(FauxviderError):
    """A case that cannot be asked of this server; its text says why."""


@dataclass(slots=True)
class Call:
    """One request to make."""

    operation: Operation
    method: str
    params: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None  # JSON tree
    data: bytes | None = None  # instead of it
    model: Model | None = None
    given: Any = None

    @property
    def path(self) -> str:
        def put(found: re.Match[str]) -> str:
            return quote(self.params.get(found[1], ""), safe="/" if found[2] else "")

        path = _PARAMETER.sub(put, self.operation.path)
        return path + (f"?{urlencode(self.query)}" if self.query else "")

    @property
    def bytes(self) -> bytes:
        if self.data is not None:
            return self.data
        return b"" if self.body is None else dump_json(self.body)

    def param(self) -> Any:
        defaults = self.model.defaults if self.model else {}
        return {**defaults, **self.given} if isinstance(self.given, Mapping) else self.given


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to break a valid request: the rule that it breaks, and the request's body."""

    rule: str  # pointer to the keyword in the contract
    body: Any
    issues: tuple[Issue, ...]


def picture_bytes(side: int = _SIDE) -> bytes:
    """Give a small PNG."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (side, side), (90, 120, 150)).save(out, "PNG")
    return out.getvalue()


class Samples:
    """Makes requests for one contract."""

    def __init__(self, contract: Contract, tree: Mapping[str, Any]) -> None:
        self.contract = contract
        self.tree = tree
        self._picture = f"data:image/png;base64,{b64encode(picture_bytes()).decode()}"
        self.sizes: dict[str, tuple[int, int]] = {self._picture: (_SIDE, _SIDE)}
        assets = contract.assets
        self._present = str(assets.present[0]["key"]) if assets and assets.present else ""
        if assets and assets.present:
            first = assets.present[0]
            self.sizes[self._present] = (int(first.get("width", 1024)), int(first.get("height", 1024)))
        raw = (tree.get("assets", {}).get("references") or {}).get("in", [])
        self.references = {name for one in raw for name in _SOURCE.findall(str(one))}

    # --- inputs

    def input_for(self, model: Model) -> dict[str, Any]:
        """Give the smallest input that a model takes."""
        return self._object(model, model.input)

    def _usual(self, operation: Operation, model: Model) -> dict[str, Any]:
        given = self.input_for(model)
        if not given and operation.on_empty:
            return _optional(model) or {"note": "anything"}
        return given

    def _object(self, model: Model, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties, either = schema.get("properties", {}), schema.get("anyOf") or schema.get("oneOf") or [{}]
        names = [*schema.get("required", []), *either[0].get("required", [])]
        return {name: self._value(model, name, properties.get(name, {})) for name in names}

    def _value(self, model: Model, name: str, schema: Mapping[str, Any]) -> Any:
        if "enum" in schema:
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type", "string")
        kind = next((one for one in kind if one != "null"), "string") if isinstance(kind, list) else kind
        if kind == "array":
            return [self._value(model, name, schema.get("items", {}))] * max(1, schema.get("minItems", 1))
        if kind == "object":
            return self._object(model, schema)
        if kind in ("integer", "number"):
            return schema.get("default", schema.get("minimum", 1))
        if kind == "boolean":
            return schema.get("default", False)
        return self._text(model, name, schema)

    def _text(self, model: Model, name: str, schema: Mapping[str, Any]) -> str:
        if name in self.references and self._present:
            return self._present
        sources = self.tree["models"][model.name].get("picture", {}).get("sources", [])
        if any(name in _SOURCE.findall(str(one)) for one in sources) or name in self.references:
            return self._picture
        if isinstance(schema.get("default"), str):
            return str(schema["default"])
        for text in _TEXTS:
            if re.search(schema.get("pattern", ""), text) and len(text) >= schema.get("minLength", 0):
                return text[: schema.get("maxLength", 1000)]
        raise NotAskedError(f"no text is known that {name} of {model.name} takes")

    # --- requests

    def call(self, operation: Operation, model: Model | None = None, given: Any = None, **more: Any) -> Call:
        """Make a request for an operation: addressed at a model, with an input if it takes one."""
        made = Call(operation, operation.methods[0], model=model, **more)
        if operation.body == "json":
            made.body = made.body if made.body is not None else {}
            for pointer, values in operation.when:
                _put(made.body, pointer, min(values))
        self._address(made)
        if operation.kind == "submit" and model is not None:
            made.given = self._usual(operation, model) if given is None else given
            if operation.input:
                _put(made.body, operation.input, made.given)
            else:
                made.body.update(made.given)
            self._complete(made)
            if not operation.input:
                made.given = made.body  # there the whole body is the model's input
        if operation.body == "json":
            made.headers.setdefault("content-type", "application/json")
        return made

    def _address(self, made: Call) -> None:
        if made.model is None:
            return
        parts = self.tree["operations"][made.operation.name].get("model", [])
        key = next(iter(made.model.keys_of(len(parts))), made.model.key)
        for part, value in zip(parts, key, strict=False):
            found = _KEY_PART.fullmatch(part)
            if found is None:
                raise NotAskedError(f"the model's key is not a plain name in {made.operation.name}")
            if found[1] == "path":
                made.params[found[2]] = value
            else:
                _put(made.body, tuple(found[2].split(".")), value)

    def _complete(self, made: Call) -> None:
        """Add what the rest of the body needs."""
        schema = self.tree["operations"][made.operation.name].get("schema", {})
        for name in schema.get("required", []):
            if name not in made.body and made.model is not None:
                made.body[name] = self._value(made.model, name, schema.get("properties", {}).get(name, {}))

    def takes(self, operation: Operation, model: Model) -> bool:
        """Whether a model is asked for by this operation, and not by another one before it on the same route."""
        if not model.keys_of(len(operation.model)):
            return False
        try:
            body = self.call(operation, model).body
        except NotAskedError:
            return True
        for other in self.contract.operations.values():
            is_beside = (other.path, other.origin) == (operation.path, operation.origin)
            is_first = is_beside and bool(set(other.methods) & set(operation.methods))
            if is_first and all(str(at_pointer(body, pointer)) in values for pointer, values in other.when):
                return other is operation
        return True

    # --- at the bounds and beyond

    def extremes(self, operation: Operation, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give inputs with every number at its lower, and at its upper bound, where the schema lets them through."""
        for side, word in (("minimum", "lower"), ("maximum", "upper")):
            given = self.input_for(model)
            for name, schema in model.input.get("properties", {}).items():
                value = _bound(schema, side)
                if value is not None:
                    given[name] = value
            if given != self.input_for(model) and not self.issues(
                operation, model, self.call(operation, model, given).body
            ):
                yield word, given

    def issues(self, operation: Operation, model: Model | None, body: Any) -> tuple[Issue, ...]:
        validator = operation.validators.get(model.name if model else "") if operation.validators else None
        if validator is None or validator.is_valid(body):
            return ()
        return tuple(validator.issues(body))

    def variants(self, operation: Operation, model: Model) -> Iterator[Variant]:
        """Give requests that break one rule of the model's input each."""
        good, at = self.input_for(model), f"/models/{model.name}/input"
        for name in model.input.get("required", []):
            given = {key: value for key, value in good.items() if key != name}
            if not given and operation.on_empty:  # an empty input is another matter there
                given = _optional(model)
            yield from self._variant(operation, model, given, f"{at}/required", "required")
        for name, schema in model.input.get("properties", {}).items():
            for keyword, value in _broken(schema):
                rule = f"{at}/properties/{name}/{keyword}"
                yield from self._variant(operation, model, {**good, name: value}, rule, keyword)
        if model.input.get("additionalProperties") is False:
            given = {**good, "no_such_field": 1}
            yield from self._variant(operation, model, given, f"{at}/additionalProperties", "additionalProperties")

    def _variant(self, operation: Operation, model: Model, given: Any, rule: str, keyword: str) -> Iterator[Variant]:
        body = self.call(operation, model, given).body
        issues = self.issues(operation, model, body)
        if len(issues) == 1 and issues[0].keyword == keyword:
            yield Variant(rule, body, issues)


def _optional(model: Model) -> dict[str, Any]:
    """Give one parameter that may be left out, at its default."""
    return dict(list(model.defaults.items())[:1])


def _broken(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give values that break one keyword of a property's schema."""
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf", 1)
    if low is not None:
        yield "minimum", low - step
    if high is not None:
        yield "maximum", high + step
    if "multipleOf" in schema and step != 1:
        yield "multipleOf", (low if low is not None else step) + 1
    if "enum" in schema:
        yield "enum", "no-such-value"
    if "pattern" in schema:
        yield "pattern", "###"
    if schema.get("minLength"):
        yield "minLength", ""
    if schema.get("maxLength", 10**6) < 10_000:
        yield "maxLength", "x" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield "minItems", []
    if "type" in schema:
        yield "type", {"an": "object"} if schema["type"] != "object" else "a text"


def _bound(schema: Mapping[str, Any], side: str) -> Any:
    """Give the value at a numeric bound, on the grid of `multipleOf`."""
    value, step = schema.get(side), schema.get("multipleOf")
    if value is None or isinstance(value, bool) or "enum" in schema:
        return None
    if step:
        over = Decimal(str(value)) % Decimal(str(step))
        if over:
            return None
    return value


def _put(body: Any, pointer: tuple[str, ...], value: Any) -> None:
    for name in pointer[:-1]:
        body = body.setdefault(name, {})
    body[pointer[-1]] = deepcopy(value)
