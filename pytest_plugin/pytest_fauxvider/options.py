"""What the command line and the ini file ask of the plugin. Read once; the standard library and pytest only."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import pytest

__all__ = ["CHECKS", "DEFAULT_CHECKS", "OPTIONS", "Options", "add_options", "read_checks", "read_options", "seed_for"]

Trace: TypeAlias = Literal["off", "on", "retain-on-failure"]
Sleep: TypeAlias = Literal["virtual", "real"]
NoEgress: TypeAlias = Literal["off", "providers", "all"]

# What is looked at when a test has ended; docs/pytest-plugin.md says what each means.
CHECKS = ("unexpected", "scenario", "callbacks", "verdict", "risks")
DEFAULT_CHECKS = frozenset(CHECKS) - {"risks"}

# Time stands still but for one millisecond a request: a held call ends, and no two answers share a moment.
CLOCK = "stepping:1ms"
RANDOM_SEED = "random"

# (name, ini type, ini default, help); each is `--fauxvider-NAME` and `fauxvider_NAME`.
_SINGLE: tuple[tuple[str, Any, Any, str], ...] = (
    ("clock", "string", CLOCK, "Clock of the tests' worlds: real, scaled:N, manual, stepping:SPAN"),
    ("seed", "int", 0, "Seed from which each test gets its own; on the command line also 'random'"),
    ("sleep", "string", "virtual", "'virtual': what a client sleeps passes in the world and takes no time; or 'real'"),
    ("no-egress", "string", "off", "What may not leave this machine: off, providers (their real hosts), all"),
    ("trace", "string", "retain-on-failure", "Keep a test's capsule and timeline page: off, on, retain-on-failure"),
    ("trace-dir", "string", "", "Folder for them (default: in pytest's cache folder)"),
    ("coverage-dir", "string", "fauxvider-coverage", "Folder for the report on contract coverage (JSON and HTML)"),
    ("coverage-fail-under", "float", 0.0, "Fail the run when less than so many percent of the contracts was faced"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """`ini` and `line` hold the options for worlds that stand in the ini file and on the command line."""

    clock: str
    seed: int
    strict: frozenset[str]
    ignore: tuple[str, ...]
    sleep: Sleep
    no_egress: NoEgress
    trace: Trace
    trace_dir: Path | None
    contracts: tuple[Path, ...]
    coverage: bool
    coverage_dir: Path
    fail_under: float
    omit: tuple[str, ...]
    ini: Mapping[str, Any] = field(default_factory=dict)
    line: Mapping[str, Any] = field(default_factory=dict)


OPTIONS = pytest.StashKey[Options]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, each with its twin in the ini file."""
    group = parser.getgroup("fauxvider", "fauxvider: a stand-in for image generation providers")
    for name, kind, default, about in _SINGLE:
        key = _key(name)
        group.addoption(f"--fauxvider-{name}", dest=key, metavar=name.rpartition("-")[2].upper(), help=f"{about}.")
        parser.addini(key, f"{about}.", type=kind, default=default)
    about = f"Checks at a test's end: all, none, or some of {', '.join(CHECKS)} (-NAME leaves one out)"
    group.addoption("--fauxvider-strict", dest="fauxvider_strict", metavar="CHECKS", help=f"{about}.")
    parser.addini("fauxvider_strict", f"{about}.", type="args", default=[])
    about = "Reading of a contradiction, as [PROVIDER/]NAME=CASE"
    group.addoption(
        "--fauxvider-reading", dest="fauxvider_readings", action="append", metavar="NAME=CASE",
        help=f"{about}. May be given more than once.",
    )  # fmt: skip
    parser.addini("fauxvider_readings", f"{about}, one a line.", type="linelist", default=[])
    about = "Report what of the contracts the tests made their client face"
    group.addoption(
        "--fauxvider-coverage", dest="fauxvider_coverage", action="store_const", const=True, help=f"{about}."
    )
    parser.addini("fauxvider_coverage", f"{about}.", type="bool", default=False)
    parser.addini(
        "fauxvider_coverage_omit", "What does not count, as PROVIDER/WHAT/NAME with * and ?.", type="linelist"
    )
    parser.addini(
        "fauxvider_ignore", "Rules of the verdict that do not matter in these tests.", type="args", default=[]
    )
    parser.addini("fauxvider_contracts", "Contract files beside the bundled ones.", type="paths", default=[])


def _key(name: str) -> str:
    return f"fauxvider_{name.replace('-', '_')}"


def read_options(config: pytest.Config) -> Options:
    """Read and check the options. Raises pytest.UsageError naming what is allowed."""
    line = {name: config.getoption(_key(name)) for name, *_ in _SINGLE}
    said = {name: value for name, value in line.items() if value is not None}
    value = {name: said.get(name, config.getini(_key(name))) for name, *_ in _SINGLE}
    readings_said = config.getoption("fauxvider_readings") or []
    clock, seed = _clock(value["clock"]), _seed(config, value["seed"])
    world_line: dict[str, Any] = {"clock": clock} if "clock" in said else {}
    if readings_said:
        world_line["readings"] = _readings(readings_said, "--fauxvider-reading")
    strict_said = config.getoption("fauxvider_strict")
    strict_asked = [strict_said] if strict_said is not None else config.getini("fauxvider_strict")
    trace_dir = str(value["trace-dir"])
    return Options(
        clock=clock,
        seed=seed,
        strict=_checked("strict", strict_asked),
        ignore=tuple(config.getini("fauxvider_ignore")),
        sleep=cast("Sleep", _word("sleep", value["sleep"], get_args(Sleep))),
        no_egress=cast("NoEgress", _word("no-egress", value["no-egress"], get_args(NoEgress))),
        trace=cast("Trace", _word("trace", value["trace"], get_args(Trace))),
        trace_dir=config.invocation_params.dir / trace_dir if trace_dir else None,
        contracts=tuple(config.getini("fauxvider_contracts")),
        coverage=bool(config.getoption("fauxvider_coverage") or config.getini("fauxvider_coverage")),
        coverage_dir=config.invocation_params.dir / str(value["coverage-dir"]),
        fail_under=_percent(value["coverage-fail-under"]),
        omit=tuple(config.getini("fauxvider_coverage_omit")),
        ini={"clock": clock, "readings": _readings(config.getini("fauxvider_readings"), "fauxvider_readings")},
        line=world_line,
    )


def _clock(given: object) -> str:
    if given == CLOCK:  # so that nothing is loaded to check what is known to be right
        return CLOCK
    from fauxvider.clock import make_clock
    from fauxvider.errors import UsageError

    try:
        make_clock(str(given))
    except UsageError as error:
        raise pytest.UsageError(f"--fauxvider-clock: {error}") from None
    return str(given)


def _seed(config: pytest.Config, given: object) -> int:
    shared = getattr(config, "workerinput", {}).get("fauxvider_seed")
    if shared is not None:
        return int(shared)
    if given == RANDOM_SEED:
        return int.from_bytes(os.urandom(4), "big")
    try:
        seed = int(str(given))
    except ValueError:
        seed = -1
    if seed < 0:
        raise pytest.UsageError(f"--fauxvider-seed {given!r} is not a whole number from 0 (or 'random')")
    return seed


def _percent(given: object) -> float:
    try:
        percent = float(str(given))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise pytest.UsageError(f"--fauxvider-coverage-fail-under {given!r} is not a number from 0 to 100")
    return percent


def _word(name: str, given: object, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise pytest.UsageError(f"--fauxvider-{name} {given!r} is not known (allowed: {', '.join(allowed)})")
    return str(given)


def _readings(given: Iterable[str], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, equals, case = text.partition("=")
        if not (equals and name.strip() and case.strip()):
            raise pytest.UsageError(f"{where} {text!r}: write NAME=CASE or PROVIDER/NAME=CASE")
        provider, slash, reading = name.strip().partition("/")
        if slash:
            found.setdefault(provider, {})[reading] = case.strip()
        else:
            found[provider] = case.strip()
    return found


def _checked(name: str, given: object) -> frozenset[str]:
    try:
        return read_checks(given)
    except ValueError as error:
        raise pytest.UsageError(f"--fauxvider-{name}: {error}") from None


def read_checks(given: object, default: frozenset[str] = DEFAULT_CHECKS) -> frozenset[str]:
    """Read which checks are on: True, False, or names; with only ``-NAME`` those are left out of the default.

    Raises ValueError naming what there is.
    """
    if isinstance(given, bool):
        return frozenset(CHECKS) if given else frozenset()
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Iterable):
        raise ValueError(f"{given!r} is not True, False or some of {', '.join(CHECKS)}")  # noqa: TRY004 - a value of the user's
    words = [word for text in texts for word in re.split(r"[,\s]+", str(text)) if word]
    without = {word[1:] for word in words if word.startswith("-")}
    named = {word for word in words if not word.startswith("-")}
    for word in sorted((without | named) - {*CHECKS, "all", "none"}):
        raise ValueError(f"there is no check {word!r} (there are: {', '.join(CHECKS)}; all, none)")
    base = frozenset(CHECKS) if "all" in named else frozenset(named) - {"none"} if named else default
    return base - without


def seed_for(seed: int, test: str) -> int:
    """Give the seed of one test's world: the same in every run, and no other test's."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{test}".encode(), digest_size=7).digest(), "big")
