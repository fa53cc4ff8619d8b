"""Cases of everything around jobs: lists, counts, catalogues, uploads, idempotency, limits, visibility."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fauxvider.contract.model import Limit, Model, Operation, Url
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_requests import any_call
from fauxvider.toolkit.verify.jobs import Watch, start, submissions
from fauxvider.toolkit.verify.names import MOMENT, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError, picture_bytes
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, Listed, Match, Maybe, Want, match

__all__ = ["more_cases"]

_COUNT = Like("integer", says="a count")
_MAX_TRIES = 4_000
_BOUNDARY = "fauxvider-verify-boundary"


def more_cases(session: Session) -> Iterator[Case]:
    for operation in session.contract.operations.values():
        at = f"/operations/{operation.name}"
        if operation.kind in ("view", "models"):
            yield Case(f"{operation.name}: what it shows", at, partial(_view, operation=operation))
        elif operation.kind in ("counts", "purge") and not operation.owner:
            yield Case(f"{operation.name}: what it counts", at, partial(_counts, operation=operation), ("control",))
        elif operation.kind in ("counts", "purge"):
            yield Case(f"{operation.name} of one's own model", at, partial(_counts, operation=operation), ("control",))
            yield Case(f"{operation.name} of a model of somebody else", f"{at}/owner", partial(_not_owned, operation=operation))
        elif operation.kind in ("asset_upload", "asset_session"):
            yield Case(f"{operation.name}: an upload", at, partial(_upload, operation=operation), ("control",))
        elif operation.kind in ("asset_read", "asset_confirm"):
            yield Case(f"{operation.name} of an asset that does not exist", f"{at}/answers/missing",
                       partial(_no_asset, operation=operation))  # fmt: skip
    yield from _job_cases(session)
    for name, limit in session.contract.limits.items():
        yield Case(f"the limit {name}", f"/limits/{name}", partial(_limit, limit=limit), ("limits",))


def _job_cases(session: Session) -> Iterator[Case]:
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if found is None:
        return
    operation, model = found
    about = {"operation": operation.name, "model": model}
    price = session.price_of(start(session, operation, model)[0])
    for one in session.model_operations("list"):
        yield Case(f"{one.name}: the jobs of a world", f"/operations/{one.name}", partial(_list, asked=one, **about),
                   ("control",), price)  # fmt: skip
    if session.contract.idempotency is not None:
        yield Case("the same idempotency key twice", "/idempotency", partial(_idempotency, **about), (), price)
        yield Case("an idempotency key after its window", "/idempotency/window", partial(_window, **about), ("control",), price)
    if session.contract.visible_after:
        yield Case("a job that is too fresh to be known", "/lifecycle/visible_after", partial(_visible, **about), ("control",), price)
    if session.contract.assets is not None and session.contract.assets.required:
        yield Case(f"{operation.name} with an asset that does not exist", "/assets/references",
                   partial(_no_reference, **about))  # fmt: skip


# --- what is shown


def _rows(session: Session, call: Call) -> list[Any]:
    """Give the models that a catalogue lists, as its `where` picks them."""
    rows = []
    where = session.tree["operations"][call.operation.name].get("where", {})
    scope = session.scope(call)
    wanted = {path: session.names.reader.want(raw, "", scope) for path, raw in where.items()}
    for model in session.contract.models.values():
        row = session.names.model(model)
        if all(_has(row, path.split("."), want) for path, want in wanted.items()):
            rows.append(row)
    return rows


def _has(row: Any, path: list[str], want: Want) -> bool:
    for name in path:
        row = row.value if isinstance(row, Exactly) else row
        row = row.get(name) if isinstance(row, Mapping) else None
    row = row.value if isinstance(row, Exactly) else row
    value = want.value if isinstance(want, Exactly) else None
    return value is not None and (value in row if isinstance(row, list) else row == value)


def _view(session: Session, operation: Operation) -> None:
    calls = [any_call(session, operation)]
    where = session.tree["operations"][operation.name].get("where", {})
    for path in where:
        # A list that is filtered is asked for with the first value that some model has.
        values = [_first_fact(model, path) for model in session.contract.models.values()]
        name = path.rpartition(".")[2]
        calls += [session.samples.call(operation, query={name: value}) for value in dict.fromkeys(values) if value]
    for call in calls:
        scope = session.scope(call)
        scope["models"] = _rows(session, call)
        session.expect(call, "ok", scope=scope)


def _first_fact(model: Model, path: str) -> str:
    row: Any = {"facts": model.facts, "name": model.name}
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row if isinstance(row, str) else ""


def _counts(session: Session, operation: Operation) -> None:
    owned = [one for one in session.contract.models.values() if one.active and (not operation.owner or one.facts.get("owned"))]
    if operation.model and not owned:
        raise NotAskedError("the contract has no model of one's own")
    call = session.samples.call(operation, owned[0] if operation.model else None)
    scope = session.scope(call)
    states = ("queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
    scope["counts"] = {name: Exactly(0) for name in (*states, "retried", "total", "removed")}
    session.expect(call, "ok", scope=scope)


def _not_owned(session: Session, operation: Operation) -> None:
    others = [one for one in session.contract.models.values() if one.active and not one.facts.get("owned")]
    if not others:
        raise NotAskedError("every model of the contract is one's own")
    session.expect_error(session.samples.call(operation, others[0]), "owner_only")


def _list(session: Session, operation: str, model: str, asked: Operation) -> None:
    submit = session.contract.operations[operation]
    call, run = start(session, submit, model)
    state = session.submit(call, run)
    view = session.tree["operations"][asked.name]["item"]
    listing = session.samples.call(asked)
    names = session.names.job(session.scope(listing), run, state)
    item = session.names.reader.want({"$view": view}, f"/operations/{asked.name}/item", names)
    scope = session.scope(listing)
    scope["page"] = {"items": Listed([item]), "first": None, "next": None, "previous": None, "total": Exactly(1)}
    session.expect(listing, "ok", scope=scope)
    page = asked.page
    if page is not None:
        listing.query = {page.limit: str(page.high + 1)}
        text = f"must be a number from {page.low} to {page.high}"
        issue = {"path": f"query.{page.limit}", "pointer": f"/query/{page.limit}", "field": page.limit, "keyword": "query",
                 "limit": page.high, "low": page.low, "high": page.high, "value": str(page.high + 1),
                 "loc": ["query", page.limit], "text": Exactly(text, f"/operations/{asked.name}/page/limit"),
                 "type": "value_error"}  # fmt: skip
        session.expect_error(listing, "param_range", scope={**session.scope(listing), "issue": issue, "issues": [issue]})


# --- uploads


def _asset(session: Session, name: str, media_type: str, size: int, *, confirmed: bool = False) -> dict[str, Any]:
    rules = session.contract.assets
    if rules is None:
        raise NotAskedError("the contract has no assets")
    ids = session.contract.ids[rules.id]
    asset: dict[str, Any] = {
        "id": Like("text", id_pattern(ids.tokens), "an id", f"/ids/{rules.id}", capture="asset.id"),
        "name": name, "media_type": media_type, "size": size, "created": MOMENT,
        "confirmed": MOMENT if confirmed else Maybe(MOMENT), "label": Like("text"),
        "width": Maybe(_COUNT), "height": Maybe(_COUNT), "etag": Like("text", "[0-9a-f]{32}"),
        "md5": Like("text", "[0-9a-f]{32}"),
    }  # fmt: skip
    raw = session.tree["assets"].get("key")
    scope: dict[str, Any] = {"asset": asset, "now": MOMENT, "mint": session.names.mint,
                             "upload": {"name": name, "media_type": media_type, "size": size}}  # fmt: skip
    asset["key"] = session.names.reader.want(raw, "/assets/key", scope) if raw is not None else ""
    for word, serves in (("url", "asset"), ("upload_url", "upload")):
        url = next((one for one in session.contract.urls.values() if one.serves == serves), None)
        if url is not None:
            asset[word] = session.names.url(url, scope, f"asset.{word}")
            if serves == "asset":
                asset["location"] = session.names.url(url, scope, "asset.location", is_bare=True)
    return asset


def _upload(session: Session, operation: Operation) -> None:
    data = picture_bytes()
    call = session.samples.call(operation)
    asset = _asset(session, "picture.png", "image/png", len(data))
    if operation.kind == "asset_upload":
        head = (f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{operation.part}"; filename="picture.png"\r\n'
                "content-type: image/png\r\n\r\n")  # fmt: skip
        call.data = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
        call.headers["content-type"] = f"multipart/form-data; boundary={_BOUNDARY}"
    else:
        given = {"name": "picture.png", "media_type": "image/png", "size": len(data)}
        for name, pointer in operation.fields.items():
            if pointer and name in given:
                call.body[pointer[-1]] = given[name]
    found = session.expect(call, "ok", scope={**session.scope(call), "asset": asset})
    if operation.kind == "asset_session":
        _confirm(session, found, data)


def _confirm(session: Session, found: Match, data: bytes) -> None:
    """Look before the bytes are there, send them, confirm, read."""
    asset_id = str(found.captured.get("asset.id", ""))
    confirms, reads = session.model_operations("asset_confirm"), session.model_operations("asset_read")
    if not asset_id or not confirms:
        raise NotAskedError("the upload shows no id")
    call = _asset_call(session, confirms[0], asset_id)
    if "pending" in session.tree["operations"][confirms[0].name]["answers"]:
        session.expect(call, "pending")
    address = str(found.captured.get("asset.upload_url", ""))
    if not address:
        raise NotAskedError("the upload shows no address")
    _signed(session, "upload", address)
    sent = session.client.send("PUT", address, headers={"content-type": "image/png"}, body=data)
    if sent.status not in (200, 201, 204):
        session.fail("/urls/upload", "status", "200", str(sent.status), sent.status)
        return
    asset = {**_asset(session, "picture.png", "image/png", len(data), confirmed=True), "id": asset_id}
    session.expect(call, "ok", scope={**session.scope(call), "asset": asset})
    for operation in reads:
        read = _asset_call(session, operation, asset_id)
        shown = session.expect(read, "ok", scope={**session.scope(read), "asset": asset})
        url = str(shown.captured.get("asset.url", ""))
        if url:
            _signed(session, "asset", url)
            got = session.client.send("GET", url)
            if got.body != data:
                session.fail("/urls/asset", "the file", f"{len(data)} bytes as uploaded", f"{got.status}, {len(got.body)} bytes")


def _signed(session: Session, serves: str, address: str) -> None:
    from fauxvider.toolkit.verify.cases_files import check_query

    url: Url | None = next((one for one in session.contract.urls.values() if one.serves == serves), None)
    if url is not None:
        check_query(session, url, address)


def _asset_call(session: Session, operation: Operation, asset: str) -> Call:
    call = session.samples.call(operation)
    raw = str(session.tree["operations"][operation.name].get("asset", ""))
    call.params[raw.strip("{}").split(".")[1]] = asset
    return call


def _no_asset(session: Session, operation: Operation) -> None:
    call = _asset_call(session, operation, "00000000-0000-4000-8000-000000000000")
    if "missing" in session.tree["operations"][operation.name]["answers"]:
        session.expect(call, "missing")
    else:
        session.expect_error(call, "asset_missing")


def _no_reference(session: Session, operation: str, model: str) -> None:
    """Name an asset that nobody has uploaded."""
    submit, rules = session.contract.operations[operation], session.contract.assets
    call, _ = start(session, submit, model)
    name = next((one for one in call.given if one in session.samples.references), None)
    if name is None or rules is None:
        raise NotAskedError("the model's least input names no asset")
    value = f"{rules.prefix}00000000-0000-4000-8000-000000000000"
    given = {**call.given, name: [value] if isinstance(call.given[name], list) else value}
    call = session.samples.call(submit, session.contract.models[model], given)
    issue = {"text": Exactly(f"there is no asset {value}"), "value": value, "keyword": "asset", "loc": ["body"],
             "field": None, "path": None, "type": None}  # fmt: skip
    session.expect_error(call, "asset_unknown", scope={**session.scope(call), "issue": issue, "issues": [issue]})


# --- idempotency, visibility


def _keyed(session: Session, operation: str, model: str, key: str) -> Any:
    rules = session.contract.idempotency
    if rules is None:
        raise NotAskedError("the contract has no idempotency keys")
    call, run = start(session, session.contract.operations[operation], model)
    call.headers[rules.header] = key
    return call, run


def _idempotency(session: Session, operation: str, model: str) -> None:
    key = f"verify-{session.client.sent}-{id(session)}"
    call, run = _keyed(session, operation, model, key)
    session.submit(call, run)
    first, again = run.id, session.send(call)
    state, found = session.job_view(again, call, run, session.first_states(call, run),
                                    "replayed" if "replayed" in call.operation.answers else "")  # fmt: skip
    del state
    if any(one.rule == f"/ids/{run.operation.id}" for one in found.mismatches):
        session.fail("/idempotency", "the second answer", f"the job {first}", "another job")
    else:
        session.note(found)
    call.body = {**call.body, "metadata": {"another": "body"}}
    session.expect_error(call, "conflict")


def _window(session: Session, operation: str, model: str) -> None:
    rules = session.contract.idempotency
    call, run = _keyed(session, operation, model, "verify-window")
    session.submit(call, run)
    if session.world is None or rules is None:
        raise NotAskedError("it needs a clock that can be moved (--control)")
    born = session.world.now()
    for moment, is_same in ((born + rules.window - 10, True), (born + rules.window + 10, False)):
        session.world.advance_to(moment)
        text = session.send(call).body.decode("utf-8", "replace")
        if (run.id in text) is not is_same:
            wanted = "the job of the first" if is_same else "another job"
            session.fail("/idempotency/window", f"{moment - born} ms after the first", wanted, "not so")
            return


def _visible(session: Session, operation: str, model: str) -> None:
    call, run = start(session, session.contract.operations[operation], model)
    session.submit(call, run)
    watch, span = Watch(session, call, run), session.contract.visible_after
    watch.to(span - 3)
    if (state := watch.look()) is not None:
        session.fail("/lifecycle/visible_after", f"{span - 2} ms after acceptance", "an unknown job", state.word)
    watch.to(span + 2)
    if watch.look() is None:
        session.fail("/lifecycle/visible_after", f"{span + 3} ms after acceptance", "a known job", "an unknown job")


# --- limits


def _limit(session: Session, limit: Limit) -> None:
    """Ask one time more often than the contract allows, with requests that cost nothing."""
    if limit.kind == "in_flight":
        raise NotAskedError("it takes many calls that are held at once")
    if limit.count > _MAX_TRIES:
        raise NotAskedError(f"{limit.count} requests are too many")
    call = _cheap(session, limit)
    for number in range(limit.count):
        answer = session.send(call)
        if number == 0:
            _limit_headers(session, limit, answer)
        if answer.status == session.error("rate", _rate(session, call, limit)).status:
            session.fail(f"/limits/{limit.name}/count", "requests", f"{limit.count} are let through", f"{number} are", number)
            return
    answer = session.send(call)
    found = session.compare(answer, session.error("rate", _rate(session, call, limit)))
    if found.mismatches and found.mismatches[0].place == "status":
        more = _how_many(session, call, limit, answer.status)
        session.fail(f"/limits/{limit.name}/count", "requests", f"{limit.count} are let through", f"{more or 'many more'} are", more)
        return
    session.note(found)
    if session.world is not None:
        session.world.advance(limit.window + 1)
        if session.send(call).status == answer.status:
            session.fail(f"/limits/{limit.name}/window", "requests", f"again after {limit.window} ms", "still refused")


def _how_many(session: Session, call: Call, limit: Limit, usual: int) -> int | None:
    """Go on until the limit is met, if it is near."""
    for number in range(limit.count + 1, min(_MAX_TRIES, limit.count * 3 + 50)):
        if session.send(call).status != usual:
            return number
    return None


def _rate(session: Session, call: Call, limit: Limit) -> dict[str, Any]:
    return {**session.scope(call), "retry_after": Like("integer", rule=f"/limits/{limit.name}/window"),
            "limit": {"count": Exactly(limit.count, f"/limits/{limit.name}/count")}}  # fmt: skip


def _cheap(session: Session, limit: Limit) -> Call:
    """Give a request that this limit alone counts first, and that makes no job."""
    order = {"read": 0, "view": 0, "models": 0, "list": 0, "counts": 1, "cancel": 1, "purge": 1, "submit": 3}
    users = [one for one in session.contract.operations.values() if limit.name in one.limits]
    for operation in sorted(users, key=lambda one: order.get(one.kind, 2)):
        others = [session.contract.limits[name] for name in operation.limits if name != limit.name and name in session.contract.limits]
        if any(other.kind != "in_flight" and other.count <= limit.count and other.window >= limit.window for other in others):
            continue
        if operation.owner:
            owned = [one for one in session.contract.models.values() if one.facts.get("owned")]
            if owned:
                return session.samples.call(operation, owned[0])
            continue
        try:
            call = any_call(session, operation)
        except NotAskedError:
            continue
        if operation.kind == "submit":
            call.data = b"{"  # counted, and then refused as no JSON
        return call
    raise NotAskedError("no request that costs nothing is counted by this limit")


def _limit_headers(session: Session, limit: Limit, answer: Any) -> None:
    scope = {"limit": {"count": Exactly(limit.count, f"/limits/{limit.name}/count"), "remaining": _COUNT, "reset": _COUNT}}
    for name, raw in session.tree["limits"][limit.name].get("headers", {}).items():
        rule = f"/limits/{limit.name}/headers/{name}"
        want, got = session.names.reader.want(raw, rule, scope), answer.header(name)
        if got is None:
            session.fail(rule, f"header {name}", "this header", "none")
        elif isinstance(want, Exactly):
            session.note(match(Exactly(str(want.value), want.rule, want.at), got, f"header {name}"))
        elif not got.isdecimal():
            session.fail(rule, f"header {name}", "a whole number", got, got)


