"""The OpenAPI 3.1 document of a contract: paths, security, refusals, callbacks, and where each rule stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fauxvider.contract.model import Contract, Operation
from fauxvider.contract.parse import ContractFile
from fauxvider.toolkit.openapi.callbacks import callbacks_of
from fauxvider.toolkit.openapi.deviations import deviations_of
from fauxvider.toolkit.openapi.files import file_paths
from fauxvider.toolkit.openapi.hoist import Components
from fauxvider.toolkit.openapi.links import add_links
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.requests import Route, parameters_of, request_body, routes_of
from fauxvider.toolkit.openapi.responses import responses_of

__all__ = ["openapi_document"]

_DIALECT = "https://spec.openapis.org/oas/3.1/dialect/base"


def openapi_document(
    file: ContractFile, readings: Mapping[str, str] | None = None, *, base_url: str = ""
) -> dict[str, Any]:
    """Give the OpenAPI document of a contract under a choice of readings, without examples.

    Without `base_url` the servers are the provider's own; with it, an emulator that serves the API
    there and the provider's other hosts below it. Raises UsageError for an unknown reading.
    """
    material = Material(file, file.choice(readings))
    contract, components = material.contract, Components()
    made, paths = _paths(material)
    add_links(material, made)
    for path, item in file_paths(material, prefix=bool(base_url)).items():
        paths.setdefault(path, {}).update(item)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": _DIALECT,
        "info": _info(material),
        "servers": [{"url": base_url or contract.api.url}],
        "paths": _lifted(paths, components),
        "components": {},
        "x-fauxvider-deviations": deviations_of(material, made),
    }
    document["components"] = {
        "schemas": dict(sorted(components.found["schemas"].items())),
        "responses": dict(sorted(components.found["responses"].items())),
        "securitySchemes": _security_schemes(material),
    }
    return document


def _info(material: Material) -> dict[str, Any]:
    contract = material.contract
    return {
        "title": contract.title,
        "version": contract.digest[:12],
        "description": (
            "Made from a fauxvider contract. `x-fauxvider-pointer` and `x-fauxvider-line` name the rule of the "
            "contract that a part of this document comes from, `x-fauxvider-evidence` who says so."
        ),
        "x-fauxvider": {
            "provider": contract.provider,
            "contract": material.file_name,
            "digest": contract.digest,
            "readings": dict(contract.choice),
            "unserved": [{"what": one["what"], "why": one["why"]} for one in contract.unserved],
        },
    }


# --- paths


def _paths(material: Material) -> tuple[list[tuple[Operation, Route, dict[str, Any]]], dict[str, Any]]:
    made: list[tuple[Operation, Route, dict[str, Any]]] = []
    paths: dict[str, Any] = {}
    operations = [one for one in material.contract.operations.values() if one.origin == material.contract.api.name]
    for operation in operations:
        for route in routes_of(material, operation):
            item = paths.setdefault(route.path, {})
            for method in operation.methods:
                spec = _operation(material, operation, route, method)
                if method.lower() in item:
                    _join(item[method.lower()], spec)
                else:
                    item[method.lower()] = spec
                    made.append((operation, route, spec))
    return made, paths


def _operation(material: Material, operation: Operation, route: Route, method: str) -> dict[str, Any]:
    name = operation.name
    if route.is_unrolled:
        name += "." + "-".join(one.name for one in route.models)
    if len(operation.methods) > 1:
        name += f".{method.lower()}"
    spec: dict[str, Any] = {
        "operationId": name,
        "summary": operation.name.replace("_", " ").capitalize(),
        "tags": [operation.kind.partition("_")[0]],
        "security": _security(material.contract, operation),
    }
    if parameters := parameters_of(material, operation, route):
        spec["parameters"] = parameters
    if body := request_body(material, operation, route.models):
        spec["requestBody"] = body
    spec["responses"] = _responses(material, operation, route)
    if operation.kind == "submit" and (callbacks := callbacks_of(material, tuple(one.name for one in route.models))):
        spec["callbacks"] = callbacks
    spec |= {"x-fauxvider-operation": operation.name, "x-fauxvider-kind": operation.kind}
    if operation.scope:
        spec["x-fauxvider-scope"] = operation.scope
    return spec | material.pointer("operations", operation.name)


def _responses(material: Material, operation: Operation, route: Route) -> dict[str, Any]:
    """Give an operation's responses: by another method they are the same."""
    key = ("responses", operation.name, route.path)
    if key not in material.memory:
        material.memory[key] = responses_of(material, operation, route.models)
    return {status: dict(response) for status, response in material.memory[key].items()}


def _join(spec: dict[str, Any], other: dict[str, Any]) -> None:
    """Put a second operation of one route, chosen by the body, beside the first."""
    spec["summary"] += f"; {other['summary'].lower()}"
    for kind, media in other.get("requestBody", {}).get("content", {}).items():
        known = spec.setdefault("requestBody", {"content": {}})["content"].setdefault(kind, {"schema": {"anyOf": []}})
        first = known["schema"]
        known["schema"] = {"anyOf": [*(first["anyOf"] if set(first) == {"anyOf"} else [first]), media["schema"]]}
    for status, response in other["responses"].items():
        mine = spec["responses"].setdefault(status, response)
        if mine is not response:
            _join_response(mine, response)


def _join_response(mine: dict[str, Any], other: dict[str, Any]) -> None:
    for kind, media in other.get("content", {}).items():
        known = mine.setdefault("content", {}).setdefault(kind, media)
        if known is not media and known != media:
            known["schema"] = {"anyOf": [known["schema"], media["schema"]]}


def _lifted(paths: dict[str, Any], components: Components) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for path, item in paths.items():
        out[path] = {}
        for method, spec in item.items():
            lifted = components.lifted({key: value for key, value in spec.items() if key != "responses"}) if isinstance(
                spec, dict
            ) else spec  # fmt: skip
            if isinstance(spec, dict) and "responses" in spec:
                lifted["responses"] = {
                    status: components.response(status, one)
                    if int(status) >= 400 and "links" not in one
                    else components.lifted(one)
                    for status, one in spec["responses"].items()
                }
            out[path][method] = lifted
    return out


# --- security


def _security_schemes(material: Material) -> dict[str, Any]:
    where = material.pointer("auth")
    found: dict[str, Any] = {}
    for accepted in material.contract.auth.accept:
        name = _scheme_name(accepted.header, accepted.scheme)
        if accepted.scheme:
            found[name] = {"type": "http", "scheme": accepted.scheme.lower(), **where}
        else:
            found[name] = {"type": "apiKey", "in": "header", "name": _header(accepted.header), **where}
    return found


def _scheme_name(header: str, scheme: str) -> str:
    return f"{scheme or 'bare'}_{header}".lower() if header == "authorization" else header


def _header(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _security(contract: Contract, operation: Operation) -> list[dict[str, Any]]:
    if "auth" not in operation.checks:
        return []
    return [{_scheme_name(one.header, one.scheme): []} for one in contract.auth.accept]
