"""Measure a machine's renderer and fit the contract's timing law, ``base + per_step x steps (x megapixels)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.parameters import PIPELINES
from fauxvider.renderers.diffusers.protocol import Failed

__all__ = ["Fit", "Grid", "Sample", "fit", "measure", "report"]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: every size with every number of steps, and every strength where there is one."""

    sizes: tuple[tuple[int, int], ...] = ((256, 256), (512, 512), (768, 768))
    steps: tuple[int, ...] = (4, 12, 28)
    strengths: tuple[float, ...] = (0.3, 0.9)
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """The best of some runs; ``steps`` are those that ran, which strength may have made fewer."""

    width: int
    height: int
    steps: int
    strength: float | None
    execution_ms: float

    @property
    def megapixels(self) -> float:
        """Millions of pixels of the finished picture."""
        return self.width * self.height / 1_000_000


@dataclass(frozen=True, slots=True)
class Fit:
    """The law, in milliseconds, and how far it is from what was measured."""

    base_ms: float
    per_step_ms: float
    megapixels: bool
    rms_ms: float
    typical: float  # root mean square of the errors, as shares of the measured times
    worst: float  # the largest of these shares
    samples: int

    def at(self, sample: Sample) -> float:
        """Give the time that the law says, in ms."""
        return self.base_ms + self.per_step_ms * _work(sample, by_size=self.megapixels)

    def timing(self) -> dict[str, object]:
        """Give the law as a contract's ``timing`` entry, without its ``steps`` template."""
        work: dict[str, object] = {"base": f"{round(self.base_ms)}ms", "per_step": f"{round(self.per_step_ms)}ms"}
        return {"work": {**work, "megapixels": True} if self.megapixels else work}


async def measure(
    renderer: DiffusersRenderer,
    pipeline: str,
    grid: Grid | None = None,
    *,
    on_sample: Callable[[Sample], None] | None = None,
) -> list[Sample]:
    """Run the grid through one pipeline. Raises RenderError when a picture cannot be made."""
    grid = grid or Grid()
    strengths: Sequence[float | None] = grid.strengths if PIPELINES[pipeline].strength else (None,)
    samples = []
    for width, height in grid.sizes:
        for steps in grid.steps:
            for strength in strengths:
                sample = await _best(renderer, _recipe(pipeline, width, height, steps, strength), grid.repeats)
                samples.append(sample)
                if on_sample is not None:
                    on_sample(sample)
    return samples


async def _best(renderer: DiffusersRenderer, recipe: Recipe, repeats: int) -> Sample:
    found: list[Sample] = []
    for number in range(max(1, repeats)):
        end = await renderer.run(replace(recipe, seed=number))
        if isinstance(end, Failed):
            raise RenderError(f"{recipe.pipeline} at {recipe.width}x{recipe.height}: {end.kind}: {end.detail}")
        steps, spent = end.report.steps, end.report.execution_ms
        found.append(Sample(recipe.width, recipe.height, steps, recipe.strength, spent))
    return min(found, key=lambda sample: sample.execution_ms)


def _recipe(pipeline: str, width: int, height: int, steps: int, strength: float | None) -> Recipe:
    needs_source = PIPELINES[pipeline].most_sources > 0
    return Recipe(
        provider="",
        model="calibration",
        pipeline=pipeline,
        width=width,
        height=height,
        format="png",
        quality=None,
        prompt="a lighthouse at dusk, calm sea",
        negative="",
        seed=0,
        steps=steps,
        guidance=None,
        strength=strength,
        sources=(SourceImage("stand_in", label="calibration"),) if needs_source else (),
        number=1,
        run_id="",
        metadata=False,
    )


def fit(samples: Sequence[Sample]) -> Fit:
    """Fit both laws by least squares of relative errors, with and without megapixels, and give the closer one.

    Raises RenderError when the samples do not tell base from steps.
    """
    fits = [found for by_size in (False, True) if (found := _fit(samples, by_size=by_size))]
    if not fits:
        raise RenderError("a fit needs samples with at least two different amounts of work")
    return min(fits, key=lambda found: found.typical)


def _fit(samples: Sequence[Sample], *, by_size: bool) -> Fit | None:
    works = [_work(sample, by_size=by_size) for sample in samples]
    if len(set(works)) < 2:
        return None
    times = [sample.execution_ms for sample in samples]
    # Relative errors: or the largest pictures alone would decide.
    weights = [1 / (time * time) for time in times]
    base, slope = _line(works, times, weights)
    if base < 0:  # a span cannot be negative: the best line through 0
        base, slope = 0.0, _sum(weights, works, times) / _sum(weights, works, works)
    errors = [base + slope * work - time for work, time in zip(works, times, strict=True)]
    shares = [abs(error) / time for error, time in zip(errors, times, strict=True)]
    return Fit(
        base_ms=base,
        per_step_ms=slope,
        megapixels=by_size,
        rms_ms=fmean(error * error for error in errors) ** 0.5,
        typical=fmean(share * share for share in shares) ** 0.5,
        worst=max(shares),
        samples=len(samples),
    )


def _line(xs: Sequence[float], ys: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    whole = sum(weights)
    middle_x, middle_y = (sum(w * v for w, v in zip(weights, values, strict=True)) / whole for values in (xs, ys))
    away = [x - middle_x for x in xs]
    slope = _sum(weights, away, [y - middle_y for y in ys]) / _sum(weights, away, away)
    return middle_y - slope * middle_x, slope


def _sum(weights: Sequence[float], xs: Sequence[float], ys: Sequence[float]) -> float:
    return sum(w * x * y for w, x, y in zip(weights, xs, ys, strict=True))


def _work(sample: Sample, *, by_size: bool) -> float:
    return sample.steps * (sample.megapixels if by_size else 1.0)


def report(pipeline: str, samples: Iterable[Sample], law: Fit) -> str:
    """Show what was measured beside what the law says, and the law itself."""
    lines = [f"{pipeline}: measured and fitted, ms", "      size  steps  strength  measured    fitted   error"]
    for sample in samples:
        said = law.at(sample)
        strength = "-" if sample.strength is None else f"{sample.strength:g}"
        lines.append(
            f"{sample.width:>5}x{sample.height:<5}{sample.steps:>5}{strength:>10}{sample.execution_ms:>10.1f}"
            f"{said:>10.1f}{(said - sample.execution_ms) / sample.execution_ms:>+8.0%}"
        )
    by = " x megapixels" if law.megapixels else ""
    lines.append(
        f"fit: {law.base_ms:.1f} ms + {law.per_step_ms:.2f} ms x steps{by}; "
        f"error {law.typical:.0%} (rms; {law.rms_ms:.1f} ms), at most {law.worst:.0%}, over {law.samples} samples"
    )
    return "\n".join(lines)
