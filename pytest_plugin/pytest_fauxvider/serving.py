"""Starting the server of a session: what is wrong with its settings is told in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fauxvider import FauxviderError
from pytest_fauxvider.options import Options
from pytest_fauxvider.world import FauxServer

__all__ = ["serving"]


@contextmanager
def serving(
    options: Options,
    settings: Mapping[str, Any],
    contracts: Sequence[str | Path],
    *,
    traces: Path | None = None,
) -> Iterator[FauxServer]:
    """Serve while the block runs: the bundled providers (or those that `settings` name) and the files."""
    given = dict(settings)
    files = [*given.pop("contracts", ()), *contracts]
    if files and "providers" not in given:
        from fauxvider_contracts import provider_names

        given["providers"] = provider_names()
    try:
        server = FauxServer(options, traces=traces, contracts=files, **given)
        server.start()
    except (FauxviderError, ValueError) as error:
        raise pytest.fail.Exception(f"fauxvider: {error}", pytrace=False) from None
    try:
        yield server
    finally:
        server.stop()
