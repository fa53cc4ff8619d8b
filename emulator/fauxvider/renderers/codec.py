"""Pictures in and out of files, with Pillow."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageOps

from fauxvider.engine.outputs import sniff
from fauxvider.engine.recipe import PictureFormat
from fauxvider.errors import RenderError

__all__ = ["MAX_OUTPUT_SIDE", "MAX_SOURCE_PIXELS", "black", "check_size", "decode", "encode", "fit"]

MAX_SOURCE_PIXELS = 32_000_000
MAX_OUTPUT_SIDE = 4096
_QUALITY: dict[PictureFormat, int] = {"png": 100, "jpeg": 90, "webp": 80}
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def check_size(width: int, height: int) -> None:
    """Raise RenderError for a picture that is empty or larger than 4096x4096."""
    if not (1 <= width <= MAX_OUTPUT_SIDE and 1 <= height <= MAX_OUTPUT_SIDE):
        raise RenderError(f"a picture of {width}x{height} cannot be made: 1x1 to 4096x4096 can")


def encode(image: Image.Image, form: PictureFormat, quality: int | None) -> bytes:
    """Give the file's bytes: no metadata, fast settings, the same bytes for the same pixels."""
    out = BytesIO()
    level = _QUALITY[form] if quality is None else min(100, max(0, quality))
    if form == "png":
        # Level 1 costs a third of the default's time and these pictures are flat: the file stays small.
        image.save(out, "PNG", compress_level=1)
    elif form == "jpeg":
        image.save(out, "JPEG", quality=max(1, level))  # libjpeg has no 0
    else:
        image.save(out, "WEBP", quality=level, method=0)
    return out.getvalue()


def black(size: tuple[int, int], form: PictureFormat, quality: int | None) -> bytes:
    """Give the file of an all-black picture."""
    return encode(Image.new("RGB", size), form, quality)


def decode(data: bytes, near: tuple[int, int] | None = None) -> Image.Image:
    """Give the RGB picture of a PNG, JPEG, WebP or GIF file (its first frame, upright, on white).

    ``near`` is the size wanted in the end; a much larger JPEG is then decoded at a fraction of its
    size. Raises RenderError for any other file, for more than 32 megapixels, and for broken data.
    """
    header = sniff(data)
    if header is None:
        raise RenderError("a source picture is not a PNG, JPEG, WebP or GIF file")
    _check_pixels(*header[1:])
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            _check_pixels(image.width, image.height)
            if near is not None:
                image.draft("RGB", near)
            upright = ImageOps.exif_transpose(image)
            return _flat(upright)
    except RenderError:
        raise
    except Exception as error:
        # A decoder given hostile bytes raises nearly anything, DecompressionBombWarning included.
        raise RenderError(f"a source picture cannot be decoded: {type(error).__name__}") from error


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Give the picture at exactly that size, stretched where the shapes differ, as the pipelines do."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _check_pixels(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_SOURCE_PIXELS:
        raise RenderError(f"a source picture of {width}x{height} is not between 1 pixel and 32 megapixels")


def _flat(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGB", layer.size, (255, 255, 255))
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    return image.convert("RGB")
