"""Putting an emulator together from what ships with the package."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.engine.recipe import Recipe
from fauxvider.errors import UsageError
from fauxvider.ports import Pipeline, Renderer, Sender, StoreFile
from fauxvider.server.drip import DripSender
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.fetcher import Fetcher
from fauxvider.server.sender import Sender as HttpSender
from fauxvider.service.cache import ByteCache
from fauxvider.service.emulator import Emulator
from fauxvider.service.live import LiveRuns
from fauxvider.service.settings import Settings
from fauxvider.service.world import WorldOptions
from fauxvider.stores.memory import MemoryStore
from fauxvider_contracts import provider_names

__all__ = ["build_emulator", "load_contracts"]


_CACHE = 64 * 1024 * 1024
_LIVE_CACHE = 512 * 1024 * 1024  # a synthetic picture is made again in milliseconds, a real one is not


def load_contracts(providers: Iterable[str] = (), files: Iterable[str | Path] = ()) -> dict[str, ContractFile]:
    """Load bundled providers (all of them when neither names nor files are given) and contract files.

    Raises UsageError for an unknown name, ContractError for a wrong file.
    """
    names, paths = list(providers), list(files)
    known = provider_names()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no bundled provider {name!r} (there are: {', '.join(known)})")
    if not names and not paths:
        names = list(known)
    found = {name: open_contract(name) for name in names}
    for path in paths:
        file = ContractFile.read(Path(path))
        file.resolve({})  # a wrong file is told of at once, a bundled one is known to be right
        found[file.provider] = file
    return found


class _Synthetic:
    """The synthetic renderer, loaded with the first picture: Pillow is a tenth of the time that starting takes."""

    name = "synthetic"

    def render(self, recipe: Recipe) -> bytes:
        from fauxvider.renderers.synthetic import SyntheticRenderer

        return SyntheticRenderer().render(recipe)


def build_emulator(
    *,
    providers: Iterable[str] = (),
    files: Iterable[str | Path] = (),
    defaults: WorldOptions | None = None,
    egress: EgressPolicy | None = None,
    base_url: str = "http://127.0.0.1:8900",
    renderer: Renderer | None = None,
    sender: Sender | None = None,
    metadata: bool = True,
    pipeline: Pipeline | None = None,
    file: StoreFile | None = None,
) -> Emulator:
    """Make an emulator with facts in memory, or in a store `file`; then let it `begin`.

    With a `pipeline`, jobs really run; start it (`settings.live.start`) before the first request.
    """
    policy = egress or EgressPolicy()
    settings = Settings(
        renderer=renderer or _Synthetic(),
        sender=sender or HttpSender(policy),
        executor=ThreadPoolExecutor(max_workers=2, thread_name_prefix="fauxvider-render"),
        cache=ByteCache(_CACHE if pipeline is None else _LIVE_CACHE),
        base_url=base_url,
        fetch=Fetcher(policy).fetch,
        metadata=metadata,
        live=None if pipeline is None else LiveRuns(pipeline),
        dripping=lambda seconds: DripSender(policy, seconds=seconds),
    )
    return Emulator(
        load_contracts(providers, files), settings=settings, store=MemoryStore, defaults=defaults, file=file
    )
