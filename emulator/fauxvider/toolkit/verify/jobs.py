"""Following a job: from its submission to its end, by a clock that can be moved or by waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fauxvider.clock import monotonic_ms
from fauxvider.contract.model import Operation, Phase, Span, State
from fauxvider.engine.facts import Shape
from fauxvider.engine.plan import bounds_of
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session

__all__ = ["Watch", "begin", "job_call", "phases_of", "read_operation", "start", "submissions"]

_NOTHING = Shape(0, 0, 0, "png")
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """One phase of a run: its state, and the earliest and latest moment of its end, in ms after acceptance."""

    state: State
    low: int
    high: int
    rule: str


def phases_of(session: Session, run: Run) -> list[Stage]:
    """Give the stages of a run as the contract draws them."""
    low = high = 0
    stages = []
    for number, phase in enumerate(session.contract.phases):
        shortest, longest = bounds_of(_law(run, phase), {"param": run.param, "input": run.given}, run.shape or _NOTHING)
        low, high = low + shortest, high + longest
        own = phase.state.word in run.model.timing
        rule = f"/models/{run.model.name}/timing/{phase.state.word}" if own else f"/lifecycle/phases/{number}/lasts"
        stages.append(Stage(phase.state, low, high, rule))
    return stages


def _law(run: Run, phase: Phase) -> Span:
    return run.model.timing.get(phase.state.word, phase.lasts)


def submissions(session: Session) -> Iterator[tuple[Operation, list[str]]]:
    """Walk the operations that submit, with the models that each takes."""
    for operation in session.model_operations("submit"):
        yield operation, [model.name for model in session.models_of(operation)]


def start(session: Session, operation: Operation, model: str, **more: object) -> tuple[Call, Run]:
    """Make the smallest submission that an operation takes for a model."""
    call = session.samples.call(operation, session.contract.models[model])
    for name, value in more.items():
        setattr(call, name, value)
    return call, session.run_of(call)


def read_operation(session: Session, *, may_wait: bool = False) -> Operation | None:
    """Give the operation that reads a job at once."""
    found = session.model_operations("read")
    at_once = [one for one in found if one.waits is None]
    return next(iter(at_once or (found if may_wait else [])), None)


def job_call(session: Session, operation: Operation, run: Run, job: str = "") -> Call:
    """Make a request about a job."""
    call = session.samples.call(operation, run.model if operation.model else None)
    raw = str(session.tree["operations"][operation.name].get("job", ""))
    if not raw.startswith("{path."):
        raise NotAskedError(f"{operation.name} does not name its job in the path")
    name = raw.strip("{}").split(".")[1].rstrip("?")
    call.params[name] = job or run.id
    for path, one in session.tree["operations"][operation.name].get("where", {}).items():
        if str(one).startswith("{path.") and path.startswith("facts."):
            call.params[str(one).strip("{}").split(".")[1]] = str(run.model.facts.get(path.removeprefix("facts."), ""))
    if not call.params[name]:
        raise NotAskedError("the job's id was not told")
    return call


class Watch:
    """Looks at one job again and again."""

    def __init__(self, session: Session, call: Call, run: Run) -> None:
        self.session = session
        self.run = run
        self.call = call
        self.reader = read_operation(session)
        self.began = session.world.now() if session.world else monotonic_ms()

    def look(self) -> State | None:
        """Read the job once and hold what it shows against the contract; None when it is denied."""
        session, run = self.session, self.run
        if self.reader is None:
            raise NotAskedError("no operation of the contract reads a job at once")
        call = job_call(session, self.reader, run)
        answer = session.send(call)
        missing = session.compare(answer, session.answer(self.reader, "missing", session.scope(call)))
        if not missing.mismatches:
            return None
        state, found = session.job_view(answer, call, run, self._states())
        session.note(found)
        run.captured.update(found.captured)
        run.word = state.word
        return state

    def _states(self) -> list[State]:
        """The states in the order in which they are likely: on the way, then the end that is due."""
        contract = self.session.contract
        own = self.session.ends_of(self.run)
        return list(dict.fromkeys([*own, *(phase.state for phase in contract.phases), *contract.states.values()]))

    @property
    def passed(self) -> int:
        """Virtual (or real) ms since the job was accepted."""
        world = self.session.world
        return (world.now() if world else monotonic_ms()) - self.began

    def to(self, ms: int) -> None:
        """Move to so many ms after the job was accepted."""
        if self.session.world is not None:
            self.session.world.advance_to(self.began + ms)

    def finish(self) -> State:
        """Wait for the end; every state on the way must be allowed, and none may come back."""
        if self.session.world is not None:
            self.to(phases_of(self.session, self.run)[-1].high + 5 + self.session.contract.visible_after)
            state = self.look()
            if state is None or not state.is_terminal:
                self._never_ended(state)
            return state  # type: ignore[return-value]
        return self._poll()

    def _never_ended(self, state: State | None) -> None:
        last = phases_of(self.session, self.run)[-1]
        self.session.fail(last.rule, f"after {last.high} ms", "an end", state.word if state else "an unknown job")
        raise NotAskedError("the job did not end")

    def _poll(self) -> State:
        order = [phase.state.word for phase in self.session.contract.phases]
        patience = self.session.patience_ms
        seen, ends, words = -1, monotonic_ms() + patience, list[str]()
        self.session.waiting(f"for the end of job {self.run.id}", patience)
        while monotonic_ms() < ends:
            state = self.look()
            if state is not None and state.is_terminal:
                return self._ended(state, order, words)
            if state is not None and state.word in order:
                if order.index(state.word) < seen:
                    self.session.fail("/lifecycle/phases", "status", f"nothing before {order[seen]}", state.word)
                seen = max(seen, order.index(state.word))
                words += [state.word] if state.word not in words else []
            self.session.waiting(f"for the end of job {self.run.id}", max(0, ends - monotonic_ms()))
            threading.Event().wait(_POLL_S)
        raise NotAskedError(f"the job did not end within {self.session.patience_ms // 1000} s")

    def _ended(self, state: State, order: list[str], words: list[str]) -> State:
        """Tell the order of the states, if all were seen and it is another."""
        if sorted(words) == sorted(order) and words != order:
            self.session.fail("/lifecycle/phases", "states", " then ".join(order), " then ".join(words), words)
        return state


def begin(session: Session, operation: str, model: str, given: Any = None) -> tuple[Call, Run, Watch]:
    """Submit a job that is answered at once, if its operation knows a way."""
    submit = session.contract.operations[operation]
    call = session.samples.call(submit, session.contract.models[model], given)
    if submit.waits is not None and submit.waits.unless:
        _switch(call.body, submit.waits.unless)
    run = session.run_of(call)
    session.submit(call, run)
    return call, run, Watch(session, call, run)


def _switch(body: Any, pointer: tuple[str, ...]) -> None:
    for name in pointer[:-1]:
        body = body.setdefault(name, {})
    body[pointer[-1]] = True
