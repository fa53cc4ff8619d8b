from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.protocol import Failed, Progress, Rendered, Started
from support.patience import PATIENCE_S
from support.real import memory


def test_events_come_in_order_and_progress_is_complete(bench: Any, kit: Any) -> None:
    _, heard = bench.submit(kit.recipe(steps=12))
    assert isinstance(heard.end, Rendered)
    kinds = [type(event) for event in heard.events]
    assert kinds == [Started, *[Progress] * 12, Rendered]
    assert heard.steps == [(step, 12) for step in range(1, 13)]


def test_a_cancelled_job_stops_within_a_step_and_the_next_is_right(bench: Any, kit: Any) -> None:
    alone = bench.picture(kit.recipe()).data
    job_id, heard = bench.submit(kit.recipe(width=1024, height=1024, steps=900))  # minutes, were it not stopped
    assert heard.stepped.wait(PATIENCE_S)
    assert bench.cancel(job_id)
    end = heard.end
    assert isinstance(end, Failed)
    assert end.kind == "cancelled"
    assert 1 <= end.steps < 900
    assert kit.same_pixels(bench.picture(kit.recipe()).data, alone)


def test_a_job_cancelled_in_the_queue_never_starts(bench: Any, kit: Any) -> None:
    (first, heard_first), (_, heard_second) = bench.submit_together(
        kit.recipe(steps=50), kit.recipe(), cancel_last=True
    )
    assert heard_second.end.kind == "cancelled"
    assert not heard_second.started
    assert isinstance(heard_first.end, Rendered)
    assert not bench.cancel(first)


def test_cancelling_what_is_over_does_nothing(bench: Any, kit: Any) -> None:
    job_id, heard = bench.submit(kit.recipe(steps=1))
    assert isinstance(heard.end, Rendered)
    assert not bench.cancel(job_id)
    assert not bench.cancel("never seen")
    # The id again, as a retry has it: the late cancellation must not reach it.
    _, again = bench.submit(kit.recipe(steps=1), job_id=job_id)
    assert isinstance(again.end, Rendered)


def test_two_jobs_of_one_folder_run_one_after_the_other(bench: Any, kit: Any) -> None:
    recipes = [kit.recipe(steps=20), kit.recipe("flux-kontext", steps=20)]
    alone = [bench.picture(recipe).data for recipe in recipes]
    ends = [heard.end for _, heard in bench.submit_together(*recipes)]
    assert all(isinstance(end, Rendered) for end in ends)
    assert all(kit.same_pixels(end.data, before) for end, before in zip(ends, alone, strict=True))
    assert ends[1].report.queued_ms >= ends[0].report.execution_ms


def test_each_folder_has_a_process_of_its_own_and_no_other_waits_for_it(bench: Any, kit: Any) -> None:
    hanging_id, hanging = bench.submit(kit.recipe(), fault="hang")
    assert hanging.stepped.wait(PATIENCE_S)
    for pipeline in ("flux2", "flux2-klein"):
        bench.picture(kit.recipe(pipeline, steps=1))
    _, waiting = bench.submit(kit.recipe("flux-kontext", steps=1))
    assert len({worker.pid for worker in bench.opened.workers.values()}) == 3
    os.kill(bench.worker().pid, signal.SIGKILL)
    assert hanging.end.kind == "killed"
    assert not bench.cancel(hanging_id)
    assert isinstance(waiting.end, Rendered)


def test_with_one_worker_folders_take_turns(other_bench: Any, kit: Any) -> None:
    renderer = other_bench.open(kit.options(max_workers=1), warm=False)
    recipes = [kit.recipe(pipeline, steps=1) for pipeline in ("flux", "flux2", "flux", "flux-kontext")]
    jobs = [heard for _, heard in other_bench.submit_together(*recipes)]
    assert all(isinstance(heard.end, Rendered) for heard in jobs)
    assert list(renderer.workers) == ["flux"]
    assert renderer.spawned == 3
    began = [heard.end.report.queued_ms for heard in jobs]
    assert began == sorted(began)


@pytest.mark.parametrize("fault", ["oom", "nan", "black"])
def test_an_accident_in_the_model_fails_its_job_alone(bench: Any, kit: Any, fault: Any) -> None:
    alone = bench.picture(kit.recipe()).data
    spawned = bench.opened.spawned
    end = bench.end(kit.recipe(), fault=fault)
    assert isinstance(end, Failed)
    assert end.kind == fault
    assert "fox" not in end.detail
    assert kit.same_pixels(bench.picture(kit.recipe()).data, alone)
    assert bench.opened.spawned == spawned


def test_a_killed_worker_fails_its_job_and_is_replaced_once(bench: Any, kit: Any) -> None:
    alone = bench.picture(kit.recipe()).data
    spawned, pid = bench.opened.spawned, bench.worker().pid
    end = bench.end(kit.recipe(), fault="crash")
    assert isinstance(end, Failed)
    assert (end.kind, end.steps) == ("killed", 2)
    after = bench.picture(kit.recipe())
    assert kit.same_pixels(after.data, alone)
    assert bench.opened.spawned == spawned + 1
    assert bench.worker().pid != pid


def test_a_worker_that_dies_idle_costs_no_job(bench: Any, kit: Any) -> None:
    bench.picture(kit.recipe(steps=1))
    os.kill(bench.worker().pid, signal.SIGKILL)
    bench.picture(kit.recipe(steps=1))


def test_a_deadline_ends_a_hanging_job(other_bench: Any, kit: Any) -> None:
    other_bench.open(kit.options(deadline_s=2.0, max_queue=2, max_workers=1))
    recipes = kit.recipe(), kit.recipe(steps=1), kit.recipe()
    (_, hanging), (_, waiting), (_, refused) = other_bench.submit_together(*recipes, faults=("hang", None, None))
    assert refused.end.kind == "queue_full"
    assert hanging.end.kind == "deadline"
    # The deadline counts from when the worker got the job; that it has begun is heard of a little later.
    assert hanging.end.queued_ms + hanging.end.execution_ms >= 1999
    assert isinstance(waiting.end, Rendered)


def test_closing_ends_jobs_and_the_worker(other_bench: Any, kit: Any) -> None:
    renderer = other_bench.open(kit.options())
    pids = [worker.pid for worker in renderer.workers.values()]
    assert len(pids) == 3
    _, running = other_bench.submit(kit.recipe(), fault="hang")
    _, queued = other_bench.submit(kit.recipe())
    assert running.stepped.wait(PATIENCE_S)
    other_bench.do(renderer.close())
    assert (running.end.kind, queued.end.kind) == ("cancelled", "cancelled")
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    with pytest.raises(RenderError, match="not been started"):
        other_bench.submit(kit.recipe())


def test_a_lazy_worker_starts_with_the_first_job(other_bench: Any, kit: Any) -> None:
    renderer = other_bench.open(kit.options(), warm=False)
    assert renderer.spawned == 0
    cold, warm = (other_bench.picture(kit.recipe(steps=1)) for _ in range(2))
    assert renderer.spawned == 1
    ready = other_bench.worker()
    assert min(ready.import_s, ready.load_s, ready.warm_s, warm.report.queued_ms) > 0
    assert cold.report.queued_ms > 1000 * (ready.import_s + ready.load_s + ready.warm_s)  # it waited for all of that


def test_the_blocking_face_serves_threads(bench: Any, kit: Any) -> None:
    data = bench.opened.render(kit.recipe())
    assert kit.same_pixels(data, bench.picture(kit.recipe()).data)
    with pytest.raises(RenderError, match="invalid"):
        bench.opened.render(kit.recipe("no-such-pipeline"))


def test_memory_stays_small(bench: Any, kit: Any) -> None:
    bench.picture(kit.recipe(width=1024, height=1024, steps=2))
    pid = bench.worker().pid
    assert memory(pid) < 1.2e9
    for seed in range(10):
        bench.picture(kit.recipe(seed=seed, steps=4))
    before = memory(pid)
    for seed in range(100):
        bench.picture(kit.recipe(seed=seed, steps=4))
    assert memory(pid) - before < 50e6
