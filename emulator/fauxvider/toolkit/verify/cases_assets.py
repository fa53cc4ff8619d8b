"""Cases of uploads: in a form, or by a session, its PUT and its confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation, Url
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_files import check_query
from fauxvider.toolkit.verify.jobs import start, submissions
from fauxvider.toolkit.verify.names import MOMENT, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError, picture_bytes
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, Match, Maybe

__all__ = ["asset_cases"]

_BOUNDARY = "fauxvider-verify-boundary"


def asset_cases(session: Session) -> Iterator[Case]:
    for operation in session.contract.operations.values():
        at, name = f"/operations/{operation.name}", operation.name
        if operation.kind in ("asset_upload", "asset_session"):
            # An upload to a real account would stay there.
            yield Case(f"{name}: an upload", at, partial(_upload, operation=operation), ("control",))
        elif operation.kind in ("asset_read", "asset_confirm"):
            ask = partial(_no_asset, operation=operation)
            yield Case(f"{name} of an asset that does not exist", f"{at}/answers/missing", ask)
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if found is not None and session.contract.assets is not None and session.contract.assets.required:
        operation, model = found
        ask = partial(_no_reference, operation=operation.name, model=model)
        yield Case(f"{operation.name} with an asset that does not exist", "/assets/references", ask)


_COUNT = Like("integer", says="a count")


def _asset(session: Session, name: str, media_type: str, size: int, *, confirmed: bool = False) -> dict[str, Any]:
    rules = session.contract.assets
    if rules is None:
        raise NotAskedError("the contract has no assets")
    ids = session.contract.ids[rules.id]
    asset: dict[str, Any] = {
        "id": Like("text", id_pattern(ids.tokens), "an id", f"/ids/{rules.id}", capture="asset.id"),
        "name": name,
        "media_type": media_type,
        "size": size,
        "created": MOMENT,
        "confirmed": MOMENT if confirmed else Maybe(MOMENT),
        "label": Like("text"),
        "width": Maybe(_COUNT),
        "height": Maybe(_COUNT),
        "etag": Like("text", "[0-9a-f]{32}"),
        "md5": Like("text", "[0-9a-f]{32}"),
    }
    raw = session.tree["assets"].get("key")
    scope: dict[str, Any] = {
        "asset": asset,
        "now": MOMENT,
        "mint": session.names.mint,
        "upload": {"name": name, "media_type": media_type, "size": size},
    }
    asset["key"] = session.names.reader.want(raw, "/assets/key", scope) if raw is not None else ""
    for word, serves in (("url", "asset"), ("upload_url", "upload")):
        url = next((one for one in session.contract.urls.values() if one.serves == serves), None)
        if url is not None:
            asset[word] = session.names.url(url, scope, f"asset.{word}")
            if serves == "asset":
                asset["location"] = session.names.url(url, scope, "asset.location", is_bare=True)
    return asset


def _upload(session: Session, operation: Operation) -> None:
    data, rules = picture_bytes(), session.contract.assets
    if operation.kind == "asset_session" and rules and rules.media_types and "media_type" not in operation.fields:
        raise NotAskedError("the contract takes certain media types, and has no field that tells one")
    call = session.samples.call(operation)
    asset = _asset(session, "picture.png", "image/png", len(data))
    if operation.kind == "asset_upload":
        head = (
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{operation.part}"; filename="picture.png"\r\n'
            "content-type: image/png\r\n\r\n"
        )
        call.data = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
        call.headers["content-type"] = f"multipart/form-data; boundary={_BOUNDARY}"
    else:
        given = {"name": "picture.png", "media_type": "image/png", "size": len(data)}
        for name, pointer in operation.fields.items():
            if pointer and name in given:
                call.body[pointer[-1]] = given[name]
        schema = session.tree["operations"][operation.name].get("schema", {})
        for name in schema.get("required", []):
            is_text = schema.get("properties", {}).get(name, {}).get("type") == "string"
            call.body.setdefault(name, "picture.png" if is_text else len(data))
        asset["name"] = asset["name"] if "name" in operation.fields else Like("text")
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
                session.fail(
                    "/urls/asset", "the file", f"{len(data)} bytes as uploaded", f"{got.status}, {len(got.body)} bytes"
                )


def _signed(session: Session, serves: str, address: str) -> None:
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
    issue = {
        "text": Exactly(f"there is no asset {value}"),
        "value": value,
        "keyword": "asset",
        "loc": ["body"],
        "field": None,
        "path": None,
        "type": None,
    }
    session.expect_error(call, "asset_unknown", scope={**session.scope(call), "issue": issue, "issues": [issue]})
