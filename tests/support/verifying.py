"""An emulator with its control plane in a thread, and the planted drifts of the benchmark."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app
from fauxvider.server.runner import Urls, running
from fauxvider.service.emulator import DEFAULT_WORLD
from fauxvider.service.options import read_options
from fauxvider.toolkit.verify.case import Result
from fauxvider.toolkit.verify.client import Client
from fauxvider.toolkit.verify.control import Control
from fauxvider.toolkit.verify.run import Settings, plan, verify

TOKEN = "control-token-of-a-test"
_DRIFT = Path(__file__).parents[2] / "benchmarks" / "drift.py"


def benchmark() -> Any:
    """Load benchmarks/drift.py, which is no package."""
    if "drift_benchmark" not in sys.modules:
        spec = importlib.util.spec_from_file_location("drift_benchmark", _DRIFT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["drift_benchmark"] = module
        spec.loader.exec_module(module)
    return sys.modules["drift_benchmark"]


@contextlib.contextmanager
def served(*files: Path, clock: str = "manual") -> Iterator[Urls]:
    """Serve the bundled providers, or contract files alone."""
    emulator = build_emulator(files=files)
    emulator.defaults = read_options({"clock": clock}, emulator.default_contracts, defaults=emulator.defaults)
    emulator.make_world(DEFAULT_WORLD, emulator.defaults)
    guard = control_app(emulator, token=TOKEN, hosts=frozenset())
    with running(ProviderApp(emulator), guard) as urls:
        emulator.settings.base_url = urls.provider
        guard.hosts = frozenset({f"127.0.0.1:{urlsplit(urls.control).port}"})
        yield urls
    emulator.close()


def control_of(urls: Urls) -> Control:
    return Control(Client(timeout_s=60), urls.control, TOKEN)


def verified(
    urls: Urls, contract: str | ContractFile, *only: str, readings: dict[str, str] | None = None, limits: bool = False
) -> list[Result]:
    """Verify an emulator through its control plane."""
    file = open_contract(contract) if isinstance(contract, str) else contract
    settings = Settings(
        control=control_of(urls), only=only, readings=readings or {}, limits=limits, receiver_host="127.0.0.1"
    )
    return verify(file, settings, plan(file, settings))


def told(results: Sequence[Result]) -> list[str]:
    """Say what failed, for the message of an assertion."""
    return [f"{one.case.name}: {miss}" for one in results for miss in one.mismatches]
