"""How a callback is signed, found out from what came: another encoding, key or text, and another header."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fauxvider.contract.model import Signature
from fauxvider.contract.templates import TemplateCompiler
from fauxvider.engine.signing import sign
from fauxvider.errors import FauxviderError
from fauxvider.receiver import Received

__all__ = ["other_signing", "signing_header"]

_TEXTS = (
    "{payload}",
    "{timestamp}.{payload}",
    "{delivery.id}.{payload}",
    "{delivery.id}.{timestamp}.{payload}",
    "{timestamp}{payload}",
    "{delivery.id}{payload}",
    "{job.id}.{payload}",
)
_ENCODINGS = ("hex", "base64")
_KEYS = ("raw", "base64_after_prefix")
_NAMES = re.compile(r"\{([a-z_.]+)\}")


def _ways(signature: Signature, secret: str, names: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Walk the usual ways of signing: the signature that each gives, and what of the contract would be another."""
    compiler = TemplateCompiler({})
    texts = [("", signature.text), *((text, compiler.compile(text)) for text in _TEXTS if _has(names, text))]
    for text, made in texts:
        for key in dict.fromkeys([signature.key, *_KEYS]):
            for encoding in dict.fromkeys([signature.encoding, *_ENCODINGS]):
                way = replace(signature, text=made, key=key, encoding=encoding)  # type: ignore[arg-type]
                try:
                    shown = sign(way, secret, names)
                except (FauxviderError, ValueError):
                    continue  # this secret is no such key
                other = {"text": text, "key": key, "encoding": encoding}
                own = {"text": "", "key": signature.key, "encoding": signature.encoding}
                yield shown, {name: value for name, value in other.items() if value != own[name]}


def _has(names: Mapping[str, Any], text: str) -> bool:
    for name in _NAMES.findall(text):
        node: Any = names
        for step in name.split("."):
            node = node.get(step) if isinstance(node, Mapping) else None
        if node is None:
            return False
    return True


def other_signing(signature: Signature, secret: str, names: Mapping[str, Any], seen: str) -> dict[str, str] | None:
    """Find the way of signing that gives what was seen: keys of `callbacks.signature` and their other values.

    `seen` may hold more than the signature (`v1=...`). None if no usual way gives it.
    """
    return next((other for shown, other in _ways(signature, secret, names) if shown in seen), None)


def signing_header(signature: Signature, secret: str, names: Mapping[str, Any], received: Received) -> str | None:
    """Find the header of a callback that is its signature, as the contract makes it."""
    made = sign(signature, secret, names)
    return next((name for name, value in received.headers if hmac.compare_digest(value.encode(), made.encode())), None)
