"""A job's life: a table of what documents say, an oracle that lives it millisecond by millisecond, and laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Contract, Deadline, Failure, Phase, Span, State
from fauxvider.engine.facts import Event, Job, Plan, Record, Shape
from fauxvider.engine.timeline import Snapshot, life_of, snapshot_at
from support.acme import changed_acme

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
BEGAN = 1_000_000
FIXED = settings(derandomize=True, deadline=None, max_examples=300)

QUEUED, WAITING = State("IN_QUEUE", "queued"), State("DISPATCHED", "queued")
RUNNING, FINISHING = State("IN_PROGRESS", "running"), State("FINISHING", "running")
FAILURES = {
    "broken": Failure("broken", "failed", "running", {}),
    "refused": Failure("refused", "failed", "queued", {}),
    "late": Failure("late", "timed_out", "running", {}),
    "flagged": Failure("flagged", "moderated", "running", {}),
    "partial": Failure("partial", "succeeded", "running", {}, State("PARTLY", "succeeded")),
}


def contract(*phases: State, deadlines: Sequence[Deadline] = (), keeps: int | None = None) -> Contract:
    operations = {"run": replace(ACME.operations["run"], keeps=keeps)}
    return replace(
        ACME,
        phases=tuple(Phase(state, Span("fixed")) for state in phases),
        failures=FAILURES,
        deadlines=tuple(deadlines),
        operations=operations,
    )


def record(plan: Plan, *events: Event, accepted: int = BEGAN) -> Record:
    job = Job(
        id="job",
        number=1,
        operation="run",
        model="dev",
        accepted=accepted,
        body=b"{}",
        plan=plan,
        shape=Shape(64, 64, 1, "png"),
        price=Decimal("0.5"),
    )
    return Record(job, tuple(events))


def look(rules: Contract, made: Record, after: int) -> Snapshot:
    return snapshot_at(rules, life_of(rules, made), made.job, BEGAN + after)


TWO = contract(QUEUED, RUNNING)
PLAN = Plan((20, 4000), seed=7)


@pytest.mark.parametrize(
    ("after", "word", "state", "started", "ended", "queued_ms", "run_ms", "total_ms", "cost", "progress"),
    [
        (0, "IN_QUEUE", "queued", None, None, None, None, None, None, 0.0),
        (19, "IN_QUEUE", "queued", None, None, None, None, None, None, 0.0),
        (20, "IN_PROGRESS", "running", 20, None, 20, None, None, None, 0.0),
        (2020, "IN_PROGRESS", "running", 20, None, 20, None, None, None, 0.5),
        (4019, "IN_PROGRESS", "running", 20, None, 20, None, None, None, 3999 / 4000),
        (4020, "COMPLETED", "succeeded", 20, 4020, 20, 4000, 4020, Decimal("0.5"), 1.0),
        (10**12, "COMPLETED", "succeeded", 20, 4020, 20, 4000, 4020, Decimal("0.5"), 1.0),
    ],
)
def test_an_undisturbed_life(
    *,
    after: int,
    word: str,
    state: str,
    started: int | None,
    ended: int | None,
    queued_ms: int | None,
    run_ms: int | None,
    total_ms: int | None,
    cost: Decimal | None,
    progress: float,
) -> None:
    snap = look(TWO, record(PLAN), after)
    assert (snap.status, snap.state) == (word, state)
    assert snap.started == (None if started is None else BEGAN + started)
    assert snap.ended == (None if ended is None else BEGAN + ended)
    assert (snap.queued_ms, snap.run_ms, snap.total_ms, snap.cost) == (queued_ms, run_ms, total_ms, cost)
    assert snap.progress == progress
    assert snap.is_terminal == (ended is not None)
    assert (snap.id, snap.number, snap.accepted, snap.seed, snap.retries) == ("job", 1, BEGAN, 7, None)


@pytest.mark.parametrize(
    ("failure", "word", "state", "ended", "started", "paid"),
    [
        ("broken", "FAILED", "failed", 4020, 20, False),
        ("refused", "FAILED", "failed", 20, None, False),
        ("late", "TIMED_OUT", "timed_out", 4020, 20, False),
        ("flagged", "FAILED", "failed", 4020, 20, False),  # no word of its own: that of failed
        ("partial", "PARTLY", "succeeded", 4020, 20, True),
    ],
)
def test_every_kind_of_failure(
    *, failure: str, word: str, state: str, ended: int, started: int | None, paid: bool
) -> None:
    made = record(replace(PLAN, failure=failure))
    assert look(TWO, made, ended - 1).ended is None
    snap = look(TWO, made, ended)
    assert (snap.status, snap.state, snap.failure_name) == (word, state, failure)
    assert snap.ended == BEGAN + ended
    assert snap.started == (None if started is None else BEGAN + started)
    assert (snap.cost is not None) == paid
    assert look(TWO, made, ended - 1).failure_name == ""


CANCEL = Event(BEGAN + 1000, "cancelled")


@pytest.mark.parametrize(
    ("events", "word", "ended", "origin", "paid"),
    [
        ([Event(BEGAN + 5, "cancelled")], "CANCELLED", 5, "queued", False),
        ([CANCEL], "CANCELLED", 1000, "running", False),
        ([Event(BEGAN + 4019, "cancelled")], "CANCELLED", 4019, "running", False),
        ([Event(BEGAN + 4020, "cancelled")], "COMPLETED", 4020, "", True),
        ([Event(BEGAN + 9000, "cancelled")], "COMPLETED", 4020, "", True),
        ([CANCEL, Event(BEGAN + 2000, "cancelled")], "CANCELLED", 1000, "running", False),
        ([CANCEL, Event(BEGAN + 2000, "forced")], "CANCELLED", 1000, "running", False),
        ([Event(BEGAN + 5, "purged", name="cancelled")], "CANCELLED", 5, "queued", False),
        ([Event(BEGAN + 5, "purged", name="gone")], "CANCELLED", 5, "queued", False),
        ([Event(BEGAN + 1000, "forced")], "COMPLETED", 1000, "running", True),
        ([Event(BEGAN + 1000, "forced", name="broken")], "FAILED", 1000, "running", False),
        ([Event(BEGAN + 1000, "forced", name="partial")], "PARTLY", 1000, "running", True),
        ([Event(BEGAN + 1000, "forced", name="late")], "TIMED_OUT", 1000, "running", False),
        ([Event(BEGAN + 4020, "forced", name="broken")], "COMPLETED", 4020, "", True),
        ([Event(BEGAN + 10, "drained", number=3)], "COMPLETED", 4020, "", True),
        ([Event(BEGAN + 10, "ttl", number=99_999)], "COMPLETED", 4020, "", True),
    ],
)
def test_every_kind_of_event(events: list[Event], word: str, ended: int, origin: str, paid: bool) -> None:
    snap = look(TWO, record(PLAN, *events), 50_000)
    assert (snap.status, snap.ended, snap.origin_state) == (word, BEGAN + ended, origin)
    assert (snap.cost is not None) == paid


def test_a_cancelled_job_was_as_it_was_before() -> None:
    made = record(PLAN, CANCEL)
    for after in (0, 19, 20, 999):
        assert look(TWO, made, after).state == look(TWO, record(PLAN), after).state
    assert look(TWO, made, 1000).run_ms == 980


def test_a_retry_begins_again_under_the_old_id() -> None:
    plan, again = replace(PLAN, failure="broken"), Plan((7, 100), seed=9)
    made = record(plan, Event(BEGAN + 5000, "retried", plan=again))
    life = life_of(TWO, made)
    assert (life.runs, life.began, life.ended, life.succeeds) == (1, BEGAN + 5000, BEGAN + 5107, True)
    assert look(TWO, made, 5000).state == "queued"
    assert look(TWO, made, 5007).state == "running"
    snap = look(TWO, made, 5107)
    assert (snap.status, snap.queued_ms, snap.run_ms, snap.total_ms) == ("COMPLETED", 7, 100, 5107)
    assert (snap.id, snap.seed, snap.failure_name) == ("job", 9, "")


def test_a_cancelled_retry() -> None:
    events = [Event(BEGAN + 5000, "retried", plan=Plan((7, 100), 9)), Event(BEGAN + 5050, "cancelled")]
    made = record(replace(PLAN, failure="broken"), *events)
    assert (look(TWO, made, 6000).status, life_of(TWO, made).runs) == ("CANCELLED", 1)


DEADLINES = [
    # covers, failure, span, plan -> (word, ended, gone), counted from the beginning
    ("running", "late", 1000, PLAN, ("TIMED_OUT", 1020, None)),
    ("running", "late", 4000, PLAN, ("COMPLETED", 4020, None)),
    ("running", "late", 3999, PLAN, ("TIMED_OUT", 4019, None)),
    ("running", "", 1000, PLAN, ("COMPLETED", 4020, 1020)),
    ("running", "late", 0, replace(PLAN, failure="refused"), ("FAILED", 20, None)),
    ("queued", "late", 19, PLAN, ("TIMED_OUT", 19, None)),
    ("queued", "late", 20, PLAN, ("COMPLETED", 4020, None)),
    ("queued", "", 19, PLAN, ("COMPLETED", 4020, 19)),
    ("queued", "", 20, PLAN, ("COMPLETED", 4020, None)),
    ("all", "late", 4019, PLAN, ("TIMED_OUT", 4019, None)),
    ("all", "late", 4020, PLAN, ("COMPLETED", 4020, None)),
    ("all", "late", 3, PLAN, ("TIMED_OUT", 3, None)),
    ("all", "", 3, PLAN, ("COMPLETED", 4020, 3)),
    ("all", "", 10**9, PLAN, ("COMPLETED", 4020, 10**9)),
]


@pytest.mark.parametrize(("covers", "failure", "span", "plan", "wanted"), DEADLINES)
def test_deadlines(covers: Any, failure: str, span: int, plan: Plan, wanted: tuple[str, int, int | None]) -> None:
    rules = contract(QUEUED, RUNNING, deadlines=[Deadline("d", (), None, covers, failure)])
    life = life_of(rules, record(replace(plan, deadlines=(span,))))
    gone = None if life.gone is None else life.gone - BEGAN
    assert (life.end.word, life.ended - BEGAN, gone) == wanted


def test_a_deadline_that_was_not_drawn_does_nothing() -> None:
    rules = contract(QUEUED, RUNNING, deadlines=[Deadline("d", (), None, "all", "late")])
    assert life_of(rules, record(replace(PLAN, deadlines=(None,)))).ended == BEGAN + 4020


def test_the_earliest_of_several_deadlines_counts() -> None:
    deadlines = [Deadline("a", (), None, "all", "late"), Deadline("b", (), None, "running", "broken")]
    rules = contract(QUEUED, RUNNING, deadlines=deadlines)
    assert life_of(rules, record(replace(PLAN, deadlines=(500, 100)))).end.word == "FAILED"
    assert life_of(rules, record(replace(PLAN, deadlines=(100, 500)))).end.word == "TIMED_OUT"


@pytest.mark.parametrize(
    ("keeps", "events", "gone"),
    [
        (None, [], None),
        (60_000, [], 64_020),
        (60_000, [CANCEL], 61_000),
        (60_000, [Event(BEGAN + 5000, "ttl", number=10)], 5010),
        (60_000, [Event(BEGAN + 5000, "ttl", number=10**6)], 1_005_000),  # a client may lengthen it too
        (60_000, [Event(BEGAN + 1, "ttl", number=5), Event(BEGAN + 3, "ttl", number=900)], 903),
        (None, [Event(BEGAN + 5, "purged", name="gone")], 5),
        (60_000, [Event(BEGAN + 5, "purged", name="cancelled")], 60_005),
    ],
)
def test_how_long_a_record_is_kept(keeps: int | None, events: list[Event], gone: int | None) -> None:
    rules = contract(QUEUED, RUNNING, keeps=keeps)
    found = life_of(rules, record(PLAN, *events)).gone
    assert (None if found is None else found - BEGAN) == gone


def test_a_retry_starts_the_keeping_anew() -> None:
    rules = contract(QUEUED, RUNNING, keeps=1000)
    events = [Event(BEGAN + 4100, "ttl", number=1), Event(BEGAN + 4100, "retried", plan=Plan((0, 100), 1))]
    assert life_of(rules, record(replace(PLAN, failure="broken"), *events)).gone == BEGAN + 4200 + 1000


def test_phases_of_no_length_are_passed_over() -> None:
    rules = contract(QUEUED, WAITING, RUNNING)
    made = record(Plan((0, 0, 5), 1))
    assert look(rules, made, 0).status == "IN_PROGRESS"
    assert look(rules, record(Plan((0, 0, 0), 1)), 0).status == "COMPLETED"


def test_the_first_running_phase_is_the_start() -> None:
    rules = contract(QUEUED, RUNNING, FINISHING)
    snap = look(rules, record(Plan((5, 10, 20), 1)), 100)
    assert (snap.queued_ms, snap.run_ms) == (5, 30)
    assert look(rules, record(Plan((5, 10, 20), 1)), 15).status == "FINISHING"


# --- an oracle that lives the job millisecond by millisecond ------------------------------------------

PHASES = st.sampled_from(
    [(QUEUED, RUNNING), (QUEUED, WAITING, RUNNING), (RUNNING,), (QUEUED, RUNNING, FINISHING), (RUNNING, FINISHING)]
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("cancelled"), st.just("")),
        st.tuples(st.just("forced"), st.sampled_from(["", "broken", "refused", "late", "partial", "flagged"])),
        st.tuples(st.just("purged"), st.sampled_from(["gone", "cancelled"])),
        st.tuples(st.just("ttl"), st.just("")),
        st.tuples(st.just("drained"), st.just("")),
        st.tuples(st.just("retried"), st.just("")),
    ),
    max_size=4,
)
COVERS = ("queued", "running", "all")


@st.composite
def lives(draw: st.DrawFn) -> tuple[Contract, Record]:
    phases = draw(PHASES)
    deadlines = draw(st.lists(st.tuples(st.sampled_from(COVERS), st.sampled_from(["", "late", "broken"])), max_size=2))
    rules = contract(
        *phases,
        deadlines=[Deadline("d", (), None, covers, failure) for covers, failure in deadlines],
        keeps=draw(st.none() | st.integers(0, 12)),
    )

    def plan() -> Plan:
        spans = tuple(draw(st.integers(1, 9)) for _ in phases)
        limits = tuple(draw(st.none() | st.integers(0, 30)) for _ in deadlines)
        return Plan(spans, 1, limits, draw(st.sampled_from(["", "", *FAILURES])))

    first, at, events = plan(), BEGAN, []
    for kind, name in draw(EVENTS):
        at += draw(st.integers(0, 12))
        again = plan() if kind == "retried" else None
        events.append(Event(at, kind, name=name, number=draw(st.integers(0, 15)), plan=again))
    return rules, record(first, *events)


class Lived:
    """The same job, one millisecond at a time: no marks, no folding, no future."""

    def __init__(self, rules: Contract, made: Record) -> None:
        self.rules, self.made = rules, made
        self.seen: dict[int, tuple[str, str]] = {}
        self.ended: int | None = None
        self.gone: int | None = None
        self.is_reset = False
        self._start(made.job.plan, BEGAN)
        events = list(made.events)
        for now in range(BEGAN, BEGAN + 160):
            self._tick(now)
            while events and events[0].at == now:
                self._event(events.pop(0), now)
                self._tick(now)
            self.seen[now] = (self.word, self.failure)
        if rules.operations["run"].keeps is not None and not self.is_reset and self.ended is not None:
            self._forget(self.ended + rules.operations["run"].keeps)

    def _start(self, plan: Plan, now: int) -> None:
        self.plan, self.left, self.at = plan, list(plan.phases), 0
        self.began, self.started, self.ended, self.last = now, None, None, now
        self.gone, self.is_reset, self.failure = None, False, ""
        self.word = self.rules.phases[0].state.word

    def _tick(self, now: int) -> None:
        while self.ended is None:
            if self.at == len(self.left):
                self._end(now, self.plan.failure)
                return
            state = self.rules.phases[self.at].state
            if self.started is None and state.canonical == "running":
                if self.plan.failure and FAILURES[self.plan.failure].after == "queued":
                    self._end(now, self.plan.failure)
                    return
                self.started = now
            self.word = state.word
            if self._is_cut(now):
                return
            if now - self.last < self.left[self.at]:
                return
            self.last += self.left[self.at]
            self.at += 1

    def _is_cut(self, now: int) -> bool:
        """End at a deadline that has come; the end of the way itself goes first."""
        is_at_its_end = self.at == len(self.left) - 1 and now - self.last >= self.left[self.at]
        is_refused = self.plan.failure and FAILURES[self.plan.failure].after == "queued" and self._starts_at(now)
        for deadline, span in zip(self.rules.deadlines, self.plan.deadlines, strict=True):
            if span is None or (deadline.covers == "running" and self.started is None):
                continue
            since = self.started if deadline.covers == "running" else self.began
            if deadline.covers == "queued" and (self.started is not None or self._starts_at(now)):
                continue
            if now - since == span and deadline.failure and not is_at_its_end and not is_refused:
                self._end(now, deadline.failure)
                return True
        return False

    def _starts_at(self, now: int) -> bool:
        left, at = self.last, self.at
        while at < len(self.left) and now - left >= self.left[at]:
            left += self.left[at]
            at += 1
            if at < len(self.left) and self.rules.phases[at].state.canonical == "running":
                return True
        return False

    def _end(self, now: int, failure: str) -> None:
        self.ended, self.failure = now, failure
        end = FAILURES[failure].state or self.rules.ends[FAILURES[failure].end] if failure else None
        self.word = (end or self.rules.ends["succeeded"]).word

    def _forget(self, moment: int) -> None:
        self.gone = moment if self.gone is None else min(self.gone, moment)

    def _event(self, event: Event, now: int) -> None:
        if event.kind == "retried":
            assert event.plan is not None
            self._start(event.plan, now)
        elif event.kind == "ttl":
            self.gone, self.is_reset = now + event.number, True
        elif self.ended is None and event.kind == "forced":
            self._end(now, event.name)
        elif self.ended is None and event.kind in ("cancelled", "purged"):
            self._end(now, "")
            self.word = "CANCELLED"
        if event.kind == "purged" and event.name == "gone":
            self.gone = now


@FIXED
@given(lives())
def test_it_is_the_life_that_was_lived(case: tuple[Contract, Record]) -> None:
    rules, made = case
    lived, life = Lived(rules, made), life_of(rules, made)
    assert life.ended == lived.ended
    last = max((event.at for event in made.events if event.kind == "retried"), default=BEGAN)
    for moment, (word, failure) in lived.seen.items():
        if moment >= last:  # before that, a retried job was another one
            snap = snapshot_at(rules, life, made.job, moment)
            assert (snap.status, snap.failure_name) == (word, failure), moment - BEGAN
    if not rules.deadlines:
        assert life.gone == lived.gone


RANK = {"queued": 0, "running": 1}


@FIXED
@given(lives(), st.lists(st.integers(0, 120), min_size=2, max_size=30))
def test_the_laws_of_a_life(case: tuple[Contract, Record], afters: list[int]) -> None:
    rules, made = case
    made.events = tuple(event for event in made.events if event.kind != "retried")
    life = life_of(rules, made)
    words = [phase.state.word for phase in rules.phases]
    before: Snapshot | None = None
    for after in sorted(afters):
        snap = snapshot_at(rules, life, made.job, BEGAN + after)
        assert snap.is_terminal == (BEGAN + after >= life.ended)
        assert snap.is_terminal == (snap.state not in RANK)
        assert 0 <= snap.progress <= 1
        if snap.ended is not None and snap.started is not None:
            assert snap.queued_ms is not None
            assert snap.run_ms is not None
            assert snap.queued_ms + snap.run_ms == snap.total_ms == snap.ended - BEGAN
        assert (snap.cost is not None) == (snap.state == "succeeded")
        if before is not None and before.is_terminal:
            assert snap == before  # an end stays as it is
        elif before is not None and not snap.is_terminal:
            assert words.index(snap.status) >= words.index(before.status)
            assert RANK[snap.state] >= RANK[before.state]
            assert snap.progress >= before.progress
            assert before.started in (None, snap.started)
        before = snap
