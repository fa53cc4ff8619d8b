"""A starter contract: from nothing, or from an OpenAPI document."""

from __future__ import annotations

from pathlib import Path

from fauxvider.contract.lint import findings
from fauxvider.contract.parse import ContractFile
from fauxvider.errors import ContractError, UsageError
from fauxvider.toolkit.starter.facts import Facts, StarterModel, assumed_facts, completed
from fauxvider.toolkit.starter.openapi import openapi_facts, read_openapi
from fauxvider.toolkit.starter.writing import SCHEMA_FILE, starter_text

__all__ = ["SCHEMA_FILE", "starter_contract"]


def starter_contract(provider: str, *, source: Path | None = None, date: str, schema: str = SCHEMA_FILE) -> str:
    """Write a contract that passes `fauxvider check`, with comments; what is not known says `assumed`.

    `source`: an OpenAPI document; `date`: when it was read; `schema`: what the language server's line names.
    Raises UsageError for a document that cannot be read, or that makes no contract.
    """
    if source is None:
        return _checked([assumed_facts(provider)], date, schema, "the starter")
    facts = completed(openapi_facts(provider, read_openapi(source), source.name))
    return _checked([facts, _plainer(facts)], date, schema, str(source))


def _plainer(facts: Facts) -> Facts:
    """Leave out the inputs' schemas: what of them the language does not take is not worth a failure."""
    made = Facts(**{name: getattr(facts, name) for name in Facts.__dataclass_fields__})
    made.models = [StarterModel(one.name, one.part, {"type": "object"}, one.known) for one in facts.models]
    made.notes = [*facts.notes, "the schemas of the inputs: the contract language does not take them as they are"]
    return made


def _checked(tries: list[Facts], date: str, schema: str, name: str) -> str:
    wrong = ""
    for facts in tries:
        text = starter_text(facts, date=date, schema=schema)
        try:
            found = [
                one for one in findings(ContractFile(text, file=f"{facts.provider}.yaml")) if one.severity == "error"
            ]
        except ContractError as problem:
            wrong = str(problem)
            continue
        if not found:
            return text
        wrong = str(found[0])
    raise UsageError(f"{name}: no contract can be made of this: {wrong}")
