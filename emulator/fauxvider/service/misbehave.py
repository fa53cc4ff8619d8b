"""Request faults: what a scenario does to one request, before the operation and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fauxvider.engine.faults import Thing
from fauxvider.gate import JsonRefusedError, dump_json, parse_json
from fauxvider.scenario.model import Fault
from fauxvider.service.wire import Rejection, Reply, WireFault
from fauxvider.values import span_text

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider
    from fauxvider.service.wire import Request

__all__ = ["after", "before", "faults_of", "names_of"]

_ON_THE_WIRE = ("drip", "garbage", "half_close")


async def faults_of(provider: Provider, request: Request, call: Call | None, *, does: str) -> list[Fault]:
    """Give the faults that this request meets. `does`: the kind of its operation; `file` and `unknown` have no call."""
    scripted = provider.world.scripted
    if scripted is None or not scripted.has("request"):
        return []
    thing = Thing(
        provider=provider.name,
        since=provider.clock.now() - provider.world.began,
        operation=_operation_name(call, does),
        does=does,
        model=_model_name(provider, call) if scripted.asks("request", "models") else "",
        job=await _job_number(provider, call) if call and scripted.asks("request", "job") else 0,
        body=_body(request) if scripted.asks("request", "inputs") else None,
    )
    return scripted.due("request", thing, target=thing.operation)


def _operation_name(call: Call | None, does: str) -> str:
    return call.operation.name if call else "file" if does == "file" else ""


async def _job_number(provider: Provider, call: Call) -> int:
    """Give the number of the job that a request names, if it names one that there is."""
    template = call.operation.job
    if template is None:
        return 0
    record = await provider.store.record(str(template({"path": call.request.params, "body": _body(call.request)})))
    return record.job.number if record is not None else 0


def _model_name(provider: Provider, call: Call | None) -> str:
    """Name the model that a request asks for, as far as it can be told before the checks."""
    if call is None or not call.operation.model:
        return ""
    scope = provider.scope(call)
    if call.body is None:
        scope["body"] = _body(call.request)
    model = provider.compiled.models.get(tuple(str(part(scope)) for part in call.operation.model))
    return model.name if model else ""


def _body(request: Request) -> Any:
    """Give the body as JSON, if it is any; the checks need not read it again."""
    if request.tree is None and request.body:
        try:
            request.tree = parse_json(request.body)
        except JsonRefusedError:
            return None
    return request.tree


def before(provider: Provider, call: Call | None, faults: Sequence[Fault], *, does: str) -> Reply | None:
    """Answer instead of the operation (without a call: instead of a file, or of 404), if a fault says so."""
    operation = _operation_name(call, does)
    for fault in faults:
        if fault.name == "refuse":
            span = fault.extra.get("retry_after")
            extra = {"retry_after": -(-span // 1000)} if span is not None else {}
            reply = provider.refuse(call, Rejection(str(fault.value), extra))
            if span is not None and not any(name == b"retry-after" for name, _ in reply.headers):
                reply.headers.append((b"retry-after", b"%d" % -(-span // 1000)))
                reply.retry_after = -(-span // 1000)
            reply.operation = operation
            return reply
        if fault.name == "answer":
            return _given(fault.value, operation)
    return None


def _given(answer: Any, operation: str) -> Reply:
    headers = [
        (str(name).lower().encode("latin-1"), str(value).encode("latin-1", "replace"))
        for name, value in answer.get("headers", {}).items()
    ]
    named = dict(headers)
    wait = named.get(b"retry-after", b"")
    if "text" in answer:
        body, kind = str(answer["text"]).encode(), b"text/html" if "<" in str(answer["text"]) else b"text/plain"
    else:
        body, kind = (dump_json(answer["body"]) if "body" in answer else b""), b"application/json"
    if b"content-type" not in named and body:
        headers.append((b"content-type", kind))
    seconds = int(wait) if wait.isdigit() else None
    return Reply(int(answer.get("status", 200)), headers, body, operation, retry_after=seconds)


async def after(provider: Provider, reply: Reply, faults: Sequence[Fault]) -> Reply:
    """Do to a finished answer what the faults say; the operation has had its effect."""
    for fault in faults:
        if fault.name == "slow":
            until = provider.clock.now() + int(fault.value)
            await provider.world.wait(until, provider=provider.name, job=f"request {provider.world.requests}")
        elif fault.name == "drip" and reply.wire is not None:
            continue  # an output that is cut is not made whole by coming slowly
        elif fault.name == "lose" and not isinstance(fault.value, str):
            lost = _given(fault.value, reply.operation)
            lost.job, lost.key = reply.job, reply.key
            reply = lost
        elif fault.name in ("lose", "garble"):
            reply = _copy(reply)
            reply.wire = WireFault(str(fault.value))
        elif fault.name in _ON_THE_WIRE:
            reply = _copy(reply)
            reply.wire = WireFault(fault.name, int(fault.value) if fault.name == "drip" else 0)
    return reply


def _copy(reply: Reply) -> Reply:
    """Copy a reply before it is spoiled: answers of finished jobs are shared."""
    return Reply(
        reply.status, list(reply.headers), reply.body, reply.operation, reply.job, reply.cause, reply.length,
        state=reply.state, word=reply.word, key=reply.key, intent=reply.intent, fingerprint=reply.fingerprint,
        retry_after=reply.retry_after, shown_cost=reply.shown_cost,
    )  # fmt: skip


def names_of(faults: Sequence[Fault]) -> str:
    """Name the faults for the journal: `lose reset, slow, drip 40s`."""
    return ", ".join(map(_name, faults))


def _name(fault: Fault) -> str:
    if fault.name == "drip":  # of real time, which no moment of the journal shows
        return f"drip {span_text(int(fault.value))}"
    return f"{fault.name} {fault.value}" if isinstance(fault.value, str) else fault.name
