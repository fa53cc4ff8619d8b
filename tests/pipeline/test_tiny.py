from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Builds twice in a process that may not open a socket; says what came out.
BUILDER = """
import hashlib, json, pathlib, sys

def deny(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        raise PermissionError(event)

sys.addaudithook(deny)
from fauxvider.renderers.diffusers import tiny

root = pathlib.Path(sys.argv[1])
for name in ("one", "two"):
    tiny.build(root / name)
from fauxvider.renderers.diffusers.libraries import diffusers, torch

classes = {}
for name in tiny.FOLDERS:
    pipe = diffusers.DiffusionPipeline.from_pretrained(
        root / "one" / name, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    classes[name] = type(pipe).__name__
digests = {}
for name in ("one", "two"):
    files = sorted(file for file in (root / name).rglob("*") if file.is_file())
    digests[name] = {str(f.relative_to(root / name)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
print(json.dumps({"classes": classes, "digests": digests}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    root = tmp_path_factory.mktemp("built")
    done = subprocess.run([sys.executable, "-c", BUILDER, str(root)], check=True, capture_output=True, timeout=280)
    return root, json.loads(done.stdout.splitlines()[-1])


def test_building_twice_gives_the_same_files(built: tuple[Path, dict[str, dict[str, object]]]) -> None:
    digests = built[1]["digests"]
    assert digests["one"] == digests["two"]


def test_the_folders_are_small_and_safe(built: tuple[Path, dict[str, object]]) -> None:
    files = [file for file in (built[0] / "one").rglob("*") if file.is_file()]
    sizes = {
        name: sum(file.stat().st_size for file in files if name in file.parts)
        for name in ("flux", "flux2", "flux2-klein")
    }
    assert all(size < 1_000_000 for size in sizes.values()), sizes
    assert sum(sizes.values()) < 2_000_000
    assert {file.suffix for file in files} <= {".json", ".jinja", ".safetensors"}


def test_folders_load_as_the_real_classes_without_a_network(built: tuple[Path, dict[str, object]]) -> None:
    assert built[1]["classes"] == {
        "flux": "FluxPipeline",
        "flux2": "Flux2Pipeline",
        "flux2-klein": "Flux2KleinPipeline",
    }
