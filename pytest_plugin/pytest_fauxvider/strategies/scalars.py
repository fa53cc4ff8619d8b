"""Texts and numbers of a JSON Schema, by construction; the ends of a range come as often as its middle."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import ceil, floor, lcm
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from jsonschema_rs.canonical import IntegerView, NumberView, StringView

from fauxvider.errors import UsageError
from pytest_fauxvider.strategies.automaton import Joint, Texts, texts

__all__ = ["FORMATS", "integers_of", "numbers", "numbers_of", "plain_texts", "texts_of"]

Number: TypeAlias = int | float | Decimal

# What every JSON reader takes without loss (RFC 8259, section 6).
_SAFE: Final = 2**53 - 1
_WIDE: Final = 1e15
_LONG: Final = 10_000  # a text at its length limit, if that is no longer
_USUAL: Final = 40
_PERIOD: Final = 100_000
_SELDOM: Final = 7  # one time in eight

_HOST = r"[a-z]{1,9}\.(com|org|test)"
FORMATS: Final[dict[str, str]] = {
    "date": r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$",
    "time": r"^([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$",
    "date-time": r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{3})?Z$",
    "duration": r"^P[1-9]\d?D$",
    "email": rf"^[a-z][a-z0-9]{{0,9}}@{_HOST}$",
    "idn-email": rf"^[a-z][a-z0-9]{{0,9}}@{_HOST}$",
    "hostname": rf"^{_HOST}$",
    "idn-hostname": rf"^{_HOST}$",
    "ipv4": r"^((\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])\.){3}(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$",
    "ipv6": r"^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$",
    "uri": rf"^https?://{_HOST}(/[a-z0-9]{{1,9}}){{0,2}}$",
    "uri-reference": rf"^https?://{_HOST}(/[a-z0-9]{{1,9}}){{0,2}}$",
    "iri": rf"^https?://{_HOST}(/[a-z0-9]{{1,9}}){{0,2}}$",
    "iri-reference": rf"^https?://{_HOST}(/[a-z0-9]{{1,9}}){{0,2}}$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "json-pointer": r"^(/[a-z0-9]{1,5}){0,3}$",
    "regex": r"^[a-z]{0,9}$",
}


# --- texts


def plain_texts(low: int = 0, high: int | None = None) -> st.SearchStrategy[str]:
    """Give texts of any characters that UTF-8 has, often as short or as long as can be."""
    usual = st.text(min_size=low, max_size=low + _USUAL if high is None else min(high, low + _USUAL))
    if low > _USUAL:  # one character over and over: as long, and cheap to draw
        usual = st.characters(codec="utf-8").map(lambda one: one * low)
    if high is None or not low < high <= _LONG:
        return usual
    # Whether it is stretched comes last and is most often no, so that texts shrink as usual.
    return st.tuples(usual, st.integers(0, _SELDOM)).map(
        lambda pair: pair[0].ljust(high, pair[0][-1:] or "0") if pair[1] == _SELDOM else pair[0]
    )


def texts_of(view: StringView) -> st.SearchStrategy[str]:
    """Give the texts that fit a canonical string schema."""
    if view.excluded_formats:
        raise UsageError(f"no text can be made that is not of the format {view.excluded_formats[0]!r}")
    low, high = view.min_length or 0, view.max_length
    patterns = [*view.patterns, *(FORMATS[name] for name in view.formats if name in FORMATS)]
    excluded = [*view.excluded_patterns, *map(_exactly, view.excluded)]
    if not patterns and not view.excluded_patterns and high is None:
        known = frozenset(view.excluded)
        return plain_texts(low).map(lambda text: _other_than(known, text)) if known else plain_texts(low)
    if not patterns and not excluded:
        return plain_texts(low, high)
    made = texts(tuple(patterns), tuple(excluded), low, high)
    return _walked(made) if made.lengths else st.nothing()


def _other_than(known: frozenset[str], text: str) -> str:
    while text in known:
        text += "0"
    return text


def _exactly(text: str) -> str:
    return "^" + "".join(f"\\u{{{ord(one):x}}}" for one in text) + "$"


@st.composite
def _walked(draw: st.DrawFn, made: Texts) -> str:
    lengths = made.lengths
    length = draw(st.sampled_from(lengths)) if len(lengths) > 1 else lengths[0]
    state: Joint = made.first
    chars: list[str] = []
    for left in range(length, 0, -1):
        groups = made.choices(state, left)
        group, state = groups[0] if len(groups) == 1 else draw(st.sampled_from(groups))
        chars.append(group if len(group) == 1 else draw(st.sampled_from(group)))
    return "".join(chars)


# --- numbers


def numbers() -> st.SearchStrategy[Any]:
    """Give numbers that every reader of JSON takes alike."""
    return st.one_of(st.integers(-_SAFE, _SAFE), _floats(None, None, is_open=(False, False)))


def integers_of(view: IntegerView) -> st.SearchStrategy[int]:
    """Give the whole numbers that fit a canonical integer schema."""
    return _whole(view.minimum, view.maximum, _wholes(view.multiple_of), _wholes(view.not_multiple_of))


def numbers_of(view: NumberView) -> st.SearchStrategy[Any]:
    """Give the numbers that fit a canonical number schema."""
    low, high = view.minimum, view.maximum
    is_open = view.exclusive_minimum, view.exclusive_maximum
    step, bans = _wholes(view.multiple_of), _wholes(view.not_multiple_of)
    whole_low = None if low is None else floor(low) + 1 if is_open[0] else ceil(low)
    whole_high = None if high is None else ceil(high) - 1 if is_open[1] else floor(high)
    wholes = st.nothing() if view.excludes_integers else _whole(whole_low, whole_high, step, bans)
    if step:
        return wholes
    if bans or view.excludes_integers:
        return wholes | _halves(low, high)
    return wholes | _floats(low, high, is_open=is_open)


def _wholes(values: Sequence[Number]) -> list[int]:
    if any(value != int(value) for value in values):
        raise UsageError("multipleOf takes a whole number")
    return [int(value) for value in values]


def _whole(low: int | None, high: int | None, multiples: list[int], bans: list[int]) -> st.SearchStrategy[int]:
    """Give whole numbers in a range that are multiples of some and of none of others."""
    least = low if low is not None else min(-_SAFE, high or 0)
    most = high if high is not None else max(_SAFE, low or 0)
    step = lcm(1, *multiples)
    period = lcm(step, *bans)
    if period // step > _PERIOD:
        raise UsageError("multipleOf with such divisors leaves too many cases")
    rests = [rest for rest in range(0, period, step) if all(rest % ban for ban in bans)]
    spans = {rest: (_ceil_div(least - rest, period), (most - rest) // period) for rest in rests}
    fits = [rest for rest, (first, last) in spans.items() if first <= last]
    if not fits:
        return st.nothing()

    has_ends = low is not None and high is not None

    def of(rest: int) -> st.SearchStrategy[int]:
        first, last = spans[rest]
        return (_ended(first, last) if has_ends else st.integers(first, last)).map(lambda times: times * period + rest)

    return of(fits[0]) if len(fits) == 1 else st.sampled_from(fits).flatmap(of)


def _ended(first: int, last: int) -> st.SearchStrategy[int]:
    """Give whole numbers in a range, one of its ends one time in five. It is one choice, so that it shrinks as one."""
    further = max(2, (last - first + 1) // 4)
    if first == last:
        return st.just(first)
    if last >= 0:
        return st.integers(first, last + further).map(
            lambda number: number if number <= last else last if (number - last) % 2 else first
        )
    return st.integers(first - further, last).map(
        lambda number: number if number >= first else first if (first - number) % 2 else last
    )


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _halves(low: Number | None, high: Number | None) -> st.SearchStrategy[float]:
    """Give numbers that are no whole ones, inside a range."""
    first = -1000 if low is None else floor(low)
    last = max(first, 1000) if high is None else ceil(high) - 1
    inside = [
        whole + part
        for whole in {first, first + 1, last - 1, last}
        for part in (0.5, 0.25, 0.75)
        if (low is None or whole + part > low) and (high is None or whole + part < high)
    ]
    return st.sampled_from(sorted(inside, key=abs)) if inside else st.nothing()


def _floats(low: Number | None, high: Number | None, *, is_open: tuple[bool, bool]) -> st.SearchStrategy[float]:
    least = float(low) if low is not None else min(-_WIDE, float(high or 0))
    most = float(high) if high is not None else max(_WIDE, float(low or 0))
    if least > most or (least == most and any(is_open)):
        return st.nothing()
    return st.floats(
        least,
        most,
        exclude_min=low is not None and is_open[0],
        exclude_max=high is not None and is_open[1],
        allow_nan=False,
        allow_infinity=False,
        allow_subnormal=False,
    ).map(lambda number: number + 0.0)  # minus zero is zero
