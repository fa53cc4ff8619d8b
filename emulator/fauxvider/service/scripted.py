"""A world's scenario at work: which faults are due for what is about to happen, and which rules have taken effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fauxvider.engine.faults import Thing, fits, is_understood
from fauxvider.scenario.model import Fault, Rule, Scenario, Stage

if TYPE_CHECKING:
    from fauxvider.service.world import World

__all__ = ["Scripted"]


class Scripted:
    """The scenario of one world. Without rules for a stage nothing is asked and nothing is counted."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario = scenario
        self._world = world
        self._stages = {
            stage: scenario.stage(stage) for stage in ("request", "job", "output", "delivery", "attempt", "account")
        }
        self._seen: Counter[int] = Counter()
        self._understood: dict[tuple[int, str], bool] = {}
        self.effects: Counter[int] = Counter()
        self.deliveries: dict[str, list[Fault]] = {}  # what waits for a delivery's first attempt
        self.held: list[tuple[int, Callable[[], None]]] = []  # deliveries that wait for others to overtake them

    def has(self, stage: Stage) -> bool:
        return bool(self._stages[stage])

    def needs_body(self, stage: Stage) -> bool:
        return any(rule.when.inputs for rule in self._stages[stage])

    def needs_job(self, stage: Stage) -> bool:
        return any(rule.when.job is not None for rule in self._stages[stage])

    def due(
        self,
        stage: Stage,
        thing: Thing,
        *,
        target: str = "",
        only: frozenset[str] | None = None,
        but: frozenset[str] = frozenset(),
    ) -> list[Fault]:
        """Give the faults that take effect now, in the order of their rules; the first of a name wins.

        `only` and `but` name faults that are asked about at another time than the rest of their stage.
        """
        found: dict[str, Fault] = {}
        for rule in self._stages[stage]:
            if rule.do.name in but or (only is not None and rule.do.name not in only):
                continue
            if self._is_due(rule, thing) and rule.do.name not in found:
                found[rule.do.name] = rule.do
                self._note(rule, thing, target)
        return list(found.values())

    def _is_due(self, rule: Rule, thing: Thing) -> bool:
        if self.scenario.provider not in (None, thing.provider) or not fits(rule.when, thing):
            return False
        if not self._is_understood(rule, thing.provider):
            return False
        self._seen[rule.number] += 1
        if rule.when.nth is not None and not rule.when.nth.includes(self._seen[rule.number]):
            return False
        return rule.times is None or self.effects[rule.number] < rule.times

    def _is_understood(self, rule: Rule, provider: str) -> bool:
        """Tell whether a provider has what a rule names: one may hold for some of the providers alone."""
        known = self._understood.get((rule.number, provider))
        if known is None:
            contract = self._world.provider(provider).contract
            known = self._understood[rule.number, provider] = is_understood(contract, rule)
        return known

    def _note(self, rule: Rule, thing: Thing, target: str) -> None:
        self.effects[rule.number] += 1
        self._world.journal.add(
            self._world.clock.now(),
            "fault",
            ("provider", "rule", "name", "target"),
            (thing.provider, rule.number, rule.do.name, target),
        )

    def hold(self, others: int, release: Callable[[], None]) -> None:
        """Keep a delivery back until `others` further ones have been made."""
        self.held.append((others, release))

    def passed(self, *, but: bool = False) -> None:
        """Say that a delivery has been made: those that waited for it may come due. `but`: it waits itself."""
        if but:
            return
        waiting = [(left - 1, release) for left, release in self.held]
        self.held = [(left, release) for left, release in waiting if left > 0]
        for left, release in waiting:
            if left <= 0:
                release()

    def report(self) -> dict[str, Any]:
        """Say what took effect how often, and what never did."""
        rules = [
            {
                "rule": rule.number,
                "on": rule.on,
                "do": rule.do.name,
                "note": rule.note,
                "effects": self.effects[rule.number],
            }
            for rule in self.scenario.rules
        ]
        unused = [rule["rule"] for rule in rules if not rule["effects"]]
        return {"name": self.scenario.name, "about": self.scenario.about, "rules": rules, "never": unused}
