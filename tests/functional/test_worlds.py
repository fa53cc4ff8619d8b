"""Worlds are islands in time and in name; their clocks, and what advancing does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.errors import UsageError
from fauxvider.ports import SendOutcome
from fauxvider.service.journal import Journal
from fauxvider.service.reports import Report
from support.inprocess import Answer, InProcess
from support.operations import PNG, Case, Site, cases, file_of, replaced, texts_in
from support.patience import PATIENCE_S
from support.stage import HOOK, Hook

PROVIDERS = tuple(dict.fromkeys(case.provider for case in cases()))
WITH_CALLBACKS = tuple(name for name in PROVIDERS if file_of(name).resolve({}).callbacks)
DAY = 86_400_000


HOOKED = Hook()


@pytest.fixture(scope="module")
def shared() -> Iterator[InProcess]:
    with InProcess(sender=HOOKED) as made:
        yield made


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def host(hook: Hook) -> Iterator[InProcess]:
    with InProcess(sender=hook) as made:
        yield made


def submits(site: Site) -> list[Case]:
    return [case for case in site.cases if case.operation.kind == "submit"]


def submission(site: Site) -> tuple[Case, dict[str, Any]]:
    """Give an operation that takes a job on without holding, and its body."""
    found = submits(site)
    case = next((one for one in found if one.operation.waits is None), found[0])
    return case, case.detached()


def submit(site: Site, *, callback: bool = False, **given: Any) -> str:
    """Take a job on; give its id."""
    case, body = submission(site)
    asked = site.addressed(body, HOOK) if callback else {"json_body": body}
    known = {job["id"] for job in site.jobs()}
    answer = site.call(case, **asked, **given)
    assert answer.is_good, answer.text
    (new,) = {job["id"] for job in site.jobs()} - known
    site.ids["job"], site.ids["job_model"] = new, case.model
    return new


def read(site: Site) -> Answer:
    case = next(one for one in site.cases if one.operation.kind == "read" and one.operation.waits is None)
    return site.call(case)


def state(site: Site, job: str = "") -> str:
    found: str = next(one["state"] for one in site.jobs() if one["id"] == (job or site.ids["job"]))
    return found


# --- islands ------------------------------------------------------------------------------------------


def test_a_thousand_worlds_know_nothing_of_each_other(host: InProcess) -> None:
    count = 340  # of each provider
    sites: dict[str, list[Site]] = {provider: [] for provider in PROVIDERS}
    for number in range(count):
        for provider in PROVIDERS:
            site = Site(host, provider, clock="manual", seed=number, keys=["k", f"key-{number}"])
            sites[provider].append(site)

    async def live(site: Site) -> None:
        """Everything at once: the worlds' requests are mixed on the one loop."""
        case, body = submission(site)
        base, headers = site.base, site.auth()
        for _ in range(2):
            answer = await site.host.call(case.method, base + site.path(case), headers=headers, json_body=body)
            assert answer.is_good
            await asyncio.sleep(0)
        await site.world.advance(60_000)

    async def all_at_once() -> None:
        await asyncio.gather(*(live(site) for row in sites.values() for site in row))

    host.run(all_at_once())
    for row in sites.values():
        model = submission(row[0])[0].model
        for site in row:
            assert [job["state"] for job in site.jobs()] == ["succeeded", "succeeded"]
            site.ids["job"], site.ids["job_model"] = site.jobs()[0]["id"], model
        ids = [job["id"] for site in row for job in site.jobs()]
        assert len(set(ids)) == len(ids) == 2 * count
        for number, site in enumerate(row):
            _nothing_of(site, row[(number + 1) % count], f"key-{number}")
        assert {len(site.jobs()) for site in row} == {2}


def _nothing_of(site: Site, other: Site, key: str) -> None:
    """Ask one world for another's jobs, with another's key, and for another's files."""
    theirs = read(site)
    assert theirs.status == 200
    for case in other.cases:
        if case.operation.job is not None:
            _is_denied(other, case, other.call(case, path=site.path(case)))
    taking, body = submission(other)
    assert other.refusal(other.call(taking, json_body=body, headers=other.auth(key))).startswith("auth")
    assert read(site).body == theirs.body
    for url in [text for text in texts_in(theirs.json()) if text.startswith("http://127.0.0.1")]:
        moved = url.replace(f"/w/{site.world.name}/", f"/w/{other.world.name}/")
        other.refusal(other.host.request("GET", moved))


def _is_denied(site: Site, case: Case, answer: Answer) -> None:
    """The provider's own words for a thing that is not there."""
    missing = case.operation.answers.get("missing")
    if missing is not None and not missing.cause:
        assert answer.status == missing.status
        assert not set(texts_in(answer.json())) & {job["id"] for job in site.jobs()}
    else:
        assert site.refusal(answer) == "job_unknown"


def test_assets_and_secrets_belong_to_one_world(host: InProcess) -> None:
    for provider in PROVIDERS:
        one, other = (Site(host, provider, seed=seed) for seed in (1, 2))
        for site in (one, other):
            site.furnish()
        for name in ("asset", "secret"):
            if name not in one.ids:
                continue
            assert one.ids[name] != other.ids[name]
            for case in other.cases:
                if getattr(case.operation, name) is not None:
                    body = {"json_body": {}} if case.schema is not None else {}
                    answer = other.call(case, path=one.path(case), **body)
                    assert other.refusal(answer) in ("asset_missing", "secret_unknown")
            before = one.state()
            assert before == one.state()


def test_an_asset_of_another_world_cannot_be_named_in_an_input(host: InProcess) -> None:
    for provider in PROVIDERS:
        one, other = (Site(host, provider, seed=seed) for seed in (1, 2))
        one.furnish()
        rules = other.contract.assets
        if rules is None or "asset" not in one.ids:
            continue
        asset = one.host.run(one.store.asset(one.ids["asset"]))
        name = f"{rules.prefix}{asset.id}" if rules.prefix else asset.key
        case, body = submission(other)
        (pointer,) = case.operation.input
        fields = [key for key in body[pointer] if "image" in key.lower()]
        body[pointer] = {**body[pointer], **dict.fromkeys(fields, name)}
        assert other.refusal(other.call(case, json_body=body)) == "asset_unknown"
        assert other.jobs() == []


def test_what_the_journals_cap_pushes_out_is_told_by_every_report(host: InProcess) -> None:
    site = Site(host, PROVIDERS[0], clock="manual")
    site.world.journal = Journal(capacity=6)
    for _ in range(4):
        submit(site)
    left_out = site.world.journal.dropped
    assert left_out > 0
    report = Report(host.emulator, site.world.name)
    assert report.entries[0] == {
        "at": site.world.clock.now(), "kind": "dropped", "what": "journal entries", "count": left_out
    }  # fmt: skip
    for text in (report.verdict_json()["text"], report.story()[0], report.ledger_text(), report.page()):
        assert re.search(rf"\b{left_out} (?:journal )?entries", text), text[:2000]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reset_world_is_as_new(provider: str, host: InProcess) -> None:
    site = Site(host, provider, clock="manual", seed=3, now="2026-05-05T00:00:00Z")
    first = submit(site)
    host.run(site.world.advance(60_000))
    assert len(site.money()["providers"][provider]["charges"]) == 1
    began = site.world.began

    async def reset() -> Any:
        return host.emulator.reset_world(site.world.name)

    site.world = host.run(reset())
    assert site.world.clock.now() == began
    assert (site.jobs(), site.journal()) == ([], [])
    assert _denied(read(site), site)
    assert Decimal(site.money()["providers"][provider]["balance"]) == site.contract.account.balance
    assert submit(site) == first  # and it lives the same life again
    host.run(site.world.advance(60_000))
    assert state(site) == "succeeded"


def _denied(answer: Answer, site: Site) -> bool:
    return answer.status == 404 or site.ids["job"] not in answer.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dropped_world_is_gone(provider: str, host: InProcess) -> None:
    site = Site(host, provider, clock="manual")
    submit(site)

    async def drop() -> None:
        host.emulator.drop_world(site.world.name)

    host.run(drop())
    answer = read(site)
    assert answer.status == 404
    assert set(answer.json()) == {"error", "providers"}
    with pytest.raises(UsageError, match=site.world.name):
        site.jobs()
    with pytest.raises(UsageError, match=site.world.name):
        host.run(drop())


def test_the_default_world_is_made_anew_when_it_is_dropped(host: InProcess) -> None:
    old = host.emulator.world("default")

    async def drop() -> None:
        host.emulator.drop_world("default")

    host.run(drop())
    assert host.emulator.world("default") is not old
    assert host.request("GET", "http://x/runpod/v2/nothing/status/1").status in (401, 404)


# --- the same again -----------------------------------------------------------------------------------


@dataclass
class Play:
    """Everything that can be seen of one world."""

    answers: list[tuple[int, dict[str, str], bytes]]
    journal: bytes
    hits: list[tuple[int, tuple[tuple[str, str], ...], bytes]]
    ids: set[str]

    def digest(self) -> str:
        return hashlib.sha256(repr((self.answers, self.journal, self.hits)).encode()).hexdigest()


def play(seed: int, name: str = "twice", clock: str = "manual") -> Play:
    """Send every operation of every provider, well and badly, in a fresh emulator."""
    hook = Hook([503, "reset", 200])
    with InProcess(sender=hook) as host:
        world = host.world(name=name, seed=seed, clock=clock)
        hook.now = world.clock.now
        answers, ids = [], set()
        for provider in PROVIDERS:
            site = Site.__new__(Site)
            site.__dict__.update(
                host=host, provider=provider, contract=file_of(provider).resolve({}), world=world, ids={}
            )
            site.base, site.cases = host.base(world, provider), [case for case in cases() if case.provider == provider]
            for turn in range(2):
                for case in site.cases:
                    if case.operation.kind == "submit" and case.operation.waits and clock == "manual":
                        continue
                    given: dict[str, Any] = {"json_body": case.valid()} if case.schema is not None else {}
                    if case.operation.kind == "submit":
                        given = site.addressed(case.valid(), HOOK)
                    answer = site.upload(case) if case.operation.body == "multipart" else site.call(case, **given)
                    answers.append((answer.status, answer.headers, answer.body))
                    if case.operation.kind == "submit":
                        site.ids["job"], site.ids["job_model"] = site.jobs()[0]["id"], case.model
                host.run(world.advance(2_000 if turn else 10_000))
            ids |= {job["id"] for job in site.jobs()}
        journal = json.dumps(host.emulator.journal(world.name), sort_keys=True).encode()
        hits = [(hit.at, tuple(hit.headers.items()), hit.body) for hit in hook.hits]
        return Play(answers, journal, hits, ids)


@pytest.mark.parametrize("clock", ["manual", "stepping:250ms"])
def test_the_same_seed_and_requests_give_the_same_bytes(clock: str) -> None:
    one, again = play(5, clock=clock), play(5, clock=clock)
    assert one.answers == again.answers
    assert one.journal == again.journal
    assert one.hits == again.hits
    assert one.hits
    other = play(6, clock=clock)
    assert not one.ids & other.ids
    assert [answer[0] for answer in one.answers] == [answer[0] for answer in other.answers]  # luck decides no status


def test_the_same_in_another_process() -> None:
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[1])]
    code = f"import sys; sys.path[:0] = {paths!r}; import test_worlds as t; print(t.play(5).digest())"
    env = {"PYTHONHASHSEED": "1"}  # sets and dicts of texts are ordered otherwise there
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == play(5).digest() + "\n"


# --- moving time --------------------------------------------------------------------------------------


def ladder(host: InProcess, hook: Hook, steps: list[int]) -> tuple[Any, Any, list[tuple[int, bytes]]]:
    """Submit, then go forward in steps; give what there is to see."""
    hook.hits.clear()
    site = Site(host, "runflow", clock="manual", seed=1, name="ladder")
    hook.now = site.world.clock.now
    for _ in range(3):
        submit(site, callback=True)
    for step in steps:
        host.run(site.world.advance(step))
    shown = host.run(host.emulator.deliveries("ladder"))
    return site.journal(), shown, [(hit.at, hit.body) for hit in hook.hits]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    steps=st.lists(st.integers(0, 3000), max_size=8),
    answers=st.lists(st.sampled_from([200, 404, 503, "timeout", "reset"]), min_size=1, max_size=9),
)
def test_it_does_not_matter_in_how_many_steps_time_goes(
    steps: list[int], answers: list[int | str], shared: InProcess
) -> None:
    hook = HOOKED
    hook.answers = answers
    whole = ladder(shared, hook, [30_000])
    assert ladder(shared, hook, [*steps, 30_000 - sum(steps)]) == whole
    assert whole[2]


def test_seven_days_with_callbacks_take_no_time(host: InProcess, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[float] = []
    call_at = host.loop.call_at

    def counted(when: float, *given: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *given, **options)

    monkeypatch.setattr(host.loop, "call_at", counted)
    hook.answers = [503, 200] * 8
    site = Site(host, "runflow", clock="manual", now="2026-03-01T00:00:00Z")
    hook.now = site.world.clock.now
    submit(site, callback=True)
    began = site.world.clock.now()
    redeliver = next(case for case in site.cases if case.operation.kind == "redeliver")
    for day in range(7):
        host.run(site.world.advance(DAY))
        assert len(hook.hits) == 2 * (day + 1)
        assert hook.hits[-1].at - hook.hits[-2].at == 1000
        assert site.call(redeliver).status == 201
    assert site.world.clock.now() == began + 7 * DAY
    assert [(hit.at - began) // DAY for hit in hook.hits[2::2]] == list(range(1, 7))
    shown = host.run(host.emulator.deliveries(site.world.name))
    assert [(one["automatic"], one["state"]) for one in shown] == [
        (True, "delivered"),
        *[(False, "delivered")] * 6,
        (False, "pending"),
    ]
    assert timers == []  # nothing waits for a clock of the machine


def test_advancing_tells_what_happened_and_nothing_else(host: InProcess, hook: Hook) -> None:
    site = Site(host, "runflow", clock="manual")
    submit(site, callback=True)
    happened = host.run(site.world.advance(60_000))
    assert [one["kind"] for one in happened] == ["ended", "charged", "attempt"]
    assert host.run(site.world.advance(60_000)) == []
    assert host.run(site.world.advance(0)) == []
    moments = [entry["at"] for entry in site.journal()]
    assert moments == sorted(moments)


def test_jobs_end_in_the_order_of_their_ends(host: InProcess) -> None:
    site = Site(host, "runpod", clock="manual")
    for _ in range(20):
        submit(site)
    ends = {job["id"]: job["ends"] for job in site.jobs()}
    host.run(site.world.advance(60_000))
    told = [entry["job"] for entry in site.journal() if entry["kind"] == "ended"]
    assert told == sorted(ends, key=lambda job: ends[job])
    assert len(set(ends.values())) > 10


@pytest.mark.parametrize("clock", ["real", "scaled:60"])
def test_clocks_that_run_are_not_advanced(clock: str, host: InProcess) -> None:
    world = host.world(clock=clock)
    with pytest.raises(UsageError, match="manual and stepping"):
        host.run(world.advance(1))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_on_a_stepping_clock_a_naive_client_needs_no_help(provider: str, host: InProcess, hook: Hook) -> None:
    site = Site(host, provider, clock="stepping:500ms")
    hook.now = site.world.clock.now
    began = site.world.clock.now()
    submit(site, callback=True)
    polls = 1
    while state(site) not in ("succeeded", "failed"):
        assert read(site).is_good
        polls += 1
        assert polls < 100, "the job does not end"
    assert site.world.clock.now() == began + polls * 500  # every request is one step, and nothing else is
    assert len(site.money()["providers"][provider]["charges"]) == 1
    assert len(hook.hits) == (provider in WITH_CALLBACKS)


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.operation.kind == "submit" and case.operation.waits], ids=str
)
def test_on_a_stepping_clock_a_blocking_call_jumps_to_its_end(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider, clock="stepping:1s")
    began = site.world.clock.now()
    answer = site.call(case, json_body=case.valid(), headers=case.held())
    assert answer.is_good
    (job,) = site.jobs()
    assert job["state"] == "succeeded"
    assert site.world.clock.now() == job["ends"]
    assert job["accepted"] == began + 1000
    assert host.run(site.world.advance(0)) == []


# --- held calls ---------------------------------------------------------------------------------------

BLOCKING = [case for case in cases() if case.operation.kind == "submit" and case.operation.waits]


def hold(site: Site, case: Case, **given: Any) -> Any:
    url = site.base + site.path(case)
    return site.host.start(case.method, url, headers={**site.auth(), **case.held()}, json_body=case.valid(), **given)


@pytest.mark.parametrize("case", BLOCKING, ids=str)
def test_a_held_call_waits_until_time_reaches_its_end(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider, clock="manual")
    task = hold(site, case)
    assert not task.done()
    (job,) = site.jobs()
    left = job["ends"] - site.world.clock.now()
    for step in (left // 2, left - left // 2 - 1):
        host.run(site.world.advance(step))
        assert not task.done()
    assert site.world.clock.now() == job["ends"] - 1
    happened = host.run(site.world.advance(1))
    assert task.done()  # with no further turn of the loop
    assert host.finish(task).is_good
    assert [one["kind"] for one in happened][:2] == ["ended", "charged"]


@pytest.mark.parametrize("case", BLOCKING, ids=str)
def test_a_held_call_shows_the_moment_that_it_waited_for(case: Case, host: InProcess) -> None:
    site, fast = (Site(host, case.provider, clock="manual", seed=1, name=name) for name in ("same", "other"))
    tasks = [hold(one, case) for one in (site, fast)]
    host.run(site.world.advance(site.jobs()[0]["ends"] - site.world.clock.now()))
    host.run(fast.world.advance(300 * DAY))  # far beyond: the answer is the same
    one, other = (host.finish(task) for task in tasks)
    assert one.is_good
    assert one.status == other.status
    assert one.text.replace("/w/same/", "/") == other.text.replace("/w/other/", "/") or "X-Amz-Signature" in one.text


@pytest.mark.parametrize(
    "case", [case for case in BLOCKING if case.operation.waits and case.operation.waits.query], ids=str
)
def test_a_bounded_hold_ends_with_the_state_of_the_moment(case: Case, host: InProcess) -> None:
    site, waits = Site(host, case.provider, clock="manual"), case.operation.waits
    assert waits is not None
    task = hold(site, case, query={waits.query: "1000"})
    host.run(site.world.advance(999))
    assert not task.done()
    host.run(site.world.advance(1))
    assert task.done()
    assert host.finish(task).is_good
    assert site.jobs()[0]["state"] == "running"
    host.run(site.world.advance(60_000))
    assert site.jobs()[0]["state"] == "succeeded"


CANCELLING = {case.provider for case in cases() if case.operation.kind == "cancel"}
RELEASES = [
    pytest.param(case, how, id=f"{case}-{how}")
    for case in BLOCKING
    for how in ("cancel", "force", "fail", "drop", "reset")
    if how != "cancel" or case.provider in CANCELLING
]


@pytest.mark.parametrize(("case", "how"), RELEASES)
def test_what_releases_a_held_call_from_outside(case: Case, how: str, host: InProcess) -> None:
    site = Site(host, case.provider, clock="manual")
    task = hold(site, case)
    job, name = site.jobs()[0]["id"], site.world.name
    site.ids["job"], site.ids["job_model"] = job, case.model
    host.run(site.world.advance(100))

    async def drop() -> None:
        host.emulator.drop_world(name)

    async def reset() -> None:
        host.emulator.reset_world(name)

    if how == "cancel":
        cancel = next(one for one in site.cases if one.operation.kind == "cancel")
        assert site.call(cancel).is_good
        assert state(site) == "cancelled"
    elif how in ("force", "fail"):
        host.run(host.emulator.force(name, job, failure=site.contract.default_failure if how == "fail" else ""))
        assert state(site) == ("failed" if how == "fail" else "succeeded")
    else:
        host.run(drop() if how == "drop" else reset())
    answer = host.finish(task)
    assert answer.is_good or answer.status in (400, 499, 500)
    if how in ("cancel", "force", "fail"):
        assert site.world.clock.now() == site.world.began + 100  # nobody moved time
        assert len(site.money()["providers"][case.provider]["charges"]) == (how == "force")


def test_a_client_that_leaves_frees_its_place(host: InProcess) -> None:
    """Held calls count against limits while they are held, and not a moment longer."""
    case = next(case for case in BLOCKING if any("held" in name for name in case.operation.limits))
    limit = next(name for name in case.operation.limits if "held" in name)
    count = file_of(case.provider).resolve({}).limits[limit].count
    site = Site(host, case.provider, clock="manual")
    site.world = host.world(name="limited", limits={"factor": str(Decimal(2) / count)})
    site.base = host.base(site.world, case.provider)
    tasks = [hold(site, case) for _ in range(2)]
    assert site.refusal(host.finish(hold(site, case))) == "rate"
    tasks[0].cancel()
    host.run(asyncio.sleep(0))
    again = hold(site, case)
    assert not again.done()
    host.run(site.world.advance(60_000))
    assert [host.finish(task).status for task in (tasks[1], again)] == [200, 200]


def _is_limited(provider: str) -> bool:
    found = [case for case in cases() if case.provider == provider and case.operation.kind == "submit"]
    return bool(next((one for one in found if one.operation.waits is None), found[0]).operation.limits)


@pytest.mark.parametrize("factor", ["0.000001", 0.1, 1, 3])
@pytest.mark.parametrize("provider", [name for name in PROVIDERS if _is_limited(name)])
def test_limits_scale_and_never_vanish(provider: str, factor: Any, host: InProcess) -> None:
    site = Site(host, provider, clock="manual")
    site.world = host.world(name="limited", limits={"factor": factor})
    site.base = host.base(site.world, provider)
    case, body = submission(site)
    limit = site.contract.limits[case.operation.limits[0]]
    allowed = max(1, int(limit.count * Decimal(str(factor))))
    assert site.call(case, json_body=body).is_good
    if allowed > 40:
        return
    for _ in range(allowed - 1):
        assert site.call(case, json_body=body).is_good
    refused = site.call(case, json_body=body)
    assert site.refusal(refused) == "rate"
    host.run(site.world.advance(limit.window))
    assert site.call(case, json_body=body).is_good


# --- receivers that call back -------------------------------------------------------------------------


class Caller:
    """A receiver that asks the emulator something while it is being called, before it answers."""

    def __init__(self) -> None:
        self.ask: Callable[[], Any] | None = None
        self.got: list[Answer] = []

    async def send(self, method: str, url: str, headers: Any, body: bytes, *, timeout_s: float) -> SendOutcome:
        if self.ask is not None:
            self.got.append(await asyncio.wait_for(self.ask(), PATIENCE_S))
        return SendOutcome("http", 200)


@pytest.mark.parametrize("clock", ["manual", "stepping:1s"])
@pytest.mark.parametrize("provider", WITH_CALLBACKS)
@pytest.mark.parametrize("what", ["read", "submit"])
def test_a_receiver_may_ask_while_time_moves(provider: str, clock: str, what: str) -> None:
    caller = Caller()
    with InProcess(sender=caller) as host:
        site = Site(host, provider, clock=clock)
        case, body = submission(site)
        job = submit(site, callback=True)
        reading = next(one for one in site.cases if one.operation.kind == "read" and one.operation.waits is None)
        case, given = (reading, {}) if what == "read" else (case, {"json_body": body})
        url = site.base + site.path(case)
        caller.ask = lambda: host.call(case.method, url, headers=site.auth(), **given)
        ends = site.jobs()[0]["ends"]
        happened = host.run(site.world.advance(60_000))
        assert len(caller.got) == 1
        assert caller.got[0].is_good
        if what == "read":
            assert job in caller.got[0].text
        else:
            late = next(one for one in site.jobs() if one["id"] != job)
            assert late["accepted"] == ends  # the moment of the callback, not of where time goes to
            assert late["state"] == "succeeded"  # the same advance brings it to its end
        assert [one["kind"] for one in happened].count("attempt") == 1


@pytest.mark.parametrize("case", [case for case in BLOCKING if case.provider in WITH_CALLBACKS], ids=str)
def test_a_receiver_may_make_a_blocking_call_on_a_stepping_clock(case: Case) -> None:
    caller = Caller()
    with InProcess(sender=caller) as host:
        site = Site(host, case.provider, clock="stepping:1s")
        url = site.base + site.path(case)
        caller.ask = lambda: host.call(case.method, url, headers=site.auth(), json_body=case.valid())
        submit(site, callback=True)
        host.run(site.world.advance(60_000))
        assert [answer.is_good for answer in caller.got] == [True]


# --- idempotency --------------------------------------------------------------------------------------

IDEMPOTENT = [name for name in PROVIDERS if file_of(name).resolve({}).idempotency]


@pytest.mark.parametrize("provider", IDEMPOTENT)
def test_a_repeated_intent_is_one_job(provider: str, host: InProcess) -> None:
    site = Site(host, provider, clock="manual")
    rules = site.contract.idempotency
    assert rules is not None
    case, body = submission(site)

    def send(key: str, **more: Any) -> Answer:
        return site.call(case, json_body={**body, **more}, headers={rules.header: key})

    first = send("one")
    host.run(site.world.advance(1000))
    again = send("one")
    assert (again.status, again.body) == (first.status, first.body)  # the first answer again, not the state of now
    assert len(site.jobs()) == 1
    assert site.refusal(send("one", metadata={"other": 1})) == "conflict"
    assert len(site.jobs()) == 1
    assert send("two").json()["id"] != first.json()["id"]
    host.run(site.world.advance(60_000))
    assert len(site.money()["providers"][provider]["charges"]) == 2
    assert send("one").json()["id"] == first.json()["id"]
    host.run(site.world.advance(rules.window))
    fresh = send("one", metadata={"other": 1})
    assert fresh.json()["id"] not in (first.json()["id"], again.json()["id"])
    assert len(site.jobs()) == 3


@pytest.mark.parametrize("provider", IDEMPOTENT)
def test_a_refused_request_is_no_intent(provider: str, host: InProcess) -> None:
    site = Site(host, provider, clock="manual")
    rules = site.contract.idempotency
    assert rules is not None
    case, body = submission(site)
    headers = {rules.header: "one"}
    (pointer,) = case.operation.input
    site.refusal(site.call(case, json_body={pointer: {}}, headers=headers))
    assert site.call(case, json_body=body, headers=headers).status == 201


@pytest.mark.parametrize("provider", IDEMPOTENT)
def test_intents_belong_to_their_path_and_world(provider: str, host: InProcess) -> None:
    site, other = (Site(host, provider, clock="manual", seed=seed) for seed in (1, 2))
    rules = site.contract.idempotency
    assert rules is not None
    case, body = submission(site)
    headers = {rules.header: "one"}
    one = site.call(case, json_body=body, headers=headers).json()["id"]
    assert other.call(case, json_body=body, headers=headers).json()["id"] != one
    for model in site.contract.models.values():
        path = site.path(case, name=model.key[0])
        if path != site.path(case):
            answer = site.call(case, path=path, json_body=body, headers=headers)
            assert answer.json()["id"] != one


# --- money --------------------------------------------------------------------------------------------

DOES = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "cancel", "fail", "succeed", "advance", "bad", "retry"]),
        st.integers(0, 30),
        st.integers(0, 5000),
    ),
    max_size=30,
)


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(derandomize=True, deadline=None, max_examples=25)
@given(does=DOES, balance=st.decimals(0, 3, places=4), seed=st.integers(0, 1000))
def test_the_ledger_is_exact(
    provider: str, does: list[tuple[str, int, int]], balance: Decimal, seed: int, shared: InProcess
) -> None:
    scale = 100_000 if provider == "onemin" else 1
    site = Site(shared, provider, clock="manual", seed=seed, balances={provider: str(balance * scale)}, name="money")
    models = [case for case in cases(every_model=True) if case.provider == provider and case.operation.kind == "submit"]
    models = [case for case in models if not case.always_holds]
    start = Decimal(_account(site)["balance"])
    assert start == balance * scale
    for kind, which, span in does:
        jobs = site.jobs()
        job = jobs[which % len(jobs)] if jobs else None
        if kind in ("submit", "bad"):
            case = models[which % len(models)]
            body = case.detached() if kind == "submit" else {"input": 5, "promptObject": 5}
            site.call(case, path=site.path(case), json_body=body)
        elif kind == "advance":
            shared.run(site.world.advance(span))
        elif job is not None and kind in ("fail", "succeed"):
            failure = site.contract.default_failure if kind == "fail" else ""
            shared.run(shared.emulator.force("money", job["id"], failure=failure))
        elif job is not None:
            for case in site.cases:
                if case.operation.kind == kind:
                    site.ids["job"], site.ids["job_model"] = job["id"], job["model"]
                    site.call(case)
        _balance_agrees(site, start)
    shared.run(site.world.advance(DAY))
    _balance_agrees(site, start)
    charged = {charge["job"]: charge["amount"] for charge in _account(site)["charges"]}
    for job in site.jobs():
        paid = job["state"] in site.contract.account.charge and Decimal(job["price"]) > 0
        assert (job["id"] in charged) == paid, job
        assert charged.get(job["id"], job["price"]) == job["price"]


def _account(site: Site) -> Any:
    return site.money()["providers"][site.provider]


def _balance_agrees(site: Site, start: Decimal) -> None:
    account = _account(site)
    amounts = [Decimal(charge["amount"]) for charge in account["charges"]]
    assert start - Decimal(account["balance"]) == sum(amounts, Decimal(0)) == Decimal(account["total"])
    assert len({charge["job"] for charge in account["charges"]}) == len(amounts)  # nobody pays twice
    told = [Decimal(entry["amount"]) for entry in site.journal() if entry["kind"] == "charged"]
    assert told == amounts
    ended = [entry["job"] for entry in site.journal() if entry["kind"] == "ended"]
    assert len(ended) == len(set(ended)) or any(
        event["kind"] == "retried" for job in site.jobs() for event in job["events"]
    )


def test_a_forced_end_is_told_once(host: InProcess, hook: Hook) -> None:
    site = Site(host, "runflow", clock="manual")
    job = submit(site, callback=True)
    for failure in ("", "provider_error", ""):
        host.run(host.emulator.force(site.world.name, job, failure=failure))
    host.run(site.world.advance(60_000))
    assert [entry["kind"] for entry in site.journal() if entry.get("job") == job] == [
        "accepted",
        "request",
        "ended",
        "charged",
        "attempt",
    ]
    assert len(hook.hits) == 1
    assert state(site) == "succeeded"


def test_two_ends_at_one_moment_are_two(host: InProcess, hook: Hook) -> None:
    """Failed, run again and done before time moves: the second end is charged and called for like any other."""
    site = Site(host, "runpod", clock="manual")
    job = submit(site, callback=True)
    again = next(case for case in site.cases if case.operation.kind == "retry")
    host.run(host.emulator.force(site.world.name, job, failure="handler_error"))
    assert site.call(again).status == 200
    host.run(host.emulator.force(site.world.name, job, failure=""))
    host.run(site.world.advance(60_000))
    assert [entry["state"] for entry in site.journal() if entry["kind"] == "ended"] == ["failed", "succeeded"]
    assert len(_account(site)["charges"]) == 1
    assert [json.loads(hit.body)["status"] for hit in hook.hits] == ["FAILED", "COMPLETED"]


def test_uploads_are_kept_whole(host: InProcess) -> None:
    for provider in PROVIDERS:
        site = Site(host, provider)
        for case in site.cases:
            if case.operation.kind == "asset_upload":
                assert site.upload(case, PNG * 1000).status == 200
                assert (PNG * 1000) in [one.data for one in site.store._assets.values()]


def test_the_ledger_shows_accounts_that_nobody_has_used(host: InProcess) -> None:
    site = Site(host, PROVIDERS[0], balances={PROVIDERS[-1]: "7.5"})
    accounts = site.money()["providers"]
    assert set(accounts) == set(PROVIDERS)
    assert (accounts[PROVIDERS[-1]]["balance"], accounts[PROVIDERS[-1]]["charges"]) == ("7.5", [])


def test_what_is_taken_and_fails_for_what_it_asks_is_explained(host: InProcess) -> None:
    late = [one for one in cases() if one.operation.kind == "submit" and one.fails_later and not one.always_holds]
    assert late
    for case in late:
        site = Site(host, case.provider)
        body = replaced(case.valid(), (*case.operation.input, "prompt"), 5)
        assert site.call(case, json_body=body).is_good
        (missed,) = Report(host.emulator, site.world.name).near_misses()
        assert "5 is an integer, not a string" in missed.text
