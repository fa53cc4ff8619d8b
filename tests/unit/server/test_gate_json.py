from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.gate import GateError, JsonRefusedError, dump_json, parse_json
from support.patience import patience

# In the manner of JSONTestSuite: y must be read, n must be refused.
READ: dict[bytes, Any] = {
    b"{}": {},
    b"[]": [],
    b"null": None,
    b"true": True,
    b"false": False,
    b'""': "",
    b"0": 0,
    b"-0": 0,
    b"-1": -1,
    b"1.5": 1.5,
    b"0.0": 0.0,
    b"-0.0": 0.0,
    b"0e5": 0.0,
    b"0.00E+1": 0.0,
    b"1e2": 100.0,
    b"1E+2": 100.0,
    b"1e-2": 0.01,
    b"1e308": 1e308,
    b"-1e308": -1e308,
    b"5e-324": 5e-324,
    b"1e20": 1e20,
    b"9223372036854775807": 2**63 - 1,
    b"-9223372036854775808": -(2**63),
    b"18446744073709551615": 2**64 - 1,
    b"[18446744073709551616,-0.5]": [2**64, -0.5],
    b'{"a":-9223372036854775809}': {"a": -(2**63) - 1},
    b'{"a":123456789012345678901}': {"a": 123456789012345678901},
    b"[" + b"9" * 100 + b"]": [10**100 - 1],
    b"[18446744073709551615.0]": [1.8446744073709552e19],
    b" \t\r\n[ 1 ,\n2 ] ": [1, 2],
    b'{"a":1,"b":{"a":2}}': {"a": 1, "b": {"a": 2}},
    b'[{"a":1},{"a":1}]': [{"a": 1}, {"a": 1}],
    b'{"a":"x:y","b":"\\":"}': {"a": "x:y", "b": '":'},
    b'{"a" : ":" , ":" : "a"}': {"a": ":", ":": "a"},
    b'{"\\u003a":"\\u003A"}': {":": ":"},
    b'{"a":1,"\\u0062":2}': {"a": 1, "b": 2},
    b'{"":0}': {"": 0},
    b'{"a":1,"A":2}': {"a": 1, "A": 2},
    b'"\\u0000"': "\0",
    b'"\x7f"': "\x7f",
    b'"\\"\\\\\\/\\b\\f\\n\\r\\t"': '"\\/\b\f\n\r\t',
    b'"\\ud83d\\ude00"': "\U0001f600",
    '"\U0001f600 é \u2028"'.encode(): "\U0001f600 é \u2028",
    b'"\xef\xbf\xbf"': "\uffff",
    b"[" * 64 + b"]" * 64: None,
    b'{"a":' * 64 + b"1" + b"}" * 64: None,
    b'"' + b"[" * 100 + b'"': "[" * 100,
    b"[" + b"[]," * 100 + b"[]]": None,
    b"[1," * 63 + b"[0.0]" + b"]" * 63: None,
}
REFUSED = [
    b"", b" ", b"\x00", b"\xef\xbb\xbf{}", b"\xff", b"nul", b"None", b"NaN", b"-NaN", b"Infinity", b"-Infinity",
    b"inf", b"[NaN]", b'{"a":Infinity}', b"1e400", b"-1e400", b"[1e999999999]", b"1e-400", b"[0.1e-99999]",
    b"[-1e-5000,1]", b"9" * 101, b"-" + b"9" * 100, b"9" * 4301,
    b"[" + b"9" * 300 + b"]", b"1" * 100_000, b"00", b"01", b"-", b"-01", b"+1", b"1.", b".5", b"1.e1", b"1e", b"1e+",
    b"0x1", b"1_000", b"1 2", b"--1", b"[1,]", b"[,1]", b"[1", b"1]", b"[1 2]", b"[", b"]", b"{", b"}", b"{1:2}",
    b"{a:1}", b"{'a':1}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a" 1}', b'{"a":1 "b":2}', b'{,"a":1}', b'{"a":1}}',
    b'{"a"::1}', b'["a]', b'"', b'"\\"', b"'a'", b'"\n"', b'"\t"', b'"\x00"', b'"\x1f"', b'"\\x41"', b'"\\u12"',
    b'"\\uqqqq"', b'"\\', b'"\\a"', b'"\xe9"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\xbf\xbf\xbf"', b'"\\ud800"',
    b'"\\udc00"', b'["\\ud800\\u0041"]', b'{"\\ud800":1}', b'{"a":1}//x', b"/**/1", b"[1]#", b'{"a":1}\x00',
    b"\xff\xfe1\x00", b"1\x00", b'{"a":1,"a":1}', b'{"a":1, "a":2}', b'{"a" :1,"a": 2}', b'{"a":1,"\\u0061":2}',
    b'[[{"a":{"b":1,"b":2}}]]', b'{"a":":","a":":"}', b'{"a":"\\u003a","a":1}', b'{"\\u003a":1,":":2}',
    b'{"":1,"":2}', b'{"a":1,"b":2,"a":3}', b'{"a":{"x":"::"},"a":"\\u003a\\u003a\\u003a"}', b"[" * 65 + b"]" * 65,
    b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 100_000, b"[" * 500 + b"]" * 500, b'[{"a":' * 50_000,
    b"[" * 300 + b"]" * 300, b"[1," * 64 + b"[0.0]" + b"]" * 64,
]  # fmt: skip


def numbered(bodies: Iterable[bytes]) -> list[str]:
    return [f"{number} {ascii(body)[2:20]}" for number, body in enumerate(bodies)]


@pytest.mark.parametrize("body", READ, ids=numbered(READ))
def test_read(body: bytes) -> None:
    expected = READ[body]
    value = parse_json(body)
    assert value == (json.loads(body) if expected is None else expected)
    assert type(value) is type(json.loads(body))


@pytest.mark.parametrize("body", REFUSED, ids=numbered(REFUSED))
def test_refused(body: bytes) -> None:
    with pytest.raises(JsonRefusedError) as caught:
        parse_json(body)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    assert isinstance(caught.value, ValueError)


def test_the_corpus_is_large_enough() -> None:
    assert len(READ) + len(REFUSED) >= 80


@pytest.mark.parametrize(
    ("body", "problem", "at"),
    [
        (b'{"a":1,"b":2,"b":3}', "a key stands twice", "'b'"),
        (b"[" + b"7" * 101 + b"]", "an integer has more than 100 digits", f"'{'7' * 40}...'"),
        (b"[1e-400]", "a number is too small", "'1e-400'"),
        (b"[1,]", "trailing comma is not allowed", "position 2"),
        (b"[" * 70 + b"]" * 70, "the JSON is nested too deeply", ""),
    ],
)
def test_what_is_wrong_is_said(body: bytes, problem: str, at: str) -> None:
    with pytest.raises(JsonRefusedError) as caught:
        parse_json(body)
    assert (caught.value.problem, caught.value.at) == (problem, at)


def test_the_depth_is_a_setting() -> None:
    assert parse_json(b"[[[]]]", max_depth=3) == [[[]]]
    with pytest.raises(JsonRefusedError):
        parse_json(b"[[[]]]", max_depth=2)
    assert parse_json(b"5", max_depth=0) == 5


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 0, 2]))
def test_every_writing_is_read_alike(value: Any, is_ascii: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert parse_json(body) == value


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@given(st.lists(st.tuples(st.sampled_from(["a", ":", "\\", '"', "é", "b"]), VALUES), max_size=4), st.booleans())
def test_duplicates_are_found_in_any_writing(pairs: list[tuple[str, Any]], is_ascii: bool) -> None:
    text = ",".join(f"{json.dumps(key, ensure_ascii=is_ascii)} : {json.dumps(value)}" for key, value in pairs)
    body = f"{{{text}}}".encode()
    if len(dict(pairs)) == len(pairs):
        assert parse_json(body) == dict(pairs)
    else:
        with pytest.raises(JsonRefusedError):
            parse_json(body)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0019eE-+. ntf', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except GateError:
        return
    assert dump_json(value)


def test_large_bodies_are_read_in_linear_time() -> None:
    """20 MB of base64, in whatever writing: anything but linear time would be hours."""
    picture = base64.b64encode(bytes(range(256)) * 60_000)
    for body in (b'{"image":"%s"}', b'{"image" : "%s"}', b'{"im\\u0061ge":"%s"}', b'{"a":0.0,"image": "%s"}'):
        with patience():
            assert parse_json(body % picture)
    for hostile in (b'{"a":1,"a":"%s"}', b'["%s",1e-999]', b'["%s"', b'["%s\\ud800"]'):
        with patience(), pytest.raises(JsonRefusedError):
            parse_json(hostile % picture)


@pytest.mark.parametrize(
    "body",
    [b'{"a":' + b"[" * 10_000_000, b'"\\' * 5_000_000, b"[" + b"0.0," * 1_000_000 + b"0]"],
    ids=["deep", "quotes", "zeros"],
)
def test_hostile_bodies_end_soon(body: bytes) -> None:
    with patience(), suppress(JsonRefusedError):
        parse_json(body)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"b":1,"a":[true,null,"é"]}'),
        ({"cost": Decimal("0.025")}, '{"cost":0.025}'),
        ([Decimal("1E-7"), Decimal("1E+3"), Decimal("-0.10"), Decimal("123456789012345678901234567890.5")],
         "[0.0000001,1000,-0.10,123456789012345678901234567890.5]"),
        (Decimal(4), "4"),
        ({"a": {"b": [Decimal("0.1")]}}, '{"a":{"b":[0.1]}}'),
        (2**70, "1180591620717411303424"),
        ([-(2**70), 1.5], "[-1180591620717411303424,1.5]"),
        ("\ud800x", '"\ufffdx"'),
        ({"\udfff": ["a\ud83d"], "n": Decimal("0.5")}, '{"\ufffd":["a\ufffd"],"n":0.5}'),
        (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_written(tree: Any, text: str) -> None:
    data = dump_json(tree)
    assert data == text.encode()
    json.loads(data)


@pytest.mark.parametrize(
    "tree",
    [
        math.nan, [math.inf], {"a": {"b": [None, -math.inf]}}, Decimal("NaN"), [Decimal("Infinity")], Decimal("sNaN"),
     Decimal("1e1000000"), {"a": [Decimal("1e-1000000")]}],
)  # fmt: skip
def test_what_is_no_json_is_never_written(tree: Any) -> None:
    with pytest.raises(ValueError, match="no JSON number"):
        dump_json(tree)


@pytest.mark.parametrize("tree", [{1: 2}, object(), {"a": {1, 2}}, b"bytes", {None: "\ud800"}])
def test_mistakes_of_ours_are_type_errors(tree: Any) -> None:
    with pytest.raises(TypeError):
        dump_json(tree)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**12), max_value=10**12))
def test_decimals_are_exact(money: Decimal) -> None:
    assert json.loads(dump_json({"cost": money}), parse_float=Decimal, parse_int=Decimal) == {"cost": money}


@given(st.recursive(st.text(alphabet=st.characters(), max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_whatever_is_written_a_strict_reader_reads(tree: Any) -> None:
    assert orjson.loads(dump_json(tree)) is not None
