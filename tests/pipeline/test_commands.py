"""The command line with real pipelines: what is refused, and a run from start to replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.documented import DOCUMENTED, Endpoint
from support.real import Cli, opened

EDIT, FLUX, EDITOR = DOCUMENTED["flux-1-dev-edit"], DOCUMENTED["flux-dev"], DOCUMENTED["flux-2-dev-editor"]


PATIENCE_S = 280  # what is started here loads torch, and some of it makes many pictures


def refused(*options: str, **environment: str) -> str:
    """Run `fauxvider serve`, which must refuse in one line with exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "fauxvider", "serve", "--port", "0", "--control-port", "0", *options],
        check=False, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **environment},
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
    assert "no CUDA device" in refused("--renderer", "diffusers", "--device", "cuda", CUDA_VISIBLE_DEVICES="")


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


def test_the_demo_shows_real_pictures_side_by_side(tmp_path: Path, device: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fauxvider", "demo", "--renderer", "diffusers", "--device", device,
         "--render-max-side", "64", "--out", str(tmp_path)],
        check=True, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    for told in (
        "flux-img2img, 24 steps at 64 x 64",
        "flux2-klein, 4 steps",
        "flux-kontext",
        "strength 0.6",
        "seed 43",
    ):
        assert told in done.stdout
    assert "pixel for pixel seed 42" in done.stdout
    assert "cannot apply: strength" in done.stdout
    sheet = opened((tmp_path / "sheet.png").read_bytes())
    assert sheet.width > 5 * 320
    assert 'src="sheet.png"' in (tmp_path / "report.html").read_text()


def test_a_machine_is_calibrated_and_imitated(tmp_path: Path, device: str) -> None:
    grid = ("--for", "runpod/flux-dev", "--sizes", "256x256,512x512", "--steps", "2,20", "--render-max-side", "512")
    done = subprocess.run(
        [sys.executable, "-m", "fauxvider", "calibrate", "--device", device, *grid, "--json", "--write", str(tmp_path)],
        check=True, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    (one,) = json.loads(done.stdout)["models"]
    assert [sample["rendered"] for sample in one["samples"]] == [[256, 256], [256, 256], [512, 512], [512, 512]]
    assert 0 < one["samples"][0]["fitted_ms"] < one["samples"][-1]["fitted_ms"]
    assert all(sample["measured_ms"] > 0 for sample in one["samples"])
    assert f"fauxvider serve --contract {tmp_path / 'runpod.yaml'}" in done.stderr
    with Cli("--contract", str(tmp_path / "runpod.yaml"), renderer="synthetic") as imitating:
        run = imitating.client.finish(FLUX, num_inference_steps=20, width=512, height=512)
        fitted = one["samples"][-1]["fitted_ms"]
        assert run.last["executionTime"] == pytest.approx(
            fitted, rel=0.01 + one["timing"]["IN_PROGRESS"]["spread"], abs=2
        )


def test_serving_from_the_command_line_and_replaying_without_torch(
    tmp_path: Path, device: str, without_torch: dict[str, str]
) -> None:
    kept = ("--renderer", "diffusers", "--render-cache", str(tmp_path / "kept"), "--no-metadata", "--limits", "off")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    asked: list[tuple[Endpoint, dict[str, Any]]] = [
        (FLUX, {"seed": 3, **FLUX.small}), (EDITOR, {"seed": 4}), (EDIT, {"seed": 5}), (FLUX, {"seed": 6, **FLUX.small})
    ]  # fmt: skip
    with Cli(*kept, "--device", device, "--warm", **cache) as made:
        runs = [made.client.finish(endpoint, **changes) for endpoint, changes in asked[:3]]
        files = [made.client.picture(endpoint, run) for (endpoint, _), run in zip(asked, runs, strict=False)]
    kept_files = [json.loads(file.read_bytes()) for file in (tmp_path / "kept").rglob("*.json") if file.stem != "about"]
    (spent_ms,) = (one["report"]["execution_ms"] for one in kept_files if one["report"]["seed"] == 3)
    with Cli(*kept, "--replay", **without_torch, **cache) as replayed:
        again = [replayed.client.finish(endpoint, **changes) for endpoint, changes in asked[:3]]
        assert [
            replayed.client.picture(endpoint, run) for (endpoint, _), run in zip(asked, again, strict=False)
        ] == files
        assert 0 < again[0].last["executionTime"] <= spent_ms + 1
        missing = replayed.client.follow(FLUX, replayed.client.submit(FLUX, **asked[3][1]))
        assert missing.status == "FAILED"
