"""What two contracts answer: bodies that were never given before, with one that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fauxvider.contract.strict import pointer_text
from fauxvider.toolkit.diff.finding import Finding
from fauxvider.toolkit.diff.payloads import Loss, losses
from fauxvider.toolkit.openapi.known import payload
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.responses import responses_of
from fauxvider.toolkit.openapi.schemas import Schema

__all__ = ["answer_findings"]


def answer_findings(old: Any, new: Any) -> Iterator[Finding]:
    """Compare the answers of operations and the callbacks that both contracts have.

    An answer that was never given before may break a client that reads it; one that is given no more
    does not.
    """
    for name in old.contract.operations:
        if name in new.contract.operations:
            yield from _of_operation(old, new, name)
    if old.contract.callbacks is not None and new.contract.callbacks is not None:
        models = tuple(name for name in old.contract.models if name in new.contract.models)
        before, after = payload(old, models), payload(new, models)
        yield from _told(old, new, ("callbacks", "body"), before, after)


def _of_operation(old: Any, new: Any, name: str) -> Iterator[Finding]:
    before, after = _bodies(old, name, new), _bodies(new, name, old)
    for (status, kind), schema in after.items():
        other = before.get((status, kind))
        pointers = _pointers(new, name, status)
        if other is not None and kind == "application/json":
            yield from _told(old, new, pointers, other, schema)
        elif other is None and any(known == status for known, _ in before):
            # A status that was not answered at all is told where it stands.
            lines = {"old_line": old.line(pointer_text(pointers)), "new_line": new.line(pointer_text(pointers))}
            yield Finding("breaking", pointer_text(pointers), f"{status} is now answered as {kind} too", **lines)


def _bodies(side: Material, name: str, other: Material) -> dict[tuple[str, str], Schema]:
    """Give the schemas of an operation's answers, by status and media type, for the models that both sides have."""
    operation = side.contract.operations[name]
    models = [one for one in side.models_for(operation) if one.name in other.contract.models]
    found = {}
    for status, response in responses_of(side, operation, models).items():
        for kind, media in response.get("content", {}).items():
            found[status, kind] = media["schema"]
    return found


def _pointers(side: Material, name: str, status: str) -> tuple[str, ...]:
    for outcome, answer in side.contract.operations[name].answers.items():
        if not answer.cause and str(answer.status) == status:
            return ("operations", name, "answers", outcome, "body")
    return ("operations", name)


def _told(old: Any, new: Any, path: tuple[str, ...], before: Schema, after: Schema) -> Iterator[Finding]:
    pointer = pointer_text(path)
    lines = {"old_line": old.line(pointer), "new_line": new.line(pointer)}
    if json.dumps(before, default=str, sort_keys=True) == json.dumps(after, default=str, sort_keys=True):
        return
    found = 0
    for loss in losses(after, before):  # what is answered now and was not
        found += 1
        yield Finding("unknown" if loss.verdict == "unknown" else "breaking", pointer, _about(loss, "now answered"),
                      **lines, **_witness(loss))  # fmt: skip
    for loss in losses(before, after):
        if loss.verdict == "witness" or not found:
            severity: Any = "unknown" if loss.verdict == "unknown" else "compatible"
            yield Finding(severity, pointer, _about(loss, "no longer answered"), **lines, **_witness(loss))


def _about(loss: Loss, verb: str) -> str:
    if loss.verdict == "unknown":
        return f"{verb}: nobody can tell"
    place = "".join(f"/{part}" for part in loss.path) or "/"
    return f"{verb}: another {place} ({loss.keyword})"


def _witness(loss: Loss) -> Mapping[str, Any]:
    return {} if loss.verdict == "unknown" else {"witness": loss.value, "has_witness": True}
