"""What a client under test speaks through: requests answered in process, with what can go wrong on the way.

`Http` has three faces: its own `request`/`get`/`post` (and `arequest` for coroutines), an `httpx` client and an
async `httpx` client. All of them end in `Line`, which loses, delays and refuses as the machine tells it to.
"""

from __future__ import annotations

import importlib
import json as _json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urljoin

from fauxvider.local import Answer

__all__ = ["ClientDiedError", "Http", "Line"]


class ClientDiedError(BaseException):
    """The client's process dies here. No `except Exception` holds it up."""


class Line(Protocol):
    """Where requests go. Both raise ConnectionRefusedError (nothing was sent) or ConnectionResetError (perhaps)."""

    def exchange(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer: ...

    def aexchange(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Awaitable[Answer]: ...


class Http:
    """HTTP for the client, without a network. Paths are below the provider's base URL.

    `headers` go with every request that goes there; they are not sent to file hosts.
    """

    def __init__(self, line: Line, base_url: str, headers: Mapping[str, str]) -> None:
        self._line = line
        self.base_url = base_url
        self.headers: dict[str, str] = dict(headers)

    def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; give its answer. Raises ConnectionRefusedError or ConnectionResetError."""
        return self._line.exchange(method, *self._made(url, json, body, headers))

    async def arequest(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request from a coroutine."""
        return await self._line.aexchange(method, *self._made(url, json, body, headers))

    def get(self, url: str, **more: Any) -> Answer:
        return self.request("GET", url, **more)

    def post(self, url: str, **more: Any) -> Answer:
        return self.request("POST", url, **more)

    async def aget(self, url: str, **more: Any) -> Answer:
        return await self.arequest("GET", url, **more)

    async def apost(self, url: str, **more: Any) -> Answer:
        return await self.arequest("POST", url, **more)

    def _made(
        self, url: str, json: Any, body: bytes, headers: Mapping[str, str] | None
    ) -> tuple[str, list[tuple[str, str]], bytes]:
        sent = dict(headers or {})
        if json is not None:
            body = _json.dumps(json, separators=(",", ":")).encode()
            sent.setdefault("content-type", "application/json")
        if url.startswith("/"):
            url = self.base_url + url
        if self._is_api(url):
            sent = {**self.headers, **sent}
        return url, list(sent.items()), body

    # --- other libraries' clients

    def client(self, library: str = "httpx", **options: Any) -> Any:
        """Give an `httpx.Client` (or that of `library="httpx2"`) whose base URL is the provider's."""
        module = importlib.import_module(library)
        return module.Client(transport=self.transport(library), **self._options(options))

    def async_client(self, library: str = "httpx", **options: Any) -> Any:
        """Give an `httpx.AsyncClient`; the machine runs the coroutines that use it."""
        module = importlib.import_module(library)
        return module.AsyncClient(transport=self.transport(library, is_async=True), **self._options(options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"base_url": self.base_url, "auth": self._signed, **options}

    def _signed(self, request: Any) -> Any:
        """Add the key to what goes to the API, and to nothing else."""
        if self._is_api(str(request.url)):
            for name, value in self.headers.items():
                request.headers.setdefault(name, value)
        return request

    def _is_api(self, url: str) -> bool:
        return url.startswith(f"{self.base_url}/") and not url.startswith(f"{self.base_url}/~")

    def transport(self, library: str = "httpx", *, is_async: bool = False) -> Any:
        """Give a transport for clients that are made elsewhere."""
        module = importlib.import_module(library)
        return module.MockTransport(self._ahandler(module) if is_async else self._handler(module))

    def _handler(self, module: Any) -> Callable[[Any], Any]:
        def handle(request: Any) -> Any:
            try:
                answer = self._line.exchange(*_parts(request))
            except ConnectionError as error:
                raise _as_theirs(module, error, request) from error
            return _response(module, answer)

        return handle

    def _ahandler(self, module: Any) -> Callable[[Any], Awaitable[Any]]:
        async def handle(request: Any) -> Any:
            try:
                answer = await self._line.aexchange(*_parts(request))
            except ConnectionError as error:
                raise _as_theirs(module, error, request) from error
            return _response(module, answer)

        return handle

    def join(self, link: str) -> str:
        """Make an address of a link that may be relative."""
        return urljoin(f"{self.base_url}/", link)


def _parts(request: Any) -> tuple[str, str, list[tuple[str, str]], bytes]:
    # The transport is handed the whole request, so that its body is there.
    return request.method, str(request.url), list(request.headers.multi_items()), request.content


def _as_theirs(module: Any, error: ConnectionError, request: Any) -> Exception:
    kind = module.ConnectError if isinstance(error, ConnectionRefusedError) else module.ReadError
    made: Exception = kind(str(error), request=request)
    return made


def _response(module: Any, answer: Answer) -> Any:
    return module.Response(answer.status, headers=list(answer.headers), content=answer.body)
