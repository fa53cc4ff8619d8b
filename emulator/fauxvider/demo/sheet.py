"""The gallery as one picture."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fauxvider.demo.gallery import Gallery, Row, Tile

__all__ = ["write_sheet"]

_TILE, _GAP, _MARGIN = 320, 28, 48
_PAPER, _INK, _FAINT, _LINE = (251, 250, 247), (28, 36, 48), (78, 86, 98), (221, 216, 204)
_HEAD, _ROW_HEAD, _CAPTION, _ROW_GAP = 116, 48, 136, 24
_ROW = _ROW_HEAD + _TILE + _CAPTION + _ROW_GAP


def write_sheet(gallery: Gallery, path: Path) -> None:
    """Write the sheet: a row for the models, one for each series."""
    columns = max(len(row.tiles) for row in gallery.rows)
    width = 2 * _MARGIN + columns * _TILE + (columns - 1) * _GAP
    height = _MARGIN + _HEAD + _ROW * len(gallery.rows) + _MARGIN // 2
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), "Real pipelines behind five endpoints", font=_font(40), fill=_INK)
    lead = gallery.machine
    if lead.startswith("tiny "):
        lead += ": random weights make no art, but source, strength, seed, prompt and guidance show"
    pen.text((_MARGIN, _MARGIN + 56), lead, font=_font(20), fill=_FAINT)
    for number, row in enumerate(gallery.rows):
        _draw_row(sheet, pen, row, _MARGIN + _HEAD + number * _ROW)
    sheet.save(path)


def _draw_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Row, top: int) -> None:
    pen.line((_MARGIN, top - 12, sheet.width - _MARGIN, top - 12), fill=_LINE, width=2)
    pen.text((_MARGIN, top), row.title, font=_font(24), fill=_INK)
    for number, tile in enumerate(row.tiles):
        _draw_tile(sheet, pen, tile, (_MARGIN + number * (_TILE + _GAP), top + _ROW_HEAD))


def _draw_tile(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, place: tuple[int, int]) -> None:
    left, top = place
    with Image.open(io.BytesIO(tile.data)) as picture:
        shown = picture.convert("RGB").resize((_TILE, _TILE), Image.Resampling.LANCZOS)
    corners = Image.new("L", (_TILE * 2, _TILE * 2))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, _TILE * 2 - 1, _TILE * 2 - 1), 16, fill=255)
    sheet.paste(shown, place, corners.resize((_TILE, _TILE), Image.Resampling.LANCZOS))
    pen.text((left, top + _TILE + 10), tile.title, font=_font(21), fill=_INK)
    for number, line in enumerate((*tile.lines, tile.away)):
        pen.text((left, top + _TILE + 40 + 23 * number), line, font=_font(17), fill=_FAINT)


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=points)
