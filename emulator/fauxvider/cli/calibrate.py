"""`fauxvider calibrate`: measure this machine's renderer, and say it as a contract's timing."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fauxvider.cli.calibrate_contract import flow, write_contracts
from fauxvider.cli.rendering import MODEL_OPTIONS, RenderOptions, open_renderer, with_options
from fauxvider.contract.parse import open_contract
from fauxvider.errors import RenderError, UsageError
from fauxvider_contracts import tour_text

if TYPE_CHECKING:
    from fauxvider.renderers.diffusers.calibrate import Fit, Grid, Sample
    from fauxvider.renderers.diffusers.handle import DiffusersRenderer

__all__ = ["calibrate"]

_OPTIONS = (
    click.option(
        "--for",
        "names",
        multiple=True,
        metavar="PROVIDER/MODEL",
        help="Measure what serves this model of a bundled contract.  [default: the five documented ones]",
    ),
    click.option("--sizes", default="256x256,512x512,768x768", show_default=True, metavar="WxH,..."),
    click.option("--steps", default="4,12,28", show_default=True, metavar="N,..."),
    click.option(
        "--strengths", default="0.3,0.9", show_default=True, metavar="S,...", help="For image-to-image models."
    ),
    click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 100), help="The best one counts."),
    *MODEL_OPTIONS,
    click.option(
        "--write",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Write the providers' contract files there, with these timings: for fauxvider serve --contract.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A model of a contract: its pipeline, the words of its running state, where its parameters stand."""

    name: str
    pipeline: str
    words: tuple[str, ...]
    kept: dict[str, Any]  # how long it waits, which is not measured
    steps: Any
    strength: Any


@dataclass(frozen=True, slots=True)
class Result:
    target: Target
    machine: str
    samples: list[Sample]
    law: Fit

    @property
    def timing(self) -> dict[str, Any]:
        """The model's `timing` entry, as a contract has it."""
        target, work = self.target, self.law.work()
        if target.steps is not None:
            work["steps"] = target.steps
        if target.strength is not None and any(sample.strength is not None for sample in self.samples):
            work["strength"] = target.strength
        law = {"work": work, "spread": round(max(0.01, self.law.typical), 2)}
        note = f"assumed - fitted to {self.machine} by fauxvider calibrate, error {self.law.typical:.1%}"
        return {**target.kept, **dict.fromkeys(target.words, law), "evidence": note}


@click.command()
@with_options(_OPTIONS)
def calibrate(**given: Any) -> None:
    """Measure this machine's real renderer on a small grid and fit the contract's timing law to it."""
    render = RenderOptions.taken(given)
    targets = [_target(name) for name in dict.fromkeys(given["names"]) or _documented()]
    grid = _grid(given)
    renderer = open_renderer(render)
    if renderer is None:
        raise UsageError("only real pipelines can be measured")
    results = asyncio.run(_measured(renderer, targets, grid))
    if given["as_json"]:
        click.echo(json.dumps({"models": [_as_json(one) for one in results]}, indent=1))
    else:
        _show(results, grid)
    if given["folder"] is not None:
        written = write_contracts(given["folder"], {one.target.name: one.timing for one in results})
        files = " ".join(f"--contract {path}" for path in written)
        click.echo(f"\nTo imitate this machine:\n  fauxvider serve {files}", err=given["as_json"])


def _show(results: list[Result], grid: Grid) -> None:
    from fauxvider.renderers.diffusers.calibrate import report

    click.echo("Times are the model's own work, without queue, encoding and network.")
    for one in results:
        click.echo(f"\n{report(one.target.name, one.samples, one.law)}")
        click.echo(f"machine: {one.machine}")
        click.echo(f"timing: {flow(one.timing)}")
    largest = max(max(size) for size in grid.sizes)
    if any(max(sample.rendered) < largest for one in results for sample in one.samples[-1:]):
        click.echo(
            "\nPictures are rendered smaller than they are handed out here, so a large one costs no more than a "
            "small one.\n--render-max-side says how large."
        )


def _documented() -> list[str]:
    return [f"{stop['provider']}/{stop['model']}" for stop in json.loads(tour_text())["stops"]]


def _target(name: str) -> Target:
    provider, slash, model = name.partition("/")
    if not slash:
        raise UsageError(f"--for {name}: write PROVIDER/MODEL")
    file = open_contract(provider)
    contract, tree = file.resolve({}), file.resolved({})
    found = contract.models.get(model)
    if found is None:
        raise UsageError(f"{provider} has no model {model!r} (it has: {', '.join(contract.models)})")
    if not found.picture.pipeline:
        raise UsageError(f"no pipeline renders {name}: its contract names none")
    picture = tree["models"][model]["picture"]
    waiting = {phase.state.word for phase in contract.phases if phase.state.canonical != "running"}
    timed = tree["models"][model].get("timing", {})
    words = [phase.state.word for phase in contract.phases if phase.state.word not in waiting]
    words += [word for word in timed if word not in (*waiting, *words, "evidence")]  # running, in another reading
    kept = {word: law for word, law in timed.items() if word in waiting}
    return Target(name, found.picture.pipeline, tuple(words), kept, picture.get("steps"), picture.get("strength"))


def _grid(given: Mapping[str, Any]) -> Grid:
    from fauxvider.renderers.diffusers.calibrate import Grid

    def listed(name: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
        try:
            return tuple(read(part.strip()) for part in given[name].split(","))
        except ValueError:
            raise UsageError(f"--{name} {given[name]}: write it as in --help") from None

    return Grid(
        sizes=listed("sizes", _size),
        steps=listed("steps", _whole),
        strengths=listed("strengths", _strength),
        repeats=given["repeats"],
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return _whole(width, 4096), _whole(height, 4096)


def _whole(text: str, most: int = 1000) -> int:
    number = int(text)
    if not 1 <= number <= most:
        raise ValueError(text)
    return number


def _strength(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError(text)
    return number


async def _measured(renderer: DiffusersRenderer, targets: list[Target], grid: Grid) -> list[Result]:
    from fauxvider.renderers.diffusers.calibrate import cells, fit, measure

    results = []
    try:
        await renderer.start(warm=False)
        for target in targets:
            runs = len(cells(target.pipeline, grid)) * grid.repeats
            with click.progressbar(length=runs, label=target.name, file=sys.stderr) as bar:
                samples = await measure(renderer, target.pipeline, grid, on_run=partial(bar.update, 1))
            results.append(Result(target, _machine(samples[0]), samples, fit(samples)))
    except RenderError as error:
        raise UsageError(str(error)) from None
    finally:
        await renderer.close()
    return results


def _machine(sample: Sample) -> str:
    kind = platform.processor() or platform.machine()
    return f"{sample.model} on {sample.device} ({sample.dtype}; {os.cpu_count()} x {kind})"


def _as_json(one: Result) -> dict[str, Any]:
    samples = [
        {
            "size": [sample.width, sample.height],
            "rendered": list(sample.rendered),
            "steps": sample.steps,
            "strength": sample.strength,
            "measured_ms": round(sample.execution_ms, 2),
            "fitted_ms": round(one.law.at(sample), 2),
        }
        for sample in one.samples
    ]
    return {
        "model": one.target.name,
        "pipeline": one.target.pipeline,
        "machine": one.machine,
        "timing": one.timing,
        "error": {"typical": round(one.law.typical, 4), "worst": round(one.law.worst, 4)},
        "samples": samples,
    }
