"""What is told of a failed test, and what is kept of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAUXVIDER = Path(sys.executable).with_name("fauxvider")
FAILS = """
@acme
def test_fails(fauxvider, client):
    client.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x", "width": 1000}})
    job = client.submit()
    fauxvider.advance("10s")
    assert client.status(job)["status"] == "DONE"
"""
PASSES = "@acme\ndef test_passes(client):\n    client.submit()\n"


def kept_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_section(suite: Any) -> None:
    result = suite.run(text=FAILS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "*- fauxvider: what the provider saw -*",
        "world *: clock stepping:1ms, seed *, scenario none",
        "*+0.000s  client*POST /v2/acme-dev/run -> 422 (refused: param_*)",

        "*charged 0.020972 USD*",
        "*GET /v2/acme-dev/status/* -> 200 COMPLETED*",
        "Why requests were refused:",
        "  /input/width 1000 is not divisible by 64*; nearest 960, 1024",
        "The client's faults: *",
        "replay:   fauxvider replay .pytest_cache/*/run.capsule.json --contract *acme.yaml",
        "timeline: .pytest_cache/*/timeline.html",
    ])  # fmt: skip


def test_the_replay_line_can_be_pasted(suite: Any) -> None:
    text = suite.run(text=FAILS).stdout.str()
    found = re.search(r"^replay:   (fauxvider .*)$", text, re.MULTILINE)
    assert found
    command = shlex.split(found[1])
    done = subprocess.run(
        [str(FAUXVIDER), *command[1:]], cwd=suite.path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "identical: " in done.stdout


def test_a_long_story_is_told_by_its_end(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(client):
    for number in range(60):
        client.ask("GET", f"/v2/acme-dev/status/{number}")
    assert False
"""
    )
    result.stdout.fnmatch_lines(["(20 earlier lines are left out)", "*status/20 -> 404*", "*status/59 -> 404*"])


def test_a_key_that_is_refused_is_explained_and_not_shown(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.mark.fauxvider("acme", keys=["another-canary"])
def test_it(fauxvider):
    request = urllib.request.Request(fauxvider.base_url() + "/v2/acme-dev/run", b"{}", {"X-Api-Key": "the-canary"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=60)
    assert False
""".replace("\n@", "\nimport urllib.error\nimport urllib.request\n\n@", 1)
    )
    result.stdout.fnmatch_lines([
        "Why requests were refused:",
        "  the request to acme has its key in the header x-api-key, where it is not looked for; and the key is one that this world does not know (it knows 1 other) (*); wanted *<key>",
    ])  # fmt: skip
    told = result.stdout.str().partition("what the provider saw")[2]
    assert told
    assert "canary" not in told


def test_nothing_happened(suite: Any) -> None:
    result = suite.run(text="@acme\ndef test_it(fauxvider):\n    assert False\n")
    result.stdout.fnmatch_lines(["No request came, and nothing happened.", "The client did nothing wrong."])


def test_a_failure_in_another_fixture_s_set_up(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.fixture
def account(client):
    client.ask("GET", "/nowhere")
    raise OSError("no account")


@acme
def test_it(account):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*what the provider saw*", "*GET /nowhere -> 404*"])


@pytest.mark.parametrize("ends", ["assert False", 'urllib.request.urlopen(world.base_url() + "/nowhere")'])
def test_a_world_that_is_gone_when_the_report_is_made(suite: Any, ends: str) -> None:
    result = suite.run(
        text=f"""
import urllib.request


def test_it(fauxvider_server):
    with fauxvider_server.world("acme") as world:
        world.note("saved", text="a first thing")
        {ends}
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*fauxvider: what the provider saw", "E*world *", "E*saved*a first thing*"])
    assert result.stdout.str().count("what the provider saw") == 1


def test_a_world_of_a_wider_scope(suite: Any) -> None:
    result = suite.run(
        text="""
@pytest.fixture(scope="module")
def shared(fauxvider_server):
    with fauxvider_server.world("acme") as world:
        yield world


def test_it(shared):
    assert shared.jobs() == []


def test_other(shared):
    assert shared.provider == "acme"
"""
    )
    result.assert_outcomes(passed=2)


def test_a_test_without_a_world(suite: Any) -> None:
    result = suite.run(text="def test_it():\n    assert False\n")
    result.stdout.no_fnmatch_line("*what the provider saw*")


@pytest.mark.parametrize(
    ("trace", "kept"),
    [("off", []), ("retain-on-failure", ["fails"]), ("on", ["fails", "passes"])],
)
@pytest.mark.parametrize("how", ["line", "ini"])
def test_what_is_kept(suite: Any, trace: str, kept: list[str], how: str) -> None:
    args = [f"--fauxvider-trace={trace}", "--fauxvider-trace-dir=traces"] if how == "line" else []
    if how == "ini":
        suite.ini(f"fauxvider_trace = {trace}", "fauxvider_trace_dir = traces")
    result = suite.run(*args, text=FAILS + PASSES)
    result.assert_outcomes(failed=1, passed=1)
    files = kept_in(suite.path / "traces")
    assert sorted({name.partition("/")[0].partition("-")[0] for name in files}) == [f"test_{name}" for name in kept]
    assert {name.partition("/")[2] for name in files} == (
        {"journal.jsonl", "run.capsule.json", "timeline.html"} if kept else set()
    )
    for path in (suite.path / "traces").rglob("journal.jsonl"):
        assert {"request", "accepted"} <= {json.loads(line)["kind"] for line in path.read_text().splitlines()}
    if trace == "off":
        result.stdout.no_fnmatch_line("replay: *")
        result.stdout.fnmatch_lines(["*what the provider saw*"])


def test_a_test_that_passes_now_leaves_nothing_of_its_failure(suite: Any) -> None:
    suite.run("--fauxvider-trace-dir=traces", text=FAILS)
    assert kept_in(suite.path / "traces")
    suite.run("--fauxvider-trace-dir=traces", text=FAILS.replace("DONE", "COMPLETED")).assert_outcomes(passed=1)
    assert kept_in(suite.path / "traces") == []


def test_names_that_are_no_file_names(suite: Any) -> None:
    suite.run(
        "--fauxvider-trace-dir=traces",
        text='@pytest.mark.parametrize("x", ["a/../b", "?" * 200, "a b"])\ndef test_it(fauxvider, x):\n    assert False\n',
    )
    folders = sorted(path.name for path in (suite.path / "traces").iterdir())
    assert len(folders) == 3
    assert all(re.fullmatch(r"test_it-[\w.-]*-[0-9a-f]{8}", name) and len(name) < 80 for name in folders)


def test_without_pytest_s_cache(suite: Any) -> None:
    suite.run("-p", "no:cacheprovider", text=FAILS).stdout.fnmatch_lines([
        "replay:   fauxvider replay .fauxvider/test_fails-*/run.capsule.json *"
    ])  # fmt: skip


def test_a_capsule_that_cannot_be_made(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(fauxvider, client):
    job = client.submit()
    client.ask("GET", "/v2/acme-dev/status/key-that-is-long-enough")
    fauxvider.note("saved", job=job, text="with key-that-is-long-enough")
    fauxvider.server.call(spoil(fauxvider))
    assert False


async def spoil(world):
    world.server.emulator.world(world.name).tape = None
"""
    )
    result.stdout.fnmatch_lines(["replay:   not possible, the world * is not recorded: *", "timeline: *"])


def test_what_cannot_be_told_does_not_hide_the_failure(suite: Any) -> None:
    result = suite.run(
        text="""
@acme
def test_it(fauxvider, monkeypatch):
    monkeypatch.setattr(fauxvider, "report", None)
    assert False, "the reason"
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the reason*", "This could not be told: TypeError: *"])


def test_a_report_for_machines_names_the_files(suite: Any) -> None:
    suite.run("--junitxml=report.xml", "-o", "junit_family=xunit1", text=FAILS)
    report = (suite.path / "report.xml").read_text()
    assert re.search(r'<property name="fauxvider_capsule" value="[^"]*/run.capsule.json" />', report)


def test_hypothesis_and_a_world_a_test(suite: Any) -> None:
    result = suite.run(
        text="""
from hypothesis import given, strategies as st


@given(number=st.integers())
def test_it(fauxvider, number):
    pass
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "*uses a function-scoped fixture*",
        "*- fauxvider and Hypothesis -*",
        "*@given_world*from pytest_fauxvider import given_world",
        "*with fauxvider_server.world(*",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*what the provider saw*")
