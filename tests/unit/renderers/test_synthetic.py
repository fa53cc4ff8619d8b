from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from fauxvider.engine.outputs import sniff
from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.errors import RenderError
from fauxvider.renderers.codec import decode, encode
from fauxvider.renderers.synthetic import SyntheticRenderer, read_metadata

FORMATS = ("png", "jpeg", "webp")
RENDERER = SyntheticRenderer()


def recipe(**changes: Any) -> Recipe:
    return replace(
        Recipe(
            provider="acme",
            model="flux-1-dev",
            pipeline="flux",
            width=256,
            height=192,
            format="png",
            quality=None,
            prompt="a red fox in the snow",
            negative="",
            seed=42,
            steps=28,
            guidance=3.5,
            strength=None,
            sources=(),
            number=1,
            run_id="run-1",
        ),
        **changes,
    )


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def distance(one: Image.Image, other: Image.Image) -> float:
    means = ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean
    return sum(means) / len(means)


def source(width: int = 300, height: int = 200, form: str = "png") -> SourceImage:
    image = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    out = BytesIO()
    image.save(out, form.upper())
    return SourceImage("bytes", out.getvalue())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [(256, 192), (1, 1), (17, 4096), (1000, 33), (161, 97)])
def test_gives_exactly_the_size_and_format_asked_for(form: str, size: tuple[int, int]) -> None:
    data = RENDERER.render(recipe(format=form, width=size[0], height=size[1]))
    image = opened(data)
    assert (image.size, image.format, image.mode) == (size, form.upper(), "RGB")
    assert sniff(data) == (form, *size)


@settings(max_examples=60, deadline=None)
@given(
    prompt=st.text(max_size=300),
    seed=st.integers(0, 2**64 - 1),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    form=st.sampled_from(FORMATS),
)
def test_any_prompt_and_seed_give_a_picture(prompt: str, seed: int, width: int, height: int, form: Any) -> None:
    data = RENDERER.render(recipe(prompt=prompt, seed=seed, width=width, height=height, format=form))
    assert opened(data).size == (width, height)
    fields = read_metadata(data)
    assert fields is not None
    assert fields["seed"] == seed


def test_a_lone_surrogate_in_the_prompt_is_drawn_too() -> None:
    assert opened(RENDERER.render(recipe(prompt="\ud800 fox"))).size == (256, 192)


def test_the_same_input_gives_the_same_pixels_and_only_input_counts() -> None:
    first = opened(RENDERER.render(recipe())).tobytes()
    assert opened(RENDERER.render(recipe(run_id="run-2", provider="other"))).tobytes() == first
    assert RENDERER.render(recipe()) == RENDERER.render(recipe())


@pytest.mark.parametrize(
    "changes",
    [{"prompt": "a blue whale"}, {"seed": 43}, {"model": "flux-2-dev"}, {"negative": "snow"}, {"number": 2}],
)
def test_pictures_differ_visibly(changes: dict[str, Any]) -> None:
    one, other = opened(RENDERER.render(recipe())), opened(RENDERER.render(recipe(**changes)))
    assert distance(one, other) > 10


def test_many_seeds_give_as_many_pictures() -> None:
    pictures = {opened(RENDERER.render(recipe(seed=seed, width=64, height=64))).tobytes() for seed in range(200)}
    assert len(pictures) == 200


def test_threads_do_not_disturb_each_other() -> None:
    recipes = [recipe(seed=seed, format=FORMATS[seed % 3]) for seed in range(24)]
    alone = [RENDERER.render(one) for one in recipes]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(RENDERER.render, recipes)) == alone


def test_an_edit_moves_away_from_its_source_as_strength_grows() -> None:
    given_source = source()
    start = decode(given_source.data).resize((256, 192), Image.Resampling.BICUBIC)
    strengths = [0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
    for form, least in (("png", 0.0), ("jpeg", 3.0), ("webp", 3.0)):
        away = [
            distance(start, opened(RENDERER.render(recipe(format=form, sources=(given_source,), strength=strength))))
            for strength in strengths
        ]
        assert away[0] <= least
        assert all(one < other for one, other in pairwise(away))
        assert away[-1] > 30


def test_strength_zero_is_the_source_itself() -> None:
    exact = source(256, 192)
    data = RENDERER.render(recipe(sources=(exact,), strength=0.0))
    assert opened(data).tobytes() == decode(exact.data).tobytes()


def test_each_source_shows_in_an_edit_without_a_strength() -> None:
    one, other = SourceImage("stand_in", label="https://a.example/1.png"), source()
    pictures = [(), (one,), (other,), (one, other), (other, one), (one, other, one, other)]
    drawn = [opened(RENDERER.render(recipe(sources=sources))) for sources in pictures]
    for index, image in enumerate(drawn):
        assert all(distance(image, later) > 2 for later in drawn[index + 1 :])


def test_a_stand_in_is_decided_by_its_label() -> None:
    def drawn(label: str) -> bytes:
        stand_in = SourceImage("stand_in", label=label)
        return opened(RENDERER.render(recipe(sources=(stand_in,), strength=0.0))).tobytes()

    assert drawn("https://a.example/1.png") == drawn("https://a.example/1.png") != drawn("https://a.example/2.png")


def test_quality_is_honoured() -> None:
    for form in ("jpeg", "webp"):
        sizes = [
            len(RENDERER.render(recipe(format=form, quality=quality, sources=(source(),), strength=0.5)))
            for quality in (0, 10, 50, 95)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1] / 2


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_can_be_read_with_and_without_pillow(form: str) -> None:
    data = RENDERER.render(recipe(format=form, prompt="кот"))
    fields = read_metadata(data)
    assert fields == {
        "run": "run-1",
        "provider": "acme",
        "model": "flux-1-dev",
        "renderer": "synthetic",
        "size": "256x192",
        "number": 1,
        "seed": 42,
        "prompt_sha256": recipe(prompt="кот").prompt_sha256,
    }
    image = opened(data)
    text = image.info["fauxvider"] if form == "png" else image.getexif()[0x010E]
    assert json.loads(text) == fields


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_can_be_turned_off(form: str) -> None:
    data = RENDERER.render(recipe(format=form, metadata=False))
    assert read_metadata(data) is None
    assert b"run-1" not in data
    assert opened(data).tobytes() == opened(RENDERER.render(recipe(format=form))).tobytes()


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\x00\x00\x00\x00WEBP"]),
)
def test_reading_garbage_finds_nothing(data: bytes, head: bytes) -> None:
    assert read_metadata(head + data) is None
    sniff(head + data)


@pytest.mark.parametrize("size", [(4097, 1), (1, 4097), (0, 10), (10, -1)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(RenderError, match="cannot be made"):
        RENDERER.render(recipe(width=size[0], height=size[1]))


def test_the_largest_size_is_made() -> None:
    assert opened(RENDERER.render(recipe(width=4096, height=4096, format="jpeg"))).size == (4096, 4096)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif"])
def test_sources_of_every_format(form: str) -> None:
    picture = source(120, 80, form)
    assert sniff(picture.data) == (form, 120, 80)
    assert decode(picture.data).size == (120, 80)
    assert opened(RENDERER.render(recipe(sources=(picture,), strength=0.5))).size == (256, 192)


def test_transparency_is_shown_on_white_and_rotation_is_undone() -> None:
    clear = BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(clear, "PNG")
    assert decode(clear.getvalue()).getpixel((0, 0)) == (255, 255, 255)
    turned, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 10)).save(turned, "JPEG", exif=exif)
    assert decode(turned.getvalue()).size == (10, 30)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a PNG"),
        (b"hello", "not a PNG"),
        (b"BM" + b"\x00" * 60, "not a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (bomb(50_000, 50_000), "32 megapixels"),
        (bomb(6000, 6000), "32 megapixels"),
        (bomb(0, 10), "not a PNG"),
        (bomb(600, 600), "cannot be decoded"),
        (encode(Image.new("RGB", (64, 64)), "jpeg", 80)[:-200], "cannot be decoded"),
        (encode(Image.new("RGB", (64, 64)), "webp", 80)[:40], "cannot be decoded"),
        (b"GIF89a\x10\x00\x10\x00", "cannot be decoded"),
    ],
)
def test_a_source_that_is_no_picture_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(RenderError, match=match):
        RENDERER.render(recipe(sources=(SourceImage("bytes", data),), strength=0.5))


def test_the_key_holds_everything_that_decides_a_pixel() -> None:
    base = recipe(sources=(source(),), strength=0.5)
    changed: list[dict[str, Any]] = [
        {"model": "m"}, {"pipeline": "p"}, {"width": 1}, {"height": 1}, {"format": "jpeg"}, {"quality": 1},
        {"prompt": "p"}, {"negative": "n"}, {"seed": 1}, {"steps": None}, {"guidance": 1.0}, {"strength": 0.4},
        {"sources": ()}, {"sources": (SourceImage("stand_in", label="x"),)}, {"number": 2},
    ]  # fmt: skip
    keys = [replace(base, **changes).key() for changes in changed]
    assert len({base.key(), *keys}) == len(changed) + 1
    same: list[dict[str, Any]] = [{"run_id": "x"}, {"provider": "x"}, {"metadata": False}]
    assert {replace(base, **changes).key() for changes in same} == {base.key()}
    assert replace(base, guidance=3.0).key() == replace(base, guidance=3).key()
