"""What is shipped: the wheel holds the three packages and nothing else, and can be built from the sdist."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    "fauxvider": ROOT / "emulator",
    "fauxvider_contracts": ROOT / "contracts",
    "pytest_fauxvider": ROOT / "pytest_plugin",
}


def kept(folder: Path) -> Iterator[Path]:
    """The files of a folder that are no tool's leavings."""
    tools = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
    return (path for path in folder.rglob("*") if path.is_file() and tools.isdisjoint(path.parts))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[zipfile.ZipFile, tarfile.TarFile]:
    """The wheel, built from the sdist, and the sdist, built from here."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    assert wheel.name == f"fauxvider-{PROJECT['project']['version']}-py3-none-any.whl"
    return zipfile.ZipFile(wheel), tarfile.open(sdist)


@pytest.fixture(scope="module")
def wheel(built: tuple[zipfile.ZipFile, tarfile.TarFile]) -> zipfile.ZipFile:
    return built[0]


@pytest.fixture(scope="module")
def sdist(built: tuple[zipfile.ZipFile, tarfile.TarFile]) -> set[str]:
    return {name.partition("/")[2] for name in built[1].getnames()}


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_holds_the_three_packages_whole_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    sources = {str(PurePosixPath(path.relative_to(folder))) for folder in PACKAGES.values() for path in kept(folder)}
    folders = [ROOT / "fixtures" / path.stem for path in (ROOT / "contracts").glob("*/providers/*.yaml")]
    cases = {path.relative_to(ROOT / "fixtures").as_posix() for folder in folders for path in kept(folder)}
    sources |= {f"fauxvider_contracts/cases/{case}" for case in cases}
    assert cases
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == sources


def test_the_wheel_holds_code_and_data_only(wheel: zipfile.ZipFile) -> None:
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert {PurePosixPath(name).suffix or name for name in names} - {".py", ".typed", ".yaml", ".json"} == set()
    assert {name for name in names if name.endswith(".typed")} == {f"{package}/py.typed" for package in PACKAGES}
    data = {name.partition("/")[0] for name in names if name.endswith((".yaml", ".json"))}
    assert data == {"fauxvider_contracts"}


def test_the_entry_points(wheel: zipfile.ZipFile) -> None:
    parser = ConfigParser()
    parser.read_string(metadata(wheel, "entry_points.txt"))
    declared = {"console_scripts": PROJECT["project"]["scripts"], **PROJECT["project"].get("entry-points", {})}
    assert {section: dict(parser[section]) for section in parser.sections()} == declared
    for target in (target for group in declared.values() for target in group.values()):
        module = target.partition(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist()), target


def test_the_metadata(wheel: zipfile.ZipFile) -> None:
    fields = HeaderParser().parsestr(metadata(wheel, "METADATA"))
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert metadata(wheel, "licenses/LICENSE").lstrip().startswith("Apache License")
    heavy = ("torch", "diffusers", "pytest", "hypothesis", "respx", "httpx")
    always = [need for need in fields.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert [need for need in always if need.startswith(heavy)] == []


def test_the_sdist_holds_what_the_tests_need(sdist: set[str]) -> None:
    folders = (
        "emulator",
        "contracts",
        "pytest_plugin",
        "tests",
        "fixtures",
        "examples",
        "benchmarks",
        "docs",
        "ci",
        ".ci",
    )
    for folder in folders:
        assert {str(PurePosixPath(path.relative_to(ROOT))) for path in kept(ROOT / folder)} <= sdist
    pages = {path.name for path in ROOT.glob("*.md")}
    assert {"pyproject.toml", "LICENSE", *pages} <= sdist


def test_the_sdist_holds_no_leavings(sdist: set[str]) -> None:
    parts = {part for name in sdist for part in name.split("/")}
    assert parts & {"__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".venv", "dist"} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_holds_one_package_and_nothing_else(package: str) -> None:
    """In an editable installation anything beside it could be imported."""
    assert {path.name for path in PACKAGES[package].iterdir()} - {"__pycache__"} == {package}
