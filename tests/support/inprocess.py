"""The emulator in this process, called as ASGI: no socket on the client's side, real ones for callbacks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.spoil import IN_PROCESS
from fauxvider.service.options import read_options
from fauxvider.service.world import World
from support.patience import PATIENCE_S


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body)


class InProcess:
    """One emulator and one event loop; methods are synchronous."""

    def __init__(self, **options: Any) -> None:
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.emulator = self.run(self._make(options))
        self.app = ProviderApp(self.emulator)
        self._serial = 0

    async def _make(self, options: dict[str, Any]) -> Any:
        return build_emulator(**options)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(
            work
        )  # the runner's own `run` sets up signals each time, at a fifth of the cost

    def close(self) -> None:
        self.emulator.close()
        self.run(asyncio.sleep(0))
        self.runner.close()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def world(self, **given: Any) -> World:
        """Make a world; the clock is manual unless said otherwise."""
        self._serial += 1
        name = given.pop("name", f"w{self._serial}")
        given.setdefault("clock", "manual")
        options = read_options(given, self.emulator.default_contracts, defaults=self.emulator.defaults)

        async def make() -> World:
            return self.emulator.make_world(name, options)

        return self.run(make())

    def base(self, world: World, provider: str, origin: str | None = None) -> str:
        found = world.provider(provider)
        return found.base(origin or found.contract.api.name, "local")

    def request(self, method: str, url: str, **given: Any) -> Answer:
        return self.run(self.call(method, url, **given))

    def start(self, method: str, url: str, **given: Any) -> asyncio.Task[Answer]:
        """Begin a request that may be held, and let it run as far as it can."""

        async def begin() -> asyncio.Task[Answer]:
            task = asyncio.ensure_future(self.call(method, url, **given))
            for _ in range(5):
                await asyncio.sleep(0)
            return task

        return self.run(begin())

    def finish(self, task: asyncio.Task[Answer]) -> Answer:
        async def end() -> Answer:
            return await asyncio.wait_for(task, PATIENCE_S)

        return self.run(end())

    def advance(self, world: World, by: str) -> list[dict[str, Any]]:
        from fauxvider.values import parse_span

        return self.run(world.advance(parse_span(by)))

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        json_body: Any = None,
        query: Mapping[str, str] | None = None,
        in_process: bool = False,
    ) -> Answer:
        """Ask. `in_process`: what a scenario does on the wire is a `WireCutError`, and nothing takes real time."""
        sent = {key.lower(): value for key, value in (headers or {}).items()}
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("content-type", "application/json")
        parts = urlsplit(url)
        sent.setdefault("host", parts.netloc or "testserver")
        path = parts.path
        query_string = parts.query
        if query:
            query_string = "&".join(filter(None, [query_string, urlencode(query)]))
        from urllib.parse import unquote

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": quote(path, safe="/%~@:!$&'()*+,;=").encode(),
            "query_string": query_string.encode(),
            "headers": [(key.encode("latin-1"), value.encode("latin-1")) for key, value in sent.items()],
        }
        if in_process:
            scope[IN_PROCESS] = True
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        out: list[Any] = []
        hang: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def receive() -> Any:
            return messages.pop(0) if messages else await hang

        async def send(message: Any) -> None:
            out.append(message)

        await self.app(scope, receive, send)
        start = out[0]
        names = {key.decode("latin-1"): value.decode("latin-1") for key, value in start["headers"]}
        return Answer(start["status"], names, b"".join(part.get("body", b"") for part in out[1:]))
