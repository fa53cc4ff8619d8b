"""Wants and templates: what a template leaves open, what it does not, and where a mismatch points."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fauxvider.toolkit.verify.templates import TemplateReader
from fauxvider.toolkit.verify.wants import Exactly, Fields, Like, Listed, Maybe, decoded, match

NAMES: dict[str, Any] = {
    "job": {
        "id": Like("text", "[0-9]{3}", "an id", "/ids/job", capture="job.id"),
        "status": Exactly("DONE", "/lifecycle/states/DONE"),
        "state": "succeeded",
        "accepted": Like("integer"),
        "cost": Exactly(Decimal("0.020"), "/models/m/cost"),
        "ended": None,
        "started": Maybe(Like("integer"), can_be_absent=True),
    },
    "outputs": [{"url": Like("text", "https://.*")}, {"url": Like("text", "https://.*")}],
    "body": {"prompt": "a {brace}", "n": 3},
}
VIEWS = {"job": {"id": "{job.id}", "status": "{job.status}"}}


def misses(tree: Any, value: Any) -> list[tuple[str, str, str]]:
    want = TemplateReader(VIEWS).want(tree, "/body", NAMES)
    return [(one.kind, one.rule, one.place) for one in match(want, value).mismatches]


@pytest.mark.parametrize(
    ("tree", "value"),
    [
        ("plain", "plain"),
        (7, 7),
        ("{job.id}", "123"),
        ("job-{job.id}!", "job-123!"),
        ("{{literal}}", "{literal}"),
        ("{body.prompt}", "a {brace}"),
        ({"$view": "job"}, {"id": "123", "status": "DONE"}),
        ("{job.cost|number}", Decimal("0.02")),
        ("{job.cost|plain}", "0.02"),
        ("{job.accepted|iso_ms_z}", "2026-01-01T00:00:00.000Z"),
        ("{job.accepted|python_utc}", "2026-01-01T00:00:00+00:00"),
        ("{job.ended}", None),
        ({"a": "{job.ended?}"}, {}),
        ({"a": "{job.started?}"}, {}),
        ({"a": "{job.started?}"}, {"a": 5}),
        ({"$case": "job.state", "$of": {"succeeded": "yes"}, "$else": "no"}, "yes"),
        ({"$case": "job.state", "$of": {"failed": "yes"}}, None),
        ({"$each": "outputs", "$item": "{item.url}"}, ["https://a", "https://b"]),
        ({"$json": {"n": "{body.n}"}}, '{"n": 3}'),
        ({"$first": ["{job.ended}", "{job.id}"]}, "123"),
        ({"$merge": [{"a": 1}, {"b": 2}]}, {"a": 1, "b": 2}),
    ],
)
def test_what_a_template_gives_fits_it(tree: Any, value: Any) -> None:
    assert misses(tree, value) == []


@pytest.mark.parametrize(
    ("tree", "value", "wanted"),
    [
        ("plain", "other", ("value", "/body", "/")),
        (1, True, ("value", "/body", "/")),
        ("7", 7, ("value", "/body", "/")),
        ("{job.id}", "12", ("value", "/ids/job", "/")),
        ("{job.id}", 123, ("type", "/ids/job", "/")),
        ("job-{job.id}!", "job-12!", ("value", "/ids/job", "/")),
        ("{job.status} now", "GONE now", ("value", "/lifecycle/states/DONE", "/")),
        ("{job.status} now", "DONE then", ("value", "/body", "/")),
        ({"$view": "job"}, {"id": "123", "status": "GONE"}, ("value", "/lifecycle/states/DONE", "/status")),
        ({"a": 1}, {}, ("missing", "/body/a", "/a")),
        ({"a": 1}, {"a": 1, "b": 2}, ("extra", "/body", "/b")),
        ([1, 2], [1], ("length", "/body", "/")),
        ("{job.accepted|iso_ms_z}", "2026-01-01T00:00:00Z", ("value", "/body", "/")),
        ("{job.cost|number}", Decimal("0.03"), ("value", "/models/m/cost", "/")),
        ({"$json": {"n": 1}}, "no json", ("type", "/body", "/")),
        ({"$each": "outputs", "$item": "{item.url}"}, ["https://a"], ("length", "/body", "/")),
    ],
)
def test_what_does_not_fit_points_at_its_rule(tree: Any, value: Any, wanted: tuple[str, str, str]) -> None:
    assert misses(tree, value) == [wanted]


def test_an_open_value_is_captured_under_its_name() -> None:
    want = TemplateReader(VIEWS).want({"link": "https://x/{job.id}"}, "", NAMES)
    assert match(want, {"link": "https://x/321"}).captured == {"job.id": "321"}


def test_order_counts_where_it_is_asked_for() -> None:
    fields = {"a": Exactly(1), "b": Exactly(2)}
    assert [one.kind for one in match(Fields(fields, is_ordered=True), {"b": 2, "a": 1}).mismatches] == ["order"]
    assert match(Fields(fields), {"b": 2, "a": 1}).mismatches == []


def test_numbers_are_compared_exactly() -> None:
    tree, problem = decoded(b'{"n": 0.1000000000000000055511151231257827}')
    assert not problem
    assert match(Exactly(Decimal("0.1")), tree["n"]).mismatches
    assert not match(Exactly(Decimal("0.10")), Decimal("0.1")).mismatches


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b"9" * 5_000])
def test_hostile_bytes_are_no_json_and_no_traceback(data: bytes) -> None:
    assert decoded(data)[1].startswith("not JSON")


def test_a_list_that_is_known_is_matched_item_by_item() -> None:
    found = match(Listed([Exactly(1, "/one"), Exactly(2, "/two")]), [1, 3])
    assert [(one.rule, one.place) for one in found.mismatches] == [("/two", "/1")]
    assert "/one" in found.held
