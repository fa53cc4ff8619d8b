"""The pipelines themselves. Imported in the worker process alone, like ``tiny``: it loads torch."""

from __future__ import annotations

import gc
from collections.abc import Callable
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


def versions() -> dict[str, str]:
    """Name the libraries that made a picture."""
    return {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }


class Studio:
    """The pipelines of one model folder, which share its weights."""

    def __init__(self, configure: Configure) -> None:
        self.device = _device(configure.device)
        self._configure = configure
        self._tiny = configure.model is None
        name = configure.dtype
        if name == "auto":
            name = "float32" if self.device == "cpu" or self._tiny else "bfloat16"
        self.dtype_name = name
        _settle_torch(self.device, configure)
        folder = self._tiny_folder() if configure.model is None else Path(configure.model)
        self.model_name = "tiny" if self._tiny else folder.name
        self._pipes = self._load(folder)

    def _tiny_folder(self) -> Path:
        from fauxvider.renderers.diffusers.tiny import ensure_built

        return ensure_built(Path(self._configure.tiny_cache)) / self._configure.family

    def _load(self, folder: Path) -> dict[str, Any]:
        first = self._open(str(folder))
        pipes = {}
        for name, wanted in PIPELINES.items():
            if wanted.family == self._configure.family:
                kind = getattr(diffusers, wanted.class_name)
                pipes[name] = first if type(first) is kind else kind.from_pipe(first)
                pipes[name].set_progress_bar_config(disable=True)
        return pipes

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

    def warm_up(self) -> None:
        """Take one small step, so that the first job is not slower than later ones."""
        name = next(name for name in self._pipes if not PIPELINES[name].least_sources)
        job = Render("warm-up", name, 64, 64, "png", None, "", "", 0, 1, None, None)
        call, pictures = self.prepare(job)
        self.run(job, call, pictures, lambda _step, _total: None)

    def prepare(self, job: Render) -> tuple[Call, list[Image.Image]]:
        """Read the job: its call, and its source pictures decoded. Raises RenderError for a bad one."""
        if job.pipeline not in self._pipes:
            raise RenderError(f"this model does not serve {job.pipeline}")
        side = self._configure.render_max_side
        side = TINY_MAX_SIDE if side is None and self._tiny else side
        call = call_for(job, tiny=self._tiny, max_side=side)
        size = (job.width, job.height)
        kinds = job.sources[: PIPELINES[job.pipeline].most_sources]
        pictures = [_source(kind, label, blob, size) for (kind, label), blob in zip(kinds, job.blobs, strict=False)]
        if call.steps == 0:
            return call, [fit(picture, size) for picture in pictures]
        # The tiny models find a reference's colours by place, so it must be as large as the picture.
        return call, [fit(picture, call.rendered) if self._tiny else _shrunk(picture, side) for picture in pictures]

    def run(self, job: Render, call: Call, pictures: list[Image.Image], on_step: OnStep) -> Image.Image:
        """Call the pipeline. ``on_step`` hears (step, total) and may raise to stop it."""
        if call.steps == 0:
            return pictures[0]
        pipe = self._pipes[job.pipeline]
        values = dict(call.values)
        if pictures:
            values["image"] = pictures if PIPELINES[job.pipeline].picky else pictures[0]
        if PIPELINES[job.pipeline].picky:
            layers = pipe.text_encoder.config.get_text_config().num_hidden_layers
            # The classes' defaults, (10, 20, 30) of 40 and (9, 18, 27) of 36, for an encoder of any depth.
            values["text_encoder_out_layers"] = tuple(layers * quarter // 4 for quarter in (1, 2, 3))
        steps = _Steps(job, on_step, self.device)
        # Noise comes from the CPU on every device, so that one seed is one picture.
        generator = torch.Generator("cpu").manual_seed(job.seed)
        with torch.inference_mode():
            image = pipe(**values, generator=generator, callback_on_step_end=steps).images[0]
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
        for pipe in self._pipes.values():
            pipe.maybe_free_model_hooks()

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
