"""The names that templates see (section 12 of the language), each made when a template first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fauxvider.contract.model import Contract, IdKind, Issue, Model
from fauxvider.contract.placeholders import Lazy
from fauxvider.engine.minting import Mint
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.timeline import Life, Snapshot, snapshot_at
from fauxvider.gate import parse_json, parse_query
from fauxvider.service import outputs

if TYPE_CHECKING:
    from fauxvider.engine.facts import Job, Record
    from fauxvider.service.provider import Call, Provider

__all__ = ["JobScope", "MintScope", "RequestScope", "issue_scope", "minted", "model_scope", "progress_of"]

_OF_THE_WHOLE = ("required", "additionalProperties")  # what is at fault is the mapping, not its member
_PARTS = {"run": ("job", "run"), "output": ("job", "output"), "attempt": ("delivery", "attempt"), "world": ()}


class MintScope:
    """`{mint.NAME}`: values that are a function of the world's seed and of what they belong to.

    `owners` says what that is: numbers or names of the job, run, output, delivery, attempt, asset,
    secret, request, key and model at hand. Its own names are private, because a contract may call an
    id anything.
    """

    __slots__ = ("_contract", "_mint", "_moment", "_owners")

    def __init__(self, contract: Contract, mint: Mint, moment: int, owners: Mapping[str, int | str]) -> None:
        self._contract = contract
        self._mint = mint
        self._moment = moment
        self._owners = owners

    def __getattr__(self, name: str) -> str:
        kind = self._contract.ids.get(name)
        if kind is None:
            raise AttributeError(name)
        return minted(self._mint, kind, self._moment, self._owners)


def minted(mint: Mint, kind: IdKind, moment: int, owners: Mapping[str, int | str]) -> str:
    """Give the value of a kind for what it belongs to: those of the `owners` that its scope names."""
    parts = _PARTS.get(kind.scope, (kind.scope,))
    return mint.value(kind, *[owners.get(part, 0) for part in parts], moment=moment)


class RequestScope(dict[str, Any]):
    """The names of a request. `call` is None for what no request asked for (an expired URL, a callback)."""

    __slots__ = ("call", "job_number", "moment", "provider")

    def __init__(self, provider: Provider, call: Call | None, *, moment: int, job_number: int = 0) -> None:
        self.provider = provider
        self.call = call
        self.moment = moment
        self.job_number = job_number  # of a job that is about to be accepted

    def __missing__(self, name: str) -> Any:
        make = _MAKERS.get(name)
        value = self[name] = make(self) if make is not None else None
        return value

    def fork(self) -> RequestScope:
        """Give a copy that can bind further names."""
        made = RequestScope(self.provider, self.call, moment=self.moment, job_number=self.job_number)
        made.update(self)
        return made


class JobScope(RequestScope):
    """The names of a job as it is at `moment`, and those of the request at hand, if there is one."""

    __slots__ = ("life", "record", "site")

    def __init__(
        self, provider: Provider, record: Record, life: Life, *, moment: int, site: str, call: Call | None = None
    ) -> None:
        self.provider = provider
        self.call = call
        self.moment = moment
        self.job_number = 0
        self.record = record
        self.life = life
        self.site = site

    def __missing__(self, name: str) -> Any:
        make = _JOB_MAKERS.get(name)
        if make is None:
            return super().__missing__(name)
        value = self[name] = make(self)
        return value

    def fork(self) -> JobScope:
        made = JobScope(self.provider, self.record, self.life, moment=self.moment, site=self.site, call=self.call)
        made.update(self)
        return made


def _parameters(scope: RequestScope) -> Any:
    model = scope.call.model if scope.call is not None else None
    return scope["input"] if model is None else _filled(model, scope["input"])


def _filled(model: Model, given: Any) -> Any:
    """Give the model input with the schema's defaults filled in."""
    return {**model.defaults, **given} if isinstance(given, dict) else given


def _request_mints(scope: RequestScope) -> MintScope:
    call, provider = scope.call, scope.provider
    if call is None:
        return provider.mints(moment=scope.moment, request=provider.world.requests)
    model = call.model.name if call.model else ""
    return provider.mints(moment=scope.moment, request=call.number, key=call.key, model=model, job=scope.job_number)


def _headers(scope: RequestScope) -> dict[str, str]:
    pairs = scope.call.request.headers if scope.call else []
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in pairs}


def _origins(provider: Provider, site: str) -> dict[str, str]:
    return {name: provider.base(name, site) for name in provider.contract.origins}


def _model(scope: RequestScope) -> Any:
    call = scope.call
    return None if call is None or call.model is None else scope.provider.compiled.model_scopes[call.model.name]


_MAKERS: Mapping[str, Callable[[RequestScope], Any]] = {
    "path": lambda scope: scope.call.request.params if scope.call else {},
    "query": lambda scope: parse_query(scope.call.request.query) if scope.call else {},
    "header": _headers,
    "now": lambda scope: scope.moment,
    "body": lambda scope: scope.call.body if scope.call else None,
    "input": lambda scope: scope.call.input if scope.call else None,
    "param": _parameters,
    "model": _model,
    "key": lambda scope: {"name": scope.call.key_name if scope.call else ""},
    "account": lambda scope: scope.provider.account_scope(None),
    "states": lambda scope: scope.provider.compiled.states,
    "mint": _request_mints,
    "origin": lambda scope: _origins(scope.provider, scope.call.request.site if scope.call else "local"),
}


def progress_of(provider: Provider, job: Job, snap: Snapshot) -> float:
    """Give how much of a job is done, from 0 to 1: by its time, or by the steps of a live run."""
    live = provider.settings.live
    is_at_work = live is not None and job.plan.live and not snap.is_terminal
    return live.progress(provider, job.id) if live is not None and is_at_work else snap.progress


def _job(scope: JobScope) -> Any:
    provider = scope.provider
    contract, job = provider.contract, scope.record.job
    snap = snapshot_at(contract, scope.life, job, scope.moment)
    snap.progress = progress_of(provider, job, snap)
    # Failure values and results may look at the job itself, so it is there before they are.
    scope["job"] = snap
    if snap.failure_name:
        scope["issue"], scope["issues"] = {"text": scope.life.detail}, Lazy(lambda: _violations(scope))
        failure = contract.failures[snap.failure_name]
        snap.failure = {name: value(scope) for name, value in failure.values.items()}
    if snap.state == "succeeded":
        snap.result = contract.models[job.model].output.result(scope)
    return snap


def _violations(scope: JobScope) -> list[Mapping[str, Any]]:
    """Give what was wrong with the input of a job that was taken all the same."""
    provider, job = scope.provider, scope.record.job
    validator = provider.contract.operations[job.operation].validators.get(job.model)
    found = [] if validator is None or not scope.life.detail else validator.issues(scope["body"])
    return [issue_scope(provider.contract, issue) for issue in found]


def _job_mints(scope: JobScope) -> MintScope:
    job = scope.record.job
    return scope.provider.mints(
        moment=job.accepted, job=job.number, run=scope.life.runs, model=job.model, key=job.key, request=job.request
    )


def _job_body(scope: JobScope) -> Any:
    body = scope.record.job.body
    return parse_json(body) if body.strip() else {}


_JOB_MAKERS: Mapping[str, Callable[[JobScope], Any]] = {
    "param": lambda scope: _filled(scope.provider.contract.models[scope.record.job.model], scope["input"]),
    "job": _job,
    "body": _job_body,
    "input": lambda scope: at_pointer(
        scope["body"], scope.provider.contract.operations[scope.record.job.operation].input
    ),
    "model": lambda scope: scope.provider.compiled.model_scopes[scope.record.job.model],
    "account": lambda scope: scope.provider.account_scope(scope.record),
    "mint": _job_mints,
    "origin": lambda scope: _origins(scope.provider, scope.site),
    "outputs": outputs.output_list,
    "output": lambda scope: next(iter(scope["outputs"]), None),
}


def issue_scope(contract: Contract, issue: Issue) -> Mapping[str, Any]:
    """Give `{issue.*}`: a violation in the contract's own words."""
    path = [str(part) for part in issue.path]
    names: dict[str, Any] = {
        "path": ".".join(path),
        "pointer": "".join(f"/{part}" for part in path),
        "field": path[-1] if path else "",
        "at": ".".join(path[:-1] if issue.keyword in _OF_THE_WHOLE else path),
        "keyword": issue.keyword,
        "limit": issue.limit,
        "low": issue.low,
        "high": issue.high,
        "value": issue.value,
        "loc": ["body", *issue.path],
        "text": issue.message,
    }
    types = contract.issue_types
    names["type"] = types.get(issue.keyword) or types.get("other") or issue.keyword
    text = contract.issue_texts.get(issue.keyword) or contract.issue_texts.get("other")
    if text is not None:
        names["text"] = text({"issue": dict(names)})
    return names


def model_scope(model: Model) -> Mapping[str, Any]:
    return {
        "name": model.name,
        "key": list(model.key),
        "status": "active" if model.active else "inactive",
        "facts": model.facts,
    }
