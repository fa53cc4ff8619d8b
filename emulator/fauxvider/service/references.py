"""Inputs that name uploaded assets, and inline pictures that the provider keeps as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import AssetRules
from fauxvider.gate import dump_json
from fauxvider.service import library, pictures
from fauxvider.service.acceptance import request_print
from fauxvider.service.wire import Rejection

if TYPE_CHECKING:
    from fauxvider.service.provider import Call, Provider

__all__ = ["check"]


async def check(provider: Provider, call: Call) -> Rejection | None:
    """Refuse references to assets that the world does not have; store inline pictures."""
    rules = provider.contract.assets
    if rules is None:
        return None
    for value in _named(provider, call, rules):
        if not _is_reference(rules, value):
            continue
        asset = await pictures.asset_of(provider, value)
        # An asset that came with the world belongs to everybody, an uploaded one to the key that uploaded it.
        is_usable = asset is not None and asset.state == "ready" and asset.owner in ("", call.key)
        if not is_usable and rules.required:
            issue = {"text": f"there is no asset {value}", "value": value, "keyword": "asset", "loc": ["body"]}
            return Rejection("asset_unknown", {"asked": value, "issue": issue, "issues": [issue]})
    if rules.store_inline and b'"data:' in call.request.body:
        call.fingerprint = request_print(call.request)  # of what the client sent
        call.body = await _stored(provider, call, call.body)
        call.request.body = dump_json(call.body)
        call.input = call.body
        for name in call.operation.input:
            call.input = call.input.get(name, {})
    return None


def _named(provider: Provider, call: Call, rules: AssetRules) -> list[str]:
    scope = provider.scope(call)
    found: list[str] = []
    for template in rules.fields:
        value = template(scope)
        found.extend(item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))
    return found


def _is_reference(rules: AssetRules, value: str) -> bool:
    if rules.prefix:
        return value.startswith(rules.prefix)
    return not value.startswith(("http://", "https://", "data:"))


async def _stored(provider: Provider, call: Call, tree: Any) -> Any:
    """Copy the tree with every data: URI replaced by a reference to a new asset."""
    if isinstance(tree, dict):
        return {key: await _stored(provider, call, value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [await _stored(provider, call, value) for value in tree]
    if isinstance(tree, str) and tree.startswith("data:") and (data := pictures.inline_bytes(tree)) is not None:
        media_type = tree[5:].partition(";")[0] or "application/octet-stream"
        asset = await library.add(provider, call, data=data, name="inline", media_type=media_type)
        rules = provider.contract.assets
        return f"{rules.prefix if rules else ''}{asset.id}"
    return tree
