from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fauxvider.engine.facts import ApiKey
from fauxvider.errors import UsageError
from fauxvider.service.options import read_options
from fauxvider.service.world import WorldOptions
from support.acme import changed_acme

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
OTHER = changed_acme("provider: acme", "provider: bcme").resolve({})
ONE = {"acme": ACME}
TWO = {"acme": ACME, "bcme": OTHER}


def read(given: dict[str, Any], contracts: Any = None, **defaults: Any) -> WorldOptions:
    return read_options(given, contracts or ONE, defaults=WorldOptions(**defaults))


def test_nothing_given_is_the_defaults() -> None:
    assert read({}) == WorldOptions()
    known = {"seed": 5, "clock": "manual", "now": 7, "keys": (ApiKey("k"),), "limits": None}
    assert read({}, **known) == WorldOptions(**known)


@pytest.mark.parametrize(
    ("given", "name", "wanted"),
    [
        ({"seed": 0}, "seed", 0),
        ({"seed": 2**63 - 1}, "seed", 2**63 - 1),
        ({"clock": "stepping:5s"}, "clock", "stepping:5s"),
        ({"now": "2026-01-01T00:00:00Z"}, "now", 1_767_225_600_000),
        ({"now": 12}, "now", 12),
        ({"now": None}, "now", None),
        ({"clock": "stepping", "step": "5s"}, "step", "5s"),
        ({"limits": "on"}, "limits", Decimal(1)),
        ({"limits": "off"}, "limits", None),
        ({"limits": {"factor": 2}}, "limits", Decimal(2)),
        ({"limits": {"factor": "0.5"}}, "limits", Decimal("0.5")),
        ({"limits": {"factor": 0.5}}, "limits", Decimal("0.5")),
        ({"balances": {"acme": "0.10"}}, "balances", {"acme": Decimal("0.10")}),
        ({"balances": {"acme": 0.1}}, "balances", {"acme": Decimal("0.1")}),
        ({"balances": 5}, "balances", {"acme": Decimal(5)}),
        ({"balances": {"acme": -5}}, "balances", {"acme": Decimal(-5)}),
        ({"readings": {}}, "readings", {}),
        ({"readings": {"edit.cost": "per_mp"}}, "readings", {"acme": {"edit.cost": "per_mp"}}),
        ({"readings": {"acme": {"edit.cost": "flat"}}}, "readings", {"acme": {"edit.cost": "flat"}}),
        ({"keys": []}, "keys", ()),
        ({"keys": ["a", "b"]}, "keys", (ApiKey("a"), ApiKey("b"))),
        ({"keys": [{"key": "a"}]}, "keys", (ApiKey("a"),)),
        (
            {"keys": [{"key": "a", "state": "unfunded", "scopes": ["x"], "name": "Ann"}]},
            "keys",
            (ApiKey("a", "unfunded", frozenset({"x"}), "Ann"),),
        ),
        ({"keys": [{"key": "a", "scopes": []}]}, "keys", (ApiKey("a", scopes=frozenset()),)),
    ],
)
def test_options(given: dict[str, Any], name: str, wanted: Any) -> None:
    assert getattr(read(given), name) == wanted


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sed": 1}, ["'sed'", "seed", "clock", "readings"]),
        ({"seed": -1}, ["-1"]),
        ({"seed": 2**63}, ["2^63"]),
        ({"seed": 1.0}, ["1.0"]),
        ({"seed": True}, ["True"]),
        ({"seed": "1"}, ["'1'"]),
        ({"clock": 5}, ["clock", "5"]),
        ({"clock": None}, ["clock"]),
        ({"now": "yesterday"}, ["yesterday", "2026-01-01T00:00:00Z"]),
        ({"now": 1.5}, ["1.5"]),
        ({"readings": []}, ["mapping"]),
        ({"readings": {"no.such": "x"}}, ["no.such"]),
        ({"readings": {"edit.cost": "free"}}, ["free", "flat, per_mp"]),
        ({"readings": {"edit.cost": 1}}, ["flat, per_mp"]),
        ({"readings": {"acme": {"no.such": "x"}}}, ["no.such", "edit.cost"]),
        ({"readings": {"nobody": {"a": "b"}}}, ["nobody", "acme"]),
        ({"keys": "a"}, ["list"]),
        ({"keys": [""]}, ["non-empty"]),
        ({"keys": [5]}, ["non-empty"]),
        ({"keys": [{"name": "x"}]}, ["key"]),
        ({"keys": [{"key": ""}]}, ["non-empty"]),
        ({"keys": [{"key": "a", "state": "lost"}]}, ["lost", "active, deleted, inactive, unfunded"]),
        ({"keys": [{"key": "a", "scopes": "x"}]}, ["scopes"]),
        ({"keys": [{"key": "a", "scopes": [1]}]}, ["scopes"]),
        ({"balances": {"nobody": 1}}, ["nobody", "acme"]),
        ({"balances": {"acme": "many"}}, ["the balance of acme", "many"]),
        ({"balances": "much"}, ["balances", "much"]),
        ({"balances": {"acme": None}}, ["None"]),
        ({"balances": "NaN"}, ["NaN"]),
        ({"balances": {"acme": True}}, ["True"]),
        ({"balances": {"acme": "1e1000000"}}, ["range"]),
        ({"limits": "none"}, ["none", "on", "off", "factor"]),
        ({"limits": {"factor": 0}}, ["factor"]),
        ({"limits": {"factor": -1}}, ["factor"]),
        ({"limits": {"factor": 1, "x": 2}}, ["factor"]),
        ({"limits": None}, ["factor"]),
        ({"limits": {"factor": "x"}}, ["x"]),
        ({"step": "5s"}, ["stepping", "'real'"]),
        ({"clock": "manual", "step": "5s"}, ["stepping", "'manual'"]),
        ({"scenario": "answer-lost"}, ["answer-lost", "answer-lost-after-billing"]),
        ({"scenario": "/etc/passwd"}, ["/etc/passwd", "no bundled scenario"]),
        ({"scenario": 5}, ["name", "mapping", "docs/scenarios.md"]),
        ({"name": "a/b"}, ["a/b"]),
        ({"name": ""}, ["name"]),
        ({"name": 5}, ["5"]),
        ({"name": "a" * 65}, ["64"]),
        ({"name": "ünder"}, ["letters, digits and hyphens"]),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        read(given)
    for text in told:
        assert text in str(refused.value)


def test_a_reading_that_two_providers_have_must_say_whose() -> None:
    with pytest.raises(UsageError, match="acme, bcme"):
        read({"readings": {"edit.cost": "per_mp"}}, TWO)
    found = read({"readings": {"bcme": {"edit.cost": "per_mp"}}}, TWO).readings
    assert found == {"bcme": {"edit.cost": "per_mp"}}


def test_one_amount_is_for_every_provider() -> None:
    assert read({"balances": "3"}, TWO).balances == {"acme": Decimal(3), "bcme": Decimal(3)}
