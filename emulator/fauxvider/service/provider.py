"""One provider in one world: template scopes, answers, URLs, money.

What the operations do is in the modules beside this one; they all get a `Provider` and a `Call`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from fauxvider.contract.model import Contract, Model, Operation
from fauxvider.engine.facts import Asset, Charge, Event, Record
from fauxvider.engine.limits import Verdict
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.timeline import Life, life_of, snapshot_at
from fauxvider.errors import UsageError
from fauxvider.ports import Clock, Store
from fauxvider.service import deliveries, encoding
from fauxvider.service.acceptance import Prepared
from fauxvider.service.compiled import Compiled
from fauxvider.service.scopes import JobScope, MintScope, RequestScope
from fauxvider.service.settings import Settings
from fauxvider.service.wire import Rejection, Reply, Request
from fauxvider.service.world import Due, World

__all__ = ["Call", "Provider"]

T = TypeVar("T")

_MAX_KNOWN = 2048  # lives and finished answers that are kept at hand; any can be made again
_MAX_OVER = 250_000  # jobs whose end is known: some more than a store keeps


@dataclass(slots=True)
class Call:
    """One request on its way through the checks; they fill in what they learn."""

    request: Request
    operation: Operation
    moment: int
    number: int
    key: str = ""  # its fingerprint
    key_name: str = ""
    model: Model | None = None
    body: Any = None
    input: Any = None
    failure: str = ""
    detail: str = ""
    intent: str = ""
    fingerprint: str = ""
    replay: Record | None = None
    prepared: Prepared | None = None
    held: list[tuple[str, str]] = field(default_factory=list)
    verdict: tuple[str, Verdict] | None = None

    def given(self, name: str) -> Any:
        """Give a parameter of the operation's kind, from where the contract says that it stands."""
        pointer = self.operation.fields.get(name)
        return at_pointer(self.body, pointer) if pointer else None


class Provider:
    """A contract at work in a world."""

    def __init__(self, world: World, compiled: Compiled, store: Store, settings: Settings) -> None:
        self.world = world
        self.compiled: Compiled = compiled
        self.contract: Contract = compiled.contract
        self.name = compiled.contract.provider
        self.store = store
        self.settings = settings
        self.mint = world.mint.branch(compiled.contract.provider)
        self.signing_key = self.mint.text("sigv4-secret", 40)
        self._serials: dict[str, int] = {}
        self.start_balance = world.options.balances.get(self.name, self.contract.account.balance)
        self.used = Decimal(0)
        self._rules = {name: f"/models/{name}/cost" for name in self.contract.models}
        self._same: dict[object, Any] = {}
        self._lives: dict[str, tuple[tuple[Event, ...], Life]] = {}
        self._over: dict[str, tuple[tuple[Event, ...], str, int]] = {}
        self.shown: dict[tuple[str, str, str], tuple[Life, Reply]] = {}
        self.checks = compiled.checks
        self.priced: Contract = compiled.contract  # a scenario may switch prices to another reading
        factor = world.options.limits
        self.limits: Mapping[str, int] = {
            name: max(1, int(limit.count * factor))
            for name, limit in self.contract.limits.items()
            if factor is not None
        }

    @property
    def clock(self) -> Clock:
        return self.world.clock

    @property
    def balance(self) -> Decimal:
        return self.start_balance - self.used

    # --- URLs -----------------------------------------------------------------------------

    def base(self, origin: str, site: str) -> str:
        """Give an origin's base URL: the provider's own for `real`, else this server's."""
        if site == "real":
            return self.contract.origins[origin].url
        is_api = origin == self.contract.api.name
        return self.settings.local_base(self.world.name, self.name, "" if is_api else origin)

    # --- scopes ---------------------------------------------------------------------------

    def scope(self, call: Call) -> RequestScope:
        """Give the names that any answer to this request may use."""
        return RequestScope(self, call, moment=call.moment)

    def mints(self, *, moment: int, **owners: int | str) -> MintScope:
        return MintScope(self.contract, self.mint, moment, owners)

    def serial(self, token: str) -> int | None:
        """Give the serial number of a file token that this world made."""
        known = self._serials.get(token)
        if known is None:
            known = self.mint.serial(token)
            if known is not None:
                if len(self._serials) >= _MAX_KNOWN:
                    self._serials.clear()
                self._serials[token] = known
        return known

    def same(self, value: T) -> T:
        """Give one object for equal values, so that a hundred thousand jobs share their sizes and prices."""
        if len(self._same) >= _MAX_KNOWN:
            self._same.clear()
        key = (type(value), value)
        known: T = self._same.setdefault(key, value)
        return known

    def account_scope(self, record: Record | None) -> Mapping[str, Any]:
        own = record.job.price if record is not None and record.charged else Decimal(0)
        return {
            "balance": self.balance,
            "used": self.used,
            "used_before": self.used - own,
            "unit": self.contract.account.unit,
        }

    def life(self, record: Record) -> Life:
        """Give a job's life; it is worked out again when something has happened to the job."""
        known = self._lives.get(record.job.id)
        if known is not None and known[0] is record.events:
            return known[1]
        if len(self._lives) >= _MAX_KNOWN:
            self._lives.clear()
            self.shown.clear()
        life = life_of(self.contract, record)
        self._lives[record.job.id] = (record.events, life)
        return life

    def state_and_runs(self, record: Record, moment: int) -> tuple[str, int]:
        """Give a job's canonical state and how often it was run again.

        Of what is over this is remembered until something happens to the job: who counts asks of all jobs at once.
        """
        known = self._over.get(record.job.id)
        if known is not None and known[0] is record.events:
            return known[1], known[2]
        life = life_of(self.contract, record)
        state = snapshot_at(self.contract, life, record.job, moment).state
        if moment >= life.ended and not life.is_open and record.job.twist is None:
            if len(self._over) >= _MAX_OVER:
                self._over.clear()  # it holds jobs by now that the store has dropped
            self._over[record.job.id] = record.events, state, life.runs
        return state, life.runs

    def job_scope(
        self, record: Record, *, moment: int, site: str, call: Call | None = None, life: Life | None = None
    ) -> JobScope:
        """Give the names of a job as it is at `moment`, over those of the request at hand."""
        return JobScope(self, record, life or self.life(record), moment=moment, site=site, call=call)

    # --- answers --------------------------------------------------------------------------

    def answer(self, call: Call, outcome: str, scope: RequestScope, *, state: str = "", job: str = "") -> Reply:
        """Give the contract's answer for an outcome (or the canonical state), falling back to `ok`."""
        answers = call.operation.answers
        answer = answers.get(outcome) or answers.get(state) or answers["ok"]
        if answer.cause:
            reply = self.refuse(call, Rejection(answer.cause), scope)
            reply.job = job
            return reply
        return encoding.reply(answer, scope, operation=call.operation.name, job=job, more=self.limit_headers(call))

    def refuse(self, call: Call | None, rejection: Rejection, scope: RequestScope | None = None) -> Reply:
        """Give a refusal its face from the contract."""
        face = self.contract.errors[rejection.cause]
        moment = call.moment if call else self.clock.now()
        names = RequestScope(self, call, moment=moment) if scope is None else scope.fork()
        names.update(rejection.extra)
        reply = encoding.error_reply(face, names, more=self.limit_headers(call) if call else ())
        reply.operation = call.operation.name if call else ""
        retry_after = rejection.extra.get("retry_after")
        if retry_after is not None and any(name == b"retry-after" for name, _ in reply.headers):
            reply.retry_after = retry_after
        return reply

    def limit_headers(self, call: Call) -> list[tuple[bytes, bytes]]:
        if call.verdict is None:
            return []
        name, verdict = call.verdict
        headers = self.contract.limits[name].headers
        if not headers:
            return []
        scope = {
            "limit": {"count": verdict.count, "remaining": verdict.remaining, "reset": -(-verdict.reset // 1000)},
            "retry_after": -(-verdict.wait // 1000) or None,
        }
        return encoding.header_pairs(headers, scope)

    # --- what falls due -------------------------------------------------------------------

    def schedule(self, record: Record) -> None:
        """Put a job's end on the agenda; a later change puts a new one, and the old one lapses."""
        life = self.life(record)
        self.plan_progress(record, life)
        self.world.enter(life.ended, Due("ending", self.name, record.job.id, run=life.runs))

    def plan_progress(self, record: Record, life: Life) -> None:
        """Put on the agenda what callbacks tell of a job before its end."""
        if record.job.address is not None:
            deliveries.plan_progress(self, record, life)

    async def finish(self, job_id: str, moment: int, *, run: int) -> None:
        """Do what the end of a job's run brings: the charge and the callback."""
        record = await self.store.record(job_id)
        if record is None:
            return
        life = self.life(record)
        if (life.ended, life.runs) != (moment, run):
            return
        if self.settings.live is not None:
            self.settings.live.stop(self, job_id)  # a deadline ends a job that is still at work
        await self.store.note_ended(job_id, run)
        if life.gone is not None and life.gone < moment:
            return  # removed before its end: nobody is charged or called for it
        job = record.job
        self.world.journal.add(
            moment,
            "ended",
            ("provider", "job", "state", "word", "failure", "started"),
            (self.name, job.id, life.end.canonical, life.end.word, life.failure, life.started),
        )
        if life.end.canonical in self.contract.account.charge and job.price:
            await self._charge(record, moment)
        await deliveries.begin_automatic(self, record, life, moment)

    async def _charge(self, record: Record, moment: int) -> None:
        job = record.job
        if record.charged:
            return
        rule = self._rules[job.model]
        unit = self.contract.account.unit
        await self.store.add_charge(Charge(moment, job.id, job.price, unit, rule, job.key, job.intent, job.fingerprint))
        self.used += job.price
        self.world.journal.add(
            moment,
            "charged",
            ("provider", "job", "amount", "unit", "rule"),
            (self.name, job.id, str(job.price), unit, rule),
        )

    async def progress(self, job_id: str, event: str, moment: int) -> None:
        await deliveries.begin_progress(self, job_id, event, moment)

    async def attempt(self, job_id: str, delivery_id: str, moment: int) -> None:
        await deliveries.attempt(self, job_id, delivery_id, moment)

    async def again(self, job_id: str, delivery_id: str, moment: int) -> None:
        await deliveries.again(self, job_id, delivery_id, moment)

    async def add_event(self, record: Record, event: Event) -> Record:
        """Add an event to a job, put its end on the agenda if that is a new one, and wake who waits for it."""
        before = self.life(record)
        await self.store.add_event(record.job.id, event)
        fresh = await self.store.record(record.job.id)
        if fresh is None:
            raise UsageError(f"the job {record.job.id} has been dropped by the cap on kept jobs")
        if self.settings.live is not None:
            self.settings.live.heard(self, fresh, event)
        life = self.life(fresh)
        if (life.ended, life.runs) != (before.ended, before.runs):
            self.schedule(fresh)
            if life.ended <= self.clock.now():
                await self.world.settle_now()
        self.world.changed(self.name, record.job.id)
        return fresh

    async def asset_named(self, name: str) -> Asset | None:
        """Find an asset by id or storage key, among the uploaded ones and those always present."""
        return await self.store.asset(name) or await self.store.asset_by_key(name)
