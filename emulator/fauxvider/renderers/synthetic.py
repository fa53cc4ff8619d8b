"""The renderer that needs nothing but Pillow: real files, with pictures made from the input's digest."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.renderers.codec import check_size, decode, encode, fit
from fauxvider.renderers.composition import Draw, compose
from fauxvider.renderers.metadata import read_metadata, stamp

__all__ = ["SyntheticRenderer", "file_metadata", "read_metadata", "stamped"]

# How far an edit without a strength setting goes: its source stays plain to see.
_REFERENCE_STRENGTH = 0.55


class SyntheticRenderer:
    """Makes pictures in milliseconds. Safe in any number of threads: it keeps no state."""

    name = "synthetic"

    def render(self, recipe: Recipe) -> bytes:
        """Give the finished file. CPU-bound. Raises RenderError for a size or a source it cannot do."""
        check_size(recipe.width, recipe.height)
        return stamped(encode(_picture(recipe), recipe.format, recipe.quality), recipe)


def stamped(data: bytes, recipe: Recipe) -> bytes:
    """Give a recipe's file with the metadata that its recipe asks for."""
    return stamp(data, file_metadata(recipe, SyntheticRenderer.name)) if recipe.metadata else data


def file_metadata(recipe: Recipe, renderer: str) -> dict[str, object]:
    """Say what every renderer writes into its files."""
    return {
        "run": recipe.run_id,
        "provider": recipe.provider,
        "model": recipe.model,
        "renderer": renderer,
        "size": f"{recipe.width}x{recipe.height}",
        "number": recipe.number,
        "seed": recipe.seed,
        "prompt_sha256": recipe.prompt_sha256,
    }


def _picture(recipe: Recipe) -> Image.Image:
    size = (recipe.width, recipe.height)
    strength = _strength(recipe)
    if strength == 0:
        return _base(recipe.sources, size)
    image = _composition(recipe, size)
    if strength < 1:
        image = Image.blend(_base(recipe.sources, size), image, strength)
    _write_label(image, recipe)
    return image


def _strength(recipe: Recipe) -> float:
    if not recipe.sources:
        return 1.0
    if recipe.strength is None:
        return _REFERENCE_STRENGTH
    return min(1.0, max(0.0, recipe.strength))


def _composition(recipe: Recipe, size: tuple[int, int]) -> Image.Image:
    # Neither strength nor the sources are in these names: what an edit moves towards must stand still.
    words = (recipe.model, recipe.prompt, recipe.negative, str(recipe.seed), str(recipe.number))
    detail = Draw("detail", *words, repr(recipe.steps), repr(recipe.guidance))
    return compose(Draw("theme", recipe.model, recipe.prompt), Draw("layout", *words), detail, size)


def _base(sources: tuple[SourceImage, ...], size: tuple[int, int]) -> Image.Image:
    """Give what an edit starts from: its source, or a strip of each of several."""
    pictures = [_source(source, size) for source in sources]
    image = pictures[0]
    for number, other in enumerate(pictures[1:], start=1):
        left, right = (size[0] * edge // len(pictures) for edge in (number, number + 1))
        if right > left:
            image.paste(other.crop((left, 0, right, size[1])), (left, 0))
    return image


def _source(source: SourceImage, size: tuple[int, int]) -> Image.Image:
    if source.kind == "bytes":
        return fit(decode(source.data, near=size), size)
    theme, layout, detail = (Draw(part, "stand-in", source.label) for part in ("theme", "layout", "detail"))
    return compose(theme, layout, detail, size)


def _write_label(image: Image.Image, recipe: Recipe) -> None:
    """Write model, prompt and seed into the lower left corner, where there is room for it."""
    width, height = image.size
    if width < 160 or height < 96:
        return
    points = max(11, min(width, height) // 46)
    font, margin, pad = _font(points), points, points // 2
    facts = f"{recipe.model}  seed {recipe.seed}  {width}x{height}"
    if recipe.number > 1:
        facts += f"  no. {recipe.number}"
    room = width - 2 * (margin + pad)
    lines = [_shortened(font, _latin(text), room) for text in (recipe.prompt or "(no prompt)", facts)]
    lead = points * 5 // 4
    wide = int(max(font.getlength(line) for line in lines)) + 2 * pad
    box = (margin, height - margin - 2 * lead - pad * 3 // 2, margin + wide, height - margin)
    plate = image.crop(box)
    image.paste(Image.blend(plate, Image.new("RGB", plate.size, (14, 16, 22)), 0.72), box)
    pen = ImageDraw.Draw(image)
    pen.text((box[0] + pad, box[1] + pad // 2), lines[0], font=font, fill=(255, 255, 255))
    pen.text((box[0] + pad, box[1] + pad // 2 + lead), lines[1], font=font, fill=(206, 210, 218))


def _latin(text: str) -> str:
    """Give the text in characters that the built-in font has; the others become escapes."""
    line = " ".join(text[:200].split())
    return "".join(c if " " <= c <= "~" else c.encode("ascii", "backslashreplace").decode() for c in line)


def _shortened(font: ImageFont.FreeTypeFont, text: str, room: int) -> str:
    if font.getlength(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle] + "...") <= room else (low, middle - 1)
    return text[:low].rstrip() + "..."


@lru_cache(maxsize=8)
def _font(points: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=points)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")  # every wheel has it
    return font
