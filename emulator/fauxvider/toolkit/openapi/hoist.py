"""Moving what has a name into `components`, so that each schema and each set of refusals is written once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fauxvider.toolkit.openapi.schemas import NAME, key_of

__all__ = ["Components"]

_LEAVES = frozenset({str, int, float, bool, type(None)})


class Components:
    """Collects components; equal ones share a name, different ones of one name get numbers."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {"schemas": {}, "responses": {}}
        self._names: dict[tuple[str, bytes], str] = {}

    def lifted(self, node: Any) -> Any:
        """Give a copy of a tree in which named schemas are references and decimals are numbers."""
        if isinstance(node, Mapping):
            # Most of a tree is texts, numbers and flags: these are seen to here, without a call each.
            out = {
                key: value if value.__class__ in _LEAVES else self.lifted(value)
                for key, value in node.items()
                if key != NAME
            }
            if isinstance(out.get("discriminator"), dict):
                out["discriminator"] = _mapped(out)
            name = node.get(NAME)
            return out if name is None else self._reference("schemas", str(name), out)
        if isinstance(node, list | tuple):
            return [value if value.__class__ in _LEAVES else self.lifted(value) for value in node]
        return _number(node) if isinstance(node, Decimal) else node

    def response(self, status: str, response: dict[str, Any]) -> dict[str, Any]:
        """Give a reference to a refusal's response."""
        return self._reference("responses", f"refused_{status}", self.lifted(response))

    def _reference(self, kind: str, name: str, tree: dict[str, Any]) -> dict[str, Any]:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        content = (kind, key_of([name, tree]))
        if content not in self._names:
            free, number = name, 1
            while free in self.found[kind]:
                number += 1
                free = f"{name}_{number}"
            self.found[kind][free] = tree
            self._names[content] = free
        return {"$ref": f"#/components/{kind}/{self._names[content]}"}


def _mapped(schema: dict[str, Any]) -> dict[str, Any]:
    told = schema["discriminator"]
    refs = [branch["$ref"] for branch in schema["oneOf"]]
    named = dict(zip(dict.fromkeys(told["mapping"].values()), refs, strict=True))  # several words may mean one branch
    return {**told, "mapping": {word: named[name] for word, name in told["mapping"].items()}}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
