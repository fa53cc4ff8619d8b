"""Provider troubles that a run can be under from its start, as scenario rules made from the contract alone.

All of them are things that a client has to live with: each was seen at some provider, and a client that gets its
chance can still come to the right end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError

__all__ = ["TROUBLES", "rules_for"]

Rules = Sequence[Mapping[str, Any]]

# The dullest first; what each is good for is told in docs/machine.md.
TROUBLES = (
    "slow", "hidden", "new word", "flicker", "worker lost", "late link", "moderated", "timed out", "cancelled",
)  # fmt: skip


def rules_for(trouble: str, contract: Contract) -> Rules:
    """Give the scenario rules of a trouble; none where the provider knows nothing of the kind.

    Raises UsageError for a trouble that there is not.
    """
    if trouble not in TROUBLES:
        raise UsageError(f"there is no trouble {trouble!r} (there are: {', '.join(TROUBLES)})")
    open_words = [phase.state.word for phase in contract.phases]
    running = next((one.state.word for one in contract.phases if one.state.canonical == "running"), "")
    last = running or open_words[-1]
    known: dict[str, Rules] = {
        "slow": [_job({"slow": "2m"})],
        "hidden": [_job({"hidden": "3s"})],
        "new word": [_job({"words": {last: f"{last}_SOON"}}), _job({"slow": "30s"})],
        "flicker": [_job({"flicker": {"word": last, "after": "1s", "lasts": "15s"}})],
        "worker lost": [_job({"lose_worker": {"after": "1s", "ends": "succeeded"}})] if running else [],
        "late link": [{"on": "output", "do": {"late": "15s"}}],
        "moderated": [_job({"moderate": True})],
        "timed out": [_job({"time_out": "20s"}), _job({"slow": "2m"})],
        "cancelled": [_job({"cancel": "1s"})],
    }
    return known[trouble]


def _job(do: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"on": "job", "do": do}
