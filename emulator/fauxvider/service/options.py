"""Reading what a world is made from: JSON from the control plane, keywords from Python."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.engine.facts import ApiKey
from fauxvider.errors import UsageError
from fauxvider.scenario.library import bundled_scenario
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario
from fauxvider.service.world import WorldOptions
from fauxvider.values import parse_moment, parse_money

__all__ = ["read_options"]

_NAMES = ("name", "seed", "clock", "now", "step", "readings", "keys", "balances", "limits", "scenario", "record")
_MAX_NAME = 64
_KEY_STATES = ("active", "deleted", "inactive", "unfunded")


def read_options(
    given: Mapping[str, Any], contracts: Mapping[str, Contract], *, defaults: WorldOptions
) -> WorldOptions:
    """Check and read options; anything left out comes from `defaults`. Raises UsageError."""
    for name in given:
        if name not in _NAMES:
            raise UsageError(f"a world has no option {name!r} (it has: {', '.join(_NAMES)})")
    scenario = _scenario(given["scenario"], contracts) if given.get("scenario") is not None else defaults.scenario
    asks_for_step = given.get("step") is not None
    if scenario.world and "scenario" in given:
        # What the scenario itself wants of its world; what is asked for beside it wins.
        given = {**scenario.world, **given}
    if "name" in given:
        _check_name(given["name"])
    clock = _text("clock", given.get("clock", defaults.clock))
    if asks_for_step and not clock.startswith("stepping"):
        raise UsageError(f"step goes with the clock 'stepping', and the clock is {clock!r}")
    return WorldOptions(
        seed=_seed(given.get("seed", defaults.seed)),
        clock=clock,
        now=defaults.now if given.get("now") is None else parse_moment(given["now"]),
        step=given.get("step", defaults.step),
        readings=_readings(given["readings"], contracts) if "readings" in given else defaults.readings,
        keys=_keys(given["keys"]) if "keys" in given else defaults.keys,
        balances=_balances(given["balances"], contracts) if "balances" in given else defaults.balances,
        limits=_limits(given["limits"]) if "limits" in given else defaults.limits,
        scenario=scenario,
        record=_truth("record", given.get("record", defaults.record)),
    )


def _scenario(value: Any, contracts: Mapping[str, Contract]) -> Scenario:
    if isinstance(value, Scenario):
        return value
    if isinstance(value, str):
        # A name and never a path: who steers a server over HTTP does not read its files.
        return read_scenario(bundled_scenario(value), contracts=contracts)
    if not isinstance(value, Mapping):
        raise UsageError("scenario is the name of a bundled one, or a mapping as docs/scenarios.md says")
    return read_scenario(value, contracts=contracts)


def _check_name(value: Any) -> None:
    # It stands in every URL of the world.
    is_word = isinstance(value, str) and value.isascii() and value.replace("-", "").isalnum()
    if not is_word or len(value) > _MAX_NAME:
        raise UsageError(f"{value!r} is not a name for a world: letters, digits and hyphens, {_MAX_NAME} at most")


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise UsageError(f"seed {value!r} is not a whole number from 0 to 2^63")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} {value!r} is not a text")
    return value


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} {value!r} is not true or false")
    return value


def _readings(value: Any, contracts: Mapping[str, Contract]) -> Mapping[str, Mapping[str, str]]:
    """Accept {provider: {reading: case}} and, where only one provider has it, {reading: case}."""
    if not isinstance(value, dict):
        raise UsageError("readings is a mapping: reading -> case, or provider -> reading -> case")
    found: dict[str, dict[str, str]] = {}
    for name, case in value.items():
        if isinstance(case, dict):
            for reading, choice in case.items():
                _choose(found, contracts, name, reading, choice)
            continue
        owners = [provider for provider, contract in contracts.items() if name in contract.readings]
        if len(owners) != 1:
            where = f"several providers have it: {', '.join(owners)}" if owners else "no provider has it"
            raise UsageError(f"cannot place the reading {name!r}: {where}")
        _choose(found, contracts, owners[0], name, case)
    return found


def _choose(
    found: dict[str, dict[str, str]], contracts: Mapping[str, Contract], provider: str, reading: str, case: Any
) -> None:
    contract = contracts.get(provider)
    if contract is None:
        raise UsageError(f"there is no provider {provider!r} (there are: {', '.join(contracts)})")
    known = contract.readings.get(reading)
    if known is None:
        raise UsageError(f"{provider} has no reading {reading!r} (it has: {', '.join(contract.readings)})")
    if case not in known.cases:
        raise UsageError(f"the reading {reading!r} has no case {case!r} (it has: {', '.join(known.cases)})")
    found.setdefault(provider, {})[reading] = case


def _keys(value: Any) -> tuple[ApiKey, ...]:
    if not isinstance(value, list):
        raise UsageError("keys is a list of texts, or of {key, state, scopes, name}")
    return tuple(_key(item) for item in value)


def _key(item: Any) -> ApiKey:
    if isinstance(item, str) and item:
        return ApiKey(item)
    if not isinstance(item, dict) or not isinstance(item.get("key"), str) or not item["key"]:
        raise UsageError("a key is a non-empty text, or {key, state, scopes, name}")
    state, scopes = item.get("state", "active"), item.get("scopes")
    if state not in _KEY_STATES:
        raise UsageError(f"a key's state {state!r} is not known (allowed: {', '.join(_KEY_STATES)})")
    if scopes is not None and not (isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)):
        raise UsageError("a key's scopes are a list of texts")
    return ApiKey(item["key"], state, None if scopes is None else frozenset(scopes), str(item.get("name", "")))


def _balances(value: Any, contracts: Mapping[str, Contract]) -> Mapping[str, Decimal]:
    """Accept {provider: amount}, or one amount for all."""
    if isinstance(value, dict):
        for provider in value:
            if provider not in contracts:
                raise UsageError(f"there is no provider {provider!r} (there are: {', '.join(contracts)})")
        return {provider: _amount(f"the balance of {provider}", amount) for provider, amount in value.items()}
    return dict.fromkeys(contracts, _amount("balances", value))


def _amount(what: str, value: Any) -> Decimal:
    try:
        return parse_money(str(value) if isinstance(value, float) else value)
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from None


def _limits(value: Any) -> Decimal | None:
    """Accept "on", "off", or {"factor": N}."""
    if value == "on":
        return Decimal(1)
    if value == "off":
        return None
    if isinstance(value, dict) and set(value) == {"factor"}:
        factor = _amount("the factor on limits", value["factor"])
        if factor > 0:
            return factor
    raise UsageError(f"limits {value!r} is not 'on', 'off' or {{'factor': N}}")
