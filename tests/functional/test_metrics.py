"""Metrics: what has happened is counted, in bounded labels without secrets; off costs nothing, and needs nothing."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fauxvider.cli import main
from fauxvider.server.build import build_emulator
from fauxvider.service.options import read_options
from support.canaries import SECRETS, busy
from support.inprocess import InProcess
from support.patience import until
from support.process import Process, serving_process
from support.receiver import Receiver

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(server: Process) -> tuple[Samples, str]:
    status, text = server.ask("/metrics")
    assert status == 200
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return found, text


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"fauxvider_{name}", tuple(sorted(labels.items()))), 0.0)


def total(samples: Samples, name: str) -> float:
    return sum(number for (known, _), number in samples.items() if known == f"fauxvider_{name}")


def test_what_happened_is_counted(tmp_path: Path) -> None:
    store = tmp_path / "worlds.db"
    with (
        Receiver([503, 200]) as receiver,
        serving_process("--clock", "manual", "--metrics", "--store", f"sqlite:///{store}") as server,
    ):
        until(lambda: value(scraped(server)[0], "store_commit_seconds_count"))  # the world's own first
        before, _ = scraped(server)
        assert total(before, "requests_total") == 0
        assert value(before, "worlds") == 1
        busy(server, receiver.url)
        server.ask("/worlds", {"name": "second"})
        samples, text = scraped(server)
        server.popen.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "", "")
    mine = {"provider": "runflow"}
    created = {**mine, "operation": "create_run"}
    answers = [value(samples, "requests_total", **created, status=status) for status in ("2xx", "4xx")]
    assert min(answers) >= 1
    assert value(samples, "request_seconds_count", **created) == sum(answers) == 3
    assert value(samples, "strays_total") == 1
    accepted = value(samples, "jobs_total", **mine, state="accepted")
    assert accepted >= 1
    assert sum(value(samples, "jobs_total", **mine, state=state) for state in ("succeeded", "failed")) == accepted
    assert value(samples, "callback_attempts_total", **mine, outcome="5xx") == 1
    assert value(samples, "callback_attempts_total", **mine, outcome="2xx") == 1
    assert value(samples, "callback_seconds_count", **mine) == total(samples, "callback_attempts_total")
    assert (value(samples, "worlds"), value(samples, "callbacks_in_flight")) == (2, 0)
    assert value(samples, "store_commit_seconds_count") > value(before, "store_commit_seconds_count")
    assert value(samples, "store_commit_seconds_sum") > 0
    assert total(samples, "build_info") == 1
    assert ("process_open_fds", ()) in samples or sys.platform != "linux"
    with closing(sqlite3.connect(store)) as rows:
        (jobs,) = rows.execute("SELECT count(*) FROM jobs").fetchone()
    assert accepted == jobs
    assert [name for name, secret in SECRETS.items() if secret in text] == []
    labels = {name for _, pairs in samples for name, _ in pairs}
    assert labels == {"provider", "operation", "status", "le", "state", "outcome", "version"}
    words = {word for _, pairs in samples for name, word in pairs if name not in ("le", "version")}
    assert not words & {"default", "second", "mine"}  # no worlds


def test_it_asks_for_the_token_and_is_there_only_when_asked_for() -> None:
    with serving_process("--metrics") as server:
        assert server.ask(f"{server.control}/metrics")[0] == 401
        assert server.ask(f"{server.root}/metrics")[0] == 404
        token = {"Authorization": f"Bearer {server.places['control']['token']}"}
        request = urllib.request.Request(
            f"{server.control}/metrics", headers={**token, "Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.headers["content-type"].startswith("application/openmetrics-text")
            assert answer.read().endswith(b"# EOF\n")
    with serving_process() as server:
        assert server.ask("/metrics")[0] == 404


def test_without_the_extra_one_line_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["fauxvider", "serve", "--metrics", "--port", "0", "--control-port", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err == "fauxvider: --metrics needs prometheus-client: pip install 'fauxvider[metrics]'\n"


def test_nothing_of_it_is_loaded_unless_asked_for() -> None:
    code = "import sys, fauxvider.cli.serve; print(*[name for name in sys.modules if 'prometheus' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def _metrics(host: InProcess) -> Any:
    from fauxvider.server.metrics import Metrics
    from fauxvider.server.watched import have_watched

    made = Metrics(host.emulator)
    have_watched(host.emulator, [made])
    return made


def test_what_is_overdue_on_a_running_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    with InProcess() as host:
        metrics = _metrics(host)
        for clock in ("scaled:1000", "manual"):
            world = host.world(clock=clock, name=clock.partition(":")[0])
            monkeypatch.setattr(type(world), "_arm", lambda self: None)  # its timer never rings
            base = host.base(world, "runpod")
            body = {"input": {"prompt": "a"}}
            headers = {"authorization": "Bearer k"}
            url = f"{base}/v2/black-forest-labs-flux-1-dev/run"
            assert host.request("POST", url, headers=headers, json_body=body).status == 200
        due = host.emulator.world("scaled").next_due()
        clock_of = host.emulator.world("scaled").clock
        monkeypatch.setattr(type(clock_of), "now", lambda self: due + 2_500_000 if self is clock_of else due)
        metrics.refresh()
        assert metrics.registry.get_sample_value("fauxvider_due_late_seconds") == pytest.approx(2.5)
        assert metrics.registry.get_sample_value("fauxvider_worlds") == 3


def test_journal_entries_that_give_way_are_counted() -> None:
    with InProcess() as host:
        metrics = _metrics(host)
        world = host.world(name="long")
        for _ in range(10_003):
            world.journal.add(0, "note", ("said",), ("saved",))
        assert world.journal.dropped == 3
        assert metrics.registry.get_sample_value("fauxvider_journal_dropped_total") == 3


def test_a_watch_is_not_asked_for_by_default() -> None:
    emulator = build_emulator(providers=["runpod"])
    assert emulator.settings.watch is None
    emulator.make_world("x", read_options({}, emulator.default_contracts, defaults=emulator.defaults))
    assert emulator.world("x").journal._sink is None
    emulator.close()


SHARED = """
import json, sys
from fauxvider.server.build import build_emulator
from fauxvider.server.metrics import Metrics
metrics = Metrics(build_emulator(providers=["runpod"]))
for _ in range(int(sys.argv[1])):
    metrics.event("stray")
metrics.refresh()
if sys.argv[2] == "show":
    import asyncio
    class Asked:
        headers = {}
    print(asyncio.run(metrics.show(Asked())).body.decode())
else:
    print("counted", flush=True)
    sys.stdin.read()
"""


def test_several_processes_count_together(tmp_path: Path) -> None:
    """Counters of all, also of those that have ended; of what stands, that of the living alone."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def start(count: int, what: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SHARED, str(count), what]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    with start(2, "stay") as living, start(3, "stay") as killed:
        for process in (living, killed):
            assert process.stdout is not None
            assert process.stdout.readline() == "counted\n"
        killed.kill()
        killed.wait(60)
        with start(5, "show") as asked:
            text, _ = asked.communicate(timeout=60)
        living.communicate(timeout=60)
    samples = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    assert samples["fauxvider_strays_total"] == 10
    assert samples["fauxvider_worlds"] == 2


def test_the_page_lists_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = page.partition("<!-- table: metrics -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    listed = {row.split("|")[1].strip(" `"): set(re.findall(r"`(\w+)`", row.split("|")[2])) for row in rows}
    with InProcess() as host:
        found = {}
        for collector in _metrics(host).registry._collector_to_names:
            for family in collector.describe() if hasattr(collector, "describe") else ():
                name = f"{family.name}_total" if family.type == "counter" else family.name
                found[name] = set(collector._labelnames)
    found = {name: labels for name, labels in found.items() if name.startswith("fauxvider_")}
    assert listed == found
