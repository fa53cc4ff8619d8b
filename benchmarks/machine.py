"""How fast the machine steps: steps a second on one core, Hypothesis included, beside a machine that does nothing.

    python benchmarks/machine.py               # 300 runs of each
    python benchmarks/machine.py --runs 1000

`steps` are those that Hypothesis drew, and `done` what was done for them (nothing, where there is no callback that
could come again, say). Coming to rest at the end of each run, with the looks that it takes, is on top of them and in
the same time. `world` is what it takes to make and drop a world. Times are CPU times of this process.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from corpus.careful import AsyncPolling, HttpxPolling, RunflowWebhook, RunpodHybrid, RunpodPolling
from pytest_fauxvider.knobs import server_for
from pytest_fauxvider.stage import Stage

STEPS = 25


class Nothing(RuleBasedStateMachine):
    """What Hypothesis alone takes: as many arguments, and no work."""

    @rule(job=st.integers(0, 3), fate=st.sampled_from(tuple("abcdefgh")))
    def step(self, job: int, fate: str) -> None:
        del job, fate


def _measured(machine: Any, runs: int) -> tuple[float, int, int]:
    """Give CPU seconds, the number of steps, and how many did something."""
    count, did, step = [0], [0], Stage.step

    def counted_step(self: Stage, what: str, /, **args: Any) -> None:
        did[0] += 1
        step(self, what, **args)

    Stage.step = counted_step  # type: ignore[method-assign]
    wrapped = [name for name in dir(machine) if name.startswith("step") and name != "steps"]
    counted = type(machine.__name__, (machine,), {name: _counting(getattr(machine, name), count) for name in wrapped})
    began = time.process_time()
    run_state_machine_as_test(
        counted,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    Stage.step = step  # type: ignore[method-assign]
    return time.process_time() - began, count[0], did[0]


def _counting(step: Any, count: list[int]) -> Any:
    """Count the calls of a rule; what makes it a rule stays on it."""

    def counting(self: Any, **args: Any) -> None:
        count[0] += 1
        step(self, **args)

    counting.__dict__.update(step.__dict__)
    counting.__name__ = step.__name__
    for name, value in vars(step).items():
        if hasattr(value, "function"):
            setattr(counting, name, _with_function(value, counting))
    return counting


def _with_function(marked: Any, function: Callable[..., Any]) -> Any:
    import dataclasses

    return dataclasses.replace(marked, function=function)


def _worlds(count: int) -> float:
    """Give the seconds that a world takes."""
    server = server_for("runpod", ())
    began = time.process_time()
    for _ in range(count):
        server.world(name="bench", clock="manual", seed=1).drop()
    return (time.process_time() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    given = parser.parse_args()
    for machine in (Nothing, RunpodPolling, RunpodHybrid, RunflowWebhook, AsyncPolling, HttpxPolling):
        _measured(machine, 5)  # what is made once
        seconds, steps, did = _measured(machine, given.runs)
        rates = f"{steps / seconds:8.0f} steps/s  {did / seconds:8.0f} done/s"
        print(f"{machine.__name__:16} {rates}   {steps} steps, {seconds / given.runs * 1e3:.2f} ms a run", flush=True)
    print(f"{'world':16} {_worlds(500) * 1e6:8.0f} us")


if __name__ == "__main__":
    main()
