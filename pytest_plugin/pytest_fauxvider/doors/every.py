"""All doors at once: each whose library is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fauxvider import WorldHandle

__all__ = ["all_doors"]


@contextlib.contextmanager
def all_doors(world: WorldHandle) -> Iterator[None]:
    """Answer the providers' own hosts in `world`, for every client library that is here."""
    from pytest_fauxvider.doors.for_requests import requests_door

    with contextlib.ExitStack() as stack:
        stack.enter_context(requests_door(world))
        if find_spec("respx") is not None:
            from pytest_fauxvider.doors.for_httpx import httpx_door

            stack.enter_context(httpx_door(world))
        if find_spec("aiohttp") is not None:
            from pytest_fauxvider.doors.for_aiohttp import aiohttp_door

            stack.enter_context(aiohttp_door(world))
        yield
