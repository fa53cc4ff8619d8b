"""Four clocks. The machine's time is a number here, so that nothing sleeps and nothing is late."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from fauxvider import clock as module
from fauxvider.clock import EPOCH, ManualClock, RealClock, make_clock, monotonic_ms
from fauxvider.errors import UsageError
from support.machine import Machine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.parametrize(
    ("spec", "shown", "virtual", "step"),
    [
        ("real", "real", False, 0),
        ("scaled:60", "scaled:60", False, 0),
        ("scaled:0.5", "scaled:0.5", False, 0),
        ("scaled:1", "real", False, 0),
        ("scaled:1000000", "scaled:1000000", False, 0),
        ("manual", "manual", True, 0),
        ("stepping", "stepping:1s", True, 1000),
        ("stepping:250ms", "stepping:250ms", True, 250),
        ("stepping:1m 30s", "stepping:1m 30s", True, 90_000),
    ],
)
def test_specs(spec: str, shown: str, virtual: bool, step: int) -> None:
    clock = make_clock(spec)
    assert (clock.spec, clock.is_virtual, clock.step) == (shown, virtual, step)
    assert make_clock(clock.spec).spec == shown


@pytest.mark.parametrize(
    "spec",
    [
        "", "sundial", "real:1", "manual:1s", "REAL", "scaled", "scaled:", "scaled:0", "scaled:-1", "scaled:fast",
        "scaled:NaN", "scaled:sNaN", "scaled:Infinity", "scaled:1000001", "scaled:1e99", "stepping:0s", " real",
    ],
)  # fmt: skip
def test_other_specs_are_told_what_is_allowed(spec: str) -> None:
    with pytest.raises(UsageError) as told:
        make_clock(spec)
    assert repr(spec) in str(told.value)
    for allowed in ("real", "scaled:N", "manual", "stepping"):
        assert allowed in str(told.value)


@pytest.mark.parametrize("step", ["soon", "-1s", -1, True, "", [1]])
def test_a_bad_step(step: Any) -> None:
    with pytest.raises(UsageError, match="span"):
        make_clock("stepping", step=step)
    with pytest.raises(UsageError):
        make_clock(f"stepping:{step}!")


@pytest.mark.parametrize(("step", "ms"), [("2s", 2000), (3, 3000), (0.25, 250), (None, 1000)])
def test_a_step_beside_the_clock(step: Any, ms: int) -> None:
    assert make_clock("stepping", step=step).step == ms
    assert make_clock("stepping:7s", step=step).step == 7000  # the clock's own wins


@pytest.mark.parametrize("spec", ["manual", "stepping:1s"])
def test_virtual_clocks_stand_until_they_are_moved(spec: str, machine: Machine) -> None:
    clock = make_clock(spec)
    assert clock.now() == EPOCH
    machine.run(10_000)
    assert clock.now() == EPOCH
    clock.move_to(EPOCH + 5)
    assert clock.now() == EPOCH + 5
    clock.move_to(EPOCH)  # never back
    assert clock.now() == EPOCH + 5
    assert make_clock(spec, start=7).now() == 7
    assert make_clock(spec, start=0).now() == 0


def test_where_virtual_time_begins() -> None:
    assert EPOCH == 1_767_225_600_000  # 2026-01-01T00:00:00Z, so that every run is the same


@pytest.mark.parametrize(
    ("spec", "ran", "moved"),
    [("real", 2, 2000), ("scaled:60", 2, 120_000), ("scaled:0.5", 2, 1000), ("scaled:1000000", 0.001, 1_000_000)],
)
def test_running_clocks_run(spec: str, ran: float, moved: int, machine: Machine) -> None:
    clock = make_clock(spec)
    began = clock.now()
    assert began == 1_700_000_000_500
    machine.run(ran)
    assert clock.now() == began + moved
    clock.move_to(began + 10**9)  # nobody moves them
    assert clock.now() == began + moved


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86_400.0, -1e9])
def test_setting_the_wall_clock_moves_nothing(jump: float, machine: Machine) -> None:
    clock = make_clock("real")
    began = clock.now()
    machine.wall += jump
    assert clock.now() == began
    machine.run(1)
    assert clock.now() == began + 1000


def test_a_running_clock_may_start_elsewhere(machine: Machine) -> None:
    clock = make_clock("scaled:10", start=1000)
    machine.run(1)
    assert clock.now() == 11_000


@pytest.mark.parametrize(
    ("clock", "span", "seconds"),
    [
        (RealClock(), 1500, 1.5),
        (RealClock(speed=Decimal(60)), 60_000, 1.0),
        (RealClock(speed=Decimal("0.5")), 1000, 2.0),
        (ManualClock(), 10_000, 10.0),  # a receiver's patience is real
    ],
)
def test_how_long_a_span_really_takes(clock: RealClock | ManualClock, span: int, seconds: float) -> None:
    assert clock.real_seconds(span) == seconds


def test_the_monotonic_reading(machine: Machine) -> None:
    before = monotonic_ms()
    machine.run(1.5)
    assert monotonic_ms() - before == 1500


def test_the_real_thing_never_goes_back() -> None:
    clock = make_clock("scaled:1000000")
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]
    assert abs(make_clock("real").now() - time.time() * 1000) < 60_000
