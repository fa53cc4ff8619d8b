"""One provider in one world: template scopes, answers, URLs, money.

What the operations do is in the modules beside this one; they all get a `Provider` and a `Call`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Contract, Model, Operation
from fauxvider.contract.templates import Lazy
from fauxvider.engine.facts import Asset, Charge, Event, Record
from fauxvider.engine.limits import Verdict
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.timeline import Life, Snapshot, life_of, snapshot_at
from fauxvider.errors import UsageError
from fauxvider.gate import parse_json, parse_query
from fauxvider.ports import Clock, Store
from fauxvider.service import deliveries, encoding, outputs
from fauxvider.service.acceptance import Prepared
from fauxvider.service.compiled import Compiled
from fauxvider.service.scopes import MintScope
from fauxvider.service.settings import Settings
from fauxvider.service.wire import Rejection, Reply, Request
from fauxvider.service.world import Due, World

__all__ = ["Call", "Provider"]


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
        self.compiled = compiled
        self.contract: Contract = compiled.contract
        self.store = store
        self.settings = settings
        self.mint = world.mint.branch(compiled.contract.provider)
        self.start_balance = world.options.balances.get(self.name, self.contract.account.balance)
        self.used = Decimal(0)
        self._used_by_job: dict[str, Decimal] = {}

    @property
    def name(self) -> str:
        return self.contract.provider

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
        root = self.settings.base_url
        if self.world.name != "default":
            root = f"{root}/w/{self.world.name}"
        return f"{root}/{self.name}" if origin == self.contract.api.name else f"{root}/{self.name}/~{origin}"

    # --- scopes ---------------------------------------------------------------------------

    def scope(self, call: Call) -> dict[str, Any]:
        """Give the names that any answer to this request may use."""
        request = call.request
        return {
            "path": request.params,
            "query": Lazy(lambda: parse_query(request.query)),
            "header": Lazy(lambda: {key.decode("latin-1"): value.decode("latin-1") for key, value in request.headers}),
            "now": call.moment,
            "body": call.body,
            "input": call.input,
            "param": Lazy(lambda: self.parameters(call.model, call.input)),
            "model": None if call.model is None else self.compiled.model_scopes[call.model.name],
            "key": {"name": call.key_name},
            "account": Lazy(lambda: self.account_scope("")),
            "states": self.compiled.states,
            "mint": self.mints(
                moment=call.moment, request=call.number, key=call.key, model=call.model.name if call.model else ""
            ),
        }

    def mints(self, *, moment: int, **owners: int | str) -> MintScope:
        return MintScope(self.contract, self.mint, moment=moment, **owners)

    def parameters(self, model: Model | None, given: Any) -> Any:
        """Give the model input with the schema's defaults filled in."""
        if model is None or not isinstance(given, dict):
            return given
        return {**model.defaults, **given}

    def account_scope(self, job_id: str) -> Mapping[str, Any]:
        own = self._used_by_job.get(job_id, Decimal(0))
        return {
            "balance": self.balance,
            "used": self.used,
            "used_before": self.used - own,
            "unit": self.contract.account.unit,
        }

    def snapshot(self, record: Record, life: Life, moment: int) -> Snapshot:
        return snapshot_at(self.contract, life, record.job, moment)

    def life(self, record: Record) -> Life:
        return life_of(self.contract, record)

    def job_scope(
        self,
        record: Record,
        *,
        moment: int,
        site: str,
        base: Mapping[str, Any] | None = None,
        life: Life | None = None,
    ) -> dict[str, Any]:
        """Give the names of a job as it is at `moment`, over those of the request at hand."""
        job = record.job
        life = life or self.life(record)
        snap = snapshot_at(self.contract, life, job, moment)
        model = self.contract.models[job.model]
        operation = self.contract.operations[job.operation]
        body = Lazy(lambda: parse_json(job.body) if job.body else None)
        given = Lazy(lambda: at_pointer(body.get(), operation.input))
        scope: dict[str, Any] = dict(base) if base else {"now": moment, "states": self.compiled.states}
        scope["job"] = snap
        scope["body"] = body
        scope["input"] = given
        scope["param"] = Lazy(lambda: self.parameters(model, given.get()))
        scope["model"] = self.compiled.model_scopes[model.name]
        scope["account"] = Lazy(lambda: self.account_scope(job.id))
        scope["mint"] = self.mints(
            moment=job.accepted, job=job.number, run=life.runs, model=model.name, key=job.key, request=job.request
        )
        scope["outputs"] = Lazy(lambda: outputs.output_list(self, record, life, moment=moment, site=site, scope=scope))
        scope["output"] = Lazy(lambda: next(iter(scope["outputs"].get()), None))
        if snap.failure_name:
            scope["issue"] = {"text": life.detail}
            failure = self.contract.failures[snap.failure_name]
            snap.failure = {name: value(scope) for name, value in failure.values.items()}
        if snap.state == "succeeded":
            snap.result = model.output.result(scope)
        return scope

    # --- answers --------------------------------------------------------------------------

    def answer(self, call: Call, outcome: str, scope: Mapping[str, Any], *, state: str = "", job: str = "") -> Reply:
        """Give the contract's answer for an outcome (or the canonical state), falling back to `ok`."""
        answers = call.operation.answers
        answer = answers.get(outcome) or answers.get(state) or answers["ok"]
        if answer.cause:
            reply = self.refuse(call, Rejection(answer.cause), scope)
            reply.job = job
            return reply
        return encoding.reply(answer, scope, operation=call.operation.name, job=job, more=self.limit_headers(call))

    def refuse(self, call: Call | None, rejection: Rejection, scope: Mapping[str, Any] | None = None) -> Reply:
        """Give a refusal its face from the contract."""
        face = self.contract.errors[rejection.cause]
        names = dict(scope) if scope is not None else (self.scope(call) if call else {"now": self.clock.now()})
        names.update(rejection.extra)
        reply = encoding.error_reply(face, names, more=self.limit_headers(call) if call else ())
        reply.operation = call.operation.name if call else ""
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

    async def schedule(self, record: Record) -> None:
        """Put a job's end on the agenda; a later change puts a new one, and the old one lapses."""
        self.world.enter(self.life(record).ended, Due("ending", self.name, record.job.id))

    async def finish(self, job_id: str, moment: int) -> None:
        """Do what the end of a job brings: the charge and the callback."""
        record = await self.store.record(job_id)
        if record is None:
            return
        life = self.life(record)
        if life.ended != moment or any(delivery.automatic and delivery.created == moment for delivery in record.deliveries):
            return
        job = record.job
        self.world.journal.add(moment, "ended", ("provider", "job", "state"), (self.name, job.id, life.end.word))
        if life.end.canonical in self.contract.account.charge and job.price:
            await self._charge(record, moment)
        await deliveries.begin_automatic(self, record, life, moment)

    async def _charge(self, record: Record, moment: int) -> None:
        job = record.job
        if job.id in self._used_by_job:
            return
        rule = f"/models/{job.model}/cost"
        unit = self.contract.account.unit
        await self.store.add_charge(
            Charge(moment, job.id, job.price, unit, rule, job.key, job.intent, job.fingerprint)
        )
        self.used += job.price
        self._used_by_job[job.id] = job.price
        self.world.journal.add(
            moment, "charged", ("provider", "job", "amount", "unit"), (self.name, job.id, str(job.price), unit)
        )

    async def attempt(self, job_id: str, delivery_id: str, moment: int) -> None:
        await deliveries.attempt(self, job_id, delivery_id, moment)

    async def add_event(self, record: Record, event: Event) -> Record:
        """Add an event to a job, put its new end on the agenda, and wake who waits for it."""
        await self.store.add_event(record.job.id, event)
        fresh = await self.store.record(record.job.id)
        if fresh is None:
            raise UsageError(f"the job {record.job.id} has been dropped by the cap on kept jobs")
        if event.kind not in ("ttl", "drained"):
            await self.schedule(fresh)
            if self.life(fresh).ended <= self.clock.now():
                await self.world.settle_now()
        self.world.changed(self.name, record.job.id)
        return fresh

    async def asset_named(self, name: str) -> Asset | None:
        """Find an asset by id or storage key, among the uploaded ones and those always present."""
        return await self.store.asset(name) or await self.store.asset_by_key(name)
