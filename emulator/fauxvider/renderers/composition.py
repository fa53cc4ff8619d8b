"""Abstract pictures from bytes: a palette by the theme, a layout by the rest of the input.

Everything is flat colour, so files are small and encode fast; curved edges are smoothed by cached
masks or by drawing at twice the size. The same bytes give the same pixels in every thread.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias, TypeVar

from PIL import Image, ImageDraw

__all__ = ["Draw", "compose"]

T = TypeVar("T")
Colour: TypeAlias = tuple[int, int, int]

# Ground first, then a dark, then the voices. All are kept apart in lightness, so that shapes read.
_PALETTES: tuple[tuple[str, ...], ...] = (
    ("f2e8d5", "22333b", "c8553d", "f28f3b", "588b8b", "ffd5c2"),
    ("faf3e0", "1d3557", "e63946", "457b9d", "a8dadc", "f4a261"),
    ("0f1a2b", "f6f1e7", "e4572e", "f3a712", "29a19c", "5b7db1"),
    ("fdf0d5", "003049", "c1121f", "669bbc", "f4b942", "780000"),
    ("e9e4d8", "2b2d42", "8d99ae", "ef233c", "edb88b", "4f6d7a"),
    ("1b1b2f", "f5e6ca", "e43f5a", "1f6e8c", "ffb26b", "7b5ea7"),
    ("f7f4ea", "283618", "606c38", "dda15e", "bc6c25", "a3b18a"),
    ("fff4e6", "3d2c4e", "ff6b6b", "ffa94d", "845ec2", "4ecdc4"),
    ("eef2f3", "14213d", "fca311", "4a7c9d", "d9534f", "9fb8ad"),
    ("12263a", "f4ece1", "06bcc1", "f4d1ae", "c5432f", "3a6ea5"),
    ("f9e9dc", "402e32", "d1495b", "edae49", "00798c", "66a182"),
    ("efe9f4", "2e2345", "7a5c99", "f29ca3", "f7cb9b", "5893a8"),
    ("f4f1de", "3d405b", "e07a5f", "81b29a", "f2cc8f", "5f797b"),
    ("10221b", "efe6c8", "d98324", "5c946e", "a63c06", "c3c88b"),
    ("fbeae5", "31263e", "b23a48", "fcb9b2", "8c2f39", "4b8f8c"),
    ("e8eddf", "242423", "f5cb5c", "3a7d7c", "cf5c36", "8fa998"),
)


class Draw:
    """An endless run of small choices, made from SHAKE-256 of its name."""

    def __init__(self, *names: str) -> None:
        text = "\x00".join(names).encode("utf-8", "surrogatepass")
        self._state = hashlib.shake_256(text)
        self._bytes = self._state.digest(2048)
        self._at = 0

    def below(self, count: int) -> int:
        """Give an integer from 0 to ``count`` - 1."""
        if self._at + 4 > len(self._bytes):
            self._bytes = self._state.digest(2 * len(self._bytes))
        value = int.from_bytes(self._bytes[self._at : self._at + 4], "big")
        self._at += 4
        return value * count >> 32

    def unit(self) -> float:
        """Give a number from 0 up to 1."""
        return self.below(1 << 24) / (1 << 24)

    def between(self, low: float, high: float) -> float:
        """Give a number from ``low`` up to ``high``."""
        return low + (high - low) * self.unit()

    def chance(self, share: float) -> bool:
        """Say yes in that share of cases."""
        return self.unit() < share

    def pick(self, items: Sequence[T]) -> T:
        """Give one of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Give the items in another order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(len(rest))]


def compose(theme: Draw, layout: Draw, detail: Draw, size: tuple[int, int]) -> Image.Image:
    """Give an RGB picture: ``theme`` decides colours, ``layout`` the composition, ``detail`` its accents."""
    ground, dark, *voices = (_rgb(text) for text in theme.pick(_PALETTES))
    colours = [ground, dark, *theme.shuffled(voices)]
    style = layout.pick(_STYLES)
    return style(colours, layout, detail, size)


def _rgb(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text)
    return (red, green, blue)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


# --- mosaic: a quad-tree of tiles, each with one motif -------------------------------------------


def _mosaic(colours: list[Colour], layout: Draw, detail: Draw, size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, colours[0])
    across = layout.pick((3, 4, 4, 5))
    side = max(4, math.ceil(max(size) / across / 4) * 4)
    columns, rows = (math.ceil(length / side) for length in size)
    left, top = (-(side * count - length) // 2 for count, length in zip((columns, rows), size, strict=True))
    tiles = [(left + column * side, top + row * side, side) for row in range(rows) for column in range(columns)]
    split = layout.between(0.3, 0.6)
    while tiles:
        x, y, edge = tiles.pop()
        if edge > max(3, side // 4) and layout.chance(split if edge == side else split / 2):
            half = edge // 2
            tiles += [(x, y, half), (x + half, y, half), (x, y + half, half), (x + half, y + half, half)]
        else:
            back, front, third = layout.shuffled(colours)[:3]
            _tile(image, layout, (x, y, edge), (back, third if detail.chance(0.08) else front, third))
    return image


def _tile(image: Image.Image, layout: Draw, at: tuple[int, int, int], colours: tuple[Colour, ...]) -> None:
    x, y, side = at
    back, front, third = colours
    image.paste(back, (x, y, x + side, y + side))
    motif, turn = layout.pick(_WEIGHTED), layout.below(4)
    if motif == "plain":
        return
    if motif == "stripes":
        _stripes(image, at, front, count=layout.pick((2, 3, 4)), upright=turn % 2 == 0)
        return
    _stamp(image, _mask(motif, turn, min(side, _MASK_SIDE)), front, at)
    if motif in ("disc", "ring", "arch", "quarter") and layout.chance(0.45):
        inner = side // 2 if motif in ("disc", "arch") else side // 4
        where = (x + (side - inner) // 2, y + (side - inner) // 2, inner)
        if motif == "quarter":
            where = (x + (side - inner) * (turn in (1, 2)), y + (side - inner) * (turn in (2, 3)), inner)
        small = motif if motif == "quarter" else "disc"
        _stamp(image, _mask(small, turn, min(inner, _MASK_SIDE)), third, where)


def _stripes(image: Image.Image, at: tuple[int, int, int], colour: Colour, *, count: int, upright: bool) -> None:
    x, y, side = at
    for number in range(count):
        low, high = (round(side * (2 * number + add) / (2 * count)) for add in (0, 1))
        box = (x + low, y, x + high, y + side) if upright else (x, y + low, x + side, y + high)
        image.paste(colour, box)


def _stamp(image: Image.Image, mask: Image.Image, colour: Colour, at: tuple[int, int, int]) -> None:
    x, y, side = at
    if side > 0:
        whole = mask if mask.width == side else mask.resize((side, side), Image.Resampling.BILINEAR)
        image.paste(colour, (x, y, x + side, y + side), whole)


_WEIGHTED = ("quarter", "quarter", "quarter", "half", "leaf", "leaf", "disc", "ring", "arch", "triangle",
             "triangle", "stripes", "plain")  # fmt: skip
_MASK_SIDE = 256


@lru_cache(maxsize=160)
def _mask(motif: str, turn: int, side: int) -> Image.Image:
    big = max(1, side) * 4
    mask = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(mask)
    if motif == "disc":
        pen.ellipse((big * 0.08, big * 0.08, big * 0.92, big * 0.92), fill=255)
    elif motif == "ring":
        pen.ellipse((big * 0.08, big * 0.08, big * 0.92, big * 0.92), fill=255)
        pen.ellipse((big * 0.28, big * 0.28, big * 0.72, big * 0.72), fill=0)
    elif motif == "quarter":
        pen.ellipse((-big, -big, big, big), fill=255)
    elif motif == "half":
        pen.ellipse((0, -big / 2, big, big / 2), fill=255)
    elif motif == "arch":
        pen.ellipse((0, 0, big, big), fill=255)
        pen.rectangle((0, big / 2, big, big), fill=255)
    elif motif == "leaf":
        other = Image.new("L", (big, big), 0)
        ImageDraw.Draw(other).ellipse((0, 0, 2 * big, 2 * big), fill=255)
        pen.ellipse((-big, -big, big, big), fill=255)
        mask.paste(0, (0, 0, big, big), other.point(_NEGATIVE))
    else:
        pen.polygon([(0, 0), (big, 0), (0, big)], fill=255)
    return mask.reduce(4).rotate(-90 * turn)


_NEGATIVE = [255 - level for level in range(256)]


# --- ridges: a sky in bands, a sun, layers of hills ----------------------------------------------


def _ridges(colours: list[Colour], layout: Draw, detail: Draw, size: tuple[int, int]) -> Image.Image:
    ground, dark, *voices = colours
    night = sum(ground) < sum(dark)
    far, near = (voices[0], ground) if night else (ground, dark)
    image, scale = _canvas(size, far)
    width, height = image.size
    pen = ImageDraw.Draw(image)
    horizon = layout.between(0.42, 0.6)
    bands = layout.pick((4, 5, 7))
    for number in range(bands):
        top = height * horizon * number / bands
        pen.rectangle((0, top, width, height), fill=_mix(voices[1], far, (number + 1) / bands))
    radius = min(width, height) * layout.between(0.09, 0.19)
    x, y = width * layout.between(0.2, 0.8), height * layout.between(0.16, horizon)
    for ring in (2.2, 1.6):
        if layout.chance(0.6):
            _disc(pen, x, y, radius * ring, _mix(far, voices[2], 0.5 - ring / 6))
    _disc(pen, x, y, radius, voices[2])
    for _ in range(detail.below(6)):
        spot = (width * detail.unit(), height * horizon * detail.unit() * 0.8)
        _disc(pen, *spot, max(1.0, min(width, height) * detail.between(0.002, 0.006)), voices[3])
    layers = layout.pick((4, 5, 6))
    for number in range(layers):
        share = (number + 1) / layers
        shade = _mix(_mix(far, voices[3], 0.65), near, share**1.2)
        base = horizon + (1 - horizon) * number / layers
        _ridge(pen, layout, (width, height), base=base, rise=0.16 - 0.08 * share, colour=shade)
    return image.reduce(scale) if scale > 1 else image


def _ridge(
    pen: ImageDraw.ImageDraw, layout: Draw, size: tuple[int, int], *, base: float, rise: float, colour: Colour
) -> None:
    width, height = size
    waves = [(layout.between(0.5, 1.0) / n, n * layout.between(0.7, 1.3), layout.unit()) for n in (1, 2, 3, 5)]
    points = [(0.0, float(height))]
    for step in range(97):
        x = step / 96
        lift = sum(a * math.sin(math.tau * (f * x + p)) for a, f, p in waves) / 2
        points.append((x * width, (base - rise * lift) * height))
    pen.polygon([*points, (float(width), float(height))], fill=colour)


# --- orbits: rings about a point, discs on them --------------------------------------------------


def _orbits(colours: list[Colour], layout: Draw, detail: Draw, size: tuple[int, int]) -> Image.Image:
    ground, dark, *voices = colours
    image, scale = _canvas(size, ground)
    width, height = image.size
    pen = ImageDraw.Draw(image)
    x, y = width * layout.pick((0.0, 0.3, 0.5, 0.72, 1.0)), height * layout.pick((0.0, 0.4, 0.55, 1.0))
    reach = max(math.hypot(x - a, y - b) for a in (0, width) for b in (0, height))
    rings = layout.pick((5, 6, 7, 9))
    for number in range(rings, 0, -1):
        radius = reach * (number / rings) ** layout.between(0.95, 1.05)
        colour = layout.pick((ground, ground, dark, *voices))
        _disc(pen, x, y, radius, colour)
        if layout.chance(0.55):
            start = layout.below(360)
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.pieslice(box, start, start + layout.pick((45, 60, 90, 120)), fill=layout.pick(voices))
    _disc(pen, x, y, reach / rings * layout.between(0.35, 0.8), layout.pick((dark, *voices)))
    for _ in range(layout.pick((3, 4, 6))):
        radius, angle = reach * layout.between(0.15, 0.95), math.tau * layout.unit()
        spot = (x + radius * math.cos(angle), y + radius * math.sin(angle))
        body = min(width, height) * layout.between(0.02, 0.09)
        _disc(pen, *spot, body, layout.pick((ground, dark, *voices)))
        if detail.chance(0.5):
            _disc(pen, spot[0] - body * 0.2, spot[1] - body * 0.2, body * 0.45, detail.pick((ground, dark, *voices)))
    return image.reduce(scale) if scale > 1 else image


def _canvas(size: tuple[int, int], colour: Colour) -> tuple[Image.Image, int]:
    # Smooth edges cost 8 ms at 1024x1024; there the eye hardly misses them.
    scale = 2 if size[0] * size[1] <= 600_000 else 1
    return Image.new("RGB", (size[0] * scale, size[1] * scale), colour), scale


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


_Style: TypeAlias = Callable[[list[Colour], Draw, Draw, tuple[int, int]], Image.Image]
_STYLES: tuple[_Style, ...] = (_mosaic, _mosaic, _ridges, _orbits)
