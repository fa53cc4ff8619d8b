"""The control plane: worlds, clocks, ledgers. A port of its own, a token, and a guard before every route."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fauxvider.errors import FauxviderError, StoreError, UnknownWorldError, UsageError
from fauxvider.gate import JsonRefusedError, dump_json, parse_json
from fauxvider.service.emulator import Emulator
from fauxvider.service.options import read_options
from fauxvider.values import parse_span

if TYPE_CHECKING:
    from fauxvider.service.reports import Report

__all__ = ["ControlGuard", "control_app", "new_token"]

MAX_BODY = 1_048_576
MAX_ADVANCE = 3660 * 86_400_000
_JSON = "application/json"

Handler = Callable[[Request], Awaitable[Response]]


def new_token() -> str:
    return secrets.token_urlsafe(24)


def _answer(status: int, tree: Any) -> Response:
    return Response(dump_json(tree), status_code=status, media_type=_JSON)


def _problem(status: int, text: str) -> Response:
    return _answer(status, {"error": text})


class ControlGuard:
    """Lets a request through when it is meant for this port and knows the token (SECURITY.md)."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token.encode()
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return _problem(403, "the control plane speaks plain HTTP only")
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        if headers.get("host", "").lower() not in self.hosts:
            return _problem(403, "this host name is not the control plane's")
        if "origin" in headers:
            return _problem(403, "the control plane does not talk to web pages")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            return _problem(401, "the control token is missing or wrong: Authorization: Bearer TOKEN")
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if has_body and headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            return _problem(415, "the control plane takes application/json only")
        return None


class _Control:
    """The routes' handlers over an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    async def list_worlds(self, _request: Request) -> Response:
        return _answer(200, {"worlds": self.emulator.world_names()})

    async def make_world(self, request: Request) -> Response:
        given = {"seed": secrets.randbits(62), **await _body(request)}
        options = read_options(given, self.emulator.default_contracts, defaults=self.emulator.defaults)
        name = request.path_params["world"] = given.get("name", secrets.token_hex(16))
        self.emulator.make_world(name, options)
        return _answer(201, self.emulator.describe(name))

    async def show_world(self, request: Request) -> Response:
        return _answer(200, self.emulator.describe(_world(request)))

    async def drop_world(self, request: Request) -> Response:
        await self.emulator.dropped(_world(request))
        return Response(status_code=204)

    async def reset_world(self, request: Request) -> Response:
        await _body(request)
        self.emulator.reset_world(_world(request))
        return _answer(200, self.emulator.describe(_world(request)))

    async def clock(self, request: Request) -> Response:
        world = self.emulator.world(_world(request))
        return _answer(200, {"clock": world.clock.spec, "now": world.present()})

    async def advance(self, request: Request) -> Response:
        given = await _body(request)
        if set(given) != {"by"}:
            raise UsageError('advance takes {"by": SPAN}, such as {"by": "7d 1s"} or {"by": 2.5} (seconds)')
        span = parse_span(given["by"])
        if span > MAX_ADVANCE:
            raise UsageError("one advance goes ten years at most")
        world = self.emulator.world(_world(request))
        happened = await world.advance(span)
        return _answer(200, {"now": world.present(), "happened": happened})

    async def jobs(self, request: Request) -> Response:
        return _answer(200, {"jobs": await self.emulator.jobs(_world(request))})

    async def job(self, request: Request) -> Response:
        found = await self.emulator.job(_world(request), request.path_params["job"])
        job = request.path_params["job"]
        return _answer(200, found) if found else _problem(404, f"there is no job {job!r} in this world")

    async def force(self, request: Request) -> Response:
        given = await _body(request)
        if not set(given) <= {"failure"} or not isinstance(given.get("failure", ""), str):
            raise UsageError('force takes {"failure": NAME}, or {} for success')
        job = request.path_params["job"]
        if await self.emulator.job(_world(request), job) is None:
            return _problem(404, f"there is no job {job!r} in this world")
        return _answer(200, await self.emulator.force(_world(request), job, failure=given.get("failure", "")))

    async def deliveries(self, request: Request) -> Response:
        return _answer(200, {"deliveries": await self.emulator.deliveries(_world(request))})

    async def ledger(self, request: Request) -> Response:
        return _answer(200, await self.emulator.ledger(_world(request)))

    def _report(self, request: Request) -> Report:
        from fauxvider.service.reports import Report  # a third of what starting would otherwise load

        return Report(self.emulator, _world(request))

    async def verdict(self, request: Request) -> Response:
        return _answer(200, self._report(request).verdict_json())

    async def near_misses(self, request: Request) -> Response:
        misses = self._report(request).near_misses()
        return _answer(
            200, {"near_misses": [{"kind": miss.kind, "rule": miss.rule, "text": miss.text} for miss in misses]}
        )

    async def story(self, request: Request) -> Response:
        return Response("\n".join([*self._report(request).story(), ""]), media_type="text/plain")

    async def bill(self, request: Request) -> Response:
        return Response(self._report(request).ledger_text(), media_type="text/plain")

    async def timeline(self, request: Request) -> Response:
        return Response(self._report(request).page(), media_type="text/html")

    async def scenario(self, request: Request) -> Response:
        return _answer(200, self.emulator.scenario(_world(request)))

    async def note(self, request: Request) -> Response:
        self.emulator.note(_world(request), await _body(request))
        return Response(status_code=204)

    async def journal(self, request: Request) -> Response:
        return _answer(200, self.emulator.journal(_world(request)))

    async def capsule(self, request: Request) -> Response:
        from fauxvider.service.saving import capsule_bytes

        return Response(capsule_bytes(self.emulator, _world(request)), media_type=_JSON)

    def _kept(self, handler: Handler) -> Handler:
        """Have what a handler did kept before it is acknowledged."""

        async def handle(request: Request) -> Response:
            answer = await handler(request)
            await self.emulator.kept(_world(request))
            return answer

        return handle

    def routes(self) -> list[Route]:
        one = "/worlds/{world}"
        return [
            Route("/worlds", self.list_worlds, methods=["GET"]),
            Route("/worlds", self._kept(self.make_world), methods=["POST"]),
            Route(one, self.show_world, methods=["GET"]),
            Route(one, self.drop_world, methods=["DELETE"]),
            Route(f"{one}/reset", self._kept(self.reset_world), methods=["POST"]),
            Route(f"{one}/clock", self.clock, methods=["GET"]),
            Route(f"{one}/clock/advance", self._kept(self.advance), methods=["POST"]),
            Route(f"{one}/jobs", self.jobs, methods=["GET"]),
            Route(f"{one}/jobs/{{job}}", self.job, methods=["GET"]),
            Route(f"{one}/jobs/{{job}}/force", self._kept(self.force), methods=["POST"]),
            Route(f"{one}/deliveries", self.deliveries, methods=["GET"]),
            Route(f"{one}/ledger", self.ledger, methods=["GET"]),
            Route(f"{one}/journal", self.journal, methods=["GET"]),
            Route(f"{one}/capsule", self.capsule, methods=["GET"]),
            Route(f"{one}/scenario", self.scenario, methods=["GET"]),
            Route(f"{one}/verdict", self.verdict, methods=["GET"]),
            Route(f"{one}/near-misses", self.near_misses, methods=["GET"]),
            Route(f"{one}/story", self.story, methods=["GET"]),
            Route(f"{one}/bill", self.bill, methods=["GET"]),
            Route(f"{one}/timeline", self.timeline, methods=["GET"]),
            Route(f"{one}/notes", self._kept(self.note), methods=["POST"]),
        ]


def _world(request: Request) -> str:
    return str(request.path_params["world"])


async def _body(request: Request) -> dict[str, Any]:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY:
            raise UsageError("the body is over 1 MiB")
    if not data.strip():
        return {}
    tree = parse_json(data)
    if not isinstance(tree, dict):
        raise UsageError("the body must be a JSON object")
    return tree


async def _no_route(request: Request, problem: Exception) -> Response:
    """Answer what no route takes with what there is."""
    if not isinstance(problem, HTTPException):
        raise problem
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    asked, status = f"{request.method} {request.url.path}", problem.status_code
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette names the methods of the first route alone that has the path.
        here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        allowed = ", ".join(sorted({method for route in here for method in route.methods or ()}))
        answer = _problem(status, f"{asked}: this path takes {allowed}")
        answer.headers["Allow"] = allowed
        return answer
    return _problem(status, f"{asked}: there is no such path (there are: {', '.join({r.path: 0 for r in routes})})")


async def _no_json(_request: Request, problem: Exception) -> Response:
    return _problem(422, f"the body is not the JSON that is taken here: {problem}")


async def _unknown_world(_request: Request, problem: Exception) -> Response:
    return _problem(404, str(problem))


async def _store_failed(_request: Request, problem: Exception) -> Response:
    return _problem(503, str(problem))


async def _left(_request: Request, _problem: Exception) -> Response:
    return Response(status_code=400)  # nobody gets it


async def _misuse(_request: Request, problem: Exception) -> Response:
    return _problem(422, str(problem))


def control_app(
    emulator: Emulator,
    *,
    token: str,
    hosts: frozenset[str],
    around: Callable[[ASGIApp], ASGIApp] | None = None,
    routes: Sequence[Route] = (),
) -> ControlGuard:
    """Make the control plane. `hosts`: the exact Host values that it answers to.

    `around` puts something between the guard and the routes; `routes` are there besides its own.
    """
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        UnknownWorldError: _unknown_world,
        HTTPException: _no_route,
        JsonRefusedError: _no_json,
        StoreError: _store_failed,
        FauxviderError: _misuse,
        ClientDisconnect: _left,
    }
    app = Starlette(routes=[*_Control(emulator).routes(), *routes], exception_handlers=handlers)
    return ControlGuard(app if around is None else around(app), token=token, hosts=hosts)
