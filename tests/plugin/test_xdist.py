"""Beside pytest-xdist: a server for each worker, one seed for all, reports that come home."""

from __future__ import annotations

from typing import Any

TESTS = """
import json
import pathlib


@acme
@pytest.mark.parametrize("number", range(8))
def test_it(fauxvider, client, number, fauxvider_server, worker_id):
    client.submit()
    assert len(fauxvider.jobs()) == 1
    options = fauxvider_server.emulator.world(fauxvider.name).options
    told = {"seed": options.seed, "server": fauxvider_server.url, "worker": worker_id, "name": fauxvider.name}
    (pathlib.Path(__file__).parent / f"told-{number}.json").write_text(json.dumps(told))
"""


def told(suite: Any) -> list[dict[str, Any]]:
    import json

    return [json.loads(path.read_text()) for path in sorted(suite.path.glob("told-*.json"))]


def test_four_workers(suite: Any) -> None:
    suite.tests(TESTS)
    suite.run_apart("-n", "4").assert_outcomes(passed=8)
    spread = told(suite)
    assert len({one["server"] for one in spread}) == len({one["worker"] for one in spread}) > 1
    suite.run().assert_outcomes(passed=8)
    alone = told(suite)
    assert [(one["seed"], one["name"]) for one in spread] == [(one["seed"], one["name"]) for one in alone]


def test_a_random_seed_is_one_for_all(suite: Any) -> None:
    suite.tests("""
@acme
@pytest.mark.parametrize("number", range(6))
def test_it(fauxvider, number, pytestconfig, worker_id):
    from pytest_fauxvider.options import OPTIONS
    (pytestconfig.rootpath / f"seed-{number}").write_text(f"{pytestconfig.stash[OPTIONS].seed} {worker_id}")
""")
    result = suite.run_apart("-n", "2", "--fauxvider-seed=random", "--dist=each")
    result.assert_outcomes(passed=12)
    seeds = {path.read_text().split()[0] for path in suite.path.glob("seed-*")}
    assert len(seeds) == 1
    result.stdout.fnmatch_lines([f"fauxvider: *, seed {seeds.pop()}"])


def test_failures_are_told_at_home(suite: Any) -> None:
    suite.tests("@acme\ndef test_it(client):\n    client.submit()\n    assert False\n")
    result = suite.run_apart("-n", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*what the provider saw*", "*accepted job*", "replay:   fauxvider replay *"])
