from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.errors import UsageError
from fauxvider.values import decimal_text, parse_moment, parse_money, parse_size, parse_span, span_text

FIXED = settings(derandomize=True, deadline=None, max_examples=300)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0s", 0), ("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000),
        ("7d 1s", 604_801_000), ("7d1s", 604_801_000), (" 1m  30s ", 90_000), ("1.5s", 1500), ("0.5ms", 0),
        ("1.999s", 1999), ("1s 1s", 2000), ("1s 7d", 604_801_000), (0, 0), (1, 1000), (2.5, 2500), (0.0015, 1),
        (Decimal("2.5"), 2500), (10**11, 10**14),
    ],
)  # fmt: skip
def test_spans(text: Any, ms: int) -> None:
    assert parse_span(text) == ms


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "10", "s", "10 s x", "-1s", "1,5s", "1.2345s", "1e3s", "1S", "1 week", "+1s", "1s-", "٣s", "\u0661d",
        -1, -0.5, 10**12, float("nan"), float("inf"), True, False, None, [], {}, b"1s", Decimal("NaN"),
        "999999999999d", "1" * 400 + "s",
    ],
)  # fmt: skip
def test_what_is_no_span(value: Any) -> None:
    with pytest.raises(UsageError, match="span"):
        parse_span(value)


@FIXED
@given(st.integers(0, 10**14))
def test_a_span_is_read_as_it_was_written(ms: int) -> None:
    assert parse_span(span_text(ms)) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (-5, "0s"), (1, "1ms"), (1000, "1s"), (604_801_000, "7d 1s"), (90_061_001, "1d 1h 1m 1s 1ms")],
)
def test_shown_spans(ms: int, text: str) -> None:
    assert span_text(ms) == text


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0), (1000, 1000), ("2000", 2000), ("1000B", 1000), ("10kB", 10_000), ("10KB", 10_000), ("50MB", 50_000_000),
        ("10MiB", 10_485_760), ("1 GiB", 1 << 30), ("2GB", 2 * 10**9), (" 5KiB ", 5120),
    ],
)  # fmt: skip
def test_sizes(value: Any, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", [-1, 1.5, True, "", "MB", "-2", "1.5MB", "1TB", "1mb", "1 M", "0x10", None, [], b"1"])
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "money"),
    [
        ("0.025", "0.025"),
        (5, "5"),
        ("-3", "-3"),
        (Decimal("0.10"), "0.10"),
        ("1e3", "1E+3"),
        ("0", "0"),
        ("1e30", "1E+30"),
    ],
)
def test_money(value: Any, money: str) -> None:
    found = parse_money(value)
    assert found == Decimal(money)
    assert isinstance(found, Decimal)


@pytest.mark.parametrize(
    "value",
    [0.1, True, "", "x", None, [], "NaN", "sNaN", "Infinity", "1e31", "1e1000000", "1e-1000000", "1" * 40, 10**40],
)
def test_what_is_no_money(value: Any) -> None:
    with pytest.raises(UsageError):
        parse_money(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("4", "4"), ("4.00", "4"), ("0.0250", "0.025"), ("1E+3", "1000"), ("1E-7", "0.0000001"), ("-0", "0"),
     ("-0.0", "0"), ("0E+5", "0"), ("100", "100"), ("-1.50", "-1.5"), ("0.10", "0.1")],
)  # fmt: skip
def test_money_as_text(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@FIXED
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=8))
def test_text_keeps_every_digit(money: Decimal) -> None:
    text = decimal_text(money)
    assert Decimal(text) == money
    assert "E" not in text.upper()
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1_767_225_600_000, 1_767_225_600_000),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600_000),
        ("2026-11-20T09:15:30.250Z", 1_795_166_130_250),
        ("2026-11-20T09:15:30.250999Z", 1_795_166_130_250),
        ("20260101T000000Z", 1_767_225_600_000),
    ],
)
def test_moments(value: Any, ms: int) -> None:
    assert parse_moment(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01T00:00:00", "2026-01-01", "soon", "", "1767225600000", -1, 10**14, 1.5, True, None, [], b"2026",
        "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_moment(value: Any) -> None:
    with pytest.raises(UsageError, match="moment"):
        parse_moment(value)


@FIXED
@given(st.integers(0, 10**14 - 1))
def test_both_ways_to_write_a_moment_agree(ms: int) -> None:
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()
    assert parse_moment(text) == parse_moment(ms) == ms
