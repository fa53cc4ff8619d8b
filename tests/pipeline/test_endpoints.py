"""The real pipelines behind the five documented endpoints, as a client meets them over HTTP.

Numbers in the names of sections are those of the acceptance tests of the design.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fauxvider.embedded import Server
from fauxvider.engine.recipe import Recipe
from fauxvider.ports import OnEvent
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.parameters import effective_steps
from fauxvider.renderers.diffusers.protocol import Fault
from fauxvider.renderers.synthetic import read_metadata
from support.documented import DOCUMENTED, Client, Endpoint, Run, at, data_uri
from support.receiver import Receiver

EDIT, KLEIN = DOCUMENTED["flux-1-dev-edit"], DOCUMENTED["flux-2-klein-4b-edit"]
FLUX, KONTEXT, EDITOR = DOCUMENTED["flux-dev"], DOCUMENTED["kontext"], DOCUMENTED["flux-2-dev-editor"]
every_endpoint = pytest.mark.parametrize("endpoint", DOCUMENTED.values(), ids=DOCUMENTED)


class Accidents(DiffusersRenderer):
    """The real renderer, to whose next jobs something happens."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.orders: deque[Fault] = deque()

    async def submit(self, job_id: str, recipe: Recipe, on_event: OnEvent, *, fault: Fault | None = None) -> None:
        if self.orders:
            fault = self.orders.popleft()
        await super().submit(job_id, recipe, on_event, fault=fault)


class Site:
    """A server with real pipelines behind it, and a client of its default world."""

    def __init__(self, *, warm: bool = True, **options: Any) -> None:
        self.renderer = Accidents(Options(**options))
        self.server = Server(pipeline=self.renderer, warm=warm, seed=7, limits="off")
        self.server.start()
        self.world = self.server.default
        self.client = Client(self.world)

    def close(self) -> None:
        self.server.stop()

    def progress(self, run: Run) -> float:
        return next(float(job["progress"]) for job in self.world.jobs() if job["id"] == run.id)

    def pixels(self, endpoint: Endpoint, **changes: Any) -> bytes:
        return opened(self.client.picture(endpoint, self.client.finish(endpoint, **changes))).tobytes()

    @property
    def resting_pixels(self) -> bytes:
        """Render a known picture: that it comes out as always says that nothing is broken."""
        return self.pixels(FLUX, num_inference_steps=4, **FLUX.small)


@pytest.fixture(scope="module")
def site(tiny_cache: Path, kit: Any) -> Iterator[Site]:
    site = Site(device=kit.device, tiny_cache=tiny_cache, cancel_s=0.5)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def client(site: Site) -> Client:
    return site.client


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


# --- 2: a cold start is real, and the server answers meanwhile ---------------------------------------


def test_a_cold_start_shows_as_delay_and_the_server_answers_meanwhile(tiny_cache: Path, kit: Any) -> None:
    cold = Site(device=kit.device, tiny_cache=tiny_cache, warm=False)
    try:
        run = cold.client.submit(FLUX, num_inference_steps=1, **FLUX.small)
        spans = []
        while cold.client.look(FLUX, run)["status"] == "IN_QUEUE":
            begin = time.perf_counter()
            urllib.request.urlopen(cold.server.url + "/").read()
            spans.append(time.perf_counter() - begin)
            time.sleep(0.05)
        cold.client.follow(FLUX, run)
        assert run.status == "COMPLETED"
        assert 500 < run.last["delayTime"] < 30_000
        assert len(spans) > 10
        assert statistics.quantiles(spans, n=20)[-1] < 0.05
        warm = cold.client.finish(FLUX, num_inference_steps=1, **FLUX.small)
        assert warm.last["delayTime"] < run.last["delayTime"] / 5
    finally:
        cold.close()


def test_the_servers_loop_stays_free_while_it_renders(site: Site) -> None:
    def render() -> None:
        for seed in range(10):
            site.client.finish(FLUX, seed=seed, **FLUX.small)

    busy = min(_lag(site, render) for _ in range(3))
    # A machine that is busy with other things is late by itself: its own lateness is the yardstick then.
    assert busy < max(0.020, 3 * _lag(site, lambda: time.sleep(1)))


def _lag(site: Site, work: Any) -> float:
    """Give the 95th percentile of how late a timer of the server's loop is while the work goes on, in seconds."""
    lags: list[float] = []
    stop = False

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while not stop:
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            lags.append(loop.time() - due)

    ticking = asyncio.run_coroutine_threadsafe(tick(), site.server._thread._task.get_loop())  # type: ignore[union-attr]
    work()
    stop = True
    ticking.result(10)
    return statistics.quantiles(lags, n=20)[-1]


# --- 3: the documents' own requests ------------------------------------------------------------------


@every_endpoint
def test_the_documents_own_request_end_to_end(client: Client, endpoint: Endpoint) -> None:
    run = client.finish(endpoint)
    words = [*endpoint.queued, endpoint.running, endpoint.ends[0]]
    assert run.seen == [word for word in words if word in run.seen]
    assert endpoint.running in run.seen
    given = endpoint.stop["submit"]["json"][endpoint.input]
    form = (given.get("output_format") or given.get("image_format") or "jpeg").upper()
    data = client.picture(endpoint, run)
    image = opened(data)
    assert (image.size, image.format) == ((1024, 1024), form)
    made, fields = client.made(run), read_metadata(data)
    assert made["renderer"] == "diffusers"
    assert made["size"] == [1024, 1024]
    assert 0 < made["execution_ms"] <= run.wall_ms
    assert fields is not None
    assert (fields["run"], fields["model"], fields["weights"]) == (run.id, endpoint.name, "tiny")
    assert fields["steps"] == made["steps"] > 0
    assert client.picture(endpoint, run) == data


def test_times_that_a_client_sees_are_measured(client: Client) -> None:
    run = client.finish(FLUX, **FLUX.small)
    made = client.made(run)
    assert run.last["executionTime"] == pytest.approx(made["execution_ms"], abs=1)
    assert run.last["delayTime"] == pytest.approx(made["queued_ms"], abs=30)
    assert run.last["executionTime"] + run.last["delayTime"] <= run.wall_ms
    edit = client.finish(KLEIN)
    timing = at(edit.last, "/output/timing/inference_ms")
    assert timing == pytest.approx(client.made(edit)["execution_ms"], abs=1)


def test_cost_stays_the_contracts(client: Client) -> None:
    for endpoint in (EDIT, KLEIN, FLUX, KONTEXT):
        shown = endpoint.stop["cost"]
        assert str(at(client.finish(endpoint).last, shown["shown"])) == shown["documented"]


def test_what_a_model_cannot_apply_is_said(client: Client) -> None:
    assert client.made(client.finish(FLUX, **FLUX.small))["unapplied"] == ["negative"]
    assert client.made(client.finish(EDITOR, num_inference_steps=1))["unapplied"] == ["strength"]
    assert "unapplied" not in client.made(client.finish(EDIT))


# --- 4: seeds and parameters --------------------------------------------------------------------------


@every_endpoint
def test_one_seed_is_one_picture_and_every_parameter_counts(site: Site, endpoint: Endpoint, kit: Any) -> None:
    def data(**changes: Any) -> bytes:
        run = site.client.finish(endpoint, **{endpoint.steps: 6, "seed": 11, **endpoint.small, **changes})
        return site.client.picture(endpoint, run)

    first = data()
    assert kit.same_pixels(first, data())
    changes: list[dict[str, Any]] = [{"seed": 12}, {"prompt": "a blue whale under the moon"}, {endpoint.steps: 20}]
    if endpoint.guidance is not None:
        changes.append({endpoint.guidance: 9})
    for change in changes:
        assert kit.distance(first, data(**change)) > 0.1, change


def test_a_seed_survives_a_cancellation_and_a_new_worker(site: Site, client: Client) -> None:
    before = site.resting_pixels
    run = client.follow(FLUX, client.submit(FLUX, num_inference_steps=50), lambda status: status == "IN_PROGRESS")
    client.cancel(FLUX, run)
    assert site.resting_pixels == before
    assert site.renderer.ready is not None
    os.kill(site.renderer.ready.pid, signal.SIGKILL)
    assert site.resting_pixels == before


# --- 5, 6: strength, steps ----------------------------------------------------------------------------


def test_strength_leads_away_from_the_source(client: Client, kit: Any) -> None:
    source = kit.source().data
    away = []
    for strength in (0.1, 0.5, 0.9):
        run = client.finish(EDIT, image_b64=data_uri(source), strength=strength, steps=20)
        assert client.made(run)["steps"] == effective_steps(20, strength) == 20 - int(20 - 20 * strength)
        away.append(kit.distance(source, client.picture(EDIT, run)))
    assert away[0] < away[1] < away[2]


def test_strength_zero_is_the_source(client: Client, kit: Any) -> None:
    run = client.finish(EDIT, image_b64=data_uri(kit.source().data), strength=0)
    assert client.made(run).get("steps") == 0
    assert kit.distance(kit.source().data, client.picture(EDIT, run)) < 2  # a JPEG of it


def test_more_steps_take_longer(client: Client) -> None:
    def best(steps: int) -> float:
        runs = [client.finish(FLUX, num_inference_steps=steps, seed=seed, **FLUX.small) for seed in range(3)]
        return min(run.last["executionTime"] for run in runs)

    assert best(50) > 1.5 * best(4)


# --- 7: progress --------------------------------------------------------------------------------------


def test_progress_grows_to_the_end(site: Site, client: Client) -> None:
    run, seen = client.submit(KONTEXT, num_inference_steps=50), [0.0]
    while site.progress(run) < 1:
        seen.append(site.progress(run))
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    client.follow(KONTEXT, run)
    assert run.seen[-2:] == ["IN_PROGRESS", "COMPLETED"]


# --- 8: cancelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [EDIT, KONTEXT], ids=lambda endpoint: endpoint.provider)
def test_cancelling_in_mid_run_frees_the_worker(site: Site, client: Client, endpoint: Endpoint) -> None:
    before = site.resting_pixels
    with Receiver() as receiver:
        run = client.submit(endpoint, outside={endpoint.callback: receiver.url}, **{endpoint.steps: 50})
        client.follow(endpoint, run, lambda status: status == endpoint.running)
        begin = time.perf_counter()
        client.cancel(endpoint, run)
        client.follow(endpoint, run)
        assert time.perf_counter() - begin < 1
        assert run.status == endpoint.cancelled
        if endpoint.provider == "runflow":
            (hit,) = receiver.wait(1)
            assert json.loads(hit.body)["event"] == "run.cancelled"
    assert client.finish(FLUX, num_inference_steps=1, **FLUX.small).status == "COMPLETED"
    assert not [one for one in site.world.journal()["entries"] if one["kind"] == "rendered" and one["job"] == run.id]
    assert site.resting_pixels == before


def test_cancelling_in_the_queue_and_after_the_end(site: Site, client: Client) -> None:
    first = client.submit(KONTEXT, num_inference_steps=50)
    second = client.submit(FLUX, **FLUX.small)
    assert client.cancel(FLUX, second)["status"] == "CANCELLED"
    assert client.follow(KONTEXT, first).status == "COMPLETED"
    assert client.follow(FLUX, second).seen == ["IN_QUEUE", "CANCELLED"]
    assert "executionTime" not in second.last
    client.cancel(KONTEXT, first)  # nothing happens
    assert client.look(KONTEXT, first)["status"] == "COMPLETED"
    assert client.finish(FLUX, **FLUX.small).status == "COMPLETED"


# --- 9: accidents -------------------------------------------------------------------------------------

ACCIDENTS: dict[str, dict[str, Any]] = {
    "oom": {"runflow": "PROVIDER_ERROR", "runpod": "CUDA error: out of memory", "onemin": "Prediction failed"},
    "nan": {"runflow": "PROVIDER_ERROR", "runpod": "could not finish", "onemin": "Prediction failed"},
    "black": {"runflow": "PROVIDER_ERROR", "runpod": "could not finish", "onemin": "NSFW"},
    "crash": {"runflow": "PROVIDER_ERROR", "runpod": "job timed out after 1 retries", "onemin": "Prediction failed"},
}


@pytest.mark.parametrize("endpoint", [EDIT, FLUX, EDITOR], ids=lambda endpoint: endpoint.provider)
@pytest.mark.parametrize("accident", ["oom", "nan", "black"])
def test_an_accident_is_the_providers_own_failure(
    site: Site, client: Client, endpoint: Endpoint, accident: Any
) -> None:
    _fails(site, client, endpoint, accident)


@pytest.mark.parametrize("endpoint", [EDIT, FLUX, EDITOR], ids=lambda endpoint: endpoint.provider)
def test_a_killed_worker_fails_its_job_alone(site: Site, client: Client, endpoint: Endpoint) -> None:
    spawned = site.renderer.spawned
    _fails(site, client, endpoint, "crash")
    assert site.renderer.spawned == spawned + 1


def _fails(site: Site, client: Client, endpoint: Endpoint, accident: Any) -> None:
    with Receiver() as receiver:
        site.renderer.orders.append(accident)
        outside = {endpoint.callback: receiver.url} if endpoint.callback else {}
        run = client.submit(endpoint, outside=outside, **{endpoint.steps: 8, **endpoint.small})
        next_one = client.submit(FLUX, num_inference_steps=4, **FLUX.small)
        client.follow(endpoint, run)
        assert run.status == endpoint.ends[1]
        assert ACCIDENTS[accident][endpoint.provider] in str(at(run.last, endpoint.error))
        if endpoint.callback:
            (hit,) = receiver.wait(1)
            assert json.loads(hit.body).get("status") == endpoint.ends[1]
    made = client.made(run)
    assert made["failed"] == {"crash": "killed"}.get(accident, accident)
    charges = site.world.ledger()["providers"][endpoint.provider]["charges"]
    assert run.id not in {charge["job"] for charge in charges}
    assert client.follow(FLUX, next_one).status == "COMPLETED"
    assert opened(client.picture(FLUX, next_one)).tobytes() == site.resting_pixels


def test_the_providers_deadline_ends_a_run_that_hangs(site: Site, client: Client) -> None:
    before = site.resting_pixels
    site.renderer.orders.append("hang")
    run = client.submit(FLUX, outside={"policy": {"executionTimeout": 5000}}, **FLUX.small)
    client.follow(FLUX, run)
    assert (run.status, run.last["error"]) == ("FAILED", "executionTimeout exceeded")
    assert run.last["executionTime"] == 5000
    assert site.resting_pixels == before


# --- 10: one after the other --------------------------------------------------------------------------


def test_two_jobs_at_once_run_one_after_the_other(site: Site, client: Client) -> None:
    changes = {"num_inference_steps": 28, **FLUX.small}
    alone = [site.pixels(FLUX, seed=seed, **changes) for seed in (1, 2)]
    runs = [client.submit(FLUX, seed=seed, **changes) for seed in (1, 2)]
    for run in runs:
        client.follow(FLUX, run)
    assert [opened(client.picture(FLUX, run)).tobytes() for run in runs] == alone
    # It was submitted a little later than the first one began.
    assert runs[1].last["delayTime"] >= runs[0].last["executionTime"] * 0.5
    first, second = (client.made(run) for run in runs)
    assert second["at"] >= first["at"] + second["execution_ms"] - 1


# --- 11: references and sizes -------------------------------------------------------------------------


def test_one_to_four_references_are_taken_and_bad_ones_are_the_clients_fault(client: Client, kit: Any) -> None:
    good = data_uri(kit.source().data)
    for count in (1, 4):
        client.finish(KLEIN, image_urls=[good] * count, **KLEIN.small)
    for sources in ([good] * 5, [data_uri(kit.source(63, 200).data)], [data_uri(kit.source(64 * 9, 64).data)]):
        status, text = client.refusal(KLEIN, image_urls=sources)
        assert status in (400, 422), text
    wide = client.upload(EDITOR, kit.source(64 * 9, 64).data)
    status, text = client.refusal(EDITOR, imageUrl=wide)
    assert status in (400, 422), text
    assert "8:1" in text


def test_an_uploaded_reference_reaches_the_model(client: Client, kit: Any) -> None:
    turned = opened(kit.source().data).transpose(Image.Transpose.ROTATE_90)
    out = BytesIO()
    turned.save(out, "PNG")
    pictures = [
        client.picture(EDITOR, client.finish(EDITOR, imageUrl=client.upload(EDITOR, data), seed=5, **EDITOR.small))
        for data in (kit.source().data, out.getvalue())
    ]
    assert kit.distance(*pictures) > 0.1


@pytest.mark.parametrize("size", [(250, 130), (1023, 511)])
def test_a_size_that_no_model_makes_comes_exactly(client: Client, size: tuple[int, int]) -> None:
    run = client.finish(KONTEXT, size=f"{size[0]}*{size[1]}", num_inference_steps=1)
    assert opened(client.picture(KONTEXT, run)).size == size
    assert all(side % 16 == 0 for side in client.made(run)["rendered"])


# --- 12: true size, memory ----------------------------------------------------------------------------


def test_a_hundred_pictures_do_not_make_the_worker_grow(site: Site, client: Client) -> None:
    def render(count: int) -> None:
        for seed in range(count):
            client.finish(FLUX, seed=seed, num_inference_steps=1, **FLUX.small)

    render(10)
    assert site.renderer.ready is not None
    before = _memory(site.renderer.ready.pid)
    render(100)
    assert _memory(site.renderer.ready.pid) - before < 50e6


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def test_a_true_1024_square_through_the_door(tiny_cache: Path, kit: Any) -> None:
    large = Site(device=kit.device, tiny_cache=tiny_cache, render_max_side=1024)
    try:
        run = large.client.finish(FLUX, num_inference_steps=4)
        assert large.client.made(run)["rendered"] == [1024, 1024]
        assert run.last["executionTime"] < 20_000
        assert large.renderer.ready is not None
        assert _memory(large.renderer.ready.pid) < 1.2e9
    finally:
        large.close()


# --- 13: the command line -----------------------------------------------------------------------------


def refused(*options: str, **environment: str) -> str:
    """Run `fauxvider serve`, which must refuse in one line with exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "fauxvider", "serve", "--port", "0", "--control-port", "0", *options],
        check=False, capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path: Path) -> None:
    real = "--renderer", "diffusers"
    assert "not a pipeline folder" in refused(*real, "--model", str(tmp_path / "missing"))
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "weights.bin").write_bytes(b"pickled")
    assert "pickled" in refused(*real, "--model", str(tmp_path))
    assert "scaled:60" in refused(*real, "--clock", "scaled:60")
    assert "--render-cache" in refused(*real, "--replay")
    assert "--renderer diffusers" in refused("--model", "tiny2")


def test_a_device_that_is_not_there_is_refused_in_one_line() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert "no CUDA device" in refused("--renderer", "diffusers", "--device", "cuda")


# A file that makes the heavy libraries unfindable, as where the extra is not installed.
BLOCKER = """
import importlib.util, sys

HEAVY = ("torch", "diffusers", "transformers", "safetensors")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(name)

find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in HEAVY else find(name, package)
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": str(tmp_path / "blocked")}


def test_without_the_extra_it_is_named(without_torch: dict[str, str]) -> None:
    assert "pip install 'fauxvider[gpu]'" in refused("--renderer", "diffusers", **without_torch)


def test_serving_from_the_command_line_and_replaying_without_torch(
    tmp_path: Path, tiny_cache: Path, without_torch: dict[str, str]
) -> None:
    kept = ("--renderer", "diffusers", "--render-cache", str(tmp_path / "kept"), "--no-metadata", "--limits", "off")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    asked: list[tuple[Endpoint, dict[str, Any]]] = [
        (FLUX, {"seed": 3, **FLUX.small}), (EDITOR, {"seed": 4}), (EDIT, {"seed": 5}), (FLUX, {"seed": 6, **FLUX.small})
    ]  # fmt: skip
    with Cli(*kept, "--warm", **cache) as made:
        runs = [made.client.finish(endpoint, **changes) for endpoint, changes in asked[:3]]
        files = [made.client.picture(endpoint, run) for (endpoint, _), run in zip(asked, runs, strict=False)]
    with Cli(*kept, "--replay", **without_torch, **cache) as replayed:
        again = [replayed.client.finish(endpoint, **changes) for endpoint, changes in asked[:3]]
        assert [
            replayed.client.picture(endpoint, run) for (endpoint, _), run in zip(asked, again, strict=False)
        ] == files
        assert abs(again[0].last["executionTime"] - runs[0].last["executionTime"]) <= 25
        missing = replayed.client.follow(FLUX, replayed.client.submit(FLUX, **asked[3][1]))
        assert missing.status == "FAILED"


class Cli:
    """`fauxvider serve` as a process; it looks like a world to a client."""

    def __init__(self, *options: str, **environment: str) -> None:
        command = [sys.executable, "-m", "fauxvider", "serve", "--json", "--port", "0", "--control-port", "0", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
        assert self._process.stdout is not None
        self._places = json.loads(self._process.stdout.readline())
        assert self._places["renderer"] == "diffusers"
        self.client = Client(self)  # type: ignore[arg-type]

    def base_url(self, provider: str) -> str:
        return str(self._places["providers"][provider]["base_url"])

    def __enter__(self) -> Cli:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(10) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
