"""Every fact of the five given documents stands in a contract, with the line that says it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.evidence import evidences
from fauxvider.contract.parse import open_contract
from support.fixtures import Mismatch, check

FIXTURES = Path(__file__).parents[2] / "fixtures"
FILES = sorted(FIXTURES.glob("*/seed-facts.json"))


def facts_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_bytes(), parse_float=Decimal)["facts"]
    return found


FACTS = [(path.parent.name, number, fact) for path in FILES for number, fact in enumerate(facts_of(path), 1)]


@cache
def tree_of(provider: str) -> Mapping[str, Any]:
    return open_contract(provider).resolved({})


def steps(provider: str, pointer: str) -> list[Any]:
    """Give the nodes from the root down to a pointer; KeyError and the like when there is none."""
    nodes: list[Any] = [tree_of(provider)]
    for part in pointer.split("/")[1:]:
        name, node = part.replace("~1", "/").replace("~0", "~"), nodes[-1]
        nodes.append(node[int(name)] if isinstance(node, list) else node[name])
    return nodes


def lines_of(text: str) -> set[int]:
    """Read ``L2``, ``L4-6``, ``L2,9-10``."""
    found: set[int] = set()
    for part in re.findall(r"\d+(?:-\d+)?", text):
        low, _, high = part.partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    return found


def said(provider: str, pointer: str, document: str) -> Iterator[set[int]]:
    """Give the lines of a document that the evidence at a pointer, or above it, names."""
    sources = tree_of(provider)["sources"]
    for node in reversed(steps(provider, pointer)):
        if isinstance(node, Mapping) and isinstance(node.get("evidence"), str | list):
            for one in evidences(node["evidence"]):
                if one.source and sources[one.source].get("document") == document:
                    yield {line for low, high in one.lines for line in range(low, high + 1)}


MATCHERS = {"$matches", "$type", "$keys", "$any", "$absent", "$not", "$length", "$json", "$all"}


def holds(expected: Any, node: Any, at: str = "") -> None:
    """Check that a node says at least this; the contract language's own forms stand for themselves."""
    if isinstance(expected, dict) and not set(expected) & MATCHERS:
        if not isinstance(node, Mapping):
            raise Mismatch(f"{at or '/'}: expected a mapping, got {node!r}")
        for key, value in expected.items():
            if isinstance(value, dict) and "$absent" in value:
                if key in node:
                    raise Mismatch(f"{at}/{key}: expected to be absent, got {node[key]!r}")
                continue
            if key not in node:
                raise Mismatch(f"{at}/{key}: missing; there are {list(node)}")
            holds(value, node[key], f"{at}/{key}")
    elif isinstance(expected, list) and isinstance(node, list) and len(expected) == len(node):
        for index, (one, other) in enumerate(zip(expected, node, strict=True)):
            holds(one, other, f"{at}/{index}")
    else:
        check(expected, node, at)


@pytest.mark.parametrize(
    ("provider", "number", "fact"), FACTS, ids=lambda value: str(value) if not isinstance(value, dict) else ""
)
def test_a_fact_stands_in_its_contract(provider: str, number: int, fact: dict[str, Any]) -> None:
    try:
        node = steps(provider, fact["pointer"])[-1]
    except (KeyError, IndexError, ValueError, TypeError) as missing:
        raise AssertionError(f"{fact['fact']}: nothing at {fact['pointer']} ({missing!r})") from None
    if "expect" in fact:
        try:
            holds(fact["expect"], node)
        except Mismatch as wrong:
            raise AssertionError(f"{fact['fact']}: {wrong}") from None
    wanted = lines_of(fact["lines"])
    assert wanted
    named = set().union(*said(provider, fact["pointer"], fact["document"]))
    assert wanted <= named, f"{fact['fact']}: no evidence for {fact['document']} lines {sorted(wanted - named)}"


def test_all_five_documents_have_facts() -> None:
    documents = {fact["document"] for _, _, fact in FACTS}
    assert {name[:3] for name in documents} == {"000", "001", "002", "003", "004"}
    declared = {
        source["document"]
        for path in FILES
        for source in tree_of(path.parent.name)["sources"].values()
        if "document" in source
    }
    assert documents == declared
    assert len(FACTS) >= 400


def test_a_fact_says_what_it_is() -> None:
    for provider, number, fact in FACTS:
        assert set(fact) <= {"document", "lines", "fact", "pointer", "expect"}, (provider, number)
        assert fact["fact"].strip()
        assert fact["pointer"].startswith("/")
        source = next(one for one in tree_of(provider)["sources"].values() if one.get("document") == fact["document"])
        assert max(lines_of(fact["lines"])) <= source["lines"]


def test_this_test_finds_what_is_missing() -> None:
    provider = FACTS[0][0]
    assert set().union(*said(provider, FACTS[0][2]["pointer"], "no such document"), set()) == set()
    with pytest.raises(KeyError):
        steps(provider, "/models/nothing")
