"""Where a provider does otherwise than HTTP's good manners ask, with the rule of the contract that says so.

A tool that holds servers to those manners (Schemathesis) gets its exclusions from here, never from a hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fauxvider.contract.model import Operation
from fauxvider.engine.routing import Router
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.outcomes import cause_at

__all__ = ["deviations_of"]

_HOLE = re.compile(r"\{[^}]*\}")


def deviations_of(material: Material, made: Iterable[tuple[Operation, Any, dict[str, Any]]]) -> list[dict[str, Any]]:
    """List deviations: the check that does not hold, where (operation ids; none: everywhere), and why."""
    by_operation: dict[str, tuple[Operation, list[str]]] = {}
    made = list(made)
    for operation, _, spec in made:
        by_operation.setdefault(operation.name, (operation, []))[1].append(spec["operationId"])
    found = [*_everywhere(material), *_of_files(material), *_of_shared_paths(material, made)]
    found += _of_deletions(material, by_operation)
    for operation, ids in by_operation.values():
        found += [{**one, "operations": ids} for one in _of_operation(material, operation)]
    return found


def _said(material: Material, check: str, reason: str, *at: str, **more: Any) -> dict[str, Any]:
    return {"check": check, "reason": reason, **more, **material.pointer(*at)}


def _everywhere(material: Material) -> Iterator[dict[str, Any]]:
    face = material.contract.errors["method_unknown"]
    if face.status != 405:
        at = cause_at(material, "method_unknown")
        reason = f"an unknown method is answered {face.status}, as an unknown path is, and not 405"
        yield _said(material, "unsupported_method", reason, "errors", at)


def _of_files(material: Material) -> Iterator[dict[str, Any]]:
    for url in material.contract.urls.values():
        face = material.contract.errors.get(url.errors.get("url_method", "url_method"))
        if face is not None and face.status != 405:
            at = cause_at(material, face.cause)
            reason = f"the store answers a method that the URL was not made for with {face.status}, and not 405"
            ids = [f"{url.name}.put"] if url.serves == "upload" else [f"{url.name}.get", f"{url.name}.head"]
            yield _said(material, "unsupported_method", reason, "errors", at, operations=ids)


def _of_deletions(
    material: Material, operations: Mapping[str, tuple[Operation, list[str]]]
) -> Iterator[dict[str, Any]]:
    """A secret that is deleted is disabled: deliveries that it signed still name it."""
    named = [name for one, ids in operations.values() if one.secret is not None for name in ids]
    for operation, _ in operations.values():
        if operation.kind == "secret_delete":
            reason = "a secret that is deleted is disabled, and its record stays"
            yield _said(material, "use_after_free", reason, "operations", operation.name, operations=named)


def _of_shared_paths(material: Material, made: list[tuple[Operation, Any, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """A path that takes several segments for a name takes longer paths of the API too, by its own method."""
    contract = material.contract
    router = Router(one for one in contract.operations.values() if one.origin == contract.api.name)
    own: dict[str, set[str]] = {}
    for operation, route, _ in made:
        own.setdefault(route.path, set()).update(operation.methods)
    for _, route, spec in made:
        path = _HOLE.sub("x", route.path)
        for method in sorted({one for other in contract.operations.values() for one in other.methods}):
            match = router.match(method, path)
            if match is None or not match.operations or method in own[route.path]:
                continue
            (other, *_) = match.operations
            reason = f"{method} of this path is {other.name}, whose {other.path} takes it for a name"
            for check in ("unsupported_method", "allow_header_conformance"):
                yield _said(
                    material, check, reason, "operations", other.name, operations=[spec["operationId"]]
                )  # fmt: skip


def _of_operation(material: Material, operation: Operation) -> Iterator[dict[str, Any]]:
    at = ("operations", operation.name)
    if operation.on_invalid:
        reason = "an input that the schema refuses is accepted, and the job fails"
        yield _said(material, "negative_data_rejection", reason, *at)
    elif operation.on_empty:
        reason = "an empty input is accepted, and the job fails"
        yield _said(material, "negative_data_rejection", reason, *at)
    elif operation.waits is not None and operation.waits.query and operation.waits.outside == "clamp":
        reason = f"{operation.waits.query} is moved to its nearest bound, or passed over, where it is no such number"
        yield _said(material, "negative_data_rejection", reason, *at)
    elif operation.extend is not None:
        yield _said(material, "negative_data_rejection", "a span that is no number is passed over", *at)
    elif (unknown := operation.answers.get("missing")) is not None and not unknown.cause and unknown.status < 400:
        reason = f"an id that nobody knows, of whatever form, is answered {unknown.status}"
        yield _said(material, "negative_data_rejection", reason, *at)
    yield from _of_acceptance(material, operation)


def _of_acceptance(material: Material, operation: Operation) -> Iterator[dict[str, Any]]:
    contract = material.contract
    at = ("operations", operation.name)
    rules = contract.assets
    if operation.kind == "submit" and rules is not None and rules.fields and rules.required:
        status = contract.errors["asset_unknown"].status
        yield _said(
            material, "positive_data_acceptance", "an input may name an asset, and one that is unknown is refused",
            "errors", cause_at(material, "asset_unknown"), statuses=[status],
        )  # fmt: skip
    if operation.page is not None:
        reason = "cursors and filters are the provider's own words: what is none of them is refused"
        yield _said(material, "positive_data_acceptance", reason, *at, statuses=[contract.errors["param_range"].status])
    for outcome in ("refused", "pending", "already"):
        answer = operation.answers.get(outcome)
        if answer is not None and answer.cause:
            status, cause = contract.errors[answer.cause].status, cause_at(material, answer.cause.partition("@")[0])
            reason = f"the thing asked for may be in a state that does not allow it ({outcome})"
            yield _said(material, "positive_data_acceptance", reason, "errors", cause, statuses=[status])
    if operation.kind == "redeliver" and "refused" not in operation.answers:
        face = contract.errors["delivery_state"]
        reason = "a callback is not redelivered before its job's end, or while it is under way"
        where = ("errors", cause_at(material, "delivery_state"))
        yield _said(material, "positive_data_acceptance", reason, *where, statuses=[face.status])
