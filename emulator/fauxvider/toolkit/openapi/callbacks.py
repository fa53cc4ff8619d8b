"""Callbacks: what the provider sends to the address in a request, signed, and how often it tries."""

from __future__ import annotations

from typing import Any

from fauxvider.contract.strict import pointer_text
from fauxvider.toolkit.openapi.inference import shape_of
from fauxvider.toolkit.openapi.known import about_jobs, payload
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.schemas import has_null, named, without_null

__all__ = ["callbacks_of"]


def callbacks_of(material: Material, models: tuple[str, ...]) -> dict[str, Any]:
    """Give the `callbacks` of an operation that submits jobs of these models; {} without callbacks."""
    rules = material.contract.callbacks
    if rules is None:
        return {}
    schema = payload(material, models)
    body = {"required": True, "content": {"application/json": {"schema": _named(schema)}}}
    accepted = {_status(text): {"description": "Received"} for text in sorted(rules.accept)}
    post: dict[str, Any] = {
        "operationId": f"callback.{models[0]}" if len(models) == 1 else "callback",
        "summary": "A job has come to its end",
        "parameters": _headers(material, models),
        "requestBody": body,
        "responses": accepted,
        "x-fauxvider-retry": {
            "delays_ms": list(rules.retry.delays),
            "from": rules.retry.origin,
            "on": sorted(rules.retry.on),
            "timeout_ms": rules.timeout,
            "resend": "fresh" if rules.fresh else "same",
            **_short(material.pointer("callbacks", "retry")),
        },
        "x-fauxvider-events": dict(rules.events),
        **material.pointer("callbacks"),
    }
    if rules.signature is not None:
        signature = rules.signature
        post["x-fauxvider-signature"] = {
            "algorithm": signature.algorithm,
            "encoding": signature.encoding,
            "key": signature.key,
            "text": material.at("callbacks", "signature", "text"),
            **_short(material.pointer("callbacks", "signature")),
        }
    for name in ("progress", "throttle", "filter"):
        if said := material.at("callbacks", name):
            post[f"x-fauxvider-{name}"] = {key: one for key, one in said.items() if key != "evidence"}
    place = f"query.{rules.query}" if rules.query else f"body#{pointer_text(rules.address)}"
    return {"ended": {f"{{$request.{place}}}": {"post": post}}}


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    return named("callback", schema) if schema.get("type") == "object" or "anyOf" in schema else schema


def _status(text: str) -> str:
    return text.upper() if text.endswith("xx") else text


def _short(where: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in where.items() if key != "x-fauxvider-evidence"}


def _headers(material: Material, models: tuple[str, ...]) -> list[dict[str, Any]]:
    """Name the headers of a callback but those that OpenAPI has other places for."""
    found = []
    for name, tree in (material.at("callbacks", "headers") or {}).items():
        if name.lower() in ("content-type", "accept", "authorization"):
            continue
        shape = shape_of(tree, about_jobs(material, models).bound("payload", {"type": "string"}))
        schema = without_null(shape.schema)
        if schema is not None:
            is_sure = not shape.is_optional and not has_null(shape.schema)
            found.append({"name": name, "in": "header", "required": is_sure, "schema": schema})
    return found
