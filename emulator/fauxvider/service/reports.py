"""What a world's journal tells: the verdict on the client, the bill explained, near misses, the story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fauxvider.analysis.ledger import LedgerReport, check_budget, explain_ledger, ledger_text
from fauxvider.analysis.near_credentials import KnownKey, near_credentials
from fauxvider.analysis.near_miss import NearMiss, near_miss
from fauxvider.analysis.story import story_lines
from fauxvider.analysis.timeline_page import timeline_page
from fauxvider.analysis.verdict import Verdict, judge, verdict_text
from fauxvider.contract.model import Contract
from fauxvider.service.credentials import known_keys
from fauxvider.service.emulator import Emulator
from fauxvider.service.world import World

__all__ = ["Report"]


class Report:
    """A world's journal as it stands, and what can be said of it."""

    def __init__(self, emulator: Emulator, world_name: str) -> None:
        world = emulator.world(world_name)
        self._emulator = emulator
        self._world: World = world
        self.entries: list[dict[str, Any]] = _told(emulator.journal(world_name))
        # Of those that something happened at: whoever has merely looked at an account leaves the reports as they are.
        seen = {entry.get("provider") for entry in self.entries}
        self.contracts: Mapping[str, Contract] = {
            name: provider.contract for name, provider in world.used_providers.items() if name in seen
        }

    def verdict(self, *, ignore: frozenset[str] = frozenset()) -> Verdict:
        """Grade the client."""
        return judge(self.entries, self.contracts, ignore=ignore, now=self._world.clock.now())

    def verdict_json(self) -> dict[str, Any]:
        verdict = self.verdict()
        findings = [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "job": finding.job or None,
                "harm": finding.harm,
                "fix": finding.fix,
                "evidence": [{"at": at, "what": what} for at, what in finding.evidence],
            }
            for finding in verdict.findings
        ]
        return {"clean": verdict.is_clean, "findings": findings, "text": verdict_text(verdict)}

    def ledger(self) -> LedgerReport:
        """Explain the charges: for which job, by which rule, and what was paid twice."""
        return explain_ledger(self.entries, self.contracts)

    def ledger_text(self) -> str:
        return ledger_text(self.ledger())

    def over_budget(self, budget: Mapping[str, Any]) -> list[str]:
        """Say what passed a budget such as {"USD": "0.10"}; nothing when it held."""
        return check_budget(self.ledger(), budget)

    def near_misses(self) -> list[NearMiss]:
        """Explain the last requests that were refused, or taken to fail, in the contract's terms."""
        found: list[NearMiss] = []
        keys = self._keys() if any(one.denied for one in self._world.refused) else {}
        for provider, origin, method, path, body, denied in self._world.refused:
            contract = self._world.provider(provider).contract
            file = self._emulator.contracts[provider]
            choice = dict(contract.choice)
            if denied is not None:
                found.append(near_credentials(denied, file, choice, keys=keys, others=self._emulator.contracts))
            else:
                found.extend(near_miss(file, choice, method=method, path=path, body=body, origin=origin))
        return found

    def _keys(self) -> Mapping[str, KnownKey]:
        every = [self._emulator.world(name) for name in self._emulator.world_names()]
        return known_keys(self._world, [world for world in every if world is not self._world])

    def story(self) -> list[str]:
        """Tell what happened, a line an event."""
        return story_lines(self.entries)

    def page(self, *, ignore: frozenset[str] = frozenset()) -> str:
        """Give the timeline and the verdict as one HTML page that needs no network."""
        verdict = self.verdict(ignore=ignore)
        title = f"world {self._world.name}"
        return timeline_page(self.entries, title=title, contracts=self.contracts, verdict=verdict)


def _told(journal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give a journal's entries; the first one says what its cap has pushed out, if it has."""
    entries: list[dict[str, Any]] = journal["entries"]
    if not journal["dropped"]:
        return entries
    at = entries[0]["at"] if entries else 0
    return [{"at": at, "kind": "dropped", "what": "journal entries", "count": journal["dropped"]}, *entries]
