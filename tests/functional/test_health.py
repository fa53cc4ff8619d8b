"""Live and ready: two paths on both ports, without a token, and the reason when the server is not ready."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.parse import ContractFile
from fauxvider.errors import ContractError, StoreError
from fauxvider.server import health as module
from fauxvider.server.health import Health, Probed
from fauxvider.server.runner import RunSettings, Site, bind_both
from support.inprocess import InProcess
from support.process import Process, fetch, serving_process

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"


class Kept:
    """A store that keeps facts, or does not, as the test says."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.is_stuck = False

    async def flush(self, world: str = "") -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        if self.problem is not None:
            raise self.problem


def _asked(host: InProcess, health: Health, path: str) -> tuple[int, Any]:
    found = host.run(health.answer(path))
    assert found is not None
    return found[0], json.loads(found[1])


@pytest.fixture
def host() -> Iterator[InProcess]:
    with InProcess() as made:
        yield made
        made.emulator.file = None


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving_process() as process:
        yield process


@pytest.mark.parametrize("path", ["live", "ready"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_ports_answer_without_a_token_and_under_any_name(server: Process, path: str, method: str) -> None:
    for url in (server.root, server.control):
        for host in (None, "10.0.0.7:8900"):
            headers = {} if host is None else {"Host": host}
            status, said = fetch(urllib.request.Request(f"{url}/-/{path}", headers=headers, method=method))
            assert (status, said) == (200, {"status": path} if method == "GET" else "")


def test_other_methods_and_paths_are_as_before(server: Process) -> None:
    for path in ("live", "ready"):
        status, said = fetch(urllib.request.Request(f"{server.control}/-/{path}", b"{}"))
        assert (status, set(said)) == (401, {"error"})
        status, said = fetch(urllib.request.Request(f"{server.root}/-/{path}", b"{}"))
        assert (status, set(said)) == (404, {"error", "providers"})
    assert fetch(urllib.request.Request(f"{server.root}/-/healthy"))[0] == 404
    assert fetch(urllib.request.Request(f"{server.control}/-/healthy"))[0] == 401


def test_a_real_host_s_path_is_the_provider_s(server: Process) -> None:
    _, ours = fetch(urllib.request.Request(f"{server.root}/-/live"))
    for host in ("api.runflow.io", "api.runpod.ai"):
        status, said = fetch(urllib.request.Request(f"{server.root}/-/live", headers={"Host": host}))
        assert (status, said == ours) == (404, False), host


def test_no_provider_can_have_that_path(tmp_path: Path) -> None:
    path = tmp_path / "dash.yaml"
    text = ACME.read_text(encoding="utf-8")
    assert "\nprovider: acme\n" in text
    path.write_text(text.replace("\nprovider: acme\n", '\nprovider: "-"\n'), encoding="utf-8")
    with pytest.raises(ContractError, match="provider"):
        ContractFile.read(path).resolve({})


def test_what_is_lacking_is_said(host: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    health, kept = Health(host.emulator), Kept()
    host.emulator.file = kept
    assert _asked(host, health, "/-/ready")[0] == 503
    assert "starting" in _asked(host, health, "/-/ready")[1]["reasons"][0]
    health.begin()
    assert _asked(host, health, "/-/ready") == (200, {"status": "ready"})
    kept.problem = StoreError("redis://user:secret@host is gone")
    status, said = _asked(host, health, "/-/ready")
    assert (status, said) == (503, {"status": "not ready", "reasons": ["the store keeps nothing more"]})
    kept.problem, kept.is_stuck = None, True
    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
    status, said = _asked(host, health, "/-/ready")
    assert (status, said["reasons"]) == (503, ["the store did not answer within 0.01 s"])
    kept.is_stuck = False
    health.drain()
    assert "draining" in _asked(host, health, "/-/ready")[1]["reasons"][0]
    assert _asked(host, health, "/-/live") == (200, {"status": "live"})


async def _plain(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


def _starting(host: InProcess) -> tuple[Site, Health]:
    health = Health(host.emulator)
    return bind_both(_plain, Probed(_plain, health), settings=RunSettings(grace_s=1)), health


async def _get(url: str, path: str) -> tuple[int, Any]:
    return await asyncio.to_thread(fetch, urllib.request.Request(url + path))


def test_while_it_starts_it_is_live_and_not_ready(host: InProcess) -> None:
    site, health = _starting(host)
    told: list[str] = []

    async def main() -> None:
        brought_in = asyncio.Event()

        async def prepare() -> None:
            await brought_in.wait()
            health.begin()

        serving = asyncio.create_task(site.serve(lambda: told.append("ready"), prepare=prepare))
        assert await _get(site.urls.control, "/-/live") == (200, {"status": "live"})
        assert (await _get(site.urls.control, "/-/ready"))[0] == 503
        assert await _get(site.urls.control, "/worlds") == (503, {"error": "the server is starting"})
        assert told == []
        waiting = asyncio.create_task(_get(site.urls.provider, "/"))  # its answer comes when there is one
        brought_in.set()
        assert await waiting == (200, {})
        assert told == ["ready"]
        assert await _get(site.urls.control, "/-/ready") == (200, {"status": "ready"})
        assert await _get(site.urls.control, "/worlds") == (200, {})
        site.stop()
        await serving

    host.run(main())


def test_a_start_that_is_stopped_ends_without_having_served(host: InProcess) -> None:
    site, _ = _starting(host)
    told: list[str] = []

    async def main() -> None:
        async def prepare() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.append("given up")

        serving = asyncio.create_task(site.serve(lambda: told.append("ready"), prepare=prepare))
        assert await _get(site.urls.control, "/-/live") == (200, {"status": "live"})
        site.stop()
        await serving

    host.run(main())
    assert told == ["given up"]
