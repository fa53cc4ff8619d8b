"""What is loaded when, and what the package gives."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _loaded(code: str, *names: str) -> list[str]:
    """Run code in a fresh interpreter; give which of these modules it has loaded."""
    script = f"import sys\n{code}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


HEAVY = (
    "starlette",
    "uvicorn",
    "jsonschema",
    "jsonschema_rs",
    "PIL",
    "yaml",
    "orjson",
    "h11",
    "click",
    "asyncio",
    "torch",
)


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded("import fauxvider", *HEAVY) == []
    assert _loaded("import fauxvider; fauxvider.Server", "uvicorn") == ["uvicorn"]  # the names are there all the same


def test_the_server_does_without_the_slow_validator_and_the_pipelines() -> None:
    slow = ("torch", "diffusers", "transformers", "jsonschema", "numpy", "pytest", "hypothesis", "httpx")
    assert _loaded("import fauxvider.server.app", *slow) == []


def test_the_command_line_loads_a_command_when_it_runs() -> None:
    quiet = "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):"
    code = f"import fauxvider.cli, contextlib, io\n{quiet}\n    fauxvider.cli._root(['--help'])"
    assert _loaded(code, "uvicorn", "starlette", "PIL", "yaml", "torch") == []


@pytest.mark.parametrize("name", ["NoSuchThing", "_private"])
def test_an_unknown_name_of_the_package(name: str) -> None:
    import fauxvider

    with pytest.raises(AttributeError, match=name):
        getattr(fauxvider, name)
    assert set(fauxvider.__all__) == {name for name in fauxvider.__all__ if getattr(fauxvider, name) is not None}
