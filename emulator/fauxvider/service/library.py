"""Uploaded pictures: the multipart upload, and the presigned session with its confirmation."""

from __future__ import annotations

from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING

from fauxvider.contract.model import AssetRules
from fauxvider.engine.facts import Asset
from fauxvider.engine.outputs import sniff
from fauxvider.engine.plan import whole
from fauxvider.errors import UsageError
from fauxvider.gate import MultipartRefusedError, parse_multipart
from fauxvider.service.outputs import asset_scope
from fauxvider.service.wire import Rejection, Reply, header_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["add", "asset_confirm", "asset_read", "asset_session", "asset_upload", "furnish", "receive_upload"]


def _rules(provider: Provider) -> AssetRules:
    rules = provider.contract.assets
    if rules is None:
        raise UsageError(f"the contract {provider.name} has operations on assets but no assets section")
    return rules


async def furnish(provider: Provider) -> None:
    """Put the assets that every world has into a new one."""
    rules = provider.contract.assets
    for present in rules.present if rules else ():
        number = await provider.store.next_number("asset")
        made = _asset(provider, number, name=present["key"].rpartition("/")[2], moment=provider.world.began)
        await provider.store.put_asset(
            replace(
                made,
                key=present["key"],
                media_type=present.get("media_type", "image/png"),
                width=int(present.get("width", 1024)),
                height=int(present.get("height", 1024)),
            )
        )


def _asset(provider: Provider, number: int, *, name: str, moment: int) -> Asset:
    kind = provider.contract.ids[_rules(provider).id]
    return Asset(
        id=provider.mint.value(kind, number, moment=moment),
        number=number,
        key="",
        name=name,
        media_type="application/octet-stream",
        created=moment,
    )


async def add(provider: Provider, call: Call, *, data: bytes | None, name: str, media_type: str) -> Asset:
    """Keep an upload; its pixel size is read from its header, its pixels never."""
    rules = _rules(provider)
    number = await provider.store.next_number("asset")
    asset = _asset(provider, number, name=name, moment=call.moment)
    size = len(data) if data is not None else 0
    key = ""
    if rules.key is not None:
        upload = {"name": name, "media_type": media_type, "size": size}
        mints = provider.mints(moment=call.moment, asset=number, key=call.key, request=call.number)
        key = str(rules.key({"now": call.moment, "upload": upload, "mint": mints}))
    asset = replace(
        asset, key=key, media_type=media_type, owner=call.key, state="ready" if data is not None else "pending"
    )
    if data is not None:
        asset = _filled(asset, data)
    await provider.store.put_asset(asset)
    return asset


def _filled(asset: Asset, data: bytes) -> Asset:
    found = sniff(data)
    width, height = (found[1], found[2]) if found else (0, 0)
    digest = md5(data, usedforsecurity=False).hexdigest()
    return replace(asset, data=data, size=len(data), width=width, height=height, digest=digest)


async def asset_upload(provider: Provider, call: Call) -> Reply:
    """Take one file from a multipart form."""
    rules, operation = _rules(provider), call.operation
    content_type = header_of(call.request, b"content-type") or ""
    try:
        parts = parse_multipart(content_type, call.request.body, max_parts=16, max_part=operation.max_body)
    except MultipartRefusedError as refused:
        return provider.refuse(call, Rejection("body_malformed", {"issue": {"text": str(refused)}}))
    part = next((part for part in parts if part.name == operation.part and part.filename is not None), None)
    if part is None:
        issue = {"text": f"the part {operation.part} is missing", "field": operation.part, "path": operation.part}
        return provider.refuse(call, Rejection("param_missing", {"issue": issue, "issues": [issue]}))
    limit = operation.max_part or rules.max_size
    if limit and len(part.data) > limit:
        return provider.refuse(call, Rejection("body_too_large", {"limit": {"count": limit}, "size": len(part.data)}))
    if rules.media_types and part.media_type not in rules.media_types:
        issue = {"text": f"{part.media_type} is not accepted", "field": operation.part, "value": part.media_type}
        return provider.refuse(call, Rejection("param_enum", {"issue": issue, "issues": [issue]}))
    asset = await add(provider, call, data=part.data, name=part.filename or "file", media_type=part.media_type)
    return _answer(provider, call, asset, "ok")


def _answer(provider: Provider, call: Call, asset: Asset, outcome: str) -> Reply:
    scope = provider.scope(call)
    scope["asset"] = asset_scope(provider, asset, moment=call.moment, site=call.request.site)
    scope["mint"] = provider.mints(moment=asset.created, asset=asset.number, request=call.number, key=call.key)
    return provider.answer(call, outcome, scope)


async def asset_session(provider: Provider, call: Call) -> Reply:
    """Open an upload session: an asset without bytes, and a URL to PUT them to."""
    rules = _rules(provider)
    media_type, size = str(call.given("media_type") or ""), whole(call.given("size"))
    if rules.media_types and media_type not in rules.media_types:
        field = call.operation.fields.get("media_type", ("",))[-1]
        issue = {"text": f"{media_type} is not accepted", "path": field, "field": field, "value": media_type}
        return provider.refuse(call, Rejection("param_enum", {"issue": issue, "issues": [issue]}))
    asset = await add(provider, call, data=None, name=str(call.given("name") or "file"), media_type=media_type)
    if size is not None:
        asset = replace(asset, size=size)
        await provider.store.put_asset(asset)
    return _answer(provider, call, asset, "ok")


async def receive_upload(provider: Provider, asset: Asset, data: bytes) -> None:
    """Keep the bytes that were PUT to a session's URL; a confirmed asset stays one."""
    filled = _filled(asset, data)
    await provider.store.put_asset(filled if asset.state == "ready" else replace(filled, state="uploaded"))


async def asset_confirm(provider: Provider, call: Call) -> Reply:
    """Turn an uploaded session into an asset; before the PUT it is still pending."""
    asset = await _named(provider, call)
    if asset is None:
        return _missing(provider, call)
    if asset.state == "pending":
        if "pending" in call.operation.answers:
            return _answer(provider, call, asset, "pending")
        return provider.refuse(call, Rejection("asset_pending"))
    if asset.state == "uploaded":
        asset = replace(asset, state="ready", confirmed=call.moment)
        await provider.store.put_asset(asset)
    return _answer(provider, call, asset, "ok")


async def asset_read(provider: Provider, call: Call) -> Reply:
    asset = await _named(provider, call)
    if asset is None or asset.state != "ready":
        return _missing(provider, call)
    return _answer(provider, call, asset, "ok")


async def _named(provider: Provider, call: Call) -> Asset | None:
    template = call.operation.asset
    name = template(provider.scope(call)) if template else None
    return await provider.store.asset(str(name)) if name else None


def _missing(provider: Provider, call: Call) -> Reply:
    if "missing" in call.operation.answers:
        return provider.answer(call, "missing", provider.scope(call))
    return provider.refuse(call, Rejection("asset_missing"))
