"""The names that a scenario may use of the contracts that it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fauxvider.contract.model import Contract

__all__ = ["ENDS", "KINDS", "known_names"]

ENDS = ("succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")

_NO_OPERATION = ("file", "unknown")  # a URL of a file; a path that is none of the provider's

KINDS = (
    "submit", "read", "stream", "cancel", "retry", "purge", "counts", "list", "view", "models",
    "asset_upload", "asset_session", "asset_confirm", "asset_read",
    "secret_create", "secret_read", "secret_list", "secret_update", "secret_delete", "deliveries", "redeliver",
    *_NO_OPERATION,
)  # fmt: skip


def known_names(contracts: Mapping[str, Contract] | None, what: str) -> tuple[str, ...] | None:
    """Name all things of a sort in any of the contracts; None where every name may be right."""
    if contracts is None:
        return KINDS if what == "kind" else None
    if what == "provider":
        return tuple(contracts)
    names = dict.fromkeys(name for contract in contracts.values() for name in _NAMES[what](contract))
    return (*names, *_NO_OPERATION) if what == "kind" else tuple(names)


def _kinds(contract: Contract) -> Iterable[str]:
    return (operation.kind for operation in contract.operations.values())


def _causes(contract: Contract) -> Iterable[str]:
    return (name for name in contract.errors if "@" not in name)  # with one: the face of a single answer


def _phases(contract: Contract) -> Iterable[str]:
    return (phase.state.word for phase in contract.phases)


def _events(contract: Contract) -> Iterable[str]:
    return (*(contract.callbacks.events.values() if contract.callbacks is not None else ()), *ENDS)


_NAMES: Mapping[str, Callable[[Contract], Iterable[str]]] = {
    "operation": lambda contract: contract.operations,
    "kind": _kinds,
    "model": lambda contract: contract.models,
    "cause": _causes,
    "failure": lambda contract: contract.failures,
    "state": lambda contract: contract.states,
    "phase": _phases,
    "limit": lambda contract: contract.limits,
    "event": _events,
    "reading": lambda contract: contract.readings,
}
