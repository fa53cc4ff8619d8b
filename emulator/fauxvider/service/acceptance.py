"""From a request that passed its checks to a job: what is delivered, how it will go, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from fauxvider.contract.model import Model
from fauxvider.engine.cost import price_of
from fauxvider.engine.facts import Event, Job, Plan, Record, Shape
from fauxvider.engine.outputs import sniff
from fauxvider.engine.plan import Quote, at_pointer, draw_plan, ranges_of
from fauxvider.errors import FauxviderError
from fauxvider.gate import parse_query
from fauxvider.service import outputs, pictures
from fauxvider.service.journal import address_shown, holds_key
from fauxvider.service.scopes import RequestScope, minted
from fauxvider.service.twisting import twist
from fauxvider.service.wire import Rejection, Request, key_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["Prepared", "accept", "body_print", "draw_again", "prepare", "request_print"]

_NOTHING = Shape(0, 0, 0, "png")
MAX_SIDE = 4096
_ABSENT = object()
_PLAIN = frozenset({int, str, type(None), object})  # true and 1.0 would be taken for 1


class Prepared(NamedTuple):
    """A job before it exists."""

    number: int
    shape: Shape
    plan: Plan
    price: Decimal


async def prepare(provider: Provider, call: Call) -> Prepared | Rejection:
    """Draw everything that a job needs before it exists; done once per call."""
    if call.prepared is not None:
        return call.prepared
    model = call.model
    if model is None:
        raise LookupError(f"the operation {call.operation.name} submits without a model")
    number = await provider.store.next_number("job")
    scope = RequestScope(provider, call, moment=call.moment, job_number=number)
    is_live = provider.settings.live is not None and not call.failure
    if is_live and (refusal := await _unrenderable(provider, call, model, scope)) is not None:
        return refusal
    quote = await _quote(provider, call, model, scope)
    if isinstance(quote, Rejection):
        return quote
    shape, ranges, price = quote
    plan = draw_plan(
        model,
        mint=provider.mint,
        parts=(number, 0),
        scope=scope,
        ranges=ranges,
        deadlines=provider.compiled.deadlines.asked(call.body, scope),
        failure=call.failure,
        detail=call.detail,
    )
    if price is None:
        price = provider.same(_price(provider, model, shape, scope, run_ms=_run_ms(provider, plan)))
    call.prepared = Prepared(number, shape, plan, price)
    return call.prepared


async def _quote(provider: Provider, call: Call, model: Model, scope: RequestScope) -> Quote | Rejection:
    """Work out what a request gets for what; for the same parameters, once."""
    if call.failure:  # refused upstream before anything was worked out
        return Quote(_NOTHING, ranges_of(provider.contract, model, scope, _NOTHING), Decimal(0))
    key = _quote_key(provider, model, scope)
    known = provider.compiled.quotes.get(key) if key is not None else None
    if known is not None:
        return known
    shape = await _shape(provider, model, scope)
    if isinstance(shape, Rejection):
        return shape
    ranges = ranges_of(provider.contract, model, scope, shape)
    if key is None:
        return Quote(provider.same(shape), ranges, None)
    quote = Quote(shape, ranges, _price(provider, model, shape, scope))
    provider.compiled.remember_quote(key, quote)
    return quote


def _quote_key(provider: Provider, model: Model, scope: RequestScope) -> tuple[object, ...] | None:
    """Name a request by what alone decides its size, times and price; None if that is more than a few plain values."""
    fields, given = model.quoted_by, scope["param"]
    if provider.priced is not provider.contract or fields is None or not isinstance(given, dict):
        return None
    deciding = [given.get(name, _ABSENT) for name in fields]
    return (model.name, *deciding) if _PLAIN.issuperset(map(type, deciding)) else None


def _price(provider: Provider, model: Model, shape: Shape, scope: RequestScope, *, run_ms: int = 0) -> Decimal:
    cost = provider.priced.models[model.name].cost
    return price_of(cost, width=shape.width, height=shape.height, count=shape.count, run_ms=run_ms, scope=scope)


async def _shape(provider: Provider, model: Model, scope: RequestScope) -> Shape | Rejection:
    sizes: dict[str, tuple[int, int]] = {}
    if model.output.size.kind in ("source", "aspect"):
        for value in pictures.source_values(model, scope):
            if (size := await _source_size(provider, value)) is not None:
                sizes[value] = size
    try:
        shape = outputs.shape_of(model, scope, sizes)
    except (FauxviderError, ValueError, ArithmeticError) as problem:
        return _refusal(str(problem))
    if max(shape.width, shape.height) > MAX_SIDE:
        scale = MAX_SIDE / max(shape.width, shape.height)
        return replace(shape, width=max(1, int(shape.width * scale)), height=max(1, int(shape.height * scale)))
    return shape


def _refusal(text: str) -> Rejection:
    issue = {"text": text, "path": "", "field": "", "keyword": "other"}
    return Rejection("param_invalid", {"issue": issue, "issues": [issue]})


async def _unrenderable(provider: Provider, call: Call, model: Model, scope: RequestScope) -> Rejection | None:
    """Refuse what the real pipeline could not render; where the contract accepts and fails, note that instead."""
    live = provider.settings.live
    text = await live.problem(provider, model, scope) if live is not None else ""
    if not text:
        return None
    if not call.operation.on_invalid:
        return _refusal(text)
    call.failure, call.detail = call.operation.on_invalid, text
    return None


async def _source_size(provider: Provider, value: str) -> tuple[int, int] | None:
    asset = await pictures.asset_of(provider, value)
    if asset is not None:
        return (asset.width, asset.height) if asset.width and asset.height else None
    data = pictures.inline_bytes(value)
    found = sniff(data) if data is not None else None
    return (found[1], found[2]) if found else None


def _run_ms(provider: Provider, plan: Plan) -> int:
    spans = zip(provider.contract.phases, plan.phases, strict=False)
    return sum(span for phase, span in spans if phase.state.canonical == "running")


async def accept(provider: Provider, call: Call) -> Record | Rejection:
    """Make the job a fact, and put its end on the agenda."""
    prepared = await prepare(provider, call)
    if isinstance(prepared, Rejection):
        return prepared
    model, operation = call.model, call.operation
    if model is None:
        raise LookupError(f"the operation {operation.name} submits without a model")
    owners: dict[str, int | str] = {
        "job": prepared.number,
        "run": 0,
        "model": model.name,
        "key": call.key,
        "request": call.number,
    }
    address = _address(provider, call)
    call.fingerprint = call.fingerprint or request_print(call.request)
    job = Job(
        id=minted(provider.mint, provider.contract.ids[operation.id], call.moment, owners),
        number=prepared.number,
        operation=operation.name,
        model=model.name,
        accepted=call.moment,
        body=call.request.body,
        plan=prepared.plan,
        shape=prepared.shape,
        price=prepared.price,
        key=call.key,
        address=address,
        site=call.request.site,
        intent=call.intent,
        fingerprint=call.fingerprint,
        request=call.number,
        shown_address="" if address is None else _stand_in(provider, call, address),
    )
    record = Record(job)
    events: Sequence[Event] = ()
    if provider.world.scripted is not None:
        record.job, events = twist(provider, call, job)
        job = record.job
        record.events = tuple(events)
    live, plan = provider.settings.live, job.plan
    # What a scenario has changed goes as the scenario says, and what shall fail fails as planned.
    if live is not None and plan is prepared.plan and not plan.failure and live.takes(provider, model, job.shape):
        record.job = job = replace(job, plan=replace(plan, live=True))
    rule = provider.compiled.urls.get("output")
    if rule is not None and rule.key is not None:
        record.job = job = replace(job, file_keys=outputs.file_keys(provider, record))
    await provider.store.add_job(job)
    for event in events:
        await provider.store.add_event(job.id, event)
    _write_down(provider, job)
    record = await provider.store.record(job.id) or record
    provider.schedule(record)
    if live is not None and job.plan.live:
        live.begin(provider, record)
    return record


_JOURNAL = (
    "provider", "job", "operation", "model", "price", "intent", "fingerprint", "address", "key", "number", "leaks",
)  # fmt: skip


def _write_down(provider: Provider, job: Job) -> None:
    shown = job.shown_address or (address_shown(job.address) if job.address else "")
    leaks = "key" if job.shown_address else ""
    provider.world.journal.add(
        job.accepted,
        "accepted",
        _JOURNAL,
        (provider.name, job.id, job.operation, job.model, job.price, job.intent, job.fingerprint, shown, job.key,
         job.request, leaks),
    )  # fmt: skip


def body_print(body: bytes) -> str:
    """Give a digest of a request body, in hex: equal intents have equal ones."""
    return blake2b(body, digest_size=8).hexdigest()


def request_print(request: Request) -> str:
    """Give the digest of a request's body as the client sent it."""
    return request.fingerprint or body_print(request.body)


def _address(provider: Provider, call: Call) -> str | None:
    callbacks = provider.contract.callbacks
    if callbacks is None:
        return None
    if callbacks.query:
        return parse_query(call.request.query).get(callbacks.query) or None
    address = at_pointer(call.body, callbacks.address)
    return address if isinstance(address, str) and address else None


def _stand_in(provider: Provider, call: Call, address: str) -> str:
    """Give what is shown of a callback address that holds the API key; "" for any other."""
    if not holds_key(address, key_of(provider.contract.auth, call.request)[0]):
        return ""
    return "/".join([*address_shown(address).split("/", 3)[:3], "(the API key)"])


def draw_again(provider: Provider, record: Record, *, runs: int) -> Plan:
    """Draw a further run of a job that the client has run again."""
    job = record.job
    model = provider.contract.models[job.model]
    scope = provider.job_scope(record, moment=job.accepted, site=job.site)
    plan = draw_plan(
        model,
        mint=provider.mint,
        parts=(job.number, runs),
        scope=scope,
        ranges=ranges_of(provider.contract, model, scope, job.shape),
        deadlines=provider.compiled.deadlines.asked(scope["body"], scope),
        failure=job.plan.failure if job.plan.detail else "",  # what failed for its input fails again
        detail=job.plan.detail,
    )
    return replace(plan, live=job.plan.live and not plan.failure)
