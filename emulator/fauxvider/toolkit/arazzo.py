"""A contract's jobs as Arazzo 1.0 workflows beside its OpenAPI document: submit, poll to the end, fetch the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import pointer_text
from fauxvider.toolkit.openapi.links import place_in_answers
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.requests import routes_of
from fauxvider.toolkit.openapi.schemas import literal

__all__ = ["arazzo_document"]

_JOB = "$steps.submit.outputs.job"
_PAUSE_S, _LOOKS = 2, 300  # how patient a workflow is: no contract says, so its reader may change it


@dataclass(frozen=True)
class _Call:
    """One operation of the document."""

    path: str
    method: str
    spec: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.spec["operationId"])

    @property
    def operation(self) -> str:
        return str(self.spec["x-fauxvider-operation"])

    @property
    def kind(self) -> str:
        return str(self.spec["x-fauxvider-kind"])


def arazzo_document(document: Mapping[str, Any], file: ContractFile, *, source: str) -> dict[str, Any]:
    """Give one workflow for each operation (and model) that submits jobs.

    `document` is what `openapi_document` made of the contract, and `source` its URL or relative path. The first
    example of a request body, if it has any, is what a workflow submits unless told otherwise.
    """
    calls = [
        _Call(path, method, spec)
        for path, item in document["paths"].items()
        for method, spec in item.items()
        if isinstance(spec, dict) and "x-fauxvider-operation" in spec
    ]
    workflows = _Workflows(
        Material(file, document["info"]["x-fauxvider"]["readings"]), {call.id: call for call in calls}
    )
    return {
        "arazzo": "1.0.1",
        "info": {
            "title": f"{document['info']['title']}: from a submission to its result",
            "version": document["info"]["version"],
            "description": (
                "Made from a fauxvider contract. The pause between two looks and their number are no rule of the "
                "provider's. URLs in a result are fetched as they stand, while they live: no operation names them."
            ),
        },
        "sourceDescriptions": [{"name": workflows.contract.provider, "url": source, "type": "openapi"}],
        "workflows": [workflows.of(call) for call in calls if call.kind == "submit"],
    }


class _Workflows:
    """Makes the workflows of one contract."""

    def __init__(self, material: Material, calls: Mapping[str, _Call]) -> None:
        self._material = material
        self._calls = calls

    @property
    def contract(self) -> Contract:
        return self._material.contract

    def of(self, submit: _Call) -> dict[str, Any]:
        """Give the workflow that begins with a submission."""
        reads = list(self._reads(submit))
        steps = [self._submit(submit, has_job=bool(reads))]
        poll = next((one for one in reads if self._place(one[0], "status")), None)
        if poll is not None:
            steps.append(self._poll(*poll))
            if self._place(poll[0], "result") is None:
                steps += [self._fetch(*one) for one in reads if not self._place(one[0], "status")][:1]
        last = steps[-1]
        return {
            "workflowId": re.sub(r"[^A-Za-z0-9_-]", "-", submit.id),
            "summary": " and ".join(step["description"].lower() for step in steps).capitalize(),
            "inputs": self._inputs(submit, steps),
            "parameters": self._key(submit),
            "steps": steps,
            "outputs": {name: f"$steps.{last['stepId']}.outputs.{name}" for name in last["outputs"]},
        }

    def _reads(self, submit: _Call) -> Iterator[tuple[_Call, list[dict[str, Any]]]]:
        """Walk the operations that look at the job by what the submission answered, with their parameters."""
        for answer in submit.spec["responses"].values():
            for name, link in answer.get("links", {}).items():
                call = self._calls[name]
                if call.kind == "read":
                    of_job = {place.partition(".")[2] for place in link["parameters"]}
                    holes = [one["name"] for one in call.spec.get("parameters", ()) if one["in"] == "path"]
                    yield (
                        call,
                        [
                            {
                                "name": hole,
                                "in": "path",
                                "value": _JOB if hole in of_job else self._fact(submit, call, hole),
                            }
                            for hole in holes
                        ],
                    )

    def _fact(self, submit: _Call, call: _Call, hole: str) -> str:
        """Give what stands in a path beside the job: a fact of the model, or what the client says."""
        asked = self._material.at("operations", call.operation, "where") or {}
        fact = next((path for path, text in asked.items() if text == f"{{path.{hole}}}"), "").removeprefix("facts.")
        routes = routes_of(self._material, self.contract.operations[submit.operation])
        models = next((route.models for route in routes if route.path == submit.path), [])
        values = {str(model.facts[fact]) for model in models if fact in model.facts}
        return values.pop() if len(values) == 1 else f"$inputs.{hole}"

    def _place(self, call: _Call, fact: str) -> str | None:
        """Say where an operation shows a fact of the job: a runtime expression; None if it does not."""
        pointer = place_in_answers(self._material, call.operation, f"{{job.{fact}}}")
        return None if pointer is None else f"$response.body#{pointer}" if pointer else "$response.body"

    # --- steps

    def _named(self, call: _Call) -> dict[str, str]:
        """Name an operation; by its place where its id has a dot, which runners take for the end of a source's name."""
        if "." not in call.id:
            return {"operationId": call.id}
        place = pointer_text(("paths", call.path, call.method))
        return {"operationPath": f"{{$sourceDescriptions.{self.contract.provider}.url}}#{place}"}

    def _submit(self, call: _Call, *, has_job: bool) -> dict[str, Any]:
        status = self.contract.operations[call.operation].answers["ok"].status
        facts = ("id",) if has_job else ("id", "status", "result")
        return {
            "stepId": "submit",
            "description": "Submit",
            **self._named(call),
            "requestBody": {"contentType": "application/json", "payload": "$inputs.body"},
            "successCriteria": [{"condition": f"$statusCode == {status}"}],
            "outputs": self._outputs(call, facts),
        }

    def _poll(self, call: _Call, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        good = self.contract.ends["succeeded"].word
        over = {state.word for state in self.contract.ends.values()} - {good}
        waits = {phase.state.word for phase in self.contract.phases} - over - {good}
        shown = self._place(call, "status")

        def is_one_of(words: set[str]) -> dict[str, Any]:
            pattern = "|".join(literal(word) for word in sorted(words))
            return {"context": shown, "condition": f"^({pattern})$", "type": "regex"}

        again = {"name": "look-again", "type": "retry", "retryAfter": _PAUSE_S, "retryLimit": _LOOKS}
        return {
            "stepId": "poll",
            "description": "Poll until it is over",
            **self._named(call),
            "parameters": parameters,
            "successCriteria": [{"condition": "$statusCode == 200"}, is_one_of({good})],
            "onFailure": [
                {**again, "criteria": [is_one_of(waits)]},
                {"name": "without-result", "type": "end", "criteria": [is_one_of(over)]},
            ],
            "outputs": self._outputs(call, ("id", "status", "result")),
        }

    def _fetch(self, call: _Call, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "stepId": "fetch",
            "description": "Fetch the result",
            **self._named(call),
            "parameters": parameters,
            "successCriteria": [{"condition": "$statusCode == 200"}],
            "outputs": self._outputs(call, ("result",)),
        }

    def _outputs(self, call: _Call, facts: tuple[str, ...]) -> dict[str, str]:
        found = {"job" if fact == "id" else fact: self._place(call, fact) for fact in facts}
        return {name: place for name, place in found.items() if place is not None}

    # --- what a client brings

    def _inputs(self, call: _Call, steps: list[dict[str, Any]]) -> dict[str, Any]:
        media = call.spec.get("requestBody", {}).get("content", {}).get("application/json", {})
        shown = [one["value"] for one in media.get("examples", {}).values() if "value" in one]
        members: dict[str, Any] = {"body": {"type": "object"} | ({"default": shown[0]} if shown else {})}
        if self._key(call):
            members["key"] = {"type": "string"}
        for step in steps:
            asked = [one["value"] for one in step.get("parameters", ())]
            members |= {value[8:]: {"type": "string"} for value in asked if value.startswith("$inputs.")}
        needed = [name for name, one in members.items() if "default" not in one]
        return {"type": "object", "properties": members, "required": needed}

    def _key(self, call: _Call) -> list[dict[str, Any]]:
        if not call.spec.get("security"):
            return []
        first = self.contract.auth.accept[0]
        value = f"{first.scheme} {{$inputs.key}}" if first.scheme else "$inputs.key"
        return [
            {"name": "-".join(part.capitalize() for part in first.header.split("-")), "in": "header", "value": value}
        ]
