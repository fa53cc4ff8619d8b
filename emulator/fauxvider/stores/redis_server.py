"""The server behind ``redis://``: reaching it, and refusing one that would lose what it is given."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis import exceptions
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from fauxvider.errors import StoreAwayError, StoreError, StoreUnfitError, UsageError

__all__ = ["PREFIX", "Server", "failure", "forget_node", "node_key", "open_server", "patience"]

PREFIX = "fauxvider:"
FORMAT = "1"
_OLDEST = (6, 2)
_LEASE_S = 5.0
_LEASES = (0.2, 3600.0)
_OPTIONS = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_PATIENCE_S = 5.0  # for one answer
_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError)
_KEPT_OUT = (exceptions.AuthenticationError, exceptions.AuthorizationError)  # these are ConnectionErrors too
_RETRIES = 6  # 0.05 s, doubled up to 1 s: a restart of the server is sat out


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is fit for use. ``shown`` is its address without a password.

    ``client`` asks again when it gets no answer; ``once`` does not, for what must know whether it was asked twice.
    """

    client: Any
    once: Any
    shown: str
    node: str
    secret: str
    lease_s: float

    def leave(self) -> bool:
        """Say that this node is gone, and whether the server has heard; one that is gone itself will find out."""
        try:
            self.client.delete(node_key(self.node))
        except exceptions.RedisError:
            return False
        else:
            return True
        finally:
            self.client.close()
            self.once.close()


def open_server(url: str, *, power_loss: bool, node: str = "") -> Server:
    """Connect and look.

    Raises UsageError for a bad address, StoreAwayError for a server that is not reached, StoreUnfitError for one
    that will not do.
    """
    client, lease_s = _client(url)
    once, _ = _client(url, retry=Retry(NoBackoff(), 0))
    shown = _shown(url)
    _knock(once, shown)
    try:
        doubt = _doubt(client, power_loss=power_loss)
        secret = "" if doubt else _secret(client)
    except exceptions.RedisError as error:
        client.close()
        once.close()
        raise failure(shown, error, unfit=StoreUnfitError) from None
    if doubt:
        client.close()
        once.close()
        raise StoreUnfitError(f"{shown}: {doubt}")
    return Server(client, once, shown, node or secrets.token_hex(8), secret, lease_s)


def _knock(once: Any, shown: str) -> None:
    """Raise StoreUnfitError for a server that lets nobody in with these words: it would be asked in vain again."""
    try:
        once.ping()
    except _KEPT_OUT as error:
        once.close()
        raise failure(shown, error, unfit=StoreUnfitError) from None
    except exceptions.RedisError:  # it may be better in a moment: who asks next is patient
        pass


def _secret(client: Any) -> str:
    """Give what all nodes on a server know each other by."""
    client.set(f"{PREFIX}secret", secrets.token_urlsafe(32), nx=True)
    return str(client.get(f"{PREFIX}secret").decode())


def failure(shown: str, error: exceptions.RedisError, *, unfit: type[StoreError] = StoreError) -> StoreError:
    """Give what a failed call of the server at `shown` is to us; `unfit`: what it is if the server did answer."""
    is_away = isinstance(error, _AWAY) and not isinstance(error, _KEPT_OUT)
    return (StoreAwayError if is_away else unfit)(f"{shown}: {' '.join(str(error).split()) or type(error).__name__}")


def forget_node(url: str, node: str) -> None:
    """Say that a node is gone. Raises StoreError."""
    client, _ = _client(url)
    try:
        client.delete(node_key(node))
    except exceptions.RedisError as error:
        raise failure(_shown(url), error) from None
    finally:
        client.close()


def node_key(node: str) -> str:
    """Give the key that lives as long as a node does, but for its last lease."""
    return f"{PREFIX}node:{node}"


def patience() -> Retry:
    """Give how often, and after which pauses, a server is asked that does not answer."""
    return Retry(ExponentialBackoff(cap=1.0, base=0.05), _RETRIES)


def _client(url: str, *, retry: Retry | None = None) -> tuple[Any, float]:
    """Give a client, and the lease in seconds that the address asks for."""
    plain, lease_s = _taken_apart(url)
    try:
        client = redis.Redis.from_url(
            plain,
            retry=retry or patience(),
            retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError],
            socket_timeout=_PATIENCE_S,
            socket_connect_timeout=_PATIENCE_S,
            protocol=2,
        )
    except (ValueError, TypeError):  # what it says may quote a password
        raise UsageError(
            f"{_shown(url)!r} is no address of a store: write redis://[USER:PASSWORD@]HOST[:PORT]/DB, and %2F, %23, "
            "%3F, %40 for / # ? @ in a password"
        ) from None
    return client, lease_s


def _taken_apart(url: str) -> tuple[str, float]:
    """Give the address as the library takes it, and the lease in seconds, which is ours."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    text = options.pop("lease", str(_LEASE_S))
    for name in options:
        if name not in _OPTIONS:
            raise UsageError(f"a store's address has no option {name!r} (it has: {', '.join(('lease', *_OPTIONS))})")
    try:
        lease_s = float(text)
    except ValueError:
        lease_s = 0.0
    if not _LEASES[0] <= lease_s <= _LEASES[1]:
        raise UsageError(f"lease={text}: a lease is a number of seconds from {_LEASES[0]} to {_LEASES[1]:.0f}")
    # Not urlunsplit, which makes unix:/path of unix:///path.
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(options)}", lease_s


def _shown(url: str) -> str:
    """Give an address without user and password, even where these were not written as they should be."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _doubt(client: Any, *, power_loss: bool) -> str:
    """Say why a server is not fit; "" for one that is."""
    facts: dict[str, Any] = client.info()
    version = tuple(int(part) for part in str(facts.get("redis_version", "0")).split(".")[:2])
    if version < _OLDEST:
        return f"version {facts.get('redis_version')} is too old: {'.'.join(map(str, _OLDEST))} or newer is needed"
    if facts.get("cluster_enabled"):
        return "a cluster's node: worlds need one server that holds all their keys"
    if facts.get("role") != "master":
        return "a replica, which takes no writes: name its primary"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return f"maxmemory-policy is {policy}, which throws facts away when memory runs short: set noeviction"
    if power_loss and (unsafe := _unsafe(client)):
        return unsafe
    client.set(f"{PREFIX}format", FORMAT, nx=True)
    known = client.get(f"{PREFIX}format").decode()
    if known != FORMAT:
        return f"used by a newer fauxvider (format {known}; this one reads {FORMAT}): use that one, or another database"
    return ""


def _unsafe(client: Any) -> str:
    try:
        found = client.config_get("append*")
    except exceptions.ResponseError:
        return "does not tell whether it writes each command to its disk, which --durable needs"
    if (found.get("appendonly"), found.get("appendfsync")) != ("yes", "always"):
        return "--durable needs a server with appendonly yes and appendfsync always"
    return ""
