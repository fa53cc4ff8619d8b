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

_NEEDED = ("torch", "diffusers", "transformers", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``model`` is a local pipeline folder, or None for the tiny models; the others can stay as they are.

    A folder serves the pipelines of its own family; the tiny models serve the rest. ``results`` keeps
    every picture in that folder; with ``replay`` pictures come from there and no worker is started.
    ``render_max_side`` bounds the size that models work at (None: 256 for tiny models, else no
    bound); files always have the size asked for. Spans are seconds of real time.
    """

    model: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    render_max_side: int | None = None
    threads: int | None = None
    memory_fraction: float | None = None
    tiny_cache: Path | None = None
    results: Path | None = None
    replay: bool = False
    max_queue: int = 64
    deadline_s: float = 300.0
    cancel_s: float = 30.0  # a cancelled job's worker that has not stopped by then is ended
    start_timeout_s: float = 120.0

    def check(self) -> None:
        """Raise RenderError, in one line, for what can be seen to be wrong from here."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise RenderError(f"real pipelines need {', '.join(missing)}: pip install 'fauxvider[gpu]'")
        if self.model is not None:
            self.served_by_model()
            self._check_weights(self.model)
        if self.device == "cuda" and not _has_cuda():
            raise RenderError("device cuda was asked for, but torch finds no CUDA device here")

    def served_by_model(self) -> tuple[str, ...]:
        """Name the pipelines that the model folder serves. Raises RenderError when it serves none."""
        if self.model is None:
            return ()
        index = self.model / "model_index.json"
        try:
            found = json.loads(index.read_text(encoding="utf-8"))
            class_name = str(found["_class_name"])
        except (OSError, ValueError, KeyError, TypeError):
            raise RenderError(f"{self.model} is not a pipeline folder: it has no readable model_index.json") from None
        names = tuple(name for name, pipeline in PIPELINES.items() if class_name in pipeline.model_classes)
        if not names:
            allowed = sorted({name for pipeline in PIPELINES.values() for name in pipeline.model_classes})
            raise RenderError(
                f"{self.model} holds a {class_name}, which no pipeline uses (allowed: {', '.join(allowed)})"
            )
        return names

    def configure(self) -> Configure:
        """Give the worker's first message."""
        served = self.served_by_model()
        folders = {name: str(self.model.resolve()) if self.model and name in served else "tiny" for name in PIPELINES}
        tiny_only = self.model is None
        return Configure(
            folders=folders,
            tiny_cache=str(self.tiny_cache or _cache_home() / "fauxvider"),
            device=self.device,
            dtype=self.dtype,
            # More threads cost a tiny model time, and another count gives other bytes.
            threads=1 if self.threads is None and tiny_only else self.threads,
            render_max_side=self.render_max_side,
            memory_fraction=self.memory_fraction,
        )

    def about(self) -> dict[str, Any]:
        """Say what kept pictures depend on besides their recipes."""
        return {"model": self.model.name if self.model else "tiny", "render_max_side": self.render_max_side}

    def _check_weights(self, model: Path) -> None:
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
