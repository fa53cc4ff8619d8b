"""The command line with real pipelines: what is refused, and a run from start to replay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.documented import DOCUMENTED, Endpoint
from support.real import Cli

EDIT, FLUX, EDITOR = DOCUMENTED["flux-1-dev-edit"], DOCUMENTED["flux-dev"], DOCUMENTED["flux-2-dev-editor"]


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
    with Cli(*kept, "--replay", **without_torch, **cache) as replayed:
        again = [replayed.client.finish(endpoint, **changes) for endpoint, changes in asked[:3]]
        assert [
            replayed.client.picture(endpoint, run) for (endpoint, _), run in zip(asked, again, strict=False)
        ] == files
        assert abs(again[0].last["executionTime"] - runs[0].last["executionTime"]) <= 25
        missing = replayed.client.follow(FLUX, replayed.client.submit(FLUX, **asked[3][1]))
        assert missing.status == "FAILED"
