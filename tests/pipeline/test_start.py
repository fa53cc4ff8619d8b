from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.calibrate import Grid, fit, measure, report


@pytest.fixture(scope="session")
def tiny(tiny_cache: Path, bench: Any) -> Path:
    """Give the folder of the tiny models, which the session's worker has built."""
    (folder,) = tiny_cache.iterdir()
    return folder


def refusal(other_bench: Any, options: Any) -> str:
    with pytest.raises(RenderError) as caught:
        other_bench.open(options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_model_folder_serves_its_family_and_the_tiny_ones_the_rest(other_bench: Any, kit: Any, tiny: Path) -> None:
    other_bench.open(kit.options(models=(tiny / "flux2-klein",)))
    klein, flux = (other_bench.picture(kit.recipe(name, steps=1)) for name in ("flux2-klein", "flux"))
    assert (klein.report.model, flux.report.model) == ("flux2-klein", "tiny")
    assert other_bench.opened.spawned == 2  # warm is what was named; the rest when it is needed


def test_a_folders_own_code_is_never_run(other_bench: Any, kit: Any, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own-code"
    shutil.copytree(tiny / "flux", folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "scheduler": ["scheduler", "Evil"]}))
    for place in (folder, folder / "scheduler"):
        (place / "scheduler.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w'); Evil = None")
    refusal(other_bench, kit.options(models=(folder,)))
    assert not (tmp_path / "ran").exists()


def test_two_folders_of_one_family_are_refused(other_bench: Any, kit: Any, tiny: Path) -> None:
    said = refusal(other_bench, kit.options(models=(tiny / "flux", tiny / "flux2", tiny / "flux")))
    assert "serve the same pipelines" in said


def test_folders_that_cannot_be_used_are_refused_in_one_line(
    other_bench: Any, kit: Any, tiny: Path, tmp_path: Path
) -> None:
    def with_model(folder: Path) -> Any:
        return kit.options(models=(folder,))

    assert "not a pipeline folder" in refusal(other_bench, with_model(tmp_path / "missing"))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    assert "StableDiffusionPipeline" in refusal(other_bench, with_model(tmp_path))
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny / "flux", pickled)
    for file in list(pickled.rglob("*.safetensors")):
        file.rename(file.with_suffix(".bin"))
    assert "pickled" in refusal(other_bench, with_model(pickled))
    half = tmp_path / "half"
    shutil.copytree(tiny / "flux", half)
    (half / "vae" / "diffusion_pytorch_model.safetensors").rename(half / "vae" / "diffusion_pytorch_model.bin")
    refusal(other_bench, with_model(half))
    corrupt = tmp_path / "corrupt"
    shutil.copytree(tiny / "flux", corrupt)
    (corrupt / "transformer" / "diffusion_pytorch_model.safetensors").write_bytes(b"nonsense")
    refusal(other_bench, with_model(corrupt))


def test_a_device_or_dtype_that_is_not_there_is_refused(
    other_bench: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "allowed" in refusal(other_bench, kit.options(device="tpu"))
    assert "allowed" in refusal(other_bench, kit.options(dtype="int3"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "no CUDA device" in refusal(other_bench, kit.options(device="cuda"))


def test_the_servers_side_never_loads_torch() -> None:
    code = (
        "import sys; from fauxvider.renderers.diffusers import handle, calibrate, options, results;"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=280)
    assert done.stdout.strip() == b"[]"


def test_kept_pictures_are_replayed_byte_for_byte(other_bench: Any, bench: Any, kit: Any, tmp_path: Path) -> None:
    recipes = [kit.recipe(), kit.recipe("flux2-klein", format="webp"), kit.recipe("flux-img2img", format="jpeg")]
    keeping = other_bench.open(kit.options(results=tmp_path / "kept"), warm=False)
    made = [other_bench.picture(recipe) for recipe in recipes]
    other_bench.do(keeping.close())

    replaying = other_bench.open(kit.options(results=tmp_path / "kept", replay=True))
    again = [other_bench.picture(recipe) for recipe in recipes]
    assert [end.data for end in again] == [end.data for end in made]
    assert all(end.report.replayed for end in again)
    assert [end.report.execution_ms for end in again] == [end.report.execution_ms for end in made]
    assert other_bench.end(kit.recipe(seed=7)).kind == "not_cached"
    assert replaying.spawned == 0


def test_calibration_fits_what_it_measures(bench: Any) -> None:
    grid = Grid(sizes=((256, 256), (512, 512)), steps=(2, 20), strengths=(0.5, 1.0), repeats=3)
    samples = bench.do(measure(bench.opened, "flux-img2img", grid))
    assert len(samples) == 8
    law = fit(samples)
    assert any(law.per_step)
    # How close the law comes to runs that nothing disturbed is no matter of a test on a machine that is busy.
    least, *_, most = sorted(samples, key=lambda one: one.megapixels * one.steps)
    assert law.at(least) < law.at(most)
    assert "fit:" in report("flux-img2img", samples, law)
