"""What a reader of contract files takes as text, and what it refuses, and how soon."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.strict import Items, Map, file_bytes, load_text, place_of, scalar_of
from fauxvider.errors import ContractError, Place

# What YAML 1.1 makes of these is beside each; a contract keeps the text.
TRAPS = [
    "1:1", "16:9", "9:16", "1:30:00",  # sexagesimal numbers
    "no", "No", "NO", "yes", "Yes", "on", "off", "y", "n", "True", "FALSE",  # booleans
    "012", "0o17", "0x1F", "0b101", "1_000", "+12", "+.5", ".5", "5.", "1e", "--1",  # numbers
    "2026-11-20", "2026-11-20T10:00:00Z", "2026-11-20 10:00:00",  # dates
    "~", "Null", "NULL", ".inf", "-.INF", ".nan", "=", "<<",  # nulls and oddities
]  # fmt: skip


@pytest.mark.parametrize("text", TRAPS)
def test_text_that_yaml_1_1_would_change_stays_text(text: str) -> None:
    assert load_text(f"a: {text}", file="f") == {"a": text}
    assert load_text(f"[{text}]", file="f") == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None), ("", None), ("true", True), ("false", False), ("0", 0), ("-7", -7),
        ("123456789012345678", 123456789012345678),
        ("0.025", Decimal("0.025")), ("-0.5", Decimal("-0.5")), ("1e3", Decimal("1e3")), ("1.10", Decimal("1.10")),
        ('"12"', "12"), ("'true'", "true"), ('"null"', "null"),
    ],
)  # fmt: skip
def test_json_scalars_are_read_exactly(text: str, value: Any) -> None:
    read = load_text(f"a: {text}", file="f")["a"]
    assert read == value
    assert type(read) is type(value)
    assert str(read) == str(value)


def test_keys_are_the_text_that_they_look_like() -> None:
    assert load_text("404: a\ntrue: b\n16:9: c\nno: d\nnull: e", file="f") == {
        "404": "a", "true": "b", "16:9": "c", "no": "d", "null": "e",
    }  # fmt: skip


DEEP = 3000
REFUSED = {
    "the same key twice": ("a: 1\nb: 2\na: 3", 3, 1, "/a", "stands twice (first on line 1)"),
    "the same key twice further down": ("a:\n  b: {c: 1, c: 2}", 2, 13, "/a/b/c", "stands twice"),
    "an alias": ("a: 1\nb: *x", 2, 4, "/b", "aliases are not allowed"),
    "an anchor on a scalar": ("a: &x 1", 1, 4, "/a", "anchors are not allowed"),
    "an anchor on a mapping": ("a: &x {b: 1}\nc: *x", 1, 4, "/a", "anchors are not allowed"),
    "a python object": ("a: !!python/object/apply:os.system [ls]", 1, 4, "/a", "tags are not allowed"),
    "a plain tag": ("a: [1, !!str 2]", 1, 8, "/a/1", "tags are not allowed"),
    "an own tag": ("a: !x y", 1, 4, "/a", "tags are not allowed"),
    "a list as a key": ("? [a]\n: b", 1, 3, "", "a key must be text"),
    "a directive": ("%YAML 1.1\n---\na: 1", 1, 1, "", "directives are not allowed"),
    "two documents": ("a: 1\n---\nb: 2", 2, 1, "", "only one document"),
    "nothing": ("# only a remark\n", 2, 1, "", "the file is empty"),
    "a NUL": ("a: b\nc: \x00", 2, 4, "", "U+0000"),
    "a line break of YAML 1.1": ('a: "b\u2028c"', 1, 6, "", "U+2028"),
    "a tab as indent": ("a:\n\tb: 1", 2, 1, "/a", "this is not YAML"),
    "an open quote": ('a: "b\n', 2, 1, "/a", "this is not YAML"),
    "wrong indent": ("a: 1\n b: 2", 2, 3, "", "this is not YAML"),
    "a number that would hang": ("a: {b: 1e999999999999}", 1, 8, "/a/b", "out of range"),
    "a number of a thousand digits": (f"a: {'9' * 1000}", 1, 4, "/a", "too long"),
    "65 levels": ("[" * 65 + "]" * 65, 1, 65, "/0" * 64, "more than 64 levels"),
    "deep lists": ("[" * DEEP, 1, 65, "/0" * 64, "more than 64 levels"),
    "deep dashes": ("- " * DEEP, 1, 129, "/0" * 64, "more than 64 levels"),
    "deep mappings": ("{a: " * DEEP, 1, 257, "/a" * 64, "more than 64 levels"),
    "deep questions": ("? " * DEEP, 1, 3, "", "a key must be text"),
    "more than 50,000 nodes": ("- a\n" * 50_001, 50_000, 3, "/49999", "more than 50000 nodes"),
    "more than 1 MB": ("#" * 1_000_001, 1, 1, "", "more than 1000000 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_data_is_refused_with_its_place(case: str) -> None:
    text, line, column, pointer, problem = REFUSED[case]
    with pytest.raises(ContractError) as caught:
        load_text(text, file="f.yaml")
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line, place.column, place.pointer) == ("f.yaml", line, column, pointer)
    assert problem in caught.value.problem


def test_a_billion_laughs_are_refused_before_they_are_told() -> None:
    lines = ['a0: &a0 ["lol", "lol"]', *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    with pytest.raises(ContractError, match="anchors are not allowed"):
        load_text("\n".join(lines), file="f")


def test_64_levels_and_50000_nodes_are_fine() -> None:
    assert load_text("[" * 64 + "]" * 64, file="f")
    assert len(load_text("- a\n" * 49_999, file="f")) == 49_999


def test_bytes_that_are_not_utf_8_are_placed() -> None:
    with pytest.raises(ContractError, match="not UTF-8") as caught:
        load_text("a: 1\nü: ".encode() + b"\xff", file="f")
    assert (caught.value.place and (caught.value.place.line, caught.value.place.column)) == (2, 4)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert load_text(b"\xef\xbb\xbfa: 1", file="f") == {"a": 1}


def test_a_missing_file_is_an_error_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="cannot be read: No such file"):
        file_bytes(tmp_path / "none.yaml")


def test_a_pointer_finds_the_line_of_its_value_and_of_its_key() -> None:
    tree = load_text("a:\n  b/c:\n    - 1\n    - {d: e}\n", file="f")
    assert isinstance(tree, Map)
    assert isinstance(tree["a"]["b/c"], Items)
    value = place_of(tree, "/a/b~1c/1/d", file="f")
    assert (value.line, value.column) == (4, 11)
    key = place_of(tree, "/a/b~1c/1/d", file="f", of_key=True)
    assert (key.line, key.column) == (4, 8)


def test_a_pointer_to_nothing_gives_the_nearest_holder() -> None:
    tree = load_text("a:\n  b: 1\n", file="f")
    assert place_of(tree, "/a/x/y", file="f").line == 2
    assert place_of(tree, "/a/b/0", file="f").line == 2
    assert place_of(tree, "/q", file="f").line == 1


# --- any JSON value comes back as it was


class _Dumper(yaml.SafeDumper):
    """Quotes what a contract would not read as text; PyYAML's own quotes what YAML 1.1 would not."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)
        try:
            read = scalar_of(value)
        except ValueError:
            return "tag:yaml.org,2002:float"
        names = {str: "str", bool: "bool", int: "int", Decimal: "float", type(None): "null"}
        return f"tag:yaml.org,2002:{names[type(read)]}"

    def ignore_aliases(self, data: Any) -> bool:
        return True


FLOATS = st.floats(min_value=-1e20, max_value=1e20, allow_nan=False, allow_subnormal=False).filter(
    lambda number: number == 0 or abs(number) > 1e-20
)
TEXTS = st.text(max_size=40)
INTEGERS = st.integers(min_value=-(10**20), max_value=10**20)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.sampled_from(TRAPS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.sampled_from(TRAPS), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: _exact(inner) for key, inner in value.items()}
    return [_exact(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES)
def test_any_json_value_written_as_yaml_is_read_as_it_was(value: Any) -> None:
    for flow in (True, False, None):
        text = yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, allow_unicode=bool(flow))
        if set(text) & set("\x85\u2028\u2029"):  # line breaks in YAML 1.1: a contract writes them as escapes
            text = yaml.dump(value, Dumper=_Dumper, default_flow_style=flow)
        assert load_text(text, file="f.yaml") == _exact(value)


@given(VALUES)
def test_any_json_value_written_as_json_is_read_as_it_was(value: Any) -> None:
    for indent in (None, 2, "\t"):
        for ascii_only in (True, False):
            text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
            assert load_text(text, file="f.json") == _exact(value)


@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@#a1 \n\t~<", max_size=60))
def test_any_text_is_data_or_one_placed_error(text: str) -> None:
    place = _refused_at(text)
    assert place is None or (place.line >= 1 and place.column >= 1)


def _refused_at(text: str) -> Place | None:
    try:
        load_text(text, file="f.yaml")
    except ContractError as error:
        return error.place or Place("nowhere")
    return None
