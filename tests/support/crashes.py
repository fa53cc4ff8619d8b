"""Servers that are killed or stopped, and what is left: the history of a run for `support.crash_checker`.

python -m support.crashes [--store sqlite|valkey] [--workers 4] [--kills 500] [--seed 1]      (in tests/; seconds a kill)
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Timer
from typing import Any

from fauxvider import Receiver
from fauxvider.receiver import Received
from support.crash_checker import History, Hit, violations
from support.crash_stores import Kept, ValkeyKept, opened
from support.crashing import MARKS, ORDERS

ROOT = Path(__file__).parents[1]
__all__ = ["JOBS", "Fault", "Run", "run"]

KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}
FLUX = "/v2/black-forest-labs-flux-1-dev"
WORLDS = ("a", "b", "c", "d")
MANUAL = "manual"  # a world whose clock is moved by hand
JOBS = 8  # submitted for each fault, at least
LADDER = (10_000, 10_000)
SPEED = 200  # the clocks': a job and its whole ladder pass in a fifth of a second
LEASE_S = 0.5
_ROUNDS = 12  # of jobs, for a fault to come about
_PATIENCE_S = 3  # of a client


@dataclass(frozen=True)
class Fault:
    """What befalls whom. `victim`: worker, parent or all (of several) are killed; one is stopped past its lease
    (stopped); the store is killed and started again, or answers nobody for a while (store killed, store stalled).

    `mark` and `occasion` say where; "" is somewhere, from outside.
    """

    victim: str
    mark: str = ""
    occasion: int = 1


@dataclass
class Run:
    """What a run has seen."""

    history: History
    carried_out: int  # faults that came about


@dataclass
class _Orders:
    """The file by which servers get to know what is to befall them."""

    path: Path
    number: int = 0

    def give(self, fault: Fault) -> None:
        self.number += 1
        order = {"number": self.number, "mark": fault.mark, "occasion": fault.occasion, "victim": fault.victim}
        fresh = self.path.with_suffix(".fresh")
        fresh.write_text(json.dumps(order))
        fresh.replace(self.path)

    def take_back(self) -> None:
        self.path.write_text("{}")

    def carried_out_by(self) -> int:
        """Give the process that has carried out the last order, 0 if none has."""
        with contextlib.suppress(OSError, ValueError):
            return int(Path(f"{self.path}.{self.number}").read_text())
        return 0


@dataclass
class _Servers:
    """`fauxvider serve`, which may die."""

    store: Kept
    workers: int
    orders: _Orders
    popen: subprocess.Popen[str] | None = None
    places: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        command = [
            sys.executable, "-m", "support.crashing", "serve", "--provider", "runpod", "--json", "--port", "0",
            "--control-port", "0", "--store", self.store.url, "--workers", str(self.workers),
        ]  # fmt: skip
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        with self.orders.path.with_suffix(".err").open("a") as log:
            self.popen = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": path, ORDERS: str(self.orders.path)},
                start_new_session=True,
            )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise AssertionError(f"the server does not start: {self.orders.path.with_suffix('.err').read_text()}")
        self.places = json.loads(line)

    def ensure(self, *, is_dead: bool) -> None:
        """Start it again if it is (or must soon be) dead."""
        assert self.popen is not None
        if is_dead:
            self.popen.wait(30)
        if self.popen.poll() is not None:
            self.stop()
            self.start()

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.popen is not None:
            self.popen.send_signal(number)
            self.popen.wait(60)
            if self.popen.stdout is not None:
                self.popen.stdout.close()
            with contextlib.suppress(OSError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Give the processes that serve."""
        assert self.popen is not None
        if self.workers == 1:
            return [self.popen.pid]
        pid, found = self.popen.pid, []
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def ask(self, url: str, body: Any = None, headers: dict[str, str] = KEY, patience_s: float = _PATIENCE_S) -> Any:
        """Give the answer, None if there was none, or none that says that it is done."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=patience_s) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def control(self, path: str, body: Any = None, patience_s: float = _PATIENCE_S) -> Any:
        place = self.places["control"]
        headers = {"Authorization": f"Bearer {place['token']}", "Content-Type": "application/json"}
        return self.ask(place["url"] + path, body, headers, patience_s)

    def base(self, world: str) -> str:
        return str(self.places["providers"]["runpod"]["base_url"]).rpartition("/")[0] + f"/w/{world}/runpod{FLUX}"


class _Crashes:
    """One run: jobs are submitted from several threads while faults befall servers and store."""

    def __init__(self, store: Kept, workers: int, folder: Path, draw: random.Random) -> None:
        self.store = store
        self.draw = draw
        self.orders = _Orders(folder / "orders")
        self.servers = _Servers(store, workers, self.orders)
        self.acknowledged: list[str] = []
        self.moved: list[int] = []
        self.carried_out = 0
        self.hook = ""
        self.serial = itertools.count(1)

    def go(self, faults: Sequence[Fault]) -> Run:
        with Receiver(_answer) as receiver, ThreadPoolExecutor(4) as threads:
            self.hook = receiver.url + "/hook"
            self.servers.start()
            try:
                for seed, name in enumerate((*WORLDS, MANUAL)):
                    clock = "manual" if name == MANUAL else f"scaled:{SPEED}"
                    options = {"name": name, "clock": clock, "seed": seed, "limits": "off"}
                    made = self.servers.control("/worlds", options, patience_s=60)
                    assert made is not None, self.orders.path.with_suffix(".err").read_text()
                for fault in faults:
                    self._befall(fault, threads)
                self._work(threads)
                self._finish()
                self.servers.stop(signal.SIGTERM)
            finally:
                self.servers.stop()
            return Run(self._history(receiver.received, len(faults)), self.carried_out)

    # --- work

    def _submit(self, world: str) -> None:
        body = {"input": {"prompt": f"a lighthouse, {next(self.serial)}"}, "webhook": f"{self.hook}/{world}"}
        answer = self.servers.ask(self.servers.base(world) + "/run", body)
        if answer is not None:
            self.acknowledged.append(f"{world}/{answer['id']}")

    def _move(self) -> None:
        answer = self.servers.control(f"/worlds/{MANUAL}/clock/advance", {"by": "4s"})
        if answer is not None:
            self.moved.append(answer["now"])

    def _work(self, threads: ThreadPoolExecutor) -> None:
        worlds = [WORLDS[number % len(WORLDS)] for number in range(JOBS - 1)]
        work = [threads.submit(self._submit, world) for world in [*worlds, MANUAL]]
        self._move()
        for one in work:
            one.result()

    # --- faults

    def _befall(self, fault: Fault, threads: ThreadPoolExecutor) -> None:
        if fault.victim.startswith("store"):
            self._befall_store(fault, threads)
        elif fault.mark:
            self._order(fault, threads)
        else:
            self._strike(fault, threads)

    def _befall_store(self, fault: Fault, threads: ThreadPoolExecutor) -> None:
        with ThreadPoolExecutor(1) as striking:
            struck = striking.submit(self.store.befall, fault.victim)
            self._work(threads)
            struck.result()
        self._work(threads)
        self.carried_out += 1

    def _order(self, fault: Fault, threads: ThreadPoolExecutor) -> None:
        """Have a process do it to itself (or its like) where the fault says."""
        self.orders.give(fault)
        pid = 0
        for _ in range(_ROUNDS):
            self._work(threads)
            if pid := self.orders.carried_out_by():
                break
        self.orders.take_back()
        pid = pid or self.orders.carried_out_by()
        if pid:
            self.carried_out += 1
            self._repair(fault, pid, threads)

    def _strike(self, fault: Fault, threads: ThreadPoolExecutor) -> None:
        """Do it from outside, in the middle of something."""
        processes, parent = self.servers.processes(), self.servers.popen
        assert parent is not None
        pid = self.draw.choice(processes)
        doomed = {"parent": [parent.pid], "all": [parent.pid, *processes]}.get(fault.victim, [pid])

        def strike() -> None:
            for one in doomed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGSTOP if fault.victim == "stopped" else signal.SIGKILL)

        striking = Timer(self.draw.uniform(0, 0.06), strike)
        striking.start()
        self._work(threads)
        striking.join()
        self.carried_out += 1
        self._repair(fault, pid, threads)

    def _repair(self, fault: Fault, pid: int, threads: ThreadPoolExecutor) -> None:
        if fault.victim == "stopped":
            if self.servers.workers == 1:
                Event().wait(2 * LEASE_S)
            else:
                self._work(threads)  # the others take over, which ends when the lease has
                Event().wait(LEASE_S)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        is_dead = fault.victim in ("parent", "all") or (fault.victim == "worker" and self.servers.workers == 1)
        self.servers.ensure(is_dead=is_dead)

    # --- the end

    def _finish(self) -> None:
        """Let everything come to its end: worlds are left alone, but for the one that has to be moved."""
        for _ in range(_ROUNDS):
            self._move()
        pause = Event()
        for _ in range(2400):  # two minutes, where nobody is that slow
            if self._is_over():
                return
            pause.wait(0.05)

    def _is_over(self) -> bool:
        if isinstance(self.store, ValkeyKept):  # nobody asks the servers: they have to see to it by themselves
            found = self.store.read()
            tried = dict.fromkeys(found.jobs, 0)
            for one in found.attempts:
                if one.outcome != "interrupted":
                    is_good = one.status is not None and one.status < 300
                    tried[one.job] = len(LADDER) + 1 if is_good else tried[one.job] + 1
            return set(found.jobs) <= set(found.ended) and min(tried.values(), default=0) > len(LADDER)
        for world in (*WORLDS, MANUAL):
            jobs = self.servers.control(f"/worlds/{world}/jobs")
            made = self.servers.control(f"/worlds/{world}/deliveries")
            if jobs is None or made is None or any(one["state"] == "pending" for one in made["deliveries"]):
                return False
            if any(job["deliveries"] == 0 for job in jobs["jobs"]):
                return False
        return True

    def _history(self, hits: Sequence[Received], crashes: int) -> History:
        found = self.store.read()
        return History(
            acknowledged=self.acknowledged,
            stored=found.jobs,
            bodies=found.bodies,
            ended=found.ended,
            charged=found.charged,
            hits=[
                Hit(f"{one.path.rpartition('/')[2]}/{json.loads(one.body)['id']}", one.body, int(str(one.answer or 0)))
                for one in hits
            ],
            attempts=found.attempts,
            crashes=crashes,
            delays=LADDER,
            writes=self.store.writes(Path(f"{self.orders.path}.log")),
            moved={MANUAL: self.moved},
            clocks=found.clocks,
        )


def _answer(received: Received) -> int:
    return 503 if received.number % 3 == 1 else 200


def run(store: Kept, faults: Sequence[Fault], folder: Path, *, workers: int = 1, seed: int = 1) -> Run:
    """Serve, have faults befall it, let everything come to its end, and give what was seen."""
    return _Crashes(store, workers, folder, random.Random(seed)).go(faults)


# --- the long run


def drawn(draw: random.Random, kind: str, workers: int) -> Fault:
    """Draw a fault: most kill or stop a process, half of them at a mark."""
    victims = ["worker"] * 6
    if kind == "valkey":
        victims += ["stopped", "stopped", "store killed", "store stalled"]
    if workers > 1:
        victims += ["parent", "all", "stopped"]
    mark = draw.choice([*MARKS, *[""] * len(MARKS)])
    return Fault(draw.choice(victims), mark, draw.randint(1, 3))


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill servers at random, and check what is left.")
    parser.add_argument("--store", choices=("sqlite", "valkey"), default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kills", type=int, default=500, help="kills, stops and store faults together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for what runs with violations leave behind")
    given = parser.parse_args()
    draw, found, totals = random.Random(given.seed), 0, dict.fromkeys(("kills", "jobs", "posts", "cut"), 0)
    for number in range(0, given.kills, 10):
        faults = [drawn(draw, given.store, given.workers) for _ in range(min(10, given.kills - number))]
        with tempfile.TemporaryDirectory() as folder, opened(given.store, Path(folder), LEASE_S) as store:
            seen = run(store, faults, Path(folder), workers=given.workers, seed=draw.randrange(1 << 30))
            wrong = violations(seen.history)
            if wrong and given.keep:
                subprocess.run(["cp", "-r", folder, str(given.keep / f"run-{number}")], check=False)
        found += len(wrong)
        totals["kills"] += seen.carried_out
        totals["jobs"] += len(seen.history.acknowledged)
        totals["posts"] += len(seen.history.hits)
        totals["cut"] += sum(attempt.outcome == "interrupted" for attempt in seen.history.attempts)
        print(
            f"{totals['kills']:>5} kills, {totals['jobs']} jobs acknowledged, {totals['posts']} callbacks, "
            f"{totals['cut']} attempts cut, {found} violations",
            flush=True,
        )
        for text in wrong:
            print(f"      {text}\n         {faults}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
