"""The options that say how pictures are made, shared by the commands; nothing heavy is loaded here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fauxvider.errors import RenderError, UsageError

if TYPE_CHECKING:
    from fauxvider.renderers.diffusers.handle import DiffusersRenderer

__all__ = ["MODEL_OPTIONS", "RENDERER", "RENDER_OPTIONS", "RenderOptions", "open_renderer", "with_options"]

TINY = "tiny"

RENDERER = click.option(
    "--renderer",
    type=click.Choice(["synthetic", "diffusers"]),
    default="synthetic",
    show_default=True,
    help="What makes pictures: a formula, or real diffusers pipelines (pip install 'fauxvider[gpu]').",
)
MODEL_OPTIONS = (
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="PATH|tiny",
        help="A local diffusers folder (safetensors), one for each family; tiny models with random weights, built when "
        "needed, serve the rest.  [default: tiny]",
    ),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
    click.option(
        "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True
    ),
    click.option(
        "--render-max-side",
        type=click.IntRange(64, 4096),
        metavar="N",
        help="Render at most that large and scale up; files keep the size asked for.  [default: 256 for tiny]",
    ),
    click.option(
        "--render-workers",
        type=click.IntRange(1),
        default=3,
        show_default=True,
        metavar="N",
        help="Worker processes alive at a time, one for each model folder; an idle one ends to make room.",
    ),
)
RENDER_OPTIONS = (
    RENDERER,
    *MODEL_OPTIONS,
    click.option(
        "--render-deadline",
        type=click.FloatRange(0, min_open=True),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="A run that takes longer is ended, with its worker.",
    ),
    click.option("--warm", is_flag=True, help="Load the models before serving; else a model's first job waits for it."),
    click.option(
        "--render-cache",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep every real picture there.",
    ),
    click.option(
        "--replay", is_flag=True, help="Hand out kept pictures in the time they took; needs no torch, renders nothing."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """The options by their names."""

    renderer: str = "diffusers"
    models: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    render_max_side: int | None = None
    render_workers: int = 3
    render_deadline: float = 300.0
    warm: bool = False
    render_cache: Path | None = None
    replay: bool = False

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of models that are not the tiny ones."""
        return tuple(Path(model) for model in self.models if model != TINY)

    @classmethod
    def taken(cls, given: dict[str, Any]) -> RenderOptions:
        """Take these options out of all that a command was given."""
        return cls(**{one.name: given.pop(one.name) for one in fields(cls) if one.name in given})


def with_options(options: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a decorator that adds options, in the order of their help."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def open_renderer(options: RenderOptions) -> DiffusersRenderer | None:
    """Make the renderer of real pictures, if one is asked for. Raises UsageError for what is wrong with it."""
    if options.renderer == "synthetic":
        for one in fields(RenderOptions):
            if one.name != "renderer" and getattr(options, one.name) != one.default:
                flag = "model" if one.name == "models" else one.name.replace("_", "-")
                raise UsageError(f"--{flag} needs --renderer diffusers")
        return None
    from fauxvider.renderers.diffusers.handle import DiffusersRenderer
    from fauxvider.renderers.diffusers.options import Options

    if options.replay and options.render_cache is None:
        raise UsageError("--replay needs --render-cache, the folder of the kept pictures")
    renderer = DiffusersRenderer(
        Options(
            models=options.folders,
            device=options.device,
            dtype=options.dtype,
            render_max_side=options.render_max_side,
            max_workers=options.render_workers,
            deadline_s=options.render_deadline,
            results=options.render_cache,
            replay=options.replay,
        )
    )
    try:
        renderer.check()
    except RenderError as error:
        raise UsageError(str(error)) from None
    return renderer
