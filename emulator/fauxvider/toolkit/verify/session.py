"""One server under test: requests with a key, answers held against the contract, a purse that is not overdrawn."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fauxvider.clock import monotonic_ms
from fauxvider.contract.model import Contract, Issue, Model, Operation, State
from fauxvider.contract.parse import ContractFile
from fauxvider.engine.cost import price_of
from fauxvider.errors import ExpressionError
from fauxvider.service.outputs import shape_of
from fauxvider.service.scopes import issue_scope
from fauxvider.toolkit.verify.client import Answer, Client
from fauxvider.toolkit.verify.compare import Wanted, compare
from fauxvider.toolkit.verify.control import Control, World
from fauxvider.toolkit.verify.names import Names, Run, face_rule, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError, Samples
from fauxvider.toolkit.verify.wants import (
    Exactly,
    Match,
    Mismatch,
    text_want,
)
from fauxvider.values import span_text

__all__ = ["Purse", "Session"]

_LATE_MS = 200  # after a limit's window: clocks differ


@dataclass(slots=True)
class Purse:
    """Money: what may be spent, what has been put aside for requests that were sent."""

    budget: Decimal | None
    spent: Decimal = Decimal(0)

    def covers(self, price: Decimal) -> bool:
        return self.budget is None or self.spent + price <= self.budget


class Session:
    """A contract, a server that claims to keep it, and what one case has learnt of the two."""

    def __init__(
        self,
        file: ContractFile,
        readings: Mapping[str, str],
        client: Client,
        *,
        base_url: str,
        key: str,
        control: Control | None = None,
        world: World | None = None,
        purse: Purse | None = None,
        patience_ms: int = 120_000,
        receiver_at: tuple[str, int] = ("127.0.0.1", 0),
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self.file = file
        self.contract: Contract = file.resolve(readings)
        self.tree: Mapping[str, Any] = file.resolved(readings)
        self.names = Names(self.contract, self.tree)
        self.samples = Samples(self.contract, self.tree)
        self.client = client
        self.base_url = base_url.rstrip("/")
        self.key = key
        self.control = control
        self.world = world
        self.purse = purse or Purse(None)
        self.patience_ms = patience_ms
        self.receiver_at = receiver_at
        self._heard = heard
        self.found: list[Mismatch] = []
        self.held: set[str] = set()
        self.last_job = ""
        self.waits_for_limits = world is None  # where time is ours to move, limits are not in the way

    def waiting(self, what: str, at_most_ms: int) -> None:
        """Say what is waited for, and for how long at most; whoever listens shows some of it."""
        if self._heard is not None:
            self._heard(f"{what}, {-(-at_most_ms // 1000)} s at most")

    # --- requests

    def send(self, call: Call, *, key: str | None = "", timeout_s: float | None = None) -> Answer:
        """Make a request with the session's key ("": that one; None: without one)."""
        headers = dict(call.headers)
        if key is not None and "auth" in call.operation.checks:
            headers.update(self.key_header(key or self.key))
        url = self._base(call.operation) + call.path
        return self.paced(
            lambda: self.client.send(call.method, url, headers=headers, body=call.bytes, timeout_s=timeout_s)
        )

    def paced(self, send: Callable[[], Answer]) -> Answer:
        """Send; what a documented limit refuses is sent once more when its window is over.

        Raises NotAskedError when that takes too long.
        """
        answer, face = send(), face_rule("rate", self.tree["errors"])
        window = max((one.window for one in self.contract.limits.values() if one.kind != "in_flight"), default=0)
        if not (self.waits_for_limits and window and face) or answer.status != int(self.tree["errors"][face]["status"]):
            return answer
        self.rest(window)
        return send()

    def rest(self, window: int) -> None:
        """Let a limit's window pass in real time. Raises NotAskedError when that takes too long."""
        if window > self.patience_ms:
            raise NotAskedError(f"a limit of the server holds it back for {span_text(window)} (--patience)")
        self.waiting("for a limit of the server", window)
        self.pause(window + _LATE_MS)

    def pause(self, span_ms: int) -> None:
        """Let time pass at the server: its own where it is ours to move, else everybody's."""
        if self.world is not None:
            self.world.advance(span_ms)
        else:
            threading.Event().wait(span_ms / 1000)

    def now(self) -> int:
        """Give a moment of that time (ms), to tell how long something takes."""
        return monotonic_ms() if self.world is None else self.world.now()

    def _base(self, operation: Operation) -> str:
        """Give where an operation is served: hosts beside the API's are where the contract or an emulator has them."""
        api = self.contract.api
        if operation.origin in ("", api.name):
            return self.base_url
        if self.world is not None:
            return f"{self.base_url}/~{operation.origin}"
        if not self.base_url.startswith(api.url):
            raise NotAskedError(f"nobody has said where this server has the host {operation.origin!r}")
        return self.contract.origins[operation.origin].url

    def key_header(self, key: str) -> dict[str, str]:
        accepted = self.contract.auth.accept[0]
        return {accepted.header: f"{accepted.scheme} {key}" if accepted.scheme else key}

    def run_of(self, call: Call) -> Run:
        """Work out what a submission will be: its pictures and its price."""
        if call.model is None:
            raise NotAskedError(f"{call.operation.name} submits without a model")
        run = Run(call.operation, call.model, call.body, call.given, call.param())
        try:
            run.shape = shape_of(
                call.model, {"param": run.param, "input": run.given, "body": run.body}, self.samples.sizes
            )
            run.price = self._price(run, call)
        except (ExpressionError, ValueError, ArithmeticError) as problem:
            raise NotAskedError(f"its price cannot be told beforehand: {problem}") from None
        return run

    def _price(self, run: Run, call: Call) -> Decimal:
        shape = run.shape
        if shape is None:
            return Decimal(0)
        scope = {"param": run.param, "input": run.given, "body": run.body, "path": call.params}
        run_ms = 60_000 if run.model.cost.kind == "per_second" else 0
        return price_of(
            run.model.cost, width=shape.width, height=shape.height, count=shape.count, run_ms=run_ms, scope=scope
        )

    def price_of(self, call: Call) -> Decimal:
        return self.run_of(call).price or Decimal(0)

    # --- what is wanted

    def scope(self, call: Call) -> dict[str, Any]:
        return self.names.request(
            params=call.params,
            query=call.query,
            headers=call.headers,
            body=call.body,
            given=call.given,
            param=call.param(),
            model=call.model,
        )

    def answer(self, operation: Operation, outcome: str, scope: dict[str, Any], *, state: str = "") -> Wanted:
        """Say what an operation answers for an outcome."""
        answers = self.tree["operations"][operation.name]["answers"]
        name = next((one for one in (outcome, state) if one in answers), "ok")
        raw, at = answers[name], f"/operations/{operation.name}/answers/{name}"
        if "error" in raw:
            return self.error(raw["error"], scope, values=raw.get("values"), at=at)
        headers = {
            key: text_want(self.names.reader.want(one, f"{at}/headers/{key}", scope))
            for key, one in raw.get("headers", {}).items()
        }
        form = "text" if "text" in raw else "json" if "body" in raw else "none"
        body = (
            self.names.reader.want(
                raw[form if form == "text" else "body"], f"{at}/{'text' if form == 'text' else 'body'}", scope
            )
            if form != "none"
            else None
        )
        media = {"json": "application/json", "text": "text/plain"}.get(form, "")
        return Wanted(
            int(raw.get("status", 200)),
            f"{at}/status" if "status" in raw else at,
            body,
            at,
            form,
            media,
            f"{at}/body",
            headers=headers,
        )

    def error(
        self, cause: str, scope: dict[str, Any], *, values: Mapping[str, Any] | None = None, at: str = ""
    ) -> Wanted:
        """Say what a refusal looks like."""
        name = face_rule(cause, self.tree["errors"])
        if not name:
            raise NotAskedError(f"the contract gives the cause {cause} no face")
        rule, raw = f"/errors/{name}", self.tree["errors"][name]
        envelope = self.contract.errors[name].envelope
        kind = self.tree["envelopes"][envelope.name]
        scope = self.names.error(name, scope, values=values, at=at)
        part = "text" if envelope.is_text else "body"
        body = self.names.reader.want(kind[part], f"/envelopes/{envelope.name}/{part}", scope)
        headers = {
            key: text_want(self.names.reader.want(one, f"{rule}/headers/{key}", scope))
            for key, one in raw.get("headers", {}).items()
        }
        form = "xml" if envelope.root else "text" if envelope.is_text else "json"
        return Wanted(
            int(raw["status"]),
            f"{rule}/status",
            body,
            rule,
            form,
            envelope.content_type,
            f"/envelopes/{envelope.name}/content_type",
            envelope.root,
            headers,
        )

    def issue_names(self, scope: dict[str, Any], issues: Sequence[Issue]) -> dict[str, Any]:
        """Give a scope with the violations of a schema in the contract's words."""
        made = []
        for issue in issues:
            names = dict(issue_scope(self.contract, issue))
            texts = self.tree.get("issues", {}).get("texts", {})
            keyword = issue.keyword if issue.keyword in texts else "other"
            names["text"] = Exactly(names["text"], f"/issues/texts/{keyword}")
            made.append(names)
        return {**scope, "issue": made[0], "issues": made}

    # --- telling

    def compare(self, answer: Answer, wanted: Wanted) -> Match:
        """Hold an answer against what is wanted of it; nothing is noted yet."""
        return compare(answer, wanted)

    def note(self, found: Match) -> Match:
        self.found += found.mismatches
        self.held |= found.held
        return found

    def fail(self, rule: str, place: str, wanted: str, got: str, observed: Any = None) -> None:
        self.found.append(Mismatch(rule, place, wanted, got, observed))

    def expect(self, call: Call, outcome: str, *, key: str | None = "", scope: dict[str, Any] | None = None) -> Match:
        """Make a request and hold its answer against an outcome."""
        wanted = self.answer(call.operation, outcome, scope or self.scope(call))
        return self.note(compare(self.send(call, key=key), wanted))

    def expect_error(
        self, call: Call, cause: str, *, key: str | None = "", scope: dict[str, Any] | None = None
    ) -> Match:
        """Make a request that must be refused for a cause."""
        wanted = self.error(cause, scope or self.scope(call))
        return self.note(compare(self.send(call, key=key), wanted))

    # --- jobs

    def job_view(
        self, answer: Answer, call: Call, run: Run, states: Iterable[State], outcome: str = ""
    ) -> tuple[State, Match]:
        """Find the state that an answer shows: the one that fits it best."""
        best: tuple[State, Match] | None = None
        for state in states:
            scope = self.names.job(self.scope(call), run, state)
            named = outcome or (run.failure if state.is_terminal else "")
            found = compare(answer, self.answer(call.operation, named, scope, state=state.canonical))
            if best is None or len(found.mismatches) < len(best[1].mismatches):
                best = state, found
            if not found.mismatches:
                break
        if best is None:
            raise NotAskedError("the contract has no states for this")
        return best

    def submit(self, call: Call, run: Run, *, states: Iterable[State] | None = None) -> State:
        """Submit a job, pay for it from the purse, and learn its id."""
        self.pay(run)
        answer = self.send(call)
        candidates = list(states) if states is not None else self.first_states(call, run)
        state, found = self.job_view(answer, call, run, candidates)
        self.note(found)
        run.id = run.id or str(found.captured.get("job.id") or self._id_in(found, answer, run))
        run.captured.update(found.captured)
        run.word, self.last_job = state.word, run.id
        return state

    def pay(self, run: Run) -> None:
        price = run.price or Decimal(0)
        if not self.purse.covers(price):
            raise NotAskedError(f"it costs {price} {self.contract.account.unit}, which would pass the budget")
        self.purse.spent += price

    def first_states(self, call: Call, run: Run) -> list[State]:
        """Give the states that a submission may show at once."""
        waits = call.operation.waits
        first = self.contract.phases[0].state
        is_held = waits is not None and (
            bool(waits.query) or not waits.unless or _is_on(call.body, waits.unless) is not True
        )
        if not is_held:
            return [first]
        return [*self.ends_of(run), *dict.fromkeys(phase.state for phase in self.contract.phases)]

    def ends_of(self, run: Run) -> list[State]:
        if run.failure:
            failure = self.contract.failures[run.failure]
            return [failure.state or self.contract.ends[failure.end]]
        return [self.contract.ends["succeeded"]]

    def _id_in(self, found: Match, answer: Answer, run: Run) -> str:
        """Find the job's id in an answer that does not look as it should."""
        shown_as = [one.observed for one in found.mismatches if one.rule == f"/ids/{run.operation.id}"]
        if shown_as and isinstance(shown_as[0], str):
            return shown_as[0]
        text = answer.body.decode("utf-8", "replace")
        inside = re.search(id_pattern(self.contract.ids[run.operation.id].tokens), text)
        return inside[0] if inside else ""

    def model_operations(self, *kinds: str) -> list[Operation]:
        return [one for one in self.contract.operations.values() if one.kind in kinds]

    def models_of(self, operation: Operation) -> list[Model]:
        return [
            one
            for one in self.contract.models.values()
            if one.active and self.samples.takes(operation, one) and (not operation.owner or one.facts.get("owned"))
        ]


def _is_on(body: Any, pointer: tuple[str, ...]) -> Any:
    for name in pointer:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body
