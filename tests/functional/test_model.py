"""A second, naive implementation of what the contract of tests/data/acme.yaml says, driven against the emulator.

The model below was written from the contract's text: plain numbers, lists and loops, no agenda, no marks, no store.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fauxvider.ports import SendOutcome
from support.acme import ACME_TEXT
from support.inprocess import Answer, InProcess

QUEUED, RUNS = 20, 4000  # ms
DAY = 86_400_000
HOOK = "http://client.test/hook"

# The same contract with its two dice taken out, so that a life can be told in advance.
TEXT = re.sub("    timing: .*\n", "", ACME_TEXT.replace("lasts: {uniform: [10ms, 30ms]}", "lasts: 20ms"))
assert TEXT.count("work:") == 0
assert "uniform" not in TEXT


# --- the model ----------------------------------------------------------------------------------------


@dataclass
class Delivery:
    created: int
    automatic: bool
    secret: str | None
    due: int | None
    tried: list[tuple[int, int | str]] = field(default_factory=list)
    word: str = "pending"


@dataclass
class Job:
    id: str
    accepted: int
    size: tuple[int, int]
    count: int
    calls_back: bool
    timeout: int
    ttl: int
    intent: str = ""
    body: str = ""
    began: int = 0
    stopped: tuple[int, str] | None = None
    gone: int = 0
    runs: int = 0
    is_finished: bool = False
    is_paid: bool = False
    is_empty: bool = False
    deliveries: list[Delivery] = field(default_factory=list)

    def start(self, now: int) -> None:
        self.began, self.stopped, self.gone, self.is_finished = now, None, now + self.ttl, False

    @property
    def price(self) -> Decimal:
        if self.is_empty:
            return Decimal(0)
        pixels = self.size[0] * self.size[1] * self.count
        return (Decimal(pixels) * Decimal("0.02") / 1_000_000).quantize(Decimal("0.000001"), ROUND_HALF_UP)

    def end(self) -> tuple[int, str]:
        """When it ends, and in which word."""
        ended, word = self.began + QUEUED + RUNS, "COMPLETED"
        if self.is_empty:
            ended, word = self.began + QUEUED, "FAILED"
        elif self.timeout < RUNS:
            ended, word = self.began + QUEUED + self.timeout, "TIMED_OUT"
        if self.stopped is not None and self.stopped[0] < ended:
            return self.stopped
        return ended, word

    def word(self, now: int) -> str:
        ended, word = self.end()
        if now >= ended:
            return word
        return "IN_QUEUE" if now < self.began + QUEUED else "IN_PROGRESS"

    def is_known(self, now: int) -> bool:
        return now < self.gone


class Model:
    """One account, its jobs, its secrets."""

    def __init__(self, balance: Decimal, now: int) -> None:
        self.balance, self.now = balance, now
        self.jobs: dict[str, Job] = {}
        self.secrets: dict[str, str] = {}
        self.current: str | None = None
        self.mode: int | str = 200
        self.hits = 0

    def advance(self, span: int) -> None:
        target = self.now + span
        while True:
            due: list[tuple[int, Job, Delivery | None]] = []
            for job in self.jobs.values():
                if not job.is_finished:
                    due.append((job.end()[0], job, None))
                due += [(one.due, job, one) for one in job.deliveries if one.due is not None]
            due = [one for one in due if one[0] <= target]
            if not due:
                break
            moment, job, delivery = min(due, key=lambda one: one[0])
            self.now = max(self.now, moment)
            if delivery is None:
                self.finish(job)
            else:
                self.attempt(delivery)
        self.now = target

    def finish(self, job: Job) -> None:
        ended, word = job.end()
        job.is_finished = True
        if job.gone < ended:
            return  # its record had gone: nobody pays, nobody is called
        if word == "COMPLETED" and job.price and not job.is_paid:
            self.balance -= job.price
            job.is_paid = True
        if job.calls_back:
            job.deliveries.append(Delivery(ended, True, self.current, ended))

    def attempt(self, delivery: Delivery) -> None:
        assert delivery.due is not None
        at, self.hits = delivery.due, self.hits + 1
        delivery.tried.append((at, self.mode))
        ended = at + 10_000 if self.mode == "timeout" else at
        delivery.due = None
        if isinstance(self.mode, int) and 200 <= self.mode < 300:
            delivery.word = "succeeded"
        elif (self.mode in ("timeout", "network") or int(self.mode) >= 500) and len(delivery.tried) < 3:
            delivery.due = ended + 1000 * len(delivery.tried)  # after 1 s, then after 2 s
        else:
            delivery.word = "failed"


# --- the machine --------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """Answers in one way until told otherwise."""

    mode: int | str = 200
    hits: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def send(self, method: str, url: str, headers: Any, body: bytes, *, timeout_s: float) -> SendOutcome:
        assert (method, url) == ("POST", HOOK)
        self.hits.append(({name.lower(): value for name, value in headers}, body))
        if isinstance(self.mode, int):
            return SendOutcome("http", self.mode)
        return SendOutcome("timeout" if self.mode == "timeout" else "network", error=self.mode)


class _Shared:
    """One emulator for all runs: every run has a world of its own."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.host: InProcess | None = None
        self.serial = 0

    def get(self) -> InProcess:
        if self.host is None:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "acme.yaml"
                path.write_text(TEXT, encoding="utf-8")
                self.host = InProcess(files=[path], sender=self.receiver)
        return self.host


SHARED = _Shared()
SIZES = st.sampled_from([(256, 256), (512, 768), (1024, 1024), (1536, 1536)])
SPANS = st.one_of(
    st.sampled_from([0, 1, QUEUED, RUNS, QUEUED + RUNS, 1000, 3000, 10_000, DAY, 7 * DAY, 7 * DAY + 1, 30 * DAY]),
    st.integers(0, 6000),
)


def iso_ms_z(moment: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment % 1000:03d}Z"


class Both(RuleBasedStateMachine):
    """Does everything twice, and compares."""

    @initialize(balance=st.sampled_from(["0.1", "1.00", "100"]), seed=st.integers(0, 5))
    def begin(self, balance: str, seed: int) -> None:
        self.host = SHARED.get()
        SHARED.serial += 1
        self.name = "model"
        self.world = self.host.world(name=self.name, clock="manual", seed=seed, balances={"acme": balance})
        self.base = self.host.base(self.world, "acme")
        self.receiver = SHARED.receiver
        self.receiver.mode, self.receiver.hits = 200, []
        self.model = Model(Decimal(balance), self.world.clock.now())
        self.workers: dict[tuple[str, int], str] = {}
        self.urls: dict[str, str] = {}

    # -- helpers

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"authorization": "Bearer k", **headers}
        return self.host.request(method, self.base + path, headers=sent, json_body=body)

    def one(self, number: int) -> Job:
        jobs = list(self.model.jobs.values())
        return jobs[number % len(jobs)]

    def has_jobs(self) -> bool:
        return hasattr(self, "model") and bool(self.model.jobs)

    # -- what a client does

    @rule(
        size=SIZES,
        count=st.integers(1, 4),
        calls_back=st.booleans(),
        timeout=st.sampled_from([None, None, 1000, 3999, 4000]),
        ttl=st.sampled_from([None, None, None, 1000, 5000, 600_000]),
        intent=st.sampled_from(["", "", "i1", "i2"]),
    )
    def create(
        self, *, size: tuple[int, int], count: int, calls_back: bool, timeout: int | None, ttl: int | None, intent: str
    ) -> None:
        body: dict[str, Any] = {"input": {"prompt": "a fox", "width": size[0], "height": size[1], "num_outputs": count}}
        if calls_back:
            body["webhook"] = HOOK
        policy = {name: value for name, value in (("executionTimeout", timeout), ("ttl", ttl)) if value is not None}
        if policy:
            body["policy"] = policy
        answer = self.ask("POST", "/v2/acme-dev/run", body, **({"Idempotency-Key": intent} if intent else {}))
        model, text = self.model, json.dumps(body)
        earlier = [job for job in model.jobs.values() if intent and job.intent == intent]
        last = earlier[-1] if earlier else None
        if last is not None and model.now < last.accepted + DAY:
            if last.body != text:
                assert answer.status == 409
            else:
                assert answer.status == 200
                assert answer.json()["id"] == last.id
            return
        job = Job("", model.now, size, count, calls_back, timeout or 600_000, ttl or DAY, intent, text)
        if model.balance < job.price:
            assert answer.status == 402
            assert str(job.price.normalize()) in answer.json()["detail"]
            return
        assert answer.status == 201, answer.text
        job.id = answer.json()["id"]
        assert answer.json() == {"id": job.id, "status": "IN_QUEUE"}
        assert answer.headers["x-run"] == job.id
        assert job.id not in model.jobs
        job.start(model.now)
        model.jobs[job.id] = job

    @rule(bad=st.sampled_from([{"prompt": 5}, {}, {"prompt": "a", "width": 100}, {"prompt": "a", "seed": "x"}, None]))
    def create_badly(self, bad: Any) -> None:
        answer = self.ask("POST", "/v2/acme-dev/run", {"input": bad})
        if bad:
            assert answer.status == 422
        else:  # nothing at all is accepted, and fails before it starts
            assert answer.status == 201
            job = Job(answer.json()["id"], self.model.now, (0, 0), 0, False, 600_000, DAY, is_empty=True)
            job.start(self.model.now)
            self.model.jobs[job.id] = job

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50))
    def poll(self, number: int) -> None:
        job, now = self.one(number), self.model.now
        answer = self.ask("GET", f"/v2/acme-dev/status/{job.id}")
        if not job.is_known(now):
            assert answer.status == 404
            return
        assert answer.status == 200
        self.compare(job, answer.json())

    def compare(self, job: Job, shown: Any) -> None:
        now = self.model.now
        ended, word = job.end()
        is_over, started = now >= ended, job.began + QUEUED
        wanted: dict[str, Any] = {"id": job.id, "status": job.word(now)}
        if now >= started and ended > started:
            wanted["delayTime"] = QUEUED
            if is_over:
                wanted["executionTime"] = ended - started
        if is_over:
            wanted["endedAt"] = iso_ms_z(ended)
        if is_over and word in ("FAILED", "TIMED_OUT"):
            wanted["error"] = "upstream returned 500" if word == "FAILED" else "job timed out"
            if job.is_empty and job.stopped is None:
                wanted["error"] = "input is required"
        worker = self.workers.setdefault((job.id, job.runs), shown["workerId"])
        wanted["workerId"] = worker
        output = shown.pop("output")
        assert shown == wanted
        if word != "COMPLETED" or not is_over:
            assert output is None
            return
        assert Decimal(str(output["cost"])) == job.price
        if job.is_empty:
            assert output["images"] == []
            return
        assert len(set(output["images"])) == job.count
        assert output["image_url"] == output["images"][0]
        self.urls[job.id] = output["image_url"]

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50), left=st.sampled_from([500, 5000, 2 * DAY]))
    def poll_and_set_its_life(self, number: int, left: int) -> None:
        job = self.one(number)
        answer = self.ask("GET", f"/v2/acme-dev/status/{job.id}?ttl={left}")
        if job.is_known(self.model.now):
            job.gone = self.model.now + left
            assert answer.status == 200
        else:
            assert answer.status == 404

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50))
    def cancel(self, number: int) -> None:
        job, now = self.one(number), self.model.now
        answer = self.ask("POST", f"/v2/acme-dev/cancel/{job.id}")
        if not job.is_known(now):
            assert answer.status == 404
        elif now >= job.end()[0]:
            assert answer.status == 409
            assert answer.json()["detail"] == f"already {job.word(now)}"
        else:
            job.stopped = (now, "CANCELLED")
            assert (answer.status, answer.json()["status"]) == (200, "CANCELLED")
            self.model.finish(job)

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50))
    def retry(self, number: int) -> None:
        job, now = self.one(number), self.model.now
        answer = self.ask("POST", f"/v2/acme-dev/retry/{job.id}")
        if not job.is_known(now):
            assert answer.status == 404
        elif job.word(now) not in ("FAILED", "TIMED_OUT"):
            assert answer.status == 409
            assert answer.json()["detail"] == f"job is {job.word(now)}"
        else:
            assert (answer.status, answer.json()["status"]) == (200, "IN_QUEUE")
            job.start(now)
            job.runs += 1

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50), failure=st.sampled_from(["handler_error", ""]))
    def decide(self, number: int, failure: str) -> None:
        job, now = self.one(number), self.model.now
        self.host.run(self.host.emulator.force(self.name, job.id, failure=failure))
        if now < job.end()[0]:
            job.stopped = (now, "FAILED" if failure else "COMPLETED")
            self.model.finish(job)

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50))
    def redeliver(self, number: int) -> None:
        job, now = self.one(number), self.model.now
        answer = self.ask("POST", f"/v2/runs/{job.id}/redeliver")
        is_busy = any(one.due is not None for one in job.deliveries)
        if not job.is_known(now):
            assert answer.status == 404
        elif now < job.end()[0] or not job.calls_back or is_busy:
            assert answer.status == 409
        else:
            assert answer.status == 202
            assert answer.json()["status"] == "pending"
            job.deliveries.append(Delivery(now, False, self.model.current, now))

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50))
    def list_deliveries(self, number: int) -> None:
        job = self.one(number)
        answer = self.ask("GET", f"/v2/runs/{job.id}/deliveries")
        if job.is_known(self.model.now):
            assert [one["status"] for one in answer.json()] == [one.word for one in job.deliveries]
        else:
            assert answer.status == 404

    @precondition(lambda self: hasattr(self, "model") and bool(self.urls))
    @rule(number=st.integers(0, 50))
    def download(self, number: int) -> None:
        job_id, url = list(self.urls.items())[number % len(self.urls)]
        since = self.model.now - self.model.jobs[job_id].end()[0]
        answer = self.host.request("HEAD", url)
        if since > 30 * DAY:
            assert answer.status == 404  # the object itself has gone
        elif since > 7 * DAY:
            assert answer.status == 403
        else:
            assert answer.status == 200

    @rule(label=st.sampled_from(["a", "b"]))
    def add_secret(self, label: str) -> None:
        answer = self.ask("POST", "/v2/secrets", {"label": label})
        assert answer.status == 201
        self.model.secrets[answer.json()["id"]] = answer.json()["value"]
        if self.model.current is None:
            self.model.current = answer.json()["id"]

    @precondition(lambda self: hasattr(self, "model") and bool(self.model.secrets))
    @rule(number=st.integers(0, 5))
    def drop_secret(self, number: int) -> None:
        name = list(self.model.secrets)[number % len(self.model.secrets)]
        assert self.ask("DELETE", f"/v2/secrets/{name}").status == 204
        if self.model.current == name:
            self.model.current = None
        assert self.ask("GET", f"/v2/secrets/{name}").json()["current"] is False

    # -- the world around

    @rule(mode=st.sampled_from([200, 204, 302, 404, 500, 503, "timeout", "network"]))
    def receiver_answers(self, mode: int | str) -> None:
        self.receiver.mode = self.model.mode = mode

    @rule(span=SPANS)
    def advance(self, span: int) -> None:
        self.host.run(self.world.advance(span))
        self.model.advance(span)

    @precondition(has_jobs)
    @rule(number=st.integers(0, 50), before=st.integers(0, 1))
    def advance_to_an_end(self, number: int, before: int) -> None:
        left = self.one(number).end()[0] - self.model.now - before
        if left >= 0:
            self.advance(left)

    # -- what must always agree

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        assert self.world.clock.now() == model.now
        states = {job["id"]: job["status"] for job in self.host.run(self.host.emulator.jobs(self.name))}
        assert states == {job.id: job.word(model.now) for job in model.jobs.values()}
        ledger = self.host.run(self.host.emulator.ledger(self.name))["providers"].get("acme")
        if ledger is not None:
            assert Decimal(ledger["balance"]) == model.balance
            assert {one["job"] for one in ledger["charges"]} == {job.id for job in model.jobs.values() if job.is_paid}
        me = self.ask("GET", "/v2/me").json()
        assert Decimal(str(me["balance"])) == model.balance
        rows = self.ask("GET", "/v2/runs?limit=500").json()["items"]
        known = [job.id for job in model.jobs.values() if job.is_known(model.now)]
        assert sorted(row["id"] for row in rows) == sorted(known)

    @invariant()
    def callbacks_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        assert len(self.receiver.hits) == self.model.hits
        shown = self.host.run(self.host.emulator.deliveries(self.name))
        for job in self.model.jobs.values():
            mine = [one for one in shown if one["job_id"] == job.id]
            assert [one["automatic"] for one in mine] == [one.automatic for one in job.deliveries]
            for one, wanted in zip(mine, job.deliveries, strict=True):
                assert (one["created"], one["next_at"], one["status"]) == (wanted.created, wanted.due, wanted.word)
                tried = [(made["at"], made["status"]) for made in one["attempts"]]
                assert tried == [(at, mode if isinstance(mode, int) else None) for at, mode in wanted.tried]
                assert one["secret_id"] == wanted.secret

    @invariant()
    def payloads_are_signed_and_frozen(self) -> None:
        if not hasattr(self, "model"):
            return
        for headers, body in self.receiver.hits[-3:]:
            job = self.model.jobs[json.loads(body)["run_id"]]
            by = [one.secret for one in job.deliveries]
            wanted = {
                hmac.new(self.model.secrets[name].encode(), body, hashlib.sha256).hexdigest() if name else None
                for name in by
            }
            assert headers.get("acme-signature") in wanted
            tree = json.loads(body)
            has_output = ["output"] if tree["status"] == "COMPLETED" else []
            assert list(tree) == ["event", "run_id", "status", "at", *has_output]
            event = {"COMPLETED": "run.completed", "CANCELLED": "run.cancelled"}.get(tree["status"], "run.failed")
            assert tree["event"] == event

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.advance(60 * DAY)
            self.they_agree()
            self.callbacks_agree()


TestBoth = Both.TestCase
TestBoth.settings = settings(derandomize=True, deadline=None, max_examples=150, stateful_step_count=50)


def teardown_module() -> None:
    if SHARED.host is not None:
        SHARED.host.close()


def small_worlds() -> Iterator[tuple[str, str, int]]:
    """Every way in which one job and one callback can go, at small bounds."""
    for first in ("cancel", "fail", "succeed", "wait"):
        for mode in ("200", "503", "404", "timeout"):
            for wait in (
                0,
                QUEUED - 1,
                QUEUED,
                QUEUED + RUNS - 1,
                QUEUED + RUNS,
                QUEUED + RUNS + 999,
                QUEUED + RUNS + 1000,
            ):
                yield first, mode, wait


def test_every_small_world() -> None:
    for first, mode, wait in small_worlds():
        both = Both()
        both.begin("100", 1)
        both.receiver_answers(int(mode) if mode.isdigit() else mode)
        both.create(size=(256, 256), count=1, calls_back=True, timeout=None, ttl=None, intent="")
        for span in (wait, 1, 2000, 20_000):
            both.advance(span)
            both.poll(0)
            if first == "cancel":
                both.cancel(0)
            elif first != "wait":
                both.decide(0, "handler_error" if first == "fail" else "")
            both.they_agree()
            both.callbacks_agree()
            both.retry(0)
            both.redeliver(0)
            both.they_agree()
            both.callbacks_agree()
            both.payloads_are_signed_and_frozen()
