"""The README says what is so: its examples are files, its commands parse, its tables are counted, its curl runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from fauxvider import cli, load_contract
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app
from fauxvider_contracts import provider_names
from support.fixtures import fixture_files

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARKED = re.compile(r"<!-- (?P<kind>[a-z ]+?)(?:: (?P<name>[^ ]+))? -->\n```\w+\n(?P<text>.*?)```\n", re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FAUXVIDER = Path(sys.executable).with_name("fauxvider")


def marked(kind: str) -> dict[str, str]:
    return {found["name"]: found["text"] for found in MARKED.finditer(README) if found["kind"] == kind}


def table(name: str) -> list[list[str]]:
    text = README if f"table: {name} " in README else (ROOT / "docs/control-plane.md").read_text(encoding="utf-8")
    rows = text.split(f"<!-- table: {name} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def command_lines() -> list[str]:
    """Every call of fauxvider in a shell block of the README and of CONTRIBUTING."""
    texts = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(texts) for line in block.splitlines()]
    calls = [re.search(r"(?:^|&& )(?:\.venv/bin/)?fauxvider ([^#&|]+)", line) for line in lines]
    return [call[1].strip() for call in calls if call]


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 230


def test_it_has_two_commands_of_one_line_each() -> None:
    commands = marked("command")
    assert set(commands) == {"run", "test"}
    assert all(text.count("\n") == 1 for text in commands.values())


def test_code_blocks_are_the_example_files() -> None:
    blocks = marked("file")
    assert "examples/ten_lines.py" in blocks
    for name, text in blocks.items():
        assert text == (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", command_lines())
def test_commands_are_understood(line: str) -> None:
    name, *arguments = shlex.split(line)
    group = cli._root
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), name)
    assert command is not None, name
    command.make_context(name, arguments)  # raises UsageError for an option that is not there


def test_all_commands_are_shown() -> None:
    assert {line.split()[0] for line in command_lines()} == set(cli._root.list_commands(click.Context(cli._root)))


def test_exit_codes_are_those_of_the_help() -> None:
    epilog = cli._root.epilog
    assert epilog
    assert epilog in README


def test_the_table_of_providers_is_counted() -> None:
    shown = {row[0].strip("`"): row[1:5] for row in table("providers")}
    counted = {}
    for name in provider_names():
        contract = load_contract(name)
        counts = (len(contract.models), len(contract.operations), len(contract.readings))
        counted[name] = [f"`{contract.api.url}`", *map(str, counts)]
    assert shown == counted


def test_as_many_cases_as_it_says() -> None:
    said = re.search(r"More than (\d+) documented cases", README)
    assert said
    assert len(fixture_files()) > int(said[1])


def test_the_table_of_the_control_plane_is_whole() -> None:
    emulator = build_emulator()
    guarded: Any = control_app(emulator, token="t", hosts=frozenset())._app
    routes = {f"`{method} {route.path}`" for route in guarded.routes for method in route.methods - {"HEAD"}}
    emulator.close()
    assert {row[0] for row in table("control")} == routes


@pytest.fixture
def served(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the README's ports are in this test; port -> port."""
    (tmp_path / ".venv").mkdir()
    command = [FAUXVIDER, "serve", "--token-file", ".venv/token", "--port", "0", "--control-port", "0", "--json"]
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        places = json.loads(process.stdout.readline())
        urls = places["providers"]["runpod"]["base_url"], places["control"]["url"]
        ports = [re.search(r":(\d+)", url.removeprefix("http")) for url in urls]
        receiver = str(free.getsockname()[1])
        free.close()
        yield dict(zip(("8900", "8901", "8902"), (*(port[1] for port in ports if port), receiver), strict=True))
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl and bash are needed")
def test_the_curl_lines_run(served: dict[str, str], tmp_path: Path) -> None:
    script = next(found["text"] for found in MARKED.finditer(README) if found["kind"] == "try it")
    # A loaded machine may need more than the second that a reader waits for the receiver.
    waits = f"until (: </dev/tcp/127.0.0.1/{served['8902']}) 2>/dev/null; do :; done"
    assert "sleep 1" in script
    script = script.replace("sleep 1", waits).replace(".venv/bin/fauxvider", shlex.quote(str(FAUXVIDER)))
    script = re.sub("890[012]", lambda port: served[port[0]], script)
    # set -m: what goes to the background is a job of its own, as in a terminal.
    bash = ["bash", "-euo", "pipefail", "-c", "set -m\n" + script]
    done = subprocess.run(bash, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert re.search(r'"status":"IN_(QUEUE|PROGRESS)"', done.stdout)
    assert '"status":"COMPLETED"' in done.stdout
    assert [done.stdout.count(f'"outcome":"{word}"') for word in ("http", "network")] == [2, 1]
    assert re.search(r'"attempt_count":3\b', done.stdout)
    assert re.findall(r"^(200|404)$", done.stdout, re.MULTILINE) == ["200", "404"]
    assert (tmp_path / "picture.jpeg").read_bytes().startswith(b"\xff\xd8")


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"]({page.name})" not in index] == ["README.md"]
