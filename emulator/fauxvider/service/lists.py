"""Views, the catalogue, lists of jobs, callback history, signing secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Page, SecretRules
from fauxvider.engine.callbacks import delivery_state
from fauxvider.engine.facts import Record, Secret
from fauxvider.engine.listing import FilterError, cursor_text, parse_filter, read_cursor, sort_key
from fauxvider.engine.timeline import snapshot_at
from fauxvider.errors import UsageError
from fauxvider.gate import parse_query
from fauxvider.service import deliveries
from fauxvider.service.jobs import find, is_at, missing
from fauxvider.service.secrets import current_secret, known_secrets, secret_scope
from fauxvider.service.wire import Rejection, Reply

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = [
    "catalogue", "history", "listing", "redeliver", "secret_create", "secret_delete", "secret_list", "secret_read",
    "secret_update", "view",
]  # fmt: skip


async def view(provider: Provider, call: Call) -> Reply:
    return provider.answer(call, "ok", provider.scope(call))


async def catalogue(provider: Provider, call: Call) -> Reply:
    """List the models that the operation's `where` lets through."""
    scope = provider.scope(call)
    wanted = [(path, template(scope)) for path, template in call.operation.where]
    rows = [
        row
        for row in provider.compiled.model_scopes.values()
        if all(value is not None and is_at(row, path, value) for path, value in wanted)
    ]
    scope["models"] = rows
    return provider.answer(call, "ok", scope)


async def listing(provider: Provider, call: Call) -> Reply:
    """List jobs: filtered, sorted, in pages."""
    page = call.operation.page or Page()
    query = parse_query(call.request.query)
    limit = _limit(page, query)
    if isinstance(limit, Rejection):
        return provider.refuse(call, limit)
    rows = await _rows(provider, call)
    newest, offset = max((number for number, _ in rows), default=0), 0
    if cursor := query.get(page.cursor):
        found = read_cursor(cursor)
        if found is None:
            return provider.refuse(call, _bad(page.cursor, cursor, "not a cursor of this list"))
        newest, offset = found
    kept = [row for number, row in rows if number <= newest]
    try:
        kept = _sorted(_filtered(kept, page, query), page, query)
    except FilterError as problem:
        return provider.refuse(call, _bad(page.filter, query.get(page.filter), str(problem)))
    scope = provider.scope(call)
    scope["page"] = {
        "items": kept[offset : offset + limit],
        "first": cursor_text(newest, 0) if offset else None,
        "next": cursor_text(newest, offset + limit) if offset + limit < len(kept) else None,
        "previous": cursor_text(newest, max(0, offset - limit)) if offset else None,
        "total": len(kept),
        "limit": limit,
    }
    return provider.answer(call, "ok", scope)


async def _rows(provider: Provider, call: Call) -> list[tuple[int, Mapping[str, Any]]]:
    item = call.operation.item
    rows = []
    async for record in provider.store.records():
        life = provider.life(record)
        if life.gone is not None and call.moment >= life.gone:
            continue
        if call.model is not None and record.job.model != call.model.name:
            continue
        scope = provider.job_scope(record, moment=call.moment, site=call.request.site, call=call, life=life)
        rows.append((record.job.number, item(scope) if item else {"id": record.job.id}))
    return rows


def _limit(page: Page, query: Mapping[str, str]) -> int | Rejection:
    asked = query.get(page.limit)
    if asked is None:
        return page.default
    if asked.isascii() and asked.isdigit() and len(asked) < 9 and page.low <= int(asked) <= page.high:
        return int(asked)
    return _bad(page.limit, asked, f"must be a number from {page.low} to {page.high}", low=page.low, high=page.high)


def _bad(name: str, value: Any, text: str, *, low: int | None = None, high: int | None = None) -> Rejection:
    issue = {
        "path": f"query.{name}", "pointer": f"/query/{name}", "field": name, "keyword": "query", "limit": high,
        "low": low, "high": high, "value": value, "loc": ["query", name], "text": text, "type": "value_error",
    }  # fmt: skip
    return Rejection("param_range", {"issue": issue, "issues": [issue]})


def _filtered(rows: list[Mapping[str, Any]], page: Page, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    text = query.get(page.filter) if page.filter else None
    if not text:
        return rows
    test = parse_filter(text)
    return [row for row in rows if test(row)]


def _sorted(rows: list[Mapping[str, Any]], page: Page, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    text = (query.get(page.sort) if page.sort else None) or page.default_sort
    if not text:
        return rows
    for name, is_down in reversed(sort_key(text, rows[0] if rows else {})):
        # Stable, so that what compares equal keeps newest first.
        rows = sorted(rows, key=_key_of(name), reverse=is_down)
    return rows


def _key_of(name: str) -> Callable[[Mapping[str, Any]], tuple[int, Any]]:
    """Give a sort key that orders nothing first, then numbers, then texts."""

    def key(row: Mapping[str, Any]) -> tuple[int, Any]:
        value = row[name]
        if value is None:
            return (0, 0)
        return (1, value) if isinstance(value, (int, float, Decimal)) else (2, str(value))

    return key


async def history(provider: Provider, call: Call) -> Reply:
    """Show the callback deliveries of a job."""
    record = await find(provider, call)
    if record is None:
        return missing(provider, call)
    return _deliveries_reply(provider, call, record)


def _deliveries_reply(provider: Provider, call: Call, record: Record, delivery_id: str = "") -> Reply:
    scope = provider.job_scope(record, moment=call.moment, site=call.request.site, call=call)
    scope["deliveries"] = deliveries.delivery_scopes(provider, record)
    scope["delivery"] = next((one for one in scope["deliveries"] if one["id"] == delivery_id), None)
    return provider.answer(call, "ok", scope, job=record.job.id)


async def redeliver(provider: Provider, call: Call) -> Reply:
    """Send a finished job's callback once more, with a payload made afresh."""
    record, callbacks = await find(provider, call), provider.contract.callbacks
    if record is None:
        return missing(provider, call)
    is_over = snapshot_at(provider.contract, provider.life(record), record.job, call.moment).is_terminal
    is_busy = callbacks is not None and any(
        delivery_state(callbacks, delivery) == "pending" for delivery in record.deliveries
    )
    if callbacks is None or not is_over or record.job.address is None or is_busy:
        why = "in_flight" if is_busy else "not_terminal" if not is_over else "no_address"
        if "refused" in call.operation.answers:
            return provider.answer(call, "refused", provider.scope(call), job=record.job.id)
        issue = {"text": why, "path": "", "field": "", "keyword": "conflict", "type": "conflict", "loc": []}
        return provider.refuse(call, Rejection("delivery_state", {"issue": issue, "issues": [issue]}))
    made = await deliveries.begin(provider, record, moment=call.moment, automatic=False)
    fresh = await provider.store.record(record.job.id) or record
    return _deliveries_reply(provider, call, fresh, made.id)


def _secret_rules(provider: Provider) -> SecretRules:
    rules = provider.contract.secrets
    if rules is None:
        raise UsageError(f"the contract {provider.name} has operations on secrets but no secrets section")
    return rules


def _secret_reply(provider: Provider, call: Call, secret: Secret) -> Reply:
    scope = provider.scope(call)
    scope["secret"] = secret_scope(provider, secret)
    scope["mint"] = provider.mints(moment=secret.created, secret=secret.number, request=call.number, key=call.key)
    return provider.answer(call, "ok", scope)


async def _secret(provider: Provider, call: Call) -> Secret | None:
    template = call.operation.secret
    if template is None:
        return await current_secret(provider)
    name = str(template(provider.scope(call)))
    return next((secret for secret in await known_secrets(provider) if secret.id == name), None)


def _no_secret(provider: Provider, call: Call) -> Reply:
    if "missing" in call.operation.answers:
        return provider.answer(call, "missing", provider.scope(call))
    return provider.refuse(call, Rejection("secret_unknown"))


async def secret_create(provider: Provider, call: Call) -> Reply:
    rules = _secret_rules(provider)
    number = await provider.store.next_number("secret")
    known = await known_secrets(provider)
    is_first = not any(secret.current and not secret.disabled for secret in known)
    label = call.given("label")
    secret = Secret(
        id=provider.mint.value(provider.contract.ids[rules.id], number, moment=call.moment),
        number=number,
        value=provider.mint.pattern("secret", rules.value, number, moment=call.moment),
        label=label if isinstance(label, str) else "",
        created=call.moment,
        updated=call.moment,
        current=is_first and rules.first_is_current,
    )
    await provider.store.put_secret(secret)
    return _secret_reply(provider, call, secret)


async def secret_read(provider: Provider, call: Call) -> Reply:
    secret = await _secret(provider, call)
    return _no_secret(provider, call) if secret is None else _secret_reply(provider, call, secret)


async def secret_list(provider: Provider, call: Call) -> Reply:
    scope = provider.scope(call)
    scope["secrets"] = [secret_scope(provider, secret) for secret in await known_secrets(provider)]
    return provider.answer(call, "ok", scope)


async def secret_update(provider: Provider, call: Call) -> Reply:
    """Rename a secret, or make it the current one (the others then are not)."""
    secret = await _secret(provider, call)
    if secret is None:
        return _no_secret(provider, call)
    label, current = call.given("label"), call.given("current")
    if current is True:
        for other in await known_secrets(provider):
            if other.current and other.id != secret.id:
                await provider.store.put_secret(replace(other, current=False, updated=call.moment))
    secret = replace(
        secret,
        label=label if isinstance(label, str) else secret.label,
        current=current if isinstance(current, bool) else secret.current,
        updated=call.moment,
    )
    await provider.store.put_secret(secret)
    return _secret_reply(provider, call, secret)


async def secret_delete(provider: Provider, call: Call) -> Reply:
    """Disable a secret: it signs no more, and deliveries that it signed still name it."""
    secret = await _secret(provider, call)
    if secret is None:
        return _no_secret(provider, call)
    secret = replace(secret, disabled=call.moment, current=False, updated=call.moment)
    await provider.store.put_secret(secret)
    return _secret_reply(provider, call, secret)
