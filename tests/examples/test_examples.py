"""Every example runs by itself, with warnings as errors, and prints what it is there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHOWN = {
    "callbacks": ["attempt 1  +0s  503", "attempt 3  +3s  200", "succeeded; the same bytes each time: True"],
    "async_doors": ["{'COMPLETED': 10}", "example.com was not reached", "the world moved by 6.0 s"],
    "no_sleeping": ["slept [2.0, 2.0, 2.0] and the world moved by 6.0 s", "a JPEG came: True"],
    "strategies": [
        "polls for ever at: TIMED_OUT",
        "dies of a callback with: FAILED",
        "every size is a multiple of 64",
    ],
    "ten_lines": ["IN_QUEUE -> COMPLETED 0.02097152 USD", "image/jpeg -> 404"],
    "worlds": ["flat             0.025", "legacy_per_mp_03 0.03145728", "an unlisted key  HTTP 401"],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.splitlines()
    assert [line for line in printed if line in SHOWN.get(path.stem, printed)] == SHOWN.get(path.stem, printed)


def test_the_readme_quotes_what_is_printed() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line for line in SHOWN["ten_lines"] if f"`{line}`" not in readme] == []
