"""Which parameters reach which pipeline, and how: the traps of each class, as data (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fauxvider.engine.outputs import sniff
from fauxvider.engine.recipe import Recipe
from fauxvider.renderers.diffusers.protocol import Render

__all__ = [
    "FAMILIES",
    "PIPELINES",
    "TINY_MAX_SIDE",
    "Call",
    "Pipeline",
    "call_for",
    "effective_steps",
    "problem",
    "rendered_size",
]

TINY_MAX_SIDE = 256
_MULTIPLE = 16
_LEAST_SIDE = 64
_SEEDS = 2**64


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One way to call a model: its diffusers class, and what that class can apply."""

    family: str  # pipelines of one family share a model folder, and so a worker
    class_name: str
    model_classes: frozenset[str]  # `_class_name` of the folders that can serve it
    least_sources: int = 0
    most_sources: int = 0
    steps: int = 28
    strength: bool = False
    guidance: bool = True
    picky: bool = False  # references need 64 px a side and at most 8:1


_FLUX = frozenset({"FluxPipeline", "FluxImg2ImgPipeline", "FluxKontextPipeline"})

PIPELINES: dict[str, Pipeline] = {
    "flux": Pipeline("flux", "FluxPipeline", _FLUX),
    "flux-img2img": Pipeline("flux", "FluxImg2ImgPipeline", _FLUX, least_sources=1, most_sources=1, strength=True),
    "flux-kontext": Pipeline("flux", "FluxKontextPipeline", _FLUX, most_sources=1),
    "flux2": Pipeline("flux2", "Flux2Pipeline", frozenset({"Flux2Pipeline"}), most_sources=4, picky=True),
    "flux2-klein": Pipeline(
        "flux2-klein", "Flux2KleinPipeline", frozenset({"Flux2KleinPipeline"}), most_sources=4, steps=4, guidance=False,
        picky=True,
    ),
}  # fmt: skip

FAMILIES = tuple(dict.fromkeys(pipeline.family for pipeline in PIPELINES.values()))


@dataclass(frozen=True, slots=True)
class Call:
    """What a pipeline is called with (pictures, generator and callback aside)."""

    values: dict[str, Any]
    rendered: tuple[int, int]
    steps: int  # that will run: 0 means that the source is the answer
    unapplied: tuple[str, ...]


def rendered_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Give the size to render at: multiples of 16, at least 64, the longer side at most ``max_side``."""
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    wide, high = (max(_LEAST_SIDE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in (width, height))
    return wide, high


def effective_steps(steps: int, strength: float) -> int:
    """Say how many of ``steps`` an image-to-image run really takes (diffusers' own arithmetic)."""
    return steps - int(max(steps - min(steps * strength, steps), 0))


def call_for(job: Render, *, tiny: bool, max_side: int | None) -> Call:
    """Map a job to its pipeline's keyword arguments. Raises KeyError for an unknown pipeline."""
    pipeline = PIPELINES[job.pipeline]
    width, height = rendered_size(job.width, job.height, max_side)
    steps = pipeline.steps if job.steps is None else max(1, job.steps)
    values: dict[str, Any] = {
        # Tokenizers refuse a lone surrogate, which JSON can carry.
        "prompt": job.prompt.encode("utf-8", "replace").decode("utf-8"),
        "width": width,
        "height": height,
        "num_inference_steps": steps,
        # A byte is a token in the tiny encoders; more room only costs time.
        "max_sequence_length": 256 if tiny else 512,
    }
    if job.guidance is not None and pipeline.guidance:
        values["guidance_scale"] = float(job.guidance)
    if pipeline.strength:
        values["strength"] = 0.6 if job.strength is None else min(1.0, max(0.0, float(job.strength)))
        steps = effective_steps(steps, values["strength"])
    if pipeline.class_name == "FluxKontextPipeline":
        # Otherwise it renders a megapixel whatever is asked for; a tiny model need not see one either.
        values["max_area"] = width * height
        if tiny:
            values["_auto_resize"] = False
    return Call(values, (width, height), steps, _unapplied(job, pipeline))


def _unapplied(job: Render, pipeline: Pipeline) -> tuple[str, ...]:
    found = []
    if job.negative:
        # The classes take one only with a second pass per step (true_cfg_scale), which no provider bills for.
        found.append("negative")
    if job.guidance is not None and not pipeline.guidance:
        found.append("guidance")
    if job.strength is not None and not pipeline.strength:
        found.append("strength")
    if len(job.sources) > pipeline.most_sources and not pipeline.picky:
        found.append("sources")
    return tuple(found)


def problem(recipe: Recipe) -> str:
    """Say why a recipe cannot be rendered, before it is queued; "" when nothing is wrong."""
    pipeline = PIPELINES.get(recipe.pipeline)
    if pipeline is None:
        return f"no pipeline is called {recipe.pipeline!r} (there are: {', '.join(PIPELINES)})"
    if len(recipe.sources) < pipeline.least_sources:
        return f"{recipe.pipeline} needs a source picture"
    if not 0 <= recipe.seed < _SEEDS:
        return "a seed must fit 64 bits"
    if not pipeline.picky:
        return ""
    if len(recipe.sources) > pipeline.most_sources:
        return f"{recipe.pipeline} takes at most {pipeline.most_sources} source pictures, not {len(recipe.sources)}"
    for source in recipe.sources:
        header = sniff(source.data) if source.kind == "bytes" else None
        if header is None:
            continue  # bytes that are no picture fail when they are decoded
        _, width, height = header
        if min(width, height) < _LEAST_SIDE:
            return f"a source picture of {width}x{height} is under 64 pixels a side"
        if max(width, height) > 8 * min(width, height):
            return f"a source picture of {width}x{height} is longer than 8:1"
    return ""
