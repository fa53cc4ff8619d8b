"""What a provider would say of a request: the contract's objections, as near misses, and then the emulator's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from fauxvider.analysis.near_miss import NearMiss, near_miss
from fauxvider.contract.model import Operation
from fauxvider.contract.parse import ContractFile
from fauxvider.engine.routing import Router
from fauxvider.local import LocalServer
from fauxvider.toolkit.audit.placing import Placed, Places
from fauxvider.toolkit.exchanges.case import Sent
from fauxvider.toolkit.places import rule_at
from fauxvider.toolkit.verify.names import face_rule

__all__ = ["Judged", "judge_request"]

# What depends on what happened before: the emulator that is asked has seen nothing yet.
_OF_THE_PAST = frozenset(
    [
        "job_unknown", "job_state", "asset_unknown", "asset_pending", "asset_missing", "secret_unknown", "conflict",
        "delivery_state", "funds", "rate", "url_expired", "url_forged", "url_unsigned", "url_unknown", "url_method",
    ]
)  # fmt: skip

_SHOWN = 300  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Judged:
    """`operation`: which one it is for ("" for a file, or none); `misses`: why the provider would refuse it."""

    provider: str
    operation: str
    kind: str
    model: str
    misses: tuple[NearMiss, ...] = ()


def judge_request(
    file: ContractFile, request: Sent, *, readings: Mapping[str, str] | None = None, base_url: str = ""
) -> Judged:
    """Judge one request by a contract, under its readings.

    Its URL is one at the provider's own host, at an emulator, below `base_url`, or at any other host with the
    provider's own path. Nothing that depends on the past (an unknown job, an empty account) counts.
    """
    choice = file.choice(readings)
    placed = _place(file, request.url, base_url)
    contract = file.resolve(choice)
    router = Router(one for one in contract.operations.values() if one.origin == placed.origin)
    match = router.match(request.method, placed.path)
    found = near_miss(
        file, choice, method=request.method, path=placed.path, body=request.body, origin=placed.origin
    )  # fmt: skip
    entry: Mapping[str, object] = {}
    if not found:
        entry, miss = _asked(file, choice, request, placed)
        found = [miss] if miss else []
    operation = _operation(match.operations if match else [], found, str(entry.get("operation", "")))
    kind = operation.kind if operation else str(entry.get("does", ""))
    model = str(entry.get("model", ""))
    return Judged(file.provider, operation.name if operation else "", kind, model, tuple(found))


def _operation(fitting: list[Operation], found: list[NearMiss], asked: str) -> Operation | None:
    named = asked or next((one.operation for one in found if one.operation), "")
    return next((one for one in fitting if one.name == named), fitting[0] if fitting else None)


def _place(file: ContractFile, url: str, base_url: str) -> Placed:
    places = Places({file.provider: file}, {file.provider: base_url} if base_url else {})
    found = places.find(url)
    if found is not None:
        return found
    parts = urlsplit(url)
    return Placed(file.provider, next(iter(file.origin_urls)), unquote(parts.path) or "/", parts.query)


def _asked(
    file: ContractFile, choice: Mapping[str, str], request: Sent, placed: Placed
) -> tuple[Mapping[str, object], NearMiss | None]:
    """Ask the emulator itself: keys, media types, sizes, forms and query parameters are its business."""
    query = f"?{placed.query}" if placed.query else ""
    url = file.origin_urls[placed.origin] + quote(placed.path, safe="/:@!$&'()*+,;=~") + query
    with LocalServer(contracts=[file.file], deliver=lambda _callback: 200) as server:
        world = server.world(
            clock="stepping:1ms", seed=1, limits="off", record=False, readings={file.provider: dict(choice)}
        )
        answer = server.request(request.method, url, headers=request.headers, body=request.body, world=world.name)
        entries = world.journal()["entries"]
    entry: Mapping[str, object] = next((one for one in entries if one["kind"] == "request"), {})
    accepted: Mapping[str, object] = next((one for one in entries if one["kind"] == "accepted"), {})
    cause = str(entry.get("cause", ""))
    if not cause or cause in _OF_THE_PAST:
        return {**accepted, **entry}, None
    rule = rule_at(file, choice, f"/errors/{face_rule(cause, file.resolved(choice)['errors'])}")
    problem = f"is answered {answer.status} {answer.body[:_SHOWN].decode('utf-8', 'replace')}"
    source = next(iter([*rule.documents, *rule.evidence]), "")
    operation = str(entry.get("operation", ""))
    return entry, NearMiss(cause, "the request", problem, (), operation, rule.pointer, rule.line, source)
