"""Refused requests, explained: rule, pointer, source line, and the nearest thing that is legal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.analysis.near_miss import NearMiss, explain_refusal, near_miss
from fauxvider.contract.parse import ContractFile, open_contract
from support.acme import ACME, ACME_TEXT, line_in_acme
from support.journals import entry, is_tame

SAMPLE = open_contract(ACME)
RUN = "/v2/acme-dev/run"
EDIT = "/v2/acme-edit/run"


def missed(body: Any, path: str = RUN, *, method: str = "POST", **given: Any) -> list[NearMiss]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return near_miss(SAMPLE, given.pop("choice", {}), method=method, path=path, body=data, **given)


def texts(body: Any, path: str = RUN, **given: Any) -> list[str]:
    return [one.text for one in missed(body, path, **given)]


def make(**changes: Any) -> dict[str, Any]:
    return {"input": {"prompt": "a fox", **changes}}


def edit(**changes: Any) -> dict[str, Any]:
    return {"input": {"prompt": "a fox", "image": "https://example.org/a.png", **changes}}


def test_a_request_that_the_contract_has_nothing_against_is_no_miss() -> None:
    assert missed(make(width=960)) == []
    assert missed(edit(), EDIT) == []
    assert missed(b"", "/v2/acme-dev/health", method="GET") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 1000}, "/input/width 1000 is not divisible by 64 (acme.txt, line 22); nearest 960, 1024"),
        ({"width": 2048}, "/input/width 2048 is above 1536 (acme.txt, line 22); nearest 1536"),
        ({"width": 64}, "/input/width 64 is below 256 (acme.txt, line 22); nearest 256"),
        ({"guidance": 10.5}, "/input/guidance 10.5 is above 10 (acme.txt, line 24); nearest 10"),
        ({"num_outputs": 0}, "/input/num_outputs 0 is below 1 (acme.txt, line 25); nearest 1"),
        ({"image_format": "JPG"}, '/input/image_format "JPG" is none of png, jpeg (acme.txt, line 26); nearest jpeg'),
        ({"image_format": "tiff"}, '/input/image_format "tiff" is none of png, jpeg (acme.txt, line 26)'),
        ({"num_outputs": "2"}, '/input/num_outputs "2" is a string, not an integer (acme.txt, line 25); nearest 2'),
        ({"seed": 1.5}, "/input/seed 1.5 is a number, not an integer (acme.txt, line 21); nearest 1, 2"),
        ({"prompt": 7}, "/input/prompt 7 is an integer, not a string (acme.txt, line 20); nearest \"7\""),
        ({"width": None}, "/input/width is null, not an integer (acme.txt, line 22); nearest no field at all"),
        ({"prompt": ""}, "/input/prompt has 0 characters, at least 1 are allowed (acme.txt, line 20)"),
        ({"prompt": "x" * 2001}, "/input/prompt has 2001 characters, at most 2000 are allowed (acme.txt, line 20)"),
    ],
)  # fmt: skip
def test_a_value_is_told_with_its_rule_source_and_neighbours(change: dict[str, Any], said: str) -> None:
    assert texts(make(**change)) == [said]


def test_a_missing_field_is_told_with_its_type_and_what_was_sent_instead() -> None:
    assert texts({"input": {"promt": "a fox"}}) == [
        "/input/prompt is missing (string) (acme.txt, line 20); sent instead /input/promt"
    ]


def test_an_unknown_field_is_told_with_the_ones_that_look_like_it() -> None:
    assert texts(edit(aspectratio="1:1"), EDIT) == [
        "/input/aspectratio is not a known field here (acme.txt, line 11); nearest aspect_ratio"
    ]


def test_a_word_is_compared_with_all_the_words() -> None:
    assert texts(edit(aspect_ratio="16x9"), EDIT) == [
        '/input/aspect_ratio "16x9" is none of match_input_image, 1:1, 16:9, 9:16 (acme.txt, line 28); nearest 16:9'
    ]


def test_the_operations_own_fields_have_their_own_rules() -> None:
    (found,) = missed(make() | {"policy": 3})
    assert (found.subject, found.rule) == ("/policy", "/operations/run/schema/properties/policy")
    assert found.source == "acme.txt, line 37"


def test_a_miss_knows_its_place_in_the_contract() -> None:
    (found,) = missed(make(width=1000))
    assert (found.kind, found.operation, found.level) == ("multipleOf", "run", "documented")
    assert (found.rule, found.line) == (
        "/models/dev/input/properties/width",
        line_in_acme("        width: {$use: square}"),
    )
    assert str(found) == found.text


def test_a_reading_decides_what_is_a_miss() -> None:
    assert missed(edit(strength=0.5), EDIT) == []
    (found,) = missed(edit(strength=0.5), EDIT, choice={"edit.strength": "without"})
    assert found.kind == "additionalProperties"


def test_an_input_that_is_accepted_and_fails_is_told() -> None:
    assert texts({"input": {}}) == ["/input is empty: the job is accepted and fails (no_input) (acme.txt, line 14)"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON: unexpected end of data (position 1) (acme.txt, line 14)"),
        (b'{"a": 1, "a": 2}', "the body is not JSON: a key stands twice (a) (acme.txt, line 14)"),
        (b"[]", "the body must be a JSON object (acme.txt, line 14)"),
        (b"", "the body is not JSON: input data is empty (position 0) (acme.txt, line 14)"),
    ],
)
def test_a_body_that_cannot_be_read_is_told(body: bytes, said: str) -> None:
    (text,) = texts(body)
    assert text.split(":")[0] == said.split(":", maxsplit=1)[0]
    assert text.endswith("(acme.txt, line 14)")


# --- paths, methods, models


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/v2/x/runn", "no such path; nearest POST /v2/{slug}/run (operation run)"),
        ("GET", "/v2/x/stats/1", "no such path; nearest GET /v2/{slug}/status/{id} (operation status)"),
        ("POST", "/v1/x/run?key=secret", "no such path; nearest POST /v2/{slug}/run (operation run)"),
        ("POST", "/x/run", "no such path; nearest POST /v2/{slug}/run (operation run)"),
        ("POST", "/v2/v2/x/run", "no such path; nearest POST /v2/{slug}/run (operation run)"),
        ("GET", "/nothing/that/is/like/it/at/all", "no such path"),
        ("DELETE", "/v2/x/run", "the path does not take this method; nearest POST (operation run)"),
    ],
)  # fmt: skip
def test_a_path_or_method_leads_to_the_closest_operation(method: str, path: str, said: str) -> None:
    shown = path.partition("?")[0]
    assert texts(b"", path, method=method) == [f"{method} {shown}: {said}"]


def test_a_method_that_another_route_takes_leads_there() -> None:
    changed = ACME_TEXT.replace("  list: {request: GET /v2/runs,", '  list: {request: "GET /v2/{name+}",', 1)
    file = ContractFile(changed, file="acme.yaml")
    (found,) = near_miss(file, {}, method="POST", path="/v2/acme-dev/runs", body=b"")
    assert found.nearest[0] == "POST /v2/{slug}/run (operation run)"
    assert "GET (operation list)" in found.nearest


def test_a_file_is_no_wrong_path() -> None:
    (url,) = [one for one in SAMPLE.resolve().urls.values() if one.serves == "output"]
    path = url.path.replace("{file.token}", "a" * 32).replace("{job.id}", "1").replace("{file.number}", "1")
    assert missed(b"", path.replace("{file.ext}", "png"), method="GET", origin=url.origin) == []


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("acme-dve", "model acme-dve is unknown; nearest acme-dev"),
        ("edit", "model edit is unknown; nearest acme-edit"),
        ("zzz", "model zzz is unknown; nearest acme-dev, acme-edit"),
        ("acme-old", "model acme-old is known, but not served (acme.txt, line 12); nearest acme-dev, acme-edit"),
    ],
)
def test_a_model_that_is_not_there_leads_to_those_that_are(slug: str, said: str) -> None:
    assert texts(make(), f"/v2/{slug}/run") == [said]


def test_a_hint_names_the_model_where_the_request_does_not() -> None:
    assert missed(edit(), "/v2/zzz/run", model_hint="acme-edit") == []
    assert missed(edit(), "/v2/zzz/run", model_hint="edit") == []


def test_an_entry_of_the_journal_is_explained_as_far_as_it_goes() -> None:
    contract = SAMPLE.resolve()

    def explained(**facts: Any) -> NearMiss | None:
        return explain_refusal(SAMPLE, contract, entry(0, "request", **facts))

    found = explained(method="POST", path="/v2/acme-dev/runn", cause="path_unknown", status=404)
    assert found is not None
    assert found.kind == "path"
    assert explained(method="POST", path=RUN, cause="param_range", status=422) is None
    assert explained(method="POST", path=RUN, status=201) is None
    assert explain_refusal(SAMPLE, contract, entry(0, "ended")) is None


# --- bundled contracts


def test_the_documented_example() -> None:
    body = json.dumps({"input": {"prompt": "x", "width": 1000}}).encode()
    path = "/v2/black-forest-labs-flux-1-dev/run"
    (found,) = near_miss(open_contract("runpod"), {}, method="POST", path=path, body=body)
    assert found.text == (
        "/input/width 1000 is not divisible by 64 (003_473ccdab88062b49.txt, lines 22-25); nearest 960, 1024"
    )


# --- secrets and hostile requests


@pytest.mark.parametrize(
    "address", ["ftp://user:canary@host/hook?token=canary", "https://u:canary/x@host/?canary", "canary", 7, ["canary"]]
)
def test_no_miss_shows_a_callback_address(address: Any) -> None:
    body = {"input": {"prompt": "x", "image_b64": "https://example.org/a.png"}, "callback_url": address}
    path = "/v1/models/black-forest-labs/flux-1-dev/edit/runs"
    found = near_miss(open_contract("runflow"), {}, method="POST", path=path, body=json.dumps(body).encode())
    assert "canary" not in str(found)


def test_no_miss_shows_the_userinfo_or_query_of_a_url() -> None:
    (found,) = missed(edit(aspect_ratio="https://u:canary@host/a?canary=1#canary"), EDIT)
    assert '"https://host/a"' in found.text
    assert "canary" not in str(found)


def test_what_a_client_sends_is_shown_escaped_and_short() -> None:
    (found,) = missed(make(image_format="\x1b[31m" + "x" * 10_000))
    assert "\\u001b[31mxxx" in found.text
    assert len(found.text) < 300
    assert all(is_tame(text) for text in texts(b"", "/v2/\x1b]0;x\x07\u202e", method="\x1b[2J"))


@given(st.text(max_size=30), st.text(max_size=6))
def test_any_path_and_method_are_answered(path: str, method: str) -> None:
    for found in missed(b"", f"/{path}", method=method):
        assert is_tame(found.text)


def test_a_path_of_ten_thousand_segments_is_answered() -> None:
    assert missed(b"", "/a" * 10_000)[0].kind == "path"


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5000, 5000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_NAMES = [*SAMPLE.resolve().models["dev"].input["properties"], "promt", "x"]


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(_NAMES), _VALUES), st.dictionaries(st.sampled_from(["webhook", "policy"]), _VALUES)
)
def test_what_is_legal_is_no_miss_and_what_is_named_as_near_is_legal(
    given: dict[str, Any], more: dict[str, Any]
) -> None:
    body = {"input": given, **more}
    validator = SAMPLE.resolve().operations["run"].validators["dev"]
    found = missed(body)
    assert bool(found) == (not given or not validator.is_valid(json.loads(json.dumps(body))))
    assert all(is_tame(one.text) for one in found)
    for one in found:
        name = one.subject.removeprefix("/input/")
        if one.kind in ("multipleOf", "minimum", "maximum") and name in given:
            for near in one.nearest:
                changed = {**given, name: json.loads(near)}
                assert not [other for other in missed({"input": changed}) if other.subject == one.subject]
