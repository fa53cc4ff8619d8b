"""Parts and readings: what they become, and that an error in them is found."""

from __future__ import annotations

from typing import Any

import pytest

from fauxvider.contract.resolve import Resolver, readings_at
from fauxvider.contract.strict import Map, load_text, place_of
from fauxvider.errors import ContractError

CASES = {"price": {"low": None, "high": None}, "extra": {"with": None, "without": None}}
USES_ALL = "\nuses: {$reading: price, low: 1, high: 2}\nuses2: {$reading: extra, with: 1, without: 2}"


def resolver(text: str, *, readings: dict[str, Any] | None = None) -> Resolver:
    tree = load_text(text, file="f")
    assert isinstance(tree, Map)
    return Resolver(tree, readings=readings or {}, file="f")


def resolved(text: str, **choice: str) -> Any:
    """Resolve a text under a choice of the two readings above."""
    both = {"price": "low", "extra": "with", **choice}
    tree = resolver(text + USES_ALL, readings=CASES).resolve(both)
    return {key: value for key, value in tree.items() if not key.startswith("uses")}


def problem_of(text: str, **choice: str) -> ContractError:
    with pytest.raises(ContractError) as caught:
        resolved(text, **choice)
    assert caught.value.place is not None
    return caught.value


def test_a_reading_is_replaced_by_the_chosen_case() -> None:
    text = "a: {cost: {$reading: price, low: {x: 1}, high: 0.5}}"
    assert resolved(text)["a"] == {"cost": {"x": 1}}
    assert str(resolved(text, price="high")["a"]["cost"]) == "0.5"


def test_a_case_may_hold_another_reading() -> None:
    text = "a: {$reading: price, low: {$reading: extra, with: 1, without: 2}, high: 3}"
    assert [resolved(text, price=p, extra=e)["a"] for p in ("low", "high") for e in ("with", "without")] == [1, 2, 3, 3]


def test_a_null_case_removes_its_key() -> None:
    assert resolved("a: {b: 1, c: {$reading: price, low: null, high: 2}}") == {"a": {"b": 1}}


def test_a_null_case_removes_its_list_item() -> None:
    assert resolved("a: [1, {$reading: price, low: null, high: 2}, 3]") == {"a": [1, 3]}


def test_a_null_of_the_contract_itself_stays() -> None:
    assert resolved("a: {default: null, enum: [null, x]}") == {"a": {"default": None, "enum": [None, "x"]}}


def test_a_part_is_copied() -> None:
    assert resolved("parts: {p: {b: 1}, s: text}\na: {$use: p}\nc: {$use: s}") == {"a": {"b": 1}, "c": "text"}


def test_keys_beside_use_are_merged_over_the_part_deeply() -> None:
    text = "parts: {p: {b: {c: 1, d: 2}, e: [1, 2]}}\na: {$use: p, b: {d: 3, f: 4}, e: [5]}"
    assert resolved(text) == {"a": {"b": {"c": 1, "d": 3, "f": 4}, "e": [5]}}


def test_a_null_beside_use_removes_a_key_of_the_part() -> None:
    assert resolved("parts: {p: {b: {c: 1, d: 2}, e: 3}}\na: {$use: p, b: {c: null}, e: null}") == {
        "a": {"b": {"d": 2}}
    }


def test_a_null_case_beside_use_removes_a_key_of_the_part_too() -> None:
    assert resolved("parts: {p: {b: 1, c: 2}}\na: {$use: p, b: {$reading: price, low: null, high: 5}}") == {
        "a": {"c": 2}
    }


def test_a_part_may_use_parts_and_readings() -> None:
    text = "parts: {p: {b: {$use: q}}, q: {$reading: price, low: 1, high: 2}}\na: {$use: p}\nc: {$use: p}"
    assert resolved(text, price="high") == {"a": {"b": 2}, "c": {"b": 2}}


def test_overriding_one_use_leaves_the_other_uses_alone() -> None:
    assert resolved("parts: {p: {b: {c: 1}}}\na: {$use: p, b: {c: 2}}\nd: {$use: p}") == {
        "a": {"b": {"c": 2}},
        "d": {"b": {"c": 1}},
    }


def test_key_order_is_the_order_of_the_part_then_of_the_additions() -> None:
    assert list(resolved("parts: {p: {z: 1, a: 2}}\na: {$use: p, m: 3, a: 4}")["a"]) == ["z", "a", "m"]


def test_templates_and_schemas_keep_their_own_dollars() -> None:
    text = 'a: {$case: job.state, $of: {x: {$view: v}}}\nb: {$ref: "#/$defs/x", $defs: {x: {}}}'
    assert resolved(text)["a"]["$of"] == {"x": {"$view": "v"}}


def test_places_lead_to_the_text_that_a_value_came_from() -> None:
    text = (
        "parts:\n  p:\n    b: 1\n    c: 2\na:\n  $use: p\n  c: 3\nd:\n  $reading: price\n  low:\n    e: 1\n  high: 2\n"
    )
    tree = resolver(text, readings={"price": CASES["price"]}).resolve({"price": "low"})
    lines = {pointer: place_of(tree, pointer, file="f").line for pointer in ("/a", "/a/b", "/a/c", "/d", "/d/e")}
    assert lines == {"/a": 6, "/a/b": 3, "/a/c": 7, "/d": 11, "/d/e": 11}


BAD = {
    "an unknown part": ("a: {b: {$use: q}}", 1, "/a/b/$use", "there is no part 'q'"),
    "an unknown part in an unused part": ("parts:\n  p: {$use: q}", 2, "/parts/p/$use", "there is no part 'q'"),
    "an unknown reading": ("a: {$reading: colour, red: 1}", 1, "/a/$reading", "there is no reading 'colour'"),
    "a case too many": ("a:\n  $reading: price\n  low: 1\n  high: 2\n  mid: 3", 5, "/a/mid", "has no case 'mid'"),
    "a case too few": ("a:\n  b: {$reading: price, low: 1}", 2, "/a/b", "needs the case 'high' too"),
    "a part that uses itself": ("parts: {p: {b: {$use: p}}}\na: {$use: p}", 1, "/a/b", "uses itself: p -> p"),
    "parts that use each other": ("parts:\n  p: {$use: q}\n  q: {$use: p}\na: {$use: p}", 2, "/a", "p -> q -> p"),
    "keys over a text": ("parts: {p: text}\na: {$use: p, b: 1}", 2, "/a", "is not a mapping"),
    "a part that is nothing": (
        "parts:\n  p: {$reading: price, low: null, high: 1}\na: {$use: p}", 2, "/a", "is nothing under this choice",
    ),
    "parts that are a list": ("parts: [a]", 1, "/parts", "must be a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_part_or_reading_is_found_with_its_place(case: str) -> None:
    text, line, pointer, problem = BAD[case]
    error = problem_of(text)
    assert error.place is not None
    assert (error.place.line, error.place.pointer) == (line, pointer)
    assert problem in error.problem


def test_a_reading_that_nothing_uses_is_refused() -> None:
    with pytest.raises(ContractError, match="'extra' is used nowhere"):
        resolver("a: {$reading: price, low: 1, high: 2}", readings=CASES)


def test_parts_cannot_multiply_into_a_bomb() -> None:
    lines = [f"  p{n}: {{a: {{$use: p{n - 1}}}, b: {{$use: p{n - 1}}}, c: {{$use: p{n - 1}}}}}" for n in range(1, 30)]
    error = problem_of("\n".join(["parts:", "  p0: {x: 1}", *lines, "a: {$use: p29}"]))
    assert "more than 200000 nodes" in error.problem


@pytest.mark.parametrize("shape", ["{{a: {{$use: p{0}}}}}", "{{$use: p{0}}}"])
def test_a_long_chain_of_parts_is_refused(shape: str) -> None:
    lines = [f"  p{n}: {shape.format(n - 1)}" for n in range(1, 3000)]
    error = problem_of("\n".join(["parts:", "  p0: {x: 1}", *lines, "a: {$use: p2999}"]))
    assert "more than 32 parts inside each other" in error.problem


def test_the_readings_that_decide_a_place_are_told() -> None:
    text = (
        "parts: {p: {q: {$reading: extra, with: 1, without: 2}}}\n"
        "a: {$reading: price, low: {$use: p}, high: {q: 3}}\nb: {c: 1}"
    )
    tree = load_text(text, file="f")
    choice = {"price": "low", "extra": "with"}
    assert readings_at(tree, "/a", choice) == ["price", "extra"]
    assert readings_at(tree, "/a/q", choice) == ["price", "extra"]
    assert readings_at(tree, "/a/q", {**choice, "price": "high"}) == ["price"]
    assert readings_at(tree, "/b", choice) == []
