"""Examples: requests from the provider's documented cases, answers from the emulator itself, asked in this process.

So an example can be wrong only where the emulator is, for any contract and any choice of readings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile
from fauxvider.local import Answer, LocalServer
from fauxvider.toolkit.openapi.samples import sample_of
from fauxvider_contracts import case_names, case_text

__all__ = ["add_examples"]

_MOMENT = "2026-11-20T09:15:30.250Z"
_MOST = 3  # examples of one request body
_FIRST = ("secret_create", "asset_session", "asset_upload", "submit")
_LAST = ("cancel", "retry", "purge", "secret_delete")
_MADE = {"submit": "job", "asset_session": "asset", "asset_upload": "asset", "secret_create": "secret"}
_MULTIPART = (
    b'--rim\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\nPNG\r\n--rim--\r\n"
)


def add_examples(document: dict[str, Any], file: ContractFile) -> None:
    """Add examples to a document that `openapi_document` made of this contract."""
    choice = document["info"]["x-fauxvider"]["readings"]
    operations = list(_operations(document))
    _add_requests(document, operations, file.resolve(choice))
    with LocalServer(contracts=[file.file], deliver=lambda _callback: 200) as server:
        world = server.world(name="examples", clock="stepping:1s", seed=1, now=_MOMENT, readings=choice, limits="off")
        walk = _Walk(server, world.name, file, document)
        for model in dict.fromkeys(_model(spec) for _, _, spec in operations):
            own = sorted((one for one in operations if _model(one[2]) == model), key=_order)
            for path, method, spec in own:
                walk.ask(path, method, spec)
            world.advance("20s")
            for path, method, spec in own:
                if spec["x-fauxvider-kind"] in ("read", "deliveries", "list"):
                    walk.ask(path, method, spec)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, spec in item.items():
            if isinstance(spec, dict) and "x-fauxvider-kind" in spec:
                yield path, method, spec


def _order(one: tuple[str, str, dict[str, Any]]) -> int:
    kind = one[2]["x-fauxvider-kind"]
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST) + (kind in _LAST)


# --- requests


def _add_requests(
    document: dict[str, Any], operations: list[tuple[str, str, dict[str, Any]]], contract: Contract
) -> None:
    documented = list(_documented(contract.provider, contract.choice))
    for path, method, spec in operations:
        media = spec.get("requestBody", {}).get("content", {}).get("application/json")
        if media is None:
            continue
        pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)))
        fitting = [one for one in documented if one["method"].lower() == method and pattern.fullmatch(one["path"])]
        examples: dict[str, Any] = {}
        for one in fitting:
            if len(examples) < _MOST and one["json"] not in [known["value"] for known in examples.values()]:
                said = {"summary": one["about"], "value": one["json"]}
                examples[one["case"]] = said | ({"description": one["source"]} if one["source"] else {})
        if not examples:
            at = contract.operations[spec["x-fauxvider-operation"]].input
            value = sample_of(media["schema"], document["components"]["schemas"], at=at)
            examples["smallest"] = {"value": value}
        media["examples"] = examples


def _documented(provider: str, choice: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Walk the requests of documented cases that were answered with success under this choice."""
    for name in case_names(provider):
        case = json.loads(case_text(provider, name))
        readings = case.get("world", {}).get("readings", {})
        readings = readings[provider] if isinstance(readings.get(provider), dict) else readings
        if any(choice.get(reading) != one for reading, one in readings.items()):
            continue
        for step in case.get("steps", ()):
            request, expected = step.get("request", {}), step.get("expect", {}).get("status")
            is_good = isinstance(expected, int) and expected < 300
            if is_good and isinstance(request.get("json"), dict) and "${" not in json.dumps(request["json"]):
                about = {"case": name, "about": case.get("name", name), "source": case.get("source", "")}
                yield {**about, "method": request["method"], "path": request.get("path", ""), "json": request["json"]}


# --- answers


class _Walk:
    """One client that asks everything once, with the ids that earlier answers gave it."""

    def __init__(self, server: LocalServer, world: str, file: ContractFile, document: Mapping[str, Any]) -> None:
        self._server = server
        self._world = world
        choice = document["info"]["x-fauxvider"]["readings"]
        self._contract = file.resolve(choice)
        self._ids: dict[tuple[str, str], str] = {}

    def ask(self, path: str, method: str, spec: dict[str, Any]) -> None:
        """Make one request of an operation, and keep what is answered as the example of its status."""
        model = _model(spec)
        for parameter in spec.get("parameters", ()):
            if parameter["in"] == "path":
                subject = parameter["schema"].get("x-fauxvider-id", "")
                known = self._ids.get((subject, model)) or self._ids.get((subject, ""))
                path = path.replace(f"{{{parameter['name']}}}", known or "unknown")
        headers, body = self._sent(spec)
        url = self._contract.api.url + path
        answer = self._server.request(method.upper(), url, headers=headers, body=body, world=self._world)
        self._keep(spec, answer)
        self._learn(spec, answer, model)

    def _sent(self, spec: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        first = self._contract.auth.accept[0]
        headers = {first.header: f"{first.scheme} example".strip()}
        content = spec.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            example = next(iter(content["application/json"]["examples"].values()))["value"]
            return headers | {"content-type": "application/json"}, json.dumps(example).encode()
        if "multipart/form-data" in content:
            (part,) = content["multipart/form-data"]["schema"]["required"]
            return headers | {"content-type": "multipart/form-data; boundary=rim"}, _MULTIPART % part.encode()
        return headers, b""

    def _keep(self, spec: dict[str, Any], answer: Answer) -> None:
        kind = (answer.header("content-type") or "").partition(";")[0]
        response = spec["responses"].get(str(answer.status), {})
        media = response.get("content", {}).get(kind)
        if media is None or kind != "application/json" or not answer.body:
            return
        value = answer.json()
        examples = media.setdefault("examples", {})
        if value not in [known["value"] for known in examples.values()] and len(examples) < _MOST:
            examples[f"answer_{len(examples) + 1}" if examples else "answer"] = {"value": value}

    def _learn(self, spec: Mapping[str, Any], answer: Answer, model: str) -> None:
        subject = _MADE.get(spec["x-fauxvider-kind"])
        links = spec["responses"].get(str(answer.status), {}).get("links", {})
        if subject is None or not links:
            return
        pointer = next(iter(next(iter(links.values()))["parameters"].values())).partition("#")[2]
        found: Any = answer.json()
        for name in pointer.split("/")[1:]:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            self._ids[subject, model] = self._ids[subject, ""] = found


def _model(spec: Mapping[str, Any]) -> str:
    """Name the model that an operation was unrolled for."""
    name, operation = spec["operationId"], spec["x-fauxvider-operation"]
    return str(name[len(operation) :].strip(".").partition(".")[0])
