"""Scenarios for a contract: every fault that it lets happen, when and how often, in its own words."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final, TypeAlias, get_args

from hypothesis import event
from hypothesis import strategies as st

from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError
from fauxvider.scenario.known import ENDS
from fauxvider.scenario.model import Scenario, Stage
from fauxvider.scenario.parse import read_scenario
from pytest_fauxvider.strategies.faults import Kind, kinds_of, spans_of
from pytest_fauxvider.strategies.provider import Held, ProviderLike, Source, source_of

__all__ = ["scenarios"]

Values: TypeAlias = st.SearchStrategy[Any]

_COUNTS: Final = st.sampled_from((1, 2, 3, "2-", [1, 3], {"every": 2}))
# Faults of single messages come to an end, so that a client that tries again can get through.
_PASSING: Final = ("request", "attempt")
_OF_JOBS: Final = ("job", "output", "delivery", "attempt")


def scenarios(
    provider: ProviderLike,
    *,
    legal: bool = True,
    stages: Collection[Stage] | None = None,
    max_rules: int = 3,
) -> st.SearchStrategy[Scenario]:
    """Give scenarios of up to `max_rules` rules, all of them of the `stages` (None: any).

    Legal ones hold what the provider may do as its contract stands. With `legal` False at least one rule of
    each is only nearly legal: an undocumented word, a state that goes back, a file that is not what was
    asked for. Each can be written down and read again (`fauxvider.scenario.parse.scenario_text`).
    Raises UsageError for a stage that there is not, or that the contract has no such fault of.
    """
    source = source_of(provider)
    contract = source.contract
    for stage in stages or ():
        if stage not in get_args(Stage):
            raise UsageError(f"a scenario has no stage {stage!r} (it has: {', '.join(get_args(Stage))})")
    return _cached(source, Held(contract), tuple(stages or ()), legal=legal, max_rules=max_rules)


@lru_cache(maxsize=128)
def _cached(
    source: Source, held: Held, stages: tuple[Stage, ...], *, legal: bool, max_rules: int
) -> st.SearchStrategy[Scenario]:
    contract = held.contract
    kinds = [kind for kind in kinds_of(contract) if not stages or kind.stage in stages]
    wanted = [kind for kind in kinds if kind.legal is legal]
    if not wanted:
        sort = "legal" if legal else "nearly legal"
        raise UsageError(f"{contract.provider} has no {sort} fault of {', '.join(stages) or 'any stage'}")
    first, others = _rules(contract, wanted), _rules(contract, wanted if legal else kinds)
    return _scenarios(source, first, others, legal=legal, max_rules=max_rules)


@st.composite
def _scenarios(
    draw: st.DrawFn, source: Source, first: Values, others: Values, *, legal: bool, max_rules: int
) -> Scenario:
    rules = [] if legal else [draw(first)]
    rules += draw(st.lists(others, max_size=max_rules - len(rules)))
    for rule in rules:
        event(f"fault: {rule['on']} {next(iter(rule['do']))}")
    tree = {"scenario": 1, "name": "drawn", "provider": source.name, "rules": rules}
    return read_scenario(tree, contracts={source.name: source.contract})


def _rules(contract: Contract, kinds: list[Kind]) -> Values:
    """Give rules of some kinds. A simple one takes at most five choices: so many Hypothesis takes out at once."""
    made = [_rule(contract, kind) for kind in kinds]
    return st.integers(0, len(made) - 1).flatmap(made.__getitem__)


def _rule(contract: Contract, kind: Kind) -> Values:
    parts: dict[str, Values] = {"on": st.just(kind.stage), "do": kind.do}
    if kind.stage in _PASSING:
        parts["times"] = st.integers(1, 3)
    return st.fixed_dictionaries(parts, optional={"when": _conditions(contract, kind)})


def _conditions(contract: Contract, kind: Kind) -> Values:
    stage = kind.stage
    options: dict[str, Values] = {"nth": _COUNTS}
    if stage == "request":
        does = sorted({operation.kind for operation in contract.operations.values()})
        options |= {"operation": st.sampled_from(list(contract.operations)), "does": st.sampled_from([*does, "file"])}
    if stage in _OF_JOBS:
        options |= {"model": st.sampled_from(list(contract.models)), "job": st.integers(1, 3)}
    if stage == "attempt":
        options["attempt"] = st.integers(1, 3)
    if stage in ("delivery", "attempt") and contract.callbacks is not None:
        options["event"] = st.sampled_from([*dict.fromkeys([*contract.callbacks.events.values(), *ENDS])])
    spans = spans_of(contract)
    window: Values = st.just({}) | st.fixed_dictionaries({"until": spans}) | st.fixed_dictionaries({"since": spans})
    plain = st.fixed_dictionaries({}, optional=options)
    return st.tuples(plain, window).map(lambda pair: {**pair[0], **pair[1]})
