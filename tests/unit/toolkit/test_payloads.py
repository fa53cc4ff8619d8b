"""Losses between two schemas: proofs where nothing is lost, a witness for each rule that refuses, else `unknown`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.toolkit.diff.payloads import losses

BASE: dict[str, Any] = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 200},
        "steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 28},
        "side": {"type": "integer", "multipleOf": 64, "minimum": 256, "maximum": 1536},
        "format": {"enum": ["png", "jpeg", "webp"]},
        "callback": {"type": ["string", "null"], "pattern": "^https?://"},
        "images": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4},
    },
}


def _changed(path: str, value: Any) -> dict[str, Any]:
    schema = deepcopy(BASE)
    *way, last = path.split("/")
    node = schema
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


NARROWER = [
    ("required", ["prompt", "steps"], (), "required"),
    ("properties/prompt/maxLength", 100, ("prompt",), "maxLength"),
    ("properties/prompt/minLength", 2, ("prompt",), "minLength"),
    ("properties/steps/maximum", 28, ("steps",), "maximum"),
    ("properties/steps/type", "string", ("steps",), "type"),
    ("properties/side/multipleOf", 128, ("side",), "multipleOf"),
    ("properties/format/enum", ["png", "jpeg"], ("format",), "enum"),
    ("properties/callback/type", "string", ("callback",), "type"),
    ("properties/callback/pattern", "^https://", ("callback",), "pattern"),
    ("properties/images/maxItems", 3, ("images",), "maxItems"),
    ("properties/images/items", {"type": "string", "minLength": 3}, ("images", 0), "minLength"),
    ("additionalProperties", False, (), "additionalProperties"),
    ("properties/seed", {"type": "integer"}, ("seed",), "type"),
    ("maxProperties", 2, (), "maxProperties"),
]


@pytest.mark.parametrize(("path", "value", "place", "keyword"), NARROWER, ids=[path for path, *_ in NARROWER])
def test_what_is_refused_now_is_shown(path: str, value: Any, place: tuple[str, ...], keyword: str) -> None:
    new = _changed(path, value)
    found = losses(BASE, new)
    assert (place, keyword) in {(one.path, one.keyword) for one in found}
    for one in found:
        assert one.verdict == "witness"
        assert jsonschema_rs.is_valid(BASE, one.value)
        assert not jsonschema_rs.is_valid(new, one.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/steps/maximum", 100),
        ("properties/format/enum", ["png", "jpeg", "webp", "avif"]),
        ("properties/prompt/minLength", None),
        ("properties/steps/default", 4),
        ("properties/side/multipleOf", 32),
        ("title", "a name"),
    ],
)
def test_what_only_widens_loses_nothing(path: str, value: Any) -> None:
    assert losses(BASE, _changed(path, value)) == []


def test_the_same_schema_written_otherwise_loses_nothing() -> None:
    assert losses({"enum": [1, 2]}, {"anyOf": [{"const": 2}, {"const": 1}]}) == []
    assert losses({"type": "integer", "minimum": 3}, {"type": "integer", "exclusiveMinimum": 2}) == []


_bounds = st.integers(-20, 20)


@settings(max_examples=80, deadline=None)
@given(_bounds, _bounds, _bounds, _bounds)
def test_bounds_are_judged_as_sets_are(low: int, high: int, other_low: int, other_high: int) -> None:
    first, second = ({"type": "integer", "minimum": a, "maximum": b} for a, b in ((low, high), (other_low, other_high)))
    lost = [n for n in range(low, high + 1) if not other_low <= n <= other_high]
    found = losses(first, second)
    assert bool(found) == bool(lost)
    assert all(one.value in lost for one in found)
