"""Measure a machine's renderer and fit the contract's timing law: what any picture takes, and each step.

Both grow with the picture: a part for any picture, a part for each megapixel and, because attention
looks at every pair of places, a part for each square megapixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from statistics import fmean

from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.handle import DiffusersRenderer
from fauxvider.renderers.diffusers.parameters import PIPELINES
from fauxvider.renderers.diffusers.protocol import Failed

__all__ = ["Fit", "Grid", "Sample", "cells", "fit", "measure", "report"]


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
    rendered: tuple[int, int] = (0, 0)  # the size that the model worked at
    model: str = ""
    device: str = ""
    dtype: str = ""

    @property
    def megapixels(self) -> float:
        """Millions of pixels of the finished picture."""
        return self.width * self.height / 1_000_000


@dataclass(frozen=True, slots=True)
class Fit:
    """The law, in milliseconds (for any picture, a megapixel, a square megapixel), and how far off it is."""

    base: tuple[float, ...]
    per_step: tuple[float, ...]
    rms_ms: float = 0.0
    typical: float = 0.0  # root mean square of the errors, as shares of the measured times
    worst: float = 0.0  # the largest of these shares
    samples: int = 0

    def at(self, sample: Sample) -> float:
        """Give the time that the law says, in ms."""
        base, step = (_grown(law, sample.megapixels) for law in (self.base, self.per_step))
        return base + step * sample.steps

    def work(self) -> dict[str, object]:
        """Give the law as the `work` of a contract's span, without its `steps` template."""
        return {"base": _spans(self.base), "per_step": _spans(self.per_step)}


def _grown(law: Sequence[float], megapixels: float) -> float:
    return sum(part * megapixels**power for power, part in enumerate(law))


def _spans(law: Sequence[float]) -> str | list[str]:
    """Write parts as a contract has them: thousandths of a ms at the finest, zeros at the end left out."""
    texts = [f"{part:.3f}".rstrip("0").rstrip(".") + "ms" for part in law]
    while len(texts) > 1 and texts[-1] == "0ms":
        texts.pop()
    return texts[0] if len(texts) == 1 else texts


async def measure(
    renderer: DiffusersRenderer,
    pipeline: str,
    grid: Grid | None = None,
    *,
    on_run: Callable[[], object] | None = None,
) -> list[Sample]:
    """Run the grid through one pipeline. Raises RenderError when a picture cannot be made."""
    grid = grid or Grid()
    wanted = cells(pipeline, grid)
    best: dict[int, Sample] = {}
    # Round after round: what else the machine does for some seconds then spoils one run of a cell, not all.
    for seed in range(max(1, grid.repeats)):
        for number, ((width, height), steps, strength) in enumerate(wanted):
            sample = await _run(renderer, replace(_recipe(pipeline, width, height, steps, strength), seed=seed))
            best[number] = min(best.get(number, sample), sample, key=lambda one: one.execution_ms)
            if on_run is not None:
                on_run()
    return list(best.values())


def cells(pipeline: str, grid: Grid) -> list[tuple[tuple[int, int], int, float | None]]:
    """List what is measured of one pipeline: size, steps asked for, strength."""
    strengths: Sequence[float | None] = grid.strengths if PIPELINES[pipeline].strength else (None,)
    return list(product(grid.sizes, grid.steps, strengths))


async def _run(renderer: DiffusersRenderer, recipe: Recipe) -> Sample:
    end = await renderer.run(recipe)
    if isinstance(end, Failed):
        raise RenderError(f"{recipe.pipeline} at {recipe.width}x{recipe.height}: {end.kind}: {end.detail}")
    made = end.report
    return Sample(
        recipe.width, recipe.height, made.steps, recipe.strength, made.execution_ms,
        rendered=made.rendered, model=made.model, device=made.device, dtype=made.dtype,
    )  # fmt: skip


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
    """Fit the law by least squares of relative errors: of all that come close to the best, the shortest.

    Raises RenderError when the samples do not tell one thing from another.
    """
    if len({(sample.steps, sample.megapixels) for sample in samples}) < 2:
        raise RenderError("a fit needs samples with at least two different amounts of work")
    fits = [(_length(terms), law) for terms in _choices() if (law := _fit(samples, terms)) is not None]
    best = min(law.typical for _, law in fits)
    close = [(length, law) for length, law in fits if law.typical <= max(1.15 * best, best + 0.003)]
    return min(close, key=lambda found: (found[0], found[1].typical))[1]


def _length(terms: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Compare laws: by their number of terms, and then by how fast they grow."""
    return len(terms), sum(power for _, power in terms)


_POWERS = 3
_TERMS = tuple((part, power) for part in range(2) for power in range(_POWERS))  # of base, of a step


def _choices() -> Iterable[tuple[tuple[int, int], ...]]:
    for count in range(1, len(_TERMS) + 1):
        yield from combinations(_TERMS, count)


def _fit(samples: Sequence[Sample], terms: Sequence[tuple[int, int]]) -> Fit | None:
    """Fit these terms alone; None when the samples cannot tell them apart, or one comes out negative."""
    # Divided by the measured times, errors are relative: or the largest pictures alone would decide.
    rows = [
        [sample.megapixels**power * (sample.steps if part else 1) / sample.execution_ms for part, power in terms]
        for sample in samples
    ]
    found = _least_squares(rows)
    if found is None or min(found) < 0:
        return None
    laws = [[0.0] * _POWERS, [0.0] * _POWERS]
    for (part, power), value in zip(terms, found, strict=True):
        laws[part][power] = value
    law = Fit(tuple(laws[0]), tuple(laws[1]))
    errors = [law.at(sample) - sample.execution_ms for sample in samples]
    shares = [abs(error) / sample.execution_ms for error, sample in zip(errors, samples, strict=True)]
    return replace(
        law,
        rms_ms=fmean(error * error for error in errors) ** 0.5,
        typical=fmean(share * share for share in shares) ** 0.5,
        worst=max(shares),
        samples=len(samples),
    )


def _least_squares(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """Give the weights that bring every row closest to 1, by the normal equations."""
    scale = [max(column) for column in zip(*rows, strict=True)]
    scaled = [[value / most for value, most in zip(row, scale, strict=True)] for row in rows]
    columns = list(zip(*scaled, strict=True))
    table = [[_dot(one, other) for other in columns] + [sum(one)] for one in columns]
    size = len(table)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(table[row][at]))
        table[at], table[pivot] = table[pivot], table[at]
        if abs(table[at][at]) < 1e-9:
            return None
        for row in range(size):
            if row != at:
                factor = table[row][at] / table[at][at]
                table[row] = [value - factor * top for value, top in zip(table[row], table[at], strict=True)]
    return [table[at][size] / table[at][at] / scale[at] for at in range(size)]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def report(name: str, samples: Iterable[Sample], law: Fit) -> str:
    """Show what was measured beside what the law says, and the law itself."""
    lines = [f"{name}: measured and fitted, ms", "      size  steps  strength  measured    fitted   error"]
    for sample in samples:
        said = law.at(sample)
        strength = "-" if sample.strength is None else f"{sample.strength:g}"
        lines.append(
            f"{sample.width:>5}x{sample.height:<5}{sample.steps:>5}{strength:>10}{sample.execution_ms:>10.1f}"
            f"{said:>10.1f}{(said - sample.execution_ms) / sample.execution_ms:>+8.0%}"
        )
    lines.append(f"fit: {_shown(law.base)} + steps x ({_shown(law.per_step)}) ms, M = megapixels")
    lines.append(
        f"error: {law.typical:.1%} typical ({law.rms_ms:.1f} ms), at most {law.worst:.0%}, {law.samples} samples"
    )
    return "\n".join(lines)


def _shown(law: Sequence[float]) -> str:
    names = ("", " M", " M^2")
    return " + ".join(f"{part:.3g}{name}" for part, name in zip(law, names, strict=True) if part) or "0"
