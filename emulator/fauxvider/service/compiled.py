"""What is worked out once per contract (and choice of readings), and shared by all worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fauxvider.contract.model import Contract, Model, Operation, Url
from fauxvider.engine.plan import Deadlines, Quote
from fauxvider.engine.routing import Router
from fauxvider.engine.urls import FileRoutes
from fauxvider.service.checks import checks_of
from fauxvider.service.scopes import model_scope

__all__ = ["Compiled"]

_MAX_QUOTES = 4096
_MAX_PART = 100  # characters of a parameter
_FORM = 65_536  # what a multipart form may add around its file

_OF_THE_JOB = frozenset(
    {"job", "body", "input", "param", "model", "mint", "output", "outputs", "path", "item", "states", "origin"}
)


class Compiled:
    """A contract with its routers and tables."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.routers = {
            name: Router(op for op in contract.operations.values() if op.origin == name) for name in contract.origins
        }
        self.files = FileRoutes(contract)
        self.urls: Mapping[str, Url] = {url.serves: url for url in reversed(list(contract.urls.values()))}
        self.models: Mapping[tuple[str, ...], Model] = {
            key: model for model in contract.models.values() for key in (model.key, *model.also)
        }
        self.first_keys = {model.key[0] for model in contract.models.values() if model.key}
        self.model_scopes: Mapping[str, Mapping[str, Any]] = {
            name: model_scope(model) for name, model in contract.models.items()
        }
        self.checks = {name: checks_of(contract, operation) for name, operation in contract.operations.items()}
        self.states: list[Mapping[str, Any]] = [
            {"word": state.word, "is": state.canonical, "terminal": state.is_terminal}
            for state in contract.states.values()
        ]
        self.hosts = {origin.host: name for name, origin in contract.origins.items()}

        uploads = (contract.assets.max_size or 0) + _FORM if contract.assets else 0
        self.max_body = max(uploads, *(operation.max_body for operation in contract.operations.values()))
        self.shows_cost = {name for name, operation in contract.operations.items() if self._shows_cost(operation)}
        self.deadlines = Deadlines(contract.deadlines)
        self.quotes: dict[tuple[object, ...], Quote] = {}
        self.lasting = {name for name, operation in contract.operations.items() if self._lasts(operation)}

    def _shows_cost(self, operation: Operation) -> bool:
        names = {name for answer in operation.answers.values() for name in answer.names}
        is_result = "job.result" in names and any(
            "job.cost" in model.output.names for model in self.contract.models.values()
        )
        return "job.cost" in names or is_result

    def remember_quote(self, key: tuple[object, ...], quote: Quote) -> None:
        if any(isinstance(part, str) and len(part) > _MAX_PART for part in key):
            return
        if len(self.quotes) >= _MAX_QUOTES:
            self.quotes.clear()
        self.quotes[key] = quote

    def _lasts(self, operation: Operation) -> bool:
        """Tell whether what a read shows of a finished job stays the same, byte for byte, however often it is asked.

        It does when every name that is looked up belongs to the job, and no URL is signed anew.
        """
        contract = self.contract
        if operation.kind != "read" or any(contract.limits[name].headers for name in operation.limits):
            return False
        names = {name for answer in operation.answers.values() for name in answer.names}
        names |= {name for model in contract.models.values() for name in model.output.names}
        roots = {name.partition(".")[0] for name in names}
        url = self.urls.get("output")
        is_signed_anew = url is not None and url.origin_moment == "issue" and bool(roots & {"output", "outputs"})
        asked = {name.partition(".")[2] for name in names if name.startswith("mint.")}
        is_fresh = any(contract.ids[name].scope == "request" for name in asked)
        is_emptied = contract.removal is not None and "job.removed" in names
        return not is_emptied and roots <= _OF_THE_JOB and not is_signed_anew and not is_fresh
