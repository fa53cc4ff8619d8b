"""The contract's file URLs as paths: downloads, uploads, and what is said of one that has expired."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fauxvider.contract.model import Url
from fauxvider.toolkit.openapi import entities
from fauxvider.toolkit.openapi.jobs import JobFacts
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.responses import error_responses
from fauxvider.toolkit.openapi.schemas import Schema, union

__all__ = ["file_paths"]

_HOLE = re.compile(r"\{([a-z_.]+)\}")
_METHODS = {"output": ("get", "head"), "asset": ("get", "head"), "upload": ("put",)}
_ABOUT = {"output": "Download a picture", "asset": "Download an uploaded file", "upload": "Upload a file"}
_SIGNED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")


def file_paths(material: Material, *, prefix: bool) -> dict[str, Any]:
    """Give path items for the file URLs. `prefix`: an emulator serves the other hosts below `/~NAME`."""
    paths: dict[str, Any] = {}
    for url in material.contract.urls.values():
        is_api = url.origin == material.contract.api.name
        path = _HOLE.sub(lambda found: f"{{{_name(found[1])}}}", url.path)
        item = paths.setdefault(f"/~{url.origin}{path}" if prefix and not is_api else path, {})
        if not prefix and not is_api:
            item["servers"] = [{"url": material.contract.origins[url.origin].url}]
        for method in _METHODS[url.serves]:
            if method not in item:
                item[method] = _operation(material, url, method)
    return paths


def _name(hole: str) -> str:
    return hole.replace(".", "_")


def _operation(material: Material, url: Url, method: str) -> dict[str, Any]:
    life = "" if url.lives is None else f"; the URL lives {url.lives // 1000} s"
    spec: dict[str, Any] = {
        "operationId": f"{url.name}.{method}",
        "summary": f"{_ABOUT[url.serves]}{life}",
        "tags": ["files"],
        "security": [],
        "parameters": _parameters(url),
        "responses": _responses(material, url, method),
        "x-fauxvider-serves": url.serves,
        **material.pointer("urls", url.name),
    }
    if method == "put":
        spec["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
    return spec


def _parameters(url: Url) -> list[dict[str, Any]]:
    holes = _HOLE.findall(url.path)
    found = [{"name": _name(hole), "in": "path", "required": True, "schema": _schema(hole)} for hole in holes]
    if url.sigv4 is None:
        return found
    names = [*_SIGNED, *url.sigv4.query, "X-Amz-Signature"]
    return found + [{"name": name, "in": "query", "required": True, "schema": _query(name, url)} for name in names]


def _schema(hole: str) -> Schema:
    return {"type": "integer", "minimum": 1} if hole == "file.number" else {"type": "string", "minLength": 1}


def _query(name: str, url: Url) -> Schema:
    fixed: Mapping[str, str] = url.sigv4.query if url.sigv4 else {}
    return {"type": "string", "const": fixed[name]} if name in fixed else {"type": "string", "minLength": 1}


def _responses(material: Material, url: Url, method: str) -> dict[str, Any]:
    causes = ["url_unknown", "url_expired", "url_forged", "url_unsigned", "url_method"]
    named = [url.errors.get(cause, cause) for cause in causes]
    if method == "put":
        named.append("body_too_large")
    responses = error_responses(material, [cause for cause in named if cause in material.contract.errors])
    if method == "head":
        for response in responses.values():
            response.pop("content", None)
    found = {"description": "The file", **_content(material, url, method)}
    responses["200"] = found
    if method != "put":
        responses["206"] = {
            "description": "The bytes that the Range header asks for",
            **_content(material, url, method),
        }
        responses["416"] = {"description": "The Range header asks for bytes that there are not"}
    return dict(sorted(responses.items()))


def _content(material: Material, url: Url, method: str) -> dict[str, Any]:
    if method == "put":
        return {}
    if url.serves != "output":
        return {"content": {"*/*": {}}}
    every = tuple(material.contract.models)
    row = entities.outputs(material, every, JobFacts(frozenset({"succeeded"}))).get("items", {})
    kinds = union([row.get("properties", {}).get("media_type", {})]) or {}
    types = kinds.get("enum") or [kinds.get("const", "image/png")]
    return {"content": {str(kind): {} for kind in types}}
