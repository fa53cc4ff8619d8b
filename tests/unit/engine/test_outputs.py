from __future__ import annotations

import io
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fauxvider.contract.model import SizeRule
from fauxvider.contract.templates import compile_template
from fauxvider.engine.outputs import MAX_SIDE, MEDIA_TYPES, SIZE_KINDS, extension_of, format_of, size_of, sniff
from support.patience import patience

SOURCES = {"cat": (1920, 1080), "zero": (0, 5)}


def template(text: str) -> Any:
    return compile_template(text, views={})


def size(rule: SizeRule, **param: Any) -> tuple[int, int]:
    return size_of(rule, {"param": param}, lambda value: SOURCES.get(value) if isinstance(value, str) else None)


FIELDS = SizeRule("fields", width=template("{param.width}"), height=template("{param.height}"))
TEXT = SizeRule("text", value=template("{param.size}"), separator="*", default=(512, 768))
TABLE = SizeRule(
    "table",
    value=template("{param.image_size}"),
    sizes={"square_hd": (1024, 1024), "portrait": (768, 1024)},
    default="portrait",
)
SOURCE = SizeRule("source", value=template("{param.image}"), default=(640, 480))
ASPECT = SizeRule(
    "aspect",
    value=template("{param.ratio}"),
    megapixels=template("{param.megapixels}"),
    multiple=16,
    match="match_input_image",
    source=template("{param.image}"),
    default="3:2",
    width=template("{param.width}"),
    height=template("{param.height}"),
)


@pytest.mark.parametrize(
    ("rule", "param", "wanted"),
    [
        (FIELDS, {"width": 512, "height": 768}, (512, 768)),
        (FIELDS, {"width": Decimal("512.0"), "height": "768"}, (512, 768)),
        (FIELDS, {"width": 512}, (512, 1024)),
        (FIELDS, {}, (1024, 1024)),
        (FIELDS, {"width": "x", "height": True}, (1024, 1024)),
        (FIELDS, {"width": -5, "height": 0}, (1024, 1024)),
        (FIELDS, {"width": 12.5, "height": 100.0}, (1024, 100)),
        (FIELDS, {"width": 10**9, "height": 1}, (MAX_SIDE, 1)),
        (SizeRule("fixed", fixed=(300, 200)), {}, (300, 200)),
        (TEXT, {"size": "1024*576"}, (1024, 576)),
        (TEXT, {"size": " 1024 * 576 "}, (1024, 576)),
        (TEXT, {"size": "1024x576"}, (512, 768)),
        (TEXT, {"size": "1024*"}, (512, 768)),
        (TEXT, {"size": "1024*576*3"}, (512, 768)),
        (TEXT, {"size": None}, (512, 768)),
        (TEXT, {"size": ["1*1"]}, (512, 768)),
        (TABLE, {"image_size": "square_hd"}, (1024, 1024)),
        (TABLE, {"image_size": "nope"}, (768, 1024)),
        (TABLE, {}, (768, 1024)),
        (TABLE, {"image_size": {"width": 3}}, (768, 1024)),
        (SOURCE, {"image": "cat"}, (1920, 1080)),
        (SOURCE, {"image": "dog"}, (640, 480)),
        (SOURCE, {"image": "zero"}, (640, 480)),
        (SOURCE, {"image": ["cat"]}, (640, 480)),
        (SOURCE, {}, (640, 480)),
        (ASPECT, {"ratio": "16:9"}, (1360, 768)),
        (ASPECT, {"ratio": "9:16", "megapixels": "1"}, (768, 1360)),
        (ASPECT, {"ratio": "1:1", "megapixels": "0.25"}, (512, 512)),
        (ASPECT, {"ratio": "1:1", "megapixels": Decimal(4)}, (2048, 2048)),
        (ASPECT, {"ratio": "21:9"}, (1568, 672)),
        (ASPECT, {"ratio": "1.91:1"}, (1408, 736)),
        (ASPECT, {"ratio": "match_input_image", "image": "cat"}, (1360, 768)),
        (ASPECT, {"ratio": "match_input_image", "image": "dog"}, (1248, 832)),
        (ASPECT, {}, (1248, 832)),
        (ASPECT, {"ratio": "auto"}, (1248, 832)),
        (ASPECT, {"ratio": "0:0"}, (1248, 832)),
        (ASPECT, {"ratio": "1:1", "megapixels": "many"}, (1024, 1024)),
        (ASPECT, {"ratio": "99999:1"}, (MAX_SIDE, 16)),
        (ASPECT, {"ratio": "custom", "width": 320, "height": 640}, (320, 640)),
        (ASPECT, {"ratio": "custom"}, (1248, 832)),
        (SizeRule("aspect", value=template("{param.ratio}"), default=(7, 9)), {}, (7, 9)),
        (SizeRule("aspect", value=template("{param.ratio}")), {"ratio": "4:1"}, (2048, 512)),
    ],
)  # fmt: skip
def test_sizes(rule: SizeRule, param: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert size(rule, **param) == wanted


BOMBS: dict[str, Any] = {
    "large": Decimal("1e999999999999"),
    "small": Decimal("1e-999999999999"),
    "nan": Decimal("NaN"),
    "signal": Decimal("sNaN"),
    "infinity": Decimal("-Infinity"),
    "float": float("inf"),
    "int": 10**6000,
    "text": "9" * 100_000,
    "exponent": "1e999999999999",
    "unicode": "\u0661\u0660\u0660",
    "tree": {"a": [1]},
}


@pytest.mark.parametrize("rule", [FIELDS, TEXT, TABLE, SOURCE, ASPECT], ids=lambda rule: rule.kind)
@pytest.mark.parametrize("bomb", BOMBS)
def test_numeric_bombs_give_a_size(rule: SizeRule, bomb: str) -> None:
    value = BOMBS[bomb]
    for param in (
        dict.fromkeys(("width", "height", "size", "image_size", "image", "ratio", "megapixels"), value),
        {"ratio": "custom", "width": value, "height": value},
        {"ratio": "1:1", "megapixels": value},
    ):
        assert all(1 <= side <= MAX_SIDE for side in size(rule, **param))


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 64), st.decimals("0.01", 16, places=2))
def test_aspect_keeps_area_and_ratio(across: int, down: int, multiple: int, megapixels: Decimal) -> None:
    rule = SizeRule("aspect", value=lambda _: f"{across}:{down}", megapixels=lambda _: megapixels, multiple=multiple)
    width, height = size(rule)
    if max(width, height) < MAX_SIDE:
        assert width % multiple == 0 == height % multiple
        exact = (megapixels * 1024 * 1024 * across / down).sqrt()
        assert abs(width - exact) <= Decimal(multiple) / 2 + 1 or width == multiple


def test_the_kinds_of_the_language() -> None:
    assert set(SIZE_KINDS) == {"fields", "text", "table", "source", "aspect", "fixed"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("png", "png"), ("JPG", "jpeg"), (" jpeg ", "jpeg"), ("WebP", "webp"), ("tiff", "png"), ("", "png"), (3, "png")],
)
def test_formats(text: Any, wanted: str) -> None:
    assert format_of(text) == wanted
    assert MEDIA_TYPES[format_of(text)] == f"image/{wanted}"
    assert extension_of(wanted, {}) == wanted
    assert extension_of("jpeg", {"jpeg": "jpg"}) == "jpg"


# --- headers


def encoded(form: str, width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, form, **options)
    return out.getvalue()


PICTURES = [
    ("png", {}),
    ("png", {"mode": "1"}),
    ("png", {"mode": "RGBA"}),
    ("jpeg", {}),
    ("jpeg", {"mode": "L"}),
    ("jpeg", {"mode": "CMYK"}),
    ("jpeg", {"progressive": True}),
    ("jpeg", {"icc_profile": b"x" * 200_000}),
    ("jpeg", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0", "comment": b"hello"}),
    ("webp", {}),
    ("webp", {"lossless": True}),
    ("webp", {"mode": "RGBA", "lossless": True}),
    ("webp", {"icc_profile": b"x" * 100}),
    ("webp", {"quality": 10}),
    ("gif", {"mode": "P"}),
]


@pytest.mark.parametrize(("form", "options"), PICTURES, ids=range(len(PICTURES)))
@pytest.mark.parametrize("size", [(1, 1), (640, 481), (3, 2000)], ids=str)
def test_sniff(form: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    data = encoded(form, *size, **options)
    assert sniff(data) == (form, *size)
    for end in range(min(len(data), 700)):
        assert sniff(data[:end]) in (None, (form, *size))
    assert sniff(data[:8]) is None


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (png(50_000, 50_000), ("png", 50_000, 50_000)),
        (png(0, 5), None),
        (png(2**31, 5), None),
        (png(5, 5)[:23], None),
        (png(5, 5).replace(b"IHDR", b"IEND"), None),
        (b"GIF89a\x05\0\x07\0", ("gif", 5, 7)),
        (b"GIF89a\x05\0\x07", None),
        (b"GIF88a\x05\0\x07\0", None),
        (b"BM" + b"\0" * 60, None),
        (b"SIMPLE  =                    T", None),
        (b"<svg width='5' height='5'/>", None),
        (b"", None),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", ("jpeg", 7, 5)),
        (b"\xff\xd8\xff\xff\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", ("jpeg", 7, 5)),
        (b"\xff\xd8\xff\xc0\x00\x03\x08\x00\x05\x00\x07\x01", None),
        (b"\xff\xd8\xff\xc4\x00\x02\xff\xc2\x00\x0b\x08\x00\x05\x00\x07\x01", ("jpeg", 7, 5)),
        (b"\xff\xd8\xff\xe0\x00\x01\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", None),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", None),
        (b"\xff\xd8\xff\xd0\xff\x01\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", ("jpeg", 7, 5)),
        (b"\xff\xd8\xff\xd8\xff\xc0\x00\x0b\x08\x00\x05\x00\x07\x01", None),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 20, None),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2e\0\0\0\0\0", None),
        (b"RIFF\0\0\0\0WEBPALPH" + b"\0" * 20, None),
        (b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 20, None),
    ],
    ids=range(25),
)
def test_headers_by_hand(data: bytes, wanted: tuple[str, int, int] | None) -> None:
    assert sniff(data) == wanted
    if wanted is not None:
        assert sniff(data + b"trailing") == wanted


HEADS = [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8",
         b"RIFF\0\0\0\0WEBPVP8 ", b"RIFF\0\0\0\0WEBPVP8L", b"RIFF\0\0\0\0WEBPVP8X"]  # fmt: skip


@settings(max_examples=2000)
@given(st.sampled_from(HEADS), st.binary(max_size=200))
@example(b"\xff\xd8\xff", b"\xff" * 100)
def test_any_bytes_are_sniffed(head: bytes, tail: bytes) -> None:
    found = sniff(head + tail)
    assert found is None or (found[0] in MEDIA_TYPES and min(found[1:]) > 0)


@settings(max_examples=500)
@given(st.sampled_from(PICTURES), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=8))
def test_damaged_pictures_are_sniffed(picture: tuple[str, dict[str, Any]], edits: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(picture[0], 40, 30, **picture[1]))
    for at, byte in edits:
        data[at % len(data)] = byte
    found = sniff(bytes(data))
    assert found is None or min(found[1:]) > 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 10_000_000,
        b"\xff\xd8" + b"\xff\xd0" * 5_000_000,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 2_500_000,
        b"\xff\xd8\xff" + b"\0" * 10_000_000,
        b"GIF89a" + b"\0" * 10_000_000,
    ],
    ids=["fill", "bare", "empty segments", "zeros", "gif"],
)
def test_huge_hostile_bytes_are_sniffed(data: bytes) -> None:
    with patience():
        assert sniff(data) is None


@pytest.mark.parametrize("segment", [b"\xff\xd0", b"\xff\xe0\x00\x02"], ids=["bare", "empty"])
def test_of_a_picture_of_endless_segments_only_the_first_are_looked_at(segment: bytes) -> None:
    frame = encoded("JPEG", 40, 30)[2:]
    assert sniff(b"\xff\xd8" + segment * 100 + frame) == ("jpeg", 40, 30)
    assert sniff(b"\xff\xd8" + segment * 1000 + frame) is None
