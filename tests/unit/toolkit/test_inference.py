"""Schemas read off templates: each is wide enough for what the template gives, and tells states apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.toolkit.openapi.inference import Shape, shape_of
from fauxvider.toolkit.openapi.jobs import JobFacts
from fauxvider.toolkit.openapi.known import Known, about_errors, about_jobs
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.schemas import member, nullable, union, without_null

ACME = Path(__file__).parents[2] / "data" / "acme.yaml"


@pytest.fixture(scope="module")
def material() -> Material:
    file = open_contract(ACME)
    return Material(file, file.choice())


def _job(material: Material, *states: str) -> Known:
    return replace(about_jobs(material), job=JobFacts(frozenset(states)))


def _admits(shape: Shape, value: Any) -> bool:
    assert shape.schema is not None
    return jsonschema_rs.Draft202012Validator(shape.schema, validate_formats=True).is_valid(value)


@pytest.mark.parametrize(
    ("template", "states", "admitted", "refused"),
    [
        ("{job.status}", ["succeeded"], ["COMPLETED"], ["FAILED", None, 1]),
        ("{job.status}", ["queued", "running"], ["IN_QUEUE", "IN_PROGRESS"], ["COMPLETED"]),
        ("{job.ended|iso_ms_z}", ["running"], [None], ["2026-11-20T09:15:30.250Z"]),
        ("{job.ended|iso_ms_z}", ["failed"], ["2026-11-20T09:15:30.250Z"], [None, "soon"]),
        ("{job.cost|plain}", ["succeeded"], ["0.025"], [None, 0.025]),
        ("{job.cost|plain}", ["failed"], [None], ["0.025"]),
        ("{job.run_ms}", ["succeeded"], [0, 5], [None, -1]),
        ("{job.failure.error}", ["failed"], ["upstream returned 500", "input is required"], [None, "flagged"]),
        ("{job.failure.error}", ["succeeded"], [None], ["flagged"]),
        ("run {job.number} is {job.status}!", ["queued"], ["run 7 is IN_QUEUE!"], ["run x is IN_QUEUE!", "run 7 is"]),
        ({"$first": ["{job.result}", "none yet"]}, ["running"], ["none yet"], [None, {}]),
        ({"a": "{job.run_ms?}", "b": 1}, ["running"], [{"b": 1}], [{"a": None, "b": 1}, {"a": 5, "b": 1}]),
        ({"a": "{job.run_ms?}", "b": 1}, ["running", "succeeded"], [{"b": 1}, {"a": 5, "b": 1}], [{"a": 5}]),
        (
            {"$case": "job.state", "$of": {"queued": 1, "running": "two"}, "$else": None},
            ["running"],
            ["two"],
            [1, None],
        ),
        ({"$case": "job.started", "$of": {"null": "no"}, "$else": "{job.queued_ms}"}, ["failed"], ["no", 5], [None]),
        ({"$json": {"a": "{job.status}"}}, ["queued"], ['{"a":"IN_QUEUE"}'], [{"a": "IN_QUEUE"}]),
        ({"$merge": [{"a": 1}, {"b": "{job.run_ms?}"}]}, ["queued"], [{"a": 1}], [{}, {"a": 2}]),
        ([1, "{job.run_ms?}"], ["queued"], [[1]], [[], [1, 2]]),
        ("{mint.worker|upper|first:3}", ["queued"], ["ABC"], ["ABCD", None]),
        ("{job.nothing_of_the_kind}", ["queued"], [None], ["x"]),
    ],
    ids=str,
)
def test_a_template_s_schema(
    material: Material, template: Any, states: list[str], admitted: list[Any], refused: list[Any]
) -> None:
    shape = shape_of(template, _job(material, *states))
    assert [value for value in admitted if not _admits(shape, value)] == []
    assert [value for value in refused if _admits(shape, value)] == []


def test_an_error_may_know_a_job_or_none(material: Material) -> None:
    shape = shape_of("{job.status}", about_errors(material, ()))
    assert _admits(shape, None)
    assert _admits(shape, "COMPLETED")


def test_views_that_differ_by_state_are_alternatives(material: Material) -> None:
    tree = {"$case": "job.state", "$of": {"queued": {"s": "{job.status}"}, "failed": {"s": "{job.status}", "e": 1}}}
    shape = shape_of(tree, _job(material, "queued", "failed"))
    assert _admits(shape, {"s": "IN_QUEUE"})
    assert not _admits(shape, {"s": "IN_QUEUE", "e": 1})


def test_lists_of_pictures_are_as_long_as_the_model_says() -> None:
    file = open_contract("onemin")
    material = Material(file, file.choice())
    tree = {"$each": "outputs", "$item": "{item.key}"}
    one = shape_of(tree, replace(about_jobs(material, ("flux-2-dev-editor",)), job=JobFacts(frozenset({"succeeded"}))))
    assert _admits(one, ["a"])
    assert not _admits(one, [])
    none = shape_of(tree, replace(about_jobs(material), job=JobFacts(frozenset({"failed"}))))
    assert _admits(none, [])
    assert not _admits(none, ["a"])


SCHEMAS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "null"},
    {"type": "integer", "minimum": 3},
    {"type": "string", "const": "a"},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"type": ["string", "null"]},
    {},
]
VALUES: list[Any] = [None, "a", "b", 2, 5, 1.5, True, [], {}, {"a": 1}, {"a": "x"}]


@pytest.mark.parametrize("one", SCHEMAS, ids=str)
@pytest.mark.parametrize("other", SCHEMAS, ids=str)
def test_a_union_admits_what_either_admits(one: dict[str, Any], other: dict[str, Any]) -> None:
    joined = union([one, other])
    assert joined is not None
    for value in VALUES:
        either = any(jsonschema_rs.is_valid(schema, value) for schema in (one, other))
        assert jsonschema_rs.is_valid(joined, value) == either, value


@pytest.mark.parametrize("one", SCHEMAS, ids=str)
def test_null_comes_and_goes(one: dict[str, Any]) -> None:
    assert jsonschema_rs.is_valid(nullable(one), None)
    left = without_null(one)
    if left:
        assert not jsonschema_rs.is_valid(left, None)
        assert all(jsonschema_rs.is_valid(left, value) == jsonschema_rs.is_valid(one, value) for value in VALUES[1:])


def test_members_are_looked_up_as_templates_do() -> None:
    schema = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": "integer"}}, "text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    }
    assert member(schema, ["text"]) == {"type": "string"}
    assert member(schema, ["list", "0"]) == {"type": ["integer", "null"]}
    assert member(schema, ["none"]) == {"type": "null"}
    assert member(schema, ["text", "further"]) == {"type": "null"}


def test_a_contract_of_its_own_needs_no_code() -> None:
    text = (
        ACME.read_text(encoding="utf-8").replace("COMPLETED: {is", "ALL_DONE: {is").replace(": COMPLETED", ": ALL_DONE")
    )
    file = ContractFile(text, file="other.yaml")
    material = Material(file, file.choice())
    assert _admits(shape_of("{job.status}", _job(material, "succeeded")), "ALL_DONE")
