"""The real pipelines under test: workers for the session, driven from ordinary test functions.

What can run is decided when tests are collected. Without the gpu extra nothing here is, and the
report's head says so; where FAUXVIDER_REQUIRE_PIPELINE=1 that is an error, since a suite that was left
out must not look green in CI. All tests run on the CPU, and where there is a CUDA device once more on
it, with those of test_cuda.py; FAUXVIDER_DEVICE=cpu or cuda leaves one of the two.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image, ImageChops, ImageStat

from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.protocol import Failed, Fault, Progress, Ready, Rendered, RunEvent, Started
from support.documented import Client
from support.real import Site

T = TypeVar("T")
# Three workers start at once, and each loads torch.
PATIENCE_S = 280


def devices() -> list[str]:
    """List the devices to test on."""
    if chosen := os.environ.get("FAUXVIDER_DEVICE", ""):
        return [chosen]
    # Where there is no driver, nobody has to wait for torch to say so.
    has_driver = any(Path(place).exists() for place in ("/dev/nvidiactl", "/dev/dxg"))
    asked = (sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())")
    has_cuda = has_driver and subprocess.run(asked, check=False, capture_output=True).returncode == 0
    return ["cpu", "cuda"] if has_cuda else ["cpu"]


MISSING = [name for name in ("torch", "diffusers", "transformers") if find_spec(name) is None]
if MISSING and os.environ.get("FAUXVIDER_REQUIRE_PIPELINE") == "1":
    raise pytest.UsageError(f"FAUXVIDER_REQUIRE_PIPELINE=1, but the gpu extra is not installed: {', '.join(MISSING)}")
DEVICES = [] if MISSING else devices()
collect_ignore_glob = ["test_*.py"] if MISSING else [] if "cuda" in DEVICES else ["test_cuda.py"]


def pytest_report_header() -> str:
    missing = f"not collected, {', '.join(MISSING)} not installed"
    return f"real pipelines: {missing if MISSING else 'on ' + ' and '.join(DEVICES)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.pipeline)


@dataclass
class Heard:
    """Everything that was told of one job."""

    events: list[RunEvent] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    stepped: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: RunEvent) -> None:
        self.events.append(event)
        if isinstance(event, Progress):
            self.stepped.set()
        if isinstance(event, Rendered | Failed):
            self.over.set()

    @property
    def end(self) -> Rendered | Failed:
        assert self.over.wait(PATIENCE_S)
        end = self.events[-1]
        assert isinstance(end, Rendered | Failed)
        return end

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(event.step, event.total) for event in self.events if isinstance(event, Progress)]

    @property
    def started(self) -> bool:
        return any(isinstance(event, Started) for event in self.events)


class Bench:
    """A renderer in an event loop of its own thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.renderer: DiffusersRenderer | None = None
        self._jobs = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def open(self, options: Options, *, warm: bool = True) -> DiffusersRenderer:
        renderer = DiffusersRenderer(options)
        self.do(renderer.start(warm=warm))
        self.renderer = renderer
        return renderer

    @property
    def opened(self) -> DiffusersRenderer:
        assert self.renderer is not None
        return self.renderer

    def worker(self, family: str = "flux") -> Ready:
        """Give what the worker of a family said when it was ready."""
        return self.opened.workers[family]

    def submit(self, recipe: Recipe, *, fault: Fault | None = None, job_id: str | None = None) -> tuple[str, Heard]:
        self._jobs += 1
        job_id, heard = job_id or f"job-{self._jobs}", Heard()
        self.do(self.opened.submit(job_id, recipe, heard, fault=fault))
        return job_id, heard

    def submit_together(
        self, *recipes: Recipe, faults: Sequence[Fault | None] = (), cancel_last: bool = False
    ) -> list[tuple[str, Heard]]:
        """Submit all before the loop does anything else, so that each surely waits for those before it."""
        self._jobs += len(recipes)
        jobs = [(f"job-{number + 1}", Heard()) for number in range(self._jobs - len(recipes), self._jobs)]

        async def submit() -> None:
            for (job_id, heard), recipe, fault in zip(jobs, recipes, faults or [None] * len(recipes), strict=True):
                await self.opened.submit(job_id, recipe, heard, fault=fault)
            if cancel_last:
                assert self.opened.cancel(jobs[-1][0])

        self.do(submit())
        return jobs

    def cancel(self, job_id: str) -> bool:
        async def cancel() -> bool:
            return self.opened.cancel(job_id)

        return self.do(cancel())

    def end(self, recipe: Recipe, *, fault: Fault | None = None) -> Rendered | Failed:
        return self.submit(recipe, fault=fault)[1].end

    def picture(self, recipe: Recipe) -> Rendered:
        end = self.end(recipe)
        assert isinstance(end, Rendered), end
        return end

    def close(self) -> None:
        if self.renderer is not None:
            self.do(self.renderer.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def bench(kit: Kit) -> Iterator[Bench]:
    bench = Bench()
    try:
        # True sizes up to 1024: most tests ask for 256, which is what the default would render anyway.
        bench.open(kit.options(render_max_side=1024))
        yield bench
    finally:
        bench.close()


@pytest.fixture
def other_bench() -> Iterator[Bench]:
    bench = Bench()
    try:
        yield bench
    finally:
        bench.close()


class Kit:
    """Options, recipes, sources and ways to compare."""

    def __init__(self, device: str, tiny_cache: Path) -> None:
        self.device, self.tiny_cache = device, tiny_cache

    def options(self, **changes: Any) -> Options:
        return Options(**{"device": self.device, "tiny_cache": self.tiny_cache, **changes})

    @staticmethod
    def source(width: int = 256, height: int = 256) -> SourceImage:
        wave = Image.radial_gradient("L").resize((width, height))
        turned = Image.linear_gradient("L").resize((width, height))
        out = BytesIO()
        Image.merge("RGB", (wave, turned, ImageChops.invert(wave))).save(out, "PNG")
        return SourceImage("bytes", out.getvalue())

    @staticmethod
    def recipe(pipeline: str = "flux", **changes: Any) -> Recipe:
        base = Recipe(
            provider="acme",
            model="some-model",
            pipeline=pipeline,
            width=256,
            height=256,
            format="png",
            quality=None,
            prompt="a red fox in the snow",
            negative="",
            seed=42,
            steps=8,
            guidance=None,
            strength=None,
            sources=() if pipeline == "flux" else (Kit.source(),),
            number=1,
            run_id="run-1",
        )
        return replace(base, **changes)

    @staticmethod
    def opened(data: bytes) -> Image.Image:
        image = Image.open(BytesIO(data))
        image.load()
        return image

    @staticmethod
    def distance(one: bytes | Image.Image, other: bytes | Image.Image) -> float:
        images = [Kit.opened(item) if isinstance(item, bytes) else item for item in (one, other)]
        means = ImageStat.Stat(ImageChops.difference(*(image.convert("RGB") for image in images))).mean
        return sum(means) / len(means)

    @staticmethod
    def same_pixels(one: bytes, other: bytes) -> bool:
        return Kit.opened(one).tobytes() == Kit.opened(other).tobytes()


@pytest.fixture(scope="session")
def kit_on(tiny_cache: Path) -> Callable[[str], Kit]:
    return lambda device: Kit(device, tiny_cache)


@pytest.fixture(scope="session")
def kit(device: str, kit_on: Callable[[str], Kit]) -> Kit:
    return kit_on(device)


@pytest.fixture
def new_bench() -> type[Bench]:
    return Bench


# --- over HTTP ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def site(kit: Kit) -> Iterator[Site]:
    site = Site(kit.options(cancel_s=0.5))
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(scope="session")
def client(site: Site) -> Client:
    return site.client
