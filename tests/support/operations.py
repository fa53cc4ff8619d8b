"""Every operation of every bundled contract, with a request that it accepts: made from the contract alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from fauxvider.contract.model import Contract, Operation
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider_contracts import provider_names
from support.inprocess import Answer, InProcess

__all__ = ["Case", "Site", "cases", "contract_of", "fields_of", "replaced", "sample", "texts_in"]

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
# Tried in turn where a schema has a pattern.
_TEXTS = ("a red fox", "http://127.0.0.1:9/x", "image/png", "1024*1024", "cat.png")
_HOLE = re.compile(r"\{(\w+)\.([\w.]+)\}")


@cache
def file_of(provider: str) -> ContractFile:
    return open_contract(provider)


def contract_of(provider: str) -> Contract:
    return file_of(provider).resolve({})


def plain(tree: Any) -> Any:
    """Give a contract's schema as JSON Schema: no evidence, no decimals."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items() if key != "evidence"}
    if isinstance(tree, list | tuple):
        return [plain(value) for value in tree]
    if isinstance(tree, Decimal):
        return int(tree) if tree == int(tree) else float(tree)
    return tree


def sample(schema: Mapping[str, Any]) -> Any:
    """Give a small value that a schema accepts."""
    for given in (*schema.get("examples", ()), *(schema[name] for name in ("default", "const") if name in schema)):
        return given
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", ())
        return {name: sample(inner) for name, inner in schema.get("properties", {}).items() if name in wanted}
    if kind == "array":
        return [sample(schema.get("items", {}))] * max(1, schema.get("minItems", 0))
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), 1)
    if kind == "boolean":
        return True
    checker = Draft202012Validator(schema)
    return next(text for text in _TEXTS if checker.is_valid(text))


@dataclass(frozen=True)
class Case:
    """One operation, with one model where it takes one."""

    provider: str
    operation: Operation
    model: str
    schema: Mapping[str, Any] | None  # of the whole body; None without a JSON body

    def __str__(self) -> str:
        return f"{self.provider}-{self.operation.name}" + (f"-{self.model}" if self.model else "")

    @property
    def method(self) -> str:
        return self.operation.methods[-1]

    @property
    def fails_later(self) -> bool:
        """Tell whether a bad input is accepted and fails as a job: what some providers do."""
        return bool(self.operation.on_invalid)

    def valid(self) -> dict[str, Any]:
        if self.schema is None:
            return {}
        body: dict[str, Any] = sample(self.schema)
        return body

    @property
    def always_holds(self) -> bool:
        """Tell whether no request of this client's keeps the call from being held."""
        waits = self.operation.waits
        return waits is not None and not waits.unless and not waits.header

    def detached(self) -> dict[str, Any]:
        """Give a valid body that also asks for no hold, where a body can ask."""
        waits = self.operation.waits
        return replaced(self.valid(), waits.unless, True) if waits and waits.unless else self.valid()

    def held(self) -> dict[str, str]:
        """Give the headers that ask for a hold, where headers ask."""
        waits = self.operation.waits
        return {waits.header: waits.directive} if waits and waits.header else {}

    def checker(self) -> Draft202012Validator:
        return Draft202012Validator(dict(self.schema or {}))


def _schema(provider: str, operation: Operation, model: str) -> Mapping[str, Any] | None:
    if operation.body != "json":
        return None
    tree = file_of(provider).resolved({})
    own = tree["operations"][operation.name]
    schema = plain(own.get("schema", {"type": "object"}))
    schema["type"] = "object"
    if model:
        (key, *_) = contract_of(provider).models[model].keys_of(len(own.get("model", ())))
        for part, value in zip(own.get("model", ()), key, strict=True):
            root, name = _HOLE.fullmatch(part).groups()  # type: ignore[union-attr]
            if root == "body":
                schema["properties"][name]["const"] = value
    if operation.kind == "submit":
        wanted = plain(tree["models"][model]["input"])
        _point_at_assets(provider, wanted)
        if not operation.input:  # the body is the input
            return {**schema, **wanted}
        (name,) = operation.input
        schema.setdefault("properties", {})[name] = wanted
        if wanted.get("required"):
            schema["required"] = sorted({*schema.get("required", ()), name})
    return schema


def _point_at_assets(provider: str, schema: dict[str, Any]) -> None:
    """Let the fields that name assets name one that every world has."""
    rules = file_of(provider).resolved({}).get("assets", {})
    present = rules.get("present", ())
    for template in (rules.get("references") or {}).get("in", ()):
        found = schema.get("properties", {}).get(_HOLE.fullmatch(template)[2])  # type: ignore[index]
        if found is not None and present and found.get("type") == "string":
            found["examples"] = [present[0]["key"]]


@cache
def cases(*, every_model: bool = False) -> tuple[Case, ...]:
    """Enumerate operations; those with a model once, or (`every_model`) once for each active one."""
    found = []
    for provider in provider_names():
        contract = contract_of(provider)
        active = [name for name, model in contract.models.items() if model.active]
        owned = [name for name in active if contract.models[name].facts.get("owned")]
        for operation in contract.operations.values():
            fitting = (owned if operation.owner else active) if operation.model else [""]
            chosen = fitting if every_model and operation.kind == "submit" else fitting[:1]
            found += [Case(provider, operation, name, _schema(provider, operation, name)) for name in chosen]
    return tuple(found)


class Site:
    """One provider in a world of its own, with something of everything in it."""

    def __init__(self, host: InProcess, provider: str, **options: Any) -> None:
        self.host = host
        self.provider = provider
        self.contract = contract_of(provider)
        self.world = host.world(limits="off", **{"clock": "stepping:1s", **options})
        self.base = host.base(self.world, provider)
        self.cases = [case for case in cases() if case.provider == provider]
        self.ids: dict[str, str] = {}

    @property
    def store(self) -> Any:
        return self.world.provider(self.provider).store

    def auth(self, key: str = "k") -> dict[str, str]:
        accepted = self.contract.auth.accept[0]
        return {accepted.header: f"{accepted.scheme} {key}".strip()}

    def furnish(self) -> None:
        """Make a finished job, an asset and a secret, through the provider's own operations."""
        for case in self.cases:
            if case.operation.kind == "submit" and "job" not in self.ids:
                answer = self.call(case, json_body=case.detached())
                assert answer.is_good, answer.text
                self.ids["job"] = self.jobs()[0]["id"]
                self.ids["job_model"] = case.model
            if case.operation.kind == "asset_session":
                answer = self.call(case, json_body=case.valid())
                self.ids["asset"] = self._known(answer, self.store.asset)
            if case.operation.kind == "asset_upload":
                answer = self.upload(case)
                self.ids["asset"] = self._known(answer, self.store.asset)
            if case.operation.kind == "secret_create":
                answer = self.call(case, json_body=case.valid())

                async def named(text: str) -> Any:
                    return next((one for one in await self.store.secrets() if one.id == text), None)

                self.ids["secret"] = self._known(answer, named)
        self.host.run(self.world.advance(60_000))

    def upload(self, case: Case, data: bytes = PNG, name: str = "cat.png", kind: str = "image/png") -> Answer:
        head = f'--b\r\nContent-Disposition: form-data; name="{case.operation.part}"; filename="{name}"\r\n'
        body = head.encode() + f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace") + data + b"\r\n--b--\r\n"
        return self.call(case, body=body, headers={"content-type": "multipart/form-data; boundary=b"})

    def _known(self, answer: Answer, find: Any) -> str:
        assert answer.is_good, answer.text
        for text in texts_in(answer.json()):
            if self.host.run(find(text)) is not None:
                return text
        raise AssertionError(f"no id in {answer.text}")

    def addressed(self, body: dict[str, Any], url: str) -> dict[str, Any]:
        """Give what `call` takes to submit a body and have the callback of its end go to `url`, if there is one."""
        callbacks = self.contract.callbacks
        if callbacks is None:
            return {"json_body": body}
        if callbacks.filter:
            body = replaced(body, callbacks.filter, sorted(set(callbacks.events.values())))
        if callbacks.query:
            return {"json_body": body, "query": {callbacks.query: url}}
        return {"json_body": replaced(body, callbacks.address, url)}

    def params(self, case: Case) -> dict[str, str]:
        """Give values for the path's parameters: what they name follows from the contract."""
        tree = file_of(self.provider).resolved({})["operations"][case.operation.name]
        found = {}
        model = self.ids.get("job_model", case.model) if case.operation.job else case.model
        parts = tree.get("model", ())
        for part, value in zip(parts, self.contract.models[model].keys_of(len(parts))[0] if parts else (), strict=True):
            root, name = _HOLE.fullmatch(part).groups()  # type: ignore[union-attr]
            if root == "path":
                found[name] = value
        for fact, part in tree.get("where", {}).items() if case.operation.job else ():
            facts = self.contract.models[model].facts if model else {}
            found[_HOLE.fullmatch(part)[2]] = str(facts.get(fact.removeprefix("facts."), "unknown"))  # type: ignore[index]
        for thing in ("job", "asset", "secret"):
            if thing in tree:
                found[_HOLE.fullmatch(tree[thing])[2]] = self.ids.get(thing, "unknown")  # type: ignore[index]
        return found

    def path(self, case: Case, **given: str) -> str:
        filled = {**self.params(case), **given}
        beside = "" if case.operation.origin == self.contract.api.name else f"/~{case.operation.origin}"
        return beside + re.sub(r"\{(\w+)\+?\}", lambda hole: filled[hole[1]], case.operation.path)

    def call(self, case: Case, *, path: str | None = None, method: str = "", **given: Any) -> Answer:
        headers = {**self.auth(), **given.pop("headers", {})}
        url = self.base + (self.path(case) if path is None else path)
        return self.host.request(method or case.method, url, headers=headers, **given)

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.host.run(self.host.emulator.jobs(self.world.name))
        return found

    def count_jobs(self) -> int:
        async def count() -> int:
            return sum([1 async for _ in self.store.records()])

        found: int = self.host.run(count())
        return found

    def journal(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.host.emulator.journal(self.world.name)["entries"]
        return found

    def money(self) -> Any:
        return self.host.run(self.host.emulator.ledger(self.world.name))

    def state(self) -> Any:
        """Give everything that a bad request must leave alone."""
        secrets = self.host.run(self.store.secrets())
        deliveries = self.host.run(self.host.emulator.deliveries(self.world.name))
        assets = sorted((key, one.state, one.size) for key, one in self.store._assets.items())
        return self.money(), [job["id"] for job in self.jobs()], secrets, assets, deliveries

    def refusal(self, answer: Answer) -> str:
        """Check that a refusal is the provider's own; give its cause."""
        assert 400 <= answer.status < 500, f"{answer.status}: {answer.text[:300]}"
        (last,) = self.world.journal.latest(1)
        cause = last.get("cause", "")
        assert cause, f"no cause behind {answer.status}: {answer.text[:300]}"
        face = self.contract.errors[cause]
        assert answer.status == face.status == last["status"], (cause, answer.status)
        kind = answer.headers.get("content-type", "")
        assert kind == face.envelope.content_type
        if kind == "application/json" and not face.envelope.is_text:
            assert isinstance(answer.json(), dict)
        return cause


def texts_in(tree: Any) -> Iterator[str]:
    """Give every text of a JSON tree, keys too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from texts_in(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from texts_in(value)


def fields_of(
    schema: Mapping[str, Any], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Give (path, schema) of every documented field, those inside others too."""
    for name, inner in schema.get("properties", {}).items():
        yield (*at, name), inner
        yield from fields_of(inner, (*at, name))


def replaced(body: Mapping[str, Any], at: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Give a body with one field set, and those on the way to it made."""
    head, *rest = at
    inner = body.get(head)
    return {**body, head: replaced(inner if isinstance(inner, dict) else {}, tuple(rest), value) if rest else value}
