"""Stores by URL: ``memory:``, ``sqlite:///PATH``, ``redis://HOST/0``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from fauxvider.errors import UsageError
from fauxvider.ports import StoreFile

__all__ = ["SCHEMES", "disown", "is_shared", "open_store"]


def _memory(_url: str, _power_loss: bool, _node: str) -> StoreFile | None:
    return None


def _sqlite(url: str, power_loss: bool, _node: str) -> StoreFile | None:
    from fauxvider.stores.sqlite import SqliteFile

    parts = urlsplit(url)
    # sqlite:///name is a relative path and sqlite:////name an absolute one, as elsewhere.
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path or parts.query or parts.fragment:
        raise UsageError(f"{url!r} names no file: write sqlite:///name.db, or sqlite:////absolute/name.db")
    return SqliteFile(path, power_loss=power_loss)


def _redis(url: str, power_loss: bool, node: str) -> StoreFile | None:
    try:
        from fauxvider.stores.redis import RedisFile
    except ImportError:
        raise UsageError("redis:// needs the extra `redis`: pip install 'fauxvider[redis]'") from None
    return RedisFile(url, power_loss=power_loss, node=node)


def _valkey(url: str, power_loss: bool, node: str) -> StoreFile | None:
    return _redis(_plain(url), power_loss, node)


def _plain(url: str) -> str:
    return f"redis{url.removeprefix('valkey')}" if url.startswith("valkey") else url


SCHEMES: Mapping[str, Callable[[str, bool, str], StoreFile | None]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
    "valkey": _valkey,
    "valkeys": _valkey,
}


def open_store(url: str, *, power_loss: bool = False, node: str = "") -> StoreFile | None:
    """Open a store; None stands for memory, where nothing outlives the process.

    `power_loss`: what is acknowledged outlives a power cut too, not the process alone. `node`: this process's
    name in a store that several share. Raises UsageError for a URL that names no store, StoreError when the
    store cannot be used.
    """
    scheme = url.partition(":")[0]
    opener = SCHEMES.get(scheme)
    if opener is None:
        raise UsageError(f"{scheme!r} is not a kind of store (allowed: memory:, sqlite:///PATH, redis://HOST:PORT/0)")
    return opener(url, power_loss, node)


def is_shared(url: str) -> bool:
    """Tell whether several processes can use a store at once."""
    return SCHEMES.get(url.partition(":")[0]) in (_redis, _valkey)


def disown(url: str, node: str) -> None:
    """Say in a shared store that a node has ended for certain: nobody waits for its lease. Raises StoreError."""
    from fauxvider.stores.redis_server import forget_node

    forget_node(_plain(url), node)
