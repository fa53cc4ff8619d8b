"""Virtual sleeping by itself: threads, event loops, what is replaced and what is left alone. Nothing here sleeps."""

from __future__ import annotations

import asyncio
import copy
import gc
import http.server
import json
import pickle
import queue
import sched
import subprocess
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
import stamina
import tenacity
import uvloop

from fauxvider import LocalServer, Receiver, Server, UsageError, WorldHandle
from fauxvider.local import answer_of
from pytest_fauxvider import sleeping, sleeping_waits
from pytest_fauxvider.sleeping import EndlessSleepError, VirtualTime, virtual_sleep
from pytest_fauxvider.sleeping_clocks import REAL
from pytest_fauxvider.sleeping_watch import meant_ns
from support.acme import ACME_TEXT

KEY = {"authorization": "Bearer k", "content-type": "application/json"}
LOOPS: list[Any] = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


@pytest.fixture(scope="module", params=["threaded", "local"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | LocalServer]:
    file = tmp_path_factory.mktemp("contract") / "acme.yaml"
    file.write_text(ACME_TEXT)
    make: Any = Server if request.param == "threaded" else LocalServer
    with make(contracts=[file], clock="manual") as made:
        yield made


@pytest.fixture
def world(server: Server) -> Iterator[WorldHandle]:
    with server.world(clock="manual") as made:
        yield made


@pytest.fixture
def slept(world: WorldHandle) -> Iterator[VirtualTime]:
    with virtual_sleep(world) as session:
        yield session


class Span:
    """How far a world has moved, in ms."""

    def __init__(self, world: WorldHandle) -> None:
        self.world = world
        self.began = world.now()

    @property
    def ms(self) -> int:
        return self.world.now() - self.began


# --- threads ------------------------------------------------------------------------------------------


def test_a_sleep_moves_the_world_by_exactly_that(world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    time.sleep(2)
    assert span.ms == 2000
    time.sleep(0.25)
    assert (span.ms, slept.spans, slept.seconds) == (2250, [2.0, 0.25], 2.25)


def test_parts_of_a_millisecond_add_up(world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    for _ in range(10):
        time.sleep(0.00025)
    assert (span.ms, len(slept.spans)) == (2, 10)


def test_the_clocks_move_with_the_world(world: WorldHandle, slept: VirtualTime) -> None:
    readers: list[Callable[[], float]] = [time.time, time.monotonic, time.perf_counter]
    in_ns: list[Callable[[], int]] = [time.time_ns, time.monotonic_ns, time.perf_counter_ns]
    began = [REAL[read.__name__]() for read in readers]
    before = [read() for read in readers], [read() for read in in_ns]
    time.sleep(3600)
    world.advance("1h")  # the test's own moves too
    for read, was, real in zip(readers, before[0], began, strict=True):
        assert 7200 <= read() - was < 7201 + REAL[read.__name__]() - real
    for read_ns, was_ns in zip(in_ns, before[1], strict=True):
        assert read_ns() - was_ns >= 7200 * 10**9
    assert slept.seconds == 3600


def test_a_deadline_written_with_monotonic_ends(world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    deadline, polls = time.monotonic() + 60, 0
    while time.monotonic() < deadline:
        polls += 1
        time.sleep(5)
    assert (polls, span.ms) == (12, 60_000)


def test_every_thread_of_the_client_sleeps_virtually(world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    thread = threading.Thread(target=time.sleep, args=(7,))
    thread.start()
    thread.join()
    assert span.ms == 7000
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(time.sleep, [10, 10, 10, 10]))
    assert 17_000 <= span.ms <= 47_000  # at once or one after the other, as the threads came to it
    assert slept.seconds == 47


def test_clocks_that_never_run_back_do_not_at_the_end(world: WorldHandle) -> None:
    sleeping.begin_run()
    try:
        with virtual_sleep(world):
            time.sleep(1000)
            inside, date = time.monotonic(), time.time()
        assert time.monotonic() >= inside
        real = REAL["perf_counter"]()  # first: what passes between the two makes the span longer, never shorter
        assert time.perf_counter() - real > 999
        assert date - time.time() > 900  # dates are real again
    finally:
        sleeping.end_run()


def test_what_waits_on_threads_waits_in_real_time(world: WorldHandle, slept: VirtualTime) -> None:
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=0.001)
    assert not threading.Event().wait(0.001)
    assert slept.spans == []


def test_nothing_is_slept_that_the_original_would_refuse(world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    time.sleep(0)
    for wrong, error in (
        (-1, ValueError),
        ("2", TypeError),
        (None, TypeError),
        (float("nan"), ValueError),
        (1e300, OverflowError),
    ):
        with pytest.raises(error):
            time.sleep(wrong)  # type: ignore[arg-type]
    time.sleep(True)
    assert span.ms == 1000


def test_a_loop_without_end_is_told_of(world: WorldHandle) -> None:
    def poll_for_ever() -> None:
        while True:
            try:
                time.sleep(2)
            except Exception:
                continue

    with virtual_sleep(world, most=50), pytest.raises(EndlessSleepError, match=r"slept 51 times, 102 s .* for 2 s"):
        poll_for_ever()
    with virtual_sleep(world, limit_days=1), pytest.raises(EndlessSleepError, match="slept 1 times, 172800 s"):
        time.sleep(2 * 86_400)


def test_what_falls_due_is_settled(server: Server | LocalServer, world: WorldHandle, slept: VirtualTime) -> None:
    ask = Asker(server, world)
    job = ask.submit()
    time.sleep(10)
    assert ask.status(job) == "COMPLETED"


class Asker:
    """Asks the emulator without a socket."""

    def __init__(self, server: Any, world: WorldHandle) -> None:
        self.server, self.world = server, world
        self.base = world.base_url("acme")

    def ask(self, method: str, path: str, body: bytes = b"") -> Any:
        answer = self.server.call(answer_of(self.server.app, method, self.base + path, KEY.items(), body))
        assert answer.status < 300, answer.text
        return answer.json()

    def submit(self, **more: Any) -> str:
        tree = {"input": {"prompt": "a lighthouse"}, **more}
        return str(self.ask("POST", "/v2/acme-dev/run", json.dumps(tree).encode())["id"])

    def status(self, job: str) -> str:
        return str(self.ask("GET", f"/v2/acme-dev/status/{job}")["status"])


# --- what is replaced ---------------------------------------------------------------------------------


def test_names_that_modules_hold_are_replaced_and_given_back(world: WorldHandle) -> None:
    module = types.ModuleType("some_client")
    vars(module).update(sleep=REAL["sleep"], clock=REAL["monotonic"], other=len)
    sys.modules["some_client"] = module
    try:
        with virtual_sleep(world) as session:
            module.sleep(3)
            assert session.spans == [3.0]
            assert module.clock is time.monotonic
            assert module.other is len
        assert (module.sleep is REAL["sleep"]) == (time.sleep is REAL["sleep"])
    finally:
        del sys.modules["some_client"]


def test_stand_ins_behave_as_builtins() -> None:
    was_installed = time.sleep is not REAL["sleep"]
    sleeping.install()
    try:

        class Client:
            clock = time.monotonic
            pause = time.sleep

        assert Client().clock() > 0
        assert Client().pause(0) is None  # type: ignore[func-returns-value]
        assert pickle.loads(pickle.dumps(time.monotonic)) is time.monotonic
        assert copy.deepcopy(time.sleep) is time.sleep
        assert (time.sleep.__name__, time.sleep.__module__) == ("sleep", "time")
        assert time.sleep.__doc__ == REAL["sleep"].__doc__
        assert "sleep" in repr(time.sleep)
        sleeping.install()
    finally:
        if not was_installed:
            sleeping.uninstall()
            assert time.sleep is REAL["sleep"]


def test_without_a_session_everything_is_as_ever(world: WorldHandle) -> None:
    before = asyncio.BaseEventLoop.call_at, asyncio.BaseEventLoop.time
    sleeping.install()
    span = Span(world)
    time.sleep(0.001)
    assert span.ms == 0
    asyncio.run(asyncio.sleep(0.001))
    assert span.ms == 0
    assert (asyncio.BaseEventLoop.call_at, asyncio.BaseEventLoop.time) == before


def test_a_clock_that_runs_by_itself_is_refused(server: Server) -> None:
    for clock in ("real", "scaled:100"):
        with (
            server.world(clock=clock) as running,
            pytest.raises(UsageError, match=f"{clock} moves by itself"),
            virtual_sleep(running),
        ):
            pass


def test_one_world_at_a_time(world: WorldHandle, slept: VirtualTime) -> None:
    with pytest.raises(UsageError, match="virtual already"), virtual_sleep(world):
        pass
    time.sleep(1)
    assert slept.spans == [1.0]


def test_default_arguments_and_schedulers(world: WorldHandle, slept: VirtualTime) -> None:
    def retry(pause: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic) -> float:
        began = clock()
        pause(30)
        return clock() - began

    assert retry() >= 30
    done: list[int] = []
    scheduler = sched.scheduler(time.monotonic, time.sleep)
    scheduler.enter(60, 1, done.append, (1,))
    scheduler.run()
    assert done == [1]


OTHERS = """
import sys
{first}
from pytest_fauxvider import sleeping
sleeping.install()
{then}
import datetime
import time

from fauxvider import Server
from pytest_fauxvider.sleeping import virtual_sleep

then = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
with {travel}:
    assert time.time() == 1577836800, time.time()
assert time.time() > 1577836800
with Server() as server, server.world(clock="manual") as world, virtual_sleep(world) as slept:
    with {travel}:
        began = time.time()
        time.sleep(5)
        assert time.time() - began == {moved}
    time.sleep(5)
    assert slept.spans == [5, 5]
assert time.time() > 1577836800
sleeping.uninstall()
with {travel}:
    assert time.time() == 1577836800
print(type(time.time).__name__, [one for one in sys.meta_path if "fauxvider" in type(one).__module__])
"""


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("library", "travel", "moved"),
    [("time_machine", "time_machine.travel(then, tick=False)", 5), ("freezegun", "freezegun.freeze_time(then)", 0)],
)
def test_beside_other_masters_of_time(library: str, travel: str, moved: int, is_first: bool) -> None:
    """time-machine writes into C functions: it must never find anything else (it would crash the process)."""
    load = f"import {library}"
    code = OTHERS.format(first=load if is_first else "", then="" if is_first else load, travel=travel, moved=moved)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # What freezegun finds when it is loaded is what it puts back for ever: a stand-in that passes through.
    is_kept = library == "freezegun" and not is_first
    assert done.stdout == f"{'_Reading' if is_kept else 'builtin_function_or_method'} []\n"


# --- event loops --------------------------------------------------------------------------------------


async def together(*work: Awaitable[Any]) -> None:
    await asyncio.gather(*work)


@pytest.mark.parametrize("run", LOOPS)
def test_two_that_sleep_at_once_take_as_long_as_one(run: Any, world: WorldHandle, slept: VirtualTime) -> None:
    span = Span(world)
    run(together(asyncio.sleep(2), asyncio.sleep(2)))
    assert span.ms == 2000
    assert slept.spans == [2, 2]


@pytest.mark.parametrize("run", LOOPS)
def test_sleepers_wake_in_order(run: Any, world: WorldHandle, slept: VirtualTime) -> None:
    span, woken = Span(world), []

    async def one(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, span.ms))

    run(together(one(3), one(2), one(2.5)))
    assert woken == [(2, 2000), (2.5, 2500), (3, 3000)]


@pytest.mark.parametrize("run", LOOPS)
def test_timeouts_fire_at_their_moment(run: Any, world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        span = Span(world)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        assert span.ms == 5000
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 2.5)
        assert span.ms == 7500
        with anyio.move_on_after(1.5) as scope:
            await anyio.sleep(60)
        assert (scope.cancelled_caught, span.ms) == (True, 9000)
        async with asyncio.timeout(5):
            await asyncio.sleep(4)
        await asyncio.wait_for(asyncio.sleep(1), 9)
        assert span.ms == 14_000

    run(main())


def test_a_timeout_outlives_many_short_sleeps(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        span, naps = Span(world), 0
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(10):
                while True:
                    await asyncio.sleep(3)
                    naps += 1
        assert (naps, span.ms) == (3, 10_000)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("delay", "ms"),
    [
        (5, 5000),
        (4.9963, 5000),
        (2.491, 2500),
        (0.0991, 100),
        (1.2346, 1235),
        (0.25, 250),
        (0.001, 1),
        (0.0004, 0),
        (5.0004, 5000),
        (7.3, 7300),
    ],
)
def test_the_span_that_was_meant(delay: float, ms: int) -> None:
    assert meant_ns(delay) == ms * 1_000_000


def test_a_deadline_of_the_loop_ends(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        deadline, naps = loop.time() + 10, 0
        while loop.time() < deadline:
            await asyncio.sleep(1)
            naps += 1
        return naps

    assert asyncio.run(main()) == 10


@pytest.mark.parametrize("run", LOOPS)
def test_one_polls_while_another_sleeps(
    run: Any, server: Server | LocalServer, world: WorldHandle, slept: VirtualTime
) -> None:
    ask = Asker(server, world)
    seen: list[tuple[int, str]] = []

    async def poll(job: str) -> None:
        span = Span(world)
        while (status := await asyncio.to_thread(ask.status, job)) != "COMPLETED":
            seen.append((span.ms, status))
            await asyncio.sleep(2)

    async def main() -> None:
        await together(poll(ask.submit()), asyncio.sleep(30))

    span = Span(world)
    run(main())
    assert span.ms == 30_000
    assert [moment for moment, _ in seen] == list(range(0, 2000 * len(seen), 2000))
    assert len(seen) >= 2


def test_who_spins_does_not_keep_time_from_moving(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        done = asyncio.create_task(asyncio.sleep(5))
        while not done.done():  # noqa: ASYNC110 - what this is about
            await asyncio.sleep(0)

    span = Span(world)
    asyncio.run(main())
    assert span.ms == 5000


def test_who_waits_in_a_thread_does_not_keep_time_from_moving(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        word: queue.Queue[int] = queue.Queue()
        waiting = asyncio.get_running_loop().run_in_executor(None, word.get)
        await asyncio.sleep(5)
        word.put(1)
        await waiting

    span = Span(world)
    asyncio.run(main())
    assert span.ms == 5000


def test_a_thread_s_sleep_moves_the_loop_s_time_too(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        await together(asyncio.to_thread(time.sleep, 4), asyncio.sleep(4))

    span = Span(world)
    asyncio.run(main())
    assert 4000 <= span.ms <= 8000


def test_a_blocking_sleep_in_a_coroutine(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        span = Span(world)
        sleeper = asyncio.create_task(asyncio.sleep(3))
        await asyncio.sleep(0)
        time.sleep(5)  # noqa: ASYNC251 - what this is about
        assert span.ms == 5000
        await sleeper
        assert span.ms == 5000

    asyncio.run(main())


def test_cancelled_sleeps_move_nothing(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(1)

    span = Span(world)
    asyncio.run(main())
    assert span.ms == 1000


def test_forever_is_no_sleep(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()

    asyncio.run(main())
    assert slept.spans == []


def test_a_world_that_is_gone_wakes_who_sleeps_in_it(server: Server) -> None:
    async def main(gone: WorldHandle) -> None:
        gone.drop()
        with pytest.raises(Exception, match="there is no world"):
            await asyncio.sleep(5)

    gone = server.world(clock="manual")
    with virtual_sleep(gone):
        asyncio.run(main(gone))


def test_what_still_sleeps_at_the_end_is_not_left_hanging(world: WorldHandle) -> None:
    with asyncio.Runner() as runner:

        async def begin() -> asyncio.Task[None]:
            task = asyncio.create_task(asyncio.sleep(0.002))
            await asyncio.sleep(0)
            return task

        with virtual_sleep(world):
            task = runner.run(begin())

        async def wait() -> None:
            await asyncio.wait_for(task, 60)

        runner.run(wait())
    gc.collect()


@pytest.mark.parametrize("run", LOOPS)
def test_an_endless_loop_of_a_coroutine_is_told_of(run: Any, world: WorldHandle) -> None:
    async def main() -> None:
        while True:
            try:
                await asyncio.sleep(2)
            except Exception:
                continue

    with virtual_sleep(world, most=20), pytest.raises(EndlessSleepError, match="slept 21 times"):
        run(main())


# --- retry libraries ----------------------------------------------------------------------------------


class Flaky:
    """Fails so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("not yet")
        return "done"

    async def later(self) -> str:
        return self()


def test_tenacity(world: WorldHandle, slept: VirtualTime) -> None:
    retrying = tenacity.Retrying(wait=tenacity.wait_fixed(10), stop=tenacity.stop_after_delay(60))
    assert retrying(Flaky(3)) == "done"
    assert slept.spans == [10, 10, 10]
    with pytest.raises(tenacity.RetryError):
        retrying(Flaky(99))
    assert len(slept.spans) == 3 + 6


def test_tenacity_async(world: WorldHandle, slept: VirtualTime) -> None:
    retrying = tenacity.AsyncRetrying(wait=tenacity.wait_exponential(), stop=tenacity.stop_after_attempt(9))
    span = Span(world)
    assert asyncio.run(retrying(Flaky(4).later)) == "done"
    assert (slept.spans, span.ms) == ([1, 2, 4, 8], 15_000)


def test_stamina(world: WorldHandle, slept: VirtualTime) -> None:
    retry = stamina.retry(on=ConnectionError, attempts=4, wait_initial=5, wait_jitter=0, wait_max=60, timeout=None)
    assert retry(Flaky(3))() == "done"
    assert asyncio.run(retry(Flaky(3).later)()) == "done"
    assert slept.spans == [5, 10, 20] * 2


def test_anyio_sleeps(world: WorldHandle, slept: VirtualTime) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 20)
            group.start_soon(anyio.sleep, 20)
        await anyio.sleep_until(anyio.current_time() + 5)

    span = Span(world)
    anyio.run(main)
    assert 20_000 < span.ms <= 25_000  # of the last five seconds a busy machine may have used some before it slept


# --- callbacks while time moves -----------------------------------------------------------------------


@pytest.fixture
def called_back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, WorldHandle]]:
    file = tmp_path_factory.mktemp("contract") / "acme.yaml"
    file.write_text(ACME_TEXT)
    with Server(contracts=[file]) as server, server.world(clock="manual") as world:
        yield server, world


def test_a_handler_in_the_same_loop_is_answered(called_back: tuple[Server, WorldHandle]) -> None:
    server, world = called_back
    ask, got = Asker(server, world), []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        await reader.readuntil(b"\r\n\r\n")
        began, at = loop.time(), world.now()
        await asyncio.sleep(3)  # while time is being moved
        got.append((loop.time() - began >= 3, world.now() - at))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> None:
        receiver = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = receiver.sockets[0].getsockname()[1]
        ask.submit(webhook=f"http://127.0.0.1:{port}/hook")
        await asyncio.sleep(60)
        receiver.close()

    span = Span(world)
    with virtual_sleep(world) as slept:
        asyncio.run(main())
    assert span.ms == 60_000  # the handler's three seconds are among them
    assert got == [(True, 0)]
    assert slept.spans == [60, 3]
    (delivery,) = world.deliveries()
    assert delivery["state"] == "delivered"


async def wait_for_callback(world: WorldHandle, server: Server, timeout_s: float) -> bool:
    """A client that does not poll: its handler sets an event, and it waits for that."""
    came = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    receiver = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = receiver.sockets[0].getsockname()[1]
    Asker(server, world).submit(webhook=f"http://127.0.0.1:{port}/hook")
    try:
        async with asyncio.timeout(timeout_s):
            await came.wait()
    except TimeoutError:
        return False
    finally:
        receiver.close()
    return True


@pytest.mark.parametrize("run", LOOPS)
def test_who_waits_for_a_callback_gets_it(run: Any, called_back: tuple[Server, WorldHandle]) -> None:
    server, world = called_back
    span = Span(world)
    with virtual_sleep(world):
        assert run(wait_for_callback(world, server, 600))
    assert 3000 <= span.ms < 6000  # as long as the job ran


@pytest.mark.parametrize("run", LOOPS)
def test_who_waits_in_vain_times_out(
    run: Any, called_back: tuple[Server, WorldHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleeping_waits, "_TO_TIMEOUT", 3)
    server, _ = called_back
    scenario = {"scenario": 1, "name": "lost", "rules": [{"on": "delivery", "do": {"lose": True}}]}
    with server.world(clock="manual", scenario=scenario) as world, virtual_sleep(world):
        span = Span(world)
        assert not run(wait_for_callback(world, server, 600))
        assert span.ms == 600_000

        async def others() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 50)
            with anyio.move_on_after(50) as scope:
                await asyncio.Event().wait()
            assert scope.cancelled_caught
            done, _ = await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=50)
            assert not done

        run(others())
        assert span.ms == 750_000


def test_a_held_call_over_a_socket_comes_to_its_end(called_back: tuple[Server, WorldHandle]) -> None:
    _, world = called_back

    async def main() -> Any:
        async with httpx.AsyncClient(timeout=90) as client:
            url = f"{world.base_url('acme')}/v2/acme-dev/runsync"
            return (await client.post(url, json={"input": {"prompt": "a lighthouse"}}, headers=KEY)).json()

    with virtual_sleep(world):
        assert asyncio.run(main())["status"] == "COMPLETED"


def test_what_is_really_at_work_is_waited_for(
    called_back: tuple[Server, WorldHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, world = called_back
    monkeypatch.setattr(sleeping_waits, "_LOOK_S", 0.0001)
    Asker(server, world).submit()
    word: queue.Queue[int] = queue.Queue()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, word.put, 7)
        return await asyncio.wait_for(loop.run_in_executor(None, word.get), 30)

    span = Span(world)
    with virtual_sleep(world):
        assert asyncio.run(main()) == 7
    with virtual_sleep(world, waits=False):
        assert asyncio.run(main()) == 7
    assert span.ms == 0


def test_a_handler_in_a_thread_may_sleep(called_back: tuple[Server, WorldHandle]) -> None:
    server, world = called_back
    ask, got = Asker(server, world), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            began, at = time.monotonic(), world.now()
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                time.sleep(1)
            got.append((time.monotonic() - began >= 5, world.now() - at))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        try:
            span = Span(world)
            with virtual_sleep(world):
                ask.submit(webhook=f"http://127.0.0.1:{receiver.server_address[1]}/hook")
                time.sleep(60)
            assert (span.ms, got) == (60_000, [(True, 0)])
        finally:
            receiver.shutdown()
            thread.join()


def test_a_handler_in_the_calling_thread_may_sleep(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("contract") / "acme.yaml"
    file.write_text(ACME_TEXT)
    got: list[float] = []

    def deliver(_: Any) -> int:
        began = time.monotonic()
        time.sleep(3)
        got.append(time.monotonic() - began)
        return 200

    with LocalServer(contracts=[file], deliver=deliver) as server, server.world(clock="manual") as world:
        span = Span(world)
        with virtual_sleep(world):
            Asker(server, world).submit(webhook="http://receiver.test/hook")
            time.sleep(60)
        assert span.ms == 60_000
    assert len(got) == 1
    assert got[0] >= 3


def test_our_own_receiver_lives_in_real_time(called_back: tuple[Server, WorldHandle]) -> None:
    server, world = called_back
    with Receiver([503, "reset", 200]) as receiver, virtual_sleep(world):
        Asker(server, world).submit(webhook=receiver.url)
        time.sleep(600)
        assert [got.answer for got in receiver.wait(3, 60)] == [503, "reset", 200]
        assert len(world.deliveries()[0]["attempts"]) == 3
