"""The exchanges of the documented cases (docs/fixtures.md): each case is played, and what was said is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fauxvider.toolkit.exchanges.case import ContractCase
from fauxvider.toolkit.exchanges.naming import Namer
from fauxvider.toolkit.exchanges.stage import Ground
from fauxvider.toolkit.verify.documented import readings_of
from fauxvider.toolkit.verify.playing import Player
from fauxvider.toolkit.verify.wants import decoded
from fauxvider_contracts import case_names, case_text

__all__ = ["documented_exchanges"]

_WORLD = ("clock", "now", "seed", "keys", "balances", "limits")


def documented_exchanges(ground: Ground, *, every_reading: bool = False) -> Iterator[ContractCase]:
    """Play the cases that hold under the readings at hand; or each under its own."""
    file = ground.file
    for name in case_names(file.provider):
        tree, _ = decoded(case_text(file.provider, name).encode())
        if not isinstance(tree, dict) or not isinstance(tree.get("steps"), list):
            continue
        own = {**file.default_choice, **readings_of(tree.get("world", {}), file.provider)}
        if every_reading or own == dict(ground.choice):
            yield from _played(replace(ground, choice=own), name, tree)


def _played(ground: Ground, name: str, tree: Mapping[str, Any]) -> Iterator[ContractCase]:
    given = tree.get("world", {})
    options = {"clock": "manual", **{key: given[key] for key in _WORLD if key in given}}
    if "seed" in options:
        options["seed"] = int(options["seed"])
    stage = ground.stage(**options)
    player = Player(stage)
    for number, step in enumerate(tree["steps"], 1):
        stage.step = number
        for _ in player.play(step):
            pass  # whether it came as documented is for others to say: this is what the contract answers
    namer = Namer(ground, name, str(tree.get("name", name)), str(tree.get("source", "")))
    for kept in stage.done():
        yield namer.named(kept)
