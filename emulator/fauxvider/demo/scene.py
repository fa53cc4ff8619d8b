"""The picture that the tour has edited: a boat before a setting sun, drawn here so that no file is needed."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["scene"]

_SKY = ((28, 34, 84), (122, 62, 120), (236, 118, 92), (252, 190, 112))
_SEA = ((196, 104, 96), (62, 50, 104), (18, 24, 60))
_HORIZON = 0.62


def scene(side: int) -> bytes:
    """Give the picture as a PNG."""
    image = Image.new("RGB", (side, side))
    horizon = int(side * _HORIZON)
    image.paste(_gradient(_SKY, side, horizon), (0, 0))
    image.paste(_gradient(_SEA, side, side - horizon), (0, horizon))
    _sun(image, side, horizon)
    pen = ImageDraw.Draw(image)

    def shape(points: list[tuple[float, float]], color: tuple[int, int, int]) -> None:
        pen.polygon([(x * side, y * side) for x, y in points], fill=color)

    shape([(0, 0.62), (0, 0.5), (0.1, 0.44), (0.2, 0.5), (0.3, 0.47), (0.42, 0.62)], (74, 44, 98))
    shape([(0.6, 0.62), (0.74, 0.52), (0.84, 0.56), (1, 0.46), (1, 0.62)], (60, 36, 88))
    shape([(0.33, 0.80), (0.68, 0.80), (0.62, 0.87), (0.39, 0.87)], (30, 20, 34))  # hull
    shape([(0.485, 0.30), (0.485, 0.775), (0.29, 0.775)], (250, 240, 222))  # sails
    shape([(0.515, 0.36), (0.515, 0.775), (0.66, 0.775)], (206, 62, 58))
    shape([(0.493, 0.27), (0.507, 0.27), (0.507, 0.80), (0.493, 0.80)], (30, 20, 34))  # mast
    shape([(0.35, 0.885), (0.65, 0.885), (0.58, 0.90), (0.42, 0.90)], (24, 22, 52))
    for x, y, wing in ((0.78, 0.2, 0.045), (0.87, 0.27, 0.035), (0.7, 0.28, 0.03)):
        dip = y + wing / 3
        shape([(x - wing, y), (x, dip), (x + wing, y), (x, dip + 0.012)], (30, 20, 34))
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _gradient(colors: tuple[tuple[int, int, int], ...], width: int, height: int) -> Image.Image:
    strip = Image.new("RGB", (1, len(colors)))
    strip.putdata(colors)
    return strip.resize((width, height), Image.Resampling.BICUBIC)


def _sun(image: Image.Image, side: int, horizon: int) -> None:
    middle, radius = side * 0.7, side * 0.13
    light = Image.new("L", image.size)
    pen = ImageDraw.Draw(light)
    pen.ellipse((middle - radius, horizon - 1.35 * radius, middle + radius, horizon + 0.65 * radius), fill=255)
    glow = light.filter(ImageFilter.GaussianBlur(side / 14)).point(lambda value: value * 0.75)
    pen.rectangle((0, horizon, side, side), fill=0)
    for line in range(9):  # the way of light on the water
        y, wide = horizon + side * (0.02 + 0.04 * line), radius * (1 - line / 11)
        pen.rectangle((middle - wide, y, middle + wide, y + side * 0.008), fill=220 - 18 * line)
    image.paste((255, 226, 150), mask=glow)
    image.paste((255, 238, 190), mask=light.filter(ImageFilter.GaussianBlur(side / 700)))
