"""The doors as fixtures. They load a client's library, and the emulator, when a test asks for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from pytest_fauxvider.options import OPTIONS, NoEgress

if TYPE_CHECKING:
    from pathlib import Path

    from respx import MockRouter

    from pytest_fauxvider.doors.base import Door
    from pytest_fauxvider.doors.egress_guard import Guard
    from pytest_fauxvider.doors.https import HttpsFront
    from pytest_fauxvider.world import FauxWorld

__all__ = [
    "GUARD",
    "fauxvider_aiohttp",
    "fauxvider_hosts",
    "fauxvider_https",
    "fauxvider_httpx",
    "fauxvider_no_egress",
    "fauxvider_requests",
    "guarded",
    "swallowed",
]

GUARD = pytest.StashKey["Guard"]()


@pytest.fixture
def fauxvider_hosts(fauxvider: FauxWorld) -> Iterator[FauxWorld]:
    """The test's world, answering at the providers' own host names for httpx, httpx2, requests, urllib and aiohttp."""
    from pytest_fauxvider.doors.every import all_doors

    with all_doors(fauxvider):
        yield fauxvider


@pytest.fixture
def fauxvider_httpx(fauxvider: FauxWorld) -> Iterator[MockRouter]:
    """The same for httpx and httpx2 alone: a respx router whose ``calls`` are what they sent."""
    _need("respx", "fauxvider_httpx", "fauxvider[respx]")
    from pytest_fauxvider.doors.for_httpx import httpx_door

    with httpx_door(fauxvider) as router:
        yield router


def _need(library: str, fixture: str, install: str) -> None:
    if find_spec(library) is None:
        pytest.fail(f"{fixture} needs {library}: pip install '{install}'", pytrace=False)


@pytest.fixture
def fauxvider_requests(fauxvider: FauxWorld) -> Iterator[Door]:
    """The same for requests, urllib3, urllib and http.client alone."""
    from pytest_fauxvider.doors.for_requests import requests_door

    with requests_door(fauxvider) as door:
        yield door


@pytest.fixture
def fauxvider_aiohttp(fauxvider: FauxWorld) -> Iterator[Door]:
    """The same for aiohttp alone."""
    _need("aiohttp", "fauxvider_aiohttp", "aiohttp")
    from pytest_fauxvider.doors.for_aiohttp import aiohttp_door

    with aiohttp_door(fauxvider) as door:
        yield door


@pytest.fixture
def fauxvider_https(fauxvider: FauxWorld) -> Iterator[HttpsFront]:
    """An HTTPS front for the providers' own host names: ``env`` is what a client's process is to be started with."""
    from pytest_fauxvider.doors.https import https_front

    with https_front(fauxvider) as front:
        yield front


@pytest.fixture
def fauxvider_no_egress(request: pytest.FixtureRequest) -> Iterator[Guard]:
    """Let no connection to a provider's own host leave this machine; one that a client swallowed fails the test too."""
    with guarded(request.node, "providers", request.config.stash[OPTIONS].contracts) as guard:
        yield guard


@contextmanager
def guarded(item: pytest.Item, block: NoEgress, contracts: Iterable[Path] = ()) -> Iterator[Guard]:
    """Guard a test; `contracts` are files whose providers count beside the bundled ones."""
    from fauxvider import FauxviderError
    from pytest_fauxvider.doors.egress_guard import no_egress, provider_hosts

    try:
        hosts = provider_hosts(contracts)
    except FauxviderError:  # a wrong contract file is told of by the fixture that serves it
        hosts = provider_hosts()
    outer = item.stash.get(GUARD, None)
    with no_egress(hosts, block="all" if block == "all" else "providers") as guard:
        item.stash[GUARD] = guard
        try:
            yield guard
        finally:
            if outer is None:
                del item.stash[GUARD]
            else:
                item.stash[GUARD] = outer


def swallowed(item: pytest.Item) -> str:
    """Say, after a test that has passed, which connections were stopped without its noticing; "" for none."""
    guard = item.stash.get(GUARD, None)
    return "\n".join(str(attempt) for attempt in guard.attempts) if guard is not None else ""
