"""Finished pictures kept on disk, so that a run can be replayed byte for byte where there is no torch.

One folder belongs to one model and one setting of the render size; `about.json` says which. A
picture is kept as encoded, without metadata: the replaying run's own is put in when it is handed out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.protocol import Report

__all__ = ["Results"]

_FORMAT = 1


class Results:
    """A folder of pictures by recipe key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, about: dict[str, Any]) -> None:
        """Open the folder for keeping. Raises RenderError when it is another model's, or cannot be written."""
        wanted = {"format": _FORMAT, **about}
        path = self.folder / "about.json"
        if path.exists():
            found = self._about()
            if found != wanted:
                raise RenderError(f"the pictures in {self.folder} were made with {found}, not {wanted}")
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(path, json.dumps(wanted, indent=1).encode())
        except OSError as error:
            raise RenderError(f"no pictures can be kept in {self.folder}: {error.strerror}") from error

    def check(self) -> None:
        """Open the folder for replay. Raises RenderError when there is nothing to replay."""
        if not (self.folder / "about.json").is_file():
            raise RenderError(f"{self.folder} holds no kept pictures")
        if self._about().get("format") != _FORMAT:
            raise RenderError(f"the pictures in {self.folder} were kept by another version of fauxvider")

    def put(self, key: str, data: bytes, report: Report) -> None:
        """Keep a picture (as encoded) and how it was made."""
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "report": dataclasses.asdict(report)}
        folder = self._place(key)
        folder.mkdir(parents=True, exist_ok=True)
        self._write(folder / f"{key}.bin", data)
        self._write(folder / f"{key}.json", json.dumps(facts, indent=1).encode())  # last: it makes the entry whole

    def get(self, key: str) -> tuple[bytes, Report] | None:
        """Give a kept picture; None when there is none, or when its file is damaged."""
        folder = self._place(key)
        try:
            facts = json.loads((folder / f"{key}.json").read_bytes())
            data = (folder / f"{key}.bin").read_bytes()
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                return None
            return data, _report(facts["report"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _about(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / "about.json").read_bytes())
        except (OSError, ValueError) as error:
            raise RenderError(f"{self.folder / 'about.json'} cannot be read: {error}") from error
        return found if isinstance(found, dict) else {}

    def _place(self, key: str) -> Path:
        return self.folder / key[:2]

    def _write(self, path: Path, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)


def _report(fields: dict[str, Any]) -> Report:
    values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    report: Report = Report(**values)
    return report
