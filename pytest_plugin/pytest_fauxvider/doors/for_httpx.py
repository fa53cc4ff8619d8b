"""The door for httpx and httpx2, sync and async: a respx router whose one route is the emulator."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx
import respx
from respx.mocks import HTTPCoreMocker
from respx.models import AllMockedAssertionError, PassThrough

from pytest_fauxvider.doors.base import Door

if TYPE_CHECKING:
    from fauxvider import WorldHandle
    from fauxvider.local import Answer

__all__ = ["HttpCore2Mocker", "httpx_door"]

_ASYNC = "fauxvider.async"


class HttpCore2Mocker(HTTPCoreMocker):
    """What respx does for httpx, for httpx2: the same calls in another package."""

    name = "httpcore2"
    targets = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]  # noqa: RUF012

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: Any, target: Any, **kwargs: Any) -> Any:
        import httpcore2

        del target, kwargs
        return httpcore2.Response(
            status=httpx_response.status_code,
            headers=httpx_response.headers.raw,
            content=httpx_response.stream,
            extensions=httpx_response.extensions,
        )


class _Router(respx.MockRouter):
    """Leaves to other routers, and else to the network, what goes to hosts that it does not know."""

    door: Door

    def handler(self, request: httpx.Request) -> httpx.Response:
        self._check(request)
        return super().handler(request)

    async def async_handler(self, request: httpx.Request) -> httpx.Response:
        self._check(request)
        request.extensions[_ASYNC] = True
        return await super().async_handler(request)

    def _check(self, request: httpx.Request) -> None:
        if self.door.knows(request.url.host):
            return
        if self.Mocker is not None and len(self.Mocker.routers) > 1:
            raise AllMockedAssertionError(f"RESPX: {request!r} not mocked!")
        raise PassThrough(f"not a provider's host: {request!r}", request=request, origin=self.routes[0])


class _CutStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that ends too early, in the library's own error."""

    def __init__(self, body: bytes, error: Exception) -> None:
        self._body, self._error = body, error

    def __iter__(self) -> Iterator[bytes]:
        if self._body:
            yield self._body
        raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body
        raise self._error


def _error(library: Any, answer: Answer, request: Any) -> Exception:
    """Give what the library raises when this happens to a connection."""
    if answer.fault in ("hang", "timeout"):
        return library.ReadTimeout("timed out", request=request)  # type: ignore[no-any-return]
    if answer.fault == "close":
        text = "Server disconnected without sending a response."
        return library.RemoteProtocolError(text, request=request)  # type: ignore[no-any-return]
    if answer.fault == "garbage":
        return library.RemoteProtocolError("illegal status line", request=request)  # type: ignore[no-any-return]
    if answer.fault in ("length", "half_close"):
        text = "peer closed connection without sending complete message body"
        return library.RemoteProtocolError(text, request=request)  # type: ignore[no-any-return]
    return library.ReadError("[Errno 104] Connection reset by peer", request=request)  # type: ignore[no-any-return]


def _response(library: Any, answer: Answer, request: httpx.Request) -> httpx.Response:
    headers = list(answer.headers)
    if not answer.fault or answer.fault == "drip":
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)
    error = _error(library, answer, request)
    if not answer.status:
        raise error
    return httpx.Response(answer.status, headers=headers, stream=_CutStream(answer.body, error), request=request)


def _side_effect(door: Door, library: Any) -> Any:
    def answer(request: httpx.Request) -> Any:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        wait = request.extensions.get("timeout", {}).get("read")
        given = (request.method, str(request.url), headers, request.content)
        if _ASYNC not in request.extensions:
            return _response(library, door.exchange(*given, timeout_s=wait), request)

        async def later() -> httpx.Response:
            return _response(library, await door.exchange_async(*given, timeout_s=wait), request)

        return later()

    return answer


def _router(door: Door, library: Any, using: str) -> _Router:
    router = _Router(assert_all_called=False, using=using)
    router.door = door
    router.route().mock(side_effect=_side_effect(door, library))
    return router


@contextlib.contextmanager
def httpx_door(world: WorldHandle) -> Iterator[respx.MockRouter]:
    """Answer the providers' own hosts in `world`, for httpx and, where it is installed, httpx2.

    Gives the respx router, whose ``calls`` are what the clients sent (of both libraries, in
    ``calls`` of its own each). Other hosts go to other respx routers, or to the network.
    """
    door = Door(world)
    with contextlib.ExitStack() as stack:
        router = stack.enter_context(_router(door, httpx, "httpcore"))
        if "httpx2" in sys.modules or find_spec("httpx2") is not None:
            import httpx2

            stack.enter_context(_router(door, httpx2, HttpCore2Mocker.name))
        yield router
