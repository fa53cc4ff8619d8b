from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.expressions import compile_formula
from fauxvider.contract.model import Cost, Template
from fauxvider.contract.templates import compile_template
from fauxvider.engine.cost import COST_KINDS, price_of
from fauxvider.errors import ExpressionError

MEBI = 1_048_576


def template(text: str) -> Template:
    return compile_template(text, views={})


def price(cost: Cost, size: tuple[int, int] = (1024, 1024), /, *, count: int = 1, run_ms: int = 0, **param: Any) -> str:
    got = price_of(cost, width=size[0], height=size[1], count=count, run_ms=run_ms, scope={"param": param})
    return format(got, "f")


def megapixels(price: str, **more: Any) -> Cost:
    return Cost("per_megapixel", price=Decimal(price), **more)


def formula(text: str, **names: str) -> Cost:
    known = {"width", "height", "count", "steps", "seconds", *names}
    return Cost("formula", formula=compile_formula(text, known), names={k: template(v) for k, v in names.items()})


PRO = megapixels("0.015", first=Decimal("0.03"), pixels_per_megapixel=MEBI, megapixels="ceil")
FLEX = megapixels("0.05", pixels_per_megapixel=MEBI, megapixels="ceil")
KONTEXT_C = megapixels("0.03")

# RunPod dossier G01-G04; Runflow dossier 13.1
GOLDEN = [
    ("dev 512", megapixels("0.02"), (512, 512), "0.00524288"),
    ("dev 1024", megapixels("0.02"), (1024, 1024), "0.02097152"),
    ("dev 1536", megapixels("0.02"), (1536, 1536), "0.04718592"),
    ("dev 768x1024", megapixels("0.02"), (768, 1024), "0.01572864"),
    ("schnell exact", megapixels("0.0024"), (1024, 1024), "0.0025165824"),
    ("schnell cut to 8", megapixels("0.0024", digits=8, rounding="down"), (1024, 1024), "0.00251658"),
    ("schnell flat", Cost("per_request", price=Decimal("0.003")), (1024, 1024), "0.003"),
    ("kontext a", Cost("per_image", price=Decimal("0.025")), (1024, 1024), "0.025"),
    ("kontext b", megapixels("0.025"), (1024, 1024), "0.0262144"),
    ("kontext c", KONTEXT_C, (1024, 1024), "0.03145728"),
    ("kontext c, 6 places", megapixels("0.03", digits=6, rounding="down"), (1024, 1024), "0.031457"),
    ("pro 1024", PRO, (1024, 1024), "0.03"),
    ("pro 1920x1080", PRO, (1920, 1080), "0.045"),
    ("pro 2048", PRO, (2048, 2048), "0.075"),
    ("pro 4096", PRO, (4096, 4096), "0.255"),
    ("pro 512", PRO, (512, 512), "0.03"),
    ("flex 512", FLEX, (512, 512), "0.05"),
    ("flex 1024", FLEX, (1024, 1024), "0.05"),
    ("flex 1920x1080", FLEX, (1920, 1080), "0.1"),
]


@pytest.mark.parametrize(("cost", "size", "wanted"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN])
def test_documented_prices(cost: Cost, size: tuple[int, int], wanted: str) -> None:
    assert price(cost, size) == wanted


@pytest.mark.parametrize(
    ("cost", "arguments", "wanted"),
    [
        (Cost("free", price=Decimal(5)), {}, "0"),
        (Cost("per_request", price=Decimal("0.50")), {"count": 4}, "0.5"),
        (Cost("per_request", price=Decimal("1E+3")), {}, "1000"),
        (Cost("per_image", price=Decimal("0.04")), {"count": 3}, "0.12"),
        (Cost("per_image", price=Decimal("0.04")), {"count": 0}, "0"),
        (Cost("per_image", price=Decimal(25000)), {"count": 4}, "100000"),
        (megapixels("0.02"), {"count": 3}, "0.06291456"),
        (megapixels("0.02", pixels_per_megapixel=MEBI), {}, "0.02"),
        (megapixels("0.02", megapixels="ceil"), {}, "0.04"),
        (megapixels("0.02", megapixels="floor"), {}, "0.02"),
        (FLEX, {"count": 2}, "0.1"),
        (PRO, {"count": 2}, "0.06"),
        (Cost("per_second", price=Decimal("0.000147")), {"run_ms": 12_345}, "0.001814715"),
        (Cost("per_second", price=Decimal("0.00125"), digits=4, rounding="up"), {"run_ms": 1}, "0.0001"),
        (formula("ceil(width * height / 1048576) * 0.01 * count"), {"count": 3}, "0.03"),
        (formula("seconds * 0.1"), {"run_ms": 4125}, "0.4125"),
        (formula("steps * 0.001", steps="{param.steps}"), {"steps": 28}, "0.028"),
        (formula("steps * 0.001", steps="{param.steps}"), {"steps": "28"}, "0.028"),
        (formula("steps * 0.001", steps="{param.steps}"), {"steps": 0.85}, "0.00085"),
        (formula("1 + steps", steps="{param.steps}"), {}, "1"),
        (formula("0.08 + web * 0.015", web="{param.web}"), {"web": True}, "0.095"),
        (formula("0.08 + web * 0.015", web="{param.web}"), {"web": False}, "0.08"),
    ],
)  # fmt: skip
def test_kinds(cost: Cost, arguments: dict[str, Any], wanted: str) -> None:
    assert price(cost, **arguments) == wanted


TABLE = Cost(
    "table",
    by=(template("{param.quality}"), template("{param.size}"), template("{param.n}")),
    rows={"low/1024x1024/1": Decimal("0.009"), "high/1024x1024/4": Decimal("0.5320")},
)


def test_tables() -> None:
    assert price(TABLE, quality="low", size="1024x1024", n=1) == "0.009"
    assert price(TABLE, quality="high", size="1024x1024", n=Decimal(4), count=4) == "0.532"
    with pytest.raises(ExpressionError, match="no row 'low/x/'"):
        price(TABLE, quality="low", size="x")
    one = Cost("table", by=(template("{param.resolution}"),), rows={"1k": Decimal("0.14")}, default=Decimal("0.24"))
    assert (price(one, resolution="1k"), price(one, resolution="9k"), price(one)) == ("0.14", "0.24", "0.24")


@pytest.mark.parametrize(
    ("mode", "up", "down"),
    [
        ("down", "0.02", "0.02"),
        ("up", "0.03", "0.03"),
        ("ceiling", "0.03", "0.03"),
        ("floor", "0.02", "0.02"),
        ("half_up", "0.03", "0.02"),
        ("half_even", "0.02", "0.02"),
    ],
)
def test_rounding(mode: str, up: str, down: str) -> None:
    assert price(Cost("per_request", price=Decimal("0.025"), digits=2, rounding=mode)) == up
    assert price(Cost("per_request", price=Decimal("0.0249"), digits=2, rounding=mode)) == down


@given(
    st.integers(1, 16_383),
    st.integers(1, 16_383),
    st.integers(1, 64),
    st.decimals(min_value=0, max_value=10_000, places=6),
    st.sampled_from([1_000_000, MEBI]),
)
def test_megapixel_prices_are_exact(width: int, height: int, count: int, each: Decimal, unit: int) -> None:
    cost = Cost("per_megapixel", price=each, pixels_per_megapixel=unit)
    got = price_of(cost, width=width, height=height, count=count, run_ms=0, scope={})
    assert Fraction(got) == Fraction(each) * width * height * count / unit
    digits, exponent = got.as_tuple().digits, got.as_tuple().exponent
    assert exponent == 0 or (isinstance(exponent, int) and exponent < 0 and digits[-1] != 0)


@pytest.mark.parametrize(
    "bomb", ["1e999999999999", "-1e999999999999", "1e-999999999999", "NaN", "Infinity", "x", "", "9" * 5000]
)
@pytest.mark.parametrize("as_text", [True, False])
def test_numeric_bombs_are_refused(bomb: str, as_text: bool) -> None:
    value: Any = bomb
    if not as_text:
        value = 10**5000 if bomb.startswith("99") else Decimal(bomb) if bomb not in ("x", "") else [bomb]
    with pytest.raises(ExpressionError):
        price(formula("ceil(steps / 7)", steps="{param.steps}"), steps=value)
    with pytest.raises(ExpressionError):
        price(TABLE, quality=value)


@pytest.mark.parametrize(
    "cost",
    [
        formula("1 / (count - 1)"),
        formula("0 - 1"),
        Cost("formula"),
        Cost("per_image", price=Decimal("NaN")),
        Cost("per_image", price=Decimal("Infinity")),
        Cost("per_image", price=Decimal("1e99")),
    ],
    ids=range(6),
)
def test_impossible_prices(cost: Cost) -> None:
    with pytest.raises(ExpressionError):
        price(cost)


def test_negative_work_is_refused() -> None:
    with pytest.raises(ExpressionError):
        price(Cost("per_image", price=Decimal(1)), count=-1)


def test_the_kinds_of_the_language() -> None:
    kinds: Mapping[str, Any] = COST_KINDS
    assert set(kinds) == {"free", "per_request", "per_image", "per_megapixel", "per_second", "table", "formula"}
