"""Sections 15 to 20 of a contract: callbacks, URLs, limits, assets, secrets and idempotency."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fauxvider.contract.model import (
    AssetRules,
    Callbacks,
    ErrorFace,
    Idempotency,
    IdKind,
    Limit,
    Milestone,
    Origin,
    Retry,
    SecretRules,
    Signature,
    SigV4,
    Url,
)
from fauxvider.contract.nodes import Node

__all__ = ["assets_of", "callbacks_of", "idempotency_of", "limits_of", "secrets_of", "urls_of"]

_WORDS = ("pending", "delivered", "failed")
_PATH_NAMES = {
    "output": ("file.token", "file.key", "file.number", "file.ext", "job.id"),
    "asset": ("file.token", "file.key", "file.ext", "asset.id", "asset.key"),
    "upload": ("file.token", "file.key", "file.ext", "asset.id", "asset.key"),
}
_PLACEHOLDER = re.compile(r"\{([^{}|?]*)")


def callbacks_of(root: Node, ids: Mapping[str, IdKind]) -> Callbacks | None:
    node = root.at("callbacks")
    if node.value is None:
        return None
    words, throttle = node.at("words"), node.at("throttle")
    in_query = isinstance(node.at("address").value, Mapping)
    events = {one.name: str(one.value) for one in node.at("events").entries()}
    progress = tuple(_milestone(one, events) for one in node.at("progress").entries())
    known = list(dict.fromkeys([*(one.event for one in progress), *events.values()]))
    return Callbacks(
        address=() if in_query else node.steps("address"),
        events=events,
        body=node.at("body").template(),
        headers=node.headers(),
        delivery_id=node.chosen("delivery_id", ids, "id"),
        attempt_id=node.chosen("attempt_id", ids, "id"),
        signature=_signature(node.at("signature")),
        delay=node.span("delay"),
        timeout=node.span("timeout", 10_000),
        accept=frozenset(node.names_list("accept", ("2xx",))),
        retry=_retry(node.at("retry")),
        fresh=node.text("resend", "same") == "fresh",
        words={word: words.text(word, word) for word in _WORDS},
        query=node.at("address").text("query") if in_query else "",
        progress=progress,
        filter=node.at("filter").steps("field"),
        unasked=_events(node.at("filter"), "default", known) if node.at("filter").has("default") else None,
        throttle=throttle.span("every"),
        throttled=_events(throttle, "events", [one.event for one in progress]),
    )


def _milestone(node: Node, ends: Mapping[str, str]) -> Milestone:
    if node.name in ends.values():
        raise node.wrong(f"{node.name!r} is the event of an end already", of_key=True)
    when = node.text("when")
    if (when == "share") != node.has("times"):
        raise node.wrong("`times` belongs to `when: share`, and only there")
    return Milestone(node.name, cast("Any", when), node.template_at("times"))


def _events(node: Node, key: str, known: Sequence[str]) -> frozenset[str]:
    for one in node.at(key).elements():
        if one.value not in known:
            raise one.wrong(f"there is no such event {one.value!r}", allowed=known)
    return frozenset(node.names_list(key, known))


def urls_of(root: Node, origins: Mapping[str, Origin], faces: Mapping[str, ErrorFace]) -> dict[str, Url]:
    return {node.name: _url(node, origins, faces) for node in root.at("urls").entries()}


def limits_of(root: Node) -> dict[str, Limit]:
    return {
        node.name: Limit(
            name=node.name,
            kind=cast("Any", node.text("kind")),
            window=node.span("window"),
            count=node.number("count", 0),
            per=node.names_list("per", ("key",)),
            headers=node.headers(),
        )
        for node in root.at("limits").entries()
    }


def assets_of(root: Node, ids: Mapping[str, IdKind]) -> AssetRules | None:
    node = root.at("assets")
    if node.value is None:
        return None
    references = node.at("references")
    return AssetRules(
        id=node.chosen("id", ids, "id"),
        key=node.template_at("key"),
        prefix=references.text("prefix"),
        fields=tuple(one.template() for one in references.at("in").elements()),
        by=cast("Any", references.text("by", "id")),
        required=references.flag("required"),
        max_size=node.size("max_size", 0) if node.has("max_size") else None,
        media_types=frozenset(node.names_list("media_types")),
        present=tuple(
            {key: value for key, value in one.value.items() if key != "evidence"}
            for one in node.at("present").elements()
        ),
        store_inline=node.flag("store_inline"),
    )


def secrets_of(root: Node, ids: Mapping[str, IdKind]) -> SecretRules | None:
    node = root.at("secrets")
    if node.value is None:
        return None
    return SecretRules(
        id=node.chosen("id", ids, "id"),
        value=node.at("value").tokens(),
        first_is_current=node.flag("first_is_current", default=True),
        present=node.flag("present"),
    )


def idempotency_of(root: Node) -> Idempotency | None:
    node = root.at("idempotency")
    if node.value is None:
        return None
    return Idempotency(node.text("header").lower(), node.span("window"), node.names_list("per", ("key", "path")))


def _signature(node: Node) -> Signature | None:
    if node.value is None:
        return None
    return Signature(
        secret=node.text("secret", "current"),
        key=cast("Any", node.text("key", "raw")),
        text=node.at("text").template(),
        algorithm=node.text("algorithm", "hmac_sha256"),
        encoding=cast("Any", node.text("encoding", "hex")),
    )


def _retry(node: Node) -> Retry:
    return Retry(
        delays=tuple(one.as_span() for one in node.at("delays").elements()),
        origin=cast("Any", node.text("from", "end")),
        on=frozenset(node.names_list("on", ("5xx", "network", "timeout"))),
        ends_only=node.text("of", "all") == "ends",
    )


def _url(node: Node, origins: Mapping[str, Origin], faces: Mapping[str, ErrorFace]) -> Url:
    serves, signer = node.text("serves"), node.text("signer")
    _check_path(node, serves, signer)
    return Url(
        name=node.name,
        serves=cast("Any", serves),
        origin=node.chosen("origin", origins, "origin", next(iter(origins))),
        path=node.text("path"),
        make_path=node.at("path").template(),
        signer=cast("Any", signer),
        lives=node.span_or_none("lives"),
        origin_moment=cast("Any", node.text("from", "end" if serves == "output" else "issue")),
        keeps=node.span_or_none("keeps"),
        key=node.template_at("key"),
        sigv4=_sigv4(node.at("sigv4")) if signer == "sigv4" else None,
        errors={one.name: node.at("errors").chosen(one.name, faces, "error") for one in node.at("errors").entries()},
    )


def _check_path(node: Node, serves: str, signer: str) -> None:
    path, names = node.at("path"), _PLACEHOLDER.findall(node.text("path"))
    allowed = _PATH_NAMES[serves]
    for name in names:
        if name not in allowed:
            raise path.wrong(f"{{{name}}} cannot stand in the path of a URL that serves {serves}", allowed=allowed)
    if signer == "opaque" and "file.token" not in names:
        raise path.wrong("the path of an opaque URL needs {file.token}")
    if "file.key" in names and not node.has("key"):
        raise path.wrong("{file.key} needs the key `key`, a template of the storage key")
    if not names:
        raise path.wrong("the path of a URL names nothing that tells files apart", allowed=allowed)


def _sigv4(node: Node) -> SigV4:
    return SigV4(
        region=node.text("region"),
        service=node.text("service", "s3"),
        access_key=node.at("access_key").template(),
        query={one.name: str(one.value) for one in node.at("query").entries()},
    )
