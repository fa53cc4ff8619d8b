"""fauxvider: a stand-in for image generation providers.

The public API. Names are loaded when they are first used, so that `import fauxvider` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fauxvider.contract.model import Contract as Contract
    from fauxvider.contract.parse import load_contract as load_contract
    from fauxvider.embedded import Server as Server
    from fauxvider.embedded import WorldHandle as WorldHandle
    from fauxvider.errors import ContractError as ContractError
    from fauxvider.errors import FauxviderError as FauxviderError
    from fauxvider.errors import UsageError as UsageError
    from fauxvider.local import LocalServer as LocalServer
    from fauxvider.receiver import Receiver as Receiver
    from fauxvider.server.egress import EgressPolicy as EgressPolicy

__all__ = [
    "Contract",
    "ContractError",
    "EgressPolicy",
    "FauxviderError",
    "LocalServer",
    "Receiver",
    "Server",
    "UsageError",
    "WorldHandle",
    "load_contract",
]

_HOMES = {
    "Contract": "fauxvider.contract.model",
    "ContractError": "fauxvider.errors",
    "EgressPolicy": "fauxvider.server.egress",
    "FauxviderError": "fauxvider.errors",
    "LocalServer": "fauxvider.local",
    "Receiver": "fauxvider.receiver",
    "Server": "fauxvider.embedded",
    "UsageError": "fauxvider.errors",
    "WorldHandle": "fauxvider.embedded",
    "load_contract": "fauxvider.contract.parse",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fauxvider' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
