"""Expiring URLs of files: making them, recognising them, and telling whether they still live."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fauxvider.contract.model import Contract, Url

__all__ = ["FileRoute", "FileRoutes", "is_past", "split_token", "token_serial"]

_HOLE = re.compile(r"\{([a-z_.]+)\}")
_GROUPS = {
    "file.token": r"(?P<token>[a-z0-9]{16,64})",
    "file.key": r"(?P<file_key>.+)",
    "file.number": r"(?P<number>\d{1,4})",
    "file.ext": r"[A-Za-z0-9]{1,8}",
    "job.id": r"(?P<job>[^/]+)",
    "asset.id": r"(?P<asset>[^/]+)",
    "asset.key": r"(?P<asset_key>.+)",
}
_PER_JOB = 64  # a token's serial holds the job's number and the picture's


def token_serial(job_number: int, picture: int) -> int:
    return job_number * _PER_JOB + picture


def split_token(serial: int) -> tuple[int, int]:
    """Give (job number, picture number) of a token's serial."""
    return divmod(serial, _PER_JOB)


@dataclass(frozen=True, slots=True)
class FileRoute:
    """A URL rule and the path that it recognises (named groups: token, job, number, ...)."""

    url: Url
    pattern: re.Pattern[str]


class FileRoutes:
    """The file routes of a contract, by origin; several rules may share one path."""

    def __init__(self, contract: Contract) -> None:
        self._by_origin: dict[str, list[FileRoute]] = {}
        for url in contract.urls.values():
            self._by_origin.setdefault(url.origin, []).append(FileRoute(url, _pattern(url.path)))

    def find(self, origin: str, path: str) -> Iterable[tuple[Url, Mapping[str, str]]]:
        for route in self._by_origin.get(origin, ()):
            if found := route.pattern.fullmatch(path):
                yield route.url, {name: value for name, value in found.groupdict().items() if value is not None}

    def serves(self, origin: str) -> bool:
        return origin in self._by_origin


def _pattern(path: str) -> re.Pattern[str]:
    parts, at = [], 0
    for hole in _HOLE.finditer(path):
        parts.append(re.escape(path[at : hole.start()]))
        parts.append(_GROUPS.get(hole[1], r"[^/]+"))
        at = hole.end()
    parts.append(re.escape(path[at:]))
    return re.compile("".join(parts))


def is_past(url: Url, *, since: int, moment: int) -> bool:
    """Tell whether a URL that lives from `since` on is dead at `moment`: alive to the last ms of its life."""
    return url.lives is not None and moment > since + url.lives
