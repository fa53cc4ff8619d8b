"""Servers that are killed, and what is left: the history of a run for `support.crash_checker`.

python -m support.crashes [--kills 500] [--seed 1]        (in tests/; some seconds a kill)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fauxvider import Receiver
from fauxvider.receiver import Received
from support.crash_checker import Attempt, History, Hit, violations
from support.crashing import MARKS

ROOT = Path(__file__).parents[1]
__all__ = ["JOBS", "killed"]

KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}
FLUX = "/v2/black-forest-labs-flux-1-dev"
JOBS = 6
SPEED = 200  # the clock's: a job and its whole ladder pass in a fifth of a second
RUNGS = 3


@contextmanager
def _served(store: Path, mark: str, number: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [
        sys.executable, "-m", "support.crashing", mark, str(number), "serve", "--provider", "runpod", "--json",
        "--port", "0", "--control-port", "0", "--clock", f"scaled:{SPEED}", "--store", f"sqlite:///{store}",
        "--limits", "off",
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            yield server, json.loads(line)["providers"]["runpod"]["base_url"] if line else ""
        finally:
            server.kill()


def _submit(base: str, hook: str) -> str | None:
    """Submit; None when the server died over it."""
    body = json.dumps({"input": {"prompt": "a lighthouse"}, "webhook": hook}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{base}{FLUX}/run", body, KEY), timeout=20) as answer:
            return str(json.loads(answer.read())["id"])
    except (OSError, ValueError):
        return None


def _history(store: Path, acknowledged: list[str], hits: list[Received], crashes: int) -> History:
    with closing(sqlite3.connect(store)) as rows:
        found = rows.execute("SELECT id, ended, fact FROM jobs").fetchall()
        jobs = {job: ended for job, ended, fact in found if json.loads(fact).get("address")}
        deliveries = [json.loads(fact) for (fact,) in rows.execute("SELECT fact FROM deliveries")]
        entries = [json.loads(entry) for (entry,) in rows.execute("SELECT entry FROM journal")]
    attempts = [
        Attempt(one["job_id"], made["number"], made["at"], one["due"], made["kind"], made.get("status"))
        for one in deliveries
        for made in one.get("attempts", [])
    ]
    attempts += [
        Attempt(entry["job"], entry["number"], entry["at"], 0, "interrupted")
        for entry in entries
        if entry["kind"] == "attempt" and entry["outcome"] == "interrupted"
    ]
    return History(
        acknowledged=acknowledged,
        stored=list(jobs),
        ended=[job for job, ended in jobs.items() if ended is not None],
        hits=[Hit(json.loads(one.body)["id"], one.body, int(one.answer or 0)) for one in hits],
        attempts=attempts,
        crashes=crashes,
        rungs=RUNGS,
    )


def killed(store: Path, kills: list[tuple[str, int]]) -> History:
    """Serve, be killed as told, serve again; at last let everything come to its end."""
    acknowledged: list[str] = []
    with Receiver(_answer) as receiver:
        for mark, number in [*kills, ("never", 0)]:
            with _served(store, mark, number) as (server, base):
                for _ in range(JOBS):
                    job = _submit(base, receiver.url + "/hook") if base else None
                    if job is None:
                        break
                    acknowledged.append(job)
                if mark != "never":
                    server.wait(30)
                    assert server.returncode == -9
                else:
                    _wait_for_the_end(base, acknowledged)
                    server.terminate()
                    server.wait(30)
        return _history(store, acknowledged, receiver.received, len(kills))


def _answer(received: Received) -> int:
    return 503 if received.number % 3 == 1 else 200


def _wait_for_the_end(base: str, acknowledged: list[str]) -> None:
    """Poll until every acknowledged job has ended, and the last ladder has had its time (asked of the clock)."""
    for job in acknowledged:
        while _status(base, job)["status"] not in ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"):
            pass
    last = _submit(base, "")
    assert last is not None
    for _ in range(12):  # each held request lasts ten virtual seconds at most: time enough for two more rungs
        _sync(base)


def _status(base: str, job: str) -> Any:
    with urllib.request.urlopen(
        urllib.request.Request(f"{base}{FLUX}/status/{job}", headers=KEY), timeout=20
    ) as answer:
        return json.loads(answer.read())


def _sync(base: str) -> None:
    body = json.dumps({"input": {"prompt": "time passes"}}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base}{FLUX}/runsync", body, KEY), timeout=20) as answer:
        answer.read()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill servers at random, and check what is left.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw, found, cut, acknowledged = random.Random(given.seed), 0, 0, 0
    for number in range(0, given.kills, 5):
        kills = [(draw.choice(list(MARKS)), draw.randint(1, 4)) for _ in range(min(5, given.kills - number))]
        with tempfile.TemporaryDirectory() as folder:
            history = killed(Path(folder) / "worlds.db", kills)
        wrong = violations(history)
        found += len(wrong)
        cut += sum(attempt.outcome == "interrupted" for attempt in history.attempts)
        acknowledged += len(history.acknowledged)
        print(
            f"{number + len(kills):>5} kills, {acknowledged} jobs acknowledged, {cut} attempts cut, {found} violations"
        )
        for text in wrong:
            print(f"      {kills}: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
