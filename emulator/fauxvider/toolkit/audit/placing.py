"""Whose request it was: the provider, the origin and the path, from the address alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from fauxvider.contract.parse import ContractFile

__all__ = ["Placed", "Places"]

# How an emulator lays providers out: /NAME/..., /NAME/~ORIGIN/..., /w/WORLD/NAME/...
_LOCAL = re.compile(
    r"(?:/w/[A-Za-z0-9-]+)?/(?P<provider>[a-z][a-z0-9-]*)(?:/~(?P<origin>[A-Za-z0-9_-]+))?(?P<path>/.*)?"
)


@dataclass(frozen=True, slots=True)
class Placed:
    provider: str
    origin: str
    path: str  # decoded, as the contract's paths are
    query: str


class Places:
    """The addresses of contracts: their own, and the base URLs that somebody says stand for them."""

    def __init__(self, files: Mapping[str, ContractFile], bases: Mapping[str, str]) -> None:
        self._hosts: dict[str, list[tuple[str, str, str]]] = {}
        self._files = files
        for name, file in files.items():
            for origin, url in file.origin_urls.items():
                self._add(url, name, origin)
        for name, url in bases.items():
            self._add(url, name, next(iter(files[name].origin_urls)))

    def _add(self, url: str, provider: str, origin: str) -> None:
        parts = urlsplit(url)
        self._hosts.setdefault(parts.netloc.lower(), []).append((parts.path.rstrip("/"), provider, origin))

    def find(self, url: str) -> Placed | None:
        """Place an address; None for somebody else's."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            port = parts.port
        except ValueError:
            return None
        netloc = host if port in (None, 443, 80) else f"{host}:{port}"
        for prefix, provider, origin in sorted(self._hosts.get(netloc, []), reverse=True):
            if parts.path == prefix or parts.path.startswith(f"{prefix}/"):
                return Placed(provider, origin, unquote(parts.path[len(prefix) :]) or "/", parts.query)
        found = _LOCAL.fullmatch(parts.path)
        if found is None or found["provider"] not in self._files:
            return None
        origins = self._files[found["provider"]].origin_urls
        origin = found["origin"] or next(iter(origins))
        return (
            Placed(found["provider"], origin, unquote(found["path"] or "/"), parts.query) if origin in origins else None
        )
