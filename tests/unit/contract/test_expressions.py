from __future__ import annotations

import ast
import contextlib
import sys
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.expressions import FUNCTIONS, MAX_LENGTH, ROUNDING_MODES, compile_formula
from fauxvider.errors import ExpressionError

NAMES = ("width", "height", "count", "steps", "seconds")
VALUES = {
    "width": Decimal(1920),
    "height": Decimal(1080),
    "count": Decimal(2),
    "steps": Decimal(28),
    "seconds": Decimal("4.125"),
}


def compute(text: str, **values: Any) -> Decimal:
    known = {**VALUES, **values}
    return compile_formula(text, tuple(known))(known)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", "1"),
        ("0.1 + 0.2", "0.3"),
        ("1 - 2 - 3", "-4"),
        ("8 / 4 / 2", "1"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("-steps + +1", "-27"),
        ("--steps", "28"),
        ("2 * -3", "-6"),
        ("ceil(width * height / 1048576) * 0.01", "0.02"),
        ("width * height / 1000000 * 0.02", "0.041472"),
        ("0.03 + 0.015 * max(0, ceil(width * height / 1048576) - 1)", "0.045"),
        ("0.04 if width * height > 1048576 else 0.02", "0.04"),
        ("1 if width < 10 else 2 if width < 2000 else 3", "2"),
        ("(1 if 1 == 1.0 else 0) * 5", "5"),
        ("1 if (steps != 28) else 0", "0"),
        ("1 if steps >= 28 else 0", "1"),
        ("1 if steps <= 27 else 0", "0"),
        ("floor(2.9) + floor(-2.1)", "-1"),
        ("ceil(2.1) + ceil(-2.9)", "1"),
        ("abs(-3.5)", "3.5"),
        ("min(3, 1, 2) + max(3, 1, 2)", "4"),
        ("round(2.5)", "2"),
        ("round(3.5)", "4"),
        ("round(2.345, 2)", "2.34"),
        ("round(2.345, 2, 'half_up')", "2.35"),
        ('round(2.345, 2, "down")', "2.34"),
        ("round(2.341, 2, 'up')", "2.35"),
        ("round(-2.341, 2, 'ceiling')", "-2.34"),
        ("round(-2.341, 2, 'floor')", "-2.35"),
        ("round(1250, -2, 'half_even')", "1200"),
        ("round(2, 30)", "2"),
        ("\n 1\t+ 1 ", "2"),
    ],
)
def test_arithmetic_is_exact(text: str, wanted: str) -> None:
    assert compute(text) == Decimal(wanted)


ESCAPES = [
    "__import__('os').system('id')",
    "().__class__.__bases__[0].__subclasses__()",
    "(1).__class__",
    "width.__class__",
    "width.real",
    "getattr(width, 'real')",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "lambda: 1",
    "(lambda: 1)()",
    "[x for x in (1,)]",
    "[1][0]",
    "{1: 2}",
    "{1}",
    "(1, 2)",
    "1,",
    "'a'",
    '"a" * 9',
    "f'{width}'",
    "f'{width.__class__}'",
    "b'a'",
    "r'a'",
    "width ** width",
    "9**9**9",
    "9 // 2",
    "9 % 2",
    "9 @ 2",
    "1 << 99",
    "1 | 2",
    "1 & 2",
    "1 ^ 2",
    "~1",
    "not 1",
    "1 and 2",
    "1 or 2",
    "1 in 2",
    "1 is 1",
    "width := 3",
    "(width := 3)",
    "width = 3",
    "1; 2",
    "import os",
    "del width",
    "assert 1",
    "pass",
    "yield 1",
    "await 1",
    "None",
    "True",
    "Ellipsis",
    "...",
    "1j",
    "1e9",
    "1E9",
    "1e1000000",
    "1_000",
    "0x10",
    "0b1",
    "1.",
    ".5",
    "1.5.2",
    "1..2",
    "Infinity",
    "NaN",
    "inf",
    "1 < 2 < 3",
    "1 < 2",
    "(1 < 2) + 1",
    "-(1 < 2)",
    "(1 < 2) * 1",
    "(1 < 2) < 3",
    "ceil(1 < 2)",
    "(1 < 2) if 1 < 2 else 3",
    "3 if 1 < 2 else (1 < 2)",
    "1 if 2 else 3",
    "1 if 1 < 2",
    "if 1 < 2 else 3",
    "else",
    "ceil",
    "ceil()",
    "ceil(1, 2)",
    "ceil(*width)",
    "ceil(x=1)",
    "min(1)",
    "min(,1)",
    "max(1,)",
    "round(1, 2, 3)",
    "round(1, width)",
    "round(1, 31)",
    "round(1, 1.5)",
    "round(1, 999999999999999999999)",
    "round(1, 2, 'nope')",
    "round(1, 2, half_up)",
    "round(1, 2, 'up', 4)",
    "round('up')",
    "pow(2, 9)",
    "sum(1, 2)",
    "int(1)",
    "price",
    "_width",
    "WIDTH",
    "width height",
    "1 2",
    "(1",
    "1)",
    "()",
    "1 +",
    "* 1",
    "+",
    "",
    " ",
    "\0",
    "1\0",
    "\ud800",
    "\uff57idth",
    "\uff11",
    "1\u00a0+ 1",
    "1 # 2",
    "1 \\\n + 1",
    "`1`",
    "$x",
    "{{7*7}}",
    "${7*7}",
    "{width}",
    "@width",
    "width?",
    "!1",
    "1 <> 2",
    "1 = 1",
    "1 === 1",
    "1 =< 1",
    "1234567890123456789",
    "0.1234567890123456789",
    "(" * 30 + "1" + ")" * 30,
    "-" * 30 + "1",
    "1 if 1 < 2 else " * 21 + "1",
    "(" * 499,
    "1+" * 220 + "1",
    "+".join(["1"] * 150),
    "1" * 501,
    "9" * 400,
]


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_what_is_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_formula(text, NAMES)


def test_every_python_builtin_and_keyword_is_refused() -> None:
    import builtins
    import keyword

    for name in {*dir(builtins), *keyword.kwlist} - set(FUNCTIONS) - {"if", "else"}:
        for text in (name, f"{name}(1)", f"1 + {name}", f"1 {name} 2"):
            with pytest.raises(ExpressionError):
                compile_formula(text, NAMES)


@pytest.mark.parametrize("text", [None, 5, b"1", Decimal(1)])
def test_only_text_is_a_formula(text: Any) -> None:
    with pytest.raises(ExpressionError):
        compile_formula(text, NAMES)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("width ** 2", 8, "unexpected '*'"),
        ("1 + price", 5, "no name 'price' (allowed: count height seconds steps width)"),
        ("1 + sqrt(4)", 5, "no function 'sqrt'"),
        ("1 + a.b", 6, "unexpected '.'"),
        ("(1 + 2", 7, "expected ')', found 'the end'"),
        ("1 if width else 2", 6, "expected a comparison"),
        ("2 * (1 < 2)", 5, "a comparison stands where a number is needed"),
        ("min(1)", 1, "min takes 2 or more values"),
        ("round(1, 2, 'x')", 13, "round takes a mode"),
    ],
)
def test_a_mistake_names_its_column(text: str, column: int, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_formula(text, NAMES)
    assert str(caught.value).startswith(f"column {column}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "values", "reason"),
    [
        ("1 / (steps - 28)", {}, "division by zero"),
        ("1 / x", {"x": Decimal("1e999999999999")}, "out of range"),
        ("x", {"x": Decimal("1e31")}, "out of range"),
        ("x", {"x": Decimal("NaN")}, "not a finite number"),
        ("x", {"x": Decimal("sNaN")}, "out of range"),
        ("x", {"x": Decimal("-Infinity")}, "not a finite number"),
        ("x * x", {"x": Decimal("1e20")}, "out of range"),
        ("x", {"x": 0.5}, "not a number"),
        ("x", {"x": "1"}, "not a number"),
        ("x", {"x": None}, "not a number"),
    ],
)
def test_arithmetic_without_an_answer(text: str, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        compute(text, **values)


def test_a_missing_value_is_an_error_and_an_unused_one_is_not() -> None:
    formula = compile_formula("width", NAMES)
    assert formula({"width": Decimal(3), "steps": Decimal("NaN")}) == 3
    with pytest.raises(ExpressionError, match="width has no value"):
        formula({})


def test_absurdly_small_values_round_to_nothing() -> None:
    assert compute("x + 1", x=Decimal("1e-999999999999")) == 1


def test_nothing_is_compiled_imported_or_executed() -> None:
    seen: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if watching and event in ("compile", "exec", "import", "open"):
            seen.append(event)

    watching = True
    sys.addaudithook(hook)  # for the rest of the process: there is no way to remove one
    try:
        for text in ["ceil(width / 3) if width > 2 else 1", *ESCAPES]:
            with contextlib.suppress(ExpressionError):
                compile_formula(text, NAMES)(VALUES)
    finally:
        watching = False
    assert seen == []


def test_the_costliest_legal_formula_has_its_answer_and_one_more_is_refused() -> None:
    text = "+".join(["steps/7"] * 50)
    assert len(text) <= MAX_LENGTH
    got = compile_formula(text, NAMES)(VALUES)
    assert abs(Fraction(got) - Fraction(VALUES["steps"]) * 50 / 7) < Fraction(1, 10**30)
    with pytest.raises(ExpressionError, match="more than 200"):
        compile_formula("+".join(["1"] * 101), NAMES)


# --- against fractions: the same text, read by Python's own parser

LEAVES = st.one_of(
    st.sampled_from(NAMES),
    st.integers(0, 9999).map(str),
    st.tuples(st.integers(0, 99), st.integers(0, 9999)).map(lambda pair: f"{pair[0]}.{pair[1]}"),
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    test = st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner).map(lambda t: " ".join(t))
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(["1000000", "1048576", "8", "2.5"])).map(lambda t: f"({t[0]} / {t[1]})"),
        st.tuples(inner, test, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(st.sampled_from(["ceil", "floor", "abs"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, st.integers(0, 6)).map(lambda t: f"round({t[0]}, {t[1]})"),
    )


FORMULAS = st.recursive(LEAVES, _grow, max_leaves=6).filter(lambda text: len(text) <= MAX_LENGTH)
MONEY = st.decimals(min_value=0, max_value=5000, places=3, allow_nan=False)
ORACLE: dict[str, Any] = {"ceil": ceil, "floor": floor, "abs": abs, "min": min, "max": max, "round": round}


def oracle(node: ast.AST, values: dict[str, Fraction], source: str) -> Any:
    match node:
        case ast.Expression(body):
            return oracle(body, values, source)
        case ast.Constant():
            return Fraction(str(ast.get_source_segment(source, node)))
        case ast.Name(name):
            return values[name]
        case ast.UnaryOp(ast.USub(), inner):
            return -oracle(inner, values, source)
        case ast.BinOp(left, sign, right):
            a, b = oracle(left, values, source), oracle(right, values, source)
            return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b, ast.Div: a / b if b else None}[type(sign)]
        case ast.Compare(left, [sign], [right]):
            a, b = oracle(left, values, source), oracle(right, values, source)
            names = {ast.Lt: a < b, ast.LtE: a <= b, ast.Gt: a > b, ast.GtE: a >= b, ast.Eq: a == b, ast.NotEq: a != b}
            return names[type(sign)]
        case ast.IfExp(test, body, other):
            return oracle(body if oracle(test, values, source) else other, values, source)
        case ast.Call(ast.Name("round"), [value, digits]):
            return round(oracle(value, values, source), int(oracle(digits, values, source)))
        case ast.Call(ast.Name(name), arguments):
            return ORACLE[name](*[oracle(argument, values, source) for argument in arguments])
    raise AssertionError(node)


def _has_huge_part(text: str, values: dict[str, Decimal]) -> bool:
    tree, known = ast.parse(text, mode="eval"), {name: Fraction(value) for name, value in values.items()}
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    return any(abs(oracle(part, known, text)) > 10**29 for part in parts)


@settings(max_examples=400)
@given(FORMULAS, st.fixed_dictionaries(dict.fromkeys(NAMES, MONEY)))
def test_legal_formulas_equal_a_fraction_oracle(text: str, values: dict[str, Decimal]) -> None:
    wanted = oracle(ast.parse(text, mode="eval"), {name: Fraction(value) for name, value in values.items()}, text)
    try:
        got = compile_formula(text, NAMES)(values)
    except ExpressionError:
        assert _has_huge_part(text, values)
        return
    if Fraction(got) != wanted:  # more digits than the context holds
        assert abs(Fraction(got) - wanted) < abs(wanted) / 10**30 + Fraction(1, 10**30)
        assert len(got.as_tuple().digits) == 40


@settings(max_examples=400)
@given(st.text(alphabet="0123456789.+-*/()<>=!, widthcelfors_'\"\n", max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        formula = compile_formula(text, NAMES)
    except ExpressionError:
        return
    with contextlib.suppress(ExpressionError):
        assert formula(VALUES).is_finite()


def test_the_functions_and_modes_of_the_language() -> None:
    assert set(FUNCTIONS) == {"ceil", "floor", "round", "min", "max", "abs"}
    assert set(ROUNDING_MODES) == {"down", "up", "half_even", "half_up", "ceiling", "floor"}
