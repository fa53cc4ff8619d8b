"""Requests and replies as frames, so that another node can answer them."""

from __future__ import annotations

from typing import Any

from fauxvider.server.app import Place
from fauxvider.server.hops import Frame, Head
from fauxvider.service.wire import Reply, Request, WireFault, of_our_own

__all__ = ["headers_of", "headers_shown", "reply_frame", "reply_of", "request_frame", "request_of"]

# What a reply says for the journal stands there already.
_TEXT = "latin-1"


def headers_shown(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(_TEXT), value.decode(_TEXT)) for name, value in headers]


def headers_of(shown: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(_TEXT), value.encode(_TEXT)) for name, value in shown]


def request_frame(place: Place, request: Request) -> Frame:
    head: Head = {
        "kind": "provider",
        "place": list(place),
        "method": request.method,
        "query": request.query.decode(_TEXT),
        "headers": headers_shown(request.headers),
        "raw_path": request.raw_path.decode(_TEXT),
        "over_size": request.over_size,
    }
    return head, request.body


def request_of(head: Head, place: Place, body: bytes) -> Request:
    return Request(
        method=head["method"],
        path=place.path,
        query=head["query"].encode(_TEXT),
        headers=headers_of(head["headers"]),
        body=body,
        site=place.site,
        origin=place.origin,
        raw_path=head["raw_path"].encode(_TEXT),
        over_size=head["over_size"],
    )


def reply_frame(reply: Reply) -> Frame:
    head: Head = {"status": reply.status, "headers": headers_shown(reply.headers), "job": reply.job}
    if reply.length is not None:
        head["length"] = reply.length
    if reply.wire is not None:
        head["wire"] = [reply.wire.kind, reply.wire.span, reply.wire.share]
    return head, reply.body


def reply_of(head: Head, body: bytes) -> Reply:
    if "status" not in head:
        return of_our_own(500, "the node that has this world failed")
    wire: Any = head.get("wire")
    return Reply(
        head["status"],
        headers_of(head["headers"]),
        body,
        job=head["job"],
        length=head.get("length"),
        wire=None if wire is None else WireFault(*wire),
    )
