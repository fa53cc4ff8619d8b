"""The names that templates may use (section 12 of the language): a template that names nothing is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fauxvider.contract.resolve import children
from fauxvider.contract.strict import pointer_text

__all__ = ["Names", "pointer_of_name"]

_CANONICAL = "queued running succeeded failed cancelled timed_out moderated expired"
_OUTPUT = "number url key width height format ext media_type bytes"
_ISSUE = "path pointer field at keyword limit low high value loc text type"
_DELIVERY = (
    "id event status address created updated ended automatic payload payload_text secret_id attempt_count "
    "max_attempts next_at failure failure_detail attempts"
)
_ASSET = "id key name media_type size width height created confirmed url upload_url etag md5 location label"

# root -> its members; None: anything may follow
_ROOTS: dict[str, str | None] = {
    "job": "id number status state accepted started ended queued_ms run_ms total_ms cost seed retries progress steps "
    "failure result model origin_state removed",
    "body": None,
    "input": None,
    "param": None,
    "query": None,
    "header": None,
    "model": "name key status facts",
    "outputs": None,
    "output": _OUTPUT,
    "account": "balance used used_before unit",
    "key": "name",
    "now": "",
    "issue": _ISSUE,
    "issues": None,
    "cost": "",
    "retry_after": "",
    "deliveries": None,
    "delivery": _DELIVERY,
    "attempt": "id number at status body error took_ms",
    "payload": "",
    "signature": "",
    "timestamp": "",
    "asset": _ASSET,
    "upload": "name media_type size",
    "secret": "id value prefix public current label disabled created updated last_used",
    "secrets": None,
    "page": "items first next previous",
    "counts": f"{_CANONICAL} retried total removed",
    "models": None,
    "states": None,
    "chunks": None,
    "item": None,
    "file": "token key number ext",
    "limit": "count remaining reset",
}


class Names:
    """What can be named in one contract. `paths`: the parameters of the operation at hand, if any."""

    def __init__(
        self, *, ids: Collection[str], failure_values: Collection[str], error_values: Collection[str],
        paths: Collection[str], origins: Collection[str], elements: Collection[str] = (),
    ) -> None:  # fmt: skip
        """`elements`: what `$as` calls the elements of lists."""
        roots = {root: None if members is None else tuple(members.split()) for root, members in _ROOTS.items()}
        self._roots: dict[str, tuple[str, ...] | None] = {
            **dict.fromkeys(elements),
            **roots,
            "mint": tuple(ids),
            "origin": tuple(origins),
            "error": ("status", "cause", *error_values),
            "path": tuple(paths),
        }
        self._failure_values = tuple(failure_values)

    def problem(self, name: str, *, paths: Collection[str] | None = None) -> tuple[str, str] | None:
        """Say what is wrong with a dotted name, and what would be right; None if nothing is."""
        root, *rest = name.split(".")
        if root not in self._roots:
            return f"{{{name}}} names nothing", " ".join(sorted(self._roots))
        members = tuple(paths) if root == "path" and paths is not None else self._roots[root]
        if members is None or not rest:
            return None
        if rest[0] not in members:
            return f"{{{name}}} names nothing: {root} has no {rest[0]!r}", " ".join(members)
        if name.startswith("job.failure.") and rest[1] not in self._failure_values:
            return f"{{{name}}} names nothing: no failure has a value {rest[1]!r}", " ".join(self._failure_values)
        return None


def pointer_of_name(tree: Any, name: str) -> str:
    """Find the text below a tree that uses a name; "" if it stands elsewhere (in a view)."""
    return next((pointer_text(path) for path in _paths_to(tree, name, ())), "")


def _paths_to(node: Any, name: str, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, str):
        if any(f"{{{name}{end}" in node for end in "}?|"):
            yield path
        return
    if isinstance(node, Mapping):
        yield from ((*path, form) for form in ("$case", "$each") if str(node.get(form, "")).split("|")[0] == name)
    for key, value in children(node):
        yield from _paths_to(value, name, (*path, key))
