"""What only a CUDA device can show. Collected where there is one; everything else runs on it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fauxvider.renderers.diffusers.protocol import Failed


@pytest.fixture
def cuda(kit_on: Callable[[str], Any]) -> Any:
    return kit_on("cuda")


@pytest.fixture
def benches(new_bench: Callable[[], Any]) -> Iterator[list[Any]]:
    benches = [new_bench(), new_bench()]
    yield benches
    for bench in benches:
        bench.close()


def test_one_seed_is_one_picture_on_both_devices(benches: list[Any], cuda: Any, kit_on: Callable[[str], Any]) -> None:
    # Noise is made on the CPU for both; arithmetic differs in last bits.
    for bench, kit in zip(benches, (cuda, kit_on("cpu")), strict=True):
        bench.open(kit.options(), warm=False)
    for pipeline in ("flux", "flux2", "flux2-klein"):
        one, other = (bench.picture(cuda.recipe(pipeline)).data for bench in benches)
        assert cuda.distance(one, other) < 2


def test_real_exhaustion_of_device_memory_fails_one_job(other_bench: Any, cuda: Any) -> None:
    other_bench.open(cuda.options(memory_fraction=0.004, render_max_side=4096), warm=False)
    alone = other_bench.picture(cuda.recipe()).data
    end = other_bench.end(cuda.recipe(width=4096, height=4096, steps=2))
    assert isinstance(end, Failed)
    assert end.kind == "oom"
    assert cuda.same_pixels(other_bench.picture(cuda.recipe()).data, alone)


def test_bfloat16_renders(other_bench: Any, cuda: Any) -> None:
    other_bench.open(cuda.options(dtype="bfloat16"), warm=False)
    end = other_bench.picture(cuda.recipe())
    assert (end.report.device, end.report.dtype) == ("cuda", "bfloat16")
