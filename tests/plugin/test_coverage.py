"""`--fauxvider-coverage`: the table, the files, the figure that fails a run, over workers too."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fauxvider.service.journal import Journal

TESTS = """
@acme
def test_run(fauxvider, client):
    job = client.submit()
    fauxvider.advance("10s")
    client.status(job)


@acme
def test_refused(client):
    client.ask("GET", "/v2/acme-dev/status/nobody")


def test_no_provider():
    pass
"""


def report(suite: Any, folder: str = "fauxvider-coverage") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((suite.path / folder / "coverage.json").read_text())
    return found


def test_the_table_and_the_files(suite: Any) -> None:
    result = suite.run("--fauxvider-coverage", text=TESTS)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([
        "*= fauxvider: contract coverage =*",
        "provider  what        faced  of   %  never faced",
        "acme      operations      2  * runsync, stream, cancel, *",
        "          states          2  * IN_PROGRESS, FAILED, *",
        "all *",
        "written to *fauxvider-coverage/index.html and coverage.json",
    ])  # fmt: skip
    found = report(suite)
    assert list(found["providers"]) == ["acme"]  # the others are served, and nobody used them
    assert found["providers"]["acme"]["operations"]["items"]["status"]["times"] == 2
    assert found["providers"]["acme"]["errors"]["items"]["job_unknown"]["times"] == 1
    assert found["providers"]["acme"]["outcomes"]["items"]["succeeded"]["times"] == 1
    page = (suite.path / "fauxvider-coverage" / "index.html").read_text()
    assert "job_unknown<i>1</i>" in page


def test_without_the_option_nothing_is_counted(suite: Any) -> None:
    result = suite.run(text=TESTS)
    result.stdout.no_fnmatch_line("*contract coverage*")
    assert not (suite.path / "fauxvider-coverage").exists()


@pytest.mark.parametrize("how", ["line", "ini", "toml"])
def test_where_it_goes(suite: Any, how: str) -> None:
    args = ["--fauxvider-coverage", "--fauxvider-coverage-dir=out/faced"] if how == "line" else []
    if how == "ini":
        suite.ini("fauxvider_coverage = true", "fauxvider_coverage_dir = out/faced")
    if how == "toml":
        suite.toml("fauxvider_coverage = true", "fauxvider_coverage_dir = 'out/faced'")
    suite.run(*args, text=TESTS).assert_outcomes(passed=3)
    assert report(suite, "out/faced")["faced"] > 0


@pytest.mark.parametrize("how", ["line", "ini", "toml"])
def test_too_little_fails_the_run(suite: Any, how: str) -> None:
    args = ["--fauxvider-coverage-fail-under=90.5"] if how == "line" else []
    if how == "ini":
        suite.ini("fauxvider_coverage_fail_under = 90.5")
    if how == "toml":
        suite.toml("fauxvider_coverage_fail_under = 90.5")
    result = suite.run(*args, text=TESTS)
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED: * % was faced, less than 90.5 %"])


def test_enough_does_not(suite: Any) -> None:
    suite.run("--fauxvider-coverage", text=TESTS)
    percent = report(suite)["percent"]
    assert suite.run(f"--fauxvider-coverage-fail-under={percent - 0.1}").ret == 0
    assert suite.run(f"--fauxvider-coverage-fail-under={percent + 0.1}").ret == 1


def test_what_does_not_count_is_left_out(suite: Any) -> None:
    suite.ini("fauxvider_coverage_omit =", "    acme/readings/*", "    */operations/secret*")
    suite.run("--fauxvider-coverage", text=TESTS)
    found = report(suite)
    assert "readings" not in found["providers"]["acme"]
    assert not [name for name in found["providers"]["acme"]["operations"]["items"] if name.startswith("secret")]
    assert found["omitted"] == ["acme/readings/*", "*/operations/secret*"]


def test_a_provider_that_is_named_counts_also_without_a_request(suite: Any) -> None:
    suite.run(
        "--fauxvider-coverage", text=f'{TESTS}\n\n@pytest.mark.fauxvider("runpod")\ndef test_n(fauxvider):\n    pass\n'
    )
    found = report(suite)
    assert list(found["providers"]) == ["acme", "runpod"]
    assert found["providers"]["runpod"]["operations"]["faced"] == 0


def test_worlds_that_no_fixture_made_count_too(suite: Any) -> None:
    suite.run(
        "--fauxvider-coverage",
        text="""
from fauxvider import LocalServer


def test_it(pytestconfig):
    with LocalServer(contracts=pytestconfig.getini("fauxvider_contracts"), clock="manual") as server:
        with server.world() as world:
            server.request("GET", world.base_url("acme") + "/v2/me", headers={"Authorization": "Bearer k"})
        server.request("GET", server.base_url("acme") + "/v2/models", headers={"Authorization": "Bearer k"})
""",
    )
    items = report(suite)["providers"]["acme"]["operations"]["items"]
    assert (items["me"]["times"], items["models"]["times"]) == (1, 1)


def test_no_provider_at_all(suite: Any) -> None:
    result = suite.run("--fauxvider-coverage", text="def test_it():\n    pass\n")
    result.stdout.fnmatch_lines(["No test used a provider."])
    assert result.ret == 0
    result = suite.run("--fauxvider-coverage-fail-under=1")
    result.stdout.fnmatch_lines(["FAILED: 0.0 % was faced, less than 1 %"])
    assert result.ret == 1


def test_it_is_not_reported_where_nothing_was_run(suite: Any) -> None:
    result = suite.run("--fauxvider-coverage", "--collect-only", text=TESTS)
    result.stdout.no_fnmatch_line("*contract coverage*")


def test_workers_add_up(suite: Any) -> None:
    suite.tests(TESTS)
    suite.run_apart("--fauxvider-coverage").assert_outcomes(passed=3)
    alone = report(suite)
    result = suite.run_apart("--fauxvider-coverage", "--fauxvider-coverage-fail-under=99", "-n", "2")
    result.assert_outcomes(passed=3)
    assert report(suite) == alone
    assert result.ret == 1
    text = result.stdout.str()
    assert text.count("fauxvider: contract coverage") == 1
    assert re.search(r"FAILED: [\d.]+ % was faced, less than 99 %", text)


def test_a_worker_that_dies_is_told_of(suite: Any) -> None:
    suite.tests(f"{TESTS}\n\ndef test_dies():\n    import os\n    os._exit(1)\n")
    result = suite.run_apart("--fauxvider-coverage", "-n", "1", "--max-worker-restart=0")
    result.stdout.fnmatch_lines(["what these workers counted is missing: gw0"])


def test_a_run_that_stops_early_is_counted_all_the_same(suite: Any) -> None:
    result = suite.run(
        "--fauxvider-coverage", "-x", text=TESTS.replace("client.status(job)", "client.status(job); assert False")
    )
    result.assert_outcomes(failed=1)
    assert report(suite)["providers"]["acme"]["operations"]["items"]["run"]["times"] == 1


def test_what_a_cap_has_dropped_is_told_of(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal.__init__, "__defaults__", (3,))
    result = suite.run("--fauxvider-coverage", text=TESTS)
    result.stdout.fnmatch_lines(["* journal entries were dropped by a cap and not counted"])
