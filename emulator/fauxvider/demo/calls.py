"""What the tour sends to its own server, and how it reads the answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = ["ask", "at", "fetch", "upload"]

_PATIENCE_S = 600.0  # a large model on a slow machine takes its time


def ask(method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
    """Send JSON and read the JSON that comes back; decimals stay exact."""
    data = None if body is None else json.dumps(body).encode()
    return _answer(method, url, {**headers, "Content-Type": "application/json"}, data)


def upload(url: str, headers: Mapping[str, str], part: str, name: str, data: bytes) -> Any:
    """Send a PNG as one part of a multipart form."""
    rim = "fauxvider-demo"
    named = f'form-data; name="{part}"; filename="{name}"'
    head = f"--{rim}\r\nContent-Disposition: {named}\r\nContent-Type: image/png\r\n\r\n"
    body = head.encode() + data + f"\r\n--{rim}--\r\n".encode()
    return _answer("POST", url, {**headers, "Content-Type": f"multipart/form-data; boundary={rim}"}, body)


def _answer(method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> Any:
    request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310 - our own server's URL
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
        return json.loads(answer.read(), parse_float=Decimal)


def fetch(url: str) -> tuple[int, bytes]:
    """Get a file; give the status and the bytes."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def at(tree: Any, pointer: str) -> Any:
    """Look a pointer up; None when nothing is there."""
    for name in pointer.split("/")[1:]:
        if isinstance(tree, list):
            tree = tree[int(name)] if int(name) < len(tree) else None
        else:
            tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
