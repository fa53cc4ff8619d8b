"""How the real pipelines are run, and what can be checked before a worker is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.parameters import PIPELINES
from fauxvider.renderers.diffusers.protocol import Configure

__all__ = ["Options"]

_DEVICES = ("auto", "cpu", "cuda")
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_NEEDED = ("torch", "diffusers", "transformers", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``models`` are local pipeline folders; all options can stay as they are.

    A folder serves the pipelines of its own family; tiny models serve the rest. Each folder has a
    worker process of its own; at most ``max_workers`` live at a time, and then idle ones end to make
    room. ``results`` keeps every picture in that folder; with ``replay`` pictures come from there and
    no worker is started. ``render_max_side`` bounds the size that models work at (None: 256 for tiny
    models, else no bound); files always have the size asked for. Spans are seconds of real time.
    """

    models: tuple[Path, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    render_max_side: int | None = None
    threads: int | None = None
    memory_fraction: float | None = None
    tiny_cache: Path | None = None
    results: Path | None = None
    replay: bool = False
    max_workers: int = 3
    max_queue: int = 64  # jobs of one folder that are not over
    deadline_s: float = 300.0
    cancel_s: float = 30.0  # a cancelled job's worker that has not stopped by then is ended
    start_timeout_s: float = 600.0  # tens of gigabytes come from a disk

    def check(self) -> None:
        """Raise RenderError, in one line, for what can be seen to be wrong from here."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise RenderError(f"real pipelines need {', '.join(missing)}: pip install 'fauxvider[gpu]'")
        for name, value, allowed in (("device", self.device, _DEVICES), ("dtype", self.dtype, _DTYPES)):
            if value not in allowed:
                raise RenderError(f"{value!r} is not a {name} (allowed: {', '.join(allowed)})")
        for model in self.served_by_models().values():
            _check_weights(model)
        if self.device == "cuda" and not _has_cuda():
            raise RenderError("device cuda was asked for, but torch finds no CUDA device here")

    def served_by_models(self) -> dict[str, Path]:
        """Give the named folders by the family of pipelines that each serves. Raises RenderError."""
        found: dict[str, Path] = {}
        for model in self.models:
            family = _family(model)
            if family in found:
                raise RenderError(f"{found[family]} and {model} serve the same pipelines: name one of them")
            found[family] = model
        return found

    def configure(self, family: str) -> Configure:
        """Give the first message to the worker of one family's folder."""
        model = self.served_by_models().get(family)
        return Configure(
            family=family,
            model=None if model is None else str(model.resolve()),
            tiny_cache=str(self.tiny_cache or _cache_home() / "fauxvider"),
            device=self.device,
            dtype=self.dtype,
            # More threads cost a tiny model time, and another count gives other bytes.
            threads=1 if self.threads is None and model is None else self.threads,
            render_max_side=self.render_max_side,
            memory_fraction=self.memory_fraction,
        )

    def about(self) -> dict[str, Any]:
        """Say what kept pictures depend on besides their recipes."""
        names = sorted(f"{family}={model.name}" for family, model in self.served_by_models().items())
        return {"model": ", ".join(names) or "tiny", "render_max_side": self.render_max_side}


def _family(model: Path) -> str:
    """Say which pipelines a folder serves."""
    try:
        found = json.loads((model / "model_index.json").read_text(encoding="utf-8"))
        class_name = str(found["_class_name"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RenderError(f"{model} is not a pipeline folder: it has no readable model_index.json") from None
    for pipeline in PIPELINES.values():
        if class_name in pipeline.model_classes:
            return pipeline.family
    allowed = sorted({name for pipeline in PIPELINES.values() for name in pipeline.model_classes})
    raise RenderError(f"{model} holds a {class_name}, which no pipeline uses (allowed: {', '.join(allowed)})")


def _check_weights(model: Path) -> None:
    if not any(model.glob("*/*.safetensors")):
        pickled = any(model.glob("*/*.bin")) or any(model.glob("*/*.pt"))
        why = "only pickled weights, which are not loaded" if pickled else "no weights"
        raise RenderError(f"{model} has {why}: safetensors files are needed")


def _has_cuda() -> bool:
    # Asked in another process: torch is not loaded in this one.
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0  # noqa: S603 - our own text


def _cache_home() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return Path(home) if home else Path.home() / ".cache"
