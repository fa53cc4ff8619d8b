"""The pictures of a job as answers show them: numbered, named, with URLs that expire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Model, Scope, Url
from fauxvider.engine import signing
from fauxvider.engine.facts import Asset, Job, Record, Shape
from fauxvider.engine.outputs import MEDIA_TYPES, format_of, size_of
from fauxvider.engine.plan import whole
from fauxvider.engine.timeline import snapshot_at
from fauxvider.engine.urls import token_serial

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider
    from fauxvider.service.scopes import JobScope

__all__ = ["OutputScope", "asset_scope", "file_keys", "output_list", "shape_of", "url_of"]

MAX_PICTURES = 16


class OutputScope:
    """`{output.*}` and the items of `outputs`; the URL is signed when it is looked at."""

    __slots__ = ("_scope", "ext", "format", "height", "key", "media_type", "number", "width")

    def __init__(self, scope: JobScope, number: int) -> None:
        provider, job = scope.provider, scope.record.job
        self._scope = scope
        self.number = number
        self.width, self.height, self.format = job.shape.width, job.shape.height, job.shape.format
        model = provider.contract.models[job.model]
        self.ext = model.output.ext.get(self.format, self.format)
        self.media_type = MEDIA_TYPES[self.format]
        self.key = job.file_keys[number - 1] if number <= len(job.file_keys) else ""

    @property
    def url(self) -> str | None:
        provider, job = self._scope.provider, self._scope.record.job
        if job.twist is not None and job.twist.output.get("empty_url"):
            return ""
        rule = provider.compiled.urls.get("output")
        if rule is None:
            return None
        scope = self._scope.fork()
        scope["output"] = self
        scope["file"] = _file_scope(provider, self._scope.record.job, self)
        issued = self._scope.life.ended if rule.origin_moment == "end" else self._scope.moment
        return url_of(provider, rule, scope, issued=issued, site=self._scope.site)


def _file_scope(provider: Provider, job: Job, output: OutputScope) -> Mapping[str, Any]:
    return {
        "token": provider.mint.token(token_serial(job.number, output.number)),
        "key": output.key,
        "number": output.number,
        "ext": output.ext,
    }


def output_list(scope: JobScope) -> list[OutputScope]:
    """Give the finished pictures; none before success."""
    if scope.moment < scope.life.ended or not scope.life.succeeds:
        return []
    return [OutputScope(scope, number) for number in range(1, scope.record.job.shape.count + 1)]


def url_of(
    provider: Provider, rule: Url, scope: Scope, *, issued: int, site: str, method: str = "GET", bare: bool = False
) -> str:
    """Make a URL under a rule, signed as the rule says (`bare`: the place alone, unsigned)."""
    base = provider.base(rule.origin, site)
    path = str(rule.make_path(scope))
    if rule.signer != "sigv4" or rule.sigv4 is None or bare:
        return base + path
    host, prefix = split_base(base)
    query = signing.presign(
        method=method,
        host=host,
        path=prefix + path,
        access_key=str(rule.sigv4.access_key(scope)),
        secret_key=provider.signing_key,
        region=rule.sigv4.region,
        service=rule.sigv4.service,
        moment_ms=issued,
        expires_s=(rule.lives or 0) // 1000,
        extra=rule.sigv4.query,
    )
    return f"{base}{path}?{query}"


def split_base(base: str) -> tuple[str, str]:
    """Split a base URL into host (with port) and path prefix."""
    host, slash, prefix = base.partition("://")[2].partition("/")
    return host, slash + prefix


def shape_of(model: Model, scope: Scope, sizes: Mapping[str, tuple[int, int]]) -> Shape:
    """Work out what will be delivered. `sizes`: pixel sizes of the input pictures, by input value."""

    def source_size(value: Any) -> tuple[int, int] | None:
        return sizes.get(value) if isinstance(value, str) else None

    output = model.output
    count = whole(output.count(scope))
    width, height = size_of(output.size, scope, source_size)
    number = max(0, min(MAX_PICTURES, 1 if count is None else count))
    return Shape(width, height, number, format_of(output.format(scope)))


def file_keys(provider: Provider, record: Record) -> tuple[str, ...]:
    """Make the storage keys of a job's pictures, as of its planned end."""
    rule = provider.compiled.urls.get("output")
    if rule is None or rule.key is None:
        return ()
    job, life = record.job, provider.life(record)
    model = provider.contract.models[job.model]
    ext = model.output.ext.get(job.shape.format, job.shape.format)
    ended = job.accepted + sum(job.plan.phases) if life.is_open else life.ended
    snap = snapshot_at(provider.contract, life, job, life.ended)
    keys = []
    for number in range(1, job.shape.count + 1):
        mints = provider.mints(moment=ended, job=job.number, run=0, output=number, model=model.name, key=job.key)
        keys.append(str(rule.key({"job": snap, "mint": mints, "file": {"ext": ext, "number": number}, "now": ended})))
    return tuple(keys)


def asset_scope(provider: Provider, asset: Asset, *, moment: int, site: str) -> dict[str, Any]:
    """Give `{asset.*}`."""
    names: dict[str, Any] = {
        "id": asset.id,
        "key": asset.key,
        "name": asset.name,
        "media_type": asset.media_type,
        "size": asset.size,
        "width": asset.width or None,
        "height": asset.height or None,
        "created": asset.created,
        "confirmed": asset.confirmed,
        "label": asset.note,
        "etag": asset.digest,
        "md5": asset.digest,
    }
    mints = provider.mints(moment=asset.created, asset=asset.number)
    scope = {"asset": dict(names), "mint": mints, "now": moment, "file": {"ext": asset.name.rpartition(".")[2]}}
    for name, serves, method in (("url", "asset", "GET"), ("upload_url", "upload", "PUT")):
        rule = provider.compiled.urls.get(serves)
        if rule is not None:
            issued = asset.created if rule.origin_moment == "end" or serves == "upload" else moment
            names[name] = url_of(provider, rule, scope, issued=issued, site=site, method=method)
            if serves == "asset":
                names["location"] = url_of(provider, rule, scope, issued=issued, site=site, bare=True)
    return names
