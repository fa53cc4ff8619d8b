"""One request at a provider: find the operation, run the checks, do it, write it down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fauxvider.analysis.near_credentials import Denied
from fauxvider.clock import precise_s
from fauxvider.contract.model import Operation
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.routing import Match
from fauxvider.errors import StoreError
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.scenario.model import Fault
from fauxvider.service import jobs, library, lists
from fauxvider.service.acceptance import request_print
from fauxvider.service.credentials import Refused, denied_of
from fauxvider.service.durable import state_of
from fauxvider.service.files import serve_file
from fauxvider.service.misbehave import after, before, faults_of, names_of
from fauxvider.service.provider import Call, Provider
from fauxvider.service.scopes import RequestScope
from fauxvider.service.twisting import move_account
from fauxvider.service.wire import Rejection, Reply, Request, header_of, key_of, of_our_own

__all__ = ["KINDS", "handle"]

Handler = Callable[[Provider, Call], Awaitable[Reply]]

KINDS: Mapping[str, Handler] = {
    "submit": jobs.submit,
    "read": jobs.read,
    "stream": jobs.stream,
    "cancel": jobs.cancel,
    "retry": jobs.retry,
    "purge": jobs.purge,
    "counts": jobs.counts,
    "list": lists.listing,
    "view": lists.view,
    "models": lists.catalogue,
    "deliveries": lists.history,
    "redeliver": lists.redeliver,
    "secret_create": lists.secret_create,
    "secret_read": lists.secret_read,
    "secret_list": lists.secret_list,
    "secret_update": lists.secret_update,
    "secret_delete": lists.secret_delete,
    "asset_upload": library.asset_upload,
    "asset_session": library.asset_session,
    "asset_confirm": library.asset_confirm,
    "asset_read": library.asset_read,
}

_MAX_KEPT = 65_536  # of a refused body, to be explained later
_MAX_RANGE = 80  # characters of what part of a file was asked for
_JOURNAL = (
    "provider", "operation", "does", "method", "path", "status", "job", "cause", "key", "number", "state", "word",
    "ended", "retry_after", "intent", "fingerprint", "shown_cost", "leaks", "range", "fault",
)  # fmt: skip


async def handle(provider: Provider, request: Request) -> Reply:
    """Answer one request. Never raises for what a client sends."""
    world, watch = provider.world, provider.settings.watch
    began = 0.0 if watch is None else precise_s()
    mark = "" if world.tape is None else world.tape.request(provider.name, request)
    moment = await world.arrive(mark)
    number = world.requests
    written = None if world.kept is None else world.kept.written
    filed = await _file(provider, request, moment, mark) if provider.compiled.files.serves(request.origin) else None
    reply, does, faults = filed or await _operate(provider, request, moment)
    leaks = "key" if filed and key_of(provider.contract.auth, request)[0] else ""
    ranged = (header_of(request, b"range") or "")[:_MAX_RANGE] if filed else ""
    if world.tape is not None and (turn := world.tape.turn(mark)) is not None:
        await turn
    ended = world.clock.now()
    world.journal.add(
        moment,
        "request",
        _JOURNAL,
        (
            provider.name, reply.operation, does, request.method, request.path, reply.status, reply.job, reply.cause,
            reply.key, number, reply.state, reply.word, None if ended == moment else ended, reply.retry_after,
            reply.intent, reply.fingerprint, reply.shown_cost, leaks, ranged, names_of(faults) if faults else "",
        ),
    )  # fmt: skip
    world.answered += 1
    if world.kept is not None and world.kept.written != written:
        try:
            await world.keep(state_of(world))  # nothing is acknowledged that the end of the process could undo
        except StoreError:
            reply = of_our_own(503, "the store keeps nothing more")
    if watch is not None:
        watch.request(provider, request, reply, does=does, began=began)
    if reply.cause and filed is None:
        _keep_refused(provider, request, denied_of(provider, request, reply))
    return reply


def _keep_refused(provider: Provider, request: Request, denied: Denied | None = None) -> None:
    body = request.body[:_MAX_KEPT]
    kept = Refused(provider.name, request.origin, request.method, request.path, body, denied)
    provider.world.refused.append(kept)


async def _file(
    provider: Provider, request: Request, moment: int, mark: str
) -> tuple[Reply, str, Sequence[Fault]] | None:
    is_file = provider.world.scripted is not None and any(provider.compiled.files.find(request.origin, request.path))
    faults = await faults_of(provider, request, None, does="file") if is_file else ()
    reply = before(provider, None, faults, does="file") if faults else None
    reply = reply or await serve_file(provider, request, moment)
    if reply is None:
        return None
    if faults and provider.world.tape is not None:
        await provider.world.turn(mark, is_last=False)  # the picture took its time, and a fault may ask for the moment
    return (await after(provider, reply, faults) if faults else reply), "file", faults


async def _operate(provider: Provider, request: Request, moment: int) -> tuple[Reply, str, Sequence[Fault]]:
    router = provider.compiled.routers.get(request.origin)
    match = router.match(request.method, request.path) if router else None
    if match is None or not match.operations:
        return await _strayed(provider, request, match, moment)
    request.params = match.params
    operation = match.operations[0] if len(match.operations) == 1 else _fitting(match.operations, request)
    call = Call(request, operation, moment, provider.world.requests)
    faults: Sequence[Fault] = ()
    if provider.world.scripted is not None:
        faults = await faults_of(provider, request, call, does=operation.kind)
        if operation.kind == "submit":
            move_account(provider, call)
    try:
        reply = before(provider, call, faults, does=operation.kind) if faults else None
        reply = reply or await _checked(provider, call)
        if call.failure and not reply.cause:
            _keep_refused(provider, request)  # taken, and its job fails for what it asks
        if faults:
            reply = await after(provider, reply, faults)
    finally:
        for limit, caller in call.held:
            await provider.store.release(provider.contract.limits[limit], caller)
    if operation.kind == "submit" and not call.fingerprint and reply.status >= 400:
        call.fingerprint = request_print(request)  # so that a refused request can be known again
    if reply.key != call.key or call.intent or call.fingerprint:
        reply.key, reply.intent, reply.fingerprint = call.key, call.intent, call.fingerprint
    return reply, operation.kind, faults


async def _checked(provider: Provider, call: Call) -> Reply:
    for check in provider.checks[call.operation.name]:
        verdict = check(provider, call)
        if verdict is None:
            continue
        rejection = verdict if isinstance(verdict, Rejection) else await verdict
        if rejection is not None:
            return provider.refuse(call, rejection)
    return await KINDS[call.operation.kind](provider, call)


async def _strayed(
    provider: Provider, request: Request, match: Match | None, moment: int
) -> tuple[Reply, str, Sequence[Fault]]:
    """Answer a path or a method that is none of the provider's."""
    is_scripted = provider.world.scripted is not None
    faults = await faults_of(provider, request, None, does="unknown") if is_scripted else ()
    reply = before(provider, None, faults, does="unknown") if faults else None
    reply = reply or _unrouted(provider, match, moment, request.origin)
    return (await after(provider, reply, faults) if faults else reply), "unknown", faults


def _unrouted(provider: Provider, match: Match | None, moment: int, origin: str) -> Reply:
    scope = RequestScope(provider, None, moment=moment)
    if match is None:
        # A host that serves nothing but files speaks for itself, whatever the path.
        is_store = provider.compiled.files.serves(origin) and origin != provider.contract.api.name
        cause = "url_unknown" if is_store and "url_unknown" in provider.contract.errors else "path_unknown"
        return provider.refuse(None, Rejection(cause), scope)
    reply = provider.refuse(None, Rejection("method_unknown"), scope)
    if reply.status == 405:
        reply.headers.append((b"allow", ", ".join(match.methods).encode()))
    return reply


def _fitting(operations: list[Operation], request: Request) -> Operation:
    """Choose by body among operations that share a route; the last one serves when none fits."""
    try:
        body = parse_json(request.body) if request.body else None
    except JsonRefusedError:
        body = None
    for operation in operations:
        if all(str(at_pointer(body, pointer)) in values for pointer, values in operation.when):
            return operation
    return operations[-1]
