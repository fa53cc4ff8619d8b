"""Running a client as a process in drawn worlds, and taking out of a bad one what it does not need."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from fauxvider import Server, UsageError, WorldHandle
from fauxvider.analysis.verdict import RULES, Verdict, verdict_text
from fauxvider.capsule import read_capsule, reproduce_text
from fauxvider.clock import make_clock
from fauxvider.scenario.library import scenario_place
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario, scenario_text
from pytest_fauxvider.strategies import scenarios

__all__ = ["Found", "Fuzzing", "Wanted"]

KEY = "fuzz-key"
_LATER = "2d"  # how long after the client has gone what it left undone is judged
_MOST_OUTPUT = 20  # lines of the client's that are shown
_MOST_STORY = 60
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the command, by their names."""

    command: tuple[str, ...]
    provider: str
    contract: Path | None = None
    max_examples: int = 100
    seed: int = 0
    out: Path = Path("fauxvider-fuzz")
    scenario: str | None = None
    timeout: float = 60
    clock: str = "stepping:1s"
    ok_exits: frozenset[int] = frozenset({0})
    ignore: tuple[str, ...] = ()
    risks: bool = False
    near_legal: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A run that broke the client. `why` in one line; `tree` is the scenario, as data."""

    why: str
    tree: Mapping[str, Any]
    world_seed: int
    output: str
    verdict: Verdict
    story: tuple[str, ...]
    capsule: bytes

    @property
    def rules(self) -> Sequence[Any]:
        return self.tree["rules"]  # type: ignore[no-any-return]


class _FoundError(Exception):
    pass


class Fuzzing:
    """One search. `progress` is told of each run. Raises UsageError for what cannot be begun."""

    def __init__(self, wanted: Wanted, progress: Callable[[str], None]) -> None:
        for name in wanted.ignore:
            if name not in RULES:
                raise UsageError(f"the verdict has no rule {name!r} (it has: {', '.join(RULES)})")
        self._wanted = wanted
        self._progress = progress
        self._source = wanted.provider if wanted.contract is None else str(wanted.contract)
        self.runs = 0
        self._best: Found | None = None
        make_clock(wanted.clock)
        if wanted.contract is None:
            self._server = Server(providers=[wanted.provider])
        else:
            self._server = Server(contracts=[wanted.contract])
        if wanted.provider not in self._server.emulator.contracts:
            raise UsageError(f"{wanted.contract} is not the contract of {wanted.provider!r}")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def run(self) -> Found | None:
        """Search; give what was found, with no rule in it that it does not need."""
        if self._wanted.scenario is not None:
            return self._try(
                _tree(read_scenario(scenario_place(self._wanted.scenario), contracts=self._contracts())), 0
            )
        calm = self._try(self._calm(), 0)
        if calm is not None:
            return replace(calm, why=f"{calm.why}, though nothing went wrong")
        found = self._search()
        return None if found is None else self._shortened(found)

    def _contracts(self) -> Any:
        return self._server.emulator.default_contracts

    def _calm(self) -> Mapping[str, Any]:
        return {"scenario": 1, "name": "nothing-goes-wrong", "rules": []}

    def _search(self) -> Found | None:
        wanted = self._wanted
        drawn = scenarios(self._source, legal=not wanted.near_legal).filter(lambda one: bool(one.rules))

        @seed(wanted.seed)
        @settings(
            max_examples=wanted.max_examples,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            verbosity=Verbosity.quiet,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
        )
        @given(scenario=drawn, world_seed=st.integers(0, 999))
        def example(scenario: Scenario, world_seed: int) -> None:
            # What was found once is enough; Hypothesis runs it again, and a process need not do the same twice.
            if self._best is None:
                self._best = self._try(_tree(scenario), world_seed)
            if self._best is not None:
                raise _FoundError

        with suppress(_FoundError):
            example()
        return self._best

    def _shortened(self, found: Found) -> Found:
        """Take out one rule after the other, as long as the client still breaks."""
        at = 0
        while at < len(found.rules):
            rules = [*found.rules[:at], *found.rules[at + 1 :]]
            again = self._try({**found.tree, "rules": rules}, found.world_seed) if rules else None
            if again is None:
                at += 1
            else:
                found = again
        return found

    # --- one run

    def _try(self, tree: Mapping[str, Any], world_seed: int) -> Found | None:
        self.runs += 1
        about = ", ".join(f"{rule['on']} {next(iter(rule['do']))}" for rule in tree["rules"])
        self._progress(f"run {self.runs}: {about or 'nothing goes wrong'}")
        given = tree.get("world", {})
        options: dict[str, Any] = {"clock": self._wanted.clock, "seed": world_seed, **given, "keys": [KEY]}
        if tree["rules"]:
            options["scenario"] = tree
        with self._server.world(name="fuzz", **options) as world:
            problem, output = self._process(world)
            if not tree["rules"] and not problem and not _has_asked(world):
                raise UsageError("the client asked nothing of the address in FAUXVIDER_BASE_URL: does it know of it?")
            if make_clock(str(options["clock"])).is_virtual:
                world.advance(_LATER)  # what the client left behind falls due, and is judged
            verdict = world.verdict(ignore=self._wanted.ignore)
            why = problem or _why(verdict, risks=self._wanted.risks)
            if not why:
                return None
            story = tuple(world.report().story())
            return Found(why, tree, world_seed, output, verdict, story, world.capsule())

    def _process(self, world: WorldHandle) -> tuple[str, str]:
        """Run the command; give what was wrong with how it ended ("" if nothing), and what it wrote."""
        port = _free_port()
        environment = {
            **os.environ,
            "FAUXVIDER_BASE_URL": world.base_url(self._wanted.provider),
            "FAUXVIDER_KEY": KEY,
            "FAUXVIDER_CALLBACK_URL": f"http://127.0.0.1:{port}/callback",
            "FAUXVIDER_CALLBACK_PORT": str(port),
        }
        with tempfile.TemporaryFile() as written:
            process = subprocess.Popen(  # noqa: S603 - running it is what was asked for
                self._wanted.command, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written,
                start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(self._wanted.timeout)
                problem = "" if code in self._wanted.ok_exits else _exit_text(code)
            except subprocess.TimeoutExpired:
                problem = f"it had not ended after {self._wanted.timeout:g} s"
            finally:
                _end(process)
            written.seek(0)
            return problem, written.read().decode("utf-8", "replace")

    # --- telling

    def report(self, found: Found | None) -> list[str]:
        """Tell what came of it, and write the files of what was found."""
        if found is None:
            what = (
                "1 run: the client did well in it"
                if self.runs == 1
                else f"{self.runs} runs: the client did well in all of them"
            )
            return [f"Nothing was found in {what}."]
        folder = self._wanted.out
        folder.mkdir(parents=True, exist_ok=True)
        scenario, capsule, test = (folder / name for name in ("fuzz.yaml", "fuzz.capsule.json", "test_fuzz.py"))
        scenario.write_text(self._scenario_text(found), encoding="utf-8")
        capsule.write_bytes(found.capsule)
        files = [] if self._wanted.contract is None else [self._wanted.contract]
        test.write_text(reproduce_text(read_capsule(capsule), contracts=files), encoding="utf-8")
        output = found.output.rstrip().splitlines()
        return [
            f"The client broke after {self.runs} runs: {found.why}.",
            "",
            *_middle_cut(found.story),
            "",
            *([] if found.verdict.is_clean else [*verdict_text(found.verdict).splitlines(), ""]),
            *(["The last of what it wrote:", *(f"  {line}" for line in output[-_MOST_OUTPUT:]), ""] if output else []),
            f"{scenario}: the scenario; run the client in it with --scenario {scenario}",
            f"{capsule}: the run, for `fauxvider replay`",
            f"{test}: the same run as a test of what the provider did",
        ]

    def _scenario_text(self, found: Found) -> str:
        world = {"seed": found.world_seed, "clock": self._wanted.clock, **found.tree.get("world", {})}
        tree = {**found.tree, "name": "fuzz", "about": found.why, "world": world}
        return scenario_text(read_scenario(tree, contracts=self._contracts()))


def _tree(scenario: Scenario) -> Mapping[str, Any]:
    return scenario.source or {"scenario": 1, "name": scenario.name, "rules": []}


def _middle_cut(lines: Sequence[str]) -> list[str]:
    if len(lines) <= _MOST_STORY:
        return list(lines)
    half = _MOST_STORY // 2
    return [*lines[:half], f"... {len(lines) - 2 * half} more ...", *lines[-half:]]


def _has_asked(world: WorldHandle) -> bool:
    return any(entry["kind"] == "request" for entry in world.journal()["entries"])


def _why(verdict: Verdict, *, risks: bool) -> str:
    bad = [finding for finding in verdict.findings if risks or finding.severity == "harm"]
    return f"{bad[0].rule}: {RULES[bad[0].rule].about}" if bad else ""


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"it exited with {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the client, and what it has started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(_GRACE_S)
            if sign == signal.SIGTERM:
                continue
        except subprocess.TimeoutExpired:
            continue
    process.wait()
