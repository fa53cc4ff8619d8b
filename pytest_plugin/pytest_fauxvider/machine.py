"""A state machine that looks for the shortest legal provider behaviour which breaks a client.

    class Naive(ProviderMachine):
        provider = "acme"

        def begin(self):
            self.pictures = []

        def submit(self, intent):
            return self.http.post("/run", json={"prompt": intent.prompt}).json()["id"]

        def poll(self, job): ...

        def results(self):
            return self.pictures

    TestNaive = Naive.TestCase

docs/machine.md tells what each method means, what the machine does, and what it checks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from hypothesis import HealthCheck, Phase, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fauxvider import UsageError, WorldHandle
from fauxvider.values import parse_span
from pytest_fauxvider.beliefs import Intent
from pytest_fauxvider.failing import Tale, steps_of, tale_of
from pytest_fauxvider.invariants import INVARIANTS
from pytest_fauxvider.knobs import Budget, Knobs, Step
from pytest_fauxvider.line import FATES, Fate
from pytest_fauxvider.stage import CALLBACK_FATES, SPANS, Stage
from pytest_fauxvider.troubles import TROUBLES
from pytest_fauxvider.wire import Http

__all__ = ["Budget", "Intent", "ProviderMachine"]

M = TypeVar("M", bound="ProviderMachine")

_few = st.integers(0, 3)
_SUBMIT = (
    "arrives", "lost", "late", "overtaken", "refused", "gateway", "lost gateway", "busy", "dies after", "dies before",
)  # fmt: skip
_POLL = (
    "arrives", "lost", "busy", "gateway", "refused", "late", "overtaken", "dies after", "lost 2", "gateway 2",
    "overtaken 2", "dies before 2", "dies after 2",
)  # fmt: skip


class ProviderMachine(RuleBasedStateMachine):
    """Subclass it, say which provider it is about and how your client is called, and run its `TestCase`.

    Methods that you write (each may be a coroutine): `submit`, and as far as your client has them `begin`, `poll`,
    `on_callback`, `cancel`, `restart`, `results`, `status`, `open_jobs`.
    """

    provider: ClassVar[str] = ""
    model: ClassVar[str] = ""  # checked against the contract; `intent.model`
    contracts: ClassVar[tuple[str, ...]] = ()  # files of contracts that are not bundled
    readings: ClassVar[Mapping[str, Any]] = {}
    world: ClassVar[Mapping[str, Any]] = {}  # further options of the world: now, balances, limits, scenario, ...
    seed: ClassVar[int] = 1
    poll_every: ClassVar[str | float] = "10s"  # how often the client looks at what it waits for, whatever happens
    troubles: ClassVar[tuple[str, ...]] = TROUBLES
    fates: ClassVar[frozenset[str]] = frozenset({*FATES, *CALLBACK_FATES})  # what may become of requests and callbacks
    budget: ClassVar[Budget] = Budget()
    unchecked: ClassVar[frozenset[str]] = frozenset()  # invariants that do not matter here
    errors: ClassVar[tuple[type[BaseException], ...]] = ()  # what the client may raise, beside network errors
    out: ClassVar[str] = ".fauxvider"  # where the files of a failure go; FAUXVIDER_OUT wins

    http: Http
    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(self, self.knobs())

    @classmethod
    def knobs(cls) -> Knobs:
        """Read the class's attributes. Raises UsageError."""
        if not cls.provider:
            raise UsageError(f"{cls.__name__}.provider is to name a provider")
        for name in sorted(cls.unchecked - INVARIANTS.keys()):
            raise UsageError(
                f"{cls.__name__}.unchecked: there is no invariant {name!r} (there are: {', '.join(INVARIANTS)})"
            )
        return Knobs(
            provider=cls.provider,
            model=cls.model,
            contracts=tuple(map(str, cls.contracts)),
            readings=cls.readings,
            world=cls.world,
            seed=cls.seed,
            poll_every=parse_span(cls.poll_every),
            budget=cls.budget,
            unchecked=frozenset(cls.unchecked),
            errors=tuple(cls.errors),
        )

    # --- what the subclass has

    def submit(self, intent: Intent) -> Any:
        """Order the picture; give a handle (the job's id, say), or None if the client does not know it."""
        raise NotImplementedError(f"{type(self).__name__} has no submit(intent)")

    @property
    def handle(self) -> WorldHandle:
        """The world, for who wants to look into it."""
        return self.stage.world

    @property
    def now(self) -> float:
        """The moment on the virtual clock, in seconds."""
        return self.stage.now() / 1000

    # --- the rules. Which of them there are does not change during a run: what cannot be done does nothing. So a run
    # stays what it is when Hypothesis takes a step out of it, and shrinks well.

    @initialize(trouble=st.sampled_from(("none", *TROUBLES)), fate=st.sampled_from(_SUBMIT))
    def step_begin(self, trouble: str, fate: str) -> None:
        """Hypothesis leaves out some rules in each run; without an order there would be nothing to see."""
        if trouble in self.troubles:
            event(f"trouble: {trouble}")
            self._step("world", trouble=trouble)
        self._step("submit", fate=self._fate(fate))

    @rule(fate=st.sampled_from(_SUBMIT))
    def step_submit(self, fate: str) -> None:
        if len(self.stage.orders) < self.budget.orders:
            self._step("submit", fate=self._fate(fate))

    @rule(job=_few, fate=st.sampled_from(_POLL))
    @precondition(lambda self: self.stage.has("poll"))
    def step_poll(self, job: int, fate: str) -> None:
        if handles := self.stage.handles():
            self._step("poll", job=job % len(handles), fate=self._fate(fate))

    @rule(span=st.sampled_from(SPANS))
    def step_time(self, span: str) -> None:
        if self.stage.orders:
            self._step("time", span=span)

    @rule(fate=st.sampled_from(tuple(CALLBACK_FATES)))
    @precondition(lambda self: self.stage.takes_callbacks)
    def step_post(self, fate: str) -> None:
        if fate in self.fates and fate != self.stage.is_posting:
            self._step("post", fate=fate)

    @rule(which=_few, fate=st.sampled_from(_POLL))
    @precondition(lambda self: self.stage.takes_callbacks)
    def step_message(self, which: int, fate: str) -> None:
        if self.stage.mail and self.stage.deliveries < self.budget.deliveries:
            self._step("message", which=which % len(self.stage.mail), fate=self._fate(fate))

    @rule(job=_few)
    @precondition(lambda self: self.stage.takes_callbacks and self.stage.is_signed)
    def step_forge(self, job: int) -> None:
        if self.stage.mail and self.stage.open_jobs:
            self._step("forge", job=job % len(self.stage.open_jobs))

    @rule(job=_few, failure=_few)
    def step_end(self, job: int, failure: int) -> None:
        if jobs := self.stage.open_jobs:
            self._step("end", job=job % len(jobs), failure=self.stage.failure(failure))

    @rule(job=_few, fate=st.sampled_from(_POLL))
    @precondition(lambda self: self.stage.has("cancel"))
    def step_cancel(self, job: int, fate: str) -> None:
        if handles := self.stage.handles():
            self._step("cancel", job=job % len(handles), fate=self._fate(fate))

    @rule()
    @precondition(lambda self: self.stage.has("restart"))
    def step_restart(self) -> None:
        if self.stage.crashes < self.budget.crashes and self.stage.orders:
            self._step("restart")

    def _fate(self, text: str) -> str:
        """Give the fate that was drawn, if it may be and there is any budget left for it."""
        fate, stage, budget = Fate(text), self.stage, self.budget
        is_barred = fate.name not in self.fates or (not fate.is_harmless and stage.faults >= budget.faults)
        if is_barred or (fate.needs_restart and not (stage.has("restart") and stage.crashes < budget.crashes)):
            return "arrives"
        if fate.name != "arrives":
            event(f"fate: {fate.name}")
        return text

    def _step(self, what: str, /, **args: Any) -> None:
        with _Telling(self):
            self.stage.step(what, **args)

    def teardown(self) -> None:
        """Let all come to rest, and judge what is left undone."""
        try:
            if self.stage.is_alive and sys.exc_info()[0] is None:
                with _Telling(self):
                    self.stage.rest()
        finally:
            self.stage.close()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # One bug after the other, and no explanations that name lines of this package.
        cls.TestCase.settings = settings(
            deadline=None,
            suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
            report_multiple_bugs=False,
            stateful_step_count=25,
            phases=[phase for phase in Phase if phase is not Phase.explain],
        )

    # --- without Hypothesis

    @classmethod
    def outcome(cls, steps: Iterable[Step], *, keep: bool = False) -> tuple[Exception | None, Stage]:
        """Play steps; give what the client does wrong (None: nothing), and the stage, still open to `keep` it."""
        stage = cls().stage
        try:
            for step in steps:
                stage.step(step.name, **step.args)
            stage.rest()
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what is asked for
            return error, stage
        finally:
            if not keep:
                stage.close()
        return None, stage

    @classmethod
    def play(cls: type[M], *steps: tuple[str, dict[str, Any]]) -> M:
        """Play a run that is written down, to its end; give the machine. Raises what the client does wrong."""
        machine = cls()
        try:
            for name, args in steps_of(steps):
                machine.stage.step(name, **args)
            machine.stage.rest()
        finally:
            machine.stage.close()
        return machine


class _Telling:
    """Has a failure told by Hypothesis, once: for the shortest run of all."""

    def __init__(self, machine: ProviderMachine) -> None:
        self._machine = machine

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            stage, machine = self._machine.stage, type(self._machine)
            stage.is_alive = False
            note(Tale(lambda: tale_of(stage, error, machine)))
