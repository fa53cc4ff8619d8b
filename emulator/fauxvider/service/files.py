"""Downloads and presigned uploads: a file is served while its URL lives, and not a millisecond longer."""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Url
from fauxvider.engine import signing
from fauxvider.engine.facts import Asset, Record
from fauxvider.engine.outputs import MEDIA_TYPES, sniff
from fauxvider.engine.timeline import Life
from fauxvider.engine.urls import is_past, split_token
from fauxvider.service.library import receive_upload
from fauxvider.service.outputs import split_base
from fauxvider.service.pictures import picture_bytes, stand_in_bytes
from fauxvider.service.scopes import RequestScope
from fauxvider.service.wire import Rejection, Reply, Request, WireFault, header_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["serve_file"]

_METHODS = {"upload": ("PUT",), "output": ("GET", "HEAD"), "asset": ("GET", "HEAD")}
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_HARMLESS = re.compile(r"(?:audio|video)/[\w.+-]+|application/zip", re.ASCII)
_HEAD = 20  # bytes by which every format of ours is told
_CAUSES = {"expired": "url_expired", "forged": "url_forged", "unsigned": "url_unsigned"}


async def serve_file(provider: Provider, request: Request, moment: int) -> Reply | None:
    """Answer a request for a file, or give None when no URL rule of this origin fits the path."""
    found = list(provider.compiled.files.find(request.origin, request.path))
    if not found:
        return None
    fitting = [(rule, groups) for rule, groups in found if request.method in _METHODS[rule.serves]]
    if not fitting:
        return _refuse(provider, found[0][0], "url_method", moment)
    reply: Reply | None = None
    for rule, groups in fitting:
        # Rules that share a path (an upload and its asset, say) are tried in the contract's order.
        reply = await _serve(provider, request, rule, groups, moment)
        if reply.cause != "url_unknown":
            break
    return reply


async def _serve(provider: Provider, request: Request, rule: Url, groups: Mapping[str, str], moment: int) -> Reply:
    if cause := _signature_cause(provider, request, rule, groups, moment):
        return _refuse(provider, rule, cause, moment)
    if rule.serves == "output":
        return await _serve_output(provider, request, rule, groups, moment)
    asset = await _asset(provider, groups)
    if asset is None:
        return _refuse(provider, rule, "url_unknown", moment)
    if rule.signer == "opaque" and is_past(rule, since=asset.created, moment=moment):
        return _refuse(provider, rule, "url_expired", moment)
    if rule.serves == "upload":
        if _is_too_large(provider, request):
            return _refuse(provider, rule, "body_too_large", moment)
        await receive_upload(provider, asset, request.body)
        return Reply(200, [(b"etag", b'"uploaded"')], b"", operation="upload")
    if asset.state != "ready":
        return _refuse(provider, rule, "url_unknown", moment)
    data = asset.data if asset.data is not None else await stand_in_bytes(provider, asset)
    return _file_reply(request, data, _true_type(data, asset.media_type))


def _is_too_large(provider: Provider, request: Request) -> bool:
    rules = provider.contract.assets
    limit = rules.max_size if rules else None
    return request.over_size or (limit is not None and len(request.body) > limit)


def _true_type(data: bytes, declared: str) -> str:
    """Give the media type of an upload: a picture's own, else the declared one if no browser would run it."""
    if found := sniff(data):
        return MEDIA_TYPES[found[0]]
    return declared if _HARMLESS.fullmatch(declared) else "application/octet-stream"


def _signature_cause(provider: Provider, request: Request, rule: Url, groups: Mapping[str, str], moment: int) -> str:
    if rule.signer == "unsigned":
        return ""
    if rule.signer == "opaque" or rule.sigv4 is None:
        return "" if "token" not in groups or provider.serial(groups["token"]) is not None else "url_forged"
    host, _ = split_base(provider.base(rule.origin, request.site))
    verdict = signing.verify(
        method=request.method,
        host=host,
        path=request.raw_path.decode("latin-1"),
        query=request.query.decode("latin-1"),
        secret_key=provider.signing_key,
        region=rule.sigv4.region,
        service=rule.sigv4.service,
        now_ms=moment,
    )
    return _CAUSES.get(verdict, "" if verdict == "ok" else "url_forged")


async def _serve_output(
    provider: Provider, request: Request, rule: Url, groups: Mapping[str, str], moment: int
) -> Reply:
    record, number = await _picture(provider, groups)
    if record is None or not 1 <= number <= record.job.shape.count:
        return _refuse(provider, rule, "url_unknown", moment)
    reply = await _picture_reply(provider, request, rule, record, number, moment)
    reply.job = record.job.id
    return reply


async def _picture_reply(  # noqa: PLR0917 - what one file request is about
    provider: Provider, request: Request, rule: Url, record: Record, number: int, moment: int
) -> Reply:
    life = provider.life(record)
    if not life.succeeds or moment < life.ended or _is_swept(rule, life, moment):
        return _refuse(provider, rule, "url_unknown", moment)
    faults = record.job.twist.output if record.job.twist else {}
    is_dead = "dies" in faults and moment > life.ended + faults["dies"]
    if moment < life.ended + faults.get("late", 0):
        return _refuse(provider, rule, "url_unknown", moment)
    if is_dead or (rule.signer == "opaque" and is_past(rule, since=life.ended, moment=moment)):
        return _refuse(provider, rule, "url_expired", moment)
    data = await picture_bytes(provider, record, life, number)
    return _spoiled(request, data, MEDIA_TYPES[record.job.shape.format], faults)


def _spoiled(request: Request, data: bytes, media_type: str, faults: Mapping[str, Any]) -> Reply:
    """Serve a picture with what a scenario has laid on it."""
    if not faults:
        return _file_reply(request, data, media_type)
    if "corrupt" in faults:
        data = _overwritten(data)
    if "short" in faults:
        data = data[: int(len(data) * float(faults["short"]))]
    reply = _file_reply(request, data, str(faults.get("content_type", media_type)), in_parts="no_range" not in faults)
    cut = next((name for name in faults if name in ("truncate", "reset")), "")
    if cut:
        reply.wire = WireFault(cut, share=float(faults.get("truncate", 0)))
    return reply


def _overwritten(data: bytes) -> bytes:
    """Spoil a picture so that it has its length, is still known for one by its first bytes, and opens nowhere.

    Some bytes in the middle would not do: JPEG and WebP have no checksum, and decoders make something of anything.
    """
    rest = len(data) - _HEAD
    return data[:_HEAD] + (b"\xde\xad" * (rest // 2 + 1))[: max(0, rest)]


def _is_swept(rule: Url, life: Life, moment: int) -> bool:
    return rule.keeps is not None and moment > life.ended + rule.keeps


async def _picture(provider: Provider, groups: Mapping[str, str]) -> tuple[Record | None, int]:
    store = provider.store
    if "token" in groups:
        serial = provider.serial(groups["token"])
        job, number = split_token(serial) if serial is not None else (0, 0)
        # A number beside the token says the same as the token, or it is no address that was handed out.
        is_own = groups.get("number", str(number)) == str(number)
        return (await store.record_by_number(job), number) if is_own else (None, 0)
    if "file_key" in groups:
        record = await store.record_by_file(groups["file_key"])
        return record, record.job.file_keys.index(groups["file_key"]) + 1 if record else 0
    return await store.record(groups.get("job", "")), int(groups.get("number", "1"))


async def _asset(provider: Provider, groups: Mapping[str, str]) -> Asset | None:
    if "asset" in groups:
        return await provider.store.asset(groups["asset"])
    return await provider.store.asset_by_key(groups.get("asset_key", groups.get("file_key", "")))


def _refuse(provider: Provider, rule: Url, cause: str, moment: int) -> Reply:
    scope = RequestScope(provider, None, moment=moment)
    reply = provider.refuse(None, Rejection(rule.errors.get(cause, cause)), scope)
    reply.operation, reply.cause = rule.name, cause
    return reply


def _file_reply(request: Request, data: bytes, media_type: str, *, in_parts: bool = True) -> Reply:
    # The ends and the length tell two renderings apart; hashing every byte would cost more than sending.
    etag = b'"%x-%08x"' % (len(data), crc32(data[:512] + data[-512:]))
    headers = [
        (b"content-type", media_type.encode("latin-1", "replace")),
        (b"etag", etag),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
    ]
    asked = header_of(request, b"range") if in_parts else None
    span = _span(asked, len(data)) if asked else None
    if span == (0, -1):
        headers.append((b"content-range", b"bytes */%d" % len(data)))
        return Reply(416, headers, b"", operation="file")
    status = 200
    if span is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (span[0], span[1], len(data))))
        data, status = data[span[0] : span[1] + 1], 206
    if request.method == "HEAD":
        return Reply(status, headers, b"", operation="file", length=len(data))
    return Reply(status, headers, data, operation="file")


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Read one byte range; (0, -1) means that it cannot be met, None that it is no single range."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        return (size - length, size - 1) if length else (0, -1)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    return (first, last) if first <= last and first < size else (0, -1)
