"""The exported OpenAPI documents: valid, with examples that fit, pointers that lead to their lines. (That answers are as
described is tested with the documented cases, in test_fixtures.)"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from click.testing import CliRunner
from openapi_spec_validator import OpenAPIV31SpecValidator

from fauxvider import cli
from fauxvider.contract.parse import open_contract
from fauxvider.contract.strict import pointer_parts
from fauxvider.errors import UsageError
from fauxvider.gate import dump_json
from fauxvider.local import LocalServer
from fauxvider.server.app import ProviderApp
from fauxvider.toolkit.openapi.document import openapi_document
from fauxvider.toolkit.openapi.examples import add_examples
from fauxvider.toolkit.openapi.schemathesis import schemathesis_settings
from fauxvider.toolkit.openapi.serving import OpenApiPages
from fauxvider_contracts import case_names, case_text, provider_names, schema_text
from support.described import Described
from support.inprocess import InProcess

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"


@pytest.fixture(scope="module", params=[*provider_names(), str(ACME)], ids=lambda name: Path(name).stem)
def whole(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A document with its examples, as JSON gives it back."""
    file = open_contract(request.param)
    document = openapi_document(file)
    add_examples(document, file)
    return dict(json.loads(dump_json(document)))


def test_the_document_is_valid(whole: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(whole).iter_errors()] == []


def test_examples_fit_their_schemas(whole: dict[str, Any]) -> None:
    described, checked = Described(whole), 0
    for spec in _specs(whole):
        contents = [spec.get("requestBody", {}).get("content", {})]
        contents += [one.get("content", {}) for one in spec["responses"].values()]
        for media in (media for content in contents for media in content.values()):
            for name, example in media.get("examples", {}).items():
                found = list(described.validator(media["schema"]).iter_errors(example["value"]))
                is_case = (
                    media in contents[0].values() and spec.get("x-fauxvider-kind") == "submit" and name != "smallest"
                )
                assert not found or (is_case and _takes_anything(whole, spec)), (
                    spec["operationId"],
                    name,
                    found[0].message,
                )
                checked += 1
    assert checked > 5


def _takes_anything(document: dict[str, Any], spec: dict[str, Any]) -> bool:
    """A documented case may send what the schema refuses, where the provider accepts it and fails the job."""
    said = [one for one in document["x-fauxvider-deviations"] if one["check"] == "negative_data_rejection"]
    return any(spec["operationId"] in one.get("operations", ()) for one in said)


def _specs(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (spec for spec in item.values() if isinstance(spec, dict))


def test_every_pointer_leads_to_its_line(whole: dict[str, Any]) -> None:
    name = whole["info"]["x-fauxvider"]["contract"]
    file = open_contract(ACME if name == ACME.name else name.removesuffix(".yaml"))
    tree, lines, seen = file.resolved(), Path(file.file).read_text(encoding="utf-8").splitlines(), 0
    for one in _told(whole):
        pointer = one["x-fauxvider-pointer"]
        node: Any = tree
        for part in pointer_parts(pointer):
            node = node[int(part)] if isinstance(node, list) else node[part]
        line = lines[one["x-fauxvider-line"] - 1]
        last = pointer.rpartition("/")[2]
        assert last.isdecimal() or last in line or "$use" in line or "$reading" in line, (pointer, line)
        seen += 1
    assert seen > 30


def _told(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "x-fauxvider-pointer" in node and "x-fauxvider-line" in node:
            yield node
        for value in node.values():
            yield from _told(value)
    elif isinstance(node, list):
        for value in node:
            yield from _told(value)


def test_paths_are_unrolled_where_the_model_stands_in_them(whole: dict[str, Any]) -> None:
    name = whole["info"]["x-fauxvider"]["contract"]
    contract = open_contract(ACME if name == ACME.name else name.removesuffix(".yaml")).resolve()
    in_path = {
        one.name: [model for model in contract.models.values() if model.active]
        for one in contract.operations.values()
        if one.model and one.origin == contract.api.name and "/" in one.path and "{" in one.path
    }
    for spec in _specs(whole):
        operation = spec.get("x-fauxvider-operation")
        if operation in in_path and "." in spec["operationId"]:
            assert any(model.name in spec["operationId"] for model in in_path[operation])
    ids = [spec["operationId"] for spec in _specs(whole)]
    assert len(ids) == len(set(ids))


def test_callbacks_tell_payload_signature_and_retries() -> None:
    document = openapi_document(open_contract("runflow"))
    spec = document["paths"]["/v1/models/black-forest-labs/flux-1-dev/edit/runs"]["post"]
    ((expression, item),) = spec["callbacks"]["ended"].items()
    post = item["post"]
    assert expression == "{$request.body#/callback_url}"
    signature = next(one for one in post["parameters"] if one["name"] == "Runflow-Signature")
    assert signature["schema"] == {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    assert signature["required"] is False  # no secret, no signature
    assert post["x-fauxvider-retry"]["delays_ms"] == [1000, 2000]
    reference = post["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    payload = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert list(payload["properties"])[:3] == ["event", "run_id", "status"]


def test_a_payload_that_was_sent_is_as_described() -> None:
    sent: list[bytes] = []
    with LocalServer(providers=["runflow"], deliver=lambda callback: sent.append(callback.body) or 200) as server:
        world = server.world(clock="manual", seed=1)
        body = {"input": {"prompt": "x", "image_b64": "https://a.example/a.png"}, "callback_url": "http://a.example/"}
        url = f"{world.base_url('runflow')}/v1/models/black-forest-labs/flux-1-dev/edit/runs"
        headers = {"authorization": "Bearer k", "content-type": "application/json"}
        for failure in ("", "provider_error"):
            run = server.request("POST", url, headers=headers, body=json.dumps(body).encode(), world=world.name).json()
            world.advance("1s")  # it runs by then
            world.force(run["id"], failure=failure)
            world.advance("1m")
    document = openapi_document(open_contract("runflow"))
    schema = {"$ref": "#/components/schemas/callback"}
    assert [json.loads(one)["status"] for one in sent] == ["succeeded", "failed"]
    for one in sent:
        assert list(Described(document).validator(schema).iter_errors(json.loads(one))) == []


def test_submissions_link_to_what_reads_their_jobs() -> None:
    document = openapi_document(open_contract("runpod"))
    links = document["paths"]["/v2/black-forest-labs-flux-1-dev/run"]["post"]["responses"]["200"]["links"]
    assert links["status.flux-dev.get"]["parameters"] == {"path.id": "$response.body#/id"}
    assert all(".flux-dev" in name for name in links)


def test_a_body_that_chooses_the_model_is_told_apart_by_it() -> None:
    document = openapi_document(open_contract("onemin"))
    schema = document["paths"]["/api/features"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["discriminator"]["propertyName"] == "type"
    inner = document["components"]["schemas"][schema["discriminator"]["mapping"]["IMAGE_EDITOR"].rpartition("/")[2]]
    assert inner["discriminator"]["propertyName"] == "model"
    assert set(inner["discriminator"]["mapping"].values()) == {one["$ref"] for one in inner["oneOf"]}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_command_writes_what_the_library_makes(tmp_path: Path, form: str) -> None:
    out, settings = tmp_path / "api", tmp_path / "st.toml"
    more = ["--yaml"] if form == "yaml" else []
    arguments = ["openapi", "onemin", "--reading", "words.success=completed", "--base-url", "http://127.0.0.1:1/onemin"]
    done = CliRunner().invoke(cli._root, [*arguments, "--out", str(out), "--schemathesis", str(settings), *more])
    assert done.exit_code == 0, done.output
    document = (yaml.safe_load if form == "yaml" else json.loads)(out.read_text(encoding="utf-8"))
    assert document["servers"] == [{"url": "http://127.0.0.1:1/onemin"}]
    assert document["info"]["x-fauxvider"]["readings"]["words.success"] == "completed"
    told = tomllib.loads(settings.read_text(encoding="utf-8"))
    assert told["checks"]["unsupported_method"] == {"enabled": False}


def test_settings_exclude_only_what_the_contract_tells(whole: dict[str, Any]) -> None:
    told = tomllib.loads(schemathesis_settings(whole))
    known = {(name, one["check"]) for one in whole["x-fauxvider-deviations"] for name in one.get("operations", ["*"])}
    found = {("*", check) for check in told.get("checks", {})}
    for one in told.get("operations", ()):
        found |= {(one["include-operation-id"], check) for check in one["checks"]}
    assert found == known
    assert all(one["reason"] and one["x-fauxvider-evidence"] for one in whole["x-fauxvider-deviations"])


def test_an_emulator_serves_the_document_of_a_world() -> None:
    with InProcess(providers=["onemin"]) as host:
        host.app = ProviderApp(host.emulator, OpenApiPages(host.emulator))
        host.world(name="mine", readings={"words.success": "completed"})
        base = host.emulator.settings.base_url
        for path, world, word in (
            ("/openapi/onemin.json", "", "success"),
            ("/w/mine/openapi/onemin.json", "/w/mine", "completed"),
        ):
            answer = host.request("GET", base + path)
            document = answer.json()
            assert answer.status == 200
            assert document["servers"] == [{"url": f"{base}{world}/onemin"}]
            assert document["info"]["x-fauxvider"]["readings"]["words.success"] == word
        for path in ("/openapi/nobody.json", "/w/none/openapi/onemin.json", "/openapi/onemin.yaml"):
            assert host.request("GET", base + path).status == 404
        assert host.request("POST", base + "/openapi/onemin.json").status == 404


@pytest.mark.parametrize(
    "arguments",
    [["nobody"], ["onemin", "--reading", "x"], ["onemin", "--reading", "x=y"], ["onemin", "--base-url", "here"],
     ["onemin", "--out", "/nowhere/at/all"]],
)  # fmt: skip
def test_wrong_input_is_told_in_one_line(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli._root, ["openapi", *arguments])
    assert isinstance(done.exception, UsageError)
    assert "\n" not in str(done.exception)


def test_cases_are_written_with_the_schema_of_their_format(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli._root, ["fixtures", "onemin", "--out", str(tmp_path / "cases")])
    assert done.exit_code == 0, done.output
    found = {path.name: path for path in (tmp_path / "cases").iterdir()}
    schema = json.loads(found.pop("case-1.schema.json").read_text(encoding="utf-8"))
    assert len(found) == len(case_names("onemin")) > 50
    for path in found.values():
        assert jsonschema_rs.is_valid(schema, json.loads(path.read_text(encoding="utf-8"))), path.name
    listed = CliRunner().invoke(cli._root, ["fixtures", "onemin"])
    assert listed.output.split() == list(case_names("onemin"))
    assert isinstance(CliRunner().invoke(cli._root, ["fixtures", "nobody"]).exception, UsageError)


@pytest.mark.parametrize("provider", provider_names())
def test_every_case_has_the_published_form(provider: str) -> None:
    schema = json.loads(schema_text("case-1"))
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.Draft202012Validator(schema, offline=True)
    for name in case_names(provider):
        assert [one.message for one in validator.iter_errors(json.loads(case_text(provider, name)))] == [], name
    assert not validator.is_valid({"name": "x", "source": "y", "steps": [{"leap": "5s"}]})
