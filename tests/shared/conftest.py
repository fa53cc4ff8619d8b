"""Worlds that several processes share, on a real Valkey or Redis server.

Without one nothing here is collected, and the report's head says so; where FAUXVIDER_REQUIRE_VALKEY=1 that is an
error, since a suite that was left out must not look green in CI.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.valkey import MISSING, Valkey, required

required()
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str:
    return f"shared stores: {f'not collected, {MISSING}' if MISSING else 'on a real server'}"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as server:
        yield server
