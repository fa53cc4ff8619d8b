"""The pipelines themselves. Imported in the worker process alone, like ``tiny``: it loads torch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fauxvider.errors import RenderError
from fauxvider.renderers.codec import decode, encode, fit
from fauxvider.renderers.composition import Draw, compose
from fauxvider.renderers.diffusers.libraries import diffusers, torch, transformers
from fauxvider.renderers.diffusers.parameters import PIPELINES, TINY_MAX_SIDE, Call, call_for
from fauxvider.renderers.diffusers.protocol import Configure, FailureKind, Render

__all__ = ["Studio", "UnusableError", "versions"]

OnStep = Callable[[int, int], None]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class UnusableError(RenderError):
    """The model ran, but gave no picture: not-a-number latents, or black all over."""

    def __init__(self, kind: FailureKind) -> None:
        self.kind = kind
        super().__init__(f"the model gave a {'black' if kind == 'black' else 'not-a-number'} picture")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline object and how to call it."""

    pipe: Any
    name: str
    tiny: bool


def versions() -> dict[str, str]:
    """Name the libraries that made a picture."""
    return {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }


class Studio:
    """All pipelines of one worker, loaded once; pipelines of one family share their weights."""

    def __init__(self, configure: Configure) -> None:
        self.device = _device(configure.device)
        self._configure = configure
        has_tiny = "tiny" in configure.folders.values()
        name = configure.dtype
        if name == "auto":
            name = "float32" if self.device == "cpu" or set(configure.folders.values()) == {"tiny"} else "bfloat16"
        if name not in _DTYPES:
            raise RenderError(f"{name!r} is not a dtype (allowed: auto, {', '.join(_DTYPES)})")
        self.dtype_name = name
        _settle_torch(self.device, configure)
        tiny_root = self._tiny_root() if has_tiny else None
        self._loaded = self._load(tiny_root)

    def _tiny_root(self) -> Path:
        from fauxvider.renderers.diffusers.tiny import ensure_built

        return ensure_built(Path(self._configure.tiny_cache))

    def _load(self, tiny_root: Path | None) -> dict[str, Loaded]:
        first: dict[str, Any] = {}
        loaded = {}
        for name, folder in self._configure.folders.items():
            wanted = PIPELINES[name]
            tiny = folder == "tiny"
            path = str(tiny_root / wanted.family) if tiny and tiny_root is not None else folder
            if path not in first:
                first[path] = self._open(path)
            pipe, kind = first[path], getattr(diffusers, wanted.class_name)
            if type(pipe) is not kind:
                pipe = kind.from_pipe(pipe)
            pipe.set_progress_bar_config(disable=True)
            loaded[name] = Loaded(pipe, "tiny" if tiny else Path(folder).name, tiny)
        return loaded

    def _open(self, path: str) -> Any:
        # Never the hub, never pickle, never a folder's own code.
        pipe = diffusers.DiffusionPipeline.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=_DTYPES[self.dtype_name],
        )
        return pipe.to(self.device)

    def model_name(self, pipeline: str) -> str:
        """Say which model serves that pipeline."""
        return self._loaded[pipeline].name

    def warm_up(self) -> None:
        """Take one small step with each model, so that first jobs are not slower than later ones."""
        seen = set()
        for name, loaded in self._loaded.items():
            if id(loaded.pipe.transformer) in seen or PIPELINES[name].least_sources:
                continue
            seen.add(id(loaded.pipe.transformer))
            job = Render("warm-up", name, 64, 64, "png", None, "", "", 0, 1, None, None)
            call, pictures = self.prepare(job)
            self.run(job, call, pictures, lambda _step, _total: None)

    def prepare(self, job: Render) -> tuple[Call, list[Image.Image]]:
        """Read the job: its call, and its source pictures decoded. Raises RenderError for a bad one."""
        loaded = self._loaded.get(job.pipeline)
        if loaded is None:
            raise RenderError(f"no model serves {job.pipeline}")
        side = self._configure.render_max_side
        side = TINY_MAX_SIDE if side is None and loaded.tiny else side
        call = call_for(job, tiny=loaded.tiny, max_side=side)
        size = (job.width, job.height)
        kinds = job.sources[: PIPELINES[job.pipeline].most_sources]
        pictures = [_source(kind, label, blob, size) for (kind, label), blob in zip(kinds, job.blobs, strict=False)]
        if call.steps == 0:
            return call, [fit(picture, size) for picture in pictures]
        # The tiny models find a reference's colours by place, so it must be as large as the picture.
        return call, [fit(picture, call.rendered) if loaded.tiny else _shrunk(picture, side) for picture in pictures]

    def run(self, job: Render, call: Call, pictures: list[Image.Image], on_step: OnStep) -> Image.Image:
        """Call the pipeline. ``on_step`` hears (step, total) and may raise to stop it."""
        if call.steps == 0:
            return pictures[0]
        loaded = self._loaded[job.pipeline]
        values = dict(call.values)
        if pictures:
            values["image"] = pictures if PIPELINES[job.pipeline].picky else pictures[0]
        if PIPELINES[job.pipeline].picky:
            layers = loaded.pipe.text_encoder.config.get_text_config().num_hidden_layers
            # The classes' defaults, (10, 20, 30) of 40 and (9, 18, 27) of 36, for an encoder of any depth.
            values["text_encoder_out_layers"] = tuple(layers * quarter // 4 for quarter in (1, 2, 3))
        steps = _Steps(job, on_step, self.device)
        # Noise comes from the CPU on every device, so that one seed is one picture.
        generator = torch.Generator("cpu").manual_seed(job.seed)
        with torch.inference_mode():
            image = loaded.pipe(**values, generator=generator, callback_on_step_end=steps).images[0]
        if not steps.finite:
            raise UnusableError("nan")
        return _blackened(image) if job.fault == "black" else image

    def finish(self, job: Render, call: Call, image: Image.Image) -> bytes:
        """Give the encoded file at exactly the size asked for. Raises UnusableError for a black picture."""
        if call.steps and image.getbbox() is None:
            raise UnusableError("black")
        size = (job.width, job.height)
        if image.size != size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        form: Any = job.format
        return encode(image, form, job.quality)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tell a memory failure from others: CUDA has a class for it, the CPU only a sentence."""
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

    def free_hooks(self) -> None:
        """Undo what a pipeline had no chance to undo when a job broke off."""
        for loaded in self._loaded.values():
            loaded.pipe.maybe_free_model_hooks()

    def recover(self) -> None:
        """Make room again after a job that failed; takes a quarter of a second."""
        self.free_hooks()
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


class _Steps:
    """The callback at the end of each step, in diffusers' own form."""

    def __init__(self, job: Render, on_step: OnStep, device: str) -> None:
        self._job, self._on_step, self._device = job, on_step, device
        self.finite = True

    def __call__(self, pipe: Any, index: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        step, total = index + 1, pipe.num_timesteps
        if self._device == "cuda":
            torch.cuda.synchronize()  # or progress would run ahead of the device
        if step == min(2, total) and self._job.fault == "oom":
            raise torch.OutOfMemoryError("out of memory (on order)")
        if step == min(2, total) and self._job.fault == "nan":
            values["latents"] = values["latents"] * float("nan")
        if step == total:
            self.finite = bool(torch.isfinite(values["latents"]).all())
        self._on_step(step, total)
        return values


def _device(wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise RenderError(f"{wanted!r} is not a device (allowed: auto, cpu, cuda)")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RenderError("device cuda was asked for, but torch finds no CUDA device here")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _settle_torch(device: str, configure: Configure) -> None:
    """Make runs repeat: one thread count, deterministic kernels, no reduced precision."""
    if configure.threads is not None:
        torch.set_num_threads(configure.threads)
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    if device == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        if configure.memory_fraction is not None:
            torch.cuda.set_per_process_memory_fraction(configure.memory_fraction)


def _source(kind: str, label: str, data: bytes, size: tuple[int, int]) -> Image.Image:
    if kind == "bytes":
        return decode(data, near=size)
    theme, layout, detail = (Draw(part, "stand-in", label) for part in ("theme", "layout", "detail"))
    return compose(theme, layout, detail, size)


def _shrunk(picture: Image.Image, side: int | None) -> Image.Image:
    if side is None or max(picture.size) <= side:
        return picture
    # References must keep 64 pixels a side.
    scale = min(1.0, max(side / max(picture.size), 64 / min(picture.size)))
    return fit(picture, (round(picture.width * scale), round(picture.height * scale)))


def _blackened(image: Image.Image) -> Image.Image:
    return Image.new("RGB", image.size)
