"""What is worked out once per contract (and choice of readings), and shared by all worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fauxvider.contract.model import Contract, Model, Operation, Url
from fauxvider.engine.routing import Router
from fauxvider.engine.urls import FileRoutes
from fauxvider.service.scopes import model_scope

__all__ = ["Compiled"]


class Compiled:
    """A contract with its routers and tables."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.routers = {
            name: Router(op for op in contract.operations.values() if op.origin == name) for name in contract.origins
        }
        self.files = FileRoutes(contract)
        self.urls: Mapping[str, Url] = {url.serves: url for url in reversed(contract.urls.values())}
        self.models: Mapping[tuple[str, ...], Model] = {model.key: model for model in contract.models.values()}
        self.first_keys = {model.key[0] for model in contract.models.values() if model.key}
        self.model_scopes: Mapping[str, Mapping[str, Any]] = {
            name: model_scope(model) for name, model in contract.models.items()
        }
        self.states = [
            {"word": state.word, "is": state.canonical, "terminal": state.is_terminal}
            for state in contract.states.values()
        ]
        self.hosts = {origin.host: name for name, origin in contract.origins.items()}

    def waits(self, operation: Operation) -> bool:
        """Tell whether an answer of this operation may be held."""
        return operation.waits is not None
