"""Putting an emulator together from what ships with the package."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.engine.recipe import Recipe
from fauxvider.engine.signing import require
from fauxvider.errors import ContractError, UsageError
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


_log = logging.getLogger("fauxvider")
_CACHE = 64 * 1024 * 1024
_PICTURES = ByteCache(16 * 1024 * 1024)
_LIVE_CACHE = 512 * 1024 * 1024  # a synthetic picture is made again in milliseconds, a real one is not


def load_contracts(providers: Iterable[str] = (), files: Iterable[str | Path] = ()) -> dict[str, ContractFile]:
    """Load bundled providers (all of them when neither names nor files are given) and contract files.

    Of all, those are left out (with a warning) that need a library which is not installed. Raises UsageError for
    an unknown name, and where something named needs such a library; ContractError for a wrong file.
    """
    names, paths = list(providers), list(files)
    known = provider_names()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no bundled provider {name!r} (there are: {', '.join(known)})")
    is_all = not names and not paths
    if is_all:
        names = list(known)
    found = {name: open_contract(name) for name in names}
    for name in names:
        if find_spec("cryptography") is None and (lacking := _lacking(found[name])):
            if is_all:
                _log.warning("%s is left out: %s", name, lacking)
                del found[name]
            else:
                raise UsageError(f"{name} cannot be served: {lacking}")
    for path in paths:
        file = ContractFile.read(Path(path))
        _check_faces(file)  # a wrong file is told of at once, a bundled one is known to be right
        if lacking := _lacking(file):
            raise UsageError(f"{path} cannot be served: {lacking}")
        found[file.provider] = file
    return found


def _check_faces(file: ContractFile) -> None:
    """Raise ContractError for a contract that could be asked for a refusal which it has no words for."""
    from fauxvider.contract.lint import missing_faces  # bundled contracts need it never

    for missing in missing_faces(file.resolve({}), file.resolved({}), file.file):
        raise ContractError(missing.problem, place=missing.place)


def _lacking(file: ContractFile) -> str:
    """Say which library a contract needs that is not installed; "" if none."""
    callbacks = file.resolve({}).callbacks
    try:
        require(callbacks.signature if callbacks is not None else None)
    except UsageError as missing:
        return str(missing)
    return ""


class _Synthetic:
    """The synthetic renderer, loaded with the first picture: Pillow is a tenth of the time that starting takes.

    The pixels of the last pictures are kept for all emulators of the process: tests ask for the same ones again and
    again, each in a world of its own.
    """

    name = "synthetic"

    def render(self, recipe: Recipe) -> bytes:
        from fauxvider.renderers.synthetic import SyntheticRenderer, stamped

        key = recipe.key()
        data = _PICTURES.get(key)
        if data is None:
            data = SyntheticRenderer().render(replace(recipe, metadata=False))
            _PICTURES.put(key, data)
        return stamped(data, recipe)


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
