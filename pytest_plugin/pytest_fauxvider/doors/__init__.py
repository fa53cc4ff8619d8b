"""Doors: how a client whose provider's host name is written into it reaches the emulator, unchanged.

    with Server() as server, server.world(clock="manual") as world, httpx_door(world):
        httpx.post("https://api.provider.example/...")      # answered by `world`, in this process

`httpx_door` (httpx and httpx2, by respx), `requests_door` (requests, urllib3, urllib, http.client) and
`aiohttp_door` answer in process; `all_doors` opens each whose library is there. `no_egress` keeps what has no
door from leaving the machine. For other processes and languages: `fauxvider serve --tls`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_fauxvider.doors.base import EndlessWaitError as EndlessWaitError
    from pytest_fauxvider.doors.egress_guard import EgressError as EgressError
    from pytest_fauxvider.doors.egress_guard import no_egress as no_egress
    from pytest_fauxvider.doors.every import all_doors as all_doors
    from pytest_fauxvider.doors.for_aiohttp import aiohttp_door as aiohttp_door
    from pytest_fauxvider.doors.for_httpx import httpx_door as httpx_door
    from pytest_fauxvider.doors.for_requests import requests_door as requests_door

__all__ = [
    "EgressError",
    "EndlessWaitError",
    "aiohttp_door",
    "all_doors",
    "httpx_door",
    "no_egress",
    "requests_door",
]

_HOMES = {
    "EgressError": "egress_guard",
    "EndlessWaitError": "base",
    "aiohttp_door": "for_aiohttp",
    "all_doors": "every",
    "httpx_door": "for_httpx",
    "no_egress": "egress_guard",
    "requests_door": "for_requests",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
