from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Contract, Deadline, Model, Phase, Span
from fauxvider.contract.templates import compile_template
from fauxvider.engine.facts import Plan, Shape
from fauxvider.engine.minting import Mint
from fauxvider.engine.plan import Deadlines, at_pointer, draw_plan, ranges_of, whole
from support.acme import changed_acme

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
DEV = ACME.models["dev"]
SQUARE = Shape(1000, 1000, 1, "png")
MONTH = 30 * 86_400_000
FIXED = settings(derandomize=True, deadline=None, max_examples=200)


def with_span(span: Span) -> Contract:
    return replace(ACME, phases=(Phase(ACME.phases[0].state, span),))


def draw(
    contract: Contract = ACME,
    model: Model | None = None,
    *,
    seed: int = 1,
    parts: tuple[str | int, ...] = (1, 0),
    param: Mapping[str, Any] | None = None,
    shape: Shape = SQUARE,
    body: Any = None,
    **more: Any,
) -> Plan:
    model = model or replace(DEV, timing={})
    scope = {"param": param or {}}
    ranges = ranges_of(contract, model, scope, shape)
    deadlines = Deadlines(contract.deadlines).asked(body, scope)
    return draw_plan(model, mint=Mint(seed), parts=parts, scope=scope, ranges=ranges, deadlines=deadlines, **more)


def test_the_same_draw_gives_the_same_plan() -> None:
    assert draw() == draw()
    plans = [draw(), draw(seed=2), draw(parts=(2, 0)), draw(parts=(1, 1))]
    assert len({plan.seed for plan in plans}) == 4


@FIXED
@given(st.integers(0, 2**63 - 1), st.integers(1, 10**6))
def test_a_drawn_seed_is_a_small_whole_number(seed: int, number: int) -> None:
    assert 0 <= draw(seed=seed, parts=(number, 0)).seed < 2**31


@pytest.mark.parametrize(
    ("given_seed", "kept"),
    [(0, True), (7, True), (4294967295, True), (7.0, True), (Decimal(7), True),
     (-1, False), ("7", False), (True, False), (None, False), (2**70, False), ([7], False)],
)  # fmt: skip
def test_the_seed_that_was_asked_for(given_seed: Any, kept: bool) -> None:
    found = draw(param={"seed": given_seed}).seed
    assert (found == int(given_seed)) is True if kept else found == draw().seed


def test_a_model_without_a_seed_draws_one() -> None:
    model = replace(DEV, timing={}, picture=replace(DEV.picture, seed=None))
    assert draw(model=model, param={"seed": 7}).seed == draw().seed


@FIXED
@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 400))
def test_uniform_spans_reach_both_ends_and_go_no_further(low: int, more: int, number: int) -> None:
    span = draw(with_span(Span("uniform", low=low, high=low + more)), parts=(number, 0)).phases[0]
    assert low <= span <= low + more


def test_uniform_spans_use_the_whole_range() -> None:
    contract = with_span(Span("uniform", low=10, high=13))
    assert {draw(contract, parts=(number, 0)).phases[0] for number in range(200)} == {10, 11, 12, 13}


@FIXED
@given(st.integers(0, 100_000), st.integers(0, 1_000_000), st.integers(1, 400))
def test_spans_around_a_middle(middle: int, spread: int, number: int) -> None:
    span = draw(with_span(Span("around", low=middle, spread=spread)), parts=(number, 0)).phases[0]
    half = middle * spread // 1_000_000
    assert max(0, middle - half) <= span <= middle + half


def test_a_spread_goes_either_way() -> None:
    contract = with_span(Span("around", low=1000, spread=200_000))
    spans = [draw(contract, parts=(number, 0)).phases[0] for number in range(300)]
    assert min(spans) < 850
    assert max(spans) > 1150
    assert len(set(spans)) > 100


STEPS = compile_template("{param.steps}", views={})


@pytest.mark.parametrize(
    ("steps", "shape", "megapixels", "wanted"),
    [
        (28, Shape(1000, 1000, 1, "png"), False, 300 + 28 * 130),
        (1, Shape(1000, 1000, 1, "png"), False, 430),
        (0, Shape(1000, 1000, 1, "png"), False, 300),
        (-5, Shape(1000, 1000, 1, "png"), False, 300),
        (None, Shape(1000, 1000, 1, "png"), False, 430),  # left out: as one step
        ("many", Shape(1000, 1000, 1, "png"), False, 430),
        (28, Shape(2000, 1000, 1, "png"), True, 300 + 28 * 130 * 2),
        (28, Shape(1000, 1000, 4, "png"), True, 300 + 28 * 130 * 4),
        (28, Shape(1000, 1000, 0, "png"), True, 300 + 28 * 130),
        (2**62, Shape(1000, 1000, 1, "png"), True, MONTH),
        (10**30, Shape(1000, 1000, 1, "png"), True, 430),
    ],
)
def test_work(steps: Any, shape: Shape, megapixels: bool, wanted: int) -> None:
    span = Span("work", base=300, per_step=130, steps=STEPS, megapixels=megapixels)
    assert draw(with_span(span), param={"steps": steps}, shape=shape).phases == (wanted,)


def test_work_without_steps_is_one_step() -> None:
    assert draw(with_span(Span("work", base=300, per_step=130))).phases == (430,)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (Shape(1000, 1000, 1, "png"), 1 + 20 + 300 + 10 * (2 + 30 + 400) // 1000),
        (Shape(2000, 1000, 1, "png"), 1 + 40 + 1200 + 10 * (2 + 60 + 1600) // 1000),
        (Shape(1000, 1000, 3, "png"), 1 + 60 + 900 + 10 * (2 + 90 + 1200) // 1000),
        (Shape(0, 0, 0, "png"), 1),
    ],
)
def test_a_law_in_parts_grows_with_each_picture(shape: Shape, wanted: int) -> None:
    # The steps' law in millionths here, so that both can be read off.
    span = Span("work", steps=STEPS, base_law=(1000, 20_000, 300_000), step_law=(2, 30, 400))
    assert draw(with_span(span), param={"steps": 10}, shape=shape).phases == (wanted,)


@pytest.mark.parametrize(
    ("strength", "steps"),
    [(0.85, 24), (Decimal("0.85"), 24), (1, 28), (0, 0), (0.01, 1), (None, 28), ("x", 28), (True, 28), (1.5, 28)],
)
def test_strength_runs_a_share_of_the_steps(strength: Any, steps: int) -> None:
    span = Span("work", per_step=1, steps=STEPS, strength=compile_template("{param.strength}", views={}))
    assert draw(with_span(span), param={"steps": 28, "strength": strength}).phases == (steps,)


def test_a_model_has_its_own_timing() -> None:
    model = replace(DEV, timing={"IN_PROGRESS": Span("fixed", low=77)})
    assert draw(model=model).phases[1] == 77
    assert draw().phases[1] == 4000
    assert 10 <= draw(model=model).phases[0] <= 30


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (None, 600),
        ({}, 600),
        ({"policy": {}}, 600),
        ({"policy": None}, 600),
        ({"policy": {"limit": 5000}}, 5000),
        ({"policy": {"limit": 0}}, 0),
        ({"policy": {"limit": 5000.0}}, 5000),
        ({"policy": {"limit": -1}}, 600),
        ({"policy": {"limit": "5000"}}, 600),
        ({"policy": {"limit": True}}, 600),
        ({"policy": {"limit": MONTH + 1}}, 600),
        ({"policy": [5000]}, 600),
        ([], 600),
    ],
)
def test_deadlines_from_the_body(body: Any, wanted: int) -> None:
    deadlines = (Deadline("a", ("policy", "limit"), 600, "all", "x"), Deadline("b", (), None, "all"))
    assert draw(replace(ACME, deadlines=deadlines), body=body).deadlines == (wanted, None)


def test_who_asks_for_no_limit_gets_the_same_ones() -> None:
    deadlines = (Deadline("slow", ("policy", "timeout"), 600, "running", "slow"), Deadline("kept", (), 900, "all"))
    rules = Deadlines(deadlines)
    assert rules.asked({"input": {}}, {}) == (600, 900)
    assert rules.asked({"input": {}}, {}) is rules.asked({}, {})
    assert rules.asked({"policy": {"timeout": 5}}, {}) == (5, 900)
    assert rules.asked(None, {}) == (600, 900)


def test_a_failure_is_carried_along() -> None:
    plan = draw(failure="broken", detail="the input is empty")
    assert (plan.failure, plan.detail) == ("broken", "the input is empty")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, 0), (5, 5), (-5, -5), (5.0, 5), (5.9, 5), (-5.9, -5), (Decimal("5.9"), 5), (2**63, 2**63),
        (-(2**63), -(2**63)), (2**63 + 1, None), (-(2**63) - 1, None), (10**400, None), (float("inf"), None),
        (float("-inf"), None), (float("nan"), None), (Decimal("NaN"), None),
        (Decimal("Infinity"), None), (Decimal("1e1000000"), None),
        (True, None), (False, None), (None, None), ("5", None), ([5], None), ({}, None),
    ],
)  # fmt: skip
def test_whole(value: Any, wanted: int | None) -> None:
    found = whole(value)
    assert found == wanted
    assert found is None or type(found) is int


TREE = {"a": {"b": [10, {"c": None, "": 5}], "0": "zero"}, "": {"": 1}}


@pytest.mark.parametrize(
    ("pointer", "wanted"),
    [
        ((), TREE),
        (("a", "b", "0"), 10),
        (("a", "b", "1", "c"), None),
        (("a", "b", "1", ""), 5),
        (("a", "0"), "zero"),
        (("", ""), 1),
        (("a", "b", "2"), None),
        (("a", "b", "-1"), None),
        (("a", "b", "x"), None),
        (("a", "b", "0", "c"), None),
        (("a", "b", "1", "c", "d"), None),
        (("nothing",), None),
    ],
)
def test_at_pointer(pointer: tuple[str, ...], wanted: Any) -> None:
    assert at_pointer(TREE, pointer) == wanted


def test_no_pointer_finds_more_than_there_is() -> None:
    paths = [("a",), ("a", "b"), ("a", "b", "1")]
    for shorter, longer in pairwise(paths):
        assert at_pointer(at_pointer(TREE, shorter), longer[len(shorter) :]) == at_pointer(TREE, longer)
