"""The exported Arazzo workflows, carried out as they stand: a runner that knows nothing of contracts gets to the result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fauxvider import cli
from fauxvider.contract.parse import open_contract
from fauxvider.embedded import WorldHandle
from fauxvider.local import Callback, LocalServer
from fauxvider_contracts import provider_names

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"


class Runner:
    """Carries out the workflows of one document, as Arazzo 1.0 says."""

    def __init__(self, arazzo: Path, server: LocalServer, world: WorldHandle) -> None:
        self.document = (
            yaml.safe_load(arazzo.read_text()) if arazzo.suffix == ".yaml" else json.loads(arazzo.read_text())
        )
        (source,) = self.document["sourceDescriptions"]
        self.name = source["name"]
        self.openapi = json.loads((arazzo.parent / source["url"]).read_text())
        self.server, self.world = server, world
        self.looks = 0

    def run(self, workflow: dict[str, Any], **inputs: Any) -> tuple[str, dict[str, Any]]:
        """Give how it ended (`done`, the name of an action, or the step that nothing provides for) and the outputs."""
        given = {name: one["default"] for name, one in workflow["inputs"]["properties"].items() if "default" in one}
        known: dict[str, Any] = {"inputs": {**given, **inputs}, "steps": {}}
        assert set(workflow["inputs"]["required"]) <= set(known["inputs"])
        for step in workflow["steps"]:
            self.looks = 0
            while (end := self._step(workflow, step, known)) == "again":
                pass
            if end:
                return end, known
        return "done", {name: self._value(said, known) for name, said in workflow["outputs"].items()}

    def _step(self, workflow: dict[str, Any], step: dict[str, Any], known: dict[str, Any]) -> str:
        answer = self._ask([*workflow["parameters"], *step.get("parameters", ())], step, known)
        here = {**known, "answer": answer}
        if all(self._holds(one, here) for one in step["successCriteria"]):
            outputs = {name: self._value(said, here) for name, said in step["outputs"].items()}
            known["steps"][step["stepId"]] = {"outputs": outputs}
            return ""
        for action in step.get("onFailure", ()):
            if all(self._holds(one, here) for one in action["criteria"]):
                if action["type"] == "end":
                    return str(action["name"])
                assert action["type"] == "retry"
                assert self.looks < action["retryLimit"]
                self.looks += 1
                self.world.advance(f"{action['retryAfter']}s")
                return "again"
        return f"{step['stepId']}: {answer.status} {answer.body[:200]!r}"

    def _ask(self, parameters: list[dict[str, Any]], step: dict[str, Any], known: dict[str, Any]) -> Any:
        path, method = self._operation(step)
        headers = {"content-type": "application/json"}
        for one in parameters:
            value = self._value(one["value"], known)
            if one["in"] == "header":
                headers[one["name"]] = value
            else:
                assert f"{{{one['name']}}}" in path
                path = path.replace(f"{{{one['name']}}}", value)
        assert "{" not in path
        body = b""
        if "requestBody" in step:
            body = json.dumps(self._value(step["requestBody"]["payload"], known)).encode()
        url = self.openapi["servers"][0]["url"] + path
        return self.server.request(method.upper(), url, headers=headers, body=body, world=self.world.name)

    def _operation(self, step: dict[str, Any]) -> tuple[str, str]:
        if "operationId" in step:
            ((path, method),) = [
                (path, method)
                for path, item in self.openapi["paths"].items()
                for method, spec in item.items()
                if isinstance(spec, dict) and spec.get("operationId") == step["operationId"]
            ]
            return path, method
        source, _, pointer = step["operationPath"].partition("#")
        assert source == f"{{$sourceDescriptions.{self.name}.url}}"
        assert at(self.openapi, pointer)["operationId"]
        _, _, path, method = map(_plain, pointer.split("/"))
        return path, method

    def _holds(self, criterion: dict[str, Any], known: dict[str, Any]) -> bool:
        if criterion.get("type") == "regex":
            try:
                value = self._value(criterion["context"], known)
            except (KeyError, TypeError):
                return False
            return isinstance(value, str) and re.search(criterion["condition"], value) is not None
        found = re.fullmatch(r"\$statusCode == (\d+)", criterion["condition"])
        assert found is not None
        return bool(known["answer"].status == int(found[1]))

    def _value(self, said: str, known: dict[str, Any]) -> Any:
        if "{$" in said:
            return re.sub(r"\{(\$[^}]*)\}", lambda found: str(self._value(found[1], known)), said)
        if said.startswith("$response.body"):
            return at(json.loads(known["answer"].body), said.partition("#")[2])
        if not said.startswith("$"):
            return said
        value: Any = known
        for part in said[1:].split("."):
            value = value[part]
        return value


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def at(tree: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        tree = tree[int(part)] if isinstance(tree, list) else tree[_plain(part)]
    return tree


def _received(_callback: Callback) -> int:
    return 200


def exported(provider: str, folder: Path, name: str = "jobs.arazzo.yaml", *more: str) -> Path:
    out, flows = folder / "api.json", folder / name
    done = CliRunner().invoke(cli._root, ["openapi", provider, "--out", str(out), "--arazzo", str(flows), *more])
    assert done.exit_code == 0, done.output
    return flows


# The documents show requests that are taken and fail; where one is the example, so does its workflow.
SHOWN_TO_FAIL = {"runsync-my-endpoint"}


@pytest.mark.parametrize("provider", [*provider_names(), str(ACME)], ids=lambda name: Path(name).stem)
def test_each_workflow_gets_to_its_result(provider: str, tmp_path: Path) -> None:
    flows = exported(provider, tmp_path)
    with LocalServer(contracts=[open_contract(provider).file], deliver=_received) as server:
        runner = Runner(flows, server, server.world(seed=1, clock="stepping:1s", limits="off"))
        workflows = runner.document["workflows"]
        assert len({one["workflowId"] for one in workflows}) == len(workflows) > 0
        for workflow in workflows:
            assert re.fullmatch(r"[A-Za-z0-9_-]+", workflow["workflowId"])
            end, outputs = runner.run(workflow, key="any")
            if workflow["workflowId"] in SHOWN_TO_FAIL:
                assert end == "without-result"
            else:
                assert end == "done", (workflow["workflowId"], end)
                assert outputs["result"]


def test_a_job_that_fails_ends_its_workflow_by_name(tmp_path: Path) -> None:
    flows = exported("runflow", tmp_path)
    with LocalServer(contracts=[open_contract("runflow").file], deliver=_received) as server:
        scenario = {"scenario": 1, "name": "failing", "rules": [{"on": "job", "do": {"fail": "provider_error"}}]}
        world = server.world(seed=1, clock="stepping:1s", limits="off", scenario=scenario)
        runner = Runner(flows, server, world)
        end, _ = runner.run(runner.document["workflows"][0], key="any")
    assert end == "without-result"


def test_json_or_yaml_by_the_name_of_the_file(tmp_path: Path) -> None:
    flows = exported("fal", tmp_path, "jobs.json")
    assert json.loads(flows.read_text())["arazzo"].startswith("1.0.")


def test_the_document_is_named_from_where_the_workflows_are(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    flows = exported("fal", tmp_path, "flows/jobs.yaml")
    assert yaml.safe_load(flows.read_text())["sourceDescriptions"][0]["url"] == "../api.json"


def test_workflows_need_a_document_to_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli._root, ["openapi", "fal", "--arazzo", str(tmp_path / "jobs.yaml")])
    assert done.exit_code != 0
    assert not (tmp_path / "jobs.yaml").exists()


def test_without_examples_the_body_is_asked_for(tmp_path: Path) -> None:
    flows = exported("fal", tmp_path, "jobs.json", "--no-examples")
    for workflow in json.loads(flows.read_text())["workflows"]:
        assert workflow["inputs"]["required"] == ["body", "key"]
        assert "default" not in workflow["inputs"]["properties"]["body"]
