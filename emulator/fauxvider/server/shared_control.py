"""The control plane of one node among several: what concerns another's world is asked there."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import orjson

from fauxvider.errors import StoreError
from fauxvider.gate import JsonRefusedError, dump_json, parse_json
from fauxvider.server.app import ClientLeftError
from fauxvider.server.hops import Frame, Head, NodeGoneError
from fauxvider.server.passing import headers_of, headers_shown
from fauxvider.server.shared import Node
from fauxvider.service.sharing import Elsewhere

__all__ = ["SharedControl"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

MAX_BODY = 1_048_576
_SAFE = ("GET", "HEAD")


class SharedControl:
    """ASGI middleware before the routes, after the guard."""

    def __init__(self, app: _App, node: Node) -> None:
        self._app = app
        self._node = node
        node.serve_control = self._serve

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        parts = [unquote(part) for part in scope.get("path", "").split("/")]
        if scope["type"] != "http" or parts[1:2] != ["worlds"]:
            await self._app(scope, receive, send)
            return
        try:
            answer, body = await self._answer(scope, receive, parts[2] if len(parts) > 2 else "")
        except StoreError as error:
            answer, body = _problem(503, str(error))
        except ClientLeftError:
            return
        await send(
            {"type": "http.response.start", "status": answer["status"], "headers": headers_of(answer["headers"])}
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: _Message, receive: _Receive, name: str) -> Frame:
        body = await _read(receive)
        head: Head = {
            "kind": "control",
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "headers": headers_shown(scope["headers"]),
            "world": name,
            "make": False,
        }
        if not name and head["method"] == "POST":
            return await self._make(head, body)
        if not name and head["method"] in _SAFE:
            return _answered(200, {"worlds": await self._node.sharing.file.names()})
        if not name:
            return await self._serve(head, body)
        async for where in self._node.looking(lambda: self._node.sharing.find(name)):
            if not isinstance(where, Elsewhere):
                return await self._counted(head, body)  # the routes know best what to say of a world that is not
            if (answer := await self._asked(where, head, body)) is not None:
                return answer
        return _problem(503, "the node that had the world is gone, and nobody could take over")

    async def _make(self, head: Head, body: bytes) -> Frame:
        """Make a world: here, but for one that another node has under that name, which is made anew there."""
        try:
            given: Any = parse_json(body) if body.strip() else {}
        except JsonRefusedError:
            return await self._serve(head, body)  # the routes say what is wrong with it
        if not isinstance(given, dict) or not isinstance(given.get("name", ""), str):
            return await self._serve(head, body)
        name = head["world"] = given.get("name") or secrets.token_hex(16)
        head["make"] = True
        body = dump_json({**given, "name": name})
        async for where in self._node.looking(lambda: self._node.sharing.claim_new(name)):
            if not isinstance(where, Elsewhere):
                made = await self._counted(head, body)
                if made[0]["status"] >= 400:
                    await self._node.sharing.unclaim(name, where)
                return made
            if (answer := await self._asked(where, head, body)) is not None:
                return answer
        return _problem(503, "the node that had the world is gone, and nobody could take over")

    async def _asked(self, where: Elsewhere, head: Head, body: bytes) -> Frame | None:
        try:
            answer = await self._node.ask(head["world"], where, head, body)
        except NodeGoneError as gone:
            if gone.was_asked and head["method"] not in _SAFE:
                return _problem(503, "the node that has the world went while it was asked: look before asking again")
            return None
        if answer is not None and "failed" in answer[0]:
            return _problem(500, "the node that has the world failed; its log says why")
        return answer

    async def _counted(self, head: Head, body: bytes) -> Frame:
        async with self._node.counted(head["world"]):
            return await self._serve(head, body)

    async def _serve(self, head: Head, body: bytes) -> Frame:
        """Have this node's routes answer."""
        scope: _Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": head["method"],
            "path": head["path"],
            "raw_path": head["path"].encode(),
            "query_string": head["query"].encode("latin-1"),
            "headers": [pair for pair in headers_of(head["headers"]) if pair[0] != b"content-length"],
            "root_path": "",
            "scheme": "http",
        }
        answer: Head = {"status": 500, "headers": []}
        parts: list[bytes] = []

        async def receive() -> _Message:
            return {"type": "http.request", "body": body}

        async def send(message: _Message) -> None:
            if message["type"] == "http.response.start":
                answer.update(status=message["status"], headers=headers_shown(message["headers"]))
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return answer, b"".join(parts)


async def _read(receive: _Receive) -> bytes:
    """Read a body; of one that is too long so much that the routes refuse it. Raises ClientLeftError."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY + 65_536:
            parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts) if size <= MAX_BODY else b" " * (MAX_BODY + 1)


def _answered(status: int, tree: Any) -> Frame:
    data = orjson.dumps(tree)
    headers = [["content-type", "application/json"], ["content-length", str(len(data))]]
    return {"status": status, "headers": headers}, data


def _problem(status: int, text: str) -> Frame:
    return _answered(status, {"error": text})
