"""Requests and answers of other libraries, as plain facts. None of the libraries is imported."""

from __future__ import annotations

import json as _json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from fauxvider.toolkit.exchanges.case import Sent

__all__ = ["Given", "answer_of", "request_of"]

Given: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
Pairs: TypeAlias = tuple[tuple[str, str], ...]
_KNOWN = (
    "a request of httpx, httpx2, requests, urllib, aiohttp or werkzeug; a call of respx, responses or aioresponses; "
    "or a method, with url=, headers= and body= or json="
)


def request_of(
    request: Any, url: object = "", *, headers: Given = (), body: bytes | str | None = None, json: Any = None
) -> Sent:
    """Read a request, whoever's it is. Raises TypeError for what is none, and for a body that cannot be read again."""
    if isinstance(request, str):
        return _made(request, url, headers, body, json)
    inner = getattr(request, "request", None)
    if inner is not None and not hasattr(request, "method"):
        return request_of(inner)  # a call that a mock has kept
    return _of_tuple(request) if isinstance(request, tuple) else _of_object(request)


def _of_object(request: Any) -> Sent:
    if hasattr(request, "get_method"):
        return Sent(request.get_method(), request.full_url, _pairs(request.header_items()), _bytes(request.data))
    if not hasattr(request, "method") or not hasattr(request, "url"):
        raise TypeError(f"{type(request).__name__} is no request: give {_KNOWN}")
    if hasattr(request, "prepare") and not hasattr(request, "prepare_body"):
        request = request.prepare()  # a `requests.Request` as it would be sent
    return Sent(str(request.method).upper(), str(request.url), _pairs(request.headers), _bytes(_body_of(request)))


def _of_tuple(given: tuple[Any, ...]) -> Sent:
    """Read (method, url, headers, body), or ((method, url), call) as aioresponses keeps them."""
    if len(given) == 2 and isinstance(given[0], tuple):
        (method, url), call = given
        more = getattr(call, "kwargs", {})
        return _made(method, url, more.get("headers") or (), more.get("data"), more.get("json"))
    if not 2 <= len(given) <= 4:
        raise TypeError(f"a tuple of {len(given)} is no request: (method, url, headers, body)")
    method, url, *more = given
    return _made(method, url, more[0] if more else (), more[1] if len(more) > 1 else None, None)


def _made(method: Any, url: object, headers: Given, body: Any, json: Any) -> Sent:
    sent = _pairs(headers)
    if isinstance(body, dict | list):
        body, json = None, body
    if body is None and json is not None:
        body = _json.dumps(json).encode()
        if not any(name.lower() == "content-type" for name, _ in sent):
            sent = (*sent, ("content-type", "application/json"))
    if not str(url):
        raise TypeError(f"a request has a URL or a path: {method} and what?")
    return Sent(str(method).upper(), str(url), sent, _bytes(body))


def _body_of(request: Any) -> Any:
    """Find the body: each library keeps it under another name."""
    if hasattr(request, "read") and hasattr(request, "stream"):
        return request.read()  # httpx: of a stream that was not read yet, too
    for name in ("content", "body", "get_data", "_read_bytes", "data"):
        if hasattr(request, name):
            value = getattr(request, name)
            return value() if callable(value) else value
    return None


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if inner := getattr(body, "_value", None):  # aiohttp's payloads
        return _bytes(inner)
    raise TypeError(f"a body of {type(body).__name__} cannot be read again: give bytes or text")


def _pairs(headers: Any) -> Pairs:
    if hasattr(headers, "multi_items"):
        return tuple(headers.multi_items())
    items = headers.items() if hasattr(headers, "items") else headers or ()
    return tuple((str(name), _text(value)) for name, value in items)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def answer_of(response: Any) -> tuple[int, Pairs, bytes]:
    """Read the status, headers and body of an answer. Raises TypeError for what is none."""
    status = getattr(response, "status_code", None)
    body = getattr(response, "content", None)
    if not isinstance(status, int) or not isinstance(body, bytes):
        raise TypeError(f"{type(response).__name__} is no answer of httpx, httpx2 or requests")
    return status, _pairs(response.headers), body
