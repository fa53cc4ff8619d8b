"""What of the real pipelines runs without torch."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fauxvider.engine.facts import Shape
from fauxvider.engine.minting import Mint
from fauxvider.engine.plan import draw_plan, ranges_of
from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.errors import RenderError
from fauxvider.renderers.codec import encode
from fauxvider.renderers.diffusers import options as options_module
from fauxvider.renderers.diffusers.calibrate import Fit, Sample, fit, report
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.options import Options
from fauxvider.renderers.diffusers.parameters import (
    FAMILIES,
    PIPELINES,
    call_for,
    effective_steps,
    problem,
    rendered_size,
)
from fauxvider.renderers.diffusers.protocol import (
    HEAD,
    Done,
    Failed,
    Progress,
    Render,
    Rendered,
    Report,
    Started,
    head_lengths,
    pack,
    unpack,
)
from fauxvider.renderers.diffusers.results import Results
from fauxvider.renderers.synthetic import read_metadata
from support.acme import changed_acme

RECIPE = Recipe(
    provider="acme",
    model="some-model",
    pipeline="flux",
    width=64,
    height=48,
    format="webp",
    quality=None,
    prompt="a red fox",
    negative="",
    seed=42,
    steps=3,
    guidance=None,
    strength=None,
    sources=(),
    number=1,
    run_id="run-1",
)
REPORT = Report(
    pipeline="flux",
    model="tiny",
    device="cpu",
    dtype="float32",
    seed=42,
    steps=3,
    size=(64, 48),
    rendered=(64, 64),
    queued_ms=1.5,
    execution_ms=12.25,
    encode_ms=0.5,
    versions={"torch": "2"},
)


def job(pipeline: str = "flux", **changes: Any) -> Render:
    return replace(
        Render("1", pipeline, 1000, 600, "png", None, "a fox", "", 1, 28, None, None, (), None, ()), **changes
    )


@given(
    st.text(st.characters(codec=None), max_size=30),
    st.lists(st.binary(max_size=40), max_size=4),
    st.one_of(st.none(), st.integers(0, 2**64)),
)
def test_messages_survive_the_wire(text: str, blobs: list[bytes], steps: int | None) -> None:
    message = job(prompt=text, steps=steps, sources=(("bytes", text),) * len(blobs), blobs=tuple(blobs))
    wire = pack(message)
    header, body = head_lengths(wire[: HEAD.size])
    assert len(wire) == HEAD.size + header + body
    assert unpack(wire[HEAD.size : HEAD.size + header], wire[HEAD.size + header :]) == message
    done = Done("1", 1.5, 0.1, 4, (64, 64), ("negative",), "tiny", (b"x",))
    wire = pack(done)
    header, _ = head_lengths(wire[: HEAD.size])
    assert unpack(wire[HEAD.size : HEAD.size + header], wire[HEAD.size + header :]) == done


@pytest.mark.parametrize(
    ("asked", "max_side", "rendered"),
    [
        ((1024, 1024), 256, (256, 256)),
        ((1024, 1024), None, (1024, 1024)),
        ((100, 100), None, (96, 96)),
        ((1536, 640), 256, (256, 112)),
        ((4096, 64), 256, (256, 64)),
        ((1, 1), 256, (64, 64)),
        ((256, 1024), 512, (128, 512)),
    ],
)
def test_models_work_at_sizes_they_can(asked: tuple[int, int], max_side: int | None, rendered: tuple[int, int]) -> None:
    assert rendered_size(*asked, max_side) == rendered


@given(st.integers(1, 200), st.floats(0, 1))
def test_strength_takes_as_many_steps_as_diffusers_does(steps: int, strength: float) -> None:
    assert effective_steps(steps, strength) == steps - int(max(steps - min(steps * strength, steps), 0))
    assert 0 <= effective_steps(steps, strength) <= steps


def test_each_pipeline_gets_what_it_can_apply() -> None:
    everything = {"guidance": 3.0, "strength": 0.5, "negative": "rain", "sources": (("bytes", ""),)}
    calls = {name: call_for(job(name, **everything), tiny=False, max_side=None) for name in PIPELINES}
    assert {name: call.unapplied for name, call in calls.items()} == {
        "flux": ("negative", "strength", "sources"),
        "flux-img2img": ("negative",),
        "flux-kontext": ("negative", "strength"),
        "flux2": ("negative", "strength"),
        "flux2-klein": ("negative", "guidance", "strength"),
    }
    assert calls["flux-img2img"].values["strength"] == 0.5
    assert calls["flux-img2img"].steps == 14
    assert "strength" not in calls["flux2"].values
    assert calls["flux-kontext"].values["max_area"] == 992 * 608
    assert "_auto_resize" not in calls["flux-kontext"].values
    assert call_for(job("flux-kontext"), tiny=True, max_side=256).values["_auto_resize"] is False
    assert call_for(job("flux-img2img", strength=0.0), tiny=True, max_side=256).steps == 0


def test_recipes_that_cannot_be_rendered_are_told_before_they_are_queued() -> None:
    def picture(width: int, height: int) -> SourceImage:
        return SourceImage("bytes", encode(Image.new("RGB", (width, height)), "png", None))

    def said(pipeline: str, *sources: SourceImage, seed: int = 1) -> str:
        return problem(replace(RECIPE, pipeline=pipeline, sources=sources, seed=seed))

    assert said("flux") == ""
    assert said("flux2", *[picture(64, 512)] * 4) == ""
    assert said("flux2", SourceImage("stand_in", label="x")) == ""
    assert "no pipeline" in said("sdxl")
    assert "needs a source" in said("flux-img2img")
    assert "64 bits" in said("flux", seed=2**64)
    assert "at most 4" in said("flux2-klein", *[picture(64, 64)] * 5)
    assert "under 64" in said("flux2", picture(63, 100))
    assert "8:1" in said("flux2", picture(64, 513))
    assert said("flux-kontext", picture(10, 500)) == ""


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: None)
    with pytest.raises(RenderError, match=r"pip install 'fauxvider\[gpu\]'") as caught:
        asyncio.run(DiffusersRenderer().start())
    assert "\n" not in str(caught.value)


def model_folder(path: Path, class_name: str) -> Path:
    (path / "vae").mkdir(parents=True)
    (path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    (path / "vae" / "weights.safetensors").write_bytes(b"")
    return path


def test_a_model_folder_is_checked_before_a_worker_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: name)
    with pytest.raises(RenderError, match="not a pipeline folder"):
        Options(models=(tmp_path,)).check()
    kontext, klein = (
        model_folder(tmp_path / "k", "FluxKontextPipeline"),
        model_folder(tmp_path / "b", "Flux2KleinPipeline"),
    )
    other = model_folder(tmp_path / "other", "StableDiffusionPipeline")
    with pytest.raises(RenderError, match=r"StableDiffusionPipeline.*allowed: Flux2KleinPipeline"):
        Options(models=(kontext, other)).check()
    with pytest.raises(RenderError, match=r"k and .*k serve the same pipelines"):
        Options(models=(kontext, klein, kontext)).check()
    (klein / "vae" / "weights.safetensors").rename(klein / "vae" / "weights.bin")
    with pytest.raises(RenderError, match="only pickled"):
        Options(models=(kontext, klein)).check()
    Options(models=(kontext,)).check()


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"dtype": "int3"}])
def test_a_device_or_dtype_that_does_not_exist_is_refused(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: name)
    with pytest.raises(RenderError, match=r"is not a (device|dtype) \(allowed: auto"):
        Options(**wrong).check()


def test_each_family_has_a_worker_told_of_its_own_folder(tmp_path: Path) -> None:
    options = Options(models=(model_folder(tmp_path / "klein", "Flux2KleinPipeline"),))
    told = {family: options.configure(family) for family in FAMILIES}
    assert list(told) == ["flux", "flux2", "flux2-klein"]
    assert {family: one.model for family, one in told.items()} == {
        "flux": None,
        "flux2": None,
        "flux2-klein": str((tmp_path / "klein").resolve()),
    }
    assert {family: one.threads for family, one in told.items()} == {"flux": 1, "flux2": 1, "flux2-klein": None}
    assert options.about()["model"] == "flux2-klein=klein"
    assert Options().about()["model"] == "tiny"


def test_kept_pictures_are_replayed_without_torch(tmp_path: Path) -> None:
    data = encode(Image.new("RGB", (64, 48), (200, 30, 30)), "webp", None)
    kept = Results(tmp_path / "kept")
    kept.claim({"model": "tiny", "render_max_side": None})
    kept.put(RECIPE.key(), data, REPORT)

    async def replay() -> tuple[list[Any], list[Rendered | Failed]]:
        renderer = DiffusersRenderer(Options(results=tmp_path / "kept", replay=True))
        await renderer.start()
        events: list[Any] = []
        try:
            await renderer.submit("a", RECIPE, events.append)
            recipes = (RECIPE, replace(RECIPE, run_id="run-2"), replace(RECIPE, seed=1))
            return events, [await renderer.run(recipe) for recipe in recipes]
        finally:
            await renderer.close()

    events, (first, second, third) = asyncio.run(replay())
    assert [type(event) for event in events] == [Started, Progress, Progress, Progress, Rendered]
    assert isinstance(first, Rendered)
    assert isinstance(second, Rendered)
    assert isinstance(third, Failed)
    assert third.kind == "not_cached"
    assert first.report == replace(REPORT, replayed=True)
    assert (read_metadata(first.data) or {})["run"] == "run-1"
    assert (read_metadata(second.data) or {})["run"] == "run-2"
    assert events[-1].data == first.data


def test_kept_pictures_belong_to_one_model_and_damage_is_noticed(tmp_path: Path) -> None:
    kept = Results(tmp_path)
    with pytest.raises(RenderError, match="no kept pictures"):
        kept.check()
    kept.claim({"model": "tiny"})
    kept.claim({"model": "tiny"})
    kept.check()
    with pytest.raises(RenderError, match="were made with"):
        kept.claim({"model": "other"})
    kept.put("abc", b"picture", REPORT)
    assert kept.get("abc") == (b"picture", REPORT)
    assert kept.get("abd") is None
    (tmp_path / "ab" / "abc.bin").write_bytes(b"pictura")
    assert kept.get("abc") is None
    (tmp_path / "about.json").write_text("no json")
    with pytest.raises(RenderError, match="cannot be read"):
        kept.check()


PARTS = st.one_of(st.just(0.0), st.floats(1, 2000))


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(st.floats(0.5, 500), PARTS, PARTS))
def test_a_law_says_its_own_times_again(base: tuple[float, ...], per_step: tuple[float, ...]) -> None:
    law = Fit(base, per_step)
    blank = [Sample(side, side, steps, None, 1.0) for side in (256, 512, 768, 1024) for steps in (1, 4, 12, 28)]
    samples = [replace(sample, execution_ms=law.at(sample)) for sample in blank]
    found = fit(samples)
    assert found.typical < 0.004
    assert min(*found.base, *found.per_step) >= 0
    assert sum(map(bool, found.base + found.per_step)) <= sum(map(bool, base + per_step))
    assert "error" in report("flux", samples, found)


def test_a_fit_needs_different_amounts_of_work_and_has_no_negative_part() -> None:
    with pytest.raises(RenderError, match="different amounts"):
        fit([Sample(64, 64, 4, None, 10.0)] * 3)
    found = fit([Sample(1000, 1000, steps, None, time) for steps, time in ((10, 5.0), (20, 30.0), (30, 55.0))])
    assert found.base == (0, 0, 0)
    assert found.per_step[1:] == (0, 0)
    assert found.per_step[0] > 0


def test_a_law_means_the_same_in_a_contract() -> None:
    law = Fit((12.5, 0, 310.25), (1.125, 16, 0))
    work = law.work()
    assert work == {"base": ["12.5ms", "0ms", "310.25ms"], "per_step": ["1.125ms", "16ms"]}
    assert Fit((7, 0, 0), (0, 0, 0)).work() == {"base": "7ms", "per_step": "0ms"}
    text = f'work: {json.dumps(work)[:-1]}, steps: "{{param.num_inference_steps}}"}}'
    old = 'work: {base: 300ms, per_step: 130ms, steps: "{param.num_inference_steps}", megapixels: true}, spread: 0.1'
    contract = changed_acme(old, text).resolve({})
    span = contract.models["dev"].timing["IN_PROGRESS"]
    for side, steps in ((512, 4), (1024, 28), (1536, 50)):
        shape, scope = Shape(side, side, 1, "png"), {"param": {"num_inference_steps": steps}}
        ranges = ranges_of(contract, contract.models["dev"], scope, shape)
        plan = draw_plan(contract.models["dev"], mint=Mint(1), parts=(1,), scope=scope, ranges=ranges)
        assert plan.phases[1] == int(law.at(Sample(side, side, steps, None, 0.0)))
    assert span.strength is None
