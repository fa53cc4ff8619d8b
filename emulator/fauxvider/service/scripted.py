"""A world's scenario at work: which faults are due for what is about to happen, and which rules have taken effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from fauxvider.engine.faults import Test, Thing, conditions_of, is_understood
from fauxvider.scenario.model import Fault, Rule, Scenario, Stage

if TYPE_CHECKING:
    from fauxvider.service.world import World

__all__ = ["Scripted"]

_Candidates: TypeAlias = tuple[tuple[Rule, str, tuple[tuple[Test, Any], ...]], ...]
_DEAR = ("inputs", "models", "job")
# Faults that contradict each other although their names differ: one answer goes out, once, or none.
_RIVALS: Mapping[tuple[Stage, str], str] = {
    **{("request", name): "instead" for name in ("refuse", "answer")},
    **{("request", name): "sending" for name in ("lose", "garble", "drip", "garbage", "half_close")},
    **{("attempt", name): "instead" for name in ("answer", "lose")},
}


@dataclass(slots=True, eq=False)
class _Held:
    """A delivery that waits until `left` of the later ones have overtaken it; `expects` those still on their way."""

    left: int
    release: Callable[[], None]
    expects: set[str] = field(default_factory=set)


class Scripted:
    """The scenario of one world. Without rules for a stage nothing is asked and nothing is counted."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario = scenario
        self._world = world
        self._stages = {stage: scenario.stage(stage) for stage in get_args(Stage)}
        self._asked = {
            stage: frozenset(name for rule in rules for name in _DEAR if getattr(rule.when, name))
            for stage, rules in self._stages.items()
        }
        self._kinds: dict[tuple[str, ...], _Candidates] = {}
        self._seen: Counter[int] = Counter()
        self.effects: Counter[int] = Counter()
        self.deliveries: dict[str, list[Fault]] = {}  # what waits for a delivery's first attempt
        self._held: list[_Held] = []

    def has(self, stage: Stage) -> bool:
        return bool(self._stages[stage])

    def asks(self, stage: Stage, name: str) -> bool:
        """Tell whether a rule of a stage asks for `inputs`, `models` or `job`: they have to be looked up."""
        return name in self._asked[stage]

    def due(
        self,
        stage: Stage,
        thing: Thing,
        *,
        target: str = "",
        only: frozenset[str] | None = None,
        but: frozenset[str] = frozenset(),
    ) -> list[Fault]:
        """Give the faults that take effect now, in the order of their rules; of rivals the first wins.

        `only` and `but` name faults that are asked about at another time than the rest of their stage.
        """
        found: dict[str, Fault] = {}
        kind = (stage, thing.provider, thing.operation, thing.does, thing.model)
        candidates = self._kinds.get(kind)
        if candidates is None:
            candidates = self._kinds[kind] = self._candidates(stage, thing)
        for rule, name, tests in candidates:
            for test, wanted in tests:
                if not test(wanted, thing):
                    break
            else:
                if name in but or (only is not None and name not in only):
                    continue
                rivals = _RIVALS.get((stage, name), name)
                if self._is_due(rule) and rivals not in found:
                    found[rivals] = rule.do
                    self._note(rule, thing, target)
        return list(found.values())

    def _candidates(self, stage: Stage, thing: Thing) -> _Candidates:
        """Give the rules that may fit a thing of this kind, and what is left to be tested."""
        if self.scenario.provider not in (None, thing.provider):
            return ()
        contract = self._world.provider(thing.provider).contract
        return tuple(
            (rule, rule.do.name, conditions_of(rule.when, of_kind=False))
            for rule in self._stages[stage]
            if all(test(wanted, thing) for test, wanted in conditions_of(rule.when, of_kind=True))
            and is_understood(contract, rule)
        )

    def _is_due(self, rule: Rule) -> bool:
        """Count a rule that fits, and tell whether it is its turn."""
        self._seen[rule.number] += 1
        if rule.when.nth is not None and not rule.when.nth.includes(self._seen[rule.number]):
            return False
        return rule.times is None or self.effects[rule.number] < rule.times

    def _note(self, rule: Rule, thing: Thing, target: str) -> None:
        self.effects[rule.number] += 1
        self._world.journal.add(
            self._world.clock.now(),
            "fault",
            ("provider", "rule", "name", "target"),
            (thing.provider, rule.number, rule.do.name, target),
        )

    def hold(self, others: int, release: Callable[[], None]) -> None:
        """Keep a delivery back until `others` of those that are made from now on have been tried."""
        self._held.append(_Held(others, release))

    def made(self, delivery: str) -> None:
        """Say that a delivery has been made: whatever is held by now waits for it, among others."""
        for held in self._held:
            held.expects.add(delivery)

    def tried(self, delivery: str) -> None:
        """Say that a delivery's first attempt is over: what waited for it may come due."""
        free = []
        for held in self._held:
            if delivery in held.expects:
                held.expects.discard(delivery)
                held.left -= 1
                if held.left <= 0:
                    free.append(held)
        self._held = [held for held in self._held if held not in free]
        for held in free:
            held.release()

    def counts(self) -> dict[str, list[list[int]]]:
        """Give how often rules fitted and took effect so far, for a store to keep."""
        return {
            "seen": [list(one) for one in self._seen.items()],
            "effects": [list(one) for one in self.effects.items()],
        }

    def go_on(self, counts: Mapping[str, list[list[int]]]) -> None:
        """Count on from where a run was that has been kept. What was held back then is free."""
        for counter, kept in ((self._seen, "seen"), (self.effects, "effects")):
            for rule, number in counts.get(kept, ()):
                counter[rule] = number

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
