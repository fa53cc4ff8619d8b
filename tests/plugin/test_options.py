"""The options of the command line and their twins in ini files, in both formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SHOWS = """
@acme
def test_it(fauxvider):
    world = fauxvider.server.emulator.world(fauxvider.name)
    options = world.options
    print("\\nclock", world.clock.spec, "sleeps", fauxvider.plan.sleeps, "readings", dict(options.readings))
    print("seed", options.seed, "strict", sorted(fauxvider.plan.strict), "ignore", fauxvider.plan.ignore)


@acme
def test_other(fauxvider):
    print("\\nother", fauxvider.server.emulator.world(fauxvider.name).options.seed)
"""
# option -> (command line, ini, TOML, what is printed)
CASES = {
    "clock": ("--fauxvider-clock=manual", "fauxvider_clock = manual", "fauxvider_clock = 'manual'", "clock manual *"),
    "sleep": ("--fauxvider-sleep=real", "fauxvider_sleep = real", "fauxvider_sleep = 'real'", "*sleeps False*"),
    "reading": (
        "--fauxvider-reading=edit.cost=per_mp",
        "fauxvider_readings =\n    edit.cost=per_mp",
        "fauxvider_readings = ['edit.cost=per_mp']",
        "*readings {'acme': {'edit.cost': 'per_mp'}}",
    ),
    "reading of a provider": (
        "--fauxvider-reading=acme/edit.cost=per_mp",
        "fauxvider_readings =\n    acme/edit.cost=per_mp\n    callback.retry=three",
        "fauxvider_readings = ['acme/edit.cost=per_mp']",
        "*readings {'acme': {'edit.cost': 'per_mp'*}}",
    ),
    "strict": (
        "--fauxvider-strict=verdict,risks",
        "fauxvider_strict = verdict risks",
        "fauxvider_strict = ['verdict', 'risks']",
        "*strict ['risks', 'verdict']*",
    ),
    "ignore": ("", "fauxvider_ignore = hammered", "fauxvider_ignore = ['hammered']", "*ignore ('hammered',)"),
}


@pytest.mark.parametrize("how", ["line", "ini", "toml"])
@pytest.mark.parametrize("option", CASES)
def test_an_option(suite: Any, option: str, how: str) -> None:
    line, ini, toml, said = CASES[option]
    args = ["-s"]
    if how == "line":
        if not line:
            return
        args.append(line)
    elif how == "ini":
        suite.ini(ini)
    else:
        suite.toml(toml)
    result = suite.run(*args, text=SHOWS)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"*{said.replace('[', '[[]')}"])


def test_the_command_line_wins(suite: Any) -> None:
    suite.ini("fauxvider_clock = manual", "fauxvider_readings = edit.cost=per_mp\n    callback.retry=one")
    result = suite.run("-s", "--fauxvider-clock=stepping:9s", "--fauxvider-reading=edit.cost=flat", text=SHOWS)
    result.stdout.fnmatch_lines(["*clock stepping:9s*", "fauxvider: *, clock stepping:9s, seed 0"][:1])
    result.stdout.fnmatch_lines(["*'callback.retry': 'one'*'edit.cost': 'flat'*"])


def test_each_test_has_a_seed_of_its_own_and_keeps_it(suite: Any) -> None:
    def seeds(*args: str) -> list[str]:
        result = suite.run("-s", *args, text=SHOWS)
        words = " ".join(result.outlines).split()
        return [words[at + 1] for at, word in enumerate(words) if word in ("seed", "other") and words[at + 1].isdigit()]

    first, again, seeded = seeds(), seeds(), seeds("--fauxvider-seed=5")
    assert first == again
    assert len(set(first[1:])) == 2  # the header's, then the worlds'
    assert seeded[0] == "5"
    assert not set(first) & set(seeded)
    suite.ini("fauxvider_seed = 5")
    assert seeds() == seeded
    suite.toml("fauxvider_seed = 5")
    assert seeds() == seeded
    assert seeds("--fauxvider-seed=random") != seeds("--fauxvider-seed=random")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--fauxvider-seed=x"], "--fauxvider-seed 'x' is not a whole number from 0 (or 'random')"),
        (["--fauxvider-seed=-1"], "--fauxvider-seed '-1' is not a whole number from 0 (or 'random')"),
        (["--fauxvider-sleep=deep"], "--fauxvider-sleep 'deep' is not known (allowed: virtual, real)"),
        (["--fauxvider-trace=yes"], "--fauxvider-trace 'yes' is not known (allowed: off, on, retain-on-failure)"),
        (["--fauxvider-strict=tests"], "--fauxvider-strict: there is no check 'tests' (there are: unexpected, *"),
        (["--fauxvider-reading=flat"], "--fauxvider-reading 'flat': write NAME=CASE or PROVIDER/NAME=CASE"),
        (["--fauxvider-clock=sundial"], "--fauxvider-clock: 'sundial' is not a clock (allowed: real, scaled:N *"),
        (["--fauxvider-coverage-fail-under=x"], "--fauxvider-coverage-fail-under 'x' is not a number from 0 to 100"),
        (["--fauxvider-coverage-fail-under=101"], "--fauxvider-coverage-fail-under '101' is not a number from 0 to 100"),
    ],
)  # fmt: skip
def test_a_wrong_one(suite: Any, args: list[str], said: str) -> None:
    result = suite.run(*args, text=SHOWS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


@pytest.mark.parametrize("args", [["--fauxvider-reading=no.such=x"], ["--fauxvider-reading=edit.cost=x"]])
def test_a_reading_that_there_is_not(suite: Any, args: list[str]) -> None:
    result = suite.run(*args, text=SHOWS)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["fauxvider: *reading 'no.such'*" if "no.such" in args[0] else "fauxvider: *no case 'x'*"]
    )


def test_contract_files_in_toml(suite: Any) -> None:
    suite.toml()
    suite.run(text="@acme\ndef test_it(fauxvider):\n    pass\n").assert_outcomes(passed=1)


def test_the_help_names_them(suite: Any) -> None:
    text = suite.run("--help").stdout.str()
    options = ("clock", "seed", "sleep", "strict", "reading", "trace", "trace-dir", "coverage", "coverage-dir")
    assert [name for name in options if f"--fauxvider-{name}" not in text] == []
    keys = ("contracts", "readings", "ignore", "coverage_omit", "coverage_fail_under", "strict", "seed")
    assert [key for key in keys if f"fauxvider_{key} (" not in text] == []


def test_the_header(suite: Any) -> None:
    result = suite.run("--fauxvider-clock=manual", "--fauxvider-seed=3", text=SHOWS)
    result.stdout.fnmatch_lines([
        "fauxvider: *, clock manual, seed 3",
        "fauxvider contracts: fal ????????????, onemin ????????????, replicate ????????????, runflow ????????????, runpod ????????????, acme.yaml ????????????",
    ])  # fmt: skip


def test_the_digest_is_the_contract_s(suite: Any) -> None:
    from fauxvider import load_contract

    result = suite.run(text=SHOWS)
    result.stdout.fnmatch_lines([f"fauxvider contracts: *runpod {load_contract('runpod').digest[:12]}, *"])
    assert Path(suite.path / ".pytest_cache").exists()


def test_where_sleep_is_real_time_is_left_alone(suite: Any) -> None:
    suite.ini("fauxvider_sleep = real")
    suite.tests("""
import time


def test_builtin():
    assert type(time.sleep) is type(time.monotonic) is type(len)


@pytest.mark.fauxvider("acme", sleep="virtual")
def test_but_a_test_may_ask_otherwise(fauxvider):
    began = fauxvider.now()
    time.sleep(5)
    assert fauxvider.now() == began + 5000


def test_and_it_is_as_it_was():
    assert type(time.sleep) is type(len)
""")
    suite.run_apart().assert_outcomes(passed=3)
