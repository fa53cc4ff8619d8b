"""The checks that a request passes, by name; a contract gives their order, and the first that fails decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from fauxvider.contract.model import Contract, Idempotency, Operation
from fauxvider.contract.templates import text_of
from fauxvider.engine.facts import ApiKey
from fauxvider.engine.plan import at_pointer
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.service import references
from fauxvider.service.acceptance import prepare, request_print
from fauxvider.service.scopes import issue_scope
from fauxvider.service.wire import Rejection, header_of, key_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["CHECKS", "Check", "Verdict", "cause_of", "checks_of", "key_of"]

# A check that must look something up gives an awaitable; the others answer at once.
Verdict = Rejection | None
Check = Callable[["Provider", "Call"], Verdict | Awaitable[Verdict]]

_KEY_CAUSES = {"deleted": "auth_deleted", "inactive": "auth_inactive"}
_CAUSES = {
    "required": "param_missing",
    "type": "param_type",
    "enum": "param_enum",
    "const": "param_enum",
    "additionalProperties": "param_unknown",
    "unevaluatedProperties": "param_unknown",
    "minimum": "param_range",
    "maximum": "param_range",
    "exclusiveMinimum": "param_range",
    "exclusiveMaximum": "param_range",
    "multipleOf": "param_range",
    "minLength": "param_range",
    "maxLength": "param_range",
    "minItems": "param_range",
    "maxItems": "param_range",
}


def cause_of(keyword: str) -> str:
    """Name the cause of a refusal by the schema's keyword that a body breaks."""
    return _CAUSES.get(keyword, "param_invalid")


def check_auth(provider: Provider, call: Call) -> Rejection | None:
    key, is_present = key_of(provider.contract.auth, call.request)
    if not key:
        return Rejection("auth_unknown" if is_present else "auth_missing")
    call.key = provider.world.print_of(key)
    known = provider.world.keys
    if not known:
        return None
    entry = known.get(key)
    if entry is None:
        return Rejection("auth_unknown")
    call.key_name = entry.name
    if entry.state in _KEY_CAUSES:
        return Rejection(_KEY_CAUSES[entry.state])
    return None


def check_scope(provider: Provider, call: Call) -> Rejection | None:
    if not call.operation.scope or not provider.world.keys:
        return None
    entry = provider.world.keys.get(key_of(provider.contract.auth, call.request)[0])
    if entry is None or entry.scopes is None or call.operation.scope in entry.scopes:
        return None
    return Rejection("scope_missing", {"scope": call.operation.scope})


def check_model(provider: Provider, call: Call) -> Rejection | None:
    if not call.operation.model:
        return None
    scope = provider.scope(call)
    key = tuple([text_of(part(scope)) for part in call.operation.model])
    call.model = provider.compiled.models.get(key)
    if call.model is None:
        is_known_type = len(key) < 2 or key[0] in provider.compiled.first_keys
        return Rejection("model_unknown" if is_known_type else "type_unknown", {"asked": list(key)})
    if not call.model.active:
        return Rejection("model_disabled", {"asked": list(key)})
    return None


def check_owner(_provider: Provider, call: Call) -> Rejection | None:
    if call.operation.owner and not (call.model and call.model.facts.get("owned")):
        return Rejection("owner_only")
    return None


def check_rate(provider: Provider, call: Call) -> Awaitable[Verdict] | None:
    return _taken(provider, call) if provider.limits else None


async def _taken(provider: Provider, call: Call) -> Rejection | None:
    """Count a request against the limits of its operation, until one is full."""
    for name in call.operation.limits:
        if name not in provider.limits:
            continue
        limit = provider.contract.limits[name]
        caller = "|".join([part(call) for part in _caller_parts(limit.per)])
        verdict = await provider.store.take(limit, caller, call.moment, count=provider.limits[name])
        if call.verdict is None or limit.headers:  # an answer tells of the limit that has something to tell
            call.verdict = (name, verdict)
        if verdict.wait:
            return Rejection("rate", {"retry_after": -(-verdict.wait // 1000), "limit": {"count": verdict.count}})
        if limit.kind == "in_flight":
            call.held.append((name, caller))
    return None


_CALLER: Mapping[str, Callable[[Call], str]] = {
    "key": lambda call: call.key,
    "model": lambda call: call.model.name if call.model else "",
    "operation": lambda call: call.operation.name,
    "path": lambda call: call.request.path,
}


@cache
def _caller_parts(per: tuple[str, ...]) -> tuple[Callable[[Call], str], ...]:
    """Give what tells by whom (and for what) something is counted, part by part as a contract names them."""
    return tuple(_CALLER.get(part) or _path_part(part.removeprefix("path.")) for part in per)


def _path_part(name: str) -> Callable[[Call], str]:
    return lambda call: call.request.params.get(name, "")


def check_size(_provider: Provider, call: Call) -> Rejection | None:
    limit = call.operation.max_body
    if call.request.over_size or len(call.request.body) > limit:
        return Rejection("body_too_large", {"limit": {"count": limit}, "size": len(call.request.body)})
    return None


def check_parse(_provider: Provider, call: Call) -> Rejection | None:
    operation, request = call.operation, call.request
    if operation.body == "none":
        return None
    if header_of(request, b"content-encoding") not in (None, "", "identity"):
        return Rejection("media_type", {"issue": {"text": "compressed request bodies are not accepted"}})
    if operation.body != "json":
        return None
    if not request.body.strip() and operation.body_optional:
        call.body = {}
    else:
        try:
            call.body = parse_json(request.body) if request.tree is None else request.tree
        except JsonRefusedError as refused:
            return Rejection("body_malformed", {"issue": {"text": str(refused)}})
        if not isinstance(call.body, dict):
            return Rejection("body_malformed", {"issue": {"text": "the body must be a JSON object"}})
    call.input = at_pointer(call.body, operation.input) if operation.input else call.body
    return None


def check_idempotency(provider: Provider, call: Call) -> Awaitable[Verdict] | None:
    rules = provider.contract.idempotency
    key = header_of(call.request, rules.header.lower().encode("latin-1")) if rules else None
    return _repeated(provider, call, rules, key) if rules and key else None


async def _repeated(provider: Provider, call: Call, rules: Idempotency, key: str) -> Rejection | None:
    """Find the job that a request with this key has led to, if there is one."""
    call.intent = "|".join([*[part(call) for part in _caller_parts(rules.per)], provider.world.print_of(key)])
    record = await provider.store.record_by_intent(call.intent)
    if record is None or record.job.accepted + rules.window <= call.moment:
        return None
    if record.job.fingerprint != request_print(call.request):
        return Rejection("conflict")
    call.replay = record
    return None


def check_schema(provider: Provider, call: Call) -> Rejection | None:
    operation = call.operation
    validators = operation.validators
    validator = validators.get(call.model.name if call.model else "") if validators else None
    if validator is None or call.replay is not None:
        return None
    is_empty = bool(operation.on_empty) and not call.input
    if not is_empty and validator.is_valid(call.body):
        return None
    found = validator.issues(call.body)
    is_in_input = all(tuple(map(str, issue.path[: len(operation.input)])) == operation.input for issue in found)
    if is_empty and is_in_input:
        call.failure, call.detail = operation.on_empty, "the input is empty"
        return None
    if not found:
        return None
    issues = [issue_scope(provider.contract, issue) for issue in found]
    cause = cause_of(issues[0]["keyword"])
    if operation.on_invalid and is_in_input:
        call.failure, call.detail = operation.on_invalid, str(issues[0]["text"])
        return None
    return Rejection(cause, {"issue": issues[0], "issues": issues})


def check_references(provider: Provider, call: Call) -> Awaitable[Verdict] | None:
    return references.check(provider, call) if call.replay is None and not call.failure else None


def check_funds(provider: Provider, call: Call) -> Awaitable[Verdict] | None:
    if call.replay is not None:
        return None
    entry = provider.world.keys.get(key_of(provider.contract.auth, call.request)[0]) if provider.world.keys else None
    if provider.contract.account.funds == "off" and (entry is None or entry.state != "unfunded"):
        return None
    return _covered(provider, call, entry)


async def _covered(provider: Provider, call: Call, entry: ApiKey | None) -> Rejection | None:
    """Refuse a job that the account cannot pay."""
    rule = provider.contract.account.funds
    prepared = await prepare(provider, call)
    if isinstance(prepared, Rejection):
        return prepared
    price, balance = prepared.price, provider.balance
    is_short = (rule == "covers" and balance < price) or (rule == "positive" and balance <= 0)
    if is_short or (entry is not None and entry.state == "unfunded"):
        return Rejection("funds", {"cost": price, "account": provider.account_scope(None)})
    return None


def checks_of(contract: Contract, operation: Operation) -> tuple[Check, ...]:
    """Give the checks that an operation can fail, in the contract's order."""
    is_submit = operation.kind == "submit"
    needed = {
        "model": bool(operation.model),
        "scope": bool(operation.scope),
        "owner": operation.owner,
        "rate": bool(operation.limits),
        "parse": operation.body != "none",
        "idempotency": is_submit and contract.idempotency is not None,
        "schema": bool(operation.validators),
        "references": is_submit and contract.assets is not None,
        "funds": is_submit,
    }
    return tuple(CHECKS[name] for name in operation.checks if needed.get(name, True))


CHECKS: Mapping[str, Check] = {
    "auth": check_auth,
    "scope": check_scope,
    "model": check_model,
    "owner": check_owner,
    "rate": check_rate,
    "size": check_size,
    "parse": check_parse,
    "idempotency": check_idempotency,
    "schema": check_schema,
    "references": check_references,
    "funds": check_funds,
}
