"""The bundled providers as a client sees them: paths, words, and where the answers hold what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["DIALECTS", "Dialect", "at"]

Path: TypeAlias = tuple[str | int, ...]


def at(tree: Any, path: Path) -> Any:
    """Look up a path; None where it leads nowhere."""
    for part in path:
        if (isinstance(tree, list) and isinstance(part, int) and part < len(tree)) or (
            isinstance(tree, dict) and part in tree
        ):
            tree = tree[part]
        else:
            return None
    return tree


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider is spoken to: paths, words, and where the answers hold what."""

    name: str
    key: tuple[str, str]
    submit: str
    read: str
    body: Callable[[str], dict[str, Any]]
    id: Path
    word: Path
    url: Path
    done: frozenset[str]
    failed: frozenset[str]
    size: tuple[int, int]  # of the picture that `body` asks for
    unit: str  # of what is paid
    cost: Path = ()  # in the record; () shows none
    callback: str = ""  # the body's field; "" has none
    callback_id: Path = ()
    callback_word: Path = ()
    signature: str = ""  # the header, in lower case
    secrets: str = ""
    idempotency: str = ""
    cancel: str = ""
    again: str = ""  # runs a failed job once more


def _words(*words: str) -> frozenset[str]:
    return frozenset(words)


_FLUX = "/v2/black-forest-labs-flux-1-dev"

DIALECTS: dict[str, Dialect] = {
    "runpod": Dialect(
        name="runpod",
        key=("Authorization", "Bearer rp-key"),
        submit=f"{_FLUX}/run",
        read=f"{_FLUX}/status/{{id}}",
        body=lambda prompt: {"input": {"prompt": prompt, "width": 256, "height": 256}},
        id=("id",),
        word=("status",),
        url=("output", "image_url"),
        done=_words("COMPLETED"),
        failed=_words("FAILED", "CANCELLED", "TIMED_OUT"),
        size=(256, 256),
        unit="USD",
        cost=("output", "cost"),
        callback="webhook",
        callback_id=("id",),
        callback_word=("status",),
        cancel=f"{_FLUX}/cancel/{{id}}",
        again=f"{_FLUX}/retry/{{id}}",
    ),
    "runflow": Dialect(
        name="runflow",
        key=("Authorization", "Bearer rf-key-0001"),
        submit="/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs",
        read="/v1/runs/{id}",
        body=lambda prompt: {"input": {"prompt": prompt}},
        id=("id",),
        word=("status_code",),
        url=("output", "outputs", 0, "url"),
        done=_words("succeeded", "partial_succeeded"),
        failed=_words("failed", "cancelled", "canceled"),
        size=(1024, 1024),
        unit="USD",
        cost=("cost",),
        callback="callback_url",
        callback_id=("run_id",),
        callback_word=("status",),
        signature="runflow-signature",
        secrets="/v1/callback-secrets",
        idempotency="Idempotency-Key",
    ),
    "onemin": Dialect(
        name="onemin",
        key=("API-KEY", "om-key"),
        submit="/api/features",
        read="/api/results/{id}",
        body=lambda prompt: {
            "type": "IMAGE_GENERATOR",
            "model": "black-forest-labs/flux-2-dev",
            "promptObject": {"prompt": prompt, "output_format": "png"},
            "async": True,
        },
        id=("aiRecord", "uuid"),
        word=("aiRecord", "status"),
        url=("aiRecord", "temporaryUrl"),
        done=_words("SUCCESS", "COMPLETED"),
        failed=_words("FAILURE", "FAILED"),
        size=(1024, 1024),
        unit="credits",
    ),
}
