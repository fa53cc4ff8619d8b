"""Planted drifts: contracts that were changed are served, and verified against the unchanged ones.

    python benchmarks/drift.py [--provider NAME] [--only TEXT] [--quick]

Each line of `benchmarks/drifts.json` changes one bundled contract in one place, as a provider might overnight. A
drift counts as found when verify fails, and as located when a failed clause names the place that was changed, or
one above or below it. The unchanged contracts are verified too: nothing may be reported there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.contract.strict import pointer_parts
from fauxvider.server.app import ProviderApp
from fauxvider.server.build import build_emulator
from fauxvider.server.control import control_app
from fauxvider.server.runner import running
from fauxvider.service.emulator import DEFAULT_WORLD
from fauxvider.toolkit.verify.case import Result
from fauxvider.toolkit.verify.client import Client
from fauxvider.toolkit.verify.control import Control
from fauxvider.toolkit.verify.edits import flow
from fauxvider.toolkit.verify.run import Settings, plan, verify

DATA = Path(__file__).with_name("drifts.json")
_TOKEN = "drift"


@dataclass(frozen=True, slots=True)
class Drift:
    """One planted change: `edits` are pointer and new value (null removes), `places` where verify must point."""

    name: str
    kind: str
    provider: str
    edits: Sequence[tuple[str, Any]]
    renames: Sequence[tuple[str, str]]
    places: Sequence[str]
    readings: dict[str, str]
    only: Sequence[str]
    limits: bool


@dataclass(frozen=True, slots=True)
class Found:
    drift: Drift
    is_caught: bool
    is_located: bool
    rule: str
    took_s: float


def drifts(path: Path = DATA) -> list[Drift]:
    """Read the planted drifts."""
    made = []
    for raw in json.loads(path.read_text(encoding="utf-8")):
        edits = [(pointer, value) for pointer, value in raw.get("edits", {}).items()]
        renames = list(raw.get("renames", {}).items())
        places = raw.get("places") or [pointer for pointer, _ in [*edits, *renames]]
        made.append(
            Drift(
                raw["name"],
                raw["kind"],
                raw["provider"],
                edits,
                renames,
                places,
                raw.get("readings", {}),
                raw.get("only", []),
                raw.get("limits", False),
            )
        )
    return made


def planted(drift: Drift) -> str:
    """Give the text of the contract with the drift in it: one choice of readings, and so without readings."""
    tree = deepcopy(dict(open_contract(drift.provider).resolved(drift.readings)))
    tree.pop("readings", None)
    for pointer, value in drift.edits:
        _edit(tree, pointer, value)
    for pointer, name in drift.renames:
        _rename(tree, pointer, name)
    return flow(tree)


def _holder(tree: Any, pointer: str) -> tuple[Any, Any]:
    *above, last = pointer_parts(pointer)
    for part in above:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return tree, int(last) if isinstance(tree, list) else last


def _edit(tree: Any, pointer: str, value: Any) -> None:
    holder, last = _holder(tree, pointer)
    if value is None:
        del holder[last]
    else:
        holder[last] = value


def _rename(tree: Any, pointer: str, name: str) -> None:
    holder, last = _holder(tree, pointer)
    made = {name if key == last else key: value for key, value in holder.items()}
    holder.clear()
    holder.update(made)


@contextlib.contextmanager
def served(provider: str, path: Path | None) -> Iterator[Control]:
    """Serve a provider, or a contract file in its place, with a control plane."""
    emulator = build_emulator(providers=[] if path else [provider], files=[path] if path else [])
    emulator.make_world(DEFAULT_WORLD, emulator.defaults)
    guard = control_app(emulator, token=_TOKEN, hosts=frozenset())
    with running(ProviderApp(emulator), guard) as urls:
        emulator.settings.base_url = urls.provider
        guard.hosts = frozenset({f"127.0.0.1:{urlsplit(urls.control).port}"})
        yield Control(Client(timeout_s=20), urls.control, _TOKEN)
    emulator.close()


def asked(file: ContractFile, drift: Drift, control: Control) -> list[Result]:
    """Verify what is served against the unchanged contract (whose readings the server need not know)."""
    settings = Settings(
        control=_WithoutReadings(control),
        client=Client(timeout_s=20),
        readings=drift.readings,
        only=drift.only,
        limits=drift.limits,
        receiver_host="127.0.0.1",
    )
    return verify(file, settings, plan(file, settings))


class _WithoutReadings(Control):
    """A control plane that is not told which reading is meant: the served contract has one only."""

    def __init__(self, control: Control) -> None:
        super().__init__(control._client, control._url, control._token)

    def world(self, provider: str, **options: Any) -> Any:
        options.pop("readings", None)
        return super().world(provider, **options)


def found_by(drift: Drift, results: Sequence[Result]) -> tuple[bool, str]:
    """Give whether a failed clause lies at, above or below a planted place, and the first that does."""
    rules = [one.rule for result in results for one in result.mismatches]
    for rule in rules:
        if any(_is_near(rule, place) for place in drift.places):
            return True, rule
    return False, next(iter(rules), "")


def _is_near(rule: str, place: str) -> bool:
    # At or under what was planted; or the mapping that directly holds it, as when a field came or went.
    above = place.rpartition("/")[0]
    return rule == place or rule.startswith(f"{place}/") or (rule == above and above.count("/") > 1)


def measure(drift: Drift, folder: Path) -> Found:
    began = time.perf_counter()
    path = folder / "planted.json"
    path.write_text(planted(drift), encoding="utf-8")
    file = open_contract(drift.provider)
    with served(drift.provider, path) as control:
        results = asked(file, drift, control)
    is_located, rule = found_by(drift, results)
    is_caught = any(one.outcome == "failed" for one in results)
    return Found(drift, is_caught, is_located, rule, time.perf_counter() - began)


def unchanged(provider: str, *, only: Sequence[str] = ()) -> list[Result]:
    """Verify an unchanged server."""
    drift = Drift("unchanged", "", provider, [], [], [], {}, only, limits=True)
    with served(provider, None) as control:
        return asked(open_contract(provider), drift, control)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider")
    parser.add_argument("--only", default="", help="drifts whose name or kind holds this text")
    parser.add_argument("--quick", action="store_true", help="ask only the cases near each planted place")
    options = parser.parse_args()
    chosen = [
        one for one in drifts() if options.provider in (None, one.provider) and options.only in f"{one.kind} {one.name}"
    ]
    caught = located = 0
    with tempfile.TemporaryDirectory() as folder:
        for drift in chosen:
            found = measure(drift if options.quick else _whole(drift), Path(folder))
            caught += found.is_caught
            located += found.is_located
            mark = "located" if found.is_located else "caught" if found.is_caught else "MISSED"
            print(f"{mark:8} {drift.provider:8} {drift.kind:14} {drift.name:52} {found.took_s:5.1f} s  {found.rule}")
    print(f"\n{len(chosen)} drifts planted, {caught} caught, {located} located")
    false = 0
    for provider in sorted({one.provider for one in chosen}):
        results = unchanged(provider)
        failed = [one for one in results if one.outcome == "failed"]
        false += len(failed)
        print(f"unchanged {provider}: {len(results)} cases, {len(failed)} reported")
    return 0 if caught == located == len(chosen) and not false else 1


def _whole(drift: Drift) -> Drift:
    return Drift(
        drift.name,
        drift.kind,
        drift.provider,
        drift.edits,
        drift.renames,
        drift.places,
        drift.readings,
        [],
        drift.limits,
    )


if __name__ == "__main__":
    sys.exit(main())
