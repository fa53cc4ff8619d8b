from __future__ import annotations

import json
from collections import UserDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.formats import json_text
from fauxvider.contract.templates import (
    FORMATS,
    OMIT,
    Lazy,
    TemplateCompiler,
    compile_template,
    names_used,
    text_of,
)
from fauxvider.errors import ContractError, Place

NOW = 1_774_605_602_001  # 2026-03-27T10:00:02.001Z


@dataclass(frozen=True, slots=True)
class Thing:
    id: str
    status: str
    cost: Decimal | None = None
    failure: Any = None
    _hidden: str = "no"


JOB = Thing("j1", "DONE", Decimal("0.0250"), {"error": "bad"})


def render(tree: Any, views: dict[str, Any] | None = None, /, **scope: Any) -> Any:
    return compile_template(tree, views=views or {})(scope)


# --- text


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{job.id}", "j1"),
        ("a-{job.id}-b", "a-j1-b"),
        ("{{job.id}}", "{job.id}"),
        ("{{{job.id}}}", "{j1}"),
        ("}}{{", "}{"),
        ("{n}", 3),
        ("{n}!", "3!"),
        ("{yes}", True),
        ("{yes}/{no}/{nil}/{absent}", "true/false//"),
        ("{absent}", None),
        ("{absent.a.b}", None),
        ("{job.absent}", None),
        ("{job.cost}", Decimal("0.0250")),
        ("{job.cost} USD", "0.025 USD"),
        ("{tree}", {"a": [1, {"b": "x"}]}),
        ("see {tree}", 'see {"a":[1,{"b":"x"}]}'),
        ("{tree.a.1.b}", "x"),
        ("{tree.a.0}", 1),
        ("{tree.a.7}", None),
        ("{tree.a.-1}", None),
        ("{tree.a.x}", None),
        ("{list.0}", 10),
        ("{header.x-trace-id}", "t"),
        ("{other.key}", "mapped"),
        ("{n.real}", None),
        ("{job.id.upper}", None),
        ("{tree.keys}", None),
        ("{job._hidden}", None),
        ("{job.__class__}", None),
        ("{under._id}", "u"),
        ("{under._deep.x}", 4),
        (7, 7),
        (None, None),
        (True, True),
        (["{n}", "{absent}", "{absent?}"], [3, None]),
        ({"a": "{absent?}", "b": 1, "c": "{n?}"}, {"b": 1, "c": 3}),
        ({"a": "id {absent?}", "b": "id {n?}"}, {"b": "id 3"}),
        ("{absent?}", None),
        ({"a": {"b": "{absent?}"}}, {"a": {}}),
    ],
)
def test_text(template: Any, wanted: Any) -> None:
    scope = {
        "job": JOB,
        "n": 3,
        "yes": True,
        "no": False,
        "nil": None,
        "tree": {"a": [1, {"b": "x"}]},
        "list": [10],
        "header": {"x-trace-id": "t"},
        "other": UserDict({"key": "mapped"}),
        "under": {"_id": "u", "_deep": {"x": 4}},
    }
    got = render(template, **scope)
    assert got == wanted
    assert type(got) is type(wanted)


def test_key_order_and_constants_are_kept() -> None:
    template = compile_template({"z": "{a}", "k": 1, "b": "{b?}", "a": [1, 2]}, views={})
    assert list(template({"a": 1, "b": 2})) == ["z", "k", "b", "a"]
    assert list(template({"a": 1})) == ["z", "k", "a"]
    assert template({"a": 5}) == {"z": 5, "k": 1, "a": [1, 2]}


CANARIES = ["{{7*7}}", "{job.id}", "{{job.id}}", "${7*7}", "#{x}", "<%= 1 %>", "{job.id", "$ref", "{x|json}", "}{"]


@pytest.mark.parametrize("canary", CANARIES)
def test_values_are_never_read_as_templates(canary: str) -> None:
    scope = {"job": JOB, "body": {"prompt": canary}, "x": 1}
    assert render("{body.prompt}", **scope) == canary
    assert render("<{body.prompt}>", **scope) == f"<{canary}>"
    assert render({"$json": {"p": "{body.prompt}"}}, **scope) == json.dumps({"p": canary}, separators=(",", ":"))
    assert render({"$first": ["{body.prompt}"]}, **scope) == canary


@given(st.text())
def test_any_text_goes_through_unchanged(text: str) -> None:
    assert render("{a.b}", a={"b": text}) == text
    assert render("[{a.b}]", a={"b": text}) == f"[{text}]"


# --- lazy values


def test_a_lazy_value_is_made_once_and_only_when_asked_for() -> None:
    calls: list[int] = []

    def make() -> list[dict[str, int]]:
        calls.append(1)
        return [{"n": 1}, {"n": 2}]

    scope = {"outputs": Lazy(make), "job": JOB}
    assert render("{job.id}", **scope) == "j1"
    assert calls == []
    tree = {"all": {"$each": "outputs", "$item": "{item.n}"}, "first": "{outputs.0.n}", "list": "{outputs}"}
    assert render(tree, **scope) == {"all": [1, 2], "first": 1, "list": [{"n": 1}, {"n": 2}]}
    assert calls == [1]


def test_a_lazy_object_is_read_by_name() -> None:
    scope = {"account": Lazy(lambda: {"balance": Decimal(5)}), "job": Lazy(lambda: JOB)}
    assert render(["{account.balance}", "{job.id}", "{job.failure.error}"], **scope) == [Decimal(5), "j1", "bad"]


# --- forms


def test_view() -> None:
    views = {"record": {"id": "{job.id}", "more": {"$view": "inner"}}, "inner": ["{n}"]}
    assert render({"$view": "record"}, views, job=JOB, n=1) == {"id": "j1", "more": [1]}
    assert render({"$view": "gone"}, {"gone": "{absent?}"}) is None
    assert render({"a": {"$view": "gone"}}, {"gone": "{absent?}"}) == {}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("queued", "Q"), ("done", "j1"), (True, "T"), (False, "F"), (None, "N"), (4, "four"), ("x", None), ([1], None)],
)
def test_case(value: Any, wanted: Any) -> None:
    of = {"queued": "Q", "done": "{job.id}", "true": "T", "false": "F", "null": "N", "4": "four"}
    assert render({"$case": "v", "$of": of}, v=value, job=JOB) == wanted
    assert render({"$case": "v", "$of": of, "$else": "{n}"}, v=value, job=JOB, n=0) == (0 if wanted is None else wanted)


def test_case_branches_may_omit_and_names_take_formats() -> None:
    tree = {"a": {"$case": "v|lower", "$of": {"x": "{absent?}", "y": 1}}}
    assert render(tree, v="X") == {}
    assert render(tree, v="Y") == {"a": 1}
    assert render({"$case": "v", "$of": {True: 1, 2: 2, None: 3}}, v=True) == 1


def test_each() -> None:
    tree = {"$each": "rows", "$item": {"n": "{item.n}", "job": "{job.id}"}}
    assert render(tree, rows=[{"n": 1}, {"n": 2}], job=JOB) == [{"n": 1, "job": "j1"}, {"n": 2, "job": "j1"}]
    assert render({"$each": "rows", "$item": "{item.n?}"}, rows=({"n": 1}, {}, {"n": None})) == [1]
    assert render({"$each": "rows", "$item": "{item}"}, rows=["a", "b"], item="outer") == ["a", "b"]
    nested = {"$each": "rows", "$item": {"$each": "item.inner", "$item": "{item}"}}
    assert render(nested, rows=[{"inner": [1, 2]}, {"inner": []}]) == [[1, 2], []]


def test_each_may_name_its_element() -> None:
    inner = {"$each": "row.cells", "$as": "cell", "$item": "{row.n}{cell}"}
    tree = {"$each": "rows", "$as": "row", "$item": inner}
    assert render(tree, rows=[{"n": 1, "cells": ["a", "b"]}, {"n": 2, "cells": []}]) == [["1a", "1b"], []]


@pytest.mark.parametrize("rows", [None, "text", 5, {"a": 1}, b"bytes"])
def test_each_over_what_is_no_list_is_empty(rows: Any) -> None:
    assert render({"$each": "rows", "$item": "{item}"}, rows=rows) == []


def test_json_form() -> None:
    tree = {"a": {"$json": {"cost": "{job.cost}", "gone": "{absent?}", "t": "é\n", "l": [True, None]}}}
    assert render(tree, job=JOB) == {"a": '{"cost":0.025,"t":"é\\n","l":[true,null]}'}
    assert render({"a": {"$json": "{absent?}"}}) == {}


def test_first_form() -> None:
    assert render({"$first": ["{a}", "{b}", "{c}"]}, a=None, b=0, c=1) == 0
    assert render({"$first": ["{a}", "{b}"]}) is None
    assert render({"x": {"$first": ["{a?}", "{b?}"]}}) == {}
    assert render({"x": {"$first": ["{a?}", "{b}"]}}) == {"x": None}
    assert render({"x": {"$first": ["{a?}", 3]}}) == {"x": 3}


def test_merge_form() -> None:
    tree = {"$merge": [{"a": 1, "b": 2}, "{more}", {"b": "{gone?}"}, {"$view": "v"}]}
    assert render(tree, {"v": {"z": 26}}, more={"b": 3, "c": 4}) == {"a": 1, "b": 3, "c": 4, "z": 26}
    assert render({"$merge": ["{a}", "{b}"]}, a=None, b=[1]) == {}


# --- formats

FORMATTED = [
    ("now|iso_s_z", "2026-03-27T10:00:02Z"),
    ("now|iso_ms_z", "2026-03-27T10:00:02.001Z"),
    ("now|iso_us_z", "2026-03-27T10:00:02.001000Z"),
    ("now|python_utc", "2026-03-27T10:00:02.001000+00:00"),
    ("whole|python_utc", "2026-03-27T10:00:02+00:00"),
    ("now|stamp", "2026_03_27_10_00_02_001"),
    ("now|amz", "20260327T100002Z"),
    ("now|epoch_s", 1_774_605_602),
    ("now|epoch_ms", NOW),
    ("now|http_date", "Fri, 27 Mar 2026 10:00:02 GMT"),
    ("zero|iso_ms_z", "1970-01-01T00:00:00.000Z"),
    ("money|plain", "0.025"),
    ("money|number", Decimal("0.025")),
    ("money|cents", 2),
    ("n|cents", 4200),
    ("big|plain", "10000000000"),
    ("tiny|plain", "0.000000000001"),
    ("tiny|text", "0.000000000001"),
    ("n|number", 42),
    ("n|plain", "42"),
    ("float|number", Decimal("0.85")),
    ("n|text", "42"),
    ("money|text", "0.025"),
    ("tree|json", '{"a":[1,null,true,"é"]}'),
    ("word|lower", "héllo/wörld.png"),
    ("word|upper", "HÉLLO/WÖRLD.PNG"),
    ("abc|sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("abc|md5", "900150983cd24fb0d6963f7d28e17f72"),
    ("abc|base64", "YWJj"),
    ("raw|base64", "AP8="),
    ("abc|first:2", "ab"),
    ("list|first:2", [1, 2]),
    ("abc|first:0", ""),
    ("list|length", 3),
    ("abc|length", 3),
    ("tree|length", 1),
    ("n|seconds", Decimal("0.042")),
    ("four|seconds", 4),
    ("word|last_segment", "Wörld.png"),
    ("abc|last_segment", "abc"),
    ("word|filename", "W_rld.png"),
    ("evil|filename", "passwd"),
    ("dots|filename", "file"),
    ("word|last_segment|lower|first:1", "w"),
    ("absent|iso_ms_z", None),
    ("abc|iso_ms_z", None),
    ("abc|number", None),
    ("yes|number", None),
    ("abc|seconds", None),
    ("float|iso_s_z", None),
    ("float|iso_ms_z", None),
]

VALUES = {
    "now": NOW,
    "whole": NOW - 1,
    "zero": 0,
    "money": Decimal("0.02500"),
    "big": Decimal("1E+10"),
    "tiny": Decimal("1E-12"),
    "n": 42,
    "float": 0.85,
    "tree": {"a": [1, None, True, "é"]},
    "word": "Héllo/Wörld.png",
    "abc": "abc",
    "raw": b"\x00\xff",
    "list": [1, 2, 3],
    "four": 4000,
    "evil": "..\\../etc/passwd",
    "dots": "a/...",
    "yes": True,
}


@pytest.mark.parametrize(("inside", "wanted"), FORMATTED)
def test_formats(inside: str, wanted: Any) -> None:
    got = render("{" + inside + "}", **VALUES)
    assert got == wanted
    assert type(got) is type(wanted)
    if isinstance(wanted, str | None):
        assert render("<{" + inside + "}>", **VALUES) == f"<{wanted or ''}>"


def test_every_format_of_the_language_is_there_and_is_tested() -> None:
    words = {"iso_s_z", "iso_ms_z", "iso_us_z", "python_utc", "stamp", "amz", "epoch_s", "epoch_ms", "http_date"}
    words |= {
        "plain",
        "number",
        "cents",
        "text",
        "json",
        "lower",
        "upper",
        "sha256",
        "md5",
        "base64",
        "length",
        "seconds",
    }
    words |= {"last_segment", "filename"}
    assert set(FORMATS) == words
    assert {inside.split("|")[1].split(":")[0] for inside, _ in FORMATTED} == {*words, "first"}


def test_an_optional_value_that_a_format_cannot_read_is_omitted() -> None:
    assert render({"a": "{x?|iso_ms_z}"}, x="text") == {}
    assert render({"a": "{x?|iso_ms_z}"}, x=0) == {"a": "1970-01-01T00:00:00.000Z"}


BOMBS: dict[str, Any] = {
    "int": 10**6000,
    "large": Decimal("1e1000000"),
    "small": Decimal("-1e-1000000"),
    "nan": Decimal("NaN"),
    "infinity": Decimal("Infinity"),
    "float": 1e308,
    "negative": -(2**70),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", [*FORMATS, "first:3"])
def test_numeric_bombs_are_harmless(name: str, bomb: str) -> None:
    got = render("{x|" + name + "}", x=BOMBS[bomb])
    assert len(json_text(got)) < 2000
    assert len(render("-{x}-", x=BOMBS[bomb])) < 2000


# --- JSON text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_text_is_what_the_standard_library_writes(tree: Any) -> None:
    assert json_text(tree) == json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def test_json_text_of_other_values() -> None:
    assert json_text({"a": (1, Decimal("0.10")), "b": Decimal("1E+3")}) == '{"a":[1,0.1],"b":1000}'
    assert json_text([float("inf"), Decimal("NaN"), object()]) == "[null,null,null]"
    assert text_of(object()) == ""
    assert repr(OMIT) == "OMIT"


# --- mistakes

WRONG: list[tuple[Any, str, str]] = [
    ({"a": ["x", "{job.id"]}, "/a/1", "single '{'"),
    ("}", "", "single '}'"),
    ("{}", "", "not a name"),
    ("{a b}", "", "not a name"),
    ("{a..b}", "", "not a name"),
    ("{a.b()}", "", "not a name"),
    ("{a[0]}", "", "not a name"),
    ("{?}", "", "not a name"),
    ("{a|nope}", "", "no format 'nope'"),
    ("{a|}", "", "no format ''"),
    ("{a|text:3}", "", "no format 'text:3'"),
    ("{a|first}", "", "whole number"),
    ("{a|first:x}", "", "whole number"),
    ({"x/y": {"~": "{"}}, "/x~1y/~0", "single"),
    ({"$view": "nope"}, "", "no view 'nope'"),
    ({"$view": ["nope"]}, "", "no view"),
    ({"a": {"$nope": 1}}, "/a", "unknown form"),
    ({"$view": "ok", "extra": 1}, "", "'extra' does not belong to $view"),
    ({"$case": "x"}, "/$of", "needs $of"),
    ({"$case": "{x}", "$of": {}}, "/$case", "without braces"),
    ({"$case": "x?", "$of": {}}, "/$case", "without braces or ?"),
    ({"$case": "x", "$of": {"a": "{"}}, "/$of/a", "single"),
    ({"$case": "x", "$of": {}, "$else": ["{"]}, "/$else/0", "single"),
    ({"$case": "x|nope", "$of": {}}, "/$case", "no format"),
    ({"$each": "x"}, "", "needs $item"),
    ({"$each": "x", "$item": 1, "$as": "a.b"}, "/$as", "$as is a name"),
    ({"$each": "x", "$item": {"a": "{"}}, "/$item/a", "single"),
    ({"$json": {"a": "{"}}, "/$json/a", "single"),
    ({"$first": "x"}, "/$first", "takes a list"),
    ({"$first": []}, "/$first", "takes a list"),
    ({"$merge": ["{a}", "{"]}, "/$merge/1", "single"),
    ({"a": {"$view": "self"}}, "/a/$view", "shows itself: self -> self"),
    ({"$view": "one"}, "/$view", "shows itself: one -> two -> one"),
    ({"$view": "bad"}, "/$view", "in view 'bad' at /k/0: a single"),
    ({"$view": "worse"}, "/$view", "in view 'bad' at /k/0: a single"),
]
VIEWS: dict[str, Any] = {
    "ok": 1,
    "self": {"$view": "self"},
    "one": [{"$view": "two"}],
    "two": {"x": {"$view": "one"}},
    "bad": {"k": ["{"]},
    "worse": {"$view": "bad"},
}


@pytest.mark.parametrize(("tree", "pointer", "problem"), WRONG)
def test_mistakes_say_what_and_where(tree: Any, pointer: str, problem: str) -> None:
    with pytest.raises(ContractError) as caught:
        compile_template(tree, views=VIEWS, where=lambda at: Place("c.yaml", 3, 5, f"/views{at}"))
    assert problem in caught.value.problem
    assert caught.value.place == Place("c.yaml", 3, 5, f"/views{pointer}")


def test_a_compiler_survives_a_mistake() -> None:
    compiler = TemplateCompiler(VIEWS)
    with pytest.raises(ContractError):
        compiler.compile({"$view": "one"})
    with pytest.raises(ContractError, match="shows itself"):
        compiler.compile({"$view": "one"})
    assert compiler.compile({"$view": "ok"})({}) == 1


# --- names


def test_names_used() -> None:
    tree = {
        "a": "{job.id} {job.cost?|plain}",
        "b": {"$case": "job.state|lower", "$of": {"x": "{now}"}, "$else": "{input.a}"},
        "c": {"$each": "outputs", "$item": "{item.url}"},
        "d": {"$view": "v"},
        "e": [{"$json": "{body}"}, {"$first": ["{a}", 1]}, {"$merge": ["{m.x}"]}],
        "f": "{{not.this}}",
    }
    wanted = {"job.id", "job.cost", "job.state", "now", "input.a", "outputs", "item.url"}
    assert names_used(tree, {"v": "{mint.worker}"}) == wanted | {"mint.worker", "body", "a", "m.x"}
    assert names_used({"a": 1}, {}) == set()
