"""The server of a test session and the world of a test: fauxvider's own, with what tests ask of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio.to_thread

from fauxvider import Contract, Receiver, Server, UsageError, WorldHandle
from fauxvider.analysis.verdict import RULES, verdict_text
from fauxvider.receiver import Answers
from fauxvider.scenario.model import NO_SCENARIO
from fauxvider.values import decimal_text, parse_money
from pytest_fauxvider.asked import ARGUMENTS, check_names, merged
from pytest_fauxvider.clocks import WorldClock
from pytest_fauxvider.options import Options, read_checks, seed_for
from pytest_fauxvider.reporting import is_reported, note_text
from pytest_fauxvider.scenarios import find_scenario
from pytest_fauxvider.sleeping import virtual_sleep
from pytest_fauxvider.sleeping_clocks import STATE
from pytest_fauxvider.strict import StrictError, problems, told

__all__ = ["FauxServer", "FauxWorld", "Plan"]

_SERVER = ("providers", "contracts", "host", "port", "egress", "settings", "pipeline", "warm", "metadata")
_OF_WORLDS = ("scenario", "clock", "now", "readings", "seed", "keys", "balances", "limits")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a world beside its options. `strict`: checks at its end; `ignore`: rules that do not matter."""

    providers: tuple[str, ...] = ()
    strict: frozenset[str] = frozenset()
    ignore: tuple[str, ...] = ()
    sleeps: bool = False
    answers: Answers | None = None


class FauxServer(Server):
    """The emulator of a test session: a `fauxvider.Server` whose worlds begin as the options and settings say."""

    def __init__(self, options: Options, *, traces: Path | None = None, **settings: Any) -> None:
        """Make a server; `settings` are what `fauxvider.Server` takes, and defaults of the marker's arguments.

        `traces` is the folder for what is kept of failures; None: nothing is.
        """
        self.traces = traces
        of_server = {name: value for name, value in settings.items() if name in _SERVER}
        of_worlds = {name: value for name, value in settings.items() if name not in _SERVER}
        check_names(of_worlds, f"fauxvider_settings (beside {', '.join(_SERVER)})")
        self.contract_files = tuple(Path(path).resolve() for path in of_server.get("contracts", ()))
        self._options_asked = options
        self._settings = of_worlds
        base = merged(options.ini, of_worlds, options.line)
        given = {name: base[name] for name in _OF_WORLDS if name in base and name != "scenario"}
        super().__init__(**of_server, **{"seed": options.seed, **given})

    def __enter__(self) -> Self:
        self.start()
        return self

    def world(self, *providers: str, **options: Any) -> FauxWorld:
        """Make a world as the marker makes one, with its arguments; `name` too.

        In a `with` block it sleeps virtually, is checked at the block's end, and dropped. Raises UsageError.
        """
        return self.planned(providers, options)

    def planned(
        self, providers: Iterable[str], options: Mapping[str, Any], *, test: str = "", folders: tuple[Path, ...] = ()
    ) -> FauxWorld:
        """Make a world for a test (its node's name); files that `options` name are looked for in `folders`."""
        asked = {key: value for key, value in options.items() if key != "name"}
        try:
            check_names(asked, "a world")
        except ValueError as error:
            raise UsageError(str(error)) from None
        test = test or os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        options_said, settings = self._options_asked, self._settings
        scenario = merged(settings, asked).get("scenario")
        found = NO_SCENARIO
        if scenario is not None:
            found = find_scenario(scenario, contracts=self.emulator.default_contracts, folders=folders)
        whole = merged(
            {"seed": seed_for(options_said.seed, test)},
            options_said.ini,
            settings,
            {key: value for key, value in found.world.items() if key != "name"},
            options_said.line,
            asked,
            {"scenario": found},
        )
        plan = self._plan(tuple(providers) or _named(found.provider), whole)
        name = options.get("name") or self._free_name(test)
        super().world(name=name, **_world_options(whole))
        return FauxWorld(self, name, plan, test=test)

    def _plan(self, providers: tuple[str, ...], asked: Mapping[str, Any]) -> Plan:
        for provider in providers:
            if provider not in self.emulator.contracts:
                known = ", ".join(self.emulator.contracts)
                raise UsageError(f"there is no provider {provider!r} (there are: {known})")
        options = self._options_asked
        try:
            strict = read_checks(asked["strict"], options.strict) if "strict" in asked else options.strict
        except ValueError as error:
            raise UsageError(str(error)) from None
        sleep = asked.get("sleep", options.sleep)
        if sleep not in ("virtual", "real"):
            raise UsageError(f"sleep {sleep!r} is not 'virtual' or 'real'")
        return Plan(
            providers=providers,
            strict=strict,
            ignore=_rules(options.ignore, asked.get("ignore", ())),
            sleeps=sleep == "virtual",
            answers=asked.get("answers"),
        )

    def _free_name(self, test: str) -> str:
        """Give a name that is the same in every run: it stands in URLs, and the salt of fingerprints is made of it."""
        stem = hashlib.blake2b(test.encode(), digest_size=6).hexdigest()
        name, number = stem, 1
        while self.emulator.find_world(name) is not None:
            number += 1
            name = f"{stem}-{number}"
        return name


def _rules(everywhere: Iterable[str], here: str | Iterable[str]) -> tuple[str, ...]:
    found = (*everywhere, *([here] if isinstance(here, str) else here))
    for name in found:
        if name not in RULES:
            raise UsageError(f"there is no rule {name!r} (there are: {', '.join(RULES)})")
    return found


def _named(provider: str | None) -> tuple[str, ...]:
    return () if provider is None else (provider,)


def _world_options(whole: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in whole.items() if name in _OF_WORLDS or name not in ARGUMENTS}
    if isinstance(given.get("keys"), tuple):
        given["keys"] = list(given["keys"])
    return given


class FauxWorld(WorldHandle):
    """A world of a test: everything that `fauxvider.WorldHandle` has, and what a test asks beside that."""

    def __init__(self, server: FauxServer, name: str, plan: Plan, *, test: str = "") -> None:
        """`test`: the name of the node that it is made for."""
        super().__init__(server, name)
        self.test = test
        self.server = server
        self.plan = plan
        clock = server.emulator.world(name).clock
        self.clock = WorldClock(self, is_virtual=clock.is_virtual)
        self._stack = ExitStack()
        self._receiver: Receiver | None = None
        self._is_told = False
        self._strays_before = server.app.stray_count

    def __repr__(self) -> str:
        return f"<fauxvider world {self.name}, {', '.join(self.plan.providers) or 'every provider'}>"

    # --- its life

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.check()
            elif isinstance(error, Exception):
                self.tell(error)
        except StrictError as ended:
            self.tell(ended)
            raise
        finally:
            self.close()

    def open(self) -> None:
        """Begin: from now on the test's own sleeping passes in this world, if it is asked to."""
        self._stack.enter_context(self._sleeping())

    def _sleeping(self) -> AbstractContextManager[Any]:
        if not (self.plan.sleeps and self.clock.is_virtual):
            return nullcontext()
        if STATE.session is not None:
            return nullcontext()  # a world within a world: what is slept passes in the outer one
        return virtual_sleep(self)

    def check(self) -> None:
        """Raise StrictError when one of the checks of the plan finds something."""
        __tracebackhide__ = True
        if found := problems(self):
            raise StrictError(told(found, where="what asks for the world"))

    def tell(self, error: Exception, kept: dict[str, Path] | None = None) -> None:
        """Add the story to an error that goes through the world's block; `kept` are files that were kept of it."""
        if self._is_told or not is_reported():
            return
        self._is_told = True
        error.add_note(note_text(self, kept, is_judged=isinstance(error, StrictError)))

    def close(self) -> None:
        """End: receivers stop, sleeping takes time again, the world is dropped."""
        try:
            self._stack.close()
        finally:
            self.drop()

    # --- where it is

    @property
    def provider(self) -> str:
        """The provider that the test is about: the one that it names, or the only one that is served."""
        names = self.plan.providers or tuple(self.server.emulator.contracts)
        if len(names) == 1:
            return names[0]
        how = "one of those that the test names" if self.plan.providers else 'as @pytest.mark.fauxvider("NAME") does'
        raise UsageError(f"name the provider, {how}: {', '.join(names)}")

    def contract(self, provider: str = "") -> Contract:
        """Give a provider's contract under the world's readings."""
        return self.server.emulator.world(self.name).provider(provider or self.provider).contract

    def base_url(self, provider: str = "", origin: str = "") -> str:
        """Give the address that stands for a provider's API (of the test's own one without a name), or for a file host.

        Raises UsageError when it is not clear which provider is meant.
        """
        return super().base_url(provider or self.provider, origin)

    # --- callbacks

    @property
    def receiver(self) -> Receiver:
        """A callback receiver, started when it is first asked for; the marker's `answers` are what it says."""
        if self._receiver is None:
            self._receiver = self.receive(self.plan.answers)
        return self._receiver

    def receive(self, answers: Answers | None = None, **options: Any) -> Receiver:
        """Start a receiver of your own (see `fauxvider.Receiver`), dated by this world; it stops when the test ends."""
        return self._stack.enter_context(Receiver(answers, clock=self.now, **options))

    # --- time

    async def aadvance(self, by: str | float) -> list[dict[str, Any]]:
        """Do what `advance` does while the test's own loop goes on: a callback may come to a handler in it."""
        return await anyio.to_thread.run_sync(self.advance, by)

    # --- what happened

    def requests(self, **facts: object) -> list[dict[str, Any]]:
        """Give the requests that were answered, as the journal has them.

        `facts` narrow it down: `requests(does="submit", status=429)`. Raises UsageError for a fact that no
        request has (docs/journal.md).
        """
        for name in facts:
            if name not in _FACTS:
                raise UsageError(f"a request has no fact {name!r} (it has: {', '.join(_FACTS)})")
        entries = self.journal()["entries"]
        return [
            entry
            for entry in entries
            if entry["kind"] == "request" and all(entry.get(name) == value for name, value in facts.items())
        ]

    def strays(self) -> list[str]:
        """Give the requests, a line each, that reached the server since the world was made, and no provider on it."""
        fresh = self.server.app.stray_count - self._strays_before
        return [f"{method} {path}" for method, path in list(self.server.app.strays)[-fresh:]] if fresh else []

    def story(self) -> list[str]:
        """Tell what happened, a line an event."""
        return self.report().story()

    def near_misses(self) -> list[str]:
        """Say why requests were refused, or failed for what they ask, in the contract's terms, a line each."""
        return list(dict.fromkeys(missed.text for missed in self.report().near_misses()))

    def charged(self, provider: str = "") -> Decimal:
        """Give what was charged, in the unit of the provider's account. Raises UsageError for an unknown one."""
        accounts, name = self.ledger()["providers"], provider or self.provider
        if name not in accounts:
            raise UsageError(f"there is no provider {name!r} (there are: {', '.join(accounts)})")
        return Decimal(accounts[name]["total"])

    # --- what is to be so

    def assert_charged(self, amount: str | int | Decimal, provider: str = "") -> None:
        """Fail, with the bill, unless exactly this was charged."""
        __tracebackhide__ = True
        wanted, total = parse_money(amount), self.charged(provider)
        if total != wanted:
            bill = self.report().ledger_text()
            raise AssertionError(f"{decimal_text(total)} was charged, not {decimal_text(wanted)}\n\n{bill}")

    def assert_delivered(self, count: int | None = None, *, event: str = "") -> None:
        """Fail, with the story of each, unless every callback (of that event) was taken, and `count` of them were."""
        __tracebackhide__ = True
        found = [one for one in self.deliveries() if event in ("", one["event"])]
        taken = [one for one in found if one["state"] == "delivered"]
        wanted = max(len(found), 1) if count is None else count
        if len(taken) != wanted or (count is None and not found):
            what = f"{event} callbacks" if event else "callbacks"
            raise AssertionError(
                "\n".join([f"{len(taken)} of {wanted} {what} were taken", *map(_delivery_text, found)])
            )

    def assert_clean(self, *, ignore: Iterable[str] = ()) -> None:
        """Fail, with the verdict, when the client did anything wrong, risks included."""
        __tracebackhide__ = True
        verdict = self.verdict(ignore={*self.plan.ignore, *ignore})
        if not verdict.is_clean:
            raise AssertionError(verdict_text(verdict).rstrip())


_FACTS = (
    "provider", "operation", "does", "method", "path", "status", "job", "cause", "number", "state", "word",
    "retry_after", "intent", "fingerprint", "fault",
)  # fmt: skip


def _delivery_text(one: Mapping[str, Any]) -> str:
    tries = [str(tried["status"] or tried["error"]) for tried in one["attempts"]]
    return f"  {one['event']} of job {one['job_id']}: {one['state']}; attempts: {', '.join(tries) or 'none yet'}"
