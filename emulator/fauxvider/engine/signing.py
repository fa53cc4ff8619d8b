"""Signatures: AWS Signature Version 4 in a URL's query, and the signature of a callback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote, unquote_to_bytes, urlsplit

from fauxvider.contract.formats import text_of
from fauxvider.contract.model import Scope, Signature
from fauxvider.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "ALGORITHMS",
    "ENCODINGS",
    "KEYS",
    "PUBLIC_KEYS",
    "Verdict",
    "amz_date",
    "amz_moment",
    "host_header",
    "is_signed",
    "presign",
    "public_key",
    "require",
    "sign",
    "verify",
]

Verdict: TypeAlias = Literal["ok", "expired", "forged", "unsigned"]

MAX_EXPIRES: Final = 604_800  # seconds: SigV4 itself allows no more
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SIGNATURE: Final = "X-Amz-Signature"
_NEEDED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_EXPIRES = re.compile(r"[0-9]{1,6}")
_MAX_KEPT = 4096  # characters of a URL that is remembered
_DAY: Final = 86_400
_PORTS = {"http": 80, "https": 443}


# --- AWS Signature Version 4 --------------------------------------------------------------------


def presign(
    *,
    method: str,
    host: str,
    path: str,
    access_key: str,
    secret_key: str,
    region: str,
    service: str,
    moment_ms: int,
    expires_s: int,
    extra: Mapping[str, str],
) -> str:
    """Give the query (without `?`) that signs a URL for `expires_s` seconds from `moment_ms` on.

    `host` is what the request's Host header will say, with the port unless it is the scheme's own
    (see `host_header`); `path` starts with `/` and may be percent-encoded or not. `extra` are
    further parameters, signed too. The parameters come in the order of their encoded names, the
    signature among them; a life over SigV4's seven days becomes seven days. Raises UsageError for
    a moment outside the years 1970 to 9999.
    """
    date = amz_date(moment_ms)
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    pairs = {
        **extra,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(max(1, min(expires_s, MAX_EXPIRES))),
        "X-Amz-SignedHeaders": "host",
    }
    encoded = sorted((_encode(name), _encode(value)) for name, value in pairs.items())
    key = _signing_key(secret_key, date[:8], region, service)
    signature = _signature(key, method=method, host=host, path=path, query=_joined(encoded), date=date, scope=scope)
    return _joined(sorted([*encoded, (_SIGNATURE, signature)]))


def verify(
    *,
    method: str,
    host: str,
    path: str,
    query: str,
    secret_key: str,
    region: str,
    service: str,
    now_ms: int,
    access_key: str | None = None,
) -> Verdict:
    """Judge a presigned request: `ok` to the last millisecond of its life, then `expired`.

    `query` is the raw query, in any order; a parameter given twice is `forged`, as is every
    signature that does not fit, or names another key, region or service. Without a signature the
    request is `unsigned`. Like S3, names and values are compared decoded, so a client may encode
    them in its own way.
    """
    judge = _remembered if len(path) + len(query) <= _MAX_KEPT else _judged
    life = judge(method, host, path, query, secret_key, region, service, access_key)
    if isinstance(life, str):
        return life
    return "ok" if now_ms <= life else "expired"


def _judged(  # noqa: PLR0917 - all that a signature depends on, as the key under which it is remembered
    method: str, host: str, path: str, query: str, secret_key: str, region: str, service: str, access_key: str | None
) -> int | Literal["forged", "unsigned"]:
    """Give the last moment of a presigned request's life, or what is wrong with it at any moment."""
    pairs = [_pair(part) for part in query.split("&") if part]
    sent = dict(pairs)
    if _SIGNATURE.encode() not in sent:
        return "unsigned"
    algorithm, credential, date, expires, headers = [
        sent.get(name.encode(), b"").decode("ascii", "replace") for name in _NEEDED
    ]
    if len(sent) != len(pairs):
        return "forged"
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    issued = amz_moment(date)
    if (algorithm, headers) != (_ALGORITHM, "host") or issued is None or not _EXPIRES.fullmatch(expires):
        return "forged"
    owner = credential.removesuffix(f"/{scope}")
    if owner == credential or (access_key is not None and owner != access_key):
        return "forged"
    signature = sent.pop(_SIGNATURE.encode())
    canonical = _joined(sorted((quote(name, safe=""), quote(value, safe="")) for name, value in sent.items()))
    key = _signing_key(secret_key, date[:8], region, service)
    wanted = _signature(key, method=method, host=host, path=path, query=canonical, date=date, scope=scope)
    if not hmac.compare_digest(wanted.encode(), signature) or not 0 < int(expires) <= MAX_EXPIRES:
        return "forged"
    return issued + int(expires) * 1000


# A picture is asked for again: whole, in ranges, after a break. What has been altered is another request.
_remembered = lru_cache(maxsize=512)(_judged)


def host_header(url: str) -> str:
    """Give the Host header of a request to a URL: with its port, unless that is the scheme's own."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def amz_date(moment_ms: int) -> str:
    """Write a moment as `20260327T100002Z`. Raises UsageError outside the years 1970 to 9999."""
    if not 0 <= moment_ms < 253_402_300_800_000:
        raise UsageError(f"{moment_ms} is not a moment of the years 1970 to 9999")
    days, second = divmod(moment_ms // 1000, _DAY)
    year, month, day = _civil(days)
    return f"{year:04d}{month:02d}{day:02d}T{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}Z"


def amz_moment(text: str) -> int | None:
    """Read `20260327T100002Z` as epoch ms; None for what is no such date."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    moment = (_days(year, month, day) * _DAY + hour * 3600 + minute * 60 + second) * 1000
    # The 31st of February, or the 25th hour, comes back as another date.
    return moment if 0 <= moment < 253_402_300_800_000 and amz_date(moment) == text else None


def _civil(days: int) -> tuple[int, int, int]:
    """Days since 1970-01-01 to (year, month, day): Howard Hinnant's civil_from_days, from March on."""
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _days(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year - 719_468


def _signature(key: bytes, *, method: str, host: str, path: str, query: str, date: str, scope: str) -> str:
    where = quote(unquote_to_bytes(path.encode("utf-8", "surrogatepass")), safe="/")
    request = f"{method}\n{where}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    hashed = hashlib.sha256(request.encode("utf-8", "surrogatepass")).hexdigest()
    return hmac.digest(key, f"{_ALGORITHM}\n{date}\n{scope}\n{hashed}".encode(), "sha256").hex()


@lru_cache(maxsize=256)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def _encode(text: str) -> str:
    return quote(text, safe="")


def _pair(part: str) -> tuple[bytes, bytes]:
    name, _, value = part.encode("utf-8", "surrogatepass").partition(b"=")
    return unquote_to_bytes(name), unquote_to_bytes(value)


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{name}={value}" for name, value in pairs])


# --- callbacks --------------------------------------------------------------------------------------


def sign(signature: Signature, secret: str, scope: Scope) -> str:
    """Sign the text that a contract's template gives (`{payload}`, `{timestamp}.{payload}`, ...).

    The text is signed as UTF-8; a template that gives bytes has them signed as they are. Raises
    UsageError for a secret that the contract's key kind cannot read.
    """
    mac = ALGORITHMS[signature.algorithm](KEYS[signature.key](secret), _message(signature, scope))
    return ENCODINGS[signature.encoding](mac)


def public_key(signature: Signature, secret: str) -> str | None:
    """Give the public key to a secret as a JWK's `x` has it (base64url); None where the secret is shared.

    Raises UsageError as `sign` does.
    """
    make = PUBLIC_KEYS.get(signature.algorithm)
    if make is None:
        return None
    return base64.urlsafe_b64encode(make(KEYS[signature.key](secret))).decode().rstrip("=")


def is_signed(signature: Signature, public: str, scope: Scope, given: str) -> bool:
    """Tell whether a signature is that of the text, by the public key as `public_key` gives it."""
    try:
        key = base64.urlsafe_b64decode(public + "=" * (-len(public) % 4))
        mac = bytes.fromhex(given) if signature.encoding == "hex" else base64.b64decode(given, validate=True)
    except ValueError:
        return False
    return VERIFIERS[signature.algorithm](key, mac, _message(signature, scope))


def _message(signature: Signature, scope: Scope) -> bytes:
    text = signature.text(scope)
    return text if isinstance(text, bytes) else text_of(text).encode("utf-8", "surrogatepass")


def require(signature: Signature | None) -> None:
    """Raise UsageError, in one line, if a library that the algorithm needs is not installed."""
    if signature is not None and signature.algorithm == "ed25519":
        _ed25519_keys()


def _raw(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


def _base64_after_prefix(secret: str) -> bytes:
    text = secret.rpartition("_")[2]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise UsageError("the signing secret is not base64 after its prefix") from None


def _hex_key(secret: str) -> bytes:
    try:
        return bytes.fromhex(secret)
    except ValueError:
        raise UsageError("the signing secret is not hexadecimal") from None


def _ed25519_keys() -> type[Ed25519PrivateKey]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise UsageError("Ed25519 signatures need the library cryptography: pip install 'fauxvider[ed25519]'") from None
    return Ed25519PrivateKey


@lru_cache(maxsize=64)
def _pair_of_keys(key: bytes) -> Ed25519PrivateKey:
    try:
        return _ed25519_keys().from_private_bytes(key)
    except ValueError:
        raise UsageError(f"an Ed25519 key has 32 bytes, not {len(key)}") from None


def _ed25519(key: bytes, message: bytes) -> bytes:
    return _pair_of_keys(key).sign(message)


def _ed25519_public(key: bytes) -> bytes:
    return _pair_of_keys(key).public_key().public_bytes_raw()


def _ed25519_verified(key: bytes, mac: bytes, message: bytes) -> bool:
    _ed25519_keys()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(mac, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _hex(mac: bytes) -> str:
    return mac.hex()


def _base64(mac: bytes) -> str:
    return base64.b64encode(mac).decode()


KEYS: dict[str, Callable[[str], bytes]] = {"raw": _raw, "base64_after_prefix": _base64_after_prefix, "hex": _hex_key}
ALGORITHMS: dict[str, Callable[[bytes, bytes], bytes]] = {"hmac_sha256": _hmac_sha256, "ed25519": _ed25519}
PUBLIC_KEYS: dict[str, Callable[[bytes], bytes]] = {"ed25519": _ed25519_public}
VERIFIERS: dict[str, Callable[[bytes, bytes, bytes], bool]] = {"ed25519": _ed25519_verified}  # key, signature, text
ENCODINGS: dict[str, Callable[[bytes], str]] = {"hex": _hex, "base64": _base64}
