from __future__ import annotations

import math
from typing import Any

import pytest
from PIL import Image

from fauxvider.renderers.diffusers.parameters import PIPELINES, effective_steps
from fauxvider.renderers.diffusers.protocol import Failed
from fauxvider.renderers.synthetic import read_metadata


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(("form", "size"), [("png", (256, 256)), ("jpeg", (250, 130)), ("webp", (100, 333))])
def test_size_and_format_are_exactly_as_asked_for(
    bench: Any, kit: Any, pipeline: str, form: str, size: tuple[int, int]
) -> None:
    recipe = kit.recipe(pipeline, width=size[0], height=size[1], format=form, strength=0.7)
    end = bench.picture(recipe)
    image = kit.opened(end.data)
    assert (image.size, image.format) == (size, form.upper())
    assert end.report.size == size
    assert all(side % 16 == 0 for side in end.report.rendered)
    assert end.report.execution_ms > 0
    assert end.report.queued_ms >= 0


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_metadata_says_how_a_picture_was_made(bench: Any, kit: Any, pipeline: str) -> None:
    recipe = kit.recipe(pipeline)
    end = bench.picture(recipe)
    fields = read_metadata(end.data)
    assert fields is not None
    assert fields["run"] == "run-1"
    assert fields["renderer"] == "diffusers"
    assert fields["weights"] == "tiny"
    assert fields["prompt_sha256"] == recipe.prompt_sha256
    assert fields["steps"] == end.report.steps > 0
    assert read_metadata(bench.picture(kit.recipe(pipeline, metadata=False)).data) is None


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_same_recipe_gives_the_same_pixels(bench: Any, kit: Any, pipeline: str) -> None:
    recipe = kit.recipe(pipeline)
    assert kit.same_pixels(bench.picture(recipe).data, bench.picture(recipe).data)


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(
    "changes",
    [{"seed": 43}, {"prompt": "a blue whale under the moon"}, {"guidance": 9.0}, {"number": 2}, {"steps": 20}],
    ids=lambda changes: next(iter(changes)),
)
def test_every_parameter_reaches_the_model(bench: Any, kit: Any, pipeline: str, changes: dict[str, Any]) -> None:
    base, changed = (bench.picture(kit.recipe(pipeline, **more)) for more in ({}, changes))
    if "guidance" in changes and not PIPELINES[pipeline].guidance:
        assert kit.same_pixels(base.data, changed.data)
        assert "guidance" in changed.report.unapplied
    else:
        assert kit.distance(base.data, changed.data) > 0.1
        assert changed.report.unapplied == ()


@pytest.mark.parametrize("pipeline", ["flux-kontext", "flux2", "flux2-klein", "flux-img2img"])
def test_another_reference_gives_another_picture(bench: Any, kit: Any, pipeline: str) -> None:
    image = kit.opened(kit.source().data).transpose(Image.Transpose.ROTATE_90)
    path = kit.recipe(pipeline).sources[0]
    turned = type(path)("bytes", _png(image))
    one, other = (bench.picture(kit.recipe(pipeline, sources=(source,))) for source in (path, turned))
    assert kit.distance(one.data, other.data) > 0.1
    stand_in = bench.picture(kit.recipe(pipeline, sources=(type(path)("stand_in", label="https://a.example/x"),)))
    assert kit.distance(one.data, stand_in.data) > 0.1


def _png(image: Image.Image) -> bytes:
    from io import BytesIO

    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_unapplied_parameters_are_named(bench: Any, kit: Any) -> None:
    def unapplied(pipeline: str, **changes: Any) -> tuple[str, ...]:
        return bench.picture(kit.recipe(pipeline, steps=1, **changes)).report.unapplied

    assert unapplied("flux", strength=0.5, negative="rain", sources=(kit.source(),)) == (
        "negative",
        "strength",
        "sources",
    )
    assert unapplied("flux2", strength=0.5) == ("strength",)
    assert unapplied("flux2-klein", strength=0.5, guidance=3.0) == ("guidance", "strength")
    assert unapplied("flux-img2img", strength=0.5, guidance=3.0) == ()
    assert unapplied("flux-kontext", sources=(kit.source(), kit.source())) == ("sources",)


def test_an_edit_moves_away_from_its_source_as_strength_grows(bench: Any, kit: Any) -> None:
    start = kit.opened(kit.source().data)
    away = []
    for strength in (0.1, 0.5, 0.9):
        end = bench.picture(kit.recipe("flux-img2img", strength=strength, steps=20))
        assert end.report.steps == effective_steps(20, strength) == 20 - int(20 - 20 * strength)
        away.append(kit.distance(start, end.data))
    assert away[0] < away[1] < away[2]
    still = bench.picture(kit.recipe("flux-img2img", strength=0.0))
    assert kit.distance(start, still.data) == 0
    assert still.report.steps == 0


def test_references_of_one_to_four_are_taken_and_bad_ones_are_the_clients_fault(bench: Any, kit: Any) -> None:
    for pipeline in ("flux2", "flux2-klein"):
        for count in (1, 2, 4):
            bench.picture(kit.recipe(pipeline, steps=1, sources=(kit.source(),) * count))
        for sources in (
            (kit.source(),) * 5,
            (kit.source(63, 200),),
            (kit.source(64 * 9, 64),),
            (type(kit.source())("bytes", b"no picture"),),
        ):
            end = bench.end(kit.recipe(pipeline, steps=1, sources=sources))
            assert isinstance(end, Failed)
            assert end.kind == "invalid"
    end = bench.end(kit.recipe("flux-img2img", sources=()))
    assert isinstance(end, Failed)
    assert end.kind == "invalid"


def test_strange_prompts_and_extreme_numbers_are_rendered(bench: Any, kit: Any) -> None:
    for pipeline in PIPELINES:
        for prompt in ("", "x" * 5000, "кот 猫 🐈 \x00 {braces} <|im_end|> [IMG]", "\ud800"):
            bench.picture(kit.recipe(pipeline, steps=1, prompt=prompt, width=64, height=64))
    bench.picture(kit.recipe(seed=2**64 - 1, steps=1))
    bench.picture(kit.recipe(seed=2**64 - 1, number=3, steps=1))
    bench.picture(kit.recipe(guidance=0.0, steps=1))
    bench.picture(kit.recipe(width=1, height=1, steps=1))
    assert bench.end(kit.recipe(seed=2**64)).kind == "invalid"


def test_a_true_1024_square(bench: Any, kit: Any) -> None:
    end = bench.picture(kit.recipe(width=1024, height=1024, steps=4))
    assert end.report.rendered == (1024, 1024)


def test_more_steps_take_longer(bench: Any, kit: Any) -> None:
    best = {4: math.inf, 50: math.inf}
    for seed in range(15):  # as often as a busy machine needs to show its best
        for steps in (4, 50):
            best[steps] = min(best[steps], bench.picture(kit.recipe(steps=steps, seed=seed)).report.execution_ms)
        if seed >= 2 and best[50] > 1.5 * best[4]:
            break
    assert best[50] > 1.5 * best[4]
