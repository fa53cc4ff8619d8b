"""`fauxvider fuzz`: clients as processes, what is found and written, exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fauxvider.capsule import read_capsule, replay
from fauxvider.cli import _root
from fauxvider.errors import FauxviderError
from fauxvider.scenario.parse import read_scenario

CLIENTS = Path(__file__).parent / "fuzz_clients"


def _fuzz(*arguments: str) -> Result:
    return CliRunner().invoke(_root, ["fuzz", *arguments])


def _run(tmp_path: Path, client: str, *more: str) -> Result:
    out = str(tmp_path / "found")
    return _fuzz("--provider", "runpod", "--out", out, *more, "--", sys.executable, str(CLIENTS / client))


def test_a_naive_client_is_broken(tmp_path: Path) -> None:
    done = _run(tmp_path, "naive.py", "--max-examples", "30")
    assert done.exit_code == 1, done.output
    assert "The client broke after " in done.stdout
    assert "the run, for `fauxvider replay`" in done.stdout
    out = tmp_path / "found"
    assert sorted(path.name for path in out.iterdir()) == ["fuzz.capsule.json", "fuzz.yaml", "test_fuzz.py"]
    assert len(read_scenario(out / "fuzz.yaml").rules) == 1  # nothing in it that is not needed
    assert replay(read_capsule(out / "fuzz.capsule.json")).first_difference == ""


def test_what_was_found_can_be_run_again(tmp_path: Path) -> None:
    _run(tmp_path, "naive.py", "--max-examples", "30")
    scenario = str(tmp_path / "found" / "fuzz.yaml")
    again = _run(tmp_path, "naive.py", "--scenario", scenario)
    assert again.exit_code == 1
    assert "The client broke after 1 runs" in again.stdout
    mended = _run(tmp_path, "careful.py", "--scenario", scenario, "--ok-exit", "3")
    assert mended.exit_code == 0, mended.output


def test_a_careful_client_comes_through(tmp_path: Path) -> None:
    done = _run(tmp_path, "careful.py", "--max-examples", "6", "--ok-exit", "3")
    assert done.exit_code == 0, done.output
    assert "the client did well in all of them" in done.stdout
    assert not (tmp_path / "found").exists()


def test_a_client_that_fails_by_itself_is_told_so(tmp_path: Path) -> None:
    done = _fuzz("--provider", "runpod", "--out", str(tmp_path), "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.exit_code == 1, (done.output, done.exception)
    assert "it exited with 7, though nothing went wrong" in done.stdout


def test_a_client_that_does_not_end_is_ended(tmp_path: Path) -> None:
    code = "import threading; threading.Event().wait()"
    done = _fuzz("--provider", "runpod", "--out", str(tmp_path), "--timeout", "0.5", "--", sys.executable, "-c", code)
    assert done.exit_code == 1, (done.output, done.exception)
    assert "it had not ended after 0.5 s" in done.stdout


def test_what_the_client_leaves_undone_decides_too(tmp_path: Path) -> None:
    code = (
        "import json, os, urllib.request as u\n"
        "url = os.environ['FAUXVIDER_BASE_URL'] + '/v2/black-forest-labs-flux-1-dev/run'\n"
        "head = {'Authorization': 'Bearer ' + os.environ['FAUXVIDER_KEY'], 'Content-Type': 'application/json'}\n"
        "u.urlopen(u.Request(url, json.dumps({'input': {'prompt': 'a fox'}}).encode(), head)).read()\n"
    )
    done = _fuzz("--provider", "runpod", "--out", str(tmp_path), "--", sys.executable, "-c", code)
    assert done.exit_code == 1, (done.output, done.exception)
    assert "The client's faults: " in done.stdout


def test_the_environment_of_the_client(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "names = ['FAUXVIDER_' + name for name in ('BASE_URL', 'KEY', 'CALLBACK_URL', 'CALLBACK_PORT')]\n"
        "print(sorted(names) == sorted(name for name in os.environ if name in names))\n"
        "print(os.environ['FAUXVIDER_CALLBACK_URL'].split(':')[-1].startswith(os.environ['FAUXVIDER_CALLBACK_PORT']))\n"
        "raise SystemExit(1)\n"
    )
    done = _fuzz("--provider", "runpod", "--out", str(tmp_path), "--", sys.executable, "-c", code)
    assert "The last of what it wrote:\n  True\n  True\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--provider", "runpod", "--", "no-such-command-here"], "there is no command 'no-such-command-here' to run"),
        (["--provider", "nobody", "--", sys.executable], "no bundled provider 'nobody'"),
        (["--provider", "runpod", "--ignore", "manners", "--", sys.executable], "the verdict has no rule 'manners'"),
        (
            ["--provider", "runpod", "--", sys.executable, "-c", ""],
            "asked nothing of the address in FAUXVIDER_BASE_URL",
        ),
        (["--provider", "runpod", "--clock", "sundial", "--", sys.executable], "sundial"),
    ],
)
def test_wrong_input_is_named(arguments: list[str], problem: str) -> None:
    done = _fuzz(*arguments)
    assert isinstance(done.exception, FauxviderError)
    assert problem in str(done.exception)
    assert done.exception.exit_code == 2


def test_the_command_is_listed() -> None:
    shown = CliRunner().invoke(_root, ["--help"]).output
    assert "fuzz" in shown
    assert "breaks COMMAND" in shown
