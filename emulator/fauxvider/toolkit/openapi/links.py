"""Links: what an answer names (a job, an asset, a secret) is what other operations ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fauxvider.contract.strict import pointer_text
from fauxvider.toolkit.openapi.material import Material

__all__ = ["add_links", "place_in_answers"]

# What a kind of operation makes, and the key under which other operations name one.
_MAKES = {"submit": "job", "asset_session": "asset", "asset_upload": "asset", "secret_create": "secret"}


def add_links(material: Material, made: Iterable[tuple[Any, Any, dict[str, Any]]]) -> None:
    """Add `links` to the answers of operations that make something. `made`: (operation, route, OpenAPI operation)."""
    known = list(made)
    for operation, route, spec in known:
        subject = _MAKES.get(operation.kind)
        if subject is None:
            continue
        targets = [
            (other, where, hole)
            for op, where, other in known
            if (hole := _hole(material, op.name, subject)) in where.holes and _fits(route, where)
        ]
        for name, answer in operation.answers.items():
            pointer = _pointer(material, operation.name, name, f"{{{subject}.id}}")
            if answer.cause or pointer is None:
                continue
            spec["responses"][str(answer.status)].setdefault("links", {}).update(
                {
                    other["operationId"]: {
                        "operationId": other["operationId"],
                        "parameters": {f"path.{hole}": f"$response.body#{pointer}"},
                    }
                    for other, _, hole in targets
                }
            )


def _fits(route: Any, other: Any) -> bool:
    if not (route.is_unrolled and other.is_unrolled):
        return True
    return [one.name for one in route.models] == [one.name for one in other.models]


def _hole(material: Material, operation: str, subject: str) -> str:
    """Name the path parameter by which an operation asks for a thing; "" if it does not."""
    text = material.at("operations", operation, subject)
    is_path = isinstance(text, str) and text.startswith("{path.") and text.endswith("}")
    return text[6:-1] if is_path and isinstance(text, str) else ""


def _pointer(material: Material, operation: str, answer: str, wanted: str) -> str | None:
    tree = material.at("operations", operation, "answers", answer, "body")
    found = next(_places(material, tree, wanted, ()), None)
    return None if found is None else pointer_text(found)


def place_in_answers(material: Material, operation: str, wanted: str) -> str | None:
    """Give the pointer at which the first answer that shows it has a placeholder; None if no answer has."""
    answers = material.contract.operations[operation].answers
    found = (_pointer(material, operation, name, wanted) for name, answer in answers.items() if not answer.cause)
    return next((pointer for pointer in found if pointer is not None), None)


def _places(material: Material, tree: Any, wanted: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Walk the places of an answer at which a placeholder stands alone."""
    if tree == wanted:
        yield path
    if not isinstance(tree, Mapping) or "$each" in tree:
        return
    if "$view" in tree:
        yield from _places(material, material.at("views", tree["$view"]), wanted, path)
        return
    for key, value in tree.items():
        if key == "$of":
            for branch in value.values():
                yield from _places(material, branch, wanted, path)
        elif key in ("$merge", "$first"):
            for branch in value:
                yield from _places(material, branch, wanted, path)
        elif key == "$else" or not key.startswith("$"):
            yield from _places(material, value, wanted, path if key == "$else" else (*path, key))
