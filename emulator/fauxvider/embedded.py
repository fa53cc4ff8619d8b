"""An emulator inside a Python process: served from a thread, steered by plain method calls."""

from __future__ import annotations

import gzip
import secrets
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from fauxvider.analysis.verdict import Verdict
from fauxvider.errors import UsageError
from fauxvider.ports import Pipeline, SharedFile
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.runner import RunSettings, ServerThread
from fauxvider.service.emulator import DEFAULT_WORLD, Emulator
from fauxvider.service.options import read_options
from fauxvider.service.reports import Report
from fauxvider.service.saving import capsule_bytes
from fauxvider.service.sharing import Elsewhere
from fauxvider.service.world import WorldOptions
from fauxvider.stores.opening import open_store
from fauxvider.values import parse_span

if TYPE_CHECKING:
    from fauxvider.server.shared import Node

__all__ = ["BaseServer", "Server", "WorldHandle"]

T = TypeVar("T")


class BaseServer(ABC):
    """An emulator and its worlds; where its event loop runs is what the two servers differ in."""

    def __init__(self, emulator: Emulator, defaults: dict[str, Any]) -> None:
        self.emulator = emulator
        self._record = bool(defaults.get("record", True))
        self.emulator.defaults = self._options(defaults)
        if emulator.file is None:
            self.emulator.begin(self.emulator.defaults)
        self.app: ProviderApp = self._face()

    def _face(self) -> ProviderApp:
        return ProviderApp(self.emulator)

    async def _make(self, name: str, options: WorldOptions) -> None:
        self.emulator.make_world(name, options)

    def _options(self, given: dict[str, Any]) -> WorldOptions:
        return read_options(given, self.emulator.default_contracts, defaults=self.emulator.defaults)

    @abstractmethod
    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the emulator's event loop."""

    @abstractmethod
    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine on the emulator's event loop, for a caller whose own loop must go on."""

    def find(self, name: str) -> WorldHandle:
        """Give a world that there is: one that a store had kept, for example. Raises UnknownWorldError."""
        self.call(self._find(name))
        return WorldHandle(self, name)

    async def _find(self, name: str) -> None:
        self.emulator.world(name)

    @property
    def default(self) -> WorldHandle:
        return WorldHandle(self, DEFAULT_WORLD)

    def base_url(self, provider: str) -> str:
        """Give the provider's API address in the default world."""
        return self.default.base_url(provider)

    def world(self, **options: Any) -> WorldHandle:
        """Make a world; options as `POST /worlds` takes them (name, seed, clock, now, step, readings, ...).

        Without a seed it gets one of its own, so that no id of it is known in another world. It is recorded,
        so that it can be saved, unless `record` is False.
        """
        name = options.get("name") or secrets.token_hex(16)
        made = self._options({"seed": secrets.randbits(62), "record": self._record, **options})

        self.call(self._make(name, made))
        return WorldHandle(self, name)


class Server(BaseServer):
    """All bundled providers (or those named) on a free port of the loopback interface.

        with Server() as server, server.world(clock="manual") as world:
            client = Client(base_url=world.base_url("acme"))
            ...
            world.advance("7d 1s")

    Raises UsageError, ContractError or PortTakenError when it cannot start.
    """

    def __init__(
        self,
        *,
        providers: Iterable[str] = (),
        contracts: Iterable[str | Path] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        egress: EgressPolicy | None = None,
        settings: RunSettings | None = None,
        pipeline: Pipeline | None = None,
        warm: bool = False,
        metadata: bool = True,
        store: str = "memory:",
        durable: bool = False,
        **defaults: Any,
    ) -> None:
        """Make a server; `pipeline` really renders (docs/real-pipeline.md), and `warm` waits for its model.

        `store` is where worlds are kept (docs/stores.md); `durable` keeps what was acknowledged through a
        power cut, too. Raises StoreError for one that cannot be used.
        """
        self._warm = warm
        self._node: Node | None = None
        emulator = build_emulator(
            providers=providers,
            files=contracts,
            egress=egress,
            pipeline=pipeline,
            metadata=metadata,
            file=open_store(store, power_loss=durable),
        )
        super().__init__(emulator, defaults)
        self._thread = ServerThread(self.app, host=host, port=port, settings=settings)
        self.emulator.settings.base_url = self._thread.urls.provider

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()
        try:
            self.call(self._open())
        except BaseException:
            self.stop()
            raise

    def _face(self) -> ProviderApp:
        file = self.emulator.file
        if not isinstance(file, SharedFile):
            return super()._face()
        from fauxvider.server.shared import Node, SharedApp

        self._node = Node(self.emulator, file, lets_go=False)  # handles hold on to the worlds of this process
        return SharedApp(self.emulator, None, self._node)

    async def _make(self, name: str, options: WorldOptions) -> None:
        if self._node is None:
            await super()._make(name, options)
        elif isinstance(await self._node.sharing.make(name, options), Elsewhere):
            raise UsageError(f"another process has a world {name!r} in this store: choose another name")

    async def _find(self, name: str) -> None:
        found = None if self._node is None else await self._node.sharing.find(name)
        if isinstance(found, Elsewhere):
            raise UsageError(f"another process has the world {name!r} of this store")
        await super()._find(name)

    async def _open(self) -> None:
        if self._node is not None:
            await self._node.start(self.emulator.defaults)
        elif self.emulator.file is not None:
            self.emulator.begin(self.emulator.defaults)
        if self.emulator.settings.live is not None:
            await self.emulator.settings.live.start(warm=self._warm)

    def stop(self) -> None:
        self.call(self._close())
        self._thread.stop()

    async def _close(self) -> None:
        if self._node is not None:
            await self._node.stop()
        self.emulator.close()
        if self.emulator.settings.live is not None:
            await self.emulator.settings.live.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's event loop."""
        return self._thread.call(work)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return self._thread.begin(work)

    @property
    def url(self) -> str:
        return self._thread.urls.provider


class WorldHandle:
    """One world of a running server. As a context manager it is dropped at the end."""

    def __init__(self, server: BaseServer, name: str) -> None:
        self._server = server
        self.name = name

    def __enter__(self) -> WorldHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def base_url(self, provider: str, origin: str = "") -> str:
        """Give the address that stands for a provider's API, or for another of its origins."""

        async def find() -> str:
            found = self._server.emulator.world(self.name).provider(provider)
            return found.base(origin or found.contract.api.name, "local")

        return self._server.call(find())

    def now(self) -> int:
        """Give the world's moment, ms since the epoch."""
        return self._server.emulator.world(self.name).present()

    def advance(self, by: str | float) -> list[dict[str, Any]]:
        """Move a virtual clock by a span ("7d 1s", or seconds), settle what falls due, give what happened."""
        return self._server.call(self._server.emulator.world(self.name).advance(parse_span(by)))

    def jobs(self) -> list[dict[str, Any]]:
        return self._server.call(self._server.emulator.jobs(self.name))

    def deliveries(self) -> list[dict[str, Any]]:
        return self._server.call(self._server.emulator.deliveries(self.name))

    def ledger(self) -> dict[str, Any]:
        return self._server.call(self._server.emulator.ledger(self.name))

    def journal(self) -> dict[str, Any]:
        async def read() -> dict[str, Any]:
            return self._server.emulator.journal(self.name)

        return self._server.call(read())

    def report(self) -> Report:
        """Give what the journal tells so far: verdict, bill, near misses, story, timeline page."""

        async def read() -> Report:
            return Report(self._server.emulator, self.name)

        return self._server.call(read())

    def verdict(self, *, ignore: Iterable[str] = ()) -> Verdict:
        """Grade the client by what it did in this world; `ignore` names rules that do not matter here."""
        return self.report().verdict(ignore=frozenset(ignore))

    def scenario(self) -> dict[str, Any]:
        """Say which rules of the world's scenario took effect, and which never did."""

        async def read() -> dict[str, Any]:
            return self._server.emulator.scenario(self.name)

        return self._server.call(read())

    def note(self, said: str, *, job: str = "", text: str = "") -> None:
        """Write down what the client did with a job: processed, saved, failed, gave_up, believes; or its budget."""

        async def write() -> None:
            self._server.emulator.note(self.name, {"said": said, "job": job, "text": text})

        self._server.call(write())

    def force(self, job_id: str, *, failure: str = "") -> dict[str, Any]:
        """Decide now how a job ends: with a failure that the contract names, or ("") with success."""
        return self._server.call(self._server.emulator.force(self.name, job_id, failure=failure))

    def capsule(self) -> bytes:
        """Give the run so far as a capsule (docs/capsules.md). Raises UsageError when it was not recorded."""

        async def write() -> bytes:
            return capsule_bytes(self._server.emulator, self.name)

        return self._server.call(write())

    def save(self, path: str | Path) -> None:
        """Save the run so far as a capsule, packed when the name ends with ``.gz``."""
        data = self.capsule()
        packed = gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data
        Path(path).write_bytes(packed)

    def drop(self) -> None:
        async def drop() -> None:
            self._server.emulator.drop_world(self.name)

        self._server.call(drop())
