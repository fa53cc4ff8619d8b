from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Answer, Envelope, ErrorFace
from fauxvider.contract.templates import compile_template
from fauxvider.service.encoding import error_reply, header_pairs, reply, xml_text

FIXED = settings(derandomize=True, deadline=None, max_examples=300)


def template(tree: Any) -> Any:
    return compile_template(tree, views={})


def headers(**given: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name.replace("_", "-"), template(text)) for name, text in given.items())


def test_json_is_compact_exact_and_in_order() -> None:
    made = reply(Answer(201, template({"z": "{cost}", "a": "{text}"})), {"cost": Decimal("0.02097152"), "text": "é"})
    assert (made.status, made.body) == (201, '{"z":0.02097152,"a":"é"}'.encode())
    assert made.headers == [(b"content-type", b"application/json")]


def test_text() -> None:
    made = reply(Answer(200, template("<b>{text}</b>"), is_text=True), {"text": "ü"})
    assert (made.body, made.headers) == ("<b>ü</b>".encode(), [(b"content-type", b"text/plain")])


def test_an_answer_without_a_body_has_none() -> None:
    made = reply(Answer(204), {})
    assert (made.status, made.body, made.headers) == (204, b"", [])


def test_a_contract_s_header_replaces_the_usual_one() -> None:
    answer = Answer(
        200, template({}), headers(Content_Type="application/problem+json", X_Run="{id}", X_None="{nothing}")
    )
    made = reply(answer, {"id": 5}, more=[(b"x-limit", b"1")], operation="run", job="j")
    assert made.headers == [(b"content-type", b"application/problem+json"), (b"x-run", b"5"), (b"x-limit", b"1")]
    assert (made.operation, made.job) == ("run", "j")


ENVELOPES = {
    "json": Envelope("json", "application/json", template({"code": "{error.code}", "status": "{error.status}"})),
    "xml": Envelope("xml", "application/xml", template({"Code": "{error.code}"}), root="Error"),
    "html": Envelope("html", "text/html", template("<h1>{error.code}</h1>"), is_text=True),
}


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("json", b'{"code":"NO <a>","status":402}', b"application/json"),
        (
            "xml",
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NO &lt;a&gt;</Code></Error>',
            b"application/xml",
        ),
        ("html", b"<h1>NO <a></h1>", b"text/html"),
    ],
)
def test_refusals(name: str, body: bytes, kind: bytes) -> None:
    face = ErrorFace("funds", 402, ENVELOPES[name], {"code": template("NO {what}")}, headers(Retry_After="{wait}"))
    made = error_reply(face, {"what": "<a>", "wait": 7}, more=[(b"x-left", b"0")])
    assert (made.status, made.body, made.cause) == (402, body, "funds")
    assert made.headers == [(b"content-type", kind), (b"retry-after", b"7"), (b"x-left", b"0")]


def test_values_of_a_refusal_may_look_at_its_status() -> None:
    face = ErrorFace("x", 418, ENVELOPES["json"], {"code": template("E{error.status}")}, ())
    assert json.loads(error_reply(face, {}).body) == {"code": "E418", "status": 418}


@FIXED
@given(st.text(max_size=50))
def test_no_value_breaks_out_of_its_header(text: str) -> None:
    ((name, value),) = header_pairs(headers(X_Run="{id}"), {"id": text}) or (("", b""),)
    assert name == b"x-run"
    assert not set(value) & set(b"\r\n\0")


def test_headers_that_are_null_are_left_out() -> None:
    assert header_pairs(headers(A="{x}", B="{y}"), {"x": None, "y": 0}) == [(b"b", b"0")]


def test_xml_lists_repeat_their_element() -> None:
    tree = {"Bucket": "b", "Item": ["x", {"Key": "k & l"}, None], "None": None, "Number": Decimal("1.50")}
    assert xml_text("List", tree).partition("\n")[2] == (
        "<List><Bucket>b</Bucket><Item>x</Item><Item><Key>k &amp; l</Key></Item><Item></Item>"
        "<None></None><Number>1.5</Number></List>"
    )


XML = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60)


@FIXED
@given(XML, XML)
def test_xml_says_what_was_put_in(code: str, message: str) -> None:
    root = ET.fromstring(xml_text("Error", {"Code": code, "Message": message}).encode())
    assert [(child.tag, child.text or "") for child in root] == [("Code", code), ("Message", message)]


@FIXED
@given(st.text(max_size=60))
def test_xml_can_always_be_read(text: str) -> None:
    body = xml_text("Error", {"Message": text}).encode("utf-8", "replace")
    assert ET.fromstring(body).tag == "Error"
