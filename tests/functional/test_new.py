"""`fauxvider new` and `fauxvider schema`: contracts to begin with, from nothing and from anybody's OpenAPI document."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fauxvider import LocalServer
from fauxvider.cli.check import check
from fauxvider.cli.new import new, schema
from fauxvider.contract.lint import findings
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.contract.strict import file_bytes, load_text
from fauxvider.errors import UsageError
from fauxvider.toolkit.openapi.document import openapi_document
from fauxvider.toolkit.starter import starter_contract
from fauxvider_contracts import provider_names, provider_path, schema_text

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"
DATE = "2026-11-21"


def run(*given: str) -> str:
    done = CliRunner().invoke(new, list(given))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def clean(path: Path) -> None:
    done = CliRunner().invoke(check, [str(path)])
    assert done.exit_code == 0, done.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- from nothing


def test_a_starter_passes_check_and_its_schema_lies_beside_it(here: Path) -> None:
    said = run("my-provider")
    path = here / "my-provider.yaml"
    assert "fauxvider serve --contract my-provider.yaml" in said
    clean(path)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    beside = here / first.removeprefix("# yaml-language-server: $schema=")
    jsonschema.validate(
        yaml.safe_load(path.read_text(encoding="utf-8")), json.loads(beside.read_text(encoding="utf-8"))
    )
    assert "assumed" in path.read_text(encoding="utf-8")


def test_nothing_is_overwritten(here: Path) -> None:
    run("acme", "--out", "mine.yaml")
    (here / "mine.yaml").write_text("my work", encoding="utf-8")
    (here / "contract-1.schema.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="is there already") as caught:
        run("acme", "--out", "mine.yaml")
    assert caught.value.exit_code == 2
    run("acme")
    assert (here / "mine.yaml").read_text(encoding="utf-8") == "my work"
    assert (here / "contract-1.schema.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["Acme"], "small letters"),
        (["9acme"], "begins with a letter"),
        (["a" * 64], "small letters"),
        (["acme", "--out", "no/such/folder.yaml"], "cannot be written"),
        (["acme", "--from-openapi", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_is_told(here: Path, given: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        run(*given)
    assert caught.value.exit_code == 2
    assert not list(here.iterdir())


def played(path: Path, request: str, body: Any, poll: str) -> tuple[Any, Any]:
    """Submit and poll, as a client would; give both answers."""
    key = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    provider = ContractFile.read(path).provider
    with LocalServer(contracts=[path], deliver=lambda _: 200) as server, server.world(clock="manual") as world:
        base = world.base_url(provider)

        def ask(method: str, url: str, data: bytes = b"") -> Any:
            answer = server.request(method, base + url, headers=key, body=data, world=world.name)
            assert answer.status < 300, answer.text
            return answer.json()

        job = ask("POST", request, json.dumps(body).encode())
        world.advance("1m")
        done = ask("GET", poll.replace("{}", str(job.get("id") or job["task_id"])))
        address = done["output"][0] if "output" in done else done["images"][0]
        assert server.request("GET", address, world=world.name).header("content-type") == "image/png"
    return job, done


def test_it_works_at_once(here: Path) -> None:
    run("acme")
    job, done = played(here / "acme.yaml", "/v1/generate", {"prompt": "a lighthouse"}, "/v1/jobs/{}")
    assert job["status"] == "queued"
    assert done["status"] == "succeeded"


# --- from an OpenAPI document

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pixel: \"API\" #1", "version": "2.1"},
    "servers": [{"url": "https://api.pixel.example/v2"}],
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "login": {"type": "oauth2", "flows": {}},
        },
        "schemas": {
            "Order": {
                "allOf": [
                    {"type": "object", "required": ["model"], "properties": {"model": {"$ref": "#/components/schemas/Name"}}},
                    {
                        "type": "object",
                        "required": ["prompt"],
                        "properties": {
                            "prompt": {"type": "string", "maxLength": 2000, "description": "what: to #draw"},
                            "steps": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "default": 20},
                            "style": {"type": "string", "nullable": True, "enum": ["photo", "no", None]},
                            "like": {"$ref": "#/components/schemas/Order"},
                            "far": {"$ref": "https://elsewhere.example/schema.json"},
                        },
                    },
                ]
            },
            "Name": {"type": "string", "enum": ["pixel-large", "Pixel/Small 2"]},
            "Task": {
                "type": "object",
                "properties": {
                    "task_id": {"type": "string"},
                    "status": {"enum": ["PENDING", "WORKING", "DONE", "BROKEN", "WEIRD"]},
                    "images": {"type": "array", "items": {"type": "string"}},
                    "created_at": {"type": "string"},
                    "note": {"type": "string", "example": "use {braces}"},
                },
            },
            "Problem": {"type": "object", "properties": {"error": {"type": "object", "properties": {"message": {"type": "string"}, "code": {"type": "integer"}}}}},
        },
        "responses": {"Denied": {"description": "no", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
    },
    "paths": {
        "/tasks": {
            "post": {
                "operationId": "createTask",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                "responses": {
                    "202": {"description": "ok", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Task"}}}},
                    "403": {"$ref": "#/components/responses/Denied"},
                    "422": {"$ref": "#/components/responses/Denied"},
                },
            }
        },
        "/tasks/{taskId}": {
            "get": {
                "operationId": "getTask",
                "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Task"}}}}},
            }
        },
        "/tasks/{taskId}/cancel": {"post": {"operationId": "cancelTask", "responses": {"204": {"description": "ok"}}}},
        "/account": {"get": {"responses": {"200": {"description": "ok"}}}},
        "/odd/{a}-{b}": {"get": {"responses": {}}},
    },
}  # fmt: skip


def made(document: Any, folder: Path, name: str = "pixel.json") -> ContractFile:
    path = folder / name
    path.write_text(
        json.dumps(document) if name.endswith("json") else yaml.safe_dump(document, sort_keys=False), encoding="utf-8"
    )
    return ContractFile(starter_contract("pixel", source=path, date=DATE), file="pixel.yaml")


@pytest.mark.parametrize("name", ["pixel.json", "pixel.yaml"])
def test_what_the_document_says_is_taken_over(tmp_path: Path, name: str) -> None:
    file = made(DOCUMENT, tmp_path, name)
    tree, contract = file.resolved(), file.resolve()
    assert contract.title == 'Pixel: "API" #1'
    assert contract.api.url == "https://api.pixel.example"
    assert [(one.header.title(), one.scheme) for one in contract.auth.accept] == [
        ("X-Api-Key", ""),
        ("Authorization", "Bearer"),
    ]
    assert {name: (one.kind, one.path) for name, one in contract.operations.items()} == {
        "create_task": ("submit", "/v2/tasks"),
        "get_task": ("read", "/v2/tasks/{taskId}"),
        "cancel_task": ("cancel", "/v2/tasks/{taskId}/cancel"),
    }
    assert {one.key for one in contract.models.values()} == {("pixel-large",), ("Pixel/Small 2",)}
    given = tree["models"]["pixel-large"]["input"]
    assert given["required"] == ["prompt"]
    assert given["properties"]["steps"] == {
        "exclusiveMinimum": 0, "type": "integer", "default": 20, "evidence": "documented openapi - POST /v2/tasks steps",
    }  # fmt: skip
    assert given["properties"]["style"]["type"] == ["string", "null"]
    assert given["properties"]["style"]["enum"] == ["photo", "no", None]
    assert {word: one.canonical for word, one in contract.states.items()} == {
        "PENDING": "queued", "WORKING": "running", "DONE": "succeeded", "BROKEN": "failed", "cancelled": "cancelled",
    }  # fmt: skip
    assert tree["errors"]["param_invalid"]["status"] == 422
    assert tree["envelopes"]["error"]["body"] == {"error": {"message": "{error.message}", "code": "{error.status}"}}
    assert tree["operations"]["create_task"]["answers"]["ok"]["status"] == 202
    assert tree["operations"]["get_task"]["answers"]["ok"] == {"status": 200, "body": {"$view": "job"}}
    assert tree["views"]["job"] == {
        "task_id": "{job.id}", "status": "{job.status}", "images": {"$case": "job.state", "$of": {"succeeded": "{job.result}"}},
        "created_at": "{job.accepted|iso_ms_z}", "note": "use {{braces}}",
    }  # fmt: skip
    assert [one["what"] for one in tree["unserved"]] == ["GET /v2/account"]


def test_what_it_does_not_say_is_assumed_and_what_cannot_be_said_is_told(tmp_path: Path) -> None:
    file = made(DOCUMENT, tmp_path)
    text = starter_contract("pixel", source=tmp_path / "pixel.json", date=DATE)
    tree = file.resolved()
    assert tree["origins"]["api"]["evidence"] == "documented openapi - servers"
    assert tree["lifecycle"]["states"]["WORKING"]["evidence"].startswith("documented openapi")
    for rule in (
        tree["urls"]["output"],
        tree["lifecycle"]["states"]["cancelled"],
        tree["account"],
        tree["errors"]["rate"],
    ):
        assert str(rule["evidence"]).startswith("assumed")
    for said in ("GET /odd/{a}-{b}", "https://elsewhere.example", "the state WEIRD", "security scheme login"):
        assert f"# Not taken over: {said}" in text.replace("the reference ", "")


def test_it_works_at_once_too(tmp_path: Path) -> None:
    made(DOCUMENT, tmp_path)
    path = tmp_path / "made.yaml"
    path.write_text(starter_contract("pixel", source=tmp_path / "pixel.json", date=DATE), encoding="utf-8")
    clean(path)
    job, done = played(path, "/v2/tasks", {"model": "Pixel/Small 2", "prompt": "a lighthouse"}, "/v2/tasks/{}")
    assert (job["status"], done["status"]) == ("PENDING", "DONE")
    assert job["note"] == "use {braces}"


@pytest.mark.parametrize("provider", [*provider_names(), str(ACME)])
def test_our_own_documents_can_be_read(tmp_path: Path, provider: str) -> None:
    document = openapi_document(open_contract(provider), {})
    file = made(document, tmp_path)
    assert [str(one) for one in findings(file) if one.severity == "error"] == []
    kinds = {one.kind for one in file.resolve().operations.values()}
    assert {"submit", "read"} <= kinds


# --- documents that nobody should write

LEAF = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=12),
                 st.sampled_from(["#/paths", "#/components/schemas/Order", "string", "object", "2xx", "{", "a: b #", "\u0000"]))  # fmt: skip
ANYTHING = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(places(DOCUMENT)), ANYTHING), min_size=1, max_size=4))
def test_whatever_stands_in_it_there_is_a_contract_or_one_error(changes: list[Any], tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        holder: Any = document
        try:
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # another change has taken that place away
    text, refusal = tried(tmp_path / "pixel.json", json.dumps(document).encode())
    assert "\n" not in refusal
    assert refusal or [str(one) for one in findings(ContractFile(text, file="x")) if one.severity == "error"] == []


def tried(path: Path, data: bytes) -> tuple[str, str]:
    """Give the contract, or what was refused."""
    path.write_bytes(data)
    try:
        return starter_contract("pixel", source=path, date=DATE), ""
    except UsageError as refused:
        return "", str(refused)


def hostile() -> dict[str, bytes]:
    deep = b'{"openapi": "3.1.0", "paths": ' + b'{"a": ' * 100_000 + b"1" + b"}" * 100_001
    bomb = "openapi: 3.1.0\npaths: &a0 {x: 1}\n" + "".join(
        f"x-{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(40)
    )
    return {
        "empty": b"", "a list": b"[]", "a number": b"3", "no JSON": b'{"openapi": ', "no YAML": b"a: [", "no text": b"\xff\xfe\x00",
        "Swagger 2": b'{"swagger": "2.0", "paths": {"/a": {}}}', "no version": b'{"paths": {"/a": {}}}',
        "no paths": b'{"openapi": "3.1.0"}', "paths are text": b'{"openapi": "3.1.0", "paths": "all"}', "too deep": deep,
        "a bomb": bomb.encode(), "a tag": b"openapi: !!python/object/apply:os.system ['true']", "a moment": b"openapi: 2001-01-01",
        "an endless number": b'{"openapi": "3.1.0", "paths": {"/a": {"get": {"x": 1' + b"0" * 10_000 + b"}}}}",
    }  # fmt: skip


@pytest.mark.parametrize("name", list(hostile()))
def test_a_bad_file_is_one_clear_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.openapi"
    text, refusal = tried(path, hostile()[name])
    assert "\n" not in refusal
    # Two of them are harmless, as nothing of what is wrong with them is asked for.
    assert refusal.startswith(str(path)) if name not in ("a bomb", "an endless number") else len(text) < 20_000


def test_references_in_circles_and_crowds_are_bounded(tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    schemas["Round"] = {"$ref": "#/components/schemas/And"}
    schemas["And"] = {"$ref": "#/components/schemas/Round"}
    # Each level holds ten of the next: ten to the twelfth fields, were they all written out.
    for level in range(12):
        inner = {"$ref": f"#/components/schemas/L{level + 1}"}
        schemas[f"L{level}"] = {"type": "object", "properties": {f"p{number}": inner for number in range(10)}}
    schemas["L12"] = {"type": "string"}
    schemas["Task"]["properties"]["round"] = {"$ref": "#/components/schemas/Round"}
    schemas["Order"]["allOf"][1]["properties"] |= {
        "round": {"$ref": "#/components/schemas/And"},
        "wide": {"$ref": "#/components/schemas/L0"},
    }
    for number in range(1000):
        document["paths"][f"/more/{number}"] = document["paths"]["/account"]
    document["components"]["schemas"]["Name"]["enum"] = [f"m{number}" for number in range(5000)]
    file = made(document, tmp_path)
    contract = file.resolve()
    assert len(contract.models) <= 50
    text = starter_contract("pixel", source=tmp_path / "pixel.json", date=DATE)
    assert len(text) < 1_000_000
    for said in ("in a circle", "models after the first 50", "operations after the first 200", "a depth or a number"):
        assert said in text


# --- the schemas


@pytest.mark.parametrize(("what", "name"), [("contract", "contract-1"), ("scenario", "scenario-1"), ("case", "case-1")])
def test_schemas_are_printed_and_written(here: Path, what: str, name: str) -> None:
    printed = CliRunner().invoke(schema, [what])
    assert (printed.exit_code, printed.output) == (0, schema_text(name))
    done = CliRunner().invoke(schema, [what, "--editor", "--out", "it.json"])
    assert done.exit_code == 0
    tree = json.loads((here / "it.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(tree)
    assert CliRunner().invoke(schema, ["poem"]).exit_code == 2


@pytest.mark.parametrize("path", [*map(provider_path, provider_names()), ACME], ids=lambda path: path.stem)
def test_an_editor_finds_nothing_wrong_with_a_right_file(path: Path) -> None:
    """Parts and readings stand in a file as it is written; the published schema is of what they leave."""
    editor = jsonschema.Draft202012Validator(json.loads(CliRunner().invoke(schema, ["contract", "--editor"]).output))
    tree = load_text(file_bytes(path), file=str(path))
    assert [error.message[:200] for error in editor.iter_errors(tree)] == []
    wrong = copy.deepcopy(dict(tree))
    wrong["lifecycle"] = {**wrong["lifecycle"], "statess": {}}
    wrong["operations"] = {**wrong["operations"], "more": {"request": "GET /x", "kind": "fly"}}
    said = " ".join(error.message for error in editor.iter_errors(wrong))
    assert "statess" in said
    assert "fly" in said
