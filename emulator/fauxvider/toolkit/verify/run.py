"""Running the cases of a contract against a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase

from fauxvider.clock import monotonic_ms
from fauxvider.contract.parse import ContractFile
from fauxvider.errors import UsageError
from fauxvider.toolkit.verify.case import Case, Result
from fauxvider.toolkit.verify.cases import all_cases
from fauxvider.toolkit.verify.client import Client, UnreachableError
from fauxvider.toolkit.verify.control import Control
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Purse, Session
from fauxvider.toolkit.verify.wants import Mismatch

__all__ = ["Settings", "estimate", "plan", "verify"]

_MISSING = {
    "control": "it needs worlds and a clock that can be moved (--control)",
    "receiver": "it needs a receiver that the server can reach (--receiver-host)",
    "limits": "limits are tried only when asked for (--limits)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server is asked, and out of which purse. Spans in ms."""

    base_url: str = ""
    key: str = "key-of-verify"
    readings: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] = ()
    purse: Purse = field(default_factory=lambda: Purse(None))
    control: Control | None = None
    limits: bool = False
    receiver_host: str = ""
    receiver_port: int = 0
    patience_ms: int = 120_000
    client: Client = field(default_factory=Client)
    heard: Callable[[str], None] | None = None  # what is asked, and what is waited for, as it happens


def plan(file: ContractFile, settings: Settings) -> list[Case]:
    """List the cases that fit what was asked for, those that cost nothing first."""
    session = _session(file, settings)
    cases = [case for case in all_cases(session) if _is_wanted(case, settings.only)]
    if not cases:
        raise UsageError(f"no case fits --only {' '.join(settings.only)} (patterns fit a case's name or rule)")
    return sorted(cases, key=lambda case: case.price)


def _is_wanted(case: Case, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        fnmatchcase(text, pattern) or fnmatchcase(text, f"{pattern}*")
        for pattern in patterns
        for text in (case.name, case.rule)
    )


def estimate(cases: Iterable[Case], settings: Settings) -> Decimal:
    """Give what the cases that can be asked cost at most, in the account's unit."""
    return sum((case.price for case in cases if not _lacking(case, settings)), Decimal(0))


def verify(
    file: ContractFile, settings: Settings, cases: Sequence[Case], *, told: Callable[[int, Result], None] | None = None
) -> list[Result]:
    """Ask every case; `told` hears of each result. Raises UnreachableError when the server was never there."""
    results: list[Result] = []
    for number, case in enumerate(cases, 1):
        result = _asked(file, settings, case, is_first=not any(one.outcome != "not checked" for one in results))
        results.append(result)
        if told is not None:
            told(number, result)
    return results


def _asked(file: ContractFile, settings: Settings, case: Case, *, is_first: bool) -> Result:
    lacking = _lacking(case, settings)
    if lacking:
        return Result(case, "not checked", _MISSING[lacking])
    purse = settings.purse
    if not purse.covers(case.price):
        unit = file.resolve(settings.readings).account.unit
        return Result(case, "not checked", f"it costs {case.price} {unit}, which would pass the budget (--budget)")
    began = monotonic_ms()
    if settings.heard is not None:
        settings.heard(f"asks: {case.name}")
    session = _session(file, settings, case)
    try:
        case.ask(session)
    except NotAskedError as reason:
        if not session.found:
            return Result(case, "not checked", str(reason))
    except UnreachableError as problem:
        if is_first:
            raise
        session.found.append(Mismatch(case.rule, "answer", "an HTTP answer", str(problem), kind="type"))
    finally:
        if session.world is not None:
            session.world.drop()
    found, took = tuple(_once(session.found)), monotonic_ms() - began
    return Result(case, "failed" if found else "passed", "", found, frozenset(session.held), took)


def _once(found: Iterable[Mismatch]) -> Iterator[Mismatch]:
    seen = set()
    for one in found:
        key = (one.rule, one.place, one.wanted, one.got)
        if key not in seen:
            seen.add(key)
            yield one


def _lacking(case: Case, settings: Settings) -> str:
    has = {"control": settings.control is not None, "receiver": bool(settings.receiver_host), "limits": settings.limits}
    return next((need for need in case.needs if not has[need]), "")


def _session(file: ContractFile, settings: Settings, case: Case | None = None) -> Session:
    world = None
    if case is not None and settings.control is not None:
        options = dict(case.world)
        if settings.readings:
            options["readings"] = {file.provider: dict(settings.readings)}
        world = settings.control.world(file.provider, **options)
    return Session(
        file,
        settings.readings,
        settings.client,
        base_url=world.base_url if world else settings.base_url,
        key=settings.key,
        control=settings.control,
        world=world,
        purse=settings.purse,
        patience_ms=settings.patience_ms,
        receiver_at=(settings.receiver_host or "127.0.0.1", settings.receiver_port),
        heard=settings.heard,
    )
