"""The published schemas as an editor needs them: of a file as it is written, where parts and readings stand in it."""

from __future__ import annotations

import json
from typing import Any

from fauxvider_contracts import schema_text

__all__ = ["SCHEMAS", "editor_schema_text", "published_schema_text"]

SCHEMAS = {"contract": "contract-1", "scenario": "scenario-1", "case": "case-1"}
_STAND_IN = {
    "description": "A copy of a part, or a choice between the cases of a reading (sections 3 and 4).",
    "type": "object",
    "anyOf": [{"required": ["$use"]}, {"required": ["$reading"]}],
}
_WORDS = ("title", "description", "examples", "default")


def published_schema_text(what: str) -> str:
    """Give the schema of a contract, a scenario or a case. Raises LookupError for another word."""
    return schema_text(SCHEMAS[what])


def editor_schema_text(what: str) -> str:
    """Give the schema with which an editor reads a file.

    That of contracts describes what is left when parts and readings are resolved; here any mapping below the top may be
    `{$use: ...}` or `{$reading: ...}` instead.
    """
    text = published_schema_text(what)
    if what != "contract":
        return text
    tree = json.loads(text)
    tree["description"] = tree["description"].partition(" This schema describes")[0]
    made = _opened(tree, is_top=True)
    made["$defs"]["stand_in"] = _STAND_IN
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _opened(node: Any, *, is_top: bool = False) -> Any:
    """Let a stand-in stand wherever a schema is asked for."""
    if not isinstance(node, dict):
        return node
    made = {key: _inside(key, value) for key, value in node.items()}
    if is_top:
        return made
    words = {key: made.pop(key) for key in _WORDS if key in made}
    return {**words, "if": {"$ref": "#/$defs/stand_in"}, "then": True, "else": made}


def _inside(key: str, value: Any) -> Any:
    if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
        return {name: _opened(one) for name, one in value.items()}
    if key in ("additionalProperties", "items") and isinstance(value, dict):
        return _opened(value)
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [_opened(one, is_top=True) for one in value]
    return _opened(value, is_top=True) if key in ("then", "else") else value
