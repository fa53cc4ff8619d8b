"""Holds the emulator's answers to an OpenAPI document: status, media type, headers and body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema_rs

from support.inprocess import Answer, InProcess

__all__ = ["Described", "Watched"]


@dataclass(frozen=True)
class Exchange:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    answer: Answer


class Watched(InProcess):
    """An emulator that keeps what was asked of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[Exchange] = []

    async def call(self, method: str, url: str, **given: Any) -> Answer:
        answer = await super().call(method, url, **given)
        headers = {key.lower(): value for key, value in (given.get("headers") or {}).items()}
        body = given.get("body", b"")
        self.seen.append(Exchange(method, url, headers, body, answer))
        return answer


class Described:
    """An OpenAPI document as an oracle."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, Any] = {}
        self._routes = sorted(
            ((_pattern(path), path) for path in document["paths"]), key=lambda route: route[1].count("{")
        )

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        for pattern, template in self._routes:
            if pattern.fullmatch(path):
                item = self.document["paths"][template]
                if method.lower() in item:
                    return template, item[method.lower()]
        return None

    def problems(self, method: str, path: str, answer: Answer) -> Iterator[str] | None:
        """List what the document does not allow about an answer; None if it has no such operation."""
        found = self.operation(method, path)
        return None if found is None else self._problems(f"{method} {found[0]}", found[1], answer, method)

    def _problems(self, name: str, spec: dict[str, Any], answer: Answer, method: str) -> Iterator[str]:
        response = spec["responses"].get(str(answer.status))
        if response is None:
            yield f"{name}: {answer.status} is not documented: {answer.text[:200]}"
            return
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        for header, said in response.get("headers", {}).items():
            if said["required"] and header.lower() not in answer.headers:
                yield f"{name}: {answer.status} without the header {header}"
        content, kind = response.get("content", {}), answer.headers.get("content-type", "").partition(";")[0]
        if not answer.body or method == "HEAD":
            return
        media = content.get(kind, content.get("*/*"))
        if media is None:
            yield f"{name}: {answer.status} has {kind}, and {list(content)} are documented"
        elif kind == "application/json":
            for error in self.validator(media["schema"]).iter_errors(json.loads(answer.body)):
                yield f"{name}: {answer.status} at {list(error.instance_path)}: {error.message[:300]}"

    def validator(self, schema: Any) -> Any:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self.document["components"]["schemas"]}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True, offline=True)
        return self._validators[key]


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", path)
    # A storage key has slashes; OpenAPI's holes have none, the emulator's may.
    return re.compile("".join(".+" if "key" in part and part[0] == "{" else "[^/]+" if part[:1] == "{" else
                              re.escape(part) for part in parts))  # fmt: skip


def path_below(base: str, url: str) -> str | None:
    """Give the path below a base URL; None for another place."""
    path, root = unquote(urlsplit(url).path), urlsplit(base).path
    return path[len(root) :] if path.startswith(root) else None
