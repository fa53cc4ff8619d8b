"""The heavy libraries, untyped: importing this module loads torch, so only the worker's side does."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["diffusers", "tokenizers", "torch", "transformers"]

torch: Any = import_module("torch")
diffusers: Any = import_module("diffusers")
transformers: Any = import_module("transformers")
tokenizers: Any = import_module("tokenizers")
