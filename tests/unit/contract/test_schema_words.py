"""The published schemas as an editor shows them: every property and definition is told, and every example is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fauxvider_contracts import schema_text

NAMES = ("contract-1", "scenario-1", "case-1")
_CONDITIONS = ("if", "then", "else", "not")  # they repeat properties that are told where they belong
_VALUES = ("examples", "default", "const", "enum")
_MOST = 400  # characters that a tooltip holds


def schema(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(schema_text(name))
    return tree


def nodes(tree: Any, path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Walk every subschema: its path, itself, whether it is a property or a definition."""
    if isinstance(tree, list):
        for number, one in enumerate(tree):
            yield from nodes(one, f"{path}/{number}")
    if not isinstance(tree, dict):
        return
    yield path, tree, False
    for key, value in tree.items():
        if key in ("properties", "patternProperties", "$defs"):
            for name, one in value.items():
                yield f"{path}/{key}/{name}", one, True
                yield from nodes(one, f"{path}/{key}/{name}")
        elif key not in (*_CONDITIONS, *_VALUES):
            yield from nodes(value, f"{path}/{key}")


@pytest.mark.parametrize("name", NAMES)
def test_every_property_and_definition_is_described(name: str) -> None:
    named = [(path, node) for path, node, is_named in nodes(schema(name)) if is_named]
    assert len(named) > 90
    silent = [path for path, node in named if not (isinstance(node, dict) and node.get("description", "").strip())]
    assert silent == []
    texts = [(path, node["description"]) for path, node in named]
    assert [path for path, text in texts if len(text) > _MOST] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_valid(name: str) -> None:
    whole = schema(name)
    Draft202012Validator.check_schema(whole)
    seen = 0
    for path, node, _ in nodes(whole):
        for example in node.get("examples", ()) if isinstance(node.get("examples"), list) else ():
            seen += 1
            own = {**{key: value for key, value in node.items() if key != "$defs"}, "$defs": whole["$defs"]}
            wrong = [error.message for error in Draft202012Validator(own).iter_errors(example)]
            assert wrong == [], f"{path}: {example!r}"
    assert seen >= (30 if name == "contract-1" else 1)


def test_what_has_no_words_of_its_own_has_an_example() -> None:
    """A form that is easier shown than told is shown."""
    definitions = schema("contract-1")["$defs"]
    shown = {name for name, node in definitions.items() if node.get("examples")}
    assert shown >= {
        "callbacks",
        "cost",
        "evidence",
        "limit",
        "operation",
        "pointer",
        "retry",
        "signature",
        "size",
        "span",
        "url",
    }
