from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fauxvider.renderers.diffusers.protocol import Failed


@pytest.fixture(scope="module", autouse=True)
def needs_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def test_one_seed_is_one_picture_on_both_devices(bench: Any, other_bench: Any, kit: Any, tiny_cache: Path) -> None:
    # Noise is made on the CPU for both; arithmetic differs in last bits.
    other_bench.open(
        kit.options(device="cpu" if bench.opened.ready.device == "cuda" else "cuda", tiny_cache=tiny_cache)
    )
    for pipeline in ("flux", "flux2", "flux2-klein"):
        one, other = (some.picture(kit.recipe(pipeline)).data for some in (bench, other_bench))
        assert kit.distance(one, other) < 2


def test_real_exhaustion_of_device_memory_fails_one_job(other_bench: Any, kit: Any, tiny_cache: Path) -> None:
    other_bench.open(kit.options(device="cuda", tiny_cache=tiny_cache, memory_fraction=0.004, render_max_side=4096))
    alone = other_bench.picture(kit.recipe()).data
    end = other_bench.end(kit.recipe(width=4096, height=4096, steps=2))
    assert isinstance(end, Failed)
    assert end.kind == "oom"
    assert kit.same_pixels(other_bench.picture(kit.recipe()).data, alone)


def test_bfloat16_renders(other_bench: Any, kit: Any, tiny_cache: Path) -> None:
    other_bench.open(kit.options(device="cuda", dtype="bfloat16", tiny_cache=tiny_cache))
    end = other_bench.picture(kit.recipe())
    assert (end.report.device, end.report.dtype) == ("cuda", "bfloat16")
