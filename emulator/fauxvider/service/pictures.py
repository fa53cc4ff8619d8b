"""Input pictures and finished ones: where their bytes come from, and the recipe of a new one."""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Model, Scope
from fauxvider.engine.facts import Asset, Job, Record
from fauxvider.engine.outputs import sniff
from fauxvider.engine.plan import whole
from fauxvider.engine.recipe import Recipe, SourceImage
from fauxvider.engine.timeline import Life

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = [
    "asset_of",
    "inline_bytes",
    "picture_bytes",
    "picture_key",
    "recipe_of",
    "source_of",
    "source_values",
    "stand_in_bytes",
]

_MAX_INLINE = 32 * 1024 * 1024


def source_values(model: Model, scope: Scope) -> list[str]:
    """Give the input pictures of a request as the client named them."""
    found: list[str] = []
    for template in model.picture.sources:
        value = template(scope)
        found.extend(item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))
    return found


def inline_bytes(value: str) -> bytes | None:
    """Decode a data: URI or bare base64; None for anything else (a URL, a storage key)."""
    text = value
    if value.startswith("data:"):
        head, comma, text = value.partition(",")
        if not comma or not head.endswith(";base64"):
            return None
    elif len(value) < 32 or "://" in value[:16]:
        return None
    if len(text) > _MAX_INLINE * 4 // 3:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if value.startswith("data:") or sniff(data) else None


async def asset_of(provider: Provider, value: str) -> Asset | None:
    """Find the uploaded asset that an input names: by reference, id, key or one of our own URLs."""
    rules = provider.contract.assets
    if rules is None:
        return None
    if rules.prefix and value.startswith(rules.prefix):
        return await provider.store.asset(value.removeprefix(rules.prefix))
    if value.startswith(("http://", "https://")):
        place = value.partition("?")[0]
        for origin in provider.contract.origins:
            base = provider.base(origin, "local")
            if place.startswith(base + "/"):
                for _url, groups in provider.compiled.files.find(origin, place.removeprefix(base)):
                    if named := groups.get("asset") or groups.get("asset_key"):
                        return await provider.asset_named(named)
        return None
    return await provider.asset_named(value) if len(value) < 1024 else None


async def source_of(provider: Provider, value: str, *, fetch: bool = True) -> SourceImage:
    """Give an input picture: its bytes where they can be had, else a stand-in for it."""
    asset = await asset_of(provider, value)
    if asset is not None:
        data = asset.data if asset.data is not None else await stand_in_bytes(provider, asset)
        return SourceImage("bytes", data, value) if sniff(data) else SourceImage("stand_in", b"", value)
    data_inline = inline_bytes(value)
    if data_inline is not None and sniff(data_inline):
        return SourceImage("bytes", data_inline, "inline")
    if value.startswith(("http://", "https://")):
        fetched = await provider.settings.fetch(value) if fetch and provider.settings.fetch else None
        if fetched is not None and sniff(fetched):
            return SourceImage("bytes", fetched, value)
    return SourceImage("stand_in", b"", value[:2048])


async def recipe_of(provider: Provider, record: Record, life: Life, number: int) -> Recipe:
    """Put together what picture `number` (from 1) of a job is made from."""
    job = record.job
    model = provider.contract.models[job.model]
    scope = provider.job_scope(record, moment=life.ended, site=job.site, life=life)
    picture = model.picture

    def of(template: Any) -> Any:
        return None if template is None else template(scope)

    sources = [await source_of(provider, value) for value in source_values(model, scope)]
    quality = whole(of(model.output.quality))
    width, height = job.shape.width, job.shape.height
    if job.twist is not None and "resize" in job.twist.output:
        width, height = job.twist.output["resize"]
    return Recipe(
        provider=provider.name,
        model=model.name,
        pipeline=picture.pipeline,
        width=width,
        height=height,
        format=job.shape.format,
        quality=None if quality is None else max(0, min(100, quality)),
        prompt=str(of(picture.prompt) or ""),
        negative=str(of(picture.negative) or ""),
        seed=life.seed,
        steps=whole(of(picture.steps)),
        guidance=_number(of(picture.guidance)),
        strength=_number(of(picture.strength)),
        sources=tuple(sources),
        number=number,
        run_id=job.id,
        metadata=provider.settings.metadata,
    )


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def picture_key(provider: Provider, job: Job, runs: int, number: int) -> tuple[object, ...]:
    """Name a picture of a job in the cache."""
    # The fingerprint too: a world that was reset gives the same ids to other requests.
    return (provider.world.name, provider.name, job.id, job.fingerprint, runs, number)


async def picture_bytes(provider: Provider, record: Record, life: Life, number: int) -> bytes:
    """Give a finished picture: from the cache, else rendered beside the event loop."""
    job, live = record.job, provider.settings.live
    if job.twist is not None and job.twist.output.get("black"):
        from fauxvider.renderers.codec import black

        recipe = await recipe_of(provider, record, life, number)
        return black((recipe.width, recipe.height), recipe.format, recipe.quality)
    key = picture_key(provider, job, life.runs, number)
    make = None if live is None else partial(live.make, provider, job.id)
    return await provider.settings.rendered(key, lambda: recipe_of(provider, record, life, number), make=make)


async def stand_in_bytes(provider: Provider, asset: Asset) -> bytes:
    """Make the file of an asset that was there from the start."""
    found = {"image/jpeg": "jpeg", "image/webp": "webp"}.get(asset.media_type, "png")
    recipe = Recipe(
        provider=provider.name, model="asset", pipeline="", width=asset.width or 1024, height=asset.height or 1024,
        format="jpeg" if found == "jpeg" else "webp" if found == "webp" else "png", quality=None, prompt=asset.key,
        negative="", seed=asset.number, steps=None, guidance=None, strength=None, sources=(), number=1,
        run_id=asset.id, metadata=provider.settings.metadata,
    )  # fmt: skip

    async def make() -> Recipe:
        return recipe

    return await provider.settings.rendered((provider.world.name, provider.name, "asset", asset.id), make)
