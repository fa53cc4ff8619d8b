"""The public API as a user's type checker sees it, from what is installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import fauxvider
import pytest_fauxvider

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE.parents[1] / "examples").glob("*.py"))


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy comes with the dev extra")
def test_mypy_understands_a_users_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path)]
    files = [str(path) for path in (HERE / "usage.py", HERE / "plugin_usage.py", *EXAMPLES)]
    # The user's folder is not ours: nothing is found there that is not installed.
    done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout.strip(), done.stderr) == (f"Success: no issues found in {len(files)} source files", "")


PACKAGES = pytest.mark.parametrize(
    ("package", "file"), [(fauxvider, "usage.py"), (pytest_fauxvider, "plugin_usage.py")], ids=["emulator", "plugin"]
)


@PACKAGES
def test_every_public_name_is_used_here(package: ModuleType, file: str) -> None:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    used = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert set(package.__all__) <= used


@PACKAGES
def test_every_public_name_is_there(package: ModuleType, file: str) -> None:
    assert list(package.__all__) == sorted(package.__all__), file
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = package.NoSuchThing
