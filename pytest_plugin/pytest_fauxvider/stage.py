"""One run of a client against a provider, step by step: what a state machine, `explore` and a replay all drive.

A `Stage` owns the world, the line that the client speaks through, and what is on its way to the client. Each step
is a plain method with plain arguments, so that a run can be written down and played again. No Hypothesis here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from fauxvider import UsageError, WorldHandle
from fauxvider.local import Callback, CallbackAnswer
from fauxvider.service.provider import Provider
from fauxvider.values import parse_span
from pytest_fauxvider import invariants
from pytest_fauxvider.beliefs import Beliefs, Intent, Order
from pytest_fauxvider.invariants import JobFacts, Model, ViolationError
from pytest_fauxvider.knobs import Knobs, Step, run_now, server_for
from pytest_fauxvider.line import Fate, FaultyLine, fate_text
from pytest_fauxvider.troubles import rules_for
from pytest_fauxvider.wire import ClientDiedError, Http

__all__ = ["CALLBACK_FATES", "SPANS", "Stage"]

HOOK = "https://client.test/hook"
# What becomes of the callbacks that the provider sends, from then on.
CALLBACK_FATES: Mapping[str, str] = {
    "taken": "callbacks arrive again",
    "down": "the receiver of callbacks is down",
    "swallowed": "callbacks are swallowed on their way: the provider believes that they arrived",
    "held": "callbacks are held up on their way: the provider believes that they were lost",
}
# How far time moves: to what falls due next, to just before it, or past the life of what the provider keeps.
SPANS = ("next", "1s", "almost", "1m", "past the record", "past the link")
_WAITS = {"next": "time passes until something happens", "almost": "time passes until just before something"}
_DAY = 86_400_000
_MOST_LOOKS = 400  # of a client that waits for something that never comes
_MOST_SETTLING = 60


class Stage:
    """One world and one client in it. `steps` is what was done; `told` what there is to tell of it.

    `is_alive` turns False when the client has broken something: what comes after is of no interest.
    """

    def __init__(self, client: Any, knobs: Knobs) -> None:
        self.client = client
        self.knobs = knobs
        self.server = server_for(knobs.provider, knobs.contracts)
        self.steps: list[Step] = []
        self.is_alive = True
        self.provider: Provider
        self._open(trouble="")

    def _open(self, *, trouble: str) -> None:
        knobs = self.knobs
        options: dict[str, Any] = {"clock": "manual", "seed": knobs.seed, "readings": knobs.readings, **knobs.world}
        if trouble:
            contract = self.provider.contract
            own = knobs.world.get("scenario") or {"scenario": 1, "name": trouble, "rules": []}
            options["scenario"] = {**own, "rules": [*own["rules"], *rules_for(trouble, contract)]}
        self.server.deliver = self._deliver
        # A run that is still open may be told by playing it again beside it.
        name = next(name for name in map("machine-{}".format, count(1)) if not self.server.emulator.find_world(name))
        self.world: WorldHandle = self.server.world(name=name, **options)
        self._world = self.server.emulator.world(name)
        self.provider = self._world.provider(knobs.provider)
        self.model = Model(self._world.clock.now(), self._order_of)
        self.line = FaultyLine(self.server, self.provider, self.model, overtake=self._overtake)
        self.beliefs = Beliefs(self.client, self.model, self._call)
        self.orders: list[Order] = self.beliefs.orders
        self.told: list[tuple[int, int, str]] = []  # moment, journal entries so far, text
        self.mail: list[Callback] = []
        self.is_posting = "taken"
        self.faults, self.crashes, self.deliveries = 0, 0, 0
        self._attended: int | None = None
        self._looks = 0
        self._placing: int | None = None
        self.client.http = Http(self.line, self.world.base_url(knobs.provider), self._auth())
        try:
            self._check()
            if self.has("begin"):
                self._call(self.client.begin)
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        models, clock = self.provider.contract.models, self._world.clock
        if self.knobs.model and self.knobs.model not in models:
            known = ", ".join(models)
            raise UsageError(f"{self.knobs.provider} has no model {self.knobs.model!r} (it has: {known})")
        if clock.spec != "manual":
            raise UsageError(f"a machine moves time itself: its clock is manual, not {clock.spec}")

    def _auth(self) -> dict[str, str]:
        accepted = self.provider.contract.auth.accept
        return {accepted[0].header: f"{accepted[0].scheme} {self.knobs.key}".strip()} if accepted else {}

    # --- what there is

    def has(self, name: str) -> bool:
        return self.beliefs.has(name)

    def now(self) -> int:
        return self._world.clock.now()

    @property
    def takes_callbacks(self) -> bool:
        return self.has("on_callback") and self.provider.contract.callbacks is not None

    @property
    def is_signed(self) -> bool:
        """Whether callbacks are signed: the client has made a secret, or the account has had one from its start."""
        callbacks, secrets = self.provider.contract.callbacks, self.provider.contract.secrets
        return (
            callbacks is not None
            and callbacks.signature is not None
            and ((secrets is not None and secrets.present) or bool(run_now(self.provider.store.secrets())))
        )

    @property
    def open_jobs(self) -> list[JobFacts]:
        return [job for job in self.model.jobs.values() if job.ended is None]

    def handles(self) -> list[Any]:
        return self.beliefs.handles()

    def failure(self, number: int) -> str:
        """Give one of the contract's failures by number; 0 is success."""
        names = list(self.provider.contract.failures)
        return names[(number - 1) % len(names)] if number and names else ""

    def _order_of(self, provider: str, job: str) -> int | None:
        record = run_now(self._world.provider(provider).store.record(job))
        found = self.beliefs.order_in(record.job.body) if record is not None else None
        # A client that has words of its own for what is wanted: what is accepted while it submits is for that.
        return self._placing if found is None else found

    # --- the steps

    def step(self, what: str, /, **args: Any) -> None:
        """Do one step by its name, and hold the client's claims up against the facts.

        Raises ViolationError, UsageError for a step that there is not, and what the client raises unasked.
        """
        method = getattr(self, f"do_{what}", None)
        if method is None:
            known = ", ".join(one[3:] for one in dir(type(self)) if one.startswith("do_"))
            raise UsageError(f"there is no step {what!r} (there are: {known})")
        self.steps.append(Step(what, args))
        method(**args)
        self.check(invariants.now(self.model, self._claims()))

    def check(self, found: Iterator[ViolationError]) -> None:
        for violation in found:
            if violation.name not in self.knobs.unchecked:
                raise violation

    def _claims(self) -> invariants.Claims:
        self.line.absorb()
        return self.beliefs.claims()

    def do_world(self, trouble: str) -> None:
        self.world.drop()
        self._open(trouble=trouble)
        self.tell(f"it is a world with a trouble: {trouble}")

    def do_submit(self, fate: str = "arrives") -> None:
        number = len(self.orders) + 1
        name = f"intent-{number}"
        order = Order(Intent(number, name, f"a fox, {name}", HOOK, self.knobs.model))
        self.orders.append(order)
        self.line.is_spoiled, self.line.last_submit, self._placing = False, None, number
        try:
            order.handle = self._tried(f"order {number} is submitted", fate, self.client.submit, order.intent)
        finally:
            self._placing = None
        if not self.line.is_spoiled:
            self.model.placed(number, self.line.last_submit)

    def do_poll(self, job: int = 0, fate: str = "arrives") -> None:
        if handles := self.handles():
            handle = handles[job % len(handles)]
            self._poll(handle, Fate(fate), f"the client looks at {self.beliefs.named(handle)}")

    def do_cancel(self, job: int = 0, fate: str = "arrives") -> None:
        if handles := self.handles():
            handle = handles[job % len(handles)]
            self._tried(f"the client cancels {self.beliefs.named(handle)}", fate, self.client.cancel, handle)

    def do_time(self, span: str = "next") -> None:
        self.tell(_WAITS.get(span, f"time passes: {span}"))
        self._pass(self._span(span))

    def do_post(self, fate: str = "taken") -> None:
        if fate not in CALLBACK_FATES:
            raise UsageError(f"callbacks have no fate {fate!r} (there are: {', '.join(CALLBACK_FATES)})")
        self.tell(CALLBACK_FATES[fate])
        self.is_posting = fate

    def do_message(self, which: int = 0, fate: str = "arrives") -> None:
        """Hand over a callback that was on its way, or one that has come before; 0 is the last one."""
        if self.mail:
            self.deliveries += 1
            index = len(self.mail) - 1 - which % len(self.mail)
            self.tell(f"callback {index + 1} comes{fate_text(Fate(fate))}")
            self._hand_over(self.mail[index], Fate(fate))

    def do_forge(self, job: int = 0) -> None:
        """Hand over the callback of a job that succeeded, with another job's id in it: its signature is wrong."""
        target = self.open_jobs[job % len(self.open_jobs)] if self.open_jobs else None
        for callback in self.mail:
            genuine = next((one for one in self.model.jobs.values() if one.id.encode() in callback.body), None)
            if target is not None and genuine is not None and genuine.state == "succeeded":
                self.tell(f"somebody sends a callback for order {target.order}, and cannot sign it")
                body = callback.body.replace(f'"{genuine.id}"'.encode(), f'"{target.id}"'.encode())
                self._call(self.client.on_callback, replace(callback, body=body))
                return

    def do_end(self, job: int = 0, failure: str = "") -> None:
        """Let the provider end a job now."""
        if jobs := self.open_jobs:
            self.tell(f"the provider ends a job: {failure or 'success'}")
            self.world.force(jobs[job % len(jobs)].id, failure=failure)

    def do_restart(self) -> None:
        self.crashes += 1
        self.tell("the client is stopped, and started anew")
        self._call(self.client.restart)

    # --- calling the client

    def _tried(self, about: str, fate: str, method: Callable[..., Any], *args: Any) -> Any:
        chosen = Fate(fate)
        self.tell(about + fate_text(chosen))
        return self._call(method, *args, fate=chosen)

    def _poll(self, handle: Any, fate: Fate, about: str = "") -> None:
        if about:
            self.tell(about + fate_text(fate))
        self._looks += 1
        self.line.absorb()
        over = [job for job in self.model.jobs.values() if job.ended is not None]
        crashes, moment = self.crashes, self.now()
        self.line.is_spoiled = False
        self._call(self.client.poll, handle, fate=fate)
        order = self.beliefs.order_of(handle)
        if order is not None and not self.line.is_spoiled and crashes == self.crashes:
            for job in over:
                if job.order == order.intent.number:
                    job.look(moment)

    def _call(self, method: Callable[..., Any], *args: Any, fate: Fate | None = None) -> Any:
        """Call the client. What it may raise is its caller's business; its death is followed by a restart."""
        if fate is not None:
            self.faults += not fate.is_harmless
        put_back = self.line.begin(fate)
        try:
            result = method(*args)
            return self.server.call(result) if inspect.iscoroutine(result) else result
        except ClientDiedError:
            self._die()
        except self._allowed() as error:
            self.tell(f"the client raises {type(error).__name__}: {error}")
        finally:
            put_back()
            self.line.absorb()
        return None

    def _die(self) -> None:
        self.crashes += 1
        self.tell("the client is dead, and is started anew")
        if self.has("restart"):
            self._call(self.client.restart)

    def _allowed(self) -> tuple[type[BaseException], ...]:
        found: list[type[BaseException]] = [OSError, TimeoutError, *self.knobs.errors]
        found += [sys.modules[name].HTTPError for name in ("httpx", "httpx2") if name in sys.modules]
        return tuple(found)

    def tell(self, text: str) -> None:
        self.told.append((self.now(), self._world.journal.total, text))

    # --- callbacks

    def _deliver(self, callback: Callback) -> CallbackAnswer:
        if not self.has("on_callback") or self.is_posting == "down":
            return "reset"
        if self.is_posting == "swallowed":
            return 200
        self.mail.append(callback)
        return "timeout" if self.is_posting == "held" else self._hand_over(callback)

    def _hand_over(self, callback: Callback, fate: Fate | None = None) -> CallbackAnswer:
        crashes = self.crashes
        self.line.absorb()
        answered = self._call(self.client.on_callback, callback, fate=fate)
        if self.crashes != crashes:
            return "reset"
        self.model.called(callback.body, self.now())
        return answered if isinstance(answered, int) and not isinstance(answered, bool) else 200

    def _overtake(self) -> Any:
        """Hand over a callback while a request of the client is under way; from a coroutine, give what to await."""
        if not self.mail:
            return None
        self.deliveries += 1
        self.tell("meanwhile its callback comes")
        if not self.line.is_in_loop:
            return self._hand_over(self.mail[-1])
        result = self.client.on_callback(self.mail[-1])
        return result if inspect.iscoroutine(result) else None

    # --- time

    def _span(self, span: str) -> int:
        due = self._world.next_due()
        left = 1_000 if due is None else max(0, due - self.now())
        if span in ("next", "almost"):
            return left if span == "next" else max(0, left - 1)
        if span == "past the record":
            keeps = [operation.keeps or 0 for operation in self.provider.contract.operations.values()]
            return left + max([3_600_000, *keeps]) + 1_000
        if span == "past the link":
            lives = [url.lives or 0 for url in self.provider.contract.urls.values()]
            return left + max([_DAY, *lives]) + 1_000
        return parse_span(span)

    def _pass(self, span: int) -> None:
        """Let time pass; the client looks at what it waits for as often as it promises to."""
        target = self.now() + span
        while self.has("poll") and (pending := self._pending()):
            self._attended = self.now() if self._attended is None else self._attended
            moment = max(self._attended + self.knobs.poll_every, self.now())
            if moment > target:
                break
            self._move(moment)
            self._attended = moment
            for handle in pending:
                self._poll(handle, Fate("arrives"))
            self.check(invariants.now(self.model, self._claims()))
        else:
            self._attended = None
        self._move(target)

    def _move(self, moment: int) -> None:
        due = self._world.next_due()
        if moment > self.now() or (due is not None and due <= moment):  # a callback may be due this very moment
            self.server.call(self._world.advance(moment - self.now()))
            self.line.absorb()

    def _pending(self) -> list[Any]:
        return self.beliefs.pending() if self._looks < _MOST_LOOKS else []

    # --- the end

    def rest(self) -> None:
        """Let everything come to rest, and judge what is left undone. Raises ViolationError."""
        self.tell("from here on nothing goes wrong, and the client has all the time that it wants")
        self.is_posting = "taken"
        for _ in range(_MOST_SETTLING):
            if self._world.next_due() is not None:
                self._pass(self._span("next"))
            elif self.has("poll") and self._pending():
                self._pass(self.knobs.poll_every)
            else:
                break
        self.check(invariants.at_rest(self.model, self._claims(), is_fair=self._is_fair))
        self.tell("long after")
        self._pass(self._span("past the link"))
        self.check(invariants.long_after(self.model, self._claims(), is_dead=self._is_dead))

    def _is_fair(self, job: JobFacts) -> bool:
        """Whether the client had its chance. One that never looks wants to be told, and takes what comes of it."""
        if not self.has("poll") or job.had_its_chance:
            return True
        return not any(self.beliefs.is_of(handle, job) for handle in self._pending())

    def _is_dead(self, link: str) -> bool:
        answer = self.server.request("GET", link, world=self._world.name)
        self.line.absorb()
        return answer.status >= 400

    def entries(self) -> list[dict[str, Any]]:
        """Give the world's journal."""
        return list(self._world.journal.entries())

    def close(self) -> None:
        """Drop the world. May be called more than once."""
        if not self._world.closed:
            self.world.drop()
