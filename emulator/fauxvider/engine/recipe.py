"""What a picture is made from: the whole input of a renderer, and nothing of the provider's rules."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["MEDIA_TYPES", "PictureFormat", "Recipe", "SourceImage", "SourceKind"]

PictureFormat: TypeAlias = Literal["png", "jpeg", "webp"]
SourceKind: TypeAlias = Literal["bytes", "stand_in"]

MEDIA_TYPES: dict[PictureFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An input picture: its file, or (``stand_in``) a label that a picture is derived from.

    A URL that may not be fetched is a stand-in whose label is the URL.
    """

    kind: SourceKind
    data: bytes = b""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One picture to make.

    Sizes are pixels of the finished file; ``quality`` is 0 to 100 (PNG ignores it); ``strength`` is
    0 (the source as it is) to 1; ``number`` counts the pictures of one job. ``run_id``, ``provider``
    and ``metadata`` reach the file's metadata alone, never a pixel.
    """

    provider: str
    model: str
    pipeline: str
    width: int
    height: int
    format: PictureFormat
    quality: int | None
    prompt: str
    negative: str
    seed: int
    steps: int | None
    guidance: float | None
    strength: float | None
    sources: tuple[SourceImage, ...]
    number: int
    run_id: str
    metadata: bool = True

    @property
    def prompt_sha256(self) -> str:
        """The prompt's digest, in hex: what metadata says of a prompt that may be private."""
        return _sha256(self.prompt)

    def key(self) -> str:
        """Give the digest, in hex, of everything that decides a pixel of the finished file."""
        sources = [
            [source.kind, hashlib.sha256(source.data).hexdigest(), source.label if source.kind == "stand_in" else ""]
            for source in self.sources
        ]
        parts = [
            ["recipe", 1],
            [self.model, self.pipeline],
            [self.width, self.height, self.format, self.quality],
            [self.prompt, self.negative, self.seed, self.number],
            [self.steps, _number(self.guidance), _number(self.strength)],
            sources,
        ]
        return _sha256(json.dumps(parts, separators=(",", ":")))


def _number(value: float | None) -> float | None:
    # 3 and 3.0 are one guidance; JSON would tell them apart.
    return None if value is None else float(value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
