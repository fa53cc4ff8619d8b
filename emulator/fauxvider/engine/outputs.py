"""Output pictures: their size and format from the request, and what a picture's header says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isqrt
from typing import Any, Final, Literal, TypeAlias

from fauxvider.contract.formats import text_of
from fauxvider.contract.model import Scope, SizeRule, Template

__all__ = ["MEDIA_TYPES", "SIZE_KINDS", "Format", "Size", "SourceSize", "extension_of", "format_of", "size_of", "sniff"]

Format: TypeAlias = Literal["png", "jpeg", "webp"]
Size: TypeAlias = tuple[int, int]
SourceSize: TypeAlias = Callable[[Any], Size | None]

MAX_SIDE: Final = 16_383  # of a WebP picture; the smallest limit of the three formats
_MEGAPIXEL: Final = 1 << 20  # what the field means by one megapixel of a picture: 1024 x 1024

MEDIA_TYPES: dict[str, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",  # of inputs alone
}
_FORMATS: dict[str, Format] = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "webp": "webp"}
_RATIO = re.compile(r"\s*([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*[:x/]\s*([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*")


def format_of(text: Any) -> Format:
    """Read a format's name: png, jpeg (or jpg) or webp in any case; everything else is png."""
    return _FORMATS.get(text.strip().lower(), "png") if isinstance(text, str) else "png"


def extension_of(form: str, ext: Mapping[str, str]) -> str:
    """Give the file extension of a format, by the contract's own word where it has one."""
    return ext.get(form, form)


def size_of(rule: SizeRule, scope: Scope, source_size: SourceSize) -> Size:
    """Give (width, height) in pixels of the pictures that a request asks for.

    `source_size` tells the size of an input picture named by a value of the request, or None when
    it is not known. What the request leaves open, or says unreadably, takes the rule's default.
    """
    width, height = SIZE_KINDS[rule.kind](rule, scope, source_size) or _default(rule)
    return min(max(width, 1), MAX_SIDE), min(max(height, 1), MAX_SIDE)


def _default(rule: SizeRule) -> Size:
    if isinstance(rule.default, str):
        return rule.sizes.get(rule.default) or _of_ratio(rule, _ratio(rule.default) or (1, 1), None) or rule.fixed
    return rule.default or rule.fixed


def _fixed(rule: SizeRule, _scope: Scope, _source: SourceSize) -> Size | None:
    return rule.fixed


def _fields(rule: SizeRule, scope: Scope, _source: SourceSize) -> Size | None:
    width, height = _whole(_get(rule.width, scope)), _whole(_get(rule.height, scope))
    if width is None and height is None:
        return None
    default_width, default_height = _default(rule)
    return width or default_width, height or default_height


def _text(rule: SizeRule, scope: Scope, _source: SourceSize) -> Size | None:
    value = _get(rule.value, scope)
    first, found, second = value.partition(rule.separator) if isinstance(value, str) else ("", "", "")
    width, height = _whole(first), _whole(second)
    return (width, height) if found and width and height else None


def _table(rule: SizeRule, scope: Scope, _source: SourceSize) -> Size | None:
    value = _get(rule.value, scope)
    if isinstance(value, Mapping):
        width, height = _whole(value.get("width")), _whole(value.get("height"))
        return (width, height) if width and height else None
    return rule.sizes.get(text_of(value))


def _source(rule: SizeRule, scope: Scope, source_size: SourceSize) -> Size | None:
    return _known(source_size, _get(rule.value, scope))


def _aspect(rule: SizeRule, scope: Scope, source_size: SourceSize) -> Size | None:
    word = text_of(_get(rule.value, scope))
    if word == "custom" and rule.width is not None:
        return _fields(rule, scope, source_size)
    matches = bool(rule.match) and word == rule.match
    ratio = _known(source_size, _get(rule.source, scope)) if matches else _ratio(word)
    if ratio is None:
        if not isinstance(rule.default, str):
            return None
        ratio = _ratio(rule.default) or (1, 1)
    return _of_ratio(rule, ratio, _get(rule.megapixels, scope))


SIZE_KINDS: dict[str, Callable[[SizeRule, Scope, SourceSize], Size | None]] = {
    "fields": _fields,
    "text": _text,
    "table": _table,
    "source": _source,
    "aspect": _aspect,
    "fixed": _fixed,
}


def _of_ratio(rule: SizeRule, ratio: Size, megapixels: Any) -> Size:
    """Give the sides of an area in a ratio, each at the nearest `multiple`, computed in integers."""
    pixels = _pixels(megapixels)
    across, down = ratio
    return _side(pixels * across, down, rule.multiple), _side(pixels * down, across, rule.multiple)


def _side(area: int, divisor: int, multiple: int) -> int:
    # The root of area / divisor in units of `multiple`, rounded to the nearest: floor((floor(2r) + 1) / 2).
    multiple = max(multiple, 1)
    twice = isqrt(4 * area // (divisor * multiple * multiple))
    return max((twice + 1) // 2, 1) * multiple


def _pixels(megapixels: Any) -> int:
    number = _number(megapixels)
    if number is None or not Decimal("0.001") <= number <= 300:
        return _MEGAPIXEL
    return int(number * _MEGAPIXEL)


def _ratio(text: str) -> Size | None:
    found = _RATIO.fullmatch(text)
    if found is None:
        return None
    across, down = (int(Decimal(side) * 10_000) for side in found.groups())
    return (across, down) if across and down else None


def _known(source_size: SourceSize, value: Any) -> Size | None:
    size = None if value is None or value == "" else source_size(value)
    return size if size and min(size) > 0 else None


def _get(template: Template | None, scope: Scope) -> Any:
    return None if template is None else template(scope)


def _number(value: Any) -> Decimal | None:
    """Read a number of at most 18 digits; absurd ones are refused before anything computes with them."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    if isinstance(value, int) and value.bit_length() > 60:
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 18 else None


def _whole(value: Any) -> int | None:
    if value.__class__ is int and 0 < value < 1 << 60:
        return int(value)
    number = _number(value)
    return int(number) if number is not None and number > 0 and number == int(number) else None


# --- headers of pictures: hostile bytes, so nothing is decoded, and every loop is bounded --------------

_JPEG_SEGMENTS: Final = 400
_JPEG_MARKER = re.compile(rb"\xff++([^\xff])", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
_JPEG_ENDS = frozenset((0x00, 0xD9, 0xDA))


def sniff(data: bytes) -> tuple[str, int, int] | None:
    """Give (format, width, height) as a picture's header has them, or None.

    Knows png, jpeg, webp and gif; looks at the first bytes alone, and takes any bytes at all.
    """
    for is_it, name, measure in _HEADERS:
        if is_it(data):
            size = measure(data)
            return (name, *size) if size and min(size) > 0 else None
    return None


def _png(data: bytes) -> Size | None:
    if len(data) < 24 or data[8:16] != b"\0\0\0\rIHDR":
        return None
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return (width, height) if max(width, height) < 1 << 31 else None


def _gif(data: bytes) -> Size | None:
    return _little(data, 6, 2) if len(data) >= 10 else None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        found = _JPEG_MARKER.match(data, at)
        if found is None:
            return None
        marker, at = found[1][0], found.end()
        if marker in _JPEG_BARE:
            continue
        length = int.from_bytes(data[at : at + 2])
        if marker in _JPEG_ENDS or length < 2:
            return None
        if marker in _JPEG_FRAMES:
            ends = at + 7 <= len(data) and length >= 8
            return (int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])) if ends else None
        at += length
    return None


def _webp(data: bytes) -> Size | None:
    chunk = data[12:16]
    if len(data) < 30 and not (chunk == b"VP8L" and len(data) >= 25):
        return None
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = _little(data, 26, 2)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        width, height = _little(data, 24, 3)
        return width + 1, height + 1
    return None


def _little(data: bytes, at: int, size: int) -> Size:
    middle = at + size
    return int.from_bytes(data[at:middle], "little"), int.from_bytes(data[middle : middle + size], "little")


_HEADERS: tuple[tuple[Callable[[bytes], bool], str, Callable[[bytes], Size | None]], ...] = (
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", "png", _png),
    (lambda data: data[:3] == b"\xff\xd8\xff", "jpeg", _jpeg),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", "webp", _webp),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), "gif", _gif),
)
