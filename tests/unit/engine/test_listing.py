"""The filter language against a naive evaluator, and the names of pages."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.engine.listing import FilterError, cursor_text, parse_filter, read_cursor, sort_key

FIXED = settings(derandomize=True, deadline=None, max_examples=300)

ROW = {
    "status_code": "succeeded",
    "cost": Decimal("0.025"),
    "duration_ms": 4020,
    "client_ref": None,
    "has_logs": False,
    "created_at": "2026-01-01T00:00:04.020000Z",
    "name": "a b'c",
    "input": {"prompt": "x"},
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("status_code:succeeded", True),
        ("status_code=succeeded", True),
        ("status_code:Succeeded", False),
        ("status_code.EQ:'succeeded'", True),
        ("status_code.eq:'succeeded'", True),
        ("status_code.NE:'succeeded'", False),
        ("status_code.NE:'failed'", True),
        ('status_code:"succeeded"', True),
        ("duration_ms>4000", True),
        ("duration_ms>4020", False),
        ("duration_ms>=4020", True),
        ("duration_ms<4020", False),
        ("duration_ms<=4020", True),
        ("duration_ms:4020", True),
        ("duration_ms:4020.0", True),
        ("duration_ms.GT:'4000'", True),
        ("duration_ms.LT:4000", False),
        ("duration_ms.GE:4020", True),
        ("duration_ms.LE:4019", False),
        ("duration_ms>900", True),  # as numbers, not as texts
        ("cost:0.0250", True),
        ("cost<0.03", True),
        ("client_ref:null", True),
        ("client_ref:x", False),
        ("client_ref.NE:null", False),
        ("client_ref.NE:x", True),
        ("has_logs:false", True),
        ("has_logs:False", True),
        ("has_logs:true", False),
        ("created_at>2026-01-01T00:00:00Z", True),
        ("created_at<2026-01-01T00:00:00Z", False),
        ("created_at>'2025-12-31'", True),
        ("name:'a b'", False),
        ('name:"a b\'c"', True),
        ("nothing:1", False),
        ("NOT nothing:1", True),
        ("status_code:succeeded AND duration_ms>1", True),
        ("status_code:failed AND duration_ms>1", False),
        ("status_code:failed OR duration_ms>1", True),
        ("status_code:succeeded OR status_code:failed AND duration_ms<1", True),  # AND binds closer
        ("(status_code:succeeded OR status_code:failed) AND duration_ms<1", False),
        ("NOT status_code:failed AND NOT duration_ms<1", True),
        ("NOT (status_code:succeeded AND duration_ms>1)", False),
        ("NOT NOT status_code:succeeded", True),
        ("  status_code:succeeded  ", True),
    ],
)
def test_filters(text: str, wanted: bool) -> None:
    assert parse_filter(text)(ROW) is wanted


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "status_code", ":x", "status_code:", "AND", "status_code:a AND", "AND status_code:a", "(status_code:a",
        "status_code:a)", "()", "status_code:a status_code:b", "NOT", "status_code:a OR", "status_code.XX:a", "1a:b",
        "status_code:a AND OR status_code:b", "status_code ! a", "status_code:'a' 'b'", "{{7*7}}", "';--", "\0",
        "a:b AND " * 60 + "a:b",
    ],
)  # fmt: skip
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


@pytest.mark.parametrize(
    "value", ["NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "0x10", "1_0", "٣"]
)
@pytest.mark.parametrize("operator", [":", "=", ">", "<", ">=", "<=", ".NE:"])
@pytest.mark.parametrize("field", ["duration_ms", "cost", "status_code", "client_ref", "has_logs", "input"])
def test_odd_values_are_compared_and_nothing_breaks(field: str, operator: str, value: str) -> None:
    assert parse_filter(f"{field}{operator}{value}")(ROW) in (True, False)


def test_half_a_bracket_of_a_hundred() -> None:
    with pytest.raises(FilterError):
        parse_filter("(" * 90)
    assert parse_filter("(" * 40 + "a:b" + ")" * 40)({"a": "b"})


@FIXED
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        test = parse_filter(text)
    except FilterError:
        return
    assert test(ROW) in (True, False)


# --- a naive evaluator --------------------------------------------------------------------------------

Row = dict[str, Any]
FIELDS = ("a", "b", "c")
WORDS = st.sampled_from(["x", "y", "xy", "1", "2", "10"])
LEAVES = st.tuples(
    st.sampled_from([*FIELDS, "zz"]), st.sampled_from([":", "=", ">", "<", ">=", "<=", ".NE:", ".EQ:"]), WORDS
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.just("AND"), inner, inner),
        st.tuples(st.just("OR"), inner, inner),
    ),
    max_leaves=12,
)
ROWS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["x", "y", "xy", "1", 1, 2, 10, Decimal(2), True, None]) for name in FIELDS}
)


def written(tree: Any, *, closer: bool = False) -> str:
    """Write a tree, with brackets only where AND and OR need them."""
    if tree[0] == "NOT":
        inner = written(tree[1])
        return f"NOT ({inner})" if tree[1][0] in ("AND", "OR") else f"NOT {inner}"
    if tree[0] == "AND":
        return " AND ".join(written(part, closer=True) for part in tree[1:])
    if tree[0] == "OR":
        text = " OR ".join(written(part) for part in tree[1:])
        return f"({text})" if closer else text
    field, operator, value = tree
    return f"{field}{operator}{value}"


def holds(tree: Any, row: Row) -> bool:
    if tree[0] == "NOT":
        return not holds(tree[1], row)
    if tree[0] == "AND":
        return all(holds(part, row) for part in tree[1:])
    if tree[0] == "OR":
        return any(holds(part, row) for part in tree[1:])
    field, operator, value = tree
    if field not in row:
        return False
    return naive(row[field], operator, value)


def naive(actual: Any, operator: str, value: str) -> bool:
    if actual is None:
        return operator not in (":", "=", ".EQ:")  # no value here is the word null
    left: Any = str(actual).lower() if isinstance(actual, bool) else actual
    right: Any = value
    if isinstance(left, int | Decimal):
        left, right = (left, int(value)) if value.isdigit() else (str(left), value)
    tests: dict[str, Callable[[], bool]] = {
        ":": lambda: left == right, "=": lambda: left == right, ".EQ:": lambda: left == right,
        ".NE:": lambda: left != right, ">": lambda: left > right, "<": lambda: left < right,
        ">=": lambda: left >= right, "<=": lambda: left <= right,
    }  # fmt: skip
    return tests[operator]()


@FIXED
@given(TREES, st.lists(ROWS, min_size=1, max_size=8))
def test_filters_agree_with_a_naive_evaluator(tree: Any, rows: list[Row]) -> None:
    test = parse_filter(written(tree))
    for row in rows:
        assert test(row) is holds(tree, row), (written(tree), row)


# --- order and pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("created_at", [("created_at", False)]),
        ("created_at:asc", [("created_at", False)]),
        ("created_at:desc", [("created_at", True)]),
        ("status_code:desc, created_at", [("status_code", True), ("created_at", False)]),
    ],
)
def test_sort_keys(text: str, wanted: list[tuple[str, bool]]) -> None:
    assert sort_key(text, ROW) == wanted


@pytest.mark.parametrize(
    "text", ["nothing", "created_at:down", "created_at:desc:asc", "", ",", "created_at,", "-created_at"]
)
def test_orders_that_do_not_exist(text: str) -> None:
    with pytest.raises(FilterError, match="cannot sort by"):
        sort_key(text, ROW)


@FIXED
@given(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_a_cursor_names_its_page(newest: int, offset: int) -> None:
    text = cursor_text(newest, offset)
    assert read_cursor(text) == (newest, offset)
    assert text.isascii()
    assert not set(text) & set("=+/&?# ")  # it goes into a query as it is


@FIXED
@given(st.text(max_size=40))
def test_other_texts_are_no_cursors(text: str) -> None:
    known = read_cursor(text)
    assert known is None or read_cursor(cursor_text(*known)) == known


@pytest.mark.parametrize(
    "text", ["", "p", "cDo", "cDotMTow", "cDoxOjI6Mw", "cDoxOjJ4", "////", "é", "a" * 10_000, "cDox\n"]
)
def test_cursors_that_nobody_made(text: str) -> None:
    assert read_cursor(text) is None
